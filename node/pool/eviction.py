"""Who leaves a full pool, and what that costs those who come after."""

from collections.abc import Mapping
from heapq import heapify, heappop, heappush

from chain.hashes import Txid
from node.policy import INCREMENTAL_FEE_SAT_KVB, MIN_RELAY_FEE_SAT_KVB
from node.pool.entry import Entry

FLOOR_HALF_LIFE_S = 12 * 3600
"""In which the floor of a pool that is at least half full falls by half (Core)."""
_STALE_SLACK = 1000


def worth(entry: Entry) -> float:
    """What losing it with its descendants would cost a miner, in sat/vB: the better of its own
    rate and that of all together (Core's descendant score)."""
    descendants = entry.descendants
    return max(entry.fee / entry.vsize, descendants.fee / descendants.vsize)


class WorstFirst:
    """The entries by worth, as a heap that is there only while the pool is full.

    Built when somebody asks. From then on changes are pushed on top, and what is out of date goes
    when it comes up; when most of the heap is out of date, the heap goes.
    """

    __slots__ = ("_heap",)

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Txid]] | None = None

    def note(self, entry: Entry, size: int) -> None:
        """An entry is new, or its descendants have changed; there are `size` entries."""
        if self._heap is None:
            return
        heappush(self._heap, (worth(entry), -entry.sequence, entry.tx.txid))
        if len(self._heap) > 2 * size + _STALE_SLACK:
            self._heap = None

    def worst(self, entries: Mapping[Txid, Entry]) -> Entry | None:
        """The entry of the least worth, of equals the newest; None if there are none."""
        if self._heap is None:
            self._heap = [(worth(entry), -entry.sequence, txid) for txid, entry in entries.items()]
            heapify(self._heap)
        while self._heap:
            score, negated, txid = self._heap[0]
            entry = entries.get(txid)
            if entry is not None and entry.sequence == -negated and worth(entry) == score:
                return entry
            heappop(self._heap)
        return None


class FeeFloor:
    """The rate that a transaction has to pay to enter, raised by evictions (Core's rolling fee).

    It falls only after a block has come: before, what was evicted could just come back.
    """

    __slots__ = ("_falling", "_rate_sat_kvb", "_time")

    def __init__(self) -> None:
        self._rate_sat_kvb = 0.0
        self._time = 0.0
        self._falling = False

    def evicted(self, fee: int, vsize: int) -> None:
        """A package with this fee and size had to go: the next has to pay more than it did."""
        rate = fee * 1000 / vsize + INCREMENTAL_FEE_SAT_KVB
        if rate > self._rate_sat_kvb:
            self._rate_sat_kvb, self._falling = rate, False

    def on_block(self, now: float) -> None:
        """A block made room."""
        if not self._falling:
            self._falling, self._time = True, now

    def rate_sat_kvb(self, now: float, fill: float) -> float:
        """The rate asked for now; `fill` is how full the pool is, 0 to 1.

        An emptier pool forgets faster: twice below a half, four times below a quarter. Below half
        an increment over nothing, the floor is gone and the minimum relay rate remains.
        """
        if self._falling and now > self._time and self._rate_sat_kvb:
            speed = 4 if fill < 0.25 else 2 if fill < 0.5 else 1
            self._rate_sat_kvb *= 0.5 ** ((now - self._time) * speed / FLOOR_HALF_LIFE_S)
            self._time = now
            if self._rate_sat_kvb < INCREMENTAL_FEE_SAT_KVB / 2:
                self._rate_sat_kvb = 0.0
        return max(self._rate_sat_kvb, MIN_RELAY_FEE_SAT_KVB)
