"""Views for readers: one consistent picture of the node, taken without the lock.

After each change of the tip the runtime publishes a new View by a single assignment. A reader
takes it once and works on it to the end; of the block tree only headers that lead nowhere are
ever forgotten, and the pool's view stays as it was when the tip changes.
"""

from dataclasses import dataclass, field

from chain.blocktree import BlockTree, Entry, is_on
from chain.hashes import BlockHash
from chain.params import Params
from chain.tx import OutPoint, Tx
from node.chainstate.block_cache import RecentBlocks
from node.interface.counters import Counts
from node.interface.mock_time import ChainTime
from node.interface.storage import LostBlocks, Reader
from node.mempool.fee_estimator import FeeView
from node.mempool.mempool import MempoolView
from node.p2p.block_sync.initial_block_download import CatchUp
from node.p2p.scoring.block_serving import Service


@dataclass(frozen=True, slots=True)
class View:
    tip: Entry
    """The last block of the committed best chain."""
    tree: BlockTree
    """All known headers; live."""
    reader: Reader
    """The store as it was when `tip` was committed."""
    pool: MempoolView
    """Unconfirmed transactions on top of `tip`."""
    fees: FeeView
    """Fee estimates from recent blocks."""
    params: Params
    recent: RecentBlocks
    """The last connected blocks; live."""
    service: Service = field(default_factory=Service)
    """The rules by which blocks are served; live."""
    counts: Counts = field(default_factory=Counts)
    """Counts of what has happened so far; live."""
    time: ChainTime = field(default_factory=ChainTime)
    """The time for rules, policy and mining; live."""
    catch_up: CatchUp = field(default_factory=CatchUp)
    """The state of catching up; live."""
    lost: LostBlocks | None = None
    """Stored blocks that a repair could not keep, and that have not come again."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the chain for the operator."""
        if self.lost is None:
            return ()
        count, low, high = self.lost.count, self.lost.low, self.lost.high
        what = f"{count} blocks from height {low} to {high} were lost with damaged storage"
        return (f"{what}: they come again from peers, or are gone where no peer has them; the log names them",)

    def tx_spending(self, point: OutPoint) -> Tx | None:
        """A transaction of the pool or of a recent block of the best chain whose first input may be
        this coin: for `decode_block`, which looks whether it is the one."""
        return self.pool.tx_spending(point) or self.recent.tx_spending(point)

    @property
    def best_header(self) -> Entry:
        """The most work that any valid header claims."""
        return self.tree.best_header

    @property
    def behind(self) -> int:
        """Blocks from the tip up to the best header. Perhaps nobody delivers them."""
        return max(0, self.best_header.height - self.tip.height)

    def is_catching_up(self, behind: int, now: float) -> bool:
        """True while peers deliver blocks of a chain that is more than so many blocks ahead."""
        return self.behind > behind and self.catch_up.is_under_way(now)

    def entry_at(self, height: int) -> Entry | None:
        """The best chain's block at `height`, or None outside of it."""
        return self.tip.ancestor(height) if 0 <= height <= self.tip.height else None

    def in_best_chain(self, entry: Entry) -> bool:
        """True if `entry` is the tip or one of its ancestors."""
        return is_on(entry, self.tip)

    def confirmations(self, entry: Entry) -> int:
        """Blocks from `entry` to the tip, both counted; -1 outside the best chain, as in Core."""
        return self.tip.height - entry.height + 1 if self.in_best_chain(entry) else -1

    def raw_block(self, entry: Entry) -> bytes | None:
        """The bytes of a block of any branch, or None where only its header is known."""
        return self.reader.block(entry.height, entry.hash)

    def get(self, block_hash: BlockHash) -> Entry | None:
        """The block of this hash, on any branch."""
        return self.tree.get(block_hash)
