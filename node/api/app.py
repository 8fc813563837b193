"""The API listener's application: Esplora at `/…` and `/api/…`, JSON-RPC at `POST /`.

Flask routes; everything that decides stands in the modules beside this one.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import flask
from flask import Flask, Response
from flask.sessions import SessionMixin
from werkzeug.exceptions import HTTPException

from node.api import esplora_blocks, esplora_mempool, esplora_scripts, esplora_txs
from node.api.answers import TEXT, Problem, problem
from node.api.call import Call
from node.api.guard import PREFLIGHT_HEADERS, Credentials, HostList, check_origin, cors_headers
from node.api.lookup import BlockMeasures, NoIndex
from node.api.routes import NO_BODY_MAX, PREFIXES, Route, parse
from node.api.rpc import RPC_BODY_MAX, RpcServer
from node.api.rpc_coins import ScanTurn
from node.api.rpc_table import METHODS
from node.config import Config
from node.ports import Endpoint, StoreError
from node.runtime import Busy, NotReady, Runtime

log = logging.getLogger("groat.api")

ROUTES: tuple[Route, ...] = (
    *esplora_blocks.ROUTES,
    *esplora_txs.ROUTES,
    *esplora_scripts.ROUTES,
    *esplora_mempool.ROUTES,
)
"""Every route of the API but JSON-RPC's `POST /`."""
UNAUTHORIZED_BODY_MAX = 64 * 1024
"""Bytes of a JSON-RPC request without the right credentials; more is not read."""
NOT_READY_RETRY_S = 1
EXPLORER = "/explorer/"
"""Where `GET /` leads."""
NO_INDEX = (400, "this node runs with --no-index: it cannot answer this")
SECURITY_HEADERS = (("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store"))


class _NoSessions(flask.sessions.SessionInterface):
    """There are no browser sessions here; Flask's own would read and write cookies."""

    def open_session(self, app: Flask, request: flask.Request) -> SessionMixin | None:
        return None

    def make_null_session(self, app: Flask) -> Any:
        return None

    def is_null_session(self, obj: object) -> bool:
        return True


def create_api_app(runtime: Runtime, config: Config, listening: tuple[Endpoint, ...] = ()) -> Flask:
    """The WSGI application. `listening` is where it is served, if not where `config` says."""
    app = bare_app("groat.api", runtime)
    hosts = HostList(config.allow_hosts, listening or config.api)
    measures, scan_turn, started = BlockMeasures(), ScanTurn(), runtime.now()
    rpc = RpcServer(METHODS, Credentials.of(config))
    app.extensions["groat.rpc"] = rpc

    def call() -> Call:
        return Call(runtime.view, runtime, config, measures, scan_turn, started, _body)

    @app.before_request
    def check_host() -> Response | None:
        headers = flask.request.headers
        hosts.check(headers.get("Host", ""))
        if flask.request.method == "OPTIONS":
            return _preflight(config)
        if flask.request.method == "POST":
            _check_origin(config)
        return None

    @app.after_request
    def add_headers(answer: Response) -> Response:
        for name, content in SECURITY_HEADERS:
            answer.headers.setdefault(name, content)
        if config.cors_origins:
            answer.headers.extend(cors_headers(flask.request.headers.get("Origin", ""), config.cors_origins))
        return answer

    for route in ROUTES:
        _add_route(app, route, call, config)

    def answer_rpc(path: str = "") -> Response:
        return rpc.answer(flask.request.headers.get("Authorization", ""), _body(), call)

    app.add_url_rule("/", "start", _to_explorer, methods=["GET"], provide_automatic_options=False)
    app.add_url_rule("/", "rpc", answer_rpc, methods=["POST"], provide_automatic_options=False)
    app.add_url_rule("/wallet/<path:path>", "rpc_wallet", answer_rpc, methods=["POST"], provide_automatic_options=False)
    return app


