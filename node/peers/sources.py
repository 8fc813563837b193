"""A peer as a source of blocks: how much it may be asked for, and what not again."""

from dataclasses import dataclass, field

from chain.hashes import BlockHash
from chain.tree import Entry
from node.peers.bodies import Bodies
from node.peers.bounded import Recent
from node.peers.messages import BLOCKS_BYTES, BLOCKS_MAX

IN_FLIGHT_MAX = 16
"""Blocks asked of one peer at once."""
QUOTA_START = 2
"""Blocks asked at once of a peer that has delivered none; one more for each that it delivers."""
LACKING_MAX = 256
"""Blocks that a peer is known not to have; beyond, the oldest is asked again."""


@dataclass(slots=True)
class Source:
    """One peer."""

    quota: int = QUOTA_START
    """Blocks that it may owe us at once."""
    batch: int = BLOCKS_MAX
    """Blocks asked for in one request: as many as its answers hold."""
    asked: dict[BlockHash, Entry] = field(default_factory=dict)
    """What it was asked for and has not answered."""
    lacking: Recent[BlockHash] = field(default_factory=lambda: Recent(LACKING_MAX))
    progress: float = 0.0
    """When it last delivered, or was asked after owing nothing."""
    rest_until: float = 0.0
    """Not to be asked before."""

    def room(self, now: float) -> int:
        """How many more blocks may be asked of it."""
        return self.quota - len(self.asked) if now >= self.rest_until else 0

    def can_take(self, entry: Entry, now: float) -> bool:
        """True if it could be asked for this block of its branch now."""
        return self.room(now) > 0 and self.may_have(entry)

    def may_have(self, entry: Entry) -> bool:
        """True if nothing speaks against asking it for this block of its branch."""
        return entry.hash not in self.asked and entry.hash not in self.lacking

    def delivered(self, now: float) -> None:
        """It brought a block that it was asked for: it may be asked for more at once."""
        self.progress = now
        self.quota = min(IN_FLIGHT_MAX, self.quota + 1)

    def stalled(self) -> None:
        """It kept others waiting."""
        self.quota = max(1, self.quota // 2)

    def measure(self, bodies: Bodies) -> None:
        """Fit the next requests to the size of these blocks."""
        sizes = [body.block.size for body in bodies if body is not None]
        if sizes:
            self.batch = max(1, min(BLOCKS_MAX, BLOCKS_BYTES * len(sizes) // sum(sizes)))
