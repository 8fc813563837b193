"""A peer as a source of blocks: how much it may be asked for, and what not again."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from chain.blocktree import BlockNode
from chain.hashes import BlockHash
from node.interface.bounded import BoundedSet
from node.interface.effects import Bodies
from node.interface.messages import BLOCKS_BYTES, BLOCKS_MAX

IN_FLIGHT_MAX = 16
"""Blocks asked of one peer at once."""
QUOTA_START = 2
"""Blocks asked at once of a peer that has delivered none; one more for each that it delivers."""
LEAST_PACE_S = 0.001
"""Faster is not told apart."""
SLOW_FACTOR = 4.0
"""A peer is slow that takes so many times as long for a block as the fastest,"""
SLOW_SHARE_S = 1.0
"""and owes us no more than it delivers in this time, or one block."""
LACKING_MAX = 256
"""Blocks that a peer is known not to have; beyond, the oldest is asked again."""

EARLY_MAX = 16
"""Blocks remembered that a peer pushed unasked, and so before it knew whether they are valid."""


class Asked(NamedTuple):
    """A block that a peer owes us."""

    entry: BlockNode
    at: float
    """Time of the request."""


@dataclass(slots=True)
class DownloadSource:
    """A peer that blocks are asked of."""

    timeout_s: float
    """Deadline of its next request."""
    quota: int = QUOTA_START
    """Blocks that it may owe us at once."""
    batch: int = BLOCKS_MAX
    """Blocks asked for in one request: as many as its answers hold."""
    pace_s: float = 0.0
    """Seconds that it takes for a block; 0 while it has delivered none."""
    share: int = IN_FLIGHT_MAX
    """Most blocks in flight from it beside faster ones."""
    stalls: int = 0
    """Number of stalls since it last delivered."""
    asked: dict[BlockHash, Asked] = field(default_factory=dict)
    """Blocks requested from it and not answered."""
    lacking: BoundedSet[BlockHash] = field(default_factory=lambda: BoundedSet(LACKING_MAX))
    early: BoundedSet[BlockHash] = field(default_factory=lambda: BoundedSet(EARLY_MAX))
    """Blocks that it showed us before its own verdict."""
    answered: float = 0.0
    """Time of the request for the last block that it delivered."""
    progress: float = 0.0
    """Time of its last delivery, or of the first request after it owed nothing."""
    rest_until: float = 0.0
    """Time before which it is not asked."""

    def room(self, now: float) -> int:
        """Number of further blocks that may be requested from it."""
        return min(self.quota, self.share) - len(self.asked) if now >= self.rest_until else 0

    @property
    def rank(self) -> tuple[int, bool, bool]:
        """Rank: those that have shown that they deliver come first, and get the blocks waited for most."""
        return self.stalls, self.share < IN_FLIGHT_MAX, not self.pace_s

    def can_take(self, entry: BlockNode, now: float) -> bool:
        """True if it could be asked for this block of its branch now, or soon: it is busy delivering."""
        can_soon = now >= self.rest_until and not self.stalls
        return (can_soon or self.room(now) > 0) and self.may_have(entry)

    def may_have(self, entry: BlockNode) -> bool:
        """True if nothing speaks against asking it for this block of its branch."""
        return entry.hash not in self.asked and entry.hash not in self.lacking

    def delivered(self, now: float) -> None:
        """Note that the peer brought a block that it was asked for: it may be asked for more at once."""
        self.progress = now
        self.stalls = 0
        self.quota = min(IN_FLIGHT_MAX, self.quota + 1)

    def stalled(self) -> None:
        """Note that the peer kept others waiting."""
        self.stalls += 1
        self.quota = max(1, self.quota // 2)

    def measure(self, bodies: Bodies, asked_at: float, now: float) -> None:
        """Fit the next requests to the size of these blocks, and to the time that they took."""
        self.answered = max(self.answered, asked_at)
        sizes = [body.block.size for body in bodies if body is not None]
        if sizes:
            self.batch = max(1, min(BLOCKS_MAX, BLOCKS_BYTES * len(sizes) // sum(sizes)))
            # Its answers come one after the other: what was asked for during the last began after it.
            took_s = (now - max(asked_at, self.progress)) / len(sizes)
            self.pace_s = max(LEAST_PACE_S, (self.pace_s + took_s) / 2 if self.pace_s else took_s)


def ration(sources: Iterable[DownloadSource]) -> None:
    """Give slow peers less to do, as long as there is a fast one."""
    measured = [source for source in sources if source.pace_s]
    fastest_s = min((source.pace_s for source in measured), default=0.0)
    for source in measured:
        is_slow = source.pace_s > SLOW_FACTOR * fastest_s
        source.share = max(1, min(IN_FLIGHT_MAX, int(SLOW_SHARE_S / source.pace_s))) if is_slow else IN_FLIGHT_MAX
