"""A request's header: httptools reads it, limits and the letter of RFC 9112 stand around it.

Anything that two parsers could read differently is refused. httptools alone would let through: blanks of any number in
the request line, a line without a version or with 2.0, codings beside "chunked". So the header is cut out and looked
at before it is handed on. Pure: bytes in, a value out.
"""

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from chain.frozen import value
from node.api.http.message import Response, problem

HEADER_BYTES_MAX = 64 * 1024
"""Bytes of the request line and all header lines together; more is 431, or 414 if the target alone is too long."""
HEADERS_MAX = 128
"""Header lines of a request; more is 431."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUERY"})
"""Methods that are handed on; any other is 501."""
TLS_HANDSHAKE = b"\x16"
"""The first byte of a TLS connection, and of no request."""

LINE_BREAK = b"\r\n"

_FIRST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([^ \r\n]+) HTTP/([0-9]\.[0-9])\r\n")
_TARGET = re.compile(r"(?:[Hh][Tt][Tt][Pp]://([^/?]+)(?=/))?(/[^#?]*)\??([^#]*)")
"""A path, or an address of this node with a path; and the query."""
_LENGTH = re.compile(r"[0-9]{1,15}")


class RequestRefused(Exception):
    """The answer to a request that no handler sees; nothing that follows it on its connection is a request."""

    def __init__(self, answer: Response, *, is_head: bool = False) -> None:
        super().__init__(answer)
        self.answer = answer
        self.is_head = is_head
        """Asked for with HEAD: nobody reads a body."""


@value
class RequestHeader:
    """The header of one request, and what it says of its body and its connection."""

    method: str
    target: str
    path: str
    """Decoded, without the query."""
    query: str
    version: str
    """HTTP's, "1.0" or "1.1"."""
    headers: Mapping[str, str]
    """By names in upper case with underscores. What came twice is joined by commas."""
    length: int | None
    """Bytes of the body; None: it comes in chunks."""
    is_last: bool
    """The connection ends with the answer."""
    wants_continue: bool
    """The client waits to be asked for the body."""


class _Lines:
    """The lines of a header, as httptools finds them."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: dict[str, str] = {}
        self.count = 0

    def on_url(self, piece: bytes) -> None:
        self.target += piece

    def on_header(self, name: bytes, content: bytes) -> None:
        self.count += 1
        if b"_" in name:
            return  # it could pass for one with a hyphen
        key, text = name.decode("latin-1").upper().replace("-", "_"), content.decode("latin-1").strip(" \t")
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text


def refused(status: int, line: str, method: str = "") -> RequestRefused:
    """The refusal of a request in one line."""
    return RequestRefused(problem(status, line), is_head=method == "HEAD")


def check_beginning(header: bytes, seen: int = 0) -> None:
    """Look at a header that may not be complete, of which so many bytes were looked at before: else one that drips
    would take the square of its length. Raises RequestRefused."""
    if header.startswith(TLS_HANDSHAKE):
        # It would wait for our part of the handshake, and we for its first line.
        raise refused(400, "TLS on a port without it: write http://")
    if len(header) > HEADER_BYTES_MAX:
        if LINE_BREAK in header[:HEADER_BYTES_MAX]:
            raise refused(431, f"header over {HEADER_BYTES_MAX} bytes")
        raise refused(414, f"request line over {HEADER_BYTES_MAX} bytes")
    if header.startswith(LINE_BREAK):
        raise refused(400, "Start line is invalid")  # line breaks could go on for ever
    new = header[seen - header.endswith(b"\r", 0, seen) :]
    breaks = new.count(LINE_BREAK)
    if new.count(b"\n") != breaks or new.count(b"\r") - new.endswith(b"\r") != breaks:
        raise refused(400, "a line break other than CR LF in the header")


def parse_header(header: bytes) -> RequestHeader:
    """Read a whole header, the empty line at its end included. Raises RequestRefused."""
    check_beginning(header)
    first = _FIRST_LINE.match(header)
    if first is None:
        raise refused(400, "Start line is invalid")
    method, version = first[1].decode(), first[3].decode()
    if version not in ("1.0", "1.1"):
        raise refused(505, "HTTP version other than 1.0 and 1.1", method)
    if method not in METHODS:
        raise refused(501, f"no method {method} here")
    lines = _Lines()
    try:
        HttpRequestParser(lines).feed_data(header)
    except HttpParserUpgrade:
        pass  # nobody upgrades here
    except HttpParserError as error:
        raise refused(400, str(error), method) from None
    try:
        return _look_at(method, version, lines)
    except RequestRefused as refusal:
        refusal.is_head = method == "HEAD"
        raise


def _look_at(method: str, version: str, lines: _Lines) -> RequestHeader:
    headers = lines.headers
    if lines.count > HEADERS_MAX:
        raise refused(431, f"more than {HEADERS_MAX} header lines")
    host = headers.get("HOST")
    if version == "1.1" and host is None:
        raise refused(400, "HTTP/1.1 without Host")
    if host is not None and "," in host:
        raise refused(400, "more than one Host")
    target = lines.target.decode("latin-1")
    parts = _TARGET.fullmatch(target)
    if parts is None:
        raise refused(400, "the request's target is no path")
    if parts[1] is not None and parts[1].lower() != (host or "").lower():
        raise refused(400, "the request's target names another host than its header")
    length = _length(headers, version)
    connection = _tokens(headers.get("CONNECTION", ""))
    return RequestHeader(
        method,
        target,
        _decoded(parts[2]),
        parts[3],
        version,
        headers,
        length,
        is_last="close" in connection or (version == "1.0" and "keep-alive" not in connection),
        wants_continue=length != 0 and version == "1.1" and headers.get("EXPECT", "").lower() == "100-continue",
    )


def _length(headers: Mapping[str, str], version: str) -> int | None:
    """Bytes of the body; None: it comes in chunks. Raises RequestRefused."""
    coding, length = headers.get("TRANSFER_ENCODING"), headers.get("CONTENT_LENGTH")
    if coding is None:
        if length is not None and not _LENGTH.fullmatch(length):
            raise refused(400, "Content-Length is invalid")
        return int(length or 0)
    if coding.lower() != "chunked":
        raise refused(400, "Transfer-Encoding other than chunked")
    if version == "1.0":
        raise refused(400, "Transfer-Encoding needs HTTP/1.1")
    if length is not None:
        raise refused(400, "both Content-Length and Transfer-Encoding")
    return None


def _decoded(path: str) -> str:
    # What a base address with a slash at its end makes of a path.
    path = "/" + path.lstrip("/")
    return unquote_to_bytes(path).decode("utf-8", "replace") if "%" in path else path


def _tokens(header: str) -> set[str]:
    return {token.strip(" \t") for token in header.lower().split(",")}
