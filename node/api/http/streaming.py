"""Answers that come into being over time: who follows one, and when each gets more.

All of a listener's streams are fed by its own thread: a follower holds a connection and a place in
what it follows, no thread, and unsent no more than one piece. One that takes nothing is cut off.
"""

from typing import Protocol

from node.api.http.message import Stream
from node.runtime.runtime import monotonic

PACE_S = 0.05
"""From one look at all streams to the next while there is news: however fast it comes, the listener's
thread has time for others."""
LOOK_S = 0.25
"""From one look at them to the next without any, at least."""
PING_S = 5.0
"""A stream without news for so long gets its filler: so both ends notice when the other has gone."""
STALL_S = 20
"""Seconds that a follower may take nothing of what there is for it; then it is cut off."""
BUFFER_BYTES = 64 * 1024
"""Bytes that the system may buffer for a follower. Without a limit it lets this grow to megabytes."""
INPUT_BYTES_MAX = 64 * 1024
"""Bytes that a follower may still send; they are dropped. One that sends more is cut off."""
PIECES_MAX = 64
"""Pieces that a follower gets at one look; what is left has to wait for the next."""
LAST_CHUNK = b"0\r\n\r\n"


class Sink(Protocol):
    """A follower's connection."""

    @property
    def is_busy(self) -> bool:
        """True if it still has something to send, or is closed."""
        ...

    def send_piece(self, piece: bytes) -> None:
        """Send some more of the answer, if the connection still can."""
        ...

    def end_stream(self, piece: bytes) -> None:
        """Send the last of it, and close."""
        ...


class Streaming:
    """A streamed answer under way."""

    def __init__(self, stream: Stream, chunked: bool) -> None:
        """`chunked`: as HTTP/1.1 does it; else its end is that of the connection."""
        self.stream = stream
        self.chunked = chunked
        self.fed_at = monotonic()
        """Time when it last got anything."""

    def feed(self, sink: Sink, now: float) -> None:
        """Send what there is, or end."""
        for _ in range(PIECES_MAX):
            if sink.is_busy:
                return
            piece = self.stream.take()
            if piece is None:
                sink.end_stream(LAST_CHUNK if self.chunked else b"")
                return
            is_quiet = not piece
            if is_quiet and now < self.fed_at + PING_S:
                return
            self.fed_at = now
            piece = piece or self.stream.filler
            sink.send_piece(b"%x\r\n%b\r\n" % (len(piece), piece) if self.chunked else piece)
            if is_quiet:
                return


class Followers:
    """The connections of one listener whose answers are streams. All but `note` runs in the listener's thread."""

    def __init__(self) -> None:
        self._streams: dict[Sink, Streaming] = {}
        self._news = False
        self._next_look = self._next_ping = 0.0

    def add(self, sink: Sink, streaming: Streaming) -> None:
        """Feed it from now on."""
        self._streams[sink] = streaming
        self._news = True

    def note(self) -> bool:
        """Note that there is news; True if the listener's thread has to be woken for it. From any thread."""
        is_first, self._news = not self._news, True
        return is_first

    def __len__(self) -> int:
        return len(self._streams)

    def remove(self, sink: Sink) -> None:
        """Forget a follower that is closed, perhaps not for the first time."""
        streaming = self._streams.pop(sink, None)
        if streaming is not None:
            streaming.stream.close()

    def feed(self) -> float:
        """Give everybody what is due; returns in how many seconds to come again at the latest."""
        now = monotonic()
        if self._streams and now >= (self._next_look if self._news else self._next_ping):
            self._news = False  # before the look: what comes later is looked for again
            for sink, streaming in self._streams.copy().items():
                streaming.feed(sink, now)
            oldest = min((streaming.fed_at for streaming in self._streams.values()), default=now)
            self._next_look, self._next_ping = now + PACE_S, max(oldest + PING_S, now + LOOK_S)
        due = self._next_look if self._news and self._streams else self._next_ping
        return max(0.0, due - now) if self._streams else PING_S

    def end_all(self) -> None:
        """The listener stops: nobody gets more."""
        for sink, streaming in self._streams.copy().items():
            sink.end_stream(LAST_CHUNK if streaming.chunked else b"")