def bare_app(name: str, runtime: Runtime) -> Flask:
    """Flask without what is not used here, every error being one line of text."""

    def damaged(error: StoreError) -> Response:
        log.critical("%s", error)
        runtime.stop(1)
        return _not_ready(NotReady())

    app = Flask(name, static_folder=None)
    app.session_interface = _NoSessions()
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = True
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.register_error_handler(Problem, lambda error: problem(error.status, error.line, error.headers))
    app.register_error_handler(NotReady, _not_ready)
    app.register_error_handler(StoreError, damaged)
    app.register_error_handler(Busy, _busy)
    app.register_error_handler(NoIndex, lambda error: problem(*NO_INDEX))
    app.register_error_handler(HTTPException, _http_error)
    return app


def body_cap(app: Flask) -> Callable[[str, str, Mapping[str, str]], int]:
    """How much body the API listener reads of a request, by its header."""
    rpc: RpcServer = app.extensions["groat.rpc"]
    caps = {(route.method, prefix + route.path): route.body_max for route in ROUTES for prefix in PREFIXES}

    def cap(method: str, path: str, headers: Mapping[str, str]) -> int:
        if method == "POST" and (path == "/" or path.startswith("/wallet/")):
            known = rpc.credentials.accept(headers.get("AUTHORIZATION", ""))
            return RPC_BODY_MAX if known else UNAUTHORIZED_BODY_MAX
        # Only paths without parameters take a body.
        return caps.get((method, path), NO_BODY_MAX)

    return cap


def _add_route(app: Flask, route: Route, call: Callable[[], Call], config: Config) -> None:
    def view(**given: str) -> Response:
        if route.writes and route.method != "POST":
            _check_origin(config)
        asked = call()
        if route.needs_index and not asked.view.reader.has_index:
            raise NoIndex
        values = {name: parse(kind, given[name]) for name, kind in route.params.items()}
        for name, kind in route.query.items():
            raw = flask.request.args.get(name)
            values[name] = None if raw is None else parse(kind, raw)
        return route.answer(asked, **values)

    rule = "/".join(f"<{piece[1:]}>" if piece.startswith(":") else piece for piece in route.path.split("/"))
    for prefix in PREFIXES:
        name = f"{route.method} {prefix}{route.path}".replace(".", "_")
        app.add_url_rule(prefix + rule, name, view, methods=[route.method], provide_automatic_options=False)


def _body() -> bytes:
    return flask.request.get_data(cache=False)


def _check_origin(config: Config) -> None:
    headers = flask.request.headers
    check_origin(
        headers.get("Host", ""), headers.get("Origin", ""), headers.get("Sec-Fetch-Site", ""), config.cors_origins
    )


def _preflight(config: Config) -> Response | None:
    """What a browser asks before a request of another origin; None where it asks in vain."""
    headers = flask.request.headers
    allowed = cors_headers(headers.get("Origin", ""), config.cors_origins)
    if not allowed or "Access-Control-Request-Method" not in headers:
        return None
    return Response(status=204, headers=list(PREFLIGHT_HEADERS))


def _to_explorer() -> Response:
    return Response(b"", 302, [("Location", EXPLORER)], content_type=TEXT)


def _raw_path() -> str:
    return str(flask.request.environ.get("REQUEST_URI", flask.request.path)).partition("?")[0]


def _http_error(error: HTTPException) -> Response:
    """Werkzeug's own: an unknown route or method, a body that ends too soon, a bug."""
    status = error.code or 500
    path = _raw_path()
    if status == 405 and path == "/":
        return problem(405, "JSONRPC server handles only POST requests")
    if status in (404, 405):
        quoted = path.replace("\\", "\\\\").replace('"', '\\"')
        return problem(404, f'endpoint does not exist "{quoted}"')
    return problem(status, error.name.lower())


def _not_ready(_: NotReady) -> Response:
    return problem(503, "the node is starting: come again", [("Retry-After", str(NOT_READY_RETRY_S))])


def _busy(_: Busy) -> Response:
    return problem(503, "too many requests are waiting: come again", [("Retry-After", str(Busy.retry_after_s))])
