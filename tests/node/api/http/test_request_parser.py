"""Requests out of bytes: however they are cut, headers made to take time, and what a header says of its connection."""

import gc
import time
import tracemalloc

import pytest

from node.api.http.gate import ApiGate
from node.api.http.request_header import HEADER_BYTES_MAX, RequestRefused
from node.api.http.request_parser import ParsedRequest, RequestParser

LONG = HEADER_BYTES_MAX - 100
SHORT_S = 1.0
"""What is quadratic takes minutes."""
BODY_MAX = 100_000
CHUNKED = b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKS = b"3\r\nabc\r\na\r\n0123456789\r\nB\r\n\r\nhello\r\n\r\n\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n"
BODY = b"abc0123456789\r\nhello\r\n\r\n\r\n\r\n"


def parser() -> RequestParser:
    return RequestParser("127.0.0.1", lambda method, path, headers: BODY_MAX, ApiGate())


def parsed(sent: bytes, piece: int = 1 << 20) -> list[ParsedRequest]:
    """The requests in what is sent in pieces of that size. Raises RequestRefused."""
    reader, requests = parser(), []
    for at in range(0, len(sent), piece):
        reader.push(sent[at : at + piece])
        while (request := reader.take()) is not None:
            requests.append(request)
    assert not reader.has_begun
    return requests


def refusal(sent: bytes, piece: int = 1 << 20) -> tuple[int, str]:
    """Status and line of the answer to what is refused."""
    with pytest.raises(RequestRefused) as caught:
        parsed(sent, piece)
    return caught.value.answer.status, caught.value.answer.body.decode()


