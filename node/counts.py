"""What has happened since the start, in numbers for whoever watches.

Written only under the lock, by whoever does what is counted, and read by any thread without one:
a number is replaced whole, and a table copied in one step. Messages and bytes are in traffic.py.
"""

TX, BLOCK = "tx", "block"
"""What can be rejected."""


class Counts:
    """The core's sums."""

    def __init__(self) -> None:
        self.blocks_connected = 0
        """Blocks that became part of the best chain, those of a restart among them."""
        self.blocks_disconnected = 0
        """Blocks that left it."""
        self.reorgs = 0
        """How often any did."""
        self.reorg_depth_most = 0
        """Most blocks that left at once."""
        self._rejects: dict[tuple[str, str], int] = {}

    # --- the core's ------------------------------------------------------------------------------

    def moved(self, disconnected: int, connected: int) -> None:
        """The best chain has changed by so many blocks."""
        self.blocks_connected += connected
        self.blocks_disconnected += disconnected
        if disconnected:
            self.reorgs += 1
            self.reorg_depth_most = max(self.reorg_depth_most, disconnected)

    def rejected(self, what: str, code: str) -> None:
        """A TX or a BLOCK broke a rule. Codes come from the code's own lists, so the table is bounded."""
        self._rejects[what, code] = self._rejects.get((what, code), 0) + 1

    # --- readers' ---------------------------------------------------------------------------------

    @property
    def rejects(self) -> dict[tuple[str, str], int]:
        """How often each code, by what it was about."""
        return self._rejects.copy()
