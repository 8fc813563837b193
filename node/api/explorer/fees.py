"""The mempool by fee rate: how much is in each band of rates, and what the next block would take."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import islice

from chain.check import MAX_WEIGHT
from chain.frozen import value
from chain.tx import WITNESS_SCALE
from node.mempool.block_assembler import RESERVED_WEIGHT
from node.mempool.entry import MempoolEntry
from node.mempool.view import MempoolView

BOUNDS = (0, 1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1000)
"""Lowest fee rate of each band, in satoshis per virtual byte."""
STEPS = (0.1, 0.2, 0.5)
"""Widths of the bands where all rates are close together."""
NARROW_BELOW = 100
"""Lowest rate from which on narrow bands would tell nothing, in satoshis per virtual byte."""
BANDS_WANTED = 5
"""Bands wanted between the lowest and the highest rate; with fewer, they are narrower."""
COUNTED_MAX = 50_000
"""Transactions that a histogram counts: the oldest that many; a fuller pool's is of a part, and says so."""
BLOCK_VSIZE = (MAX_WEIGHT - RESERVED_WEIGHT) // WITNESS_SCALE
"""Virtual bytes of transactions in a full block."""


@value
class FeeBand:
    """One band of fee rates."""

    low: float
    """Satoshis per virtual byte at least."""
    high: float | None
    """Less than so many; None: no bound."""
    count: int
    vsize: int
    fees: int
    """Satoshis."""
    share: float
    """Share of the largest band's virtual bytes."""

    @property
    def name(self) -> str:
        """The rates, for people."""
        return f"{self.low:,g}+" if self.high is None else f"{self.low:g}–{self.high:g}"


@value
class NextBlock:
    """The next block as it would be made now."""

    tx_count: int
    """Number of transactions, without the coinbase."""
    vsize: int
    fees: int
    """Satoshis."""
    low: float
    """Lowest fee rate, about, in satoshis per virtual byte."""
    high: float
    is_estimate: bool
    """More waits than fits, so this is by bands of fee rates."""

    @property
    def fill(self) -> float:
        """Share of a full block."""
        return self.vsize / BLOCK_VSIZE


def fee_bands(pool: MempoolView) -> list[FeeBand]:
    """Bands from the best-paid down; those between the ends are there also where they are empty."""
    entries = list(islice(pool.entries.values(), COUNTED_MAX))
    if not entries:
        return []
    bounds = _bounds(entries)
    counts, sizes, fees = ([0] * len(bounds) for _ in range(3))
    for entry in entries:
        # A rate that is a bound is not to fall below it by a rounding of floats.
        band = bisect_right(bounds, round(entry.fee / entry.vsize, 6)) - 1
        counts[band] += 1
        sizes[band] += entry.vsize
        fees[band] += entry.fee
    used = [band for band, count in enumerate(counts) if count]
    most = max(sizes)
    return [
        FeeBand(
            bounds[band],
            bounds[band + 1] if band + 1 < len(bounds) else None,
            counts[band],
            sizes[band],
            fees[band],
            sizes[band] / most,
        )
        for band in range(used[-1], used[0] - 1, -1)
    ]


def _bounds(entries: Sequence[MempoolEntry]) -> Sequence[float]:
    """BOUNDS, or narrower ones where those would put nearly everything into one band."""
    rates = [round(entry.fee / entry.vsize, 6) for entry in entries]
    lowest, highest = min(rates), max(rates)
    wide = bisect_right(BOUNDS, highest) - bisect_right(BOUNDS, lowest) + 1
    if wide >= BANDS_WANTED or lowest >= NARROW_BELOW:
        return BOUNDS
    for step in STEPS:
        first = int(lowest / step + 1e-6)
        last = int(highest / step + 1e-6)
        if last - first < 2 * BANDS_WANTED:
            return [round(number * step, 1) for number in range(first, last + 2)]
    return BOUNDS


def next_block(pool: MempoolView, bands: Sequence[FeeBand]) -> NextBlock | None:
    """The projected next block: everything, where that fits, or the best-paid bands. None: nothing waits."""
    totals = pool.totals
    if not totals.count or not bands:
        return None
    if totals.vsize <= BLOCK_VSIZE:
        high = bands[0].high or bands[0].low
        return NextBlock(totals.count, totals.vsize, totals.fee, bands[-1].low, high, False)
    count = vsize = fees = 0
    low = bands[0].low
    for band in bands:
        low = band.low
        share = min(1.0, (BLOCK_VSIZE - vsize) / band.vsize) if band.vsize else 0.0
        count += round(band.count * share)
        vsize += round(band.vsize * share)
        fees += round(band.fees * share)
        if share < 1.0 and band.vsize:
            break
    return NextBlock(count, vsize, fees, low, bands[0].high or bands[0].low, True)
