"""A mutation of the pool as one value: fee estimates, relay, events and the pool's own counters follow it."""

from chain.frozen import value
from node.mempool.entry import MempoolEntry, MempoolTotals, Removed


@value
class Confirmed:
    """Transactions of the pool that one block has mined."""

    height: int
    """Height of the block."""
    entries: tuple[MempoolEntry, ...]
    """The entries as they were last, with relatives that were mined with them."""


@value
class MempoolChange:
    """Transactions that left and those that entered, numbered in the order of these fields."""

    before: int
    """Number of departures and entries before these: the first of these bears the next number."""
    confirmed: tuple[Confirmed, ...] = ()
    """One for each connected block, lowest first."""
    removed: tuple[Removed, ...] = ()
    """Transactions that left for another reason."""
    added: tuple[MempoolEntry, ...] = ()
    """Transactions that entered, or came back out of disconnected blocks; parents before children."""

    def __len__(self) -> int:
        """Number of departures and entries, together."""
        mined = sum([len(block.entries) for block in self.confirmed]) if self.confirmed else 0
        return mined + len(self.removed) + len(self.added)

    @property
    def entry(self) -> MempoolEntry:
        """The only one that entered."""
        [entry] = self.added
        return entry

    def merge(self, removed: tuple[Removed, ...]) -> "MempoolChange":
        """Both as one change, where these left after it. Who entered and left in it did neither."""
        left = {gone.entry.tx.txid for gone in removed}
        stayed = tuple(entry for entry in self.added if entry.tx.txid not in left)
        if len(stayed) < len(self.added):
            passing = {entry.tx.txid for entry in self.added}
            removed = tuple(gone for gone in removed if gone.entry.tx.txid not in passing)
        return MempoolChange(self.before, self.confirmed, self.removed + removed, stayed)

    def accounts_for(self, before: MempoolTotals, after: MempoolTotals) -> bool:
        """True if the sums over the pool before this change and after it differ by it and nothing else."""
        count, vsize, fee = before.count, before.vsize, before.fee
        for entry in self.added:
            count, vsize, fee = count + 1, vsize + entry.vsize, fee + entry.fee
        left = [gone.entry for gone in self.removed] if self.removed else []
        for block in self.confirmed:
            left += block.entries
        for entry in left:
            count, vsize, fee = count - 1, vsize - entry.vsize, fee - entry.fee
        return count == after.count and vsize == after.vsize and fee == after.fee
