"""The state of catching up: blocks of a longer chain come in from others, one after the other.

Headers alone never show that: they cost their maker little, and perhaps nobody has the blocks. Nor do
blocks made here. What waits for the chain (mining, filters, unconfirmed transactions) waits only as long
as peers deliver.
"""

from collections import deque

NOTED_MAX = 5
"""Deliveries whose times are kept: as many as anybody asks for."""
DELIVERY_S = 15.0
"""Without a delivery for so long, nothing is being caught up with: as long as the first request for
a block may take."""
SYNCED_AGE_S = 24 * 3600
"""A tip that is no older ends the initial download, as in Bitcoin Core."""
SYNCED_BLOCKS = 144
"""So does only one that is at most so many blocks behind the best header."""


class InitialBlockDownload:
    """Time when peers last delivered blocks of the best header's branch. Reading it takes no lock."""

    def __init__(self) -> None:
        self._delivered: deque[float] = deque(maxlen=NOTED_MAX)
        self.is_synced = False
        """The initial download is over; as in Bitcoin Core it does not begin again."""

    def delivered(self, now: float) -> None:
        """A peer has brought a block that leads to the best header."""
        self._delivered.append(now)

    def is_under_way(self, now: float, blocks: int = 1, within_s: float = DELIVERY_S) -> bool:
        """True if peers have delivered so many blocks in that time."""
        if len(self._delivered) < blocks:
            return False
        return now - self._delivered[-blocks] < within_s

    def reached(self, tip_time: int, behind: int, unix_time: float) -> None:
        """The tip has moved; it is `behind` blocks below the best header."""
        self.is_synced = self.is_synced or (behind <= SYNCED_BLOCKS and tip_time >= unix_time - SYNCED_AGE_S)
