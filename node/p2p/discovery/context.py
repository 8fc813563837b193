"""The rest of the node for ways of finding nodes: peers, requests, the address book."""

import random
from collections import OrderedDict
from collections.abc import Iterable

from node.interface.disconnect_reason import DisconnectReason
from node.interface.effects import Close
from node.interface.endpoint import Endpoint, Link, PeerId
from node.interface.messages import Request
from node.interface.outbox import Outbox
from node.p2p.addrman.addrman import AddrMan
from node.p2p.connections.connection_manager import ConnectionManager
from node.p2p.connections.handshake import Outcome
from node.p2p.connections.pending_requests import PendingRequests, Then
from node.p2p.discovery.base import Discovery
from node.p2p.discovery.config import DiscoveryConfig, make_discovery

FIRST_HEARD_MAX = 4_096
"""Endpoints of which it is remembered how they were found; beyond, those that were found first are not."""


class PeerDiscoveryContext:
    """Implements `DiscoveryContext`."""

    def __init__(
        self,
        outbox: Outbox,
        finding: DiscoveryConfig,
        own: PeerId,
        connections: ConnectionManager,
        requests: PendingRequests,
        addrman: AddrMan,
        rng: random.Random,
    ) -> None:
        self.own = own
        self._outbox = outbox
        self.allow_local = addrman.allow_local
        self.rng = rng
        self._connections = connections
        self._requests = requests
        self._addrman = addrman
        self._bootstrap = frozenset(finding.bootstrap)
        self._first_heard: OrderedDict[Endpoint, str] = OrderedDict()
        """The way of finding nodes that was the first to tell of an endpoint."""
        self.discovery: Discovery = make_discovery(finding, self)

    def links(self) -> list[Link]:
        """All peers that we can send to and that trade addresses."""
        return [peer.link for peer in self._connections.peers() if peer.link and not peer.blocks_only]

    def link(self, peer: PeerId) -> Link | None:
        """The link to a peer, if there is one and the peer trades addresses."""
        found = self._connections.get(peer)
        return found.link if found and not found.blocks_only else None

    def endpoint(self, peer: PeerId) -> Endpoint | None:
        """The endpoint where a peer listens, as far as it is known."""
        found = self._connections.get(peer)
        return found.endpoint if found else None

    def is_peer(self, peer: PeerId) -> bool:
        """True if it has a link or a session."""
        return self._connections.get(peer) is not None

    def is_busy(self, peer: PeerId) -> bool:
        """True if a request to it is under way, handshakes included."""
        return self._requests.has(peer)

    def wants_more(self) -> bool:
        """True while there are fewer peers of our choice than there could be."""
        return self._connections.outbound.has_room()

    def ask(self, link: Link, request: Request, now: float, timeout_s: float, then: Then) -> None:
        """Ask a peer."""
        self._requests.send(link, request, now, timeout_s, then)

    def greet(self, endpoint: Endpoint, expected: PeerId, now: float, outcome: Outcome) -> None:
        """Greet the node `expected` as a visitor."""
        self._connections.handshake.visit(endpoint, expected, now, outcome)

    def try_once(self, endpoint: Endpoint) -> None:
        """Have an endpoint dialled, to be a peer like any other."""
        self._connections.outbound.once(endpoint)

    def heard(self, endpoints: Iterable[Endpoint], source: Endpoint | None, now: float, way: str = "gossip") -> None:
        """Put endpoints into the address book. A peer whose endpoint is not known tells nothing."""
        if source is not None:
            told = tuple(endpoints)
            self._addrman.add(told, source, now)
            for endpoint in told:
                self._first_heard.setdefault(endpoint, way)
            while len(self._first_heard) > FIRST_HEARD_MAX:
                self._first_heard.popitem(last=False)

    def found_by(self, endpoint: Endpoint) -> str:
        """The way in which an endpoint became known: for operators."""
        if endpoint in self._bootstrap:
            return "bootstrap"
        return self._first_heard.get(endpoint, "address book")

    def has_met(self, peer: PeerId, endpoint: Endpoint, now: float) -> None:
        """A visit has proved an endpoint."""
        # Others chose whom we visit, so the book must not count it as chosen.
        self._addrman.proved(endpoint, now, chosen=False)
        self.discovery.proved(peer, endpoint, now)

    def sample(self, peer: PeerId, now: float) -> tuple[Endpoint, ...]:
        """Endpoints to tell a peer, but for its own."""
        own = self.endpoint(peer)
        return self._addrman.sample(now, (own,) if own else ())

    def close(self, peer: PeerId, reason: DisconnectReason) -> None:
        """Close the connections to a node that is no peer."""
        self._outbox.add(Close(peer, reason))

    def drop(self, peer: PeerId, reason: DisconnectReason, now: float) -> None:
        """End a peer's link and sessions, without prejudice."""
        self._connections.drop(peer, reason, now)
