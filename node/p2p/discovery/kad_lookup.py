"""One iterative search for the nodes closest to an id: the order of asking, and its end.

Knows nothing of how nodes are asked. What it is told is hearsay: an endpoint in an answer is a
place to ask, nothing more, and no answer can make it ask one subnet many times.
"""

from collections.abc import Iterable
from enum import Enum

from node.interface.endpoint import PeerId
from node.interface.messages import Neighbour
from node.p2p.discovery.kad_buckets import K, distance, subnet

ALPHA = 3
"""Nodes asked at once."""
ASKED_MAX = 48
"""Nodes asked in one search."""
KNOWN_MAX = 64
"""Nodes considered; of more, the farthest are left out."""
HEARSAY_PER_SUBNET = 2
"""Nodes of one subnet that are asked on the word of others."""


class _State(Enum):
    HEARD = "heard"
    ASKED = "asked"
    ANSWERED = "answered"
    FAILED = "failed"


class Lookup:
    """A search under way."""

    def __init__(self, target: bytes, own: PeerId, known: Iterable[Neighbour], allow_local: bool) -> None:
        """`known` are nodes that we have met, to begin with."""
        self.target = target
        self._own = own
        self._allow_local = allow_local
        self._nodes: dict[PeerId, Neighbour] = {node.id: node for node in known if node.id != own}
        self._state = dict.fromkeys(self._nodes, _State.HEARD)
        self._hearsay: dict[str, int] = {}
        self._asked = 0

    def next(self) -> Neighbour | None:
        """The node to ask now; None: nobody before another answer. The caller asks, and says what came of it."""
        if self._under_way >= ALPHA or self._asked >= ASKED_MAX:
            return None
        closest = [node for node in self._ranked() if self._state[node] is not _State.FAILED][:K]
        chosen = next((node for node in closest if self._state[node] is _State.HEARD), None)
        if chosen is None:
            return None
        self._state[chosen] = _State.ASKED
        self._asked += 1
        return self._nodes[chosen]

    def answered(self, node: PeerId, told: Iterable[Neighbour]) -> None:
        """A node has answered."""
        if self._state.get(node) is not _State.ASKED:
            return
        self._state[node] = _State.ANSWERED
        for neighbour in told:
            if self._is_new(neighbour) and self._may_ask(neighbour):
                self._nodes[neighbour.id] = neighbour
                self._state[neighbour.id] = _State.HEARD
        for far in self._ranked()[KNOWN_MAX:]:
            if self._state[far] is _State.HEARD:
                del self._nodes[far], self._state[far]

    def failed(self, node: PeerId) -> None:
        """A node has not answered, or it is not there."""
        if self._state.get(node) is _State.ASKED:
            self._state[node] = _State.FAILED

    @property
    def is_over(self) -> bool:
        """True if everyone among the closest has been asked, and nobody is being asked."""
        if self._under_way:
            return False
        closest = [node for node in self._ranked() if self._state[node] is not _State.FAILED][:K]
        return self._asked >= ASKED_MAX or all(self._state[node] is _State.ANSWERED for node in closest)

    def found(self) -> list[Neighbour]:
        """The closest that have answered, the closest first."""
        return [self._nodes[node] for node in self._ranked() if self._state[node] is _State.ANSWERED][:K]

    @property
    def _under_way(self) -> int:
        return sum(state is _State.ASKED for state in self._state.values())

    def _ranked(self) -> list[PeerId]:
        return sorted(self._nodes, key=lambda node: distance(node, self.target))

    def _is_new(self, neighbour: Neighbour) -> bool:
        """A wrong endpoint must not hide the right one: who failed at one is tried at another."""
        known = self._nodes.get(neighbour.id)
        if known is None:
            return neighbour.id != self._own
        return self._state[neighbour.id] is _State.FAILED and known.endpoint != neighbour.endpoint

    def _may_ask(self, neighbour: Neighbour) -> bool:
        """True if the word of another is good enough for one more node of this subnet."""
        owner = subnet(neighbour.endpoint, self._allow_local)
        if owner is None:
            return True
        self._hearsay[owner] = self._hearsay.get(owner, 0) + 1
        return self._hearsay[owner] <= HEARSAY_PER_SUBNET
