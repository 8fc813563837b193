"""Blocks and transactions as lists show them: a line each."""

from collections.abc import Iterable

from chain.hashes import to_hex
from chain.tree import Entry
from chain.value import value
from node.api.call import Call
from node.api.lookup import FoundTx
from node.pool.entry import Entry as PoolEntry

WEIGHT_MAX = 4_000_000
"""Weight units of a full block (BIP141)."""


@value
class BlockRow:
    """A block in a list."""

    hash: str
    height: int
    time: int
    tx_count: int | None
    """None where only the header is here."""
    size: int
    """Bytes."""
    fill: float
    """Share of the weight that a block may have."""
    since_parent: int
    """Seconds by the headers' clocks."""


def block_row(call: Call, entry: Entry) -> BlockRow:
    """The line of a block."""
    facts = call.measures.of(call.view, entry)
    return BlockRow(
        to_hex(entry.hash),
        entry.height,
        entry.time,
        facts.tx_count if facts else None,
        facts.size if facts else 0,
        facts.weight / WEIGHT_MAX if facts else 0.0,
        entry.time - entry.parent.time if entry.parent else 0,
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
    amount: int
    """Satoshis of all outputs."""
    fee: int | None
    """Satoshis; None of a coinbase, and where the coins are unknown."""
    rate: float | None
    """Satoshis per virtual byte."""
    vsize: int
    height: int | None
    """Of its block; None in the mempool."""
    time: float
    """Of its block, or when it entered the mempool."""
    is_coinbase: bool
    change: int = 0
    """What it does to a script's balance, in satoshis, where the list is of one."""


def found_row(found: FoundTx, change: int = 0) -> TxRow:
    """The line of a transaction, wherever it is."""
    tx = found.tx
    known = not tx.is_coinbase and bool(found.spent) and None not in found.spent
    fee = found.fee if known else None
    pooled, entry = found.unconfirmed, found.entry
    return TxRow(
        to_hex(tx.txid),
        len(tx.inputs),
        len(tx.outputs),
        sum(output.value for output in tx.outputs),
        fee,
        None if fee is None else fee / tx.vsize,
        tx.vsize,
        entry.height if entry else None,
        pooled.time if pooled else float(entry.time if entry else 0),
        tx.is_coinbase,
        change,
    )


def in_pool(entry: PoolEntry) -> FoundTx:
    """A transaction of the mempool, as found."""
    return FoundTx(entry.tx, None, entry.spent, entry)


def pool_rows(entries: Iterable[PoolEntry]) -> list[TxRow]:
    """The lines of transactions of the mempool."""
    return [found_row(in_pool(entry)) for entry in entries]
