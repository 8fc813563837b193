"""Requests and answers of an HTTP handler: exact content types, bare text, one-line problems."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from chain.frozen import value
from node.api.encoding.json_codec import emit

TEXT = "text/plain"
JSON = "application/json"
OCTETS = "application/octet-stream"
IMMUTABLE = "public, immutable, max-age=31536000"
"""Cache-Control of what its URL names for ever."""
NOT_READY_RETRY_S = 1
LINE_MAX = 300
"""Characters of a problem's line; a longer one is cut."""

Headers = tuple[tuple[str, str], ...]


@value
class Request:
    """One request, read to its end."""

    method: str
    path: str
    """Decoded, without the query."""
    target: str
    """The path and query as they came; any bytes, as Latin-1."""
    query: str
    """Behind the question mark, as it came."""
    headers: Mapping[str, str]
    """By names in upper case with underscores; Latin-1. What came twice is joined by commas."""
    client: str
    """The address it came from."""
    body: Callable[[], bytes]
    """Reads the body; once."""
    is_gone: Callable[[], bool] = lambda: False
    """True if the client has hung up: nobody reads the answer any more."""

    def header(self, name: str) -> str:
        """A header by its name in upper case with underscores; empty if it is not there."""
        return self.headers.get(name, "")


class Stream(Protocol):
    """A body that comes into being over time; the connection ends with it."""

    filler: bytes
    """Bytes sent after a while without anything else: they mean nothing."""

    def start(self, wake: Callable[[], None]) -> None:
        """Begin: somebody follows. `wake` is to be called when there may be more, from any thread; it takes no time."""
        ...

    def take(self) -> bytes | None:
        """The next piece, no longer than is good to have waiting; empty: not now; None: that was all.

        Called in the listener's own thread: waits for nobody.
        """
        ...

    def close(self) -> None:
        """End: nobody follows any more, or ever did."""
        ...


@value
class Response:
    """One answer: whole, or with a stream in place of its body."""

    status: int
    body: bytes = b""
    content_type: str | None = None
    """As it is: no charset is added."""
    headers: Headers = ()
    """More of them; lengths, dates and what becomes of the connection are the server's business."""
    stream: Stream | None = None
    """Stream sent instead of the body; whoever does not hand it on closes it."""


Handler = Callable[[Request], Response]
"""An application that a listener serves."""


class Problem(Exception):
    """A request that gets a status and one line of text."""

    def __init__(self, status: int, line: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(status, line)
        self.status = status
        self.line = line
        self.headers = headers


def text(body: str) -> Response:
    """200 with a bare value: no quotes, no newline."""
    return Response(200, body.encode(), TEXT)


def octets(body: bytes) -> Response:
    """200 with bytes."""
    return Response(200, body, OCTETS)


def document(body: Any) -> Response:
    """JSON, amounts being integers of satoshis unless they are `Coins`."""
    return Response(200, emit(body).encode(), JSON)


def problem(status: int, line: str, headers: Sequence[tuple[str, str]] = ()) -> Response:
    """An error: text, one line of ASCII."""
    return Response(status, one_line(line).encode(), TEXT, tuple(headers))


def not_ready(refusal: str, *, for_good: bool) -> Response:
    """The answer of a node that does not answer: come again soon, unless it has to be started again."""
    if for_good:
        return problem(500, refusal)
    return problem(503, f"{refusal}: come again", [("Retry-After", str(NOT_READY_RETRY_S))])


def one_line(words: str) -> str:
    """ASCII in one line of bounded length, whatever came in."""
    line = words.encode("ascii", "backslashreplace").decode()
    line = "".join(c if " " <= c <= "~" else repr(c)[1:-1] for c in line[: LINE_MAX + 1])
    return line if len(line) <= LINE_MAX else line[: LINE_MAX - 3] + "..."
