"""Waiting callers: calls that the core has parked, and followers of its events.

Owns no thread or lock. `Parking` is used under the runtime's lock; `EventLog` has one writer, also
under that lock, and followers that need none.
"""

import contextlib
import queue
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from node.interface.events import Event

API_SEATS = 16
"""Threads of the API that may be held by waiting requests; one more gets `Busy`."""
P2P_SEATS = 48
"""Waiting requests of peers at once; one more is Busy."""
BUSY_RETRY_S = 1
"""Seconds until a caller comes again after `Busy`."""
EVENTS_MAX = 8_192
"""Published events kept for those who follow them, 4 MB at most; one who is slower misses some."""


class Busy(Exception):
    """Raised where as many requests wait already as may."""

    retry_after_s = BUSY_RETRY_S

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.most = most
        """Most calls that may wait."""


class Ringer(Protocol):
    """A bell that may be rung under the lock: `ring` takes no time."""

    def ring(self) -> None: ...


class Bell:
    """Rung once, heard once, in whichever order."""

    def __init__(self) -> None:
        self._strokes: queue.SimpleQueue[None] = queue.SimpleQueue()

    def ring(self) -> None:
        """Wake who waits, or will wait."""
        self._strokes.put(None)

    @property
    def rung(self) -> bool:
        """True if waiting would end at once."""
        return not self._strokes.empty()

    def wait(self, timeout_s: float) -> None:
        """Wait until it rings, or the time is over."""
        with contextlib.suppress(queue.Empty):
            self._strokes.get(timeout=timeout_s)


class Parking:
    """Bells of parked callers by topic, and how many callers wait."""

    def __init__(self) -> None:
        self._bells: dict[str, list[Bell]] = {}
        self._most = {"api": API_SEATS, "p2p": P2P_SEATS}
        self._taken = dict.fromkeys(self._most, 0)

    def park(self, topic: str) -> Bell:
        """A bell that rings when something is published on the topic from now on."""
        bell = Bell()
        self._bells.setdefault(topic, []).append(bell)
        return bell

    def leave(self, topic: str, bell: Bell) -> None:
        """Take a bell away, rung or not."""
        bells = self._bells.get(topic, [])
        if bell in bells:
            bells.remove(bell)
        if not bells:
            self._bells.pop(topic, None)

    def ring(self, topic: str) -> None:
        """Wake all who wait for the topic."""
        for bell in self._bells.pop(topic, ()):
            bell.ring()

    def ring_all(self) -> None:
        """Wake everybody."""
        for topic in list(self._bells):
            self.ring(topic)

    def sit(self, seats: str | None) -> None:
        """Take one of these seats; None is the node's own business, and not counted. Raises Busy."""
        if seats is None:
            return
        if self._taken[seats] >= self._most[seats]:
            raise Busy(self._most[seats])
        self._taken[seats] += 1

    def rise(self, seats: str | None) -> None:
        """Give the seat back."""
        if seats is not None:
            self._taken[seats] -= 1

    def taken(self, seats: str) -> int:
        """Number of these seats taken. Needs no lock."""
        return self._taken[seats]


class LoggedEvent(NamedTuple):
    """A published event and its place in the order of all."""

    number: int
    topic: str
    event: Event


class EventLog:
    """The last events that were published, and who waits for the next one."""

    def __init__(self) -> None:
        self._ring: deque[LoggedEvent] = deque(maxlen=EVENTS_MAX)
        self._followers: queue.SimpleQueue[Ringer] = queue.SimpleQueue()
        self.last = 0
        """The newest event's number."""

    def publish(self, topic: str, events: Sequence[Event]) -> None:
        """Append them. One writer at a time."""
        self._ring.extend([LoggedEvent(number, topic, event) for number, event in enumerate(events, self.last + 1)])
        self.last += len(events)
        if not self._followers.empty():
            self.wake()

    def wake(self) -> None:
        """Have all followers look."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._followers.get_nowait().ring()

    def notify(self, number: int, ringer: Ringer) -> None:
        """Ring once, as soon as there is an event after that number. From any thread."""
        self._followers.put(ringer)
        # Only now is a look sure to miss nothing: whoever publishes later rings.
        if self.last > number:
            self.wake()

    def after(self, number: int, timeout_s: float) -> list[LoggedEvent]:
        """The events after that number, waiting for one up to `timeout_s`. From any thread."""
        if self.last <= number:
            bell = Bell()
            self.notify(number, bell)
            bell.wait(timeout_s)
        kept = self._copy()
        return kept[max(0, number + 1 - kept[0].number) :] if kept else []

    def _copy(self) -> list[LoggedEvent]:
        while True:
            try:
                return list(self._ring)
            except RuntimeError:  # it grew under the iterator
                continue
