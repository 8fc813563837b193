"""Finding things in a NodeView: blocks with what they spend, transactions wherever they are, spenders.

Reads one NodeView and nothing else; knows neither HTTP nor JSON.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from chain.block import HEADER_SIZE, Block, decode_block
from chain.blocktree import BlockNode
from chain.codec import read_varint
from chain.coins import Coin
from chain.hashes import BlockHash, Txid, to_hex
from chain.params import GENESIS
from chain.tx import OutPoint, Tx, read_tx
from node.core.view import NodeView
from node.interface.storage import HistoryRow, TxLocation
from node.mempool.entry import MempoolEntry

FACTS_MAX = 20_000
"""Blocks whose measures are kept; beyond, all are forgotten and measured again when asked for."""

TOTALS_STEP = 100
"""Blocks between two of which the number of all transactions so far is remembered."""


class NoIndex(Exception):
    """The node runs with --no-index and the question needs the index."""


@dataclass(frozen=True, slots=True)
class FoundTx:
    """A transaction in its place."""

    tx: Tx
    entry: BlockNode | None
    """The transaction's block, on any branch; None in the mempool."""
    spent: Sequence[Coin | None]
    """The coins of its inputs in order, None where unknown; nothing for a coinbase."""
    unconfirmed: MempoolEntry | None = None
    """The transaction's entry in the mempool."""

    @property
    def fee(self) -> int:
        """Satoshis; 0 for a coinbase, and where the coins are unknown."""
        known = [coin for coin in self.spent if coin is not None]
        if not known or len(known) != len(self.tx.inputs):
            return 0
        return sum(coin.value for coin in known) - sum(output.value for output in self.tx.outputs)


@dataclass(frozen=True, slots=True)
class SpentBy:
    """The spender of a coin."""

    txid: Txid
    input_index: int
    entry: BlockNode | None
    """The block; None in the mempool."""


@dataclass(frozen=True, slots=True)
class BlockFacts:
    """Sizes of a block."""

    tx_count: int
    size: int
    """Bytes."""
    weight: int
    """Weight units."""
    reward: int
    """Satoshis of the coinbase's outputs."""
    coinbase: bytes
    """The coinbase's script, at most 100 bytes."""


class TxTotals:
    """Numbers of transactions in the chain up to a block: counted once, remembered now and then."""

    def __init__(self) -> None:
        self._known: dict[BlockHash, int] = {}

    def up_to(self, view: NodeView, entry: BlockNode, check: Callable[[], None]) -> int | None:
        """Transactions of all blocks from genesis to this one, both counted; None where a body is missing.

        `check` is called now and then and may raise.
        """
        way: list[tuple[BlockNode, int]] = []
        at: BlockNode | None = entry
        total = None  # other threads may forget what is known meanwhile, so it is looked up once
        while at is not None and (total := self._known.get(at.hash)) is None:
            if len(way) % TOTALS_STEP == 0:
                check()
            raw = raw_block(view, at)
            if raw is None:
                return None
            way.append((at, read_varint(raw, HEADER_SIZE)[0]))
            at = at.parent
        total = total or 0
        for at, count in reversed(way):
            total += count
            if at.height % TOTALS_STEP == 0 or at is entry:
                if len(self._known) >= FACTS_MAX:
                    self._known.clear()
                self._known[at.hash] = total
        return total


class BlockMeasures:
    """Facts of blocks, each computed once: a block of a hash never changes."""

    def __init__(self) -> None:
        self._known: dict[BlockHash, BlockFacts] = {}
        self.totals = TxTotals()

    def of(self, view: NodeView, entry: BlockNode) -> BlockFacts | None:
        """The facts, or None where only the header is here."""
        facts = self._known.get(entry.hash)
        if facts is None:
            block = find_block(view, entry)
            if block is None:
                return None
            facts = BlockFacts(
                len(block.txs),
                block.size,
                block.weight,
                sum(output.value for output in block.txs[0].outputs),
                block.txs[0].inputs[0].script_sig,
            )
            if len(self._known) >= FACTS_MAX:
                self._known.clear()
            self._known[entry.hash] = facts
        return facts


def raw_block(view: NodeView, entry: BlockNode) -> bytes | None:
    """A block's bytes, or None where only the header is here. This and all that stands on it raise
    Damaged where a body or undo was stored and cannot be read."""
    return GENESIS.raw if entry is view.tree.genesis else view.raw_block(entry)


