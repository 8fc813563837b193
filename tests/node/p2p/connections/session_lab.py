"""Nodes that do nothing but greet each other, in virtual time."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from chain.hashes import BlockHash, sha256
from node.interface.effects import Close, Dial, Failed, Send
from node.interface.endpoint import Endpoint, PeerId
from node.interface.messages import (
    PROTOCOL_VERSION,
    SERVES_BLOCKS,
    AnnounceAddress,
    Confirm,
    Facts,
    GetAddresses,
    Hello,
    Reason,
    Refusal,
)
from node.interface.outbox import Outbox
from node.p2p.addrman.addrman import AddrMan
from node.p2p.connections.connection_manager import ConnectionManager
from node.p2p.connections.identity import NodeIdentity
from node.p2p.connections.pending_requests import PendingRequests
from node.p2p.discovery.config import DiscoveryConfig, DiscoveryMethod
from node.p2p.discovery.context import PeerDiscoveryContext
from node.p2p.scoring.peer_scoring import PeerScoring
from tests.chainlab import ENGINE
from tests.node.p2p.wire.replies import may_answer

NETWORK_ID = sha256(b"this network")
TICK_S = 0.1


class End:
    """One node's sessions. Subclasses change what goes over the wire."""

    def __init__(
        self, net: "Net", number: int, *, listens: bool = True, allow_local: bool = True, host: str | None = None
    ) -> None:
        self.net = net
        self.endpoint = Endpoint(host or f"10.0.{number // 250}.{number % 250 + 1}", 18444)
        rng = random.Random(number)
        self.identity = NodeIdentity(sha256(b"end %d" % number), ENGINE, rng)
        self.facts = Facts(
            PROTOCOL_VERSION,
            self.identity.public_key,
            NETWORK_ID,
            rng.randbytes(8),
            Endpoint("", 18444) if listens else None,
            SERVES_BLOCKS,
            "end",
            number,
            0,
            BlockHash(bytes(32)),
        )
        self.outbox = Outbox()
        self.book = AddrMan(rng, allow_local)
        self.requests = PendingRequests(self.outbox)
        self.scoring = PeerScoring(allow_local)
        self.sessions = ConnectionManager(
            self.outbox,
            self.identity,
            self.describe,
            self.requests,
            self.book,
            self,
            rng,
            self.scoring,
        )
        ways = DiscoveryConfig(frozenset({DiscoveryMethod.GOSSIP}))
        ground = PeerDiscoveryContext(self.outbox, ways, self.id, self.sessions, self.requests, self.book, rng)
        self.discovery = ground.discovery
        self.linked_with: list[PeerId] = []
        self.left_by: list[PeerId] = []
        self.closed: list[tuple[PeerId, str]] = []
        self.dials: list[tuple[float, Endpoint]] = []
        self.up = True
        net.ends[self.endpoint] = self

    @property
    def id(self) -> PeerId:
        return self.identity.id

    def describe(self, now: float) -> Facts:
        return replace(self.facts, time=int(now))

    def change(self, **facts: Any) -> None:
        """Say something else of itself."""
        self.facts = replace(self.facts, **facts)

    def linked(self, peer: PeerId, now: float) -> None:
        self.linked_with.append(peer)
        link = self.sessions.link(peer)
        assert link is not None
        self.discovery.proved(peer, link.endpoint, now)
        self.discovery.linked(peer, link.endpoint, now)

    def left(self, peer: PeerId, now: float) -> None:
        self.left_by.append(peer)
        self.discovery.left(peer, now)

    def keep(self, other: "End") -> None:
        self.sessions.keep(other.endpoint, self.net.now)
        self.perform()

    def is_linked(self, other: "End") -> bool:
        """True if it can send to the other, and the other would listen."""
        link = self.sessions.link(other.id)
        return link is not None and other.sessions.peer_of(link.token) == self.id

    def serve(self, message: Any, host: str) -> Any:
        match message:
            case Hello():
                return self.sessions.on_hello(message, host, self.net.now)
            case Confirm():
                reply = self.sessions.on_confirm(message, self.net.now)
                self.perform()
                return reply
            case GetAddresses() | AnnounceAddress():
                peer = next((peer.id for peer in self.sessions.peers() if peer.host == host), None)
                if peer is None:
                    return Refusal(Reason.NO_SESSION)
                return self.discovery.serve(peer, message, self.net.now)
        raise AssertionError(message)

    def perform(self) -> None:
        """Do what has to be done."""
        for effect in self.outbox.take():
            match effect:
                case Dial(endpoint, message, request_id, deadline):
                    self.dials.append((self.net.now, endpoint))
                    self.net.ask(self, endpoint, message, request_id, deadline)
                case Send(link, message, request_id, deadline):
                    self.net.ask(self, link.endpoint, message, request_id, deadline)
                case Close():
                    self.closed.append((effect.peer, effect.why))

    def answer(self, request_id: int, reply: Any) -> None:
        pending = self.requests.take(request_id)
        if pending is None:
            return
        assert isinstance(reply, Failed) or may_answer(pending.request, reply)
        pending.then(reply, self.net.now)
        if pending.peer and not isinstance(pending.request, Confirm):
            self.sessions.on_reply(pending.peer, reply, 0.1, self.net.now)
        self.perform()


@dataclass
class Wire:
    """What happens to a message on its way: return another, or None to lose it."""

    change: Callable[[Any], Any] = lambda message: message


class Net:
    """All ends, and the clock."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.ends: dict[Endpoint, End] = {}
        self.requests: Wire = Wire()
        self.replies: Wire = Wire()
        self._events: list[tuple[float, Callable[[], None]]] = []

    def ask(self, sender: End, endpoint: Endpoint, message: Any, request_id: int, deadline: float) -> None:
        def event() -> None:
            target = self.ends.get(endpoint)
            sent = self.requests.change(message)
            if target is None or not target.up or sent is None:
                sender.answer(request_id, Failed("refused the connection"))
                return
            reply = self.replies.change(target.serve(sent, sender.endpoint.host))
            sender.answer(request_id, Failed("timed out") if reply is None else reply)

        self._events.append((self.now + 0.01, event))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end - 1e-6:
            self.now += TICK_S
            while self._events and self._events[0][0] <= self.now:
                self._events.pop(0)[1]()
            for other in list(self.ends.values()):
                if other.up:
                    other.sessions.tick(self.now)
                    other.discovery.tick(self.now)
                    other.perform()
