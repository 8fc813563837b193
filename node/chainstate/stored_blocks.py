"""Blocks to be connected or disconnected: decoded ones from the cache, the others from the store."""

from chain.block import Block, TxLookup, decode_block
from chain.blocktree import BlockNode
from chain.errors import Invalid
from node.chainstate.block_cache import BlockCache
from node.interface.storage import Damaged, LedgerChange, Store


class BodyLost(Exception):
    """A body on the way cannot be read."""

    def __init__(self, entry: BlockNode) -> None:
        super().__init__(entry)
        self.entry = entry


class StoredBlocks:
    """The bodies of all branches, and what those of the best chain did to the ledger."""

    def __init__(self, store: Store, recent: BlockCache) -> None:
        self._store = store
        self._recent = recent

    def body(self, entry: BlockNode, known: TxLookup, *, load_coins: bool) -> Block:
        """The block, to be connected now: transactions that are `known` are not decoded again; `load_coins` fetches
        all that it spends at once. Raises BodyLost."""
        block = self._recent.take(entry.hash)
        if block is None:
            try:
                raw = self._store.block(entry.height, entry.hash)
                block = decode_block(raw or b"", known)
            except (Damaged, Invalid):  # it was whole when it was stored; not followed yet, it can come again
                raise BodyLost(entry) from None
        if load_coins:
            made = {tx.txid for tx in block.txs}
            points = [spent.outpoint for tx in block.txs[1:] for spent in tx.inputs]
            self._store.load_coins([point for point in points if point[:32] not in made])
        return block

    def change(self, entry: BlockNode) -> LedgerChange:
        """A block of the best chain with the coins it spent. Raises Damaged."""
        if (change := self._recent.change(entry.hash)) is not None:
            return change
        undo = self._store.undo(entry.height, entry.hash)
        raw = self._store.block(entry.height, entry.hash)
        assert undo is not None, "it is in the best chain"
        assert raw is not None
        return LedgerChange(decode_block(raw), entry.height, undo)
