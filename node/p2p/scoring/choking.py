"""Choking: the choice of peers that get bulk service while more is wanted than we give, rationed as in BitTorrent.

Bulk is what is old: deep blocks, long runs of headers. New tips and transactions are never
rationed. As long as all together want less than the budget, everybody is served. Beyond, in rounds:

- the peers that contributed most lately, REGULAR_SLOTS of them;
- one more, whoever has waited longest, and every second round of those that never had it, so that
  newcomers can start but cannot crowd out who waits; who had this optimistic slot does not get it
  again at once, even if nobody else waits: who only takes is choked in between;
- where nobody has contributed (a seed that all download from), all slots go round like that.

Bytes alone count, not connections: so whoever serves us is served. Requests without a session
come last of all.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from node.interface.endpoint import PeerId
from node.p2p.scoring.peer_score import Grade

REGULAR_SLOTS = 4
"""Slots for the best contributors (BitTorrent's number)."""
SLOTS = REGULAR_SLOTS + 1
"""All slots: the regular ones and the optimistic one."""
ROUND_S = 10.0
"""Seconds between two choices (BitTorrent's number)."""
OPTIMISTIC_REST_S = 30.0
"""Between a peer's round in the optimistic slot and its next."""
CONTRIBUTION_MIN = 100.0
"""Useful bytes lately, fading, below which a peer is no contributor: less than any transaction has."""
BULK_BYTES_S = 4_000_000
"""The budget where the operator does not set one: what a home line uploads."""
CALM = 0.5
"""Rationing ends when less than this share of the budget is wanted: not on and off all the time."""
CLIENTS_MAX = 1_000
"""Peers whose place in the queue is remembered; beyond, the one that asked least lately is not."""

Client = PeerId | None
"""The asker; None is everybody without a session."""


@dataclass(slots=True)
class _Asker:
    """A client that has asked for bulk."""

    waits_since: float
    """Place in the queue for the optimistic slot."""
    asked: float
    """Time of the last request."""
    rests_until: float = 0.0
    """No optimistic slot before, where somebody contributes."""
    served: int = 0
    """Bytes in this round."""
    refused: bool = False
    """True if the peer was refused in this round."""


class Choker:
    """Measures what is wanted, and chooses. Time is in rounds of ROUND_S."""

    def __init__(
        self,
        contribution: Callable[[PeerId, float], float],
        grade: Callable[[PeerId, float], Grade],
        budget_bytes_s: int = BULK_BYTES_S,
    ) -> None:
        """`contribution` is in useful bytes lately; who is graded CHOKE or worse gets nothing."""
        self._contribution = contribution
        self._grade = grade
        self._round_bytes = budget_bytes_s * ROUND_S
        self._askers: OrderedDict[Client, _Asker] = OrderedDict()
        """Askers, the last one at the end."""
        self._served = 0
        """Bytes in this round, to all."""
        self._is_newcomers_turn = False
        """True when a newcomer gets the optimistic slot."""
        self._began = -math.inf
        self.granted: frozenset[Client] | None = None
        """The askers served until the next choice; None: everybody. Replaced, never changed: any
        thread may read it."""

    def __len__(self) -> int:
        return len(self._askers)

    def served(self, client: Client, size: int, now: float) -> None:
        """Count bytes of bulk that a client got."""
        self._ask(client, now).served += size
        self._served += size

    def refused(self, client: Client, now: float) -> None:
        """Note a client that asked for bulk and was refused."""
        self._ask(client, now).refused = True

    def tick(self, now: float) -> None:
        """Choose anew when a round is over, or as soon as the first one is over its budget."""
        is_over = now - self._began >= ROUND_S
        if is_over or (self.granted is None and self._wanted() > self._round_bytes):
            self.granted = self._choose(now) if self._is_contended() else None
            self._began = now
            for asker in self._askers.values():
                asker.served, asker.refused = 0, False
            self._served = 0

    def _is_contended(self) -> bool:
        limit = self._round_bytes if self.granted is None else self._round_bytes * CALM
        return self._wanted() > limit

    def _wanted(self) -> float:
        """Bytes in this round. Who was refused would have taken a slot's share: otherwise
        rationing would end itself."""
        refused = sum(1 for asker in self._askers.values() if asker.refused and not asker.served)
        return self._served + refused * self._round_bytes / SLOTS

    def _choose(self, now: float) -> frozenset[Client]:
        """The slots of the next round."""
        asking = [c for c, asker in self._askers.items() if now - asker.asked < 2 * ROUND_S]
        worthy = [c for c in asking if c is not None and self._grade(c, now) in (Grade.PREFER, Grade.TOLERATE)]
        gave = {c: self._contribution(c, now) for c in worthy}
        regular = sorted((c for c in worthy if gave[c] >= CONTRIBUTION_MIN), key=lambda c: -gave[c])[:REGULAR_SLOTS]
        queue: list[Client] = sorted((c for c in worthy if c not in regular), key=self._place)
        anybody: list[Client] = [None] if None in asking else []
        if regular:
            self._is_newcomers_turn = not self._is_newcomers_turn
            newcomers = [c for c in queue if not self._askers[c].rests_until] if self._is_newcomers_turn else []
            lucky = [c for c in [*newcomers, *queue] or anybody if now >= self._askers[c].rests_until][:1]
        else:
            lucky = [*queue, *anybody][:SLOTS]
        for client in lucky:
            asker = self._askers[client]
            asker.waits_since, asker.rests_until = now, now + ROUND_S + OPTIMISTIC_REST_S
        return frozenset([*regular, *lucky])

    def _place(self, client: Client) -> tuple[float, float]:
        """Place in the queue: who waits longest, and of equals who had no slot yet."""
        asker = self._askers[client]
        return asker.waits_since, asker.rests_until

    def _ask(self, client: Client, now: float) -> _Asker:
        asker = self._askers.get(client)
        if asker is None:
            asker = self._askers[client] = _Asker(now, now)
            if len(self._askers) > CLIENTS_MAX:
                self._askers.popitem(last=False)
        asker.asked = now
        self._askers.move_to_end(client)
        return asker
