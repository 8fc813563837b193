"""Reads of the ledger and the blocks: node/ports.py's Reader over two databases.

Blocks and undo are read as they are now even by a snapshot: under their key they never change.
"""

from collections.abc import Iterator

from chain.block import HEADER_SIZE
from chain.coins import Coin
from chain.hashes import BlockHash, Txid, sha256, sha256d, to_hex
from chain.params import GENESIS
from chain.tx import OutPoint
from node.ports import HistoryRow, ScriptStats, Spender, Tip, TxLocation
from node.store.kv import Damaged, OnDamage, Reads, end_of, scan_prefix
from node.store.schema import (
    BODY,
    COIN,
    COUNT_MASK,
    COUNT_SHIFT,
    FUNDED_SHIFT,
    HISTORY,
    HISTORY_ENTRY_SIZE,
    LOCATION,
    LOCATION_VALUE,
    SATOSHIS_MASK,
    SPENDER,
    SPENDER_VALUE,
    SUMS_SIZE,
    UNDO,
    block_key,
    decode_undo,
)


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
        raw = self._readable(block_key(BODY, height, block_hash))
        if raw is not None and sha256d(raw[:HEADER_SIZE]) != block_hash:
            self._on_damage(f"block {to_hex(block_hash)} at height {height} is not what its hash says")
            return None
        return raw

    def undo(self, height: int, block_hash: BlockHash) -> tuple[Coin, ...] | None:
        """The coins that the block spent, or None if it was never connected or they are broken."""
        if height == 0:
            return () if block_hash == GENESIS.hash else None
        key = block_key(UNDO, height, block_hash)
        record = self._readable(key)
        if record is None:
            return None
        coins = decode_undo(key, record)
        if coins is None:
            self._on_damage(f"the undo of block {to_hex(block_hash)} at height {height} fails its checksum")
        return coins

    def _readable(self, key: bytes) -> bytes | None:
        try:
            return self._blocks.get(key)
        except Damaged:
            return None  # reported by whoever found it

    # --- indexes -----------------------------------------------------------------------

    def _need_index(self) -> None:
        if not self.has_index:
            raise LookupError("this node runs without its indexes (--no-index)")

    def tx_location(self, txid: Txid) -> TxLocation | None:
        """Where a transaction of the best chain is. Genesis' coinbase is none, as in Core."""
        self._need_index()
        record = self._ledger.get(LOCATION + txid)
        return None if record is None else TxLocation(*LOCATION_VALUE.unpack(record))

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
            height = int.from_bytes(key[33:], "big")
            for position, txid in _entries_backwards(row):
                if len(found) >= limit:
                    return found
                if before is None or (height, position) < before:
                    found.append(HistoryRow(height, position, txid))
        return found

    def utxos(self, script_hash: bytes, limit: int) -> list[tuple[OutPoint, Coin]]:
        """At most `limit` coins of the script, the newest transaction's first.

        Walks the history only until every coin that there must be is found.
        """
        stats = self.stats(script_hash)
        wanted = min(limit, stats.funded_count - stats.spent_count)
        found: list[tuple[OutPoint, Coin]] = []
        for _, row in scan_prefix(self._ledger, HISTORY + script_hash, reverse=True):
            for _, txid in _entries_backwards(row):
                if len(found) >= wanted:
                    return found[:wanted]
                for key, encoded in scan_prefix(self._ledger, COIN + txid):
                    coin = Coin(encoded)
                    if sha256(coin.script) == script_hash:
                        found.append((OutPoint(key[1:]), coin))
        return found[:wanted]

    def stats(self, script_hash: bytes) -> ScriptStats:
        """The script's sums: a scan over the blocks that touched it."""
        self._need_index()
        sums = transactions = 0
        for _, row in scan_prefix(self._ledger, HISTORY + script_hash):
            sums += int.from_bytes(row[:SUMS_SIZE], "big")
            transactions += (len(row) - SUMS_SIZE) // HISTORY_ENTRY_SIZE
        return ScriptStats(
            transactions,
            sums >> (FUNDED_SHIFT + COUNT_SHIFT),
            (sums >> FUNDED_SHIFT) & SATOSHIS_MASK,
            (sums >> COUNT_SHIFT) & COUNT_MASK,
            sums & SATOSHIS_MASK,
        )


def _entries_backwards(row: bytes) -> Iterator[tuple[int, Txid]]:
    """Position and id of each transaction that a row of a script's history lists, the last first."""
    for start in range(len(row) - HISTORY_ENTRY_SIZE, SUMS_SIZE - 1, -HISTORY_ENTRY_SIZE):
        entry = row[start : start + HISTORY_ENTRY_SIZE]
        yield int.from_bytes(entry[:4], "big"), Txid(entry[4:])


def coins_of(ledger: Reads) -> Iterator[tuple[OutPoint, Coin]]:
    """Every coin of a ledger, in the order of their outpoints' bytes."""
    for key, encoded in scan_prefix(ledger, COIN):
        yield OutPoint(key[1:]), Coin(encoded)
