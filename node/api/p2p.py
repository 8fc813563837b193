"""The P2P listener's application: peers' messages in and out of HTTP, and blocks that caches can hold.

`POST /p2p/<name>` with a binary body; the session token stands in a header. Decodes before the
lock; what a message means is the core's business. Blocks are served without it: they never change,
and whoever waits for one must not wait until another is connected.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from chain.errors import Invalid
from chain.hashes import BlockHash, from_hex
from node.api.http.conditional import immutable
from node.api.http.message import OCTETS, Problem, Request, Response, octets
from node.api.p2p_gate import PREFIX, token_of
from node.api.query.queries import raw_block
from node.api.routing.dispatcher import Dispatcher
from node.api.routing.route import NO_BODY_MAX
from node.api.services.request_metrics import Refusals
from node.core.view import NodeView
from node.interface.endpoint import PeerId
from node.interface.messages import GetBlocks, Hello, Message, Reason, Refusal
from node.p2p.wire.codec import ROUTES, SESSION_HEADER, decode_request, encode
from node.runtime.runtime import Runtime

SEATS = "p2p"
"""Share of waiting requests that long polls here belong to."""
PARK_RETRY_S = 1
"""Seconds until a peer repeats a long poll that brought nothing."""
BUSY_RETRY_S = 30
"""Seconds until a node greets again when all places are taken."""
CHOKED_RETRY_S = 10
"""Seconds until a peer asks again for an old block that goes to others first."""

_SESSION = SESSION_HEADER.upper().replace("-", "_")
_REFUSAL_STATUS = MappingProxyType({Reason.NO_SESSION: 401, Reason.BUSY: 503, Reason.CHOKED: 503})
_OTHER_REFUSAL_STATUS = 403


class P2pApp(Dispatcher):
    """The application of the P2P listener."""

    def __init__(self, runtime: Runtime, refusals: Refusals | None = None) -> None:
        """`refusals` counts what is refused, and why."""
        super().__init__(runtime)
        self._refusals = refusals or Refusals()
        for name in ROUTES:
            self.add("POST", PREFIX + name, partial(self._message, name))
        self.add("GET", PREFIX + "block/:block_hash", self._block)

    def _message(self, name: str, request: Request, given: Mapping[str, str]) -> Response:
        """A message and its reply, counted."""
        token = token_of(request.header(_SESSION))
        body = request.body()
        answer = self._answer(name, body, token, request.client)
        self._runtime.traffic.note(token, name, len(answer.body), len(body))
        return answer

    def _answer(self, name: str, body: bytes, token: bytes | None, client: str) -> Response:
        try:
            message = decode_request(name, body)
        except Invalid as error:
            self._refusals.note(str(error.code))
            self._blame(token, str(error))
            raise Problem(400, str(error)) from None
        if isinstance(message, Hello):
            return self._reply(self._runtime.call(lambda node, now: node.greet(message, client, now), SEATS))
        if isinstance(message, GetBlocks):
            view = self._runtime.view
            peer = view.service.peer_of(token) if token else None
            return self._reply(view.service.blocks(peer, message, view.tree, view.tip, partial(_raw_block, view)))

        def peer_of(node: Any) -> PeerId | None:
            return None if token is None else node.peer_of(token)

        return self._reply(self._runtime.call(lambda node, now: node.handle(peer_of(node), message, now), SEATS))

    def _reply(self, reply: Message | None) -> Response:
        if isinstance(reply, Refusal):
            self._refusals.note(reply.reason.name.lower())
        return _reply(reply)

    def _blame(self, token: bytes | None, fault: str) -> None:
        """Tell the core of a session from which came what is no message."""
        if token and self._runtime.ready and self._runtime.view.service.peer_of(token):
            self._runtime.call(lambda node, now: node.malformed(token, fault, now), SEATS)

    def _block(self, request: Request, given: Mapping[str, str]) -> Response:
        """A block's bytes, for ever the same."""
        view = self._runtime.view
        try:
            entry = view.get(BlockHash(from_hex(given["block_hash"])))
        except ValueError:
            raise Problem(400, "Invalid hex string") from None
        raw = raw_block(view, entry) if entry else None
        if entry is None or raw is None:
            raise Problem(404, "Block not found")
        refusal = view.service.block(entry, view.tip, len(raw))
        if refusal and refusal.reason is Reason.CHOKED:
            raise Problem(503, "old blocks go to others just now", [("Retry-After", str(CHOKED_RETRY_S))])
        if refusal:
            raise Problem(404, "this node does not serve blocks that old")
        answer = immutable(request, octets(raw), given["block_hash"].lower())
        self._runtime.traffic.note(None, "block", len(answer.body), 0)
        return answer


def p2p_body_cap() -> Callable[[str, str, Mapping[str, str]], int]:
    """Bytes of body that the P2P listener reads of a request, by its header."""
    caps = {PREFIX + name: route.request_max for name, route in ROUTES.items()}

    def cap(method: str, path: str, headers: Mapping[str, str]) -> int:
        return caps.get(path, NO_BODY_MAX) if method == "POST" else NO_BODY_MAX

    return cap


def _raw_block(view: NodeView, block_hash: BlockHash) -> bytes | None:
    entry = view.get(block_hash)
    return raw_block(view, entry) if entry else None


def _reply(reply: Message | None) -> Response:
    """A message of the core's; None: it waited for something to say, in vain."""
    if reply is None:
        return Response(204, headers=(("Retry-After", str(PARK_RETRY_S)),))
    if not isinstance(reply, Refusal):
        return octets(encode(reply))
    status = _REFUSAL_STATUS.get(reply.reason, _OTHER_REFUSAL_STATUS)
    wait_s = CHOKED_RETRY_S if reply.reason is Reason.CHOKED else BUSY_RETRY_S
    retry = (("Retry-After", str(wait_s)),) if status == 503 else ()
    return Response(status, encode(reply), OCTETS, retry)
