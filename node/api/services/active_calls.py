"""JSON-RPC's calls under way, for whoever asks what the node is busy with."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from node.runtime.runtime import monotonic


class ActiveCalls:
    """The calls under way. From any thread."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._number = itertools.count().__next__
        self._running: dict[int, tuple[str, float]] = {}

    @contextmanager
    def running(self, method: str) -> Iterator[None]:
        """While inside, a call of this method is under way."""
        number = self._number()
        self._running[number] = method, self._clock()
        try:
            yield
        finally:
            del self._running[number]

    def under_way(self) -> list[tuple[str, float]]:
        """Methods and for how many seconds they have run, the oldest call first."""
        now = self._clock()
        return [(method, now - since) for method, since in self._running.copy().values()]
