"""HTTP as a hostile network needs it: what waitress parses and buffers, with limits before bytes.

A request is refused as soon as its header shows that it must be: too large a body is answered
while the client still sends it, and the connection is drained for a bounded while, so that the
client reads the answer instead of a reset. Anything that two parsers could read differently
(two lengths, a length beside chunks) is refused.
"""

from collections.abc import Callable, Mapping
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError, TransferEncodingNotImplemented
from waitress.task import ErrorTask, WSGITask

from node.api.answers import TEXT, one_line

HEADER_BYTES_MAX = 64 * 1024
"""Of the request line and all header lines together; more is 431."""
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
CHUNK_LINES_MAX = 4096
"""Bytes of chunk lines that even an empty body may have."""
SHED_BYTES = 256 * 1024
"""Bytes of an answer, or of a body still coming in, from which on the listener's total is looked at."""

BodyCap = Callable[[str, str, Mapping[str, str]], int]
"""(method, path, headers with upper-case names and underscores) -> bytes of body allowed."""

_REASONS = {
    400: "Bad Request",
    408: "Request Timeout",
    413: "Payload Too Large",
    431: "Request Header Fields Too Large",
}


class Refusal:
    """An answer given before any handler sees the request, in the form that waitress asks errors for."""

    def __init__(self, code: int, line: str) -> None:
        self.code = code
        self.line = line

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """Status line, headers, body."""
        return f"{self.code} {_REASONS[self.code]}", [("Content-Type", TEXT)], one_line(self.line).encode()


class RequestParser(HTTPRequestParser):
    """One request: its header decides at once how much body is read."""

    path = ""
    error: Any = None
    body_max = 0

    def __init__(self, adj: Any) -> None:
        super().__init__(adj)
        self.body_cap: BodyCap = adj.body_cap

    def parse_header(self, header_plus: bytes) -> None:
        """As waitress does, and then what it leaves open. Raises ParsingError."""
        try:
            super().parse_header(header_plus)
        except TransferEncodingNotImplemented:
            raise ParsingError("Transfer-Encoding other than chunked") from None
        except ValueError:  # a length of more digits than int() takes, a path that is no URI
            raise ParsingError("malformed request") from None
        headers = self.headers
        if not self.path.startswith("/"):
            raise ParsingError("the request's target is no path")
        # Repeated headers arrive joined by commas.
        if self.chunked and "CONTENT_LENGTH" in headers:
            raise ParsingError("both Content-Length and Transfer-Encoding")
        if "TRANSFER_ENCODING" in headers:
            raise ParsingError("Transfer-Encoding needs HTTP/1.1")
        if self.version not in ("1.0", "1.1"):
            raise ParsingError("HTTP version other than 1.0 and 1.1")
        if self.version == "1.1" and "HOST" not in headers:
            raise ParsingError("HTTP/1.1 without Host")
        if "," in headers.get("HOST", ""):
            raise ParsingError("more than one Host")
        self.body_max = self.body_cap(self.command, self.path, headers)

    def received(self, chunk: bytes) -> int:
        """How many bytes of `chunk` belong to this request."""
        if self.error:
            return len(chunk)  # whatever follows a refused request is no request
        taken: int = super().received(chunk)
        if self.error:
            line = "header too large" if self.error.code == 431 else str(self.error.body)
            self.error = Refusal(431 if self.error.code == 431 else 400, line)
        elif self._too_large():
            self.error = Refusal(413, f"body over {self.body_max} bytes")
            self.completed = True
        if self.error:
            # Else the channel would ask for the body all the same, and forget the error.
            self.expect_continue = False
            return len(chunk)
        return taken

    def _too_large(self) -> bool:
        if self.body_rcv is None:
            return False
        # Chunk lines count too, at least as much as the body, so that nobody sends only those.
        return (
            self.content_length > self.body_max
            or len(self.body_rcv) > self.body_max
            or self.body_bytes_received > 2 * self.body_max + CHUNK_LINES_MAX
        )


class OneLineError(ErrorTask):
    """Sends a `Refusal`; the connection ends with it."""

    def execute(self) -> None:
        """Called by waitress in a worker thread."""
        self.channel.refused = True
        super().execute()


