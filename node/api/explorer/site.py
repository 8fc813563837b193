"""The Flask application: routes, filters, headers, and the pages for what goes wrong.

The only module beside `routes.py` and `render.py` that knows Flask.
"""

import logging
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import flask
from flask import Flask, g, request
from jinja2 import StrictUndefined
from werkzeug.exceptions import HTTPException

from node.api.context import Call
from node.api.explorer import formatting, routes, wsgi
from node.api.explorer.home import TXS_SHOWN
from node.api.explorer.payments import PaymentBlocks
from node.api.explorer.render import TroubleError, current_call, show_trouble
from node.api.http import message
from node.api.http.message import IMMUTABLE, Response
from node.api.query.queries import NoIndex
from node.interface.storage import StoreError
from node.runtime.runtime import Busy, NotReady

log = logging.getLogger("groat.explorer")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy: nothing from elsewhere, and nothing that stands in the page itself."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-cache",
}
"""Headers of every page; the listener adds X-Content-Type-Options."""
VERSION_SIZE = 6
"""Bytes of the digest that static files are called with, so that browsers may keep them for ever."""


def make_pages(mount: str) -> Callable[[message.Request, Callable[[], Call]], Response]:
    """The application for everything at and below `mount`."""
    root = mount.rstrip("/")
    site, payments = _make_site(), PaymentBlocks(TXS_SHOWN)

    def answer(asked: message.Request, call: Callable[[], Call]) -> Response:
        return wsgi.ask(site, asked, root, call=call, payments=payments)

    return answer


def _make_site() -> Flask:
    # Sessions would need a secret and set cookies: there are none.
    site = Flask("node.api.explorer")
    site.config["PROPAGATE_EXCEPTIONS"] = True
    site.jinja_env.undefined = StrictUndefined
    site.jinja_env.trim_blocks = site.jinja_env.lstrip_blocks = True
    site.jinja_env.filters.update(formatting.FILTERS)
    site.register_blueprint(routes.pages)
    site.context_processor(_surroundings)
    site.template_filter("moment")(lambda time: formatting.moment(time, _now()))
    site.after_request(_guard)
    site.register_error_handler(Exception, _trouble)
    version = _version(Path(site.static_folder or ""))
    site.template_global("asset")(lambda name: f"{request.script_root}/static/{name}?v={version}")
    return site


def _version(folder: Path) -> str:
    """Names the static files as they are now."""
    digest = blake2b(digest_size=VERSION_SIZE)
    for path in sorted(folder.iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _now() -> float:
    return float(g.now)


def _surroundings() -> dict[str, Any]:
    """The values in the frame around every page. Empty where the node has no view yet."""
    try:
        call = current_call()
    except NotReady:
        return {"chain": None}
    view = call.view
    g.now = call.runtime.unix()
    return {
        "chain": {
            "network": call.config.params.name,
            "name": call.config.name,
            "node": call.config.name or request.host,
            "height": view.tip.height,
            "tip": view.tip.hash[::-1].hex(),
            "now": g.now,
        }
    }


def _guard(response: flask.Response) -> flask.Response:
    response.headers.update(HEADERS)
    if request.path.startswith("/static/") and "v" in request.args and response.status_code == 200:
        response.headers["Cache-Control"] = IMMUTABLE
    return response


def _trouble(error: Exception) -> tuple[str, int] | tuple[str, int, dict[str, str]] | flask.Response:
    """The page for what went wrong. Raises StoreError, which ends the node."""
    if isinstance(error, StoreError):
        raise error
    if isinstance(error, TroubleError):
        return show_trouble(error)
    if isinstance(error, NotReady):
        return show_trouble(TroubleError(503, "starting"))
    if isinstance(error, Busy):
        return show_trouble(TroubleError(503, "busy"))
    if isinstance(error, NoIndex):
        return show_trouble(TroubleError(400, "no-index"))
    if isinstance(error, HTTPException):
        if error.code in (301, 302, 308):
            return error.get_response()  # type: ignore[return-value]
        return show_trouble(TroubleError(404 if error.code in (404, 405) else 400, "nowhere"))
    if isinstance(error, message.Problem):
        return show_trouble(TroubleError(error.status, "busy" if error.status == 503 else "nowhere"))
    log.error("a bug in the explorer: %r", request.path[:100], exc_info=error)
    return show_trouble(TroubleError(500, "bug"))
