"""A connection, from its first byte to its last, as a hostile network needs it.

Requests are read one at a time: the next one once the answer before is out. One that is refused is answered while the
client still sends it, and the connection is drained for a bounded while, so that the client reads the answer
instead of a reset.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from enum import Enum
from threading import Event
from typing import Protocol

from node.api.http.connection_table import ConnectionTable
from node.api.http.request_header import RequestRefused, refused
from node.api.http.request_parser import ParsedRequest, RequestParser
from node.api.http.response_encoder import DateLine, EncodedAnswer, answer_request, encode_refusal
from node.api.http.site import Site
from node.api.http.streaming import BUFFER_BYTES, INPUT_BYTES_MAX, STALL_S, Followers, Streaming
from node.runtime.runtime import monotonic

HEADER_S = 15
"""Seconds from the first byte of a request to the end of its header; later it is answered with 408."""
REQUEST_S = 30
"""Seconds from the first byte of a request to its last; later it is answered with 408."""
RESPONSE_S = 120
"""Seconds that a client may take to read one answer; then it is cut off."""
IDLE_S = 60
"""Seconds that a connection may stay open without a request."""
LINGER_S = 10
"""Seconds for which a refused client may go on sending into the void."""
LINGER_BYTES_MAX = 64 * 1024 * 1024
"""Bytes that a refused client may go on sending into the void."""
JOINED_MAX = 64 * 1024
"""Bytes of a body that is sent in one piece with its head."""
SHED_BYTES = 256 * 1024
"""Bytes of an answer, or of a body still coming in, from which on the listener's total is looked at."""
REQUESTS_AT_ONCE = 16
"""Requests sent ahead that are answered in a row; then others have their turn."""

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class ChannelState(Enum):
    """The states of a connection.

        OPENING ──► READING ──► ANSWERING ──► READING, or FLUSHING first
                      ▲ │           │  │
                      │ │           │  └────► STREAMING ──► CLOSING
           FLUSHING ──┘ │           └───────► CLOSING ────► CLOSED
                        └──► DRAINING ──────► CLOSED

    Whoever resets, takes too long, or has to make room goes to CLOSED from anywhere.
    """

    OPENING = "accepted, and not connected to the loop yet"
    READING = "waits for a request, or for the rest of one"
    ANSWERING = "a request is being answered; what comes in is kept, and little of it"
    FLUSHING = "the next request waits until the client has taken the answer, or others had their turn"
    STREAMING = "follows a stream to the connection's end; what comes in is dropped"
    DRAINING = "a refusal is out; what comes in is dropped for a while"
    CLOSING = "the last answer is on its way out"
    CLOSED = "nothing goes or comes any more"


class Server(Protocol):
    """A channel's listener."""

    site: Site
    connections: "ConnectionTable[Channel]"
    followers: Followers
    date_line: DateLine
    inbox: memoryview

    def add_task(self, channel: "Channel") -> None:
        """Have its request answered in a worker thread: `service`."""
        ...

    def call(self, callback: Callable[..., object], *arguments: object) -> None:
        """Have the listener's thread call it. From any thread."""
        ...

    def feed(self) -> None:
        """Give followers what is due."""
        ...

    def news(self) -> None:
        """Tell the listener that there may be more for followers. From any thread."""
        ...


