"""Answers as bytes, for the connection and the version of HTTP that they were asked for in."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from http import HTTPStatus

from chain.frozen import value
from node.api.http.message import Handler, Response, Stream, problem
from node.api.http.request_parser import ParsedRequest

_BODILESS = frozenset({204, 304})
log = logging.getLogger("groat.http")

_BUG = problem(500, "internal server error")
_REASONS = {int(status): status.phrase for status in HTTPStatus}


@value
class EncodedAnswer:
    """An answer as it goes out."""

    head: bytes
    body: bytes
    is_last: bool
    """The connection ends with it."""
    stream: Stream | None = None
    """Stream that follows the head."""
    is_chunked: bool = False
    """The stream comes in chunks; else its end is that of the connection."""


class DateLine:
    """The Date header, made once a second."""

    def __init__(self) -> None:
        self._made = 0, ""

    def __call__(self) -> str:
        """The line as of now."""
        second = int(datetime.now(UTC).timestamp())
        made, line = self._made
        if made != second:
            line = f"Date: {formatdate(second, usegmt=True)}"
            self._made = second, line
        return line


def answer_request(app: Handler, parsed: ParsedRequest, date_line: Callable[[], str]) -> EncodedAnswer:
    """The application's answer to a request, or that it has a bug."""
    answer = _BUG
    try:
        answer = app(parsed.request)
        return _encode_answer(answer, parsed, date_line())
    except Exception:
        log.exception("a bug in the server")
        if answer.stream is not None:
            answer.stream.close()
        return _encode_answer(_BUG, parsed, date_line())


def encode_refusal(answer: Response, date_line: str, *, is_head: bool) -> bytes:
    """The last answer on a connection whose request was not read to its end; `is_head` if that was one."""
    head = _encode_head(answer, date_line, "1.1", is_last=True)
    return head if is_head or answer.status in _BODILESS else head + answer.body


def _encode_answer(answer: Response, parsed: ParsedRequest, date_line: str) -> EncodedAnswer:
    """Raises ValueError for a header that would be two."""
    is_last = parsed.is_last or answer.stream is not None
    head = _encode_head(answer, date_line, parsed.version, is_last=is_last)
    if parsed.request.method != "HEAD" and answer.status not in _BODILESS:
        return EncodedAnswer(head, answer.body, is_last, answer.stream, parsed.version == "1.1")
    if answer.stream is not None:
        answer.stream.close()
    return EncodedAnswer(head, b"", is_last)


def _encode_head(answer: Response, date_line: str, version: str, *, is_last: bool) -> bytes:
    """Status line and headers. Raises ValueError for a header that would be two."""
    lines = [f"HTTP/{version} {answer.status} {_REASONS[answer.status]}", date_line]
    if answer.content_type is not None:
        lines.append(f"Content-Type: {answer.content_type}")
    if answer.stream is not None:
        if version == "1.1":
            lines.append("Transfer-Encoding: chunked")
    elif answer.status not in _BODILESS:
        lines.append(f"Content-Length: {len(answer.body)}")
    for name, content in answer.headers:
        if "\n" in content or "\r" in content:
            raise ValueError(f"a line break in {name}")
        lines.append(f"{name}: {content}")
    if is_last:
        lines.append("Connection: close")
    elif version == "1.0":
        lines.append("Connection: Keep-Alive")
    lines.append("\r\n")
    return "\r\n".join(lines).encode("latin-1")
