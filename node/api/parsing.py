"""Requests as they come in: what waitress parses, with limits before bytes.

A request is refused as soon as its header shows that it must be. Anything that two parsers could
read differently (two lengths, a length beside chunks) is refused.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from waitress.parser import HTTPRequestParser, ParsingError, TransferEncodingNotImplemented

from node.api.answers import TEXT, Request, one_line

HEADER_BYTES_MAX = 64 * 1024
"""Of the request line and all header lines together; more is 431."""
CHUNK_LINES_MAX = 4096
"""Bytes of chunk lines that even an empty body may have."""

BodyCap = Callable[[str, str, Mapping[str, str]], int]
"""(method, path, headers with upper-case names and underscores) -> bytes of body allowed."""


class Refusal:
    """An answer given before any handler sees the request, in the form that waitress asks errors for."""

    def __init__(self, code: int, line: str) -> None:
        self.code = code
        self.line = line

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """Status line, headers, body."""
        return f"{self.code} {HTTPStatus(self.code).phrase}", [("Content-Type", TEXT)], one_line(self.line).encode()


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
        self.path = "/" + self.path.lstrip("/")  # what a base address with a slash at its end makes of a path
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

    def request(self, client: str) -> Request:
        """What is asked, for whoever answers it; it came from the address `client`."""
        path = self.path if self.path.isascii() else self.path.encode("latin-1").decode("utf-8", "replace")
        return Request(self.command, path, self.request_uri, self.query, self.headers, client, self._body)

    def _body(self) -> bytes:
        body: bytes = b"" if self.body_rcv is None else self.body_rcv.getbuf().get()
        return body

    def _too_large(self) -> bool:
        if self.body_rcv is None:
            return False
        # Chunk lines count too, at least as much as the body, so that nobody sends only those.
        return (
            self.content_length > self.body_max
            or len(self.body_rcv) > self.body_max
            or self.body_bytes_received > 2 * self.body_max + CHUNK_LINES_MAX
        )
