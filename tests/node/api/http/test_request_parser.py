"""Headers made to take time, and what a header says of its connection."""

import time
from typing import Any

import pytest
from waitress.adjustments import Adjustments

from node.api.http.gate import ApiGate
from node.api.http.request_parser import HEADER_BYTES_MAX, RequestParser

LONG = HEADER_BYTES_MAX - 100
SHORT_S = 1.0
"""What is quadratic takes minutes."""


def parsed(sent: bytes, piece: int = HEADER_BYTES_MAX) -> Any:
    settings = Adjustments(ident="")
    settings.body_cap = lambda method, path, headers: 100_000
    settings.door = ApiGate()
    parser = RequestParser(settings)
    for at in range(0, len(sent), piece):
        parser.received(sent[at : at + piece])
    return parser


@pytest.mark.parametrize(
    ("sent", "line"),
    [
        (b"GET a://" + b"1" * LONG + b" x\r\n\r\n", "Start line is invalid"),
        (b"GET http://" + b"1" * LONG + b" HTTP/1.1\r\n\r\n", "the request's target is no path"),
        (b"GET " + b"a:" * (LONG // 2) + b" x\r\n\r\n", "Start line is invalid"),
        (b"GET / HTTP/1.0\r\nX:" + b" " * LONG + b"a\r\n\r\n", "more than 64 blanks in a row"),
        (b"GET / HTTP/1.0\r\nX:" + b" " * LONG + b"\x7f\r\n\r\n", "control character in the header"),
    ],
)
def test_no_header_takes_long(sent: bytes, line: str) -> None:
    start = time.perf_counter()
    parser = parsed(sent)
    assert time.perf_counter() - start < SHORT_S
    assert (parser.error.code, parser.error.line) == (400, line)


def test_tls_is_refused_at_its_first_byte() -> None:
    """Its sender would wait for our part of the handshake, and we for the end of a line."""
    parser = parsed(b"\x16\x03\x01\x02\x00\x01")
    assert parser.completed
    assert (parser.error.code, parser.error.line) == (400, "TLS on a port without it: write http://")
    body = parsed(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
    body.received(b"\x16\x16")
    assert (body.completed, body.error) == (True, None)
    assert parsed(b"GET / HTTP/1.0\r\n\x16").error is None  # which the end of the header tells


def test_many_blanks_take_no_time() -> None:
    start = time.perf_counter()
    parser = parsed(b"GET / HTTP/1.0\r\n" + (b"X:" + b" " * 64 + b"a\r\n") * (LONG // 69) + b"\r\n")
    assert time.perf_counter() - start < SHORT_S
    assert parser.completed
    assert parser.error is None


def test_many_chunks_take_no_time() -> None:
    start = time.perf_counter()
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    parser = parsed(head)
    parser.received(b"1\r\nx\r\n" * 30_000 + b"0\r\n\r\n")
    assert time.perf_counter() - start < SHORT_S
    assert (parser.completed, parser.error, len(parser.body_rcv)) == (True, None, 30_000)


@pytest.mark.parametrize(
    ("version", "connection", "closes"),
    [
        ("1.1", "", False),
        ("1.1", "keep-alive", False),
        ("1.1", "Close", True),
        ("1.1", "close, TE", True),
        ("1.1", "TE ,\tclose", True),
        ("1.1", "closed", False),
        ("1.0", "", True),
        ("1.0", "Keep-Alive", False),
        ("1.0", "keep-alive, close", True),
    ],
)
def test_whether_the_connection_goes_on(version: str, connection: str, closes: bool) -> None:
    header = f"Connection: {connection}\r\n" if connection else ""
    parser = parsed(f"GET / HTTP/{version}\r\nHost: x\r\n{header}\r\n".encode())
    assert parser.error is None
    assert parser.connection_close is closes


def test_a_header_may_come_byte_by_byte() -> None:
    whole, parts = (parsed(b"\r\nGET /x?y HTTP/1.1\r\nHost: x\r\nA_B: c\r\nD: e\r\nd: f\r\n\r\n", n) for n in (999, 1))
    for parser in (whole, parts):
        assert parser.completed
        assert (parser.command, parser.path, parser.query) == ("GET", "/x", "y")
        assert parser.headers == {"HOST": "x", "D": "e, f"}
