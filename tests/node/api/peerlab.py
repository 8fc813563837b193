"""Peers as the P2P listener sees them, made of nothing but their requests."""

import random

from chain.params import GENESIS
from node.interface.messages import PROTOCOL_VERSION, SERVES_BLOCKS, Confirm, Facts, Hello, Ok, Request, Welcome
from node.p2p.connections.identity import HandshakeSide, NodeIdentity, handshake_digest, peer_id
from node.p2p.wire.codec import SESSION_HEADER, decode_reply, encode, route_name
from tests.node.api.desk import ENGINE, Desk

CHALLENGE = b"\x01" * 32


class Caller:
    """A node that greets a desk's node and cannot be dialled."""

    def __init__(self, desk: Desk, number: int = 7, services: int = SERVES_BLOCKS) -> None:
        self.desk = desk
        self.identity = NodeIdentity(bytes(31) + bytes((number,)), ENGINE, random.Random(number))
        self.network_id = desk.config.params.network_id
        key = self.identity.public_key
        self.facts = Facts(PROTOCOL_VERSION, key, self.network_id, bytes(8), None, services, "test", 0, 0, GENESIS.hash)
        self.token: bytes | None = None
        self.salt = b""
        """What names of transactions are drawn with, at the desk's node."""
        self.sent = self.received = 0
        """Bytes of bodies."""

    def ask(self, request: Request) -> object:
        """The reply, whatever its status."""
        headers = {SESSION_HEADER: self.token.hex()} if self.token else {}
        body = encode(request)
        reply = self.desk.request("POST", f"/p2p/{route_name(request)}", body, p2p=True, **headers)
        self.sent, self.received = self.sent + len(body), self.received + len(reply.body)
        return decode_reply(route_name(request), reply.body)

    def greet(self) -> "Caller":
        """Open a session."""
        welcome = self.ask(Hello(self.facts, CHALLENGE))
        assert isinstance(welcome, Welcome)
        self.salt = welcome.facts.instance
        ids = (self.identity.id, peer_id(welcome.facts.public_key))
        digest = handshake_digest(self.network_id, HandshakeSide.DIALLER, ids, (CHALLENGE, welcome.challenge))
        self.token = welcome.token
        assert self.ask(Confirm(welcome.token, self.identity.prove(digest))) == Ok()
        return self
