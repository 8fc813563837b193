"""Blocks and transactions as lists show them."""

from collections.abc import Collection, Iterable

from chain.blocktree import BlockNode
from chain.connect import subsidy
from chain.frozen import value
from chain.hashes import to_hex
from chain.tx import Tx
from node.api.context import Call
from node.api.explorer.formatting import miner_name
from node.api.query.queries import FoundTx
from node.mempool.entry import MempoolEntry

WEIGHT_MAX = 4_000_000
"""Weight units of a full block (BIP141)."""
PAYMENTS_SHOWN = 2
"""Outputs that a list shows by themselves; of a transaction with more it shows their sum."""


@value
class BlockRow:
    """A block in a list."""

    hash: str
    height: int
    time: int
    tx_count: int | None
    """Number of transactions; None where only the header is here."""
    size: int
    """Bytes."""
    fill: float
    """Share of the weight that a block may have."""
    since_parent: int
    """Seconds by the headers' clocks."""
    fees: int
    """Satoshis that the miner took beside the subsidy."""
    miner: str | None
    """The miner, by the tag in its coinbase; None without one."""


def block_row(call: Call, entry: BlockNode) -> BlockRow:
    """A block's row."""
    facts = call.measures.of(call.view, entry)
    return BlockRow(
        to_hex(entry.hash),
        entry.height,
        entry.time,
        facts.tx_count if facts else None,
        facts.size if facts else 0,
        facts.weight / WEIGHT_MAX if facts else 0.0,
        entry.time - entry.parent.time if entry.parent else 0,
        max(0, facts.reward - subsidy(entry.height, call.view.params)) if facts else 0,
        miner_name(facts.coinbase) if facts else None,
    )


def latest_blocks(call: Call, count: int, top: int | None = None) -> list[BlockRow]:
    """The best chain's blocks from `top` (the tip) down."""
    view = call.view
    first = view.tip.height if top is None else top
    return [block_row(call, view.tip.ancestor(height)) for height in range(first, max(-1, first - count), -1)]


@value
class TxRow:
    """A transaction in a list."""

    txid: str
    inputs: int
    outputs: int
    paid: int
    """Satoshis that go to other scripts than the inputs', or of all outputs where none does."""
    paid_outputs: int
    """Number of these outputs."""
    payments: tuple[int, ...]
    """Amounts of the payments; empty where they are more than PAYMENTS_SHOWN."""
    is_to_itself: bool
    """Every output goes back to a script of the inputs."""
    fee: int | None
    """Satoshis; None of a coinbase, and where the coins are unknown."""
    rate: float | None
    """Satoshis per virtual byte."""
    vsize: int
    height: int | None
    """Height of its block; None in the mempool."""
    time: float
    """Time of its block, or of its entry into the mempool."""
    is_coinbase: bool
    change: int = 0
    """Change of a script's balance, in satoshis, where the list is of one."""


def found_row(found: FoundTx, change: int = 0) -> TxRow:
    """A transaction's row, wherever it is."""
    tx = found.tx
    known = not tx.is_coinbase and bool(found.spent) and None not in found.spent
    fee = found.fee if known else None
    pooled, entry = found.unconfirmed, found.entry
    amounts, is_to_itself = _paid(tx, {coin.script for coin in found.spent if coin is not None})
    return TxRow(
        to_hex(tx.txid),
        len(tx.inputs),
        len(tx.outputs),
        sum(amounts),
        len(amounts),
        amounts if len(amounts) <= PAYMENTS_SHOWN else (),
        is_to_itself,
        fee,
        None if fee is None else fee / tx.vsize,
        tx.vsize,
        entry.height if entry else None,
        pooled.time if pooled else float(entry.time if entry else 0),
        tx.is_coinbase,
        change,
    )


def _paid(tx: Tx, own: Collection[bytes]) -> tuple[tuple[int, ...], bool]:
    """Amounts of the outputs to scripts other than these, or of all if there are no others, which is told too.

    An output to a script of the inputs is change for certain. Change to a fresh address cannot be told from a
    payment, so nothing else is left out. Outputs of nothing, which carry data, are no payments.
    """
    outputs = [output for output in tx.outputs if output.value]
    others = tuple(output.value for output in outputs if output.script not in own)
    return others or tuple(output.value for output in outputs), not others and bool(outputs)


def in_pool(entry: MempoolEntry) -> FoundTx:
    """A transaction of the mempool, as found."""
    return FoundTx(entry.tx, None, entry.spent, entry)


def pool_rows(entries: Iterable[MempoolEntry]) -> list[TxRow]:
    """Rows of transactions of the mempool."""
    return [found_row(in_pool(entry)) for entry in entries]
