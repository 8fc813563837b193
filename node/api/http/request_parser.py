"""Requests as they come in: what waitress parses, with limits before bytes.

A request is refused as soon as its header shows that it must be. Anything that two parsers could
read differently (two lengths, a length beside chunks, a line that goes on in the next) is refused,
and before waitress's expressions see it anything that they need more than linear time for.
"""

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from waitress.parser import HTTPRequestParser, ParsingError, TransferEncodingNotImplemented

from node.api.http.chunked_body import ChunkedBody
from node.api.http.gate import Gate
from node.api.http.message import TEXT, Request, Response, one_line

HEADER_BYTES_MAX = 64 * 1024
"""Bytes of the request line and all header lines together; more is 431."""
CHUNK_LINES_MAX = 4096
"""Bytes of chunk lines that even an empty body may have."""

TLS_HANDSHAKE = b"\x16"
"""The first byte of a TLS connection, and of no request."""
BLANKS_MAX = 64
"""Spaces and tabs in a row: the time that a header line takes grows with their square."""

_FIRST_LINE = re.compile(rb"[^ ]+ ([^ ]+)(?: HTTP/[0-9]\.[0-9])?")
"""waitress's own needs time for this that grows with the square of a wrong line's length."""
_TARGET = re.compile(rb"(?:[Hh][Tt][Tt][Pp]://([^/?]+)(?=/))?/[^#]*")
"""A path, or an address of this node with a path."""
_BLANKS = re.compile(rb"[ \t]{%d}" % (BLANKS_MAX + 1))
_CODING = re.compile(rb"\r\ntransfer-encoding:[ \t]*([^\r]*)", re.IGNORECASE)
_OTHER_CODING = "Transfer-Encoding other than chunked"
_IN_HEADERS = bytes({*range(0x20, 0x7F), *range(0x80, 0x100), *b"\t\r\n"})
"""Bytes that a header may have; what stands around line breaks waitress sees to."""

BodyCap = Callable[[str, str, Mapping[str, str]], int]
"""(method, path, headers with upper-case names and underscores) -> bytes of body allowed."""


class BadRequest:
    """An answer given before any handler sees the request, in the form that waitress asks errors for."""

    def __init__(self, code: int, line: str, answer: Response | None = None) -> None:
        """`answer` is given instead of the line, if there is one."""
        self.code = code
        self.line = line
        self._answer = answer or Response(code, one_line(line).encode(), TEXT)

    @staticmethod
    def of(answer: Response) -> "BadRequest":
        """One that is already an answer."""
        return BadRequest(answer.status, "", answer)

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """Status line, headers, body."""
        answer = self._answer
        headers = [("Content-Type", answer.content_type or TEXT), *answer.headers]
        return f"{self.code} {HTTPStatus(self.code).phrase}", headers, answer.body


