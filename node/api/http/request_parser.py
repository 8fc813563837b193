"""Requests cut out of a connection's bytes, each ending where its own bytes do.

A request is refused as soon as its header shows that it must be. Knows no socket and no clock.
"""

from collections.abc import Callable, Mapping

from chain.frozen import value
from node.api.http.gate import Gate
from node.api.http.message import Request
from node.api.http.request_body import EMPTY_LINE, ChunkedBody, SizedBody
from node.api.http.request_header import (
    LINE_BREAK,
    RequestHeader,
    RequestRefused,
    check_beginning,
    parse_header,
    refused,
)

_NO_BODY = SizedBody(0)

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
        self._seen = 0
        """Bytes of an unfinished header that were looked at."""
        self._header: RequestHeader | None = None
        """The header of the request whose body is coming in."""
        self._body: SizedBody | ChunkedBody = _NO_BODY
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
        return 0 if self._header is None else len(self._body.content)

    def push(self, received: bytes) -> None:
        """Keep bytes, to be read by `take`."""
        rest = self._buffer[self._at :]
        self._buffer, self._at = rest + received if rest else received, 0

    def take(self) -> ParsedRequest | None:
        """Read on; the next request if it is complete. Raises RequestRefused."""
        parsed = self._read_on()
        if self._at == len(self._buffer):
            self._buffer, self._at = b"", 0  # nothing is held for a connection that waits
        return parsed

    def clear(self) -> None:
        """Forget what is here."""
        self._buffer, self._at = b"", 0
        self._drop_request()

    def _read_on(self) -> ParsedRequest | None:
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
        if len(body.content) > self._body_max:
            raise self._too_large(header)
        if not body.is_complete:
            return None
        content = bytes(body.content)
        self._drop_request()
        return ParsedRequest(self._request(header, content), len(content), header.version, header.is_last)

    def _take_header(self) -> RequestHeader | None:
        """Read a header if all of it is here, and see whether its body may come. Raises RequestRefused."""
        if not self._has_skipped and self._buffer.startswith(LINE_BREAK, self._at):
            self._has_skipped = True
            self._at += len(LINE_BREAK)
            self._seen = 0
        buffer, at = self._buffer, self._at
        end = buffer.find(EMPTY_LINE, at + max(0, self._seen - 3)) + len(EMPTY_LINE)
        if end < len(EMPTY_LINE):
            check_beginning(buffer[at:], self._seen)
            self._seen = len(buffer) - at
            return None
        header = parse_header(buffer[at:end])
        self._at, self._seen = end, 0
        self._has_skipped = False
        self._body_max = self._body_cap(header.method, header.path, header.headers)
        self._admit(header)
        self.wants_continue = header.wants_continue
        self._body = ChunkedBody() if header.length is None else SizedBody(header.length)
        return header

    def _drop_request(self) -> None:
        self._header, self._body, self._seen = None, _NO_BODY, 0
        self.wants_continue = False

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
