"""HTTP as a hostile network needs it: one connection, from its first byte to its last.

A request that is refused is answered while the client still sends it, and the connection is
drained for a bounded while, so that the client reads the answer instead of a reset.
"""

import contextlib
import select
import socket
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any

from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.task import ErrorTask
from waitress.utilities import build_http_date

from node.api.http.message import Response, Stream
from node.api.http.request_parser import BadRequest, RequestParser
from node.api.http.streaming import BUFFER_BYTES, INPUT_BYTES_MAX, STALL_S, Streaming

REQUEST_S = 30
"""Seconds from the first byte of a request to its last; later it is answered with 408."""
RESPONSE_S = 120
"""Seconds that a client may take to read one answer; then it is cut off."""
PIPELINE_MAX = 16
"""Requests sent ahead of their answers; a client with more is cut off."""
LINGER_S = 10
"""Seconds for which a refused client may go on sending into the void."""
LINGER_BYTES_MAX = 64 * 1024 * 1024
"""Bytes that are read and dropped meanwhile."""
JOINED_MAX = 64 * 1024
"""Bytes of a body that is sent in one piece with its header."""
SHED_BYTES = 256 * 1024
"""Bytes of an answer, or of a body still coming in, from which on the listener's total is looked at."""

_REASONS = {int(status): status.phrase for status in HTTPStatus}
_BODILESS = frozenset({204, 304})
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class OneLineError(ErrorTask):
    """Sends a `BadRequest`; the connection ends with it."""

    def execute(self) -> None:
        """Called by waitress in a worker thread."""
        self.channel.refused = True
        super().execute()

    @property
    def has_body(self) -> bool:
        """Nobody reads a body behind the answer to HEAD; it would be the beginning of the next answer."""
        return self.request.command != "HEAD" and bool(super().has_body)


class RequestTask:
    """Has one request answered, and sends the answer."""

    def __init__(self, channel: "Channel", request: RequestParser) -> None:
        self.channel = channel
        self.request = request
        self.close_on_finish: bool = request.connection_close
        self.wrote_header = False

    def service(self) -> None:
        """Called by waitress in a worker thread, or in the listener's own."""
        channel, request = self.channel, self.request
        answer = channel.server.app(request.request(channel.addr[0], channel.is_gone))
        if answer.stream is not None:
            self._begin(answer, answer.stream)
            return
        head = self._head(answer, channel.server.date_line())
        body = b"" if request.command == "HEAD" or answer.status in _BODILESS else answer.body
        self.wrote_header = True
        try:
            if len(body) <= JOINED_MAX:
                channel.write_soon(head + body)
            else:
                channel.write_soon(head)
                channel.write_soon(body)
        except OSError:
            self.close_on_finish = True

    def _begin(self, answer: Response, stream: Stream) -> None:
        """Send the head; the rest is the listener's own thread's business."""
        channel = self.channel
        self.close_on_finish = True  # now, or when the stream ends
        with contextlib.ExitStack() as unless_it_begins:
            unless_it_begins.callback(stream.close)
            head = self._head(answer, channel.server.date_line())
            self.wrote_header = True
            with contextlib.suppress(OSError):
                channel.write_soon(head)
                if self.request.command != "HEAD":
                    self.close_on_finish = False
                    channel.begin_stream(Streaming(stream, chunked=self.request.version == "1.1"))
                    unless_it_begins.pop_all()

    def _head(self, answer: Response, date: str) -> bytes:
        """Status line and headers. Raises ValueError for a header that would be two."""
        status, version = answer.status, self.request.version
        lines = [f"HTTP/{version} {status} {_REASONS[status]}", date]
        if answer.content_type is not None:
            lines.append(f"Content-Type: {answer.content_type}")
        if answer.stream is not None:
            if version == "1.1":
                lines.append("Transfer-Encoding: chunked")
        elif status not in _BODILESS:
            lines.append(f"Content-Length: {len(answer.body)}")
        for name, content in answer.headers:
            if "\n" in content or "\r" in content:
                raise ValueError(f"a line break in {name}")
            lines.append(f"{name}: {content}")
        if self.close_on_finish:
            lines.append("Connection: close")
        elif version == "1.0":
            lines.append("Connection: Keep-Alive")
        lines.append("\r\n")
        return "\r\n".join(lines).encode("latin-1")


