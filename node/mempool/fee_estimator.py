"""Fee estimates: the rate to be mined within so many blocks, learnt from what others paid and waited.

The method, after Bitcoin Core's: transactions are sorted by fee rate into buckets, each 10% wider
than the one below. For every bucket we keep how many were mined, after how many blocks, and how
many left unmined; old observations fade, to half of their weight in 144 blocks. An estimate for n
blocks walks down from the best-paid bucket, joining buckets until there is enough to judge by,
as long as at least 85% of what paid so was mined within n blocks; the answer is the mean rate of
the last group that passed. Those still waiting after n blocks count as not mined in time.

Only transactions without relatives in the pool are counted: the others were mined, or not, for
what their relatives paid.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable
from itertools import accumulate

from chain.frozen import value
from chain.hashes import Txid
from node.mempool.entry import MempoolEntry

TARGETS = (*range(1, 26), 144, 504, 1008)
"""Blocks to be mined within that are kept apart (Esplora's)."""
TARGET_MAX = TARGETS[-1]
"""The longest wait that there are estimates for, in blocks."""
BUCKET_STEP = 1.1
LOWEST_RATE_SAT_VB = 1.0
HIGHEST_RATE_SAT_VB = 10_000.0
"""All that pay more are in one bucket."""
FADING = 0.5 ** (1 / 144)
"""Decay of the estimates: factor on the weight of an observation for each block after it."""
ENOUGH = 10.0
"""The least weight of observations to judge by: about ten recent transactions."""
SUCCESS = 0.85
"""The share that has to be mined in time."""
_WEIGHT_MAX = 1e100


def _bounds() -> list[float]:
    bounds = [LOWEST_RATE_SAT_VB]
    while bounds[-1] < HIGHEST_RATE_SAT_VB:
        bounds.append(bounds[-1] * BUCKET_STEP)
    return bounds


_BOUNDS = _bounds()
"""The lowest rate of each bucket, in sat/vB."""


@value
class FeeEstimate:
    """An estimate."""

    blocks: int
    """Blocks within which the transaction is to be mined."""
    rate: float
    """Satoshis per virtual byte."""


@value
class FeeView:
    """The estimates as of one block, for readers."""

    rates: tuple[float | None, ...]
    """sat/vB, one for each of TARGETS; None where too little is known."""

    def estimate(self, target_blocks: int) -> float | None:
        """The rate to be mined within so many blocks, by the nearest of TARGETS that is not longer."""
        return self.rates[_index(target_blocks)]

    def nearest(self, target_blocks: int) -> "FeeEstimate | None":
        """The estimate for a target, or, where too little is known of so short a wait, for the next
        longer one: a shorter one cannot cost less. None where nothing is known of any."""
        first = _index(target_blocks)
        for index in range(first, len(TARGETS)):
            rate = self.rates[index]
            if rate is not None:
                return FeeEstimate(target_blocks if index == first else TARGETS[index], rate)
        return None


NO_ESTIMATES = FeeView((None,) * len(TARGETS))


class _FeeBucket:
    """Observations in one range of fee rates, in weights."""

    __slots__ = ("left", "mined", "rates", "waiting")

    def __init__(self) -> None:
        self.mined = [0.0] * (len(TARGETS) + 1)
        """Weight of those mined, by the first of TARGETS that was met; the last for none."""
        self.left = [0.0] * (len(TARGETS) + 1)
        """Transactions that left unmined, by how many of TARGETS they had missed."""
        self.rates = 0.0
        """The rates of all mined, each times its weight."""
        self.waiting: Counter[int] = Counter()
        """Number of transactions still here, by the height at which they entered."""

    def scale(self, factor: float) -> None:
        """Make every weight that much smaller."""
        self.mined = [weight * factor for weight in self.mined]
        self.left = [weight * factor for weight in self.left]
        self.rates *= factor

    def missed(self, height: int, weight: float) -> list[float]:
        """Weight, for each of TARGETS, of those that left or wait without having met it."""
        late = self.left.copy()
        for entered, count in self.waiting.items():
            late[_missed(height - entered)] += count * weight
        # Who missed k of the targets missed the k shortest.
        return list(accumulate(reversed(late[1:])))[::-1]


class FeeEstimator:
    """Learns from the pool through `entered`, `left` and `connected`."""

    def __init__(self) -> None:
        self._followed: dict[Txid, _FeeBucket] = {}
        self._buckets = [_FeeBucket() for _ in _BOUNDS]
        self._height = 0
        # All old weights would fade at each block; instead new ones are worth more and more.
        self._weight = 1.0
        self._view = NO_ESTIMATES

    def entered(self, entry: MempoolEntry) -> None:
        """A transaction has come into the pool on the present tip (not back out of a block)."""
        if entry.ancestors.count > 1:
            return
        bucket = self._buckets[max(bisect_right(_BOUNDS, entry.fee / entry.vsize) - 1, 0)]
        self._followed[entry.tx.txid] = bucket
        bucket.waiting[entry.height] += 1

    def left(self, entry: MempoolEntry) -> None:
        """A transaction has gone from the pool, for any reason but a block."""
        bucket = self._stop(entry)
        if bucket is not None:
            bucket.left[_missed(self._height - entry.height)] += self._weight

    def connected(self, height: int, entries: Iterable[MempoolEntry]) -> None:
        """A block at `height` is the tip and has mined these entries of the pool."""
        self._height = height
        self._fade()
        for entry in entries:
            bucket = self._stop(entry)
            if bucket is not None and entry.descendants.count == 1:
                bucket.mined[bisect_left(TARGETS, height - entry.height)] += self._weight
                bucket.rates += entry.fee_rate * self._weight
        self._view = self._estimate_all()

    def estimate(self, target_blocks: int) -> float | None:
        """sat/vB to be mined within so many blocks, as of the last block; None if not known."""
        return self._view.estimate(target_blocks)

    def view(self) -> FeeView:
        """All estimates as of the last block; any thread may take it."""
        return self._view

    def _stop(self, entry: MempoolEntry) -> _FeeBucket | None:
        """Follow a transaction no longer; its bucket, if it was followed."""
        bucket = self._followed.pop(entry.tx.txid, None)
        if bucket is not None:
            bucket.waiting[entry.height] -= 1
            if not bucket.waiting[entry.height]:
                del bucket.waiting[entry.height]
        return bucket

    def _fade(self) -> None:
        self._weight /= FADING
        if self._weight > _WEIGHT_MAX:
            for bucket in self._buckets:
                bucket.scale(1 / self._weight)
            self._weight = 1.0

    def _estimate_all(self) -> FeeView:
        # Per bucket from the best-paid down: rates, all mined, mined in time, missed.
        seen = [
            (
                bucket.rates,
                sum(bucket.mined),
                list(accumulate(bucket.mined)),
                bucket.missed(self._height, self._weight),
            )
            for bucket in reversed(self._buckets)
            if any(bucket.mined) or any(bucket.left) or bucket.waiting
        ]
        rates: list[float | None] = []
        for target in range(len(TARGETS)):
            # A longer wait never costs more than a shorter one.
            known = (self._estimate_one(target, seen), *rates[-1:])
            rates.append(min((rate for rate in known if rate is not None), default=None))
        return FeeView(tuple(rates))

    def _estimate_one(self, target: int, seen: list[tuple[float, float, list[float], list[float]]]) -> float | None:
        """The mean rate of the worst-paid group of buckets that was mined in time."""
        answer = None
        rates = mined = in_time = missed = 0.0
        for bucket_rates, bucket_mined, bucket_in_time, bucket_missed in seen:
            rates += bucket_rates
            mined += bucket_mined
            in_time += bucket_in_time[target]
            missed += bucket_missed[target]
            if mined + missed < ENOUGH * self._weight:
                continue
            if in_time < SUCCESS * (mined + missed):
                break
            answer = rates / mined
            rates = mined = in_time = missed = 0.0
        return answer


def _index(target_blocks: int) -> int:
    """Index of the nearest of TARGETS that is not longer; of the first for less."""
    return max(bisect_right(TARGETS, target_blocks) - 1, 0)


def _missed(blocks: int) -> int:
    """Number of TARGETS missed after so many blocks of waiting in vain."""
    return bisect_right(TARGETS, max(blocks, 0))
