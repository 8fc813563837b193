"""The time for rules, policy and mining: the clock's, unless a test has set another.

Deadlines, timers, peers and sockets go by the clock itself, so a time that stands still, or lies
years away, stops none of them.
"""


class MockTime:
    """The clock's time, or one that was set. One writer, under the node's lock; anybody may read."""

    __slots__ = ("_set",)

    def __init__(self) -> None:
        self._set: int | None = None

    def set(self, time: int | None) -> None:
        """Stand still at a Unix time in seconds; None goes with the clock again."""
        self._set = time

    def at(self, now: float) -> float:
        """Unix time in seconds; `now` is the clock's."""
        chosen = self._set
        return now if chosen is None else float(chosen)
