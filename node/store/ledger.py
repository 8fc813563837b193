"""The Store of node/ports.py, written once over any two key-value databases.

Order of a commit: the undo of what is connected into `blocks/`, synced; then one synced batch
into `ledger/`, tip and digest included; only then does the caller hear of it. So a crash leaves
the ledger on its old tip or on its new one, and never on a tip whose undo is not there.
"""

import logging
from collections.abc import Callable, Iterator, Sequence

from chain.block import HEADER_SIZE
from chain.coins import CoinsDelta
from chain.hashes import BlockHash, sha256d, to_hex
from node.ports import Change, Reader, Tip
from node.store.indexes import index_edits
from node.store.kv import Edit, Kv, OnDamage, Reads, scan_prefix
from node.store.reader import LedgerReader
from node.store.schema import (
    BODY,
    COIN,
    DIGEST_MODULUS,
    HEADER,
    MARK,
    TIP,
    UNDO,
    block_key,
    coins_digest,
    encode_tip,
    encode_undo,
    split_block_key,
)

log = logging.getLogger("groat.store")


class Ledger(LedgerReader):
    """Block bodies and the ledger. One writer at a time; reads are safe beside it."""

    def __init__(
        self,
        blocks: Kv,
        ledger: Kv,
        tip: Tip,
        has_index: bool,
        on_damage: OnDamage,
        release: Callable[[], None],
        rebuilding: str | None = None,
    ) -> None:
        """Made by opening.py. `release` gives up the data directory once both are closed."""
        super().__init__(blocks, ledger, tip, has_index, on_damage)
        self._blocks_kv = blocks
        self._ledger_kv = ledger
        self._release = release
        self.rebuilding = rebuilding
        """Why `ledger/` was thrown away when this was opened, or None: the stored blocks are
        then to be connected again, as at any start."""

    def headers(self) -> Iterator[tuple[int, bytes]]:
        """(height, 80 bytes) of every stored body, genesis left out, heights ascending."""
        for height, _, raw in stored_headers(self._blocks_kv):
            yield height, raw

    def marks(self) -> dict[BlockHash, str]:
        """Blocks not to build on, and why."""
        return {BlockHash(key[1:]): mark.decode() for key, mark in scan_prefix(self._blocks_kv, MARK)}

    def set_mark(self, block_hash: BlockHash, mark: str | None) -> None:
        """Mark a block, or take its mark away."""
        self._blocks_kv.write([(MARK + block_hash, mark.encode() if mark else None)], sync=True)

    def put_block(self, height: int, block_hash: BlockHash, raw: bytes, *, sync: bool) -> None:
        """Store a body; unless synced, it is safe from a power cut only after the next commit."""
        edits: list[Edit] = [
            (block_key(HEADER, height, block_hash), raw[:HEADER_SIZE]),
            (block_key(BODY, height, block_hash), raw),
        ]
        self._blocks_kv.write(edits, sync=sync)

    def commit(
        self,
        height: int,
        block_hash: BlockHash,
        delta: CoinsDelta,
        disconnected: Sequence[Change],
        connected: Sequence[Change],
    ) -> None:
        """Move the tip. After an error nothing is certain but that a restart finds out: stop."""
        undo_keys = [(block_key(UNDO, change.height, change.block.hash), change.undo) for change in connected]
        self._blocks_kv.write([(key, encode_undo(key, undo)) for key, undo in undo_keys], sync=True)
        created = coins_digest(delta.created.items())
        spent = coins_digest(delta.spent.items())
        tip = Tip(block_hash, height, (self._tip.digest + created - spent) % DIGEST_MODULUS)
        self._ledger_kv.write(self._edits(tip, delta, disconnected, connected), sync=True)
        self._tip = tip

    def _edits(
        self, tip: Tip, delta: CoinsDelta, disconnected: Sequence[Change], connected: Sequence[Change]
    ) -> Iterator[Edit]:
        # Deletes first: a transaction mined again elsewhere has its outpoints in both.
        for point in delta.spent:
            yield COIN + point, None
        for point, coin in delta.created.items():
            yield COIN + point, coin
        if self.has_index:
            yield from index_edits(disconnected, connected)
        yield TIP, encode_tip(tip)

    def snapshot(self) -> LedgerReader:
        """The ledger as it stands, for a reader that takes no lock."""
        return LedgerReader(self._blocks, self._ledger_kv.snapshot(), self._tip, self.has_index, self._on_damage)

    def close(self) -> None:
        """Give up the databases and the directory. Nobody may be reading any more."""
        self._ledger_kv.close()
        self._blocks_kv.close()
        self._release()


def stored_headers(blocks: Reads, *, reverse: bool = False) -> Iterator[tuple[int, BlockHash, bytes]]:
    """(height, hash, 80 bytes) of every stored body, those that do not fit their hash left out."""
    for key, raw in scan_prefix(blocks, HEADER, reverse=reverse):
        height, block_hash = split_block_key(key)
        if sha256d(raw) == block_hash:
            yield height, block_hash, raw
        else:
            log.error("stored header of block %s at height %d is not what its hash says", to_hex(block_hash), height)


def recompute_digest(reader: Reader) -> int:
    """The digest over the coins as they are: what `reader.tip().digest` has to be."""
    return coins_digest(reader.coins())
