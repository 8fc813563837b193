"""Counters of what has happened since the start.

Written only under the lock, by whoever does what is counted, and read by any thread without one:
a number is replaced whole, and a table copied in one step. Messages and bytes are in traffic_counters.py.
"""

from chain.blocktree import BlockNode
from chain.frozen import value

REORGS_KEPT = 20
"""The latest reorganisations that are remembered."""
TX, BLOCK = "tx", "block"
"""Kinds of things that can be rejected."""


@value
class ReorgRecord:
    """A reorganisation."""

    old: BlockNode
    """The tip that was left."""
    new: BlockNode
    """The tip that came."""
    time: float
    """Unix seconds by this node's clock."""


class Counters:
    """The core's sums."""

    def __init__(self) -> None:
        self.blocks_connected = 0
        """Blocks that became part of the best chain, those of a restart among them."""
        self.blocks_disconnected = 0
        """Blocks that left it."""
        self.reorgs = 0
        """Number of reorganisations."""
        self.reorg_depth_most = 0
        """Most blocks that left at once."""
        self.latest_reorgs: tuple[ReorgRecord, ...] = ()
        """The newest first."""
        self._rejects: dict[tuple[str, str], int] = {}

    def moved(self, old: BlockNode, new: BlockNode, disconnected: int, connected: int, unix_time: float) -> None:
        """The tip is `new` after `old`: so many blocks have left the best chain, and so many have come."""
        self.blocks_connected += connected
        self.blocks_disconnected += disconnected
        if disconnected:
            self.reorgs += 1
            self.reorg_depth_most = max(self.reorg_depth_most, disconnected)
            self.latest_reorgs = (ReorgRecord(old, new, unix_time), *self.latest_reorgs[: REORGS_KEPT - 1])

    def rejected(self, what: str, code: str) -> None:
        """A TX or a BLOCK broke a rule. Codes come from the code's own lists, so the table is bounded."""
        self._rejects[what, code] = self._rejects.get((what, code), 0) + 1

    @property
    def rejects(self) -> dict[tuple[str, str], int]:
        """Number of rejects, by what was rejected and by code."""
        return self._rejects.copy()
