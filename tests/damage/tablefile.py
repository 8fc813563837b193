"""Where the rows of a LevelDB table are in its file, by the table's index.

A table ends with the places of its two indexes, of which the second is that of its rows. Each block's rows have
three varints before them (bytes of the key that the row before has too, bytes that follow, bytes of the value).
"""

from collections.abc import Iterator
from typing import NamedTuple

FOOTER_SIZE = 48
TAG_SIZE = 8
"""Behind each key in the table."""


class TableRow(NamedTuple):
    """A row, and where its value is."""

    key: bytes
    at: int
    size: int


def table_rows(table: bytes) -> Iterator[TableRow]:
    """Every row in its order, those that delete a key and older versions of one included."""
    footer = len(table) - FOOTER_SIZE
    pos = footer
    for _ in range(2):  # the other index
        _, pos = _varint(table, pos)
    index = _handle(table, pos)
    for _, at, _ in _block_rows(table, *index):
        for key, place, size in _block_rows(table, *_handle(table, at)):
            yield TableRow(key[:-TAG_SIZE], place, size)


def _handle(table: bytes, pos: int) -> tuple[int, int]:
    """First byte and size of a block."""
    start, pos = _varint(table, pos)
    return start, _varint(table, pos)[0]


def _block_rows(table: bytes, start: int, size: int) -> Iterator[TableRow]:
    count = int.from_bytes(table[start + size - 4 : start + size], "little")
    pos, end, key = start, start + size - 4 - 4 * count, b""
    while pos < end:
        shared, pos = _varint(table, pos)
        rest, pos = _varint(table, pos)
        length, pos = _varint(table, pos)
        key = key[:shared] + table[pos : pos + rest]
        yield TableRow(key, pos + rest, length)
        pos += rest + length


def _varint(table: bytes, pos: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = table[pos]
        number, shift, pos = number | (byte & 0x7F) << shift, shift + 7, pos + 1
        if byte < 0x80:
            return number, pos
