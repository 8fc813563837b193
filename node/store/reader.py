"""Reads of the ledger and the blocks: node/ports.py's Reader over two databases.

Blocks and undo are read as they are now even by a snapshot: under their key they never change.
"""

from collections.abc import Iterator
from itertools import islice

from chain.block import HEADER_SIZE
from chain.coins import Coin
from chain.hashes import BlockHash, Txid, sha256d, to_hex
from chain.params import GENESIS
from chain.tx import OutPoint
from node.ports import HistoryRow, ScriptStats, Spender, Tip, TxLocation
from node.store.kv import Damaged, OnDamage, Reads, Row, end_of, scan_prefix
from node.store.parts import read_parts, read_piece
from node.store.schema import (
    BODY,
    COIN,
    HISTORY,
    HISTORY_KEY_SIZE,
    LOCATION,
    LOCATION_VALUE,
    SPENDER,
    SPENDER_VALUE,
    UNDO,
    block_key,
    decode_coins,
    decode_sums,
    sealed_size,
    split_block_key,
    unseal,
)
from node.store.summaries import read_coins, read_totals, transactions_backwards


class LedgerReader:
    """A Reader. Whatever it finds broken in `blocks/` it reports, and answers as if it were not
    there: peers have it. A broken `ledger/` raises Damaged: no answer would be right."""

    def __init__(self, blocks: Reads, ledger: Reads, tip: Tip, has_index: bool, on_damage: OnDamage) -> None:
        """`on_damage` is told of broken blocks."""
        self.has_index = has_index
        self._blocks = blocks
        self._ledger = ledger
        self._tip = tip
        self._on_damage = on_damage

    def close(self) -> None:
        """Give the snapshot back. Unused ones also go when nobody refers to them any more."""
        self._ledger.close()

    def tip(self) -> Tip:
        """Where the ledger stands."""
        return self._tip

    # --- coins -------------------------------------------------------------------------

    def coin(self, point: OutPoint) -> Coin | None:
        """The coin, if it is unspent."""
        encoded = self._ledger.get(COIN + point)
        return None if encoded is None else Coin(encoded)

    def coins(self) -> Iterator[tuple[OutPoint, Coin]]:
        """Every coin, in the order of their outpoints' bytes."""
        return coins_of(self._ledger)

    # --- blocks ------------------------------------------------------------------------

    def block(self, height: int, block_hash: BlockHash) -> bytes | None:
        """The body, or None if it is not here, or not what its hash says."""
        if height == 0:
            return GENESIS.raw if block_hash == GENESIS.hash else None
        parts = self._parts(block_key(BODY, height, block_hash))
        if not parts:
            return None
        raw = b"".join([part for _, part in parts])
        if sha256d(raw[:HEADER_SIZE]) != block_hash:
            self._on_damage(f"block {to_hex(block_hash)} at height {height} is not what its hash says")
            return None
        return raw

    def undo(self, height: int, block_hash: BlockHash) -> tuple[Coin, ...] | None:
        """The coins that the block spent, or None if it was never connected or they are broken."""
        if height == 0:
            return () if block_hash == GENESIS.hash else None
        parts = [self._unsealed(key, record) for key, record in self._parts(block_key(UNDO, height, block_hash))]
        whole = [part for part in parts if part is not None]
        if not parts or len(whole) < len(parts):
            return None
        coins = decode_coins(b"".join(whole))
        if coins is None:
            self._on_damage(f"the undo of block {to_hex(block_hash)} at height {height} is cut off")
        return coins

    def undo_sizes(self, top: int) -> Iterator[tuple[int, BlockHash, int]]:
        """Connected blocks of any branch from height `top` down, each with the bytes of the coins that it spent:
        0 for one that has its coinbase alone. Of a large block there are several rows."""
        for key, record in self._blocks.scan(UNDO, block_key(UNDO, top + 1, BlockHash(b"")), reverse=True):
            height, block_hash = split_block_key(key)
            yield height, block_hash, sealed_size(record)

    def _parts(self, key: bytes) -> list[Row]:
        try:
            return read_parts(self._blocks, key)
        except Damaged:
            return []  # reported by whoever found it

    def _part(self, key: bytes) -> bytes | None:
        try:
            return self._blocks.get(key)
        except Damaged:
            return None

    def _undo_part(self, key: bytes) -> bytes | None:
        record = self._part(key)
        return None if record is None else self._unsealed(key, record)

    def _unsealed(self, key: bytes, record: bytes) -> bytes | None:
        content = unseal(key, record)
        if content is None:
            height, block_hash = split_block_key(key)
            self._on_damage(f"the undo of block {to_hex(block_hash)} at height {height} fails its checksum")
        return content

    # --- indexes -----------------------------------------------------------------------

    def _need_index(self) -> None:
        if not self.has_index:
            raise LookupError("this node runs without its indexes (--no-index)")

    def tx_location(self, txid: Txid) -> TxLocation | None:
        """Where a transaction of the best chain is. Genesis' coinbase is none, as in Core."""
        self._need_index()
        record = self._ledger.get(LOCATION + txid)
        return None if record is None else TxLocation(*LOCATION_VALUE.unpack(record))

    def tx_at(self, place: TxLocation, block_hash: BlockHash) -> tuple[bytes, tuple[Coin, ...] | None] | None:
        """The transaction at that place of the best chain, whose block has this hash, and the coins
        that it spent; None for what is not here."""
        raw = read_piece(self._part, block_key(BODY, place.height, block_hash), place.offset, place.size)
        undo_key = block_key(UNDO, place.height, block_hash)
        spent = read_piece(self._undo_part, undo_key, place.undo_offset, place.undo_size)
        return None if raw is None else (raw, None if spent is None else decode_coins(spent))

    def spender(self, point: OutPoint) -> Spender | None:
        """Who spent an output in the best chain."""
        self._need_index()
        record = self._ledger.get(SPENDER + point)
        return None if record is None else Spender(*SPENDER_VALUE.unpack(record))

    def history(self, script_hash: bytes, before: tuple[int, int] | None, limit: int) -> list[HistoryRow]:
        """Transactions that pay or spend the script, newest first, strictly below `before`."""
        self._need_index()
        prefix = HISTORY + script_hash
        stop = end_of(prefix) if before is None else prefix + (before[0] + 1).to_bytes(4, "big")
        found: list[HistoryRow] = []
        for key, row in self._ledger.scan(prefix, stop, reverse=True):
            if len(key) > HISTORY_KEY_SIZE:
                continue  # a summary
            height = int.from_bytes(key[33:], "big")
            below = before[1] if before and before[0] == height else None
            for position, txid in transactions_backwards(row, below):
                if len(found) >= limit:
                    return found
                found.append(HistoryRow(height, position, txid))
        return found

    def utxos(self, script_hash: bytes, limit: int) -> list[tuple[OutPoint, Coin]]:
        """At most `limit` coins of the script, the newest transaction's first."""
        self._need_index()
        height = self._tip.height
        totals = read_totals(self._ledger, script_hash, height)
        return list(islice(read_coins(self._ledger, script_hash, totals, height), limit))

    def stats(self, script_hash: bytes) -> ScriptStats:
        """The script's sums."""
        self._need_index()
        return decode_sums(read_totals(self._ledger, script_hash, self._tip.height).sums)


def coins_of(ledger: Reads) -> Iterator[tuple[OutPoint, Coin]]:
    """Every coin of a ledger, in the order of their outpoints' bytes."""
    for key, encoded in scan_prefix(ledger, COIN):
        yield OutPoint(key[1:]), Coin(encoded)
