"""Requests cut out of a connection's bytes, each ending where its own bytes do.

A request is refused as soon as its header shows that it must be. Its body is counted here where its length is told;
one in chunks is read by httptools, which takes extensions and trailers that nobody here needs: what is not a chunk's
size or its bytes is refused. Knows no socket and no clock.
"""

from collections.abc import Callable, Mapping

from httptools import HttpParserError, HttpRequestParser

from chain.frozen import value
from node.api.http.gate import Gate
from node.api.http.message import Request
from node.api.http.request_header import (
    LINE_BREAK,
    RequestHeader,
    RequestRefused,
    check_beginning,
    parse_header,
    refused,
)

CHUNK_FRAME_MAX = 11
"""Bytes around a chunk that is not complete: a size of up to eight digits, a line break and half of the next."""

EMPTY_LINE = 2 * LINE_BREAK
_CHUNKS_AHEAD = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"

BodyCap = Callable[[str, str, Mapping[str, str]], int]
"""(method, path, headers with upper-case names and underscores) -> bytes of body allowed."""


@value
class ParsedRequest:
    """One request, and what it says of its connection."""

    request: Request
    body_bytes: int
    version: str
    """HTTP's, "1.0" or "1.1"."""
    is_last: bool
    """The connection ends with the answer."""


class _SizedBody:
    """A body of a length that its header tells."""

    def __init__(self, length: int) -> None:
        self._length = length
        self.pieces: list[bytes] = []
        self.size = 0

    @property
    def is_complete(self) -> bool:
        return self.size == self._length

    def take(self, buffer: bytes, at: int) -> int:
        """Read on; returns where this body's bytes end."""
        piece = buffer[at : at + self._length - self.size]
        self.pieces.append(piece)
        self.size += len(piece)
        return at + len(piece)


class _ChunkedBody:
    """A body in chunks (RFC 9112, 7.1), as httptools finds them."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.size = 0
        self.is_complete = False
        self._frames = 0
        """Bytes around the chunks that are complete."""
        self._chunk_at = 0
        """Size of the body at the beginning of the last chunk."""
        self._taken = 0
        self._tail = b""
        """The last bytes taken, in which the end may have begun."""
        self._reader = HttpRequestParser(self)
        self._reader.feed_data(_CHUNKS_AHEAD)

    def on_body(self, piece: bytes) -> None:
        self.pieces.append(piece)
        self.size += len(piece)

    def on_chunk_header(self) -> None:
        self._chunk_at = self.size

    def on_chunk_complete(self) -> None:
        self._frames += len(f"{self.size - self._chunk_at:x}") + 4

    def on_message_complete(self) -> None:
        self.is_complete = True

    def take(self, buffer: bytes, at: int) -> int:
        """Read on; returns where this body's bytes end. Raises RequestRefused."""
        while at < len(buffer) and not self.is_complete:
            end = self._next_end(buffer, at)
            piece = buffer[at:end]
            try:
                self._reader.feed_data(piece)
            except HttpParserError as error:
                raise refused(400, str(error)) from None
            self._taken += len(piece)
            self._tail = (self._tail + piece)[-3:]
            at = end
            unexplained = self._taken - self.size - self._frames
            if unexplained > (0 if self.is_complete else CHUNK_FRAME_MAX):
                raise refused(400, "a chunk line that is no bare size: extensions and trailers are not read")
        return at

    def _next_end(self, buffer: bytes, at: int) -> int:
        """Where the body may end next: behind an empty line. Nothing that follows it is handed on."""
        seam = (self._tail + buffer[at : at + 3]).find(EMPTY_LINE)
        if seam >= 0:
            return at + seam + len(EMPTY_LINE) - len(self._tail)
        found = buffer.find(EMPTY_LINE, at)
        return len(buffer) if found < 0 else found + len(EMPTY_LINE)


class RequestParser:
    """The requests of one connection, one after the other."""

    def __init__(self, client: str, body_cap: BodyCap, gate: Gate, is_gone: Callable[[], bool] = lambda: False) -> None:
        """`client` is the address that they come from, `is_gone` tells whether it has hung up."""
        self._client = client
        self._body_cap = body_cap
        self._gate = gate
        self._is_gone = is_gone
        self._buffer = b""
        self._at = 0
        """Place in the buffer of the first byte that is not read yet."""
        self._has_skipped = False
        """A line break before the request was overlooked."""
        self._header: RequestHeader | None = None
        """The header of the request whose body is coming in."""
        self._body: _SizedBody | _ChunkedBody = _SizedBody(0)
        self._body_max = 0
        self.wants_continue = False
        """The client waits to be asked for the body that it has announced."""

    @property
    def has_begun(self) -> bool:
        """A request is here in part."""
        return self._header is not None or self._at < len(self._buffer)

    @property
    def is_in_header(self) -> bool:
        """The header of the request to come is not complete."""
        return self._header is None

    @property
    def body_bytes(self) -> int:
        """Bytes of an unfinished body that are here."""
        return 0 if self._header is None else self._body.size

    def push(self, received: bytes) -> None:
        """Keep bytes, to be read by `take`."""
        rest = self._buffer[self._at :]
        self._buffer, self._at = rest + received if rest else received, 0

    def take(self) -> ParsedRequest | None:
        """Read on; the next request if it is complete. Raises RequestRefused."""
        header = self._header
        if header is None:
            if self._at == len(self._buffer):
                return None
            header = self._take_header()
            if header is None:
                return None
            self._header = header
        body = self._body
        self._at = body.take(self._buffer, self._at)
        if body.size > self._body_max:
            raise self._too_large(header)
        if not body.is_complete:
            return None
        self._header, self.wants_continue = None, False
        return ParsedRequest(self._request(header, b"".join(body.pieces)), body.size, header.version, header.is_last)

    def clear(self) -> None:
        """Forget what is here."""
        self._buffer, self._at, self._header = b"", 0, None

    def _take_header(self) -> RequestHeader | None:
        """Read a header if all of it is here, and see whether its body may come. Raises RequestRefused."""
        if not self._has_skipped and self._buffer.startswith(LINE_BREAK, self._at):
            self._has_skipped = True
            self._at += len(LINE_BREAK)
        buffer, at = self._buffer, self._at
        end = buffer.find(EMPTY_LINE, at) + len(EMPTY_LINE)
        if end < len(EMPTY_LINE):
            check_beginning(buffer[at:])
            return None
        header = parse_header(buffer[at:end])
        self._at = end
        self._has_skipped = False
        self._body_max = self._body_cap(header.method, header.path, header.headers)
        self._admit(header)
        self.wants_continue = header.wants_continue
        self._body = _ChunkedBody() if header.length is None else _SizedBody(header.length)
        return header

    def _admit(self, header: RequestHeader) -> None:
        """Raises RequestRefused if the body is not to be read."""
        if header.headers.get("CONTENT_ENCODING", "identity").lower() != "identity":
            raise refused(415, "Content-Encoding other than identity", header.method)
        answer = self._gate.turns_away(self._client, header.method, header.path, header.headers, header.length)
        if answer is not None:
            raise RequestRefused(answer, is_head=header.method == "HEAD")
        if header.length is not None and header.length > self._body_max:
            raise self._too_large(header)

    def _too_large(self, header: RequestHeader) -> RequestRefused:
        return refused(413, f"body over {self._body_max} bytes", header.method)

    def _request(self, header: RequestHeader, body: bytes) -> Request:
        return Request(
            header.method,
            header.path,
            header.target,
            header.query,
            header.headers,
            self._client,
            lambda: body,
            self._is_gone,
        )
