"""Peers that speak the protocol over HTTP and do with requests what a test wants.

Each has a chain of blocks and an identity; `answer` says what comes back. They greet nobody.
"""

import contextlib
import random
import threading
from collections.abc import Sequence
from dataclasses import fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from chain.block import Block
from chain.blocktemplate import build_block
from chain.blocktree import BlockTree
from chain.hashes import BlockHash, sha256
from chain.params import GENESIS, REGTEST, REGTEST_LIMIT_BITS, Params
from node.interface.endpoint import Endpoint
from node.interface.messages import (
    HEADERS_MAX,
    PROTOCOL_VERSION,
    SERVES_BLOCKS,
    Announce,
    Blocks,
    Confirm,
    Facts,
    GetBlocks,
    GetHeaders,
    Headers,
    Hello,
    Ok,
    Poll,
    Welcome,
)
from node.p2p.connections.identity import HandshakeSide, NodeIdentity, handshake_digest, peer_id
from node.p2p.wire.codec import ROUTES, decode_request, encode, route_name
from tests.chainlab import ENGINE, START_TIME, lock, reblock

SPACING_S = 60
POLL_S = 10.0
"""How long a question for news is left open."""
OCTETS = "application/octet-stream"


def empty_chain(count: int, params: Params = REGTEST) -> list[Block]:
    """Blocks with nothing but a coinbase."""
    assert params.pow_limit_bits == REGTEST_LIMIT_BITS
    tree, blocks = BlockTree(params), []
    tip = tree.genesis
    for height in range(1, count + 1):
        time = START_TIME + height * SPACING_S
        blocks.append(reblock(build_block(tip, [], 0, lock(), time, params, 0), time=time))
        tip = tree.add(blocks[-1].header)
    return blocks


class ScriptedPeer:
    """A peer that does everything right. Subclasses do not."""

    def __init__(self, number: int, port: int, blocks: Sequence[Block]) -> None:
        self.endpoint = Endpoint("127.0.0.1", port)
        self.identity = NodeIdentity(sha256(b"scripted %d" % number), ENGINE, random.Random(number))
        self.blocks = list(blocks)
        self.asked: list[Any] = []
        """Requests, in order of arrival."""
        self.over = threading.Event()
        """The test is over: nobody is to be kept waiting any longer."""
        self._places = {block.hash: height for height, block in enumerate(blocks, 1)}
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def block_requests(self) -> list[GetBlocks]:
        """Requests for blocks so far."""
        return [request for request in self.asked if isinstance(request, GetBlocks)]

    # what it says

    def answer(self, request: Any) -> Any:
        """A reply, or None to cut the connection."""
        match request:
            case Hello():
                return self._welcome(request)
            case Confirm() | Announce():
                return Ok()
            case GetHeaders():
                return self.headers(request)
            case GetBlocks():
                return self.give(request)
            case Poll():
                self.over.wait(POLL_S)
        replies = ROUTES[route_name(request)].replies
        return Ok() if Ok in replies else replies[0](*[()] * len(fields(replies[0])))  # nothing of what it could be

    def headers(self, request: GetHeaders) -> Headers:
        """What follows on the first hash that it knows."""
        start = next((self._places[h] for h in request.locator if h in self._places), 0)
        return Headers(tuple(block.header for block in self.blocks[start : start + HEADERS_MAX]))

    def give(self, request: GetBlocks) -> Any:
        """The blocks that it is asked for."""
        return Blocks(tuple(map(self.raw_block, request.hashes)))

    def raw_block(self, block_hash: BlockHash) -> bytes:
        """One of its blocks; nothing for one that it does not have."""
        height = self._places.get(block_hash)
        return self.blocks[height - 1].raw if height else b""

    def _welcome(self, hello: Hello) -> Welcome:
        tip = self.blocks[-1].hash if self.blocks else GENESIS.hash
        facts = Facts(
            PROTOCOL_VERSION,
            self.identity.public_key,
            REGTEST.network_id,
            bytes(8),
            Endpoint("", self.endpoint.port),
            SERVES_BLOCKS,
            "scripted",
            len(self.blocks),
            2 * (len(self.blocks) + 1),
            tip,
        )
        ids, challenge = (peer_id(hello.facts.public_key), self.identity.id), self.identity.unguessable("challenge", 32)
        ours = handshake_digest(REGTEST.network_id, HandshakeSide.ANSWERER, ids, (hello.challenge, challenge))
        return Welcome(facts, challenge, self.identity.unguessable("token", 16), self.identity.prove(ours))

    # HTTP

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        peer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or each answer waits for the acknowledgement of its first line

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = decode_request(self.path.removeprefix("/p2p/"), body)
                peer.asked.append(request)
                reply = peer.answer(request)
                if reply is None:
                    self.close_connection = True
                    return
                raw = encode(reply)
                self.send_response(200)
                self.send_header("Content-Type", OCTETS)
                self.send_header("Content-Length", str(len(raw)))
                with contextlib.suppress(ConnectionError):  # it may have been sent away meanwhile
                    self.end_headers()
                    self.wfile.write(raw)

            def log_message(self, format: str, *args: Any) -> None:
                """Nobody reads it."""

        return Handler
