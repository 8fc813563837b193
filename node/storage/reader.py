"""Reads of the ledger and the blocks: node/interface/storage.py's `LedgerView` over two databases.

Blocks and undo are read as they are now even by a snapshot: under their key they never change.
"""

from collections.abc import Callable, Iterator
from itertools import islice

from chain.block import HEADER_SIZE
from chain.coins import Coin
from chain.errors import Invalid
from chain.hashes import BlockHash, Txid, sha256d, to_hex
from chain.params import GENESIS
from chain.tx import OutPoint, Tx, decode_tx
from node.interface.storage import Damaged, HistoryRow, ScriptStats, Spender, StoredTip, TxLocation
from node.storage.chunks import read_parts, read_piece
from node.storage.kv import OnDamage, Reads, Row, end_of, scan_prefix
from node.storage.schema import (
    BODY,
    COIN,
    CONNECTED,
    HEADER,
    HISTORY,
    HISTORY_KEY_SIZE,
    LOCATION,
    LOCATION_VALUE,
    SPENDER,
    SPENDER_VALUE,
    UNDO,
    block_key,
    chain_key,
    decode_coins,
    decode_sums,
    sealed_size,
    split_block_key,
    unseal,
)
from node.storage.script_summaries import read_coins, read_totals, transactions_backwards


