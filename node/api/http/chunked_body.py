"""A request's body in chunks (RFC 9112, 7.1), read to the letter.

Where one parser takes a line feed for the end of a line and the next does not, a second request
hides in the first one's body. Time is linear in what comes in, however it is cut.
"""

import re
from typing import Any

from waitress.utilities import BadRequest, RequestEntityTooLarge

LINE_MAX = 4096
"""Bytes of one line between chunks, its extensions included; more is as good as too large a body."""

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t -~\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*")
_NO_SIZE = "Invalid chunk size"
_NO_END = "Chunk not properly terminated"
_NO_TRAILER = "Invalid trailer"


class ChunkedBody:
    """Takes chunks in, and puts what they hold into a buffer. As waitress wants its receivers."""

    def __init__(self, buffer: Any) -> None:
        """`buffer` is waitress's, for what the body holds."""
        self._buffer = buffer
        self._line = b""
        """The beginning of a line whose end is not here yet."""
        self._left = 0
        """Bytes of the chunk that are still to come."""
        self._awaited = _NO_SIZE
        """The error if the next line is malformed."""
        self.completed = False
        self.error: BadRequest | RequestEntityTooLarge | None = None

    def __len__(self) -> int:
        """Bytes that the body has so far."""
        return len(self._buffer)

    def getbuf(self) -> Any:
        """The buffer."""
        return self._buffer

    def received(self, piece: bytes) -> int:
        """Take a piece; returns how many of its bytes belong to the body."""
        at = 0
        while at < len(piece) and not self.completed and self.error is None:
            if self._left:
                held = piece[at : at + self._left]
                self._buffer.append(held)
                self._left -= len(held)
                at += len(held)
            else:
                at = self._take_line(piece, at)
        return at

    def _take_line(self, piece: bytes, at: int) -> int:
        """Read a line, or as much as is here; returns where it ends."""
        found = piece.find(b"\n", at, at + LINE_MAX)
        end = min(len(piece), at + LINE_MAX) if found < 0 else found + 1
        self._line += piece[at:end]
        if len(self._line) > LINE_MAX or (found < 0 and len(self._line) == LINE_MAX):
            self.error = RequestEntityTooLarge("chunk line too long")
        elif self._awaited is _NO_END and not b"\r\n".startswith(self._line):
            self.error = BadRequest(_NO_END)
        elif found >= 0:
            line, self._line = self._line, b""
            self._read(line[:-2] if line.endswith(b"\r\n") else None)
        return end

    def _read(self, line: bytes | None) -> None:
        """Go on as the line says; None: it did not end as lines do."""
        if line is not None and self._awaited is _NO_END and not line:
            self._awaited = _NO_SIZE
        elif line is not None and self._awaited is _NO_SIZE and (size := _SIZE.fullmatch(line)):
            self._left = int(size[1], 16)
            self._awaited = _NO_END if self._left else _NO_TRAILER
        elif line is not None and self._awaited is _NO_TRAILER and (not line or _TRAILER.fullmatch(line)):
            self.completed = not line  # nobody reads trailers
        else:
            self.error = BadRequest(self._awaited)
