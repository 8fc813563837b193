"""What an HTTP handler gives back: exact content types, bare text, one-line problems."""

from collections.abc import Sequence
from typing import Any

from flask import Response

from node.api.jsontext import emit

TEXT = "text/plain"
JSON = "application/json"
OCTETS = "application/octet-stream"
IMMUTABLE = "public, immutable, max-age=31536000"
"""Cache-Control of what its URL names for ever."""
LINE_MAX = 300
"""Characters of a problem's line; a longer one is cut."""


class Problem(Exception):
    """A request that gets a status and one line of text."""

    def __init__(self, status: int, line: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(status, line)
        self.status = status
        self.line = line
        self.headers = headers


def text(body: str) -> Response:
    """200 with a bare value: no quotes, no newline."""
    return _answer(200, body.encode(), TEXT)


def octets(body: bytes) -> Response:
    """200 with bytes."""
    return _answer(200, body, OCTETS)


def document(body: Any, status: int = 200) -> Response:
    """JSON, amounts being integers of satoshis unless they are `Coins`."""
    return _answer(status, emit(body).encode(), JSON)


def problem(status: int, line: str, headers: Sequence[tuple[str, str]] = ()) -> Response:
    """An error: text, one line of ASCII."""
    answer = _answer(status, one_line(line).encode(), TEXT)
    answer.headers.extend(headers)
    return answer


def one_line(words: str) -> str:
    """ASCII in one line of bounded length, whatever came in."""
    line = words.encode("ascii", "backslashreplace").decode()
    line = "".join(c if " " <= c <= "~" else repr(c)[1:-1] for c in line[: LINE_MAX + 1])
    return line if len(line) <= LINE_MAX else line[: LINE_MAX - 3] + "..."


def _answer(status: int, body: bytes, content_type: str) -> Response:
    # The keyword that takes the type as it is: `mimetype` would add a charset to text.
    return Response(body, status, content_type=content_type)