class LedgerReader:
    """A Reader. Whatever it finds broken or missing it reports, and raises Damaged: no answer would be right."""

    def __init__(
        self,
        blocks: Reads,
        ledger: Reads,
        tip: StoredTip,
        has_index: bool,
        on_damaged_blocks: OnDamage,
        on_damaged_ledger: OnDamage,
    ) -> None:
        """The last two have `blocks/` repaired, and `ledger/` built anew, at the next start."""
        self.has_index = has_index
        self._blocks = blocks
        self._ledger = ledger
        self._tip = tip
        self._on_damaged_blocks = on_damaged_blocks
        self._on_damaged_ledger = on_damaged_ledger

    def close(self) -> None:
        """Give the snapshot back. Unused ones also go when nobody refers to them any more."""
        self._ledger.close()

    def tip(self) -> StoredTip:
        """The ledger's tip."""
        return self._tip

    def coin(self, point: OutPoint) -> Coin | None:
        """The coin, if it is unspent."""
        encoded = self._ledger.get(COIN + point)
        return None if encoded is None else Coin(encoded)

    def coins(self) -> Iterator[tuple[OutPoint, Coin]]:
        """Every coin, in the order of their outpoints' bytes."""
        return coins_of(self._ledger)

    def block(self, height: int, block_hash: BlockHash) -> bytes | None:
        """The body, or None if it was never stored. Raises Damaged, also where it is not what its hash says."""
        if height == 0:
            return GENESIS.raw if block_hash == GENESIS.hash else None
        parts = self._parts(BODY, height, block_hash, self._is_stored)
        if not parts:
            return None
        raw = b"".join([part for _, part in parts])
        if sha256d(raw[:HEADER_SIZE]) != block_hash:
            raise self._broken(f"{_name(height, block_hash)} is not what its hash says")
        return raw

    def undo(self, height: int, block_hash: BlockHash) -> tuple[Coin, ...] | None:
        """The coins that the block spent, or None if it was never connected. Raises Damaged."""
        if height == 0:
            return () if block_hash == GENESIS.hash else None
        parts = self._parts(UNDO, height, block_hash, self.was_connected)
        if not parts:
            return None
        coins = decode_coins(b"".join([self._unsealed(key, record) for key, record in parts]))
        if coins is None:
            raise self._broken(f"the undo of {_name(height, block_hash)} is cut off")
        return coins

    def undo_sizes(self, top: int) -> Iterator[tuple[int, BlockHash, int]]:
        """Connected blocks of any branch from height `top` down, each with the bytes of the coins that it spent:
        0 for one that has its coinbase alone. Of a large block there are several rows."""
        for key, record in self._blocks.scan(UNDO, block_key(UNDO, top + 1, BlockHash(b"")), reverse=True):
            height, block_hash = split_block_key(key)
            yield height, block_hash, sealed_size(record)

    def was_connected(self, height: int, block_hash: BlockHash) -> bool:
        """True if the block has undo: it is, or once was, in the best chain."""
        if height == 0 or self._is_in_chain(height, block_hash):
            return True
        record = self._blocks.get(block_key(HEADER, height, block_hash))
        return record is not None and record[HEADER_SIZE:] == CONNECTED

    def _is_stored(self, height: int, block_hash: BlockHash) -> bool:
        """True if the block has a body."""
        stored = self._blocks.get(block_key(HEADER, height, block_hash)) is not None
        return stored or self._is_in_chain(height, block_hash)

    def _is_in_chain(self, height: int, block_hash: BlockHash) -> bool:
        return self._ledger.get(chain_key(height)) == block_hash

    def _parts(
        self, prefix: bytes, height: int, block_hash: BlockHash, is_there: Callable[[int, BlockHash], bool]
    ) -> list[Row]:
        """The rows of a body or undo; none if it was never written. `is_there` tells what has to be."""
        key = block_key(prefix, height, block_hash)
        for _ in range(2):  # twice, because it may be written, with what `is_there` reads, between the two looks
            parts = read_parts(self._blocks, key)
            if parts or not is_there(height, block_hash):
                return parts
        what = "the body" if prefix == BODY else "the undo"
        raise self._broken(f"{what} of {_name(height, block_hash)} is lost")

    def _undo_part(self, key: bytes) -> bytes | None:
        record = self._blocks.get(key)
        return None if record is None else self._unsealed(key, record)

    def _unsealed(self, key: bytes, record: bytes) -> bytes:
        content = unseal(key, record)
        if content is None:
            raise self._broken(f"the undo of {_name(*split_block_key(key))} fails its checksum")
        return content

    def _broken(self, reason: str) -> Damaged:
        self._on_damaged_blocks(reason)
        return Damaged(f"stored blocks are damaged ({reason}): start again to have them repaired")

    def condemn_ledger(self, reason: str) -> Damaged:
        """The error to raise where rows of the ledger contradict each other; the next start builds it anew."""
        self._on_damaged_ledger(reason)
        return Damaged(f"the ledger is damaged ({reason}): start again to have it built anew")

    def _need_index(self) -> None:
        if not self.has_index:
            raise LookupError("this node runs without its indexes (--no-index)")

    def tx_location(self, txid: Txid) -> TxLocation | None:
        """The place of a transaction in the best chain. Genesis' coinbase has none, as in Core."""
        self._need_index()
        record = self._ledger.get(LOCATION + txid)
        return None if record is None else TxLocation(*LOCATION_VALUE.unpack(record))

    def tx_at(self, txid: Txid, place: TxLocation, block_hash: BlockHash) -> tuple[Tx, tuple[Coin, ...]]:
        """The transaction at that place of the best chain, whose block has this hash, and the coins
        that it spent. Raises Damaged."""
        raw = read_piece(self._blocks.get, block_key(BODY, place.height, block_hash), place.offset, place.size)
        undo_key = block_key(UNDO, place.height, block_hash)
        spent = read_piece(self._undo_part, undo_key, place.undo_offset, place.undo_size)
        if raw is None or spent is None:
            raise self._broken(f"{_name(place.height, block_hash)} or its undo is lost, or too short")
        coins = decode_coins(spent)
        try:
            tx = decode_tx(raw)
        except Invalid:
            tx = None
        if tx is None or tx.txid != txid or coins is None:
            # The ledger names the place, the blocks what is there: which of them is wrong is not known.
            raise self._broken(str(self.condemn_ledger(f"transaction {to_hex(txid)} is not where it should be")))
        return tx, coins

    def spender(self, point: OutPoint) -> Spender | None:
        """The input that spent an output in the best chain."""
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
        """Coins of the script, at most `limit`, the newest transaction's first."""
        self._need_index()
        height = self._tip.height
        totals = read_totals(self._ledger, script_hash, height)
        coins = list(islice(read_coins(self._ledger, script_hash, totals, height), limit))
        if len(coins) < min(limit, totals.coins_count):
            raise self.condemn_ledger(f"of {totals.coins_count} coins of script {script_hash.hex()} some are missing")
        return coins

    def stats(self, script_hash: bytes) -> ScriptStats:
        """The script's sums."""
        self._need_index()
        return decode_sums(read_totals(self._ledger, script_hash, self._tip.height).sums)


def coins_of(ledger: Reads) -> Iterator[tuple[OutPoint, Coin]]:
    """Every coin of a ledger, in the order of their outpoints' bytes."""
    for key, encoded in scan_prefix(ledger, COIN):
        yield OutPoint(key[1:]), Coin(encoded)


def _name(height: int, block_hash: BlockHash) -> str:
    return f"block {to_hex(block_hash)} at height {height}"
