"""The node's events as Server-Sent Events (WHATWG HTML, 9.2), and who follows them.

An event is written down once, however many follow, and not at all if nobody does. The listener's own
thread feeds the followers, see `http/streaming.py`; opening and closing a stream may be any thread's.
"""

from collections.abc import Callable, Container

from node.api.encoding.json_codec import emit
from node.api.http.message import Problem
from node.interface.events import EventFields
from node.runtime.parking import EVENTS_MAX, LoggedEvent
from node.runtime.runtime import Runtime

FOLLOWERS_MAX = 256
"""Streams open at once; one more is 503."""
HOST_FOLLOWERS_MAX = 128
"""Streams open at once to one address; one more is 429."""
RETRY_S = 5
"""Seconds in Retry-After of either."""
PIECE_EVENTS_MAX = 128
"""Events sent at once, some 32 KB; the next once these are out."""
MISSED = "missed"
"""Tells a follower that it has missed events, whichever it follows: they are no longer kept."""
PING = b": ping\n\n"
RECONNECT = b"retry: 1000\n\n"
"""The first line: milliseconds after which a browser whose stream has ended comes again."""


class EventFeed:
    """The last events, each with its text once somebody was sent it."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        # Ids go on from the microsecond of the start, so that none of an earlier run comes again:
        # a browser asks for what came after the last that it has seen, however old that is.
        self._base = int(runtime.unix() * 1_000_000)
        self._kept: list[_KeptEvent] = []
        """One after the other, up to number `last`."""
        self._last = 0
        self._armed = False
        """The runtime will ring."""
        self._wakes: tuple[Callable[[], None], ...] = ()
        self._open: dict[EventStream, str] = {}
        """Open streams, each with its follower's address."""

    def open(self, host: str, topics: Container[str], since: int | None) -> "EventStream":
        """A stream for whoever asks from the address `host`, of what came after the event with the id
        `since`; None: from now on. Raises Problem(429) and (503) where too many follow."""
        retry = [("Retry-After", str(RETRY_S))]
        hosts = list(self._open.values())
        if hosts.count(host) >= HOST_FOLLOWERS_MAX:
            raise Problem(429, f"{HOST_FOLLOWERS_MAX} streams go to this address already", retry)
        if len(hosts) >= FOLLOWERS_MAX:
            raise Problem(503, f"{FOLLOWERS_MAX} streams are open already: come again", retry)
        stream = EventStream(self, topics, self._runtime.events.last if since is None else since - self._base)
        self._open[stream] = host
        return stream

    def leave(self, stream: "EventStream") -> None:
        """Remove a stream that is over, or was before."""
        self._open.pop(stream, None)

    def call(self, wake: Callable[[], None]) -> None:
        """Call this too when there is news."""
        if wake not in self._wakes:
            self._wakes += (wake,)

    def ring(self) -> None:
        """Wake the followers: there is news. Under the runtime's lock."""
        self._armed = False
        for wake in self._wakes:
            wake()

    @property
    def is_over(self) -> bool:
        """The node stops."""
        return self._runtime.over

    def after(self, number: int, topics: Container[str]) -> tuple[bytes, int]:
        """The next events after that one, and the number of the last event looked at."""
        self._refresh()
        if number == self._last:
            return b"", number
        first = self._last - len(self._kept) + 1
        texts = []
        if not first <= number + 1 <= self._last:
            is_ours = 0 <= number <= self._last
            texts.append(self._text(first - 1, MISSED, {"count": first - 1 - number if is_ours else None}))
            number = first - 1
        for kept in self._kept[number + 1 - first :]:
            number += 1
            if kept.topic in topics:
                texts.append(kept.text or kept.write(self._text(number, kept.topic, kept.event.fields())))
                if len(texts) >= PIECE_EVENTS_MAX:
                    break
        return b"".join(texts), number

    def _refresh(self) -> None:
        """Take in what has happened since the last time."""
        if self._armed:
            return
        self._armed = True  # before the look, so that nothing is missed
        self._runtime.events.notify(self._last, self)
        fresh = self._runtime.events.after(self._last, 0)
        if not fresh:
            return
        if fresh[0].number != self._last + 1:
            self._kept.clear()
        self._kept += map(_KeptEvent, fresh)
        self._last = fresh[-1].number
        if len(self._kept) > EVENTS_MAX + PIECE_EVENTS_MAX:  # not one by one: all the others move up
            del self._kept[:-EVENTS_MAX]

    def _text(self, number: int, topic: str, fields: EventFields) -> bytes:
        return f"id: {self._base + number}\nevent: {topic}\ndata: {emit(fields)}\n\n".encode()


class EventStream:
    """One follower's way through the events; see `Stream`."""

    filler = PING

    def __init__(self, feed: EventFeed, topics: Container[str], after: int) -> None:
        self._feed = feed
        self._topics = topics
        self._after = after
        self._greeted = False

    def start(self, wake: Callable[[], None]) -> None:
        """Implements `Stream`."""
        self._feed.call(wake)

    def take(self) -> bytes | None:
        """Implements `Stream`: at most PIECE_EVENTS_MAX events."""
        if self._feed.is_over:
            return None
        if not self._greeted:
            self._greeted = True
            return RECONNECT
        text, self._after = self._feed.after(self._after, self._topics)
        return text

    def close(self) -> None:
        """Implements `Stream`."""
        self._feed.leave(self)


class _KeptEvent:
    """An event, and its text once it was asked for."""

    __slots__ = ("event", "text", "topic")

    def __init__(self, happened: LoggedEvent) -> None:
        self.topic = happened.topic
        self.event = happened.event
        self.text = b""

    def write(self, text: bytes) -> bytes:
        """Remember it."""
        self.text = text
        return text
