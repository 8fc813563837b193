"""Canonical integers and bounded reading: the bytes that every format here is made of.

All integers are little endian. A reader never allocates for a length that the input does not
have: counts are loops over bytes that must be there, lengths are slices checked at the end.
"""

from chain.errors import Invalid, Reject

TWO_BYTES = 0xFD
"""A compact size that starts with this byte or a higher one has more than one byte."""
_WIDTH = {0xFD: 2, 0xFE: 4, 0xFF: 8}
_LEAST = {0xFD: 0xFD, 0xFE: 0x1_0000, 0xFF: 0x1_0000_0000}


def malformed(detail: str) -> Invalid:
    """The error of every decoder here."""
    return Invalid(Reject.MALFORMED, detail)


def read_varint(raw: bytes, pos: int) -> tuple[int, int]:
    """A compact-size integer at `pos`, and the position after it.

    Raises IndexError past the end of `raw` and Invalid when a shorter form would have done.
    """
    first = raw[pos]
    if first < TWO_BYTES:
        return first, pos + 1
    end = pos + 1 + _WIDTH[first]
    if end > len(raw):
        raise IndexError
    number = int.from_bytes(raw[pos + 1 : end], "little")
    if number < _LEAST[first]:
        raise malformed("non-canonical compact size")
    return number, end


def varint(number: int) -> bytes:
    """`number` as a compact-size integer, in its one canonical form."""
    if number < 0xFD:
        return number.to_bytes(1, "little")
    if number < 0x1_0000:
        return b"\xfd" + number.to_bytes(2, "little")
    if number < 0x1_0000_0000:
        return b"\xfe" + number.to_bytes(4, "little")
    return b"\xff" + number.to_bytes(8, "little")


def varbytes(content: bytes) -> bytes:
    """`content` with its length in front."""
    return varint(len(content)) + content


class Reader:
    """Reads fields off one message; `finish` refuses trailing bytes. For everything but the
    hot path of transactions, which slices by hand. Raises Invalid(MALFORMED)."""

    __slots__ = ("_pos", "_raw")

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._pos = 0

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        end = self._pos + size
        if end > len(self._raw):
            raise malformed("truncated")
        taken = self._raw[self._pos : end]
        self._pos = end
        return taken

    def uint(self, size: int) -> int:
        """An unsigned little-endian integer of `size` bytes."""
        return int.from_bytes(self.take(size), "little")

    def varint(self, most: int) -> int:
        """A compact-size integer of at most `most`."""
        try:
            number, self._pos = read_varint(self._raw, self._pos)
        except IndexError:
            raise malformed("truncated") from None
        if number > most:
            raise malformed(f"{number} is over the limit of {most}")
        return number

    def varbytes(self, most: int) -> bytes:
        """A byte string of at most `most` bytes with its length in front."""
        return self.take(self.varint(most))

    def finish(self) -> None:
        """Refuse bytes that nobody asked for."""
        if self._pos != len(self._raw):
            raise malformed(f"{len(self._raw) - self._pos} trailing bytes")