def find_block(view: NodeView, entry: BlockNode) -> Block | None:
    """A block, or None where only the header is here."""
    raw = raw_block(view, entry)
    return None if raw is None else decode_block(raw)


def block_txids(view: NodeView, entry: BlockNode) -> list[Txid] | None:
    """The ids of a block's transactions in order, or None where only the header is here."""
    block = find_block(view, entry)
    return None if block is None else [tx.txid for tx in block.txs]


def block_txs(view: NodeView, entry: BlockNode, first: int, limit: int) -> list[FoundTx]:
    """Transactions of a block whose body is here, from position `first` on."""
    raw = raw_block(view, entry)
    return [] if raw is None else list(islice(_walk(view, entry, raw), first, first + limit))


def find_tx(view: NodeView, txid: Txid) -> FoundTx | None:
    """The transaction in the mempool or on the best chain. Raises NoIndex."""
    unconfirmed = view.pool.entry(txid)
    if unconfirmed is not None:
        return FoundTx(unconfirmed.tx, None, unconfirmed.spent, unconfirmed)
    if txid == GENESIS.txs[0].txid:
        return FoundTx(GENESIS.txs[0], view.tree.genesis, ())
    _need_index(view)
    place = view.reader.tx_location(txid)
    return None if place is None else _tx_at(view, txid, place)


def find_confirmed(view: NodeView, txid: Txid) -> tuple[BlockNode, int] | None:
    """Block and position of a transaction of the best chain. Raises NoIndex."""
    if txid == GENESIS.txs[0].txid:
        return view.tree.genesis, 0
    _need_index(view)
    place = view.reader.tx_location(txid)
    return None if place is None else (view.tip.ancestor(place.height), place.position)


def find_spender(view: NodeView, point: OutPoint) -> SpentBy | None:
    """The spender of this coin, in the mempool or on the best chain; None without one. Raises NoIndex."""
    txid = view.pool.spender(point)
    entry = view.pool.entry(txid) if txid else None
    if entry is not None:
        return SpentBy(entry.txid, [spent.outpoint for spent in entry.tx.inputs].index(point), None)
    if view.reader.coin(point) is not None or view.pool.coin(point) is not None:
        return None
    _need_index(view)
    spender = view.reader.spender(point)
    if spender is None:
        return None
    return SpentBy(spender.txid, spender.input_index, view.tip.ancestor(spender.height))


def script_history(view: NodeView, script_hash: bytes, last: Txid | None, limit: int) -> list[FoundTx]:
    """A script's confirmed transactions, newest first, those after `last` if it is given.

    Nothing if `last` is not in that history. Raises NoIndex.
    """
    _need_index(view)
    before = None
    if last is not None:
        place = view.reader.tx_location(last)
        if place is None:
            return []
        before = (place.height, place.position)
        found = view.reader.history(script_hash, (place.height, place.position + 1), 1)
        if not found or found[0].txid != last:
            return []
    return list(_txs_of(view, view.reader.history(script_hash, before, limit)))


def _txs_of(view: NodeView, rows: Iterable[HistoryRow]) -> Iterator[FoundTx]:
    """The transactions of history rows, in their order. Raises Damaged."""
    for row in rows:
        place = view.reader.tx_location(row.txid)
        if place is None:
            raise view.reader.condemn_ledger(f"transaction {to_hex(row.txid)} of a history is not in the index")
        yield _tx_at(view, row.txid, place)


def _tx_at(view: NodeView, txid: Txid, place: TxLocation) -> FoundTx:
    """The best chain's transaction at this place. Raises Damaged."""
    entry = view.tip.ancestor(place.height)
    tx, spent = view.reader.tx_at(txid, place, entry.hash)
    return FoundTx(tx, entry, spent)


def _walk(view: NodeView, entry: BlockNode, raw: bytes) -> Iterator[FoundTx]:
    """A block's transactions one after the other, with the coins that they spend."""
    undo = view.reader.undo(entry.height, entry.hash) if entry.parent else ()
    count, pos = read_varint(raw, HEADER_SIZE)
    taken = 0
    for _ in range(count):
        tx, pos = read_tx(raw, pos)
        if tx.is_coinbase:
            yield FoundTx(tx, entry, ())
        elif undo is None:  # a branch that was never followed: its coins were never looked up
            yield FoundTx(tx, entry, (None,) * len(tx.inputs))
        else:
            yield FoundTx(tx, entry, undo[taken : taken + len(tx.inputs)])
            taken += len(tx.inputs)


def _need_index(view: NodeView) -> None:
    if not view.reader.has_index:
        raise NoIndex
