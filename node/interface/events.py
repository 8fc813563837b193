"""Events of the core as they happen: values that cost little, since most of the time nobody listens.

An event holds what it takes to tell of it and nothing large, for the last of them are kept a while;
`fields` is what followers are told, made when the first one asks.
"""

from collections.abc import Mapping

from chain.blocktree import BlockNode
from chain.frozen import value
from chain.hashes import Txid, to_hex

EventFields = Mapping[str, "str | int | float | EventFields | None"]
"""An event as JSON has it."""
TIP, REORG = "tip", "reorg"
BLOCK, BLOCK_DISCONNECTED, BLOCK_STORED = "block", "block_disconnected", "block_stored"
MEMPOOL_ADD, MEMPOOL_REMOVE = "mempool_add", "mempool_remove"
TOPICS = (TIP, REORG, BLOCK, BLOCK_DISCONNECTED, BLOCK_STORED, MEMPOOL_ADD, MEMPOOL_REMOVE)
"""Topics that can be followed."""


@value
class TipMoved:
    """The best chain has a new tip."""

    tip: BlockNode
    tx_count: int
    """Transactions of its block."""
    mempool_count: int
    """Transactions that wait now."""

    def fields(self) -> EventFields:
        """The fields of the event, as followers get them."""
        return {**_header(self.tip), "tx_count": self.tx_count, "mempool_count": self.mempool_count}


@value
class Reorganised:
    """Blocks have left the best chain."""

    depth: int
    """Number of blocks."""
    fork: BlockNode
    """The last block that both branches have."""
    old: BlockNode
    new: BlockNode

    def fields(self) -> EventFields:
        """The fields of the event, as followers get them."""
        ends = {"fork": self.fork, "old_tip": self.old, "new_tip": self.new}
        places: EventFields = {
            name: {"hash": to_hex(entry.hash), "height": entry.height} for name, entry in ends.items()
        }
        return {"depth": self.depth, **places}


@value
class BlockPlaced:
    """A block has entered the best chain, or left it, or its body is stored: the topic says which."""

    block: BlockNode

    def fields(self) -> EventFields:
        """The fields of the event, as followers get them."""
        return _header(self.block)


@value
class TxAdded:
    """A transaction is in the mempool."""

    txid: Txid
    fee: int
    """Satoshis."""
    vsize: int
    """Virtual bytes."""
    sequence: int
    """Number of this change of the mempool: its first is 1."""

    def fields(self) -> EventFields:
        """The fields of the event, as followers get them; the rate in satoshis per virtual byte."""
        rate = round(self.fee / self.vsize, 3)
        return {"txid": to_hex(self.txid), "fee": self.fee, "vsize": self.vsize, "fee_rate": rate}


@value
class TxRemoved:
    """A transaction is no longer in the mempool."""

    txid: Txid
    reason: str
    """A `Removal`."""
    sequence: int
    """Number of this change of the mempool."""

    def fields(self) -> EventFields:
        """The fields of the event, as followers get them."""
        return {"txid": to_hex(self.txid), "reason": str(self.reason)}


Event = TipMoved | Reorganised | BlockPlaced | TxAdded | TxRemoved


def _header(block: BlockNode) -> EventFields:
    parent = block.parent.hash if block.parent else None
    return {
        "hash": to_hex(block.hash),
        "height": block.height,
        "previousblockhash": None if parent is None else to_hex(parent),
        "time": block.time,
    }
