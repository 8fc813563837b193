"""Bodies in chunks, cut in every way and wrong in every way."""

import pytest
from waitress.buffers import OverflowableBuffer

from node.api.http.chunked_body import LINE_MAX, ChunkedBody

GOOD = b'3\r\nabc\r\n00a;x="y"\r\n0123456789\r\nB ;z\r\n\r\nhello\r\n\r\n\r\n0;last\r\nX: y\r\nZ:\r\n\r\n'
BODY = b"abc0123456789\r\nhello\r\n\r\n"


def chunks() -> ChunkedBody:
    return ChunkedBody(OverflowableBuffer(1 << 20))


def test_however_it_is_cut() -> None:
    for size in range(1, len(GOOD) + 1):
        reader = chunks()
        for at in range(0, len(GOOD), size):
            piece = GOOD[at : at + size]
            assert not reader.completed
            assert reader.received(piece) == len(piece)
        assert (reader.completed, reader.error, reader.getbuf().get()) == (True, None, BODY)


def test_what_follows_is_left() -> None:
    reader = chunks()
    assert reader.received(GOOD + b"GET / HTTP/1.1") == len(GOOD)
    assert reader.completed
    assert len(reader) == len(BODY)
    assert reader.received(b"GET /") == 0


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"3\nabc\r\n", "Invalid chunk size"),
        (b"3\n\r\nabc\r\n", "Invalid chunk size"),
        (b"3;x\n\r\nabc\r\n", "Invalid chunk size"),
        (b"\r\n3\r\nabc\r\n", "Invalid chunk size"),
        (b" 3\r\nabc\r\n", "Invalid chunk size"),
        (b"3 \r\nabc\r\n", "Invalid chunk size"),
        (b"+3\r\nabc\r\n", "Invalid chunk size"),
        (b"-3\r\nabc\r\n", "Invalid chunk size"),
        (b"0x3\r\nabc\r\n", "Invalid chunk size"),
        (b"1_0\r\nabc\r\n", "Invalid chunk size"),
        (b";x\r\n", "Invalid chunk size"),
        (b"3;\0\r\nabc\r\n", "Invalid chunk size"),
        (b"3;\r\r\nabc\r\n", "Invalid chunk size"),
        (b"f" * 16 + b"\r\n", "Invalid chunk size"),
        (b"3\r\nabcd", "Chunk not properly terminated"),
        (b"3\r\nabc\n", "Chunk not properly terminated"),
        (b"3\r\nabc\rx", "Chunk not properly terminated"),
        (b"0\r\n\n", "Invalid trailer"),
        (b"0\r\nX: y\n\r\n", "Invalid trailer"),
        (b"0\r\nGET / HTTP/1.1\r\n\r\n", "Invalid trailer"),
        (b"0\r\n X: y\r\n\r\n", "Invalid trailer"),
        (b"1" * (LINE_MAX + 1), "chunk line too long"),
        (b"1;" + b"x" * LINE_MAX + b"\r\n", "chunk line too long"),
        (b"0\r\nX: " + b"x" * LINE_MAX, "chunk line too long"),
    ],
)
def test_refused(sent: bytes, error: str) -> None:
    for size in (1, 7, len(sent)):
        reader = chunks()
        for at in range(0, len(sent), size):
            reader.received(sent[at : at + size])
            assert not reader.completed
            if reader.error:
                break
        assert reader.error is not None
        assert reader.error.body == error
