"""The time for rules, policy and mining: the wall clock's, unless a test has set another.

Deadlines, timers, peers and sockets go by the monotonic clock, so a time that stands still, or lies
years away, stops none of them.
"""

from node.interface.wall_clock import WallClock


class MockTime:
    """The wall clock's time, or one that was set. One writer, under the node's lock; anybody may read."""

    __slots__ = ("_set", "wall")

    def __init__(self, wall: WallClock | None = None) -> None:
        self.wall = wall or WallClock()
        """The time that nobody sets but the machine."""
        self._set: int | None = None

    def set(self, time: int | None) -> None:
        """Stand still at a Unix time in seconds; None goes with the clock again."""
        self._set = time

    def at(self, now: float) -> float:
        """Unix time in seconds; `now` is the monotonic clock's."""
        chosen = self._set
        return self.wall.at(now) if chosen is None else float(chosen)
