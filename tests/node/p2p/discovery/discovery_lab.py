"""What ways of finding nodes stand on, without nodes: everything asked for is written down."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from chain.hashes import BlockHash, sha256
from node.interface.disconnect_reason import DisconnectReason
from node.interface.endpoint import Endpoint, Link, PeerId
from node.interface.messages import PROTOCOL_VERSION, Facts, Request
from node.p2p.connections.handshake import Met, Outcome
from node.p2p.discovery.base import Discovery, NoDiscovery, Then


def node_id(number: int) -> PeerId:
    return PeerId(sha256(b"id %d" % number)[:20])


@dataclass
class Question:
    """A request that a test may answer."""

    link: Link
    request: Request
    then: Then


@dataclass
class Knock:
    """A visit that a test may let in."""

    endpoint: Endpoint
    expected: PeerId
    outcome: Outcome

    def link(self) -> Link:
        return Link(self.expected, self.endpoint, bytes(16))

    def met(self) -> Met:
        facts = Facts(
            PROTOCOL_VERSION, b"\x02" + bytes(32), bytes(32), bytes(8), None, 1, "", 0, 0, BlockHash(bytes(32))
        )
        return Met(facts, self.link(), 0.1)


class Stage:
    """A discovery context that does nothing by itself."""

    def __init__(self, allow_local: bool = False) -> None:
        self.own = node_id(0)
        self.allow_local = allow_local
        self.rng = random.Random(1)
        self.wants = True
        self.peers: dict[PeerId, Link] = {}
        self.questions: list[Question] = []
        self.knocks: list[Knock] = []
        self.told: list[tuple[Endpoint, Endpoint | None]] = []
        self.tried: list[Endpoint] = []
        self.known: tuple[Endpoint, ...] = ()
        self.dropped: list[PeerId] = []
        self.closed: list[tuple[PeerId, DisconnectReason]] = []
        self.way: Discovery = NoDiscovery()

    def join(self, number: int, endpoint: Endpoint, now: float) -> PeerId:
        """A peer that we can send to."""
        peer = node_id(number)
        self.peers[peer] = Link(peer, endpoint, bytes(16))
        self.way.proved(peer, endpoint, now)
        self.way.linked(peer, endpoint, now)
        return peer

    def answer(self, reply: Any, now: float) -> Question:
        """The oldest question has this answer."""
        question = self.questions.pop(0)
        question.then(reply, now)
        return question

    def open(self, outcome: Any, now: float) -> Knock:
        """The oldest visit comes to this; None: it meets whom it wants."""
        knock = self.knocks.pop(0)
        knock.outcome(knock.met() if outcome is None else outcome, now)
        return knock

    # DiscoveryContext

    def links(self) -> list[Link]:
        return list(self.peers.values())

    def link(self, peer: PeerId) -> Link | None:
        return self.peers.get(peer)

    def endpoint(self, peer: PeerId) -> Endpoint | None:
        return self.peers[peer].endpoint if peer in self.peers else None

    def is_peer(self, peer: PeerId) -> bool:
        return peer in self.peers

    def is_busy(self, peer: PeerId) -> bool:
        return any(question.link.peer == peer for question in self.questions)

    def wants_more(self) -> bool:
        return self.wants

    def ask(self, link: Link, request: Request, now: float, timeout_s: float, then: Then) -> None:
        self.questions.append(Question(link, request, then))

    def greet(self, endpoint: Endpoint, expected: PeerId, now: float, outcome: Outcome) -> None:
        self.knocks.append(Knock(endpoint, expected, outcome))

    def try_once(self, endpoint: Endpoint) -> None:
        self.tried.append(endpoint)

    def heard(self, endpoints: Iterable[Endpoint], source: Endpoint | None, now: float, way: str = "") -> None:
        self.told += [(endpoint, source) for endpoint in endpoints]

    def has_met(self, peer: PeerId, endpoint: Endpoint, now: float) -> None:
        self.way.proved(peer, endpoint, now)

    def sample(self, peer: PeerId, now: float) -> tuple[Endpoint, ...]:
        return self.known

    def close(self, peer: PeerId, reason: DisconnectReason) -> None:
        self.closed.append((peer, reason))

    def drop(self, peer: PeerId, reason: DisconnectReason, now: float) -> None:
        self.dropped.append(peer)
        del self.peers[peer]
        self.way.left(peer, now)
