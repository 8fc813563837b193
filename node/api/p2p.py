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
from node.api.answers import OCTETS, Answer, Problem, Request, octets
from node.api.dispatch import Dispatcher
from node.api.lookup import raw_block
from node.api.ranges import immutable
from node.api.routes import NO_BODY_MAX
from node.peers.bodies import pack
from node.peers.messages import TOKEN_SIZE, GetBlocks, Hello, Message, Reason, Refusal
from node.peers.protocol import ROUTES, SESSION_HEADER, decode_request, encode
from node.ports import PeerId
from node.runtime import Runtime
from node.view import View

PREFIX = "/p2p/"
SEATS = "p2p"
"""Whose share of waiting requests long polls here belong to."""
PARK_RETRY_S = 1
"""When to come again after a long poll that brought nothing."""
BUSY_RETRY_S = 30
"""When to greet again a node that has as many peers as it may."""

_SESSION = SESSION_HEADER.upper().replace("-", "_")
_REFUSAL_STATUS = MappingProxyType({Reason.NO_SESSION: 401, Reason.BUSY: 503})
_OTHER_REFUSAL_STATUS = 403


class P2pApp(Dispatcher):
    """What peers talk to."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        for name in ROUTES:
            self.add("POST", PREFIX + name, partial(self._message, name))
        self.add("GET", PREFIX + "block/:block_hash", self._block)

    def _message(self, name: str, request: Request, given: Mapping[str, str]) -> Answer:
        """A message and its reply."""
        try:
            message = decode_request(name, request.body())
        except Invalid as error:
            raise Problem(400, str(error)) from None
        if isinstance(message, Hello):
            return _reply(self._runtime.call(lambda node, now: node.greet(message, request.client, now), SEATS))
        if isinstance(message, GetBlocks):
            return _reply(pack(message, partial(_raw_block, self._runtime.view)))
        token = _token(request.header(_SESSION))

        def peer_of(node: Any) -> PeerId | None:
            return None if token is None else node.peer_of(token)

        return _reply(self._runtime.call(lambda node, now: node.handle(peer_of(node), message, now), SEATS))

    def _block(self, request: Request, given: Mapping[str, str]) -> Answer:
        """A block's bytes, for ever the same."""
        view = self._runtime.view
        try:
            raw = _raw_block(view, BlockHash(from_hex(given["block_hash"])))
        except ValueError:
            raise Problem(400, "Invalid hex string") from None
        if raw is None:
            raise Problem(404, "Block not found")
        return immutable(request, raw, given["block_hash"].lower())


def p2p_body_cap() -> Callable[[str, str, Mapping[str, str]], int]:
    """How much body the P2P listener reads of a request, by its header."""
    caps = {PREFIX + name: route.request_max for name, route in ROUTES.items()}

    def cap(method: str, path: str, headers: Mapping[str, str]) -> int:
        return caps.get(path, NO_BODY_MAX) if method == "POST" else NO_BODY_MAX

    return cap


def _raw_block(view: View, block_hash: BlockHash) -> bytes | None:
    entry = view.get(block_hash)
    return raw_block(view, entry) if entry else None


def _token(given: str) -> bytes | None:
    try:
        token = bytes.fromhex(given)
    except ValueError:
        return None
    return token if len(token) == TOKEN_SIZE else None


def _reply(reply: Message | None) -> Answer:
    """A message of the core's; None: it waited for something to say, in vain."""
    if reply is None:
        return Answer(204, headers=(("Retry-After", str(PARK_RETRY_S)),))
    if not isinstance(reply, Refusal):
        return octets(encode(reply))
    status = _REFUSAL_STATUS.get(reply.reason, _OTHER_REFUSAL_STATUS)
    retry = (("Retry-After", str(BUSY_RETRY_S)),) if status == 503 else ()
    return Answer(status, encode(reply), OCTETS, retry)
