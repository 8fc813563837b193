"""Decoded blocks in memory: those that wait to be connected, and the last ones that were.

A reorganisation leaves blocks that were connected not long ago, and finds most of their
transactions again on the other branch: what is here is neither read nor decoded again.
"""

from collections import OrderedDict
from itertools import islice

from chain.block import Block
from chain.hashes import BlockHash
from chain.tx import OutPoint, Tx
from node.interface.storage import LedgerChange

WAITING_MAX = 1_024
"""Blocks kept between arrival and connection."""
WAITING_BYTES_MAX = 16 * 1024 * 1024
"""Bytes of those; beyond, the oldest is read again from storage. Decoded a block takes some seven
times as much."""
CONNECTED_MAX = 1_024
"""Connected blocks kept."""
CONNECTED_BYTES_MAX = 16 * 1024 * 1024
"""Bytes of those."""


class BlockCache:
    """Blocks by their hashes. Call only under the lock, but for `tx_spending`."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[BlockHash, Block] = OrderedDict()
        self._waiting_bytes = 0
        self._connected: OrderedDict[BlockHash, LedgerChange] = OrderedDict()
        self._connected_bytes = 0
        self._spenders: dict[OutPoint, Tx] = {}
        """Transactions of the connected blocks: each by the coin that its first input spends."""

    def add(self, block: Block) -> None:
        """A block has come in."""
        self._waiting[block.hash] = block
        self._waiting_bytes += block.size
        while len(self._waiting) > WAITING_MAX or self._waiting_bytes > WAITING_BYTES_MAX:
            self._waiting_bytes -= self._waiting.popitem(last=False)[1].size

    def take(self, block_hash: BlockHash) -> Block | None:
        """The block, to be connected now or forgotten, if it is still here."""
        block = self._waiting.pop(block_hash, None)
        if block is not None:
            self._waiting_bytes -= block.size
        return block

    def connected(self, change: LedgerChange) -> None:
        """The ledger has this block now."""
        block = change.block
        self._connected[block.hash] = change
        self._connected_bytes += block.size
        for tx in block.txs[1:]:
            self._spenders[tx.inputs[0].outpoint] = tx
        while len(self._connected) > CONNECTED_MAX or self._connected_bytes > CONNECTED_BYTES_MAX:
            self._forget(next(iter(self._connected)))

    def disconnected(self, block_hash: BlockHash) -> None:
        """The ledger has left this block."""
        if block_hash in self._connected:
            self._forget(block_hash)

    def change(self, block_hash: BlockHash) -> LedgerChange | None:
        """A connected block and the coins it spent, if it is still here."""
        return self._connected.get(block_hash)

    def newest(self, count: int) -> tuple[Block, ...]:
        """The last connected blocks, the newest first."""
        return tuple(change.block for change in islice(reversed(self._connected.values()), count))

    def tx_spending(self, point: OutPoint) -> Tx | None:
        """A transaction of a connected block whose first input spends this coin. From any thread."""
        return self._spenders.get(point)

    def _forget(self, block_hash: BlockHash) -> None:
        block = self._connected.pop(block_hash).block
        self._connected_bytes -= block.size
        for tx in block.txs[1:]:
            point = tx.inputs[0].outpoint
            if self._spenders.get(point) is tx:
                del self._spenders[point]
