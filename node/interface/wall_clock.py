"""Two clocks: timers count monotonic seconds, which nobody can set; rules, greetings and files have Unix time."""


class WallClock:
    """Unix time, as how far it is ahead of the monotonic clock. One writer, before each call of the core; anybody
    may read."""

    __slots__ = ("ahead_s",)

    def __init__(self, ahead_s: float = 0.0) -> None:
        self.ahead_s = ahead_s
        """Seconds from the monotonic time to the Unix time of the same moment: changes when the clock is set."""

    def at(self, now: float) -> float:
        """Unix time in seconds; `now` is the monotonic clock's."""
        return now + self.ahead_s