@pytest.mark.parametrize(
    ("sent", "refused"),
    [
        (b"GET a://" + b"1" * LONG + b" x\r\n\r\n", (400, "Start line is invalid")),
        (b"GET http://" + b"1" * LONG + b" HTTP/1.1\r\nHost: x\r\n\r\n", (400, "the request's target is no path")),
        (b"GET " + b"a:" * (LONG // 2) + b" x\r\n\r\n", (400, "Start line is invalid")),
        (b"G" * LONG + b" / HTTP/1.1\r\n\r\n", (501, "no method " + "G" * 287 + "...")),
        (b"GET / HTTP/1.0\r\nX:" + b" " * LONG + b"\x7f\r\n\r\n", (400, "Invalid header value char")),
        (b"GET / HTTP/1.0\r\nX:" + b" " * LONG + b"\r\n" * 60 + b"\n", (400, None)),
    ],
)
def test_no_header_takes_long(sent: bytes, refused: tuple[int, str | None]) -> None:
    start = time.perf_counter()
    status, line = refusal(sent)
    assert time.perf_counter() - start < SHORT_S
    assert status == refused[0]
    assert refused[1] in (None, line)


@pytest.mark.parametrize(
    "header",
    [b"X:" + b" " * 64 + b"a\r\n", b"X: " + b"a" * 500 + b"\r\n", b"X: a\r\n"],
    ids=["blanks", "long", "short"],
)
def test_a_header_that_drips_takes_no_time(header: bytes) -> None:
    lines = header * min(120, LONG // len(header))
    start = time.perf_counter()
    [request] = parsed(b"GET / HTTP/1.0\r\n" + lines + b"\r\n", 3)
    assert time.perf_counter() - start < SHORT_S
    assert request.request.path == "/"


def test_tls_is_refused_at_its_first_byte() -> None:
    """Its sender would wait for our part of the handshake, and we for the end of a line."""
    assert refusal(b"\x16\x03\x01\x02\x00\x01") == (400, "TLS on a port without it: write http://")
    [request] = parsed(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n\x16\x16")
    assert request.request.body() == b"\x16\x16"


def test_a_line_feed_alone_is_refused_before_the_header_ends() -> None:
    """Its sender thinks that it has ended."""
    for size in (1, 2, 999):
        for sent in (
            b"GET / HTTP/1.1\nHost: x\n\n",
            b"GET / HTTP/1.1\r\nHost: x\n\n",
            b"GET / HTTP/1.1\r\nHost: x\rY: z",
        ):
            assert refusal(sent, size) == (400, "a line break other than CR LF in the header")


def test_many_chunks_take_no_time() -> None:
    start = time.perf_counter()
    [request] = parsed(CHUNKED + b"1\r\nx\r\n" * 30_000 + b"0\r\n\r\n")
    assert time.perf_counter() - start < SHORT_S
    assert request.request.body() == b"x" * 30_000
    start = time.perf_counter()
    [request] = parsed(CHUNKED + b"%x\r\n" % BODY_MAX + b"\r\n" * (BODY_MAX // 2) + b"\r\n0\r\n\r\n")
    assert time.perf_counter() - start < SHORT_S
    assert request.request.body() == b"\r\n" * (BODY_MAX // 2)


@pytest.mark.parametrize("piece", [2, 1 << 16])
@pytest.mark.parametrize(
    "sent", [CHUNKED + b"2\r\nxy\r\n" * 20_000, b"POST /x HTTP/1.0\r\nContent-Length: 99999\r\n\r\n" + b"xy" * 20_000]
)
def test_small_pieces_take_no_more_memory_than_a_body(sent: bytes, piece: int) -> None:
    reader = parser()
    tracemalloc.start()
    for at in range(0, len(sent), piece):
        reader.push(sent[at : at + piece])
        assert reader.take() is None
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reader.body_bytes == 40_000
    assert held < 3 * 40_000 + (1 << 16)


@pytest.mark.parametrize(
    "sent", [CHUNKED + b"15f90\r\n%b\r\n0\r\n\r\n", b"POST /x HTTP/1.0\r\nContent-Length: 90000\r\n\r\n%b"]
)
def test_a_connection_that_waits_holds_nothing(sent: bytes) -> None:
    reader = parser()
    gc.disable()
    tracemalloc.start()
    try:
        reader.push(sent % (b"x" * 90_000))
        assert reader.take() is not None
        assert reader.take() is None
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert held < 10_000


def test_chunks_however_they_are_cut() -> None:
    sent = CHUNKED + CHUNKS + b"GET /y HTTP/1.1\r\nHost: x\r\n\r\n"
    for size in range(1, len(sent) + 1):
        first, second = parsed(sent, size)
        assert (first.request.body(), second.request.path) == (BODY, "/y")


@pytest.mark.parametrize(
    "chunks",
    [
        b"3\nabc\r\n0\r\n\r\n",
        b"3\n\r\nabc\r\n0\r\n\r\n",
        b"3;x\n\r\nabc\r\n0\r\n\r\n",
        b'3;x="y"\r\nabc\r\n0\r\n\r\n',
        b"3;\r\nabc\r\n0\r\n\r\n",
        b"3;\0\r\nabc\r\n",
        b";x\r\n",
        b"\r\n3\r\nabc\r\n",
        b" 3\r\nabc\r\n",
        b"3 \r\nabc\r\n",
        b"+3\r\nabc\r\n",
        b"-3\r\nabc\r\n",
        b"0x3\r\nabc\r\n",
        b"1_0\r\nabc\r\n",
        b"03\r\nabc\r\n0\r\n\r\n",
        b"00\r\n\r\n",
        b"f" * 10 + b"\r\n",
        b"f" * 17 + b"\r\n",
        b"3\r\nabcd",
        b"3\r\nabc\n0\r\n\r\n",
        b"3\r\nabc\rx",
        b"0\r\n\n",
        b"0\r\nX: y\r\n\r\n",
        b"0\r\nContent-Length: 9\r\n\r\n",
        b"0\r\nGET / HTTP/1.1\r\n\r\n",
        b"0\r\n X: y\r\n\r\n",
        b"0;last\r\n\r\n",
        b"1;" + b"x" * 100,
        b"0\r\nX: " + b"x" * 100,
    ],
)
def test_chunks_that_are_refused(chunks: bytes) -> None:
    for size in (1, 7, 1 << 20):
        assert refusal(CHUNKED + chunks, size)[0] == 400


def test_a_body_is_refused_at_the_first_byte_too_many() -> None:
    size = b"%x\r\n" % (BODY_MAX + 1)
    reader = parser()
    reader.push(CHUNKED + size + bytes(BODY_MAX))
    assert reader.take() is None
    assert reader.body_bytes == BODY_MAX
    reader.push(b"x")
    with pytest.raises(RequestRefused) as caught:
        reader.take()
    assert caught.value.answer.status == 413


@pytest.mark.parametrize(
    ("version", "connection", "closes"),
    [
        ("1.1", "", False),
        ("1.1", "keep-alive", False),
        ("1.1", "Close", True),
        ("1.1", "close, TE", True),
        ("1.1", "TE ,\tclose", True),
        ("1.1", "closed", False),
        ("1.1", "Upgrade", False),
        ("1.0", "", True),
        ("1.0", "Keep-Alive", False),
        ("1.0", "keep-alive, close", True),
    ],
)
def test_whether_the_connection_goes_on(version: str, connection: str, closes: bool) -> None:
    header = f"Connection: {connection}\r\nUpgrade: x\r\n" if connection else ""
    [request] = parsed(f"GET / HTTP/{version}\r\nHost: x\r\n{header}\r\n".encode())
    assert (request.version, request.is_last) == (version, closes)


def test_a_header_may_come_byte_by_byte() -> None:
    sent = b"\r\nGET /x%20y?z HTTP/1.1\r\nHost: x\r\nA_B: c\r\nD:  e \t\r\nd: f\r\n\r\n"
    for size in (1, 999):
        [request] = parsed(sent, size)
        got = request.request
        assert (got.method, got.path, got.query, got.target) == ("GET", "/x y", "z", "/x%20y?z")
        assert got.headers == {"HOST": "x", "D": "e, f"}
        assert got.client == "127.0.0.1"


def test_requests_in_a_row() -> None:
    sent = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc\r\n" + CHUNKED + CHUNKS
    sent += b"GET /b HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" + CHUNKED + CHUNKS
    for size in range(1, len(sent) + 1):
        bodies = [(request.request.path, request.request.body()) for request in parsed(sent, size)]
        assert bodies == [("/a", b"abc"), ("/x", BODY), ("/b", b""), ("/x", BODY)]
