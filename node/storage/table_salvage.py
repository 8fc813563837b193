"""Rows out of a LevelDB table whose end is lost: without its index the library gives up the whole file.

A table begins with its blocks of rows, uncompressed here. A row is three varints (bytes of its key that
the row before has too, bytes that follow, bytes of the value), the rest of the key and the value; every
16th row repeats its whole key. A block ends with the places of those rows (4 bytes each, little
endian), their number (4), a type (1) and a checksum (4): known beforehand for each row that might be
the last. What is found is as good as what a damaged disk gives: the caller checks it.
"""

from collections.abc import Iterator

_RESTART_INTERVAL = 16
_TRAILER_SIZE = 5
"""Bytes behind each block of a table: its type and checksum."""
_TAG_SIZE = 8
"""Behind each key: whether it was put or deleted (1), and when (7)."""
_PUT = 1
_VARINT_MAX = 5
"""Bytes of a number."""
_KEY_MAX = 64
"""Bytes of a key here, tag included, are fewer."""


def rows_of(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of every block that is whole, as far as blocks can be found."""
    start = 0
    while start < len(table):
        found = _block_at(table, start)
        if found is None:
            start += 1  # damaged, or no block of rows: the next one may begin anywhere
            continue
        rows, start = found
        yield from rows


def _block_at(table: bytes, start: int) -> tuple[list[tuple[bytes, bytes]], int] | None:
    """The rows of the block that begins there, and where it ends; None if there is none."""
    rows: list[tuple[bytes, bytes]] = []
    restarts: list[int] = []
    pos, key, count = start, b"", 0
    while True:
        if count % _RESTART_INTERVAL == 0:
            restarts.append(pos - start)
        shared, pos = _varint(table, pos)
        rest, pos = _varint(table, pos)
        size, pos = _varint(table, pos)
        is_restart = count % _RESTART_INTERVAL == 0
        if shared > len(key) or (is_restart and shared) or not _TAG_SIZE < shared + rest <= _KEY_MAX:
            return None
        key = key[:shared] + table[pos : pos + rest]
        pos += rest + size
        if pos > len(table):
            return None
        count += 1
        if key[-_TAG_SIZE] == _PUT:
            rows.append((key[:-_TAG_SIZE], table[pos - size : pos]))
        end = b"".join([place.to_bytes(4, "little") for place in (*restarts, len(restarts))]) + b"\x00"
        if table.startswith(end, pos):
            return rows, pos + len(end) - 1 + _TRAILER_SIZE


def _varint(table: bytes, pos: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and where it ends: beyond the table if it does not."""
    number = 0
    for shift, byte in enumerate(table[pos : pos + _VARINT_MAX]):
        number |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return number, pos + shift + 1
    return 0, len(table) + 1
