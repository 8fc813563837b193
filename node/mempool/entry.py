"""A transaction of the pool as a value, with what it adds up to with its relatives."""

from enum import StrEnum

from chain.coins import Coin
from chain.frozen import value
from chain.hashes import Txid
from chain.scripttype import is_data_carrier
from chain.tx import OutPoint, Tx

MEMPOOL_HEIGHT = 0x7FFF_FFFF
"""The height of coins that no block has made yet, where one has to be given."""

_ENTRY_BYTES = 1_000
_INPUT_BYTES = 620
_OUTPUT_BYTES = 370


@value
class MempoolTotals:
    """Sums over a set of transactions."""

    count: int
    """Number of transactions."""
    vsize: int
    """Virtual bytes."""
    fee: int
    """Satoshis."""

    def plus(self, other: "MempoolTotals") -> "MempoolTotals":
        """Totals of two sets that share nothing."""
        return MempoolTotals(self.count + other.count, self.vsize + other.vsize, self.fee + other.fee)

    def minus(self, other: "MempoolTotals") -> "MempoolTotals":
        """Totals of this set without `other`, which is part of it."""
        return MempoolTotals(self.count - other.count, self.vsize - other.vsize, self.fee - other.fee)


NOTHING = MempoolTotals(0, 0, 0)


@value
class MempoolEntry:
    """Never changed: when its relatives change, another value takes its place in the pool."""

    tx: Tx
    fee: int
    """Satoshis."""
    vsize: int
    """Virtual bytes."""
    weight: int
    """Weight units."""
    sigops: int
    """Signature-operation cost, as a block counts it (BIP141)."""
    usage: int
    """About how many bytes of memory it takes here."""
    time: float
    """Time of entry, Unix time in seconds."""
    height: int
    """Height of the tip when it entered."""
    sequence: int
    """The order of entries: parents come before children, and else the older before the newer."""
    spent: tuple[Coin, ...]
    """The coins of its inputs, in order. Those made in the pool stand at the height of the block
    that could have come next when this entered."""
    waits: bool
    """The transaction spends a coinbase or has a relative lock: a reorg can make it wait again."""
    parents: tuple[Txid, ...]
    """The transactions of the pool whose outputs it spends."""
    ancestors: MempoolTotals
    """Over all of the pool that has to be mined before it, and itself."""
    descendants: MempoolTotals
    """Over itself and all of the pool that can be mined only after it."""

    @property
    def txid(self) -> Txid:
        """The transaction's."""
        return self.tx.txid

    @property
    def fee_rate(self) -> float:
        """The transaction's own fee rate, in satoshis per virtual byte."""
        return self.fee / self.vsize

    @property
    def own(self) -> MempoolTotals:
        """The sums over this one alone."""
        return MempoolTotals(1, self.vsize, self.fee)

    def related(
        self, parents: tuple[Txid, ...], ancestors: MempoolTotals, descendants: MempoolTotals
    ) -> "MempoolEntry":
        """The entry of the same transaction among other relatives."""
        return MempoolEntry(
            self.tx,
            self.fee,
            self.vsize,
            self.weight,
            self.sigops,
            self.usage,
            self.time,
            self.height,
            self.sequence,
            self.spent,
            self.waits,
            parents,
            ancestors,
            descendants,
        )


def pool_coin(entry: MempoolEntry, point: OutPoint, height: int) -> Coin | None:
    """The coin that an entry's output is, as if made at `height`; None if it cannot be spent."""
    index = int.from_bytes(point[32:], "little")
    outputs = entry.tx.outputs
    # The only unspendable outputs that policy lets in are OP_RETURNs.
    if index >= len(outputs) or is_data_carrier(outputs[index].script):
        return None
    return Coin.make(height, False, outputs[index])


def memory_usage(tx: Tx) -> int:
    """About how many bytes a transaction takes in the pool, its places in the indexes included.

    Linear in its parts and rather too high than too low (a test measures it), so that the pool's
    limit is one on real memory.
    """
    return _ENTRY_BYTES + len(tx.inputs) * _INPUT_BYTES + len(tx.outputs) * _OUTPUT_BYTES + 2 * len(tx.raw)


class Removal(StrEnum):
    """The reason that a transaction has left the pool."""

    CONFIRMED = "block"
    """The transaction is in a block of the best chain."""
    CONFLICT = "conflict"
    """A block spent a coin of it or of an ancestor."""
    REPLACED = "replaced"
    """Another one that pays more took its coins."""
    EVICTED = "sizelimit"
    """The pool was full, and it paid least."""
    EXPIRED = "expiry"
    """It, or an ancestor, has waited too long."""
    REORG = "reorg"
    """The transaction's inputs or its lock time do not hold on the new best chain."""


@value
class Removed:
    """A transaction that has left the pool."""

    entry: MempoolEntry
    """The entry as it last was."""
    reason: Removal
