"""The bodies of requests, read out of a connection's bytes no further than their own end.

A body whose length is told is counted here; one in chunks is read by httptools, which takes extensions and trailers
that nobody here needs: what is not a chunk's size or its bytes is refused.
"""

from httptools import HttpParserError, HttpRequestParser

from node.api.http.request_header import LINE_BREAK, refused

CHUNK_FRAME_MAX = 11
"""Bytes around a chunk that is not complete: a size of up to eight digits, a line break and half of the next."""
EMPTY_LINE = 2 * LINE_BREAK

_CHUNKS_AHEAD = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


class SizedBody:
    """A body of a length that its header tells."""

    def __init__(self, length: int) -> None:
        self._length = length
        self.content = bytearray()

    @property
    def is_complete(self) -> bool:
        return len(self.content) == self._length

    def take(self, buffer: bytes, at: int) -> int:
        """Read on; returns where this body's bytes end."""
        piece = buffer[at : at + self._length - len(self.content)]
        self.content += piece
        return at + len(piece)


class _Chunks:
    """The chunks of a body (RFC 9112, 7.1), as httptools finds them."""

    def __init__(self) -> None:
        # Not a list of pieces: one of two bytes takes fifty.
        self.content = bytearray()
        self.frames = 0
        """Bytes around the chunks that are complete."""
        self.is_complete = False
        self._chunk_at = 0
        """Size of the body at the beginning of the last chunk."""

    def on_body(self, piece: bytes) -> None:
        self.content += piece

    def on_chunk_header(self) -> None:
        self._chunk_at = len(self.content)

    def on_chunk_complete(self) -> None:
        self.frames += len(f"{len(self.content) - self._chunk_at:x}") + 4

    def on_message_complete(self) -> None:
        self.is_complete = True


class ChunkedBody:
    """A body in chunks."""

    def __init__(self) -> None:
        self._chunks = _Chunks()
        self._taken = 0
        self._tail = b""
        """The last bytes taken, in which the end may have begun."""
        self._reader = HttpRequestParser(self._chunks)
        self._reader.feed_data(_CHUNKS_AHEAD)

    @property
    def content(self) -> bytearray:
        return self._chunks.content

    @property
    def is_complete(self) -> bool:
        return self._chunks.is_complete

    def take(self, buffer: bytes, at: int) -> int:
        """Read on; returns where this body's bytes end. Raises RequestRefused."""
        while at < len(buffer) and not self.is_complete:
            end = self._next_end(buffer, at)
            piece = buffer[at:end]
            try:
                self._reader.feed_data(piece)
            except HttpParserError as error:
                raise refused(400, str(error)) from None
            self._taken += len(piece)
            self._tail = (self._tail + piece)[-3:]
            at = end
            unexplained = self._taken - len(self.content) - self._chunks.frames
            if unexplained > (0 if self.is_complete else CHUNK_FRAME_MAX):
                raise refused(400, "a chunk line that is no bare size: extensions and trailers are not read")
        return at

    def _next_end(self, buffer: bytes, at: int) -> int:
        """Where the body may end next: behind an empty line. Nothing that follows it is handed on."""
        seam = (self._tail + buffer[at : at + 3]).find(EMPTY_LINE)
        if seam >= 0:
            return at + seam + len(EMPTY_LINE) - len(self._tail)
        found = buffer.find(EMPTY_LINE, at)
        return len(buffer) if found < 0 else found + len(EMPTY_LINE)