class RequestParser(HTTPRequestParser):
    """One request: its header decides at once how much body is read."""

    path = ""
    command = ""
    error: Any = None
    body_rcv: Any = None
    connection_close: bool = False
    empty: bool = False
    body_max = 0
    turned_away: BadRequest | None = None
    """The answer that the header alone leads to."""

    def __init__(self, adj: Any, host: str = "") -> None:
        """`host` is the address that it comes from."""
        super().__init__(adj)
        self.body_cap: BodyCap = adj.body_cap
        self._door: Gate = adj.door
        self._host = host

    def parse_header(self, header_plus: bytes) -> None:
        """As waitress does, and what it leaves open. Raises ParsingError."""
        authority = _check_form(header_plus)
        try:
            super().parse_header(header_plus)
        except TransferEncodingNotImplemented:
            raise ParsingError(_OTHER_CODING) from None
        except ValueError:  # a length of more digits than int() takes, a path that is no URI
            raise ParsingError("malformed request") from None
        self._check_headers(authority)
        if self.chunked:
            self.body_rcv = ChunkedBody(self.body_rcv.getbuf())
        self.path = "/" + self.path.lstrip("/")  # what a base address with a slash at its end makes of a path
        self.body_max = self.body_cap(self.command, self.path, self.headers)
        if self.headers.get("CONTENT_ENCODING", "identity").lower() != "identity":
            self._turn_away(BadRequest(415, "Content-Encoding other than identity"))
        length = None if self.chunked else self.content_length
        answer = self._door.turns_away(self._host, self.command, self.path, self.headers, length)
        if answer is not None:
            self._turn_away(BadRequest.of(answer))

    def _turn_away(self, refusal: BadRequest) -> None:
        """Raises ParsingError."""
        self.turned_away = refusal
        raise ParsingError("turned away")

    def _check_headers(self, authority: bytes | None) -> None:
        """Raises ParsingError where a header may not be as it is; `authority` is the target's."""
        headers = self.headers
        # Repeated headers arrive joined by commas.
        if self.chunked and "CONTENT_LENGTH" in headers:
            raise ParsingError("both Content-Length and Transfer-Encoding")
        if "TRANSFER_ENCODING" in headers:
            raise ParsingError("Transfer-Encoding needs HTTP/1.1")
        if self.version not in ("1.0", "1.1"):
            raise ParsingError("HTTP version other than 1.0 and 1.1")
        host = headers.get("HOST")
        if self.version == "1.1" and host is None:
            raise ParsingError("HTTP/1.1 without Host")
        if host is not None and "," in host:
            raise ParsingError("more than one Host")
        if authority is not None and authority.decode("latin-1").lower() != (host or "").lower():
            raise ParsingError("the request's target names another host than its header")
        if "CONNECTION" in headers and not self.connection_close:
            # waitress knows it only where it stands alone.
            self.connection_close = "close" in _tokens(headers["CONNECTION"])

    def received(self, chunk: bytes) -> int:
        """Take a chunk; returns how many of its bytes belong to this request."""
        if self.error:
            return len(chunk)  # whatever follows a refused request is no request
        if chunk[:1] == TLS_HANDSHAKE and self.body_rcv is None and not self.header_plus:
            # It would wait for our part of the handshake, and we for its first line.
            self.error, self.completed = BadRequest(400, "TLS on a port without it: write http://"), True
            return len(chunk)
        taken: int = super().received(chunk)
        if self.turned_away:
            self.error = self.turned_away
        elif self.error and self.error.code == 431:
            self.error = BadRequest(431, "header too large")
        elif self._too_large():
            self.error = BadRequest(413, f"body over {self.body_max} bytes")
            self.completed = True
        elif self.error:
            self.error = BadRequest(400, str(self.error.body))
        elif self.empty:
            # One line break before a request is overlooked; else nothing but them could go on for ever.
            self.empty, self.error = False, BadRequest(400, "Start line is invalid")
        if self.completed:
            # Else the channel would ask for a body all the same: of a request that has none it would
            # wait for it, and it would forget that one is refused.
            self.expect_continue = False
        if self.error:
            return len(chunk)
        return taken

    def request(self, client: str, is_gone: Callable[[], bool]) -> Request:
        """The request, for its handler; it came from the address `client`."""
        path = self.path if self.path.isascii() else self.path.encode("latin-1").decode("utf-8", "replace")
        return Request(self.command, path, self.request_uri, self.query, self.headers, client, self._body, is_gone)

    def _body(self) -> bytes:
        body: bytes = b"" if self.body_rcv is None else self.body_rcv.getbuf().get()
        return body

    def _too_large(self) -> bool:
        if self.body_rcv is None:
            return False
        if self.error and self.error.code != 413:
            return False
        # Chunk lines count too, at least as much as the body, so that nobody sends only those.
        return (
            self.error is not None
            or self.content_length > self.body_max
            or len(self.body_rcv) > self.body_max
            or self.body_bytes_received > 2 * self.body_max + CHUNK_LINES_MAX
        )


def _check_form(header_plus: bytes) -> bytes | None:
    """Look at the bytes of a header; returns the authority that the target names. Raises ParsingError."""
    line, end, _ = header_plus.partition(b"\r\n")
    first = _FIRST_LINE.fullmatch(line)
    if not end or first is None:
        raise ParsingError("Start line is invalid")
    if header_plus.translate(None, _IN_HEADERS):
        raise ParsingError("control character in the header")
    if b"\r\n " in header_plus or b"\r\n\t" in header_plus:
        raise ParsingError("a header line that goes on in the next")
    if (b"  " in header_plus or b"\t" in header_plus) and _BLANKS.search(header_plus):
        raise ParsingError(f"more than {BLANKS_MAX} blanks in a row")
    if b"ransfer-" in header_plus.lower():
        # waitress overlooks empty codings, and "chunked" said twice.
        codings = _CODING.findall(header_plus)
        if codings and [coding.rstrip(b" \t").lower() for coding in codings] != [b"chunked"]:
            raise ParsingError(_OTHER_CODING)
    target = _TARGET.fullmatch(first[1])
    if target is None or b"\t" in first[1]:
        raise ParsingError("the request's target is no path")
    authority: bytes | None = target[1]
    return authority


def _tokens(header: str) -> set[str]:
    return {token.strip(" \t") for token in header.lower().split(",")}