class Task(WSGITask):
    """Runs the application; small answers leave in one packet, header and body together."""

    wrote_header: bool = False

    def write(self, body: bytes) -> None:
        """Called by waitress with each piece of the answer."""
        length = self.content_length
        if self.wrote_header or not self.has_body or length is None or not 0 < len(body) <= min(length, JOINED_MAX):
            super().write(body)
            return
        self.channel.write_soon(self.build_response_header() + body)
        self.wrote_header = True
        self.content_bytes_written += len(body)


class Channel(HTTPChannel):
    """One connection. All but `write_soon` and `service` runs in the listener's own thread."""

    parser_class = RequestParser
    error_task_class = OneLineError
    task_class = Task

    request: Any = None
    close_when_flushed: bool = False
    cut_off = False
    """To be closed at once, whatever is unsent. (waitress's `will_close` waits until the client
    takes something, which may be never.)"""
    refused = False
    """A refusal is on its way out: drain before closing."""
    started_at: float | None = None
    """When the first byte of the request that is now coming in was here."""
    sending_since: float | None = None
    """When `watch` first saw the answer that is now going out."""
    draining_since: float | None = None
    """When the refusal was out and draining began."""
    drained_bytes = 0
    answered = 0
    """Requests served."""
    _answered_seen = 0

    def received(self, chunk: bytes) -> bool:
        """Bytes came in: cut them into requests."""
        before = self.request
        if before is None:
            self.started_at = self.last_activity
        taken: bool = super().received(chunk)
        if self.request is None:
            self.started_at = None
        elif self.request is not before:
            self.started_at = self.last_activity
        if len(self.requests) > PIPELINE_MAX:
            self.cut_off = True
        if self.incoming_bytes >= SHED_BYTES:
            self.server.shed_bodies()
        return taken

    @property
    def incoming_bytes(self) -> int:
        """Of the body that is coming in, as far as it is here."""
        body = self.request.body_rcv if self.request is not None else None
        return 0 if body is None else len(body)

    def readable(self) -> bool:
        """True if more input is wanted now. Asked before every wait."""
        if self.cut_off:
            self.handle_close()
            return False
        return self.draining_since is not None or bool(super().readable())

    def handle_read(self) -> None:
        """Input is there."""
        if self.draining_since is None:
            super().handle_read()
            return
        try:
            dropped = self.recv(self.adj.recv_bytes)  # closes by itself at the end of the stream
        except OSError:
            self.handle_close()
            return
        self.drained_bytes += len(dropped)
        if self.drained_bytes > LINGER_BYTES_MAX:
            self.handle_close()

    def handle_write(self) -> None:
        """Output can go."""
        if not (self.refused and self.close_when_flushed) or self.will_close:
            super().handle_write()
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
        """Run one request; called in a worker thread."""
        super().service()
        self.answered += 1

    def write_soon(self, piece: Any) -> int:
        """Queue a piece of an answer; called in a worker thread."""
        if len(piece) >= SHED_BYTES:
            self.server.shed(len(piece))
        written: int = super().write_soon(piece)
        return written

    def watch(self, now: float) -> None:
        """Called every second: end what has taken too long."""
        if self.draining_since is not None:
            self.cut_off = self.cut_off or now > self.draining_since + LINGER_S
            return
        if self.started_at is not None and now > self.started_at + REQUEST_S:
            self._expire()
        if not self.total_outbufs_len or self.answered != self._answered_seen:
            self._answered_seen = self.answered
            self.sending_since = None
        elif self.sending_since is None:
            self.sending_since = now
        elif now > self.sending_since + RESPONSE_S:
            self.cut_off = True

    def _expire(self) -> None:
        """The request did not come in within its time."""
        self.started_at = None
        with self.requests_lock:
            if self.request is None or self.requests:
                self.cut_off = True
                return
            # A request of which not even the header is here answers as HTTP/1.0.
            self.request.error = Refusal(408, f"request not complete after {REQUEST_S} s")
            self.request.completed = True
            self.requests.append(self.request)
            self.request = None
            self.server.add_task(self)
