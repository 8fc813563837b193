"""The entries of the pool by what a miner would miss least."""

from collections.abc import Mapping
from heapq import heapify, heappop, heappush

from chain.hashes import Txid
from node.mempool.entry import MempoolEntry

_STALE_SLACK = 1000
"""Out-of-date items that a heap over few entries may have."""


def worth(entry: MempoolEntry) -> float:
    """Fee rate that a miner would lose with it and its descendants, in sat/vB: the better of its own
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

    def note(self, entry: MempoolEntry, size: int) -> None:
        """An entry is new, or its descendants have changed; there are `size` entries."""
        if self._heap is None:
            return
        heappush(self._heap, (worth(entry), -entry.sequence, entry.tx.txid))
        if len(self._heap) > 2 * size + _STALE_SLACK:
            self._heap = None

    def pop(self, entries: Mapping[Txid, MempoolEntry]) -> MempoolEntry | None:
        """The entry of the least worth, of equals the newest; None if there are no more.

        It does not come up again until it is noted again: for those that stay, see that it is.
        """
        if self._heap is None:
            self._heap = [(worth(entry), -entry.sequence, txid) for txid, entry in entries.items()]
            heapify(self._heap)
        while self._heap:
            item = heappop(self._heap)
            # An entry that changed and changed back is there twice.
            while self._heap and self._heap[0] == item:
                heappop(self._heap)
            entry = entries.get(item[2])
            if entry is not None and (worth(entry), -entry.sequence) == item[:2]:
                return entry
        return None
