"""Events as effects: for followers and subscribers, see events.py."""

from itertools import count

from chain.block import HEADER_SIZE
from chain.blocktree import BlockNode, BlockTree, fork_point
from chain.codec import read_varint
from node.chainstate.tip_change import TipChange
from node.interface.effects import Publish
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
from node.interface.outbox import Outbox
from node.interface.storage import LedgerView
from node.mempool.change import MempoolChange
from node.mempool.entry import Removal


class EventPublisher:
    """Tells in the order of calls."""

    def __init__(self, outbox: Outbox, tree: BlockTree, store: LedgerView) -> None:
        self._outbox = outbox
        self._tree = tree
        self._store = store

    def pool_changed(self, change: MempoolChange) -> None:
        """Transactions have left the mempool, and others entered it."""
        numbers = count(change.before + 1)
        left = [[(entry, Removal.CONFIRMED) for entry in block.entries] for block in change.confirmed]
        left.append([(gone.entry, gone.reason) for gone in change.removed])
        for group in filter(None, left):
            events = [TxRemoved(entry.tx.txid, reason, next(numbers)) for entry, reason in group]
            self._outbox.add(Publish(MEMPOOL_REMOVE, events))
        for entry in change.added:
            event = TxAdded(entry.tx.txid, entry.fee, entry.vsize, next(numbers))
            self._outbox.add(Publish(MEMPOOL_ADD, (event,), entry.tx))

    def stored(self, block: BlockNode) -> None:
        """A block's body is new here."""
        self._outbox.add(Publish(BLOCK_STORED, (BlockPlaced(block),)))

    def moved(self, change: TipChange) -> None:
        """Blocks have left the best chain, tip first, and others joined it; the new tip is told of later."""
        if change.disconnected:
            depth, fork = len(change.disconnected), fork_point(change.old, change.new)
            self._outbox.add(Publish(REORG, (Reorganised(depth, fork, change.old, change.new),), change))
        entries = self._tree.entries
        for topic, moved in ((BLOCK_DISCONNECTED, change.disconnected), (BLOCK, change.connected)):
            if moved:
                self._outbox.add(Publish(topic, [BlockPlaced(entries[one.block.hash]) for one in moved]))

    def tip(self, change: TipChange, mempool_count: int) -> None:
        """Everything has followed the best chain to its new tip."""
        self._outbox.add(Publish(TIP, (TipMoved(change.new, self._tx_count(change), mempool_count),), change))

    def _tx_count(self, change: TipChange) -> int:
        if change.connected:
            return len(change.connected[-1].block.txs)
        raw = self._store.block(change.new.height, change.new.hash)
        assert raw is not None, "it is in the best chain"
        return read_varint(raw, HEADER_SIZE)[0]
