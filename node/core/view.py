"""Views for readers: one consistent picture of the node, taken without the lock.

After each change of the tip the runtime publishes a new NodeView by a single assignment. A reader
takes it once and works on it to the end; of the block tree only headers that lead nowhere are
ever forgotten, and the pool's view stays as it was when the tip changes.
"""

from dataclasses import dataclass, field

from chain.blocktree import BlockNode, BlockTree, is_on
from chain.hashes import BlockHash
from chain.params import Params
from chain.tx import OutPoint, Tx
from node.chainstate.block_cache import BlockCache
from node.interface.counters import Counters
from node.interface.mock_time import MockTime
from node.interface.storage import LedgerView, LostBlocks
from node.mempool.fee_estimator import FeeView
from node.mempool.mempool import MempoolView
from node.p2p.block_sync.initial_block_download import InitialBlockDownload
from node.p2p.scoring.block_serving import BlockServing


@dataclass(frozen=True, slots=True)
class NodeView:
    tip: BlockNode
    """The last block of the committed best chain."""
    tree: BlockTree
    """All known headers; live."""
    reader: LedgerView
    """The store as it was when `tip` was committed."""
    pool: MempoolView
    """Unconfirmed transactions on top of `tip`."""
    fees: FeeView
    """Fee estimates from recent blocks."""
    params: Params
    recent: BlockCache
    """The last connected blocks; live."""
    service: BlockServing = field(default_factory=BlockServing)
    """The rules by which blocks are served; live."""
    counts: Counters = field(default_factory=Counters)
    """Counters of what has happened so far; live."""
    time: MockTime = field(default_factory=MockTime)
    """The time for rules, policy and mining; live."""
    catch_up: InitialBlockDownload = field(default_factory=InitialBlockDownload)
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
    def best_header(self) -> BlockNode:
        """The most work that any valid header claims."""
        return self.tree.best_header

    @property
    def behind(self) -> int:
        """Blocks from the tip up to the best header. Perhaps nobody delivers them."""
        return max(0, self.best_header.height - self.tip.height)

    def is_catching_up(self, behind: int, now: float) -> bool:
        """True while peers deliver blocks of a chain that is more than so many blocks ahead."""
        return self.behind > behind and self.catch_up.is_under_way(now)

    def entry_at(self, height: int) -> BlockNode | None:
        """The best chain's block at `height`, or None outside of it."""
        return self.tip.ancestor(height) if 0 <= height <= self.tip.height else None

    def in_best_chain(self, entry: BlockNode) -> bool:
        """True if `entry` is the tip or one of its ancestors."""
        return is_on(entry, self.tip)

    def confirmations(self, entry: BlockNode) -> int:
        """Blocks from `entry` to the tip, both counted; -1 outside the best chain, as in Core."""
        return self.tip.height - entry.height + 1 if self.in_best_chain(entry) else -1

    def raw_block(self, entry: BlockNode) -> bytes | None:
        """The bytes of a block of any branch, or None where only its header is known."""
        return self.reader.block(entry.height, entry.hash)

    def get(self, block_hash: BlockHash) -> BlockNode | None:
        """The block of this hash, on any branch."""
        return self.tree.get(block_hash)
