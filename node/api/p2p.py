"""The P2P listener's application: peers' messages in and out of HTTP, and blocks that caches can hold.

`POST /p2p/<name>` with a binary body; the session token stands in a header. Decodes before the
lock; what a message means is the core's business.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import flask
from flask import Flask, Response

from chain.errors import Invalid
from chain.hashes import BlockHash, from_hex
from node.api.answers import IMMUTABLE, OCTETS, Problem, octets
from node.api.app import bare_app
from node.api.lookup import raw_block
from node.api.routes import NO_BODY_MAX
from node.peers.messages import TOKEN_SIZE, Hello, Message, Reason, Refusal
from node.peers.protocol import ROUTES, SESSION_HEADER, decode_request, encode
from node.ports import PeerId
from node.runtime import Runtime

PREFIX = "/p2p/"
SEATS = "p2p"
"""Whose share of waiting requests long polls here belong to."""
PARK_RETRY_S = 1
"""When to come again after a long poll that brought nothing."""
BUSY_RETRY_S = 30
"""When to greet again a node that has as many peers as it may."""

_REFUSAL_STATUS = MappingProxyType({Reason.NO_SESSION: 401, Reason.BUSY: 503})
_OTHER_REFUSAL_STATUS = 403


def create_p2p_app(runtime: Runtime) -> Flask:
    """The WSGI application that peers talk to."""
    app = bare_app("groat.p2p", runtime)

    def message(name: str) -> Response:
        if name not in ROUTES:
            flask.abort(404)
        try:
            request = decode_request(name, flask.request.get_data(cache=False))
        except Invalid as error:
            raise Problem(400, str(error)) from None
        if isinstance(request, Hello):
            host = flask.request.environ["REMOTE_ADDR"]
            return _reply(runtime.call(lambda node, now: node.greet(request, host, now), SEATS))
        token = _token(flask.request.headers.get(SESSION_HEADER, ""))

        def peer_of(node: Any) -> PeerId | None:
            return None if token is None else node.peer_of(token)

        return _reply(runtime.call(lambda node, now: node.handle(peer_of(node), request, now), SEATS))

    def block(block_hash: str) -> Response:
        view = runtime.view
        try:
            entry = view.get(BlockHash(from_hex(block_hash)))
        except ValueError:
            raise Problem(400, "Invalid hex string") from None
        raw = raw_block(view, entry) if entry else None
        if raw is None:
            raise Problem(404, "Block not found")
        answer = octets(raw)
        answer.headers["Cache-Control"] = IMMUTABLE
        answer.set_etag(block_hash.lower())
        answer.make_conditional(flask.request.environ, accept_ranges=True, complete_length=len(raw))
        return answer

    app.add_url_rule(PREFIX + "<name>", "message", message, methods=["POST"], provide_automatic_options=False)
    app.add_url_rule(PREFIX + "block/<block_hash>", "block", block, methods=["GET"], provide_automatic_options=False)
    return app


def p2p_body_cap() -> Callable[[str, str, Mapping[str, str]], int]:
    """How much body the P2P listener reads of a request, by its header."""
    caps = {PREFIX + name: route.request_max for name, route in ROUTES.items()}

    def cap(method: str, path: str, headers: Mapping[str, str]) -> int:
        return caps.get(path, NO_BODY_MAX) if method == "POST" else NO_BODY_MAX

    return cap


def _token(given: str) -> bytes | None:
    try:
        token = bytes.fromhex(given)
    except ValueError:
        return None
    return token if len(token) == TOKEN_SIZE else None


def _reply(reply: Message | None) -> Response:
    """A message of the core's; None: it waited for something to say, in vain."""
    if reply is None:
        return Response(status=204, headers=[("Retry-After", str(PARK_RETRY_S))])
    if not isinstance(reply, Refusal):
        return octets(encode(reply))
    status = _REFUSAL_STATUS.get(reply.reason, _OTHER_REFUSAL_STATUS)
    headers = [("Retry-After", str(BUSY_RETRY_S))] if status == 503 else []
    return Response(encode(reply), status, headers, content_type=OCTETS)
