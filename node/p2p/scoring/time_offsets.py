"""Our clock beside the peers': a wrong one rejects good blocks, or accepts what others reject."""

from collections.abc import Sequence
from statistics import median

OFFSET_MAX_S = 70 * 60.0
"""Well below the two hours that a block's time may be ahead of a clock, as in Bitcoin Core."""


def clock_warning(offsets_s: Sequence[float]) -> str | None:
    """Warnings about clocks for the operator. `offsets_s` is by how much each outbound peer's clock is ahead of
    ours: those that we chose, as whoever greets us could outvote the others."""
    if not offsets_s:
        return None
    offset_s = median(offsets_s)
    if abs(offset_s) <= OFFSET_MAX_S:
        return None
    side = "behind" if offset_s > 0 else "ahead of"
    minutes = round(abs(offset_s) / 60)
    return f"this node's clock is {minutes} minutes {side} its peers' (median of {len(offsets_s)}): check date and time"