class Channel(HTTPChannel):
    """One connection. All but `write_soon` and `service` runs in the listener's own thread."""

    parser_class: Any = RequestParser
    error_task_class = OneLineError
    task_class = RequestTask

    request: Any = None
    close_when_flushed: bool = False
    receiving = False
    """Input is being cut into requests."""
    due = False
    """Meanwhile one has become the first to be answered."""
    cut_off = False
    """To be closed at once, whatever is unsent. (waitress's `will_close` waits until the client
    takes something, which may be never.)"""
    refused = False
    """A refusal is on its way out: drain before closing."""
    started_at: float | None = None
    """Time of the first byte of the request that is now coming in."""
    sending_since: float | None = None
    """Since when the client has not taken all that there is for it."""
    draining_since: float | None = None
    """Time when the refusal was out and draining began."""
    drained_bytes = 0
    streaming: Streaming | None = None
    """The stream it follows; to the connection's end no request is read any more."""
    answered = 0
    """Requests served."""
    _answered_seen = 0

    def __init__(self, server: Any, sock: Any, addr: Any, adj: Any, map: Any = None) -> None:
        self.parser_class = partial(RequestParser, host=addr[0])
        self.owner: bytes | None = adj.door.owner(addr[0])
        """The owner it counts with; None: it is not counted."""
        super().__init__(server, sock, addr, adj, map)

    def add_channel(self, map: Any = None) -> None:
        """It is open."""
        super().add_channel(map)
        self.server.owners[self.owner] += 1

    def del_channel(self, map: Any = None) -> None:
        """It is closed, perhaps not for the first time."""
        was_open = self.server.active_channels.get(self._fileno) is self
        super().del_channel(map)
        if was_open:
            self.server.followers.remove(self)
            self.server.owners[self.owner] -= 1
            if not self.server.owners[self.owner]:
                del self.server.owners[self.owner]

    def received(self, chunk: bytes) -> bool:
        """Bytes came in: cut them into requests, and have the first one answered."""
        before = self.request
        if before is None:
            self.started_at = self.last_activity
        # No worker has anything to do with this connection now: while one has, nothing is read.
        self.receiving, self.due = True, False
        taken: bool = super().received(chunk)
        self.receiving = False
        if self.request is None:
            self.started_at = None
        elif self.request is not before:
            self.started_at = self.last_activity
        if len(self.requests) > PIPELINE_MAX:
            self.cut_off = True
        if self.incoming_bytes >= SHED_BYTES:
            self.server.shed_bodies()
        if self.due:
            self._answer_first()
        return taken

    def _answer_first(self) -> None:
        """Here and now if that is quick, as every refusal is; else in a worker thread, which goes on
        with what follows."""
        first = self.requests[0]
        is_quick = first.error or (first.command, first.path) in self.server.quick
        if len(self.requests) == 1 and is_quick:
            self.service()
        else:
            self.server.add_task(self)

    @property
    def incoming_bytes(self) -> int:
        """Bytes of the body that is coming in, as far as they are here."""
        body = self.request.body_rcv if self.request is not None else None
        return 0 if body is None else len(body)

    def wanted(self) -> int:
        """The poll events to wait for. Asked before every wait, so that idle connections must cost little."""
        if not (
            self.requests
            or self.total_outbufs_len
            or self.will_close
            or self.close_when_flushed
            or self.cut_off
            or self.draining_since is not None
        ):
            return select.POLLIN
        # Not POLLPRI: nobody takes urgent bytes, so that one would keep the listener turning for ever.
        return (select.POLLIN if self.readable() else 0) | (select.POLLOUT if self.writable() else 0)

    def readable(self) -> bool:
        """True if more input is wanted now."""
        if self.cut_off:
            self.handle_close()
            return False
        # Of a follower that is how its leaving is noticed.
        return self.draining_since is not None or self.streaming is not None or bool(super().readable())

    def handle_read(self) -> None:
        """Input is there."""
        if self.draining_since is None and self.streaming is None:
            super().handle_read()
            return
        try:
            dropped = self.recv(self.adj.recv_bytes)  # closes by itself at the end of the stream
        except OSError:
            self.handle_close()
            return
        self.drained_bytes += len(dropped)
        if self.drained_bytes > (LINGER_BYTES_MAX if self.streaming is None else INPUT_BYTES_MAX):
            self.handle_close()

    def handle_write(self) -> None:
        """Output can go."""
        if not (self.refused and self.close_when_flushed) or self.will_close:
            super().handle_write()
            if self.streaming is not None and not self.total_outbufs_len:
                self.server.followers.note()  # there may be more for it
            return
        self._flush_exception(self._flush_some)
        if self.total_outbufs_len or not self.connected:
            return
        # The refusal is out. Closing now, with input unread, would send a reset that can
        # overtake it.
        self.close_when_flushed = False
        self.draining_since = self.last_activity
        try:
            self.socket.shutdown(1)  # no more from us
        except OSError:
            self.handle_close()

    def writable(self) -> bool:
        """True if there is something to send, or to close."""
        if self.cut_off or self.draining_since is not None:
            return False
        return bool(super().writable())

    def service(self) -> None:
        """Run one request; called in a worker thread, or for a quick one in the listener's own."""
        super().service()
        self.answered += 1

    # --- streams -----------------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """No request is being answered."""
        return not self.requests and self.streaming is None

    def begin_stream(self, streaming: Streaming) -> None:
        """From here on there is nothing but this; called in the thread that has the first request answered."""
        with self.requests_lock:
            # What came behind it would never be answered.
            for request in (*self.requests[1:], self.request):
                if request is not None:
                    request.close()
            del self.requests[1:]
            self.request = self.started_at = None
        with contextlib.suppress(OSError):  # the connection may be closed
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        streaming.stream.start(self.server.news)
        self.streaming = streaming
        self.server.followers.add(self, streaming)
        if not self.connected:
            self.server.followers.remove(self)  # closed meanwhile, so that nobody else does

    @property
    def is_busy(self) -> bool:
        """It still has something to send, or is closed."""
        return bool(self.total_outbufs_len or not self.connected or self.close_when_flushed or self.cut_off)

    def send_piece(self, piece: bytes) -> None:
        """Send some more of the answer, if the connection still can."""
        self.sending_since = None  # the piece before is out
        self.last_activity = datetime.now(UTC).timestamp()
        try:
            self.write_soon(piece)
        except (OSError, ClientDisconnected):
            self.cut_off = True

    def end_stream(self, piece: bytes) -> None:
        """Send the last of it, and close; at once where something is unsent."""
        self.server.followers.remove(self)
        self.cut_off = bool(self.total_outbufs_len)
        if piece and not self.cut_off:
            self.send_piece(piece)
        self.close_when_flushed = True

    # --- answers -----------------------------------------------------------------------------------

    def is_gone(self) -> bool:
        """True if the client has hung up. While it is answered nothing is read, so we look. From any thread."""
        open_socket = self.socket  # the listener's thread may close it meanwhile, and sets this to None
        if open_socket is None:
            return True
        try:
            return not open_socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def write_soon(self, piece: Any) -> int:
        """Send a piece of an answer, or queue what the client does not take at once."""
        if len(piece) >= SHED_BYTES:
            self.server.shed(len(piece))
        with self.outbuf_lock:
            if not self.connected:
                raise ClientDisconnected
            sent = 0 if self.total_outbufs_len else self.send(piece, do_close=False)
            if sent < len(piece):
                if self.sending_since is None:
                    self.sending_since = datetime.now(UTC).timestamp()
                super().write_soon(piece[sent:] if sent else piece)
        return len(piece)

    def send_continue(self) -> None:
        """Ask for the body that is announced. Called with the lock on requests."""
        # waitress would close the connection at once if the client has gone, which is for no worker thread to do.
        self.request.expect_continue = False
        self.sent_continue = True
        with contextlib.suppress(ClientDisconnected, OSError):
            self.write_soon(_CONTINUE)

    def watch(self, now: float) -> None:
        """Called every second: end what has taken too long."""
        if self.draining_since is not None:
            self.cut_off = self.cut_off or now > self.draining_since + LINGER_S
            return
        if self.started_at is not None:
            if self.requests:
                self.started_at = now  # nothing is read now: the client cannot help it
            elif now > self.started_at + REQUEST_S:
                self._expire()
        if not self.total_outbufs_len:
            self.sending_since = None
        elif self.sending_since is None or self.answered != self._answered_seen:
            self._answered_seen = self.answered
            self.sending_since = now
        elif now > self.sending_since + (RESPONSE_S if self.streaming is None else STALL_S):
            self.cut_off = True

    def _expire(self) -> None:
        """The request did not come in within its time."""
        self.started_at = None
        with self.requests_lock:
            if self.request is None or self.requests:
                self.cut_off = True
                return
            # A request of which not even the header is here answers as HTTP/1.0.
            self.request.error = BadRequest(408, f"request not complete after {REQUEST_S} s")
            self.request.completed = True
            self.requests.append(self.request)
            self.request = None
            self.server.add_task(self)


class DateLine:
    """The Date header, made once a second."""

    def __init__(self) -> None:
        self._made = 0, ""

    def __call__(self) -> str:
        """The line as of now."""
        second = int(datetime.now(UTC).timestamp())
        made, line = self._made
        if made != second:
            line = f"Date: {build_http_date(second)}"
            self._made = second, line
        return line
