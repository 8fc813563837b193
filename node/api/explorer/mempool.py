"""The mempool's page: its size by fee rate, fee estimates, and a list of transactions."""

from heapq import nlargest
from itertools import islice
from operator import attrgetter

from chain.frozen import value
from node.api.context import Call
from node.api.explorer.fees import BLOCK_VSIZE, COUNTED_MAX, FeeBand, fee_bands
from node.api.explorer.rows import TxRow, pool_rows
from node.mempool.entry import MempoolTotals
from node.mempool.fee_estimator import FeeView
from node.mempool.policy import MIN_RELAY_FEE_SAT_KVB

TXS_SHOWN = 50
"""Transactions of the list."""
TARGETS = (1, 3, 6, 144)
"""Confirmation targets, in blocks, for which estimates are shown."""


@value
class EstimateRow:
    """A fee estimate."""

    blocks: int
    """Blocks within which a transaction is to be confirmed."""
    rate: float | None
    """Satoshis per virtual byte; None where too little is known."""
    is_least: bool
    """The rate is a longer wait's, the shortest that there is an estimate for: less is not enough."""


@value
class MempoolPage:
    """The mempool."""

    totals: MempoolTotals
    blocks: float
    """Full blocks that they would fill."""
    usage: int
    """Bytes of memory, about."""
    floor: float
    """Satoshis per virtual byte that the next transaction has to pay."""
    bands: list[FeeBand]
    counted: int | None
    """Transactions that the bands count, where these are not all."""
    estimates: list[EstimateRow]
    order: str
    """newest or best-paid: what the list begins with."""
    txs: list[TxRow]


def mempool_page(call: Call, order: str) -> MempoolPage:
    """The mempool as of now; `order` says what its list begins with."""
    pool, fees = call.view.pool, call.view.fees
    floor = max(pool.floor_sat_kvb, MIN_RELAY_FEE_SAT_KVB) / 1000
    if order == "best-paid":
        counted = islice(pool.entries.values(), COUNTED_MAX)
        entries = nlargest(TXS_SHOWN, counted, key=attrgetter("fee_rate"))
    else:
        entries = pool.newest(TXS_SHOWN)
    return MempoolPage(
        pool.totals,
        pool.totals.vsize / BLOCK_VSIZE,
        pool.usage,
        floor,
        fee_bands(pool),
        COUNTED_MAX if pool.totals.count > COUNTED_MAX else None,
        [_estimate(fees, blocks, floor) for blocks in TARGETS],
        order,
        pool_rows(entries),
    )


def _estimate(fees: FeeView, blocks: int, floor: float) -> EstimateRow:
    """The estimate for so short a wait, or for the next longer one; not less than is relayed at all."""
    nearest = fees.nearest(blocks)
    if nearest is None:
        return EstimateRow(blocks, None, False)
    return EstimateRow(blocks, max(nearest.rate, floor), nearest.blocks != blocks)
