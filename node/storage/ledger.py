"""The `Store` of node/interface/storage.py, written once over any two key-value databases.

Order of a commit: the undo of what is connected into `blocks/`, synced; then one synced batch
into `ledger/`, tip and digest included; only then does the caller hear of it. So a crash leaves
the ledger on its old tip or on its new one, and never on a tip whose undo is not there.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

from chain.block import HEADER_SIZE
from chain.coins import Coin, CoinsDelta
from chain.hashes import BlockHash
from chain.tx import OutPoint
from node.interface.storage import LedgerChange, LostBlocks, StoredTip, StoreError
from node.storage.chunks import in_parts, read_parts
from node.storage.coins_cache import CoinsCache
from node.storage.headers import StoredHeaders
from node.storage.indexes import Index
from node.storage.kv import Kv, OnDamage, scan_prefix
from node.storage.reader import LedgerReader
from node.storage.schema import (
    BODY,
    COIN,
    CONNECTED,
    DIGEST_MODULUS,
    HEADER,
    LEFT,
    LOST,
    LOST_VALUE,
    MARK,
    TIP,
    UNDO,
    VOUCHED,
    block_key,
    chain_key,
    coins_digest,
    commit_key,
    encode_coins,
    encode_tip,
    seal,
)

log = logging.getLogger("groat.store")

COMMITS_KEPT = 10_000
"""Numbers of the latest commits that are kept: those before them have long been in tables, which are
not lost without a word."""


class Ledger(LedgerReader):
    """Block bodies and the ledger. One thread at a time, that of the core's lock; others read
    snapshots."""

    def __init__(
        self,
        blocks: Kv,
        ledger: Kv,
        tip: StoredTip,
        has_index: bool,
        on_damaged_blocks: OnDamage,
        on_damaged_ledger: OnDamage,
        release: Callable[[], None],
        *,
        headers: StoredHeaders | None = None,
        commits: int = 0,
        vouched: bool = False,
        read_only: bool = False,
        rebuilding: str | None = None,
    ) -> None:
        """Made by recovery.py. `release` gives up the data directory once both are closed.
        `headers` are those that were read on the way, `commits` is the last one's number; `vouched`
        tells whether it is on record that the coins match the digest."""
        super().__init__(blocks, ledger, tip, has_index, on_damaged_blocks, on_damaged_ledger)
        self._blocks_kv = blocks
        self._ledger_kv = ledger
        self._release = release
        self._headers = headers
        self._commits = commits
        self._vouched = vouched
        self._may_vouch = not read_only
        self._cache = CoinsCache()
        self._index = Index(ledger)
        lost = blocks.get(LOST)
        self._lost = LostBlocks(*LOST_VALUE.unpack(lost)) if lost else None
        self.rebuilding = rebuilding
        """Why `ledger/` was thrown away when this was opened, or None: the stored blocks are
        then to be connected again, as at any start."""

    def headers(self) -> Iterator[tuple[int, bytes]]:
        """(height, 80 bytes) of every stored body, genesis left out, heights ascending."""
        headers, self._headers = self._headers, None
        return iter(StoredHeaders(self._blocks) if headers is None else headers)

    def lost(self) -> LostBlocks | None:
        """Blocks that repairs could not keep, until the best chain is as high again."""
        return self._lost

    def marks(self) -> dict[BlockHash, str]:
        """Blocks not to build on, and why."""
        return {BlockHash(key[1:]): mark.decode() for key, mark in scan_prefix(self._blocks_kv, MARK)}

    def set_mark(self, block_hash: BlockHash, mark: str | None) -> None:
        """Mark a block, or take its mark away."""
        self._blocks_kv.write([(MARK + block_hash, mark.encode() if mark else None)], sync=True)

    def put_block(self, height: int, block_hash: BlockHash, raw: bytes, *, sync: bool) -> None:
        """Store a body; unless synced, it is safe from a power cut only after the next commit."""
        self._headers = None
        batch = self._blocks_kv.batch(sync=sync)
        batch.put(block_key(HEADER, height, block_hash), raw[:HEADER_SIZE])
        for key, part in in_parts(block_key(BODY, height, block_hash), raw):
            batch.put(key, part)
        batch.write()

    def drop_block(self, height: int, block_hash: BlockHash) -> None:
        """Forget a stored body that was never connected, its header and its mark."""
        assert block_hash != self._tip.hash, "the ledger stands on it"
        self._headers = None
        batch = self._blocks_kv.batch(sync=False)
        batch.delete(MARK + block_hash)
        batch.delete(block_key(HEADER, height, block_hash))
        for key, _ in read_parts(self._blocks_kv, block_key(BODY, height, block_hash)):
            batch.delete(key)
        batch.write()

    def coin(self, point: OutPoint) -> Coin | None:
        """The coin, if it is unspent."""
        coin = self._cache.get(point)
        if coin is None:
            coin = super().coin(point)
            if coin is not None:
                self._cache.add(point, coin)
        return coin

    def load_coins(self, points: Iterable[OutPoint]) -> None:
        """Have these at hand, as far as they are there: together they are found quicker."""
        cache = self._cache
        missing = [COIN + point for point in points if cache.get(point) is None]
        for key, encoded in self._ledger.get_many(missing).items():
            cache.add(OutPoint(key[1:]), Coin(encoded))

    def commit(
        self,
        height: int,
        block_hash: BlockHash,
        delta: CoinsDelta,
        disconnected: Sequence[LedgerChange],
        connected: Sequence[LedgerChange],
    ) -> None:
        """Move the tip. After an error nothing is certain but that a restart finds out: stop."""
        assert height == self._tip.height - len(disconnected) + len(connected), "a block is one step"
        assert _start_of(disconnected, connected) == self._tip.hash, "from the tip on"
        assert _end_of(disconnected, connected) == block_hash, "to the new tip"
        may_vouch, self._may_vouch = self._may_vouch, False
        self._write_undo(connected)
        if disconnected:
            delta = _without_unchanged(delta)
        spent, created = delta.spent, delta.created
        digest = self._tip.digest + coins_digest(created.items()) - coins_digest(spent.items())
        tip = StoredTip(block_hash, height, digest % DIGEST_MODULUS)

        batch = self._ledger_kv.batch(sync=True)
        put, delete = batch.put, batch.delete
        # Deletes first: a transaction mined again elsewhere has its outpoints in both.
        for point in spent:
            delete(COIN + point)
        for point, coin in created.items():
            put(COIN + point, coin)
        for change in disconnected:
            delete(chain_key(change.height))
            put(block_key(LEFT, change.height, change.block.hash), b"")
        for change in connected:
            put(chain_key(change.height), change.block.hash)
            delete(block_key(LEFT, change.height, change.block.hash))
        if self.has_index:
            self._index.write(batch, self._tip.height, disconnected, connected)
        if self._vouched:
            delete(VOUCHED)
        put(TIP, encode_tip(tip))
        put(commit_key(self._commits + 1), b"")
        delete(commit_key(max(0, self._commits + 1 - COMMITS_KEPT)))
        batch.write()
        self._commits += 1

        self._tip, self._vouched, self._may_vouch = tip, False, may_vouch
        self._cache.apply(delta)
        if self._lost and height >= self._lost.high:
            self._lost = None
            self._blocks_kv.write([(LOST, None)], sync=False)

    def _write_undo(self, connected: Iterable[LedgerChange]) -> None:
        self._headers = None
        batch = self._blocks_kv.batch(sync=True)
        for change in connected:
            undo_key = block_key(UNDO, change.height, change.block.hash)
            for key, part in in_parts(undo_key, encode_coins(change.undo)):
                batch.put(key, seal(key, part))
            header_key = block_key(HEADER, change.height, change.block.hash)
            batch.put(header_key, change.block.header.raw + CONNECTED)
        batch.write()

    def snapshot(self) -> LedgerReader:
        """The ledger as it stands, for a reader that takes no lock."""
        ledger = self._ledger_kv.snapshot()
        condemn = self._on_damaged_blocks, self._on_damaged_ledger
        return LedgerReader(self._blocks, ledger, self._tip, self.has_index, *condemn)

    def close(self) -> None:
        """Give up the databases and the directory. Nobody may be reading any more."""
        if self._may_vouch and not self._vouched:
            try:
                self._ledger_kv.write([(VOUCHED, encode_tip(self._tip))], sync=True)
            except StoreError as error:
                log.warning("the next start has to check all coins: %s", error)
        self._may_vouch = False
        self._ledger_kv.close()
        self._blocks_kv.close()
        self._release()


def _start_of(disconnected: Sequence[LedgerChange], connected: Sequence[LedgerChange]) -> BlockHash:
    """The tip before these changes."""
    return disconnected[0].block.hash if disconnected else connected[0].block.header.prev_hash


def _end_of(disconnected: Sequence[LedgerChange], connected: Sequence[LedgerChange]) -> BlockHash:
    """The tip after these changes."""
    return connected[-1].block.hash if connected else disconnected[-1].block.header.prev_hash


def _without_unchanged(delta: CoinsDelta) -> CoinsDelta:
    """The delta without the coins that two branches make alike: these are spent and created again."""
    unchanged = {point for point, coin in delta.created.items() if delta.spent.get(point) == coin}
    if not unchanged:
        return delta
    return CoinsDelta(
        {point: coin for point, coin in delta.created.items() if point not in unchanged},
        {point: coin for point, coin in delta.spent.items() if point not in unchanged},
    )
