"""The overview: the tip, the latest blocks and the projected next one, the mempool, the newest payments."""

from chain.frozen import value
from chain.hashes import to_hex
from chain.target import work_from_bits
from node.api.context import Call
from node.api.explorer.fees import FeeBand, NextBlock, fee_bands, next_block
from node.api.explorer.payments import PaymentBlocks
from node.api.explorer.rows import BlockRow, TxRow, found_row, latest_blocks, pool_rows
from node.api.query.esplora_json import difficulty, hash_rate
from node.api.query.queries import block_txs

BLOCKS_SHOWN = 7
TXS_SHOWN = 8
RATE_BLOCKS = 120
"""Blocks over which the hash rate is measured."""


@value
class Home:
    """The overview."""

    hash: str
    height: int
    time: int
    difficulty: float
    work: int
    """Expected hashes of a block."""
    hash_rate: float | None
    """Hashes a second."""
    spacing_s: int | None
    """Target seconds between blocks; None where the network has no difficulty."""
    mean_spacing_s: float | None
    """Average over the same blocks."""
    blocks: list[BlockRow]
    tx_count: int
    """Number of transactions in the mempool."""
    vsize: int
    fees: int
    floor: float
    """Satoshis per virtual byte that the next transaction has to pay."""
    bands: list[FeeBand]
    next: NextBlock | None
    """The projected next block; None: the mempool is empty."""
    newest: list[TxRow]
    searched: int | None
    """Latest blocks that were looked into for payments; None: there are no others."""


def home(call: Call, payments: PaymentBlocks) -> Home:
    """The overview as of now; `payments` remembers where they are."""
    view = call.view
    newest, searched = _newest(call, payments)
    bands = fee_bands(view.pool)
    tip, pool = view.tip, view.pool
    counted = min(RATE_BLOCKS, tip.height - 1)  # genesis is years before block 1
    first = tip.ancestor(tip.height - counted) if counted > 0 else None
    return Home(
        to_hex(tip.hash),
        tip.height,
        tip.time,
        difficulty(tip.header),
        work_from_bits(tip.header.bits),
        hash_rate(tip, counted) if first else None,
        view.params.target_spacing_s,
        (tip.max_time - first.max_time) / counted if first else None,
        latest_blocks(call, BLOCKS_SHOWN),
        pool.totals.count,
        pool.totals.vsize,
        pool.totals.fee,
        pool.floor_sat_kvb / 1000,
        bands,
        next_block(pool, bands),
        newest,
        searched,
    )


def _newest(call: Call, payments: PaymentBlocks) -> tuple[list[TxRow], int | None]:
    """Unconfirmed ones first, then those of the latest blocks that have any; and `Home.searched`."""
    view = call.view
    rows = pool_rows(view.pool.newest(TXS_SHOWN))
    if len(rows) == TXS_SHOWN:
        return rows, None
    searched = payments.newest(view)
    for entry in searched.found:
        # The first is the coinbase.
        rows += map(found_row, block_txs(view, entry, 1, TXS_SHOWN - len(rows)))
        if len(rows) == TXS_SHOWN:
            break
    return rows, None if searched.rest is None else searched.count