class Channel(asyncio.BufferedProtocol):
    """A connection. All but `service` runs in the listener's own thread."""

    def __init__(self, server: Server, address: tuple[str, int], owner: bytes | None) -> None:
        self._server = server
        self.address = address
        """The client's host and port."""
        self.owner = owner
        """The owner it counts with; None: it is not counted."""
        self.state = ChannelState.OPENING
        self._transport: asyncio.Transport
        self._gone = Event()
        """The client has hung up, or sends no more."""
        self._parser = RequestParser(address[0], server.site.body_cap, server.site.gate, self._gone.is_set)
        self._parsed: ParsedRequest | None = None
        """The request that is being answered."""
        self._dropped_bytes = 0
        self.waiting_since = monotonic()
        """Time when its last answer was out, or a refusal, or it came."""
        self.started_at: float | None = None
        """Time of the first byte of the request that is now coming in."""
        self.sending_since: float | None = None
        """Time since when the client has not taken all that there is for it."""
        self.answered = 0
        """Requests answered."""

    @property
    def is_answering(self) -> bool:
        """True while a request is being answered."""
        return self.state is ChannelState.ANSWERING

    @property
    def is_streaming(self) -> bool:
        """True if it follows a stream."""
        return self.state is ChannelState.STREAMING

    @property
    def is_under_way(self) -> bool:
        """True while something is still to be answered or sent."""
        return self.is_answering or self.sending_since is not None

    @property
    def body_bytes(self) -> int:
        """Bytes of the body that is coming in, or of the request that is being answered."""
        return self._parser.body_bytes if self._parsed is None else self._parsed.body_bytes

    @property
    def unsent_bytes(self) -> int:
        """Bytes that the client has not taken."""
        return 0 if self.sending_since is None else self._transport.get_write_buffer_size()

    @property
    def is_busy(self) -> bool:
        """True if it still has something to send, or is closed."""
        return self.sending_since is not None or not self.is_streaming or self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read, unless it had to make room meanwhile."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self.state is ChannelState.CLOSED:
            transport.abort()
            return
        transport.set_write_buffer_limits(high=0)
        self.state = ChannelState.READING

    def connection_lost(self, error: Exception | None) -> None:
        """Forget it."""
        self._end()

    def get_buffer(self, sizehint: int) -> memoryview:
        """The place where bytes come in, one for all connections: free again after `buffer_updated`."""
        return self._server.inbox

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came in: read them, keep them for later, or drop them."""
        received = bytes(self._server.inbox[:nbytes])
        if self.state is ChannelState.READING:
            self._parser.push(received)
            self._read_on()
        elif self.state in (ChannelState.ANSWERING, ChannelState.FLUSHING):
            self._parser.push(received)
            self._transport.pause_reading()
        else:
            self._dropped_bytes += nbytes
            if self._dropped_bytes > (INPUT_BYTES_MAX if self.is_streaming else LINGER_BYTES_MAX):
                self.cut_off()

    def eof_received(self) -> bool:
        """Note that the client sends no more; what it has asked for is answered. True to keep the connection."""
        self._gone.set()
        if self.state in (ChannelState.ANSWERING, ChannelState.FLUSHING):
            return True
        if self.is_streaming:
            self.cut_off()  # that is how a follower's leaving is noticed
        else:
            self._close()
        return False

    def pause_writing(self) -> None:
        """Note that the client does not take all that there is for it."""
        self.sending_since = monotonic()

    def resume_writing(self) -> None:
        """Go on: the client has taken all."""
        self.sending_since = None
        if self.is_streaming:
            self._server.news()
        else:
            self._go_on()

    def service(self) -> None:
        """Answer its request, unless nobody is there any more; called in a worker thread."""
        if self.state is not ChannelState.CLOSED:
            self._server.call(self._finish, self._encoded_answer())

    def send_piece(self, piece: bytes) -> None:
        """Send some more of a stream."""
        self._transport.write(piece)

    def end_stream(self, piece: bytes) -> None:
        """Send the last of a stream, and close; at once where something is unsent."""
        self._server.followers.remove(self)
        if self.sending_since is not None:
            self.cut_off()
        elif self.is_streaming:
            self._transport.write(piece)
            self._close()

    def cut_off(self) -> None:
        """Close at once, whatever is unsent."""
        if self.state not in (ChannelState.OPENING, ChannelState.CLOSED):
            self._transport.abort()
        self._end()

    def watch(self, now: float) -> None:
        """End what has taken too long."""
        if self.state is ChannelState.DRAINING:
            if now > self.waiting_since + LINGER_S:
                self.cut_off()
        elif self.sending_since is not None:
            if now > self.sending_since + (STALL_S if self.is_streaming else RESPONSE_S):
                self.cut_off()
        elif self.state is ChannelState.READING:
            if self.started_at is None:
                if now > self.waiting_since + IDLE_S:
                    self._close()
            elif self._parser.is_in_header and now > self.started_at + HEADER_S:
                self._refuse(refused(408, f"header not complete after {HEADER_S} s"))
            elif now > self.started_at + REQUEST_S:
                self._refuse(refused(408, f"request not complete after {REQUEST_S} s"))

    def _read_on(self) -> None:
        """Answer the requests that are here, some in a row."""
        for _ in range(REQUESTS_AT_ONCE):
            try:
                parsed = self._parser.take()
            except RequestRefused as refusal:
                self._refuse(refusal)
                return
            if parsed is None:
                self._await_more()
                return
            self._answer(parsed)
            if self.state is not ChannelState.READING:
                return
        self.state = ChannelState.FLUSHING
        self._transport.pause_reading()
        asyncio.get_running_loop().call_soon(self._go_on)

    def _await_more(self) -> None:
        """Wait for a request, or for the rest of one."""
        parser = self._parser
        if self._gone.is_set():
            self._close()
            return
        if parser.has_begun and self.started_at is None:
            self.started_at = monotonic()
            self._server.connections.touch(self)
        if parser.wants_continue:
            parser.wants_continue = False
            self._transport.write(_CONTINUE)
        self._transport.resume_reading()
        if parser.body_bytes >= SHED_BYTES:
            self._server.connections.shed_bodies()

    def _answer(self, parsed: ParsedRequest) -> None:
        """Answer a request here and now if that is quick; else a worker thread does."""
        self._parsed = parsed
        self.started_at = None
        self.state = ChannelState.ANSWERING
        if (parsed.request.method, parsed.request.path) in self._server.site.quick:
            self._send(self._encoded_answer())
        else:
            self._server.add_task(self)

    def _encoded_answer(self) -> EncodedAnswer:
        """The application's answer. From any thread."""
        assert self._parsed is not None
        return answer_request(self._server.site.app, self._parsed, self._server.date_line)

    def _finish(self, answer: EncodedAnswer) -> None:
        """Send a worker's answer, and go on with what follows."""
        if self.is_answering:
            self._send(answer)
            if self.state is ChannelState.READING:
                self._read_on()
        elif answer.stream is not None:
            answer.stream.close()  # it was closed meanwhile

    def _send(self, answer: EncodedAnswer) -> None:
        self._parsed = None
        self.answered += 1
        self.waiting_since = monotonic()
        self._server.connections.touch(self)
        if len(answer.body) >= SHED_BYTES:
            self._server.connections.shed_answers(len(answer.body))
        if len(answer.body) <= JOINED_MAX:
            self._transport.write(answer.head + answer.body)
        else:
            self._transport.write(answer.head)
            self._transport.write(answer.body)
        if answer.stream is not None:
            self._follow(Streaming(answer.stream, answer.is_chunked))
        elif answer.is_last:
            self._close()
        else:
            self.state = ChannelState.READING if self.sending_since is None else ChannelState.FLUSHING

    def _go_on(self) -> None:
        """Read the next request, if it only waited for this."""
        if self.state is ChannelState.FLUSHING and self.sending_since is None:
            self.state = ChannelState.READING
            self._read_on()

    def _follow(self, streaming: Streaming) -> None:
        """Follow a stream: from here on there is nothing else."""
        self.state = ChannelState.STREAMING
        self._parser.clear()  # what came behind the request would never be answered
        with contextlib.suppress(OSError):  # the client may have reset the connection
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        self._server.followers.add(self, streaming)
        streaming.stream.start(self._server.news)
        self._transport.resume_reading()
        if self._gone.is_set():
            self.cut_off()
        self._server.feed()

    def _refuse(self, refusal: RequestRefused) -> None:
        """Send a refusal; the connection ends with it."""
        self._transport.write(encode_refusal(refusal.answer, self._server.date_line(), is_head=refusal.is_head))
        self._parser.clear()
        self.started_at, self.waiting_since = None, monotonic()
        if self._gone.is_set():
            self._close()
            return
        # Closing now, with input unread, would send a reset that can overtake the answer.
        self.state = ChannelState.DRAINING
        try:
            self._transport.write_eof()
            self._transport.resume_reading()
        except OSError:
            self.cut_off()

    def _end(self) -> None:
        """Leave everything: the connection is closed, perhaps not for the first time."""
        self.state = ChannelState.CLOSED
        self._gone.set()
        self._parser.clear()
        self.started_at = self.sending_since = None
        self._server.followers.remove(self)
        self._server.connections.remove(self)

    def _close(self) -> None:
        """Close once all is sent."""
        self.state = ChannelState.CLOSING
        self._transport.close()
