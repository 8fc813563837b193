"""Settings of mining."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mine:
    """Mining as the operator wants it."""

    script: bytes
    """The scriptPubKey that blocks pay to."""
    threads: int
    """Miner processes."""
    duty_percent: int
    """Percent of the time that each works."""
    interval_s: float | None
    """One block each so many seconds, where the network has no difficulty; None: as the work allows."""
