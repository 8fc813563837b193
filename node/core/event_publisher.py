"""Events as effects: for followers and subscribers, see events.py."""

from collections.abc import Iterable

from chain.block import HEADER_SIZE
from chain.blocktree import BlockNode, BlockTree, fork_point
from chain.codec import read_varint
from chain.hashes import Txid
from node.chainstate.chainstate import TipChange
from node.interface.effects import Effect, Publish
from node.interface.events import (
    BLOCK,
    BLOCK_DISCONNECTED,
    BLOCK_STORED,
    MEMPOOL_ADD,
    MEMPOOL_REMOVE,
    REORG,
    TIP,
    BlockPlaced,
    Reorganised,
    TipMoved,
    TxAdded,
    TxRemoved,
)
from node.interface.storage import LedgerView
from node.mempool.entry import MempoolEntry


class EventPublisher:
    """Tells in the order of calls, and counts what happens in the mempool."""

    def __init__(self, tree: BlockTree, store: LedgerView) -> None:
        self._tree = tree
        self._store = store
        self._changes = 0
        """Number of changes of the mempool; in the end the same as `MempoolView.changes`."""

    def added(self, entry: MempoolEntry) -> Effect:
        """A transaction is in the mempool."""
        self._changes += 1
        return Publish(MEMPOOL_ADD, (TxAdded(entry.tx.txid, entry.fee, entry.vsize, self._changes),), entry.tx)

    def removed(self, removed: Iterable[tuple[Txid, str]]) -> list[Effect]:
        """Transactions are no longer in the mempool, each for a reason that is a `Removal`."""
        start = self._changes + 1
        events = [TxRemoved(txid, reason, number) for number, (txid, reason) in enumerate(removed, start)]
        self._changes += len(events)
        return [Publish(MEMPOOL_REMOVE, events)] if events else []

    def stored(self, block: BlockNode) -> Effect:
        """A block's body is new here."""
        return Publish(BLOCK_STORED, (BlockPlaced(block),))

    def moved(self, change: TipChange) -> list[Effect]:
        """Blocks have left the best chain, tip first, and others joined it; the new tip is told of later."""
        effects: list[Effect] = []
        if change.disconnected:
            depth, fork = len(change.disconnected), fork_point(change.old, change.new)
            effects.append(Publish(REORG, (Reorganised(depth, fork, change.old, change.new),), change))
        entries = self._tree.entries
        for topic, moved in ((BLOCK_DISCONNECTED, change.disconnected), (BLOCK, change.connected)):
            if moved:
                effects.append(Publish(topic, [BlockPlaced(entries[one.block.hash]) for one in moved]))
        return effects

    def tip(self, change: TipChange, mempool_count: int) -> Effect:
        """Everything has followed the best chain to its new tip."""
        return Publish(TIP, (TipMoved(change.new, self._tx_count(change), mempool_count),), change)

    def _tx_count(self, change: TipChange) -> int:
        if change.connected:
            return len(change.connected[-1].block.txs)
        raw = self._store.block(change.new.height, change.new.hash)
        assert raw is not None, "it is in the best chain"
        return read_varint(raw, HEADER_SIZE)[0]
