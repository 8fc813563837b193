"""The mempool by what it pays: how much waits in each band of fee rates."""

from bisect import bisect_right
from itertools import islice

from chain.value import value
from node.pool.view import MempoolView

BOUNDS = (0, 1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1000)
"""Lowest fee rate of each band, in satoshis per virtual byte."""
COUNTED_MAX = 50_000
"""Transactions that a histogram counts: the oldest that many; a fuller pool's is of a part, and says so."""


@value
class FeeBand:
    """One band of fee rates."""

    low: int
    """Satoshis per virtual byte at least."""
    high: int | None
    """Less than so many; None: no bound."""
    count: int
    vsize: int
    share: float
    """Of the largest band's virtual bytes."""

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.low:,}+" if self.high is None else f"{self.low}–{self.high}"


def fee_bands(pool: MempoolView) -> list[FeeBand]:
    """From the best-paid down; those between the ends are there also where they are empty."""
    counts, sizes = [0] * len(BOUNDS), [0] * len(BOUNDS)
    for entry in islice(pool.entries.values(), COUNTED_MAX):
        band = bisect_right(BOUNDS, entry.fee / entry.vsize) - 1
        counts[band] += 1
        sizes[band] += entry.vsize
    used = [band for band, count in enumerate(counts) if count]
    if not used:
        return []
    most = max(sizes)
    return [
        FeeBand(
            BOUNDS[band],
            BOUNDS[band + 1] if band + 1 < len(BOUNDS) else None,
            counts[band],
            sizes[band],
            sizes[band] / most,
        )
        for band in range(used[-1], used[0] - 1, -1)
    ]
