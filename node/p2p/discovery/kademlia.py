"""Kademlia: nodes found by asking those we know for others that are closer to some id.

Peers are asked over their links, all others in short visits. Only what a handshake of ours has
proved enters the table, and only the table is told to others; what others tell is where to ask next
and, as hearsay, something for the address book.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from node.interface.effects import PeerReply
from node.interface.endpoint import Endpoint, PeerId
from node.interface.messages import FindNode, Neighbour, Nodes, Reply, Request
from node.p2p.addrman.net_address import is_dialable
from node.p2p.discovery.base import DiscoveryContext, NoDiscovery
from node.p2p.discovery.kad_buckets import ID_BITS, K, RoutingTable
from node.p2p.discovery.kad_lookup import Lookup
from node.p2p.discovery.probes import VISIT_S, Probes

QUERY_S = 10.0
"""Deadline of a question to a peer."""


@dataclass(frozen=True, slots=True)
class KademliaPace:
    """Seconds between a node's searches."""

    search: float
    """Seconds between two searches that have found something new, while we want more peers."""
    search_most: float
    """The same, doubled as often as nothing new was found, up to this."""
    refresh: float
    """A bucket that was not searched for so long is searched."""
    test: float
    """Seconds between two tests of nodes in the table."""
    at_rest: float
    """A node not seen for so long is tested."""


ORDINARY = KademliaPace(search=30.0, search_most=900.0, refresh=3600.0, test=10.0, at_rest=1800.0)
LOCAL = KademliaPace(search=1.0, search_most=30.0, refresh=120.0, test=0.5, at_rest=30.0)


class Kademlia(NoDiscovery):
    """The table, the searches, the tests."""

    def __init__(self, context: DiscoveryContext) -> None:
        self._context = context
        self._pace = LOCAL if context.allow_local else ORDINARY
        self._table = RoutingTable(context.own, context.allow_local)
        self._probes = Probes(context)
        self._lookup: Lookup | None = None
        self._asked: dict[PeerId, float] = {}
        """Nodes that this search waits for, with the time after which no answer comes."""
        self._searched_own = False
        """Searches for our own id and for others take turns."""
        self._wait_s = self._pace.search
        self._search_at = 0.0
        self._test_at = 0.0
        self._testing: PeerId | None = None
        self._test_until = 0.0

    @property
    def table(self) -> RoutingTable:
        """The nodes known."""
        return self._table

    def proved(self, peer: PeerId, endpoint: Endpoint, now: float) -> None:
        """A node was met there: it has a right to a place. Something new makes it worth to search on."""
        if is_dialable(endpoint, self._context.allow_local) and self._table.proved(peer, endpoint, now):
            self._hurry(now)

    def left(self, peer: PeerId, now: float) -> None:
        """A peer's requests are gone with it."""
        if peer in self._asked:
            self._unanswered(peer)
        if self._testing == peer:
            self._testing = None
        self._hurry(now)

    def serve(self, peer: PeerId, request: Request, now: float) -> Reply | None:
        """The closest that we have met, but for the asker."""
        if not isinstance(request, FindNode):
            return None
        closest = self._table.closest(request.target, K, (peer,))
        return Nodes(tuple(contact.neighbour for contact in closest))

    def tick(self, now: float) -> None:
        """Go on with the search, begin another, look whether old acquaintances are there."""
        self._probes.tick(now)
        for peer in [peer for peer, until in self._asked.items() if until < now]:
            self._unanswered(peer)
        if self._lookup is None:
            self._begin(now)
        self._go_on(now)
        self._test(now)

    def _hurry(self, now: float) -> None:
        self._wait_s = self._pace.search
        self._search_at = min(self._search_at, now + self._wait_s)

    def _begin(self, now: float) -> None:
        """A search, if it is time: for our own id first, for random ones while we want more peers,
        in any case in buckets that were not searched for long."""
        if now < self._search_at or not len(self._table):
            return
        self._search_at = now + self._wait_s
        target = self._table.stale_target(now, self._pace.refresh, self._context.rng)
        if not self._searched_own:
            target = self._context.own
        elif target is None and self._context.wants_more():
            target = self._context.rng.randbytes(ID_BITS // 8)
        if target is None:
            return
        self._searched_own = not self._searched_own
        self._wait_s = min(self._pace.search_most, 2 * self._wait_s)
        known = [contact.neighbour for contact in self._table.closest(target)]
        self._lookup = Lookup(target, self._context.own, known, self._context.allow_local)

    def _go_on(self, now: float) -> None:
        """Ask the nodes that the search is to ask next."""
        lookup = self._lookup
        while lookup and (neighbour := lookup.next()):
            self._asked[neighbour.id] = now + (QUERY_S if self._context.link(neighbour.id) else VISIT_S)
            self._ask(neighbour, lookup.target, now, partial(self._on_nodes, lookup))
        if lookup and lookup.is_over:
            self._lookup = None

    def _unanswered(self, peer: PeerId) -> None:
        del self._asked[peer]
        if self._lookup:
            self._lookup.failed(peer)

    def _ask(
        self, neighbour: Neighbour, target: bytes, now: float, heard: Callable[[PeerId, PeerReply | None, float], None]
    ) -> None:
        """Put the question over a link or in a visit; `heard` gets what comes of it."""
        request = FindNode(target)

        def then(reply: PeerReply, now: float) -> None:
            heard(neighbour.id, reply, now)
            self._go_on(now)

        if link := self._context.link(neighbour.id):
            self._context.ask(link, request, now, QUERY_S, then)
        elif self._context.is_peer(neighbour.id) or not self._probes.ask(neighbour, request, now, then):
            heard(neighbour.id, None, now)

    def _on_nodes(self, lookup: Lookup, node: PeerId, reply: PeerReply | None, now: float) -> None:
        """Take the answer of a node that this search asked; None if it could not be asked."""
        if lookup is self._lookup:
            self._asked.pop(node, None)
        self._on_sign(node, reply, now)
        if not isinstance(reply, Nodes):
            lookup.failed(node)
            return
        told = [each for each in reply.neighbours if is_dialable(each.endpoint, self._context.allow_local)]
        lookup.answered(node, told)
        contact = self._table.get(node)
        self._context.heard([each.endpoint for each in told], contact.endpoint if contact else None, now, "kademlia")

    def _test(self, now: float) -> None:
        """Ask one node of the table for a sign of life (see `to_test`). If it has none, the place is free."""
        if now < self._test_at or (self._testing and now < self._test_until):
            return
        self._test_at = now + self._pace.test
        contact = self._table.to_test(now, self._pace.at_rest)
        if contact is None:
            return
        self._testing, self._test_until = contact.id, now + VISIT_S
        self._ask(contact.neighbour, contact.id, now, self._on_sign)

    def _on_sign(self, node: PeerId, reply: PeerReply | None, now: float) -> None:
        if self._testing == node:
            self._testing = None
        if isinstance(reply, Nodes):
            self._table.answered(node, now)
        elif reply is not None:
            self._table.failed(node)
