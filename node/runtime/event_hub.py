"""What the core publishes, and to whom it goes: listeners, taps, and followers of the last events."""

from collections.abc import Callable

from node.interface.effects import Publish
from node.runtime.parking import EventLog, LoggedEvent, Ringer

TIP, OVER = "tip", "over"
"""Topics to subscribe to: the best chain has a new tip; the node begins to stop."""


class EventHub:
    """All that want to know what happens. Published under the core's lock; anybody may subscribe, before the start."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[Callable[[], None]]] = {}
        self._taps: list[Callable[[Publish], None]] = []
        self._log = EventLog()
        self._over = False

    def subscribe(self, topic: str, listener: Callable[[], None]) -> None:
        """Call `listener` at each Publish on a topic: under the lock, so it must only ring a bell."""
        self._listeners.setdefault(topic, []).append(listener)

    def tap(self, take: Callable[[Publish], None]) -> None:
        """Give `take` all that is published and has events: under the lock, so that it must only take note."""
        self._taps.append(take)

    def notify(self, after: int, ringer: Ringer) -> None:
        """Ring once: when there is an event after that number, or the node begins to stop.

        Under the lock, so that `ring` may only take note.
        """
        self._log.notify(after, ringer)
        if self._over:
            self._log.wake()

    @property
    def last(self) -> int:
        """The newest event's number; they count from 1."""
        return self._log.last

    def after(self, number: int | None, timeout_s: float) -> list[LoggedEvent]:
        """The events published after that number, waiting for them up to `timeout_s`.

        With None only what comes from now on. A gap in the numbers means missed events.
        """
        return self._log.after(self._log.last if number is None else number, 0 if self._over else timeout_s)

    def publish(self, happened: Publish) -> None:
        """Tell everybody. Under the lock."""
        for listener in self._listeners.get(happened.topic, ()):
            listener()
        if happened.events:
            for tap in self._taps:
                tap(happened)
            self._log.publish(happened.topic, happened.events)

    def close(self) -> None:
        """The node begins to stop: tell who subscribed to OVER, and let nobody wait any longer."""
        self._over = True
        for listener in self._listeners.get(OVER, ()):
            listener()
        self._log.wake()
