"""The port behind which nodes are found, and what every way of finding them stands on.

A way of finding nodes is told of peers and of endpoints that a handshake has proved; it puts what
it hears of into the address book, which alone decides who is dialled to stay. Any of them can be
left out, and any of them work together: `config.py` chooses.
"""

import random
from collections.abc import Collection, Iterable
from typing import Protocol

from node.interface.disconnect_reason import DisconnectReason
from node.interface.endpoint import Endpoint, Link, PeerId
from node.interface.messages import Reply, Request
from node.p2p.connections.handshake import Outcome
from node.p2p.connections.pending_requests import Then


class Discovery(Protocol):
    """A way of finding nodes."""

    def linked(self, peer: PeerId, endpoint: Endpoint, now: float) -> None:
        """Told that we can send to a peer now. `proved` came before."""
        ...

    def left(self, peer: PeerId, now: float) -> None:
        """Told that a peer is gone, and all requests to it."""
        ...

    def proved(self, peer: PeerId, endpoint: Endpoint, now: float) -> None:
        """Note a successful handshake with a node that we dialled: it listens at this address."""
        ...

    def serve(self, peer: PeerId, request: Request, now: float) -> Reply | None:
        """The reply to a peer's request; None if the request belongs to another way."""
        ...

    def tick(self, now: float) -> None:
        """Everything that time brings."""
        ...


class DiscoveryContext(Protocol):
    """The rest of the node as a way of finding nodes sees it."""

    own: PeerId
    """Our id."""
    allow_local: bool
    """Loopback and private addresses may be dialled, and paces are quick."""
    rng: random.Random

    def links(self) -> list[Link]:
        """All peers that we can send to and that trade addresses."""
        ...

    def link(self, peer: PeerId) -> Link | None:
        """The link to a peer, if there is one and the peer trades addresses."""
        ...

    def endpoint(self, peer: PeerId) -> Endpoint | None:
        """The endpoint where a peer listens, as far as it is known."""
        ...

    def is_peer(self, peer: PeerId) -> bool:
        """True if it has a link or a session."""
        ...

    def is_busy(self, peer: PeerId) -> bool:
        """True if a request to it is under way, handshakes included."""
        ...

    def wants_more(self) -> bool:
        """True while there are fewer peers of our choice than there could be."""
        ...

    def ask(self, link: Link, request: Request, now: float, timeout_s: float, then: Then) -> None:
        """Ask a peer. `then` may never be called: a peer that leaves takes its requests along."""
        ...

    def greet(self, endpoint: Endpoint, expected: PeerId, now: float, outcome: Outcome) -> None:
        """Greet the node `expected` as a visitor. The link that comes of it is the caller's alone."""
        ...

    def try_once(self, endpoint: Endpoint) -> None:
        """Have an endpoint dialled, to be a peer like any other; it is not dialled again by itself."""
        ...

    def heard(self, endpoints: Iterable[Endpoint], source: Endpoint | None, now: float, way: str = "gossip") -> None:
        """Put endpoints into the address book, as somebody at `source` told them; `way` is for operators."""
        ...

    def has_met(self, peer: PeerId, endpoint: Endpoint, now: float) -> None:
        """A visit has proved an endpoint: tell the book and every way of finding nodes."""
        ...

    def sample(self, peer: PeerId, now: float) -> tuple[Endpoint, ...]:
        """Endpoints to tell a peer, drawn from the address book, but for its own."""
        ...

    def close(self, peer: PeerId, reason: DisconnectReason) -> None:
        """Close the connections to a node that is no peer."""
        ...

    def drop(self, peer: PeerId, reason: DisconnectReason, now: float) -> None:
        """End a peer's link and sessions, without prejudice."""
        ...


class NoDiscovery:
    """A way that finds nothing: what the others are built on."""

    def linked(self, peer: PeerId, endpoint: Endpoint, now: float) -> None:
        """Nothing to do."""

    def left(self, peer: PeerId, now: float) -> None:
        """Nothing to do."""

    def proved(self, peer: PeerId, endpoint: Endpoint, now: float) -> None:
        """Nothing to do."""

    def serve(self, peer: PeerId, request: Request, now: float) -> Reply | None:
        """Nothing is ours."""
        return None

    def tick(self, now: float) -> None:
        """Nothing to do."""


class CombinedDiscovery:
    """Several ways of finding nodes as one."""

    def __init__(self, ways: Collection[Discovery]) -> None:
        self._ways = tuple(ways)

    def linked(self, peer: PeerId, endpoint: Endpoint, now: float) -> None:
        """Tell all."""
        for way in self._ways:
            way.linked(peer, endpoint, now)

    def left(self, peer: PeerId, now: float) -> None:
        """Tell all."""
        for way in self._ways:
            way.left(peer, now)

    def proved(self, peer: PeerId, endpoint: Endpoint, now: float) -> None:
        """Tell all."""
        for way in self._ways:
            way.proved(peer, endpoint, now)

    def serve(self, peer: PeerId, request: Request, now: float) -> Reply | None:
        """The first one's reply that has one."""
        for way in self._ways:
            if (reply := way.serve(peer, request, now)) is not None:
                return reply
        return None

    def tick(self, now: float) -> None:
        """Do what is due by now, for each way."""
        for way in self._ways:
            way.tick(now)
