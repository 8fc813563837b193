"""Long values in rows of bounded size, so that a piece of one is read without the rest.

The first row is under the value's own key, each further one under that key and its number. Until
schema 2 of `blocks/` every value was one row, however long: such rows are read as they are.
"""

from collections.abc import Callable, Iterator

from node.storage.kv import Reads, Row, end_of

PART_SIZE = 32 * 1024
"""Bytes of a value in one row; only its last row has less. A transaction is then read for the
price of 32 kB, where a full block of 1.5 MB costs a millisecond and more."""
_NUMBER_SIZE = 2


def in_parts(key: bytes, content: bytes) -> Iterator[Row]:
    """The rows of a value; at least one."""
    yield key, content[:PART_SIZE]
    for start in range(PART_SIZE, len(content), PART_SIZE):
        yield _part_key(key, start // PART_SIZE), content[start : start + PART_SIZE]


def read_parts(reads: Reads, key: bytes) -> list[Row]:
    """The rows of a value in their order; none if it is not there, or one that others follow is lost.

    They are read as they were at one moment: a value of one row may be written again in parts.
    """
    rows = list(reads.scan(key, end_of(key)))
    return rows if rows and rows[-1][0] == _part_key(key, len(rows) - 1) else []


def read_piece(get: Callable[[bytes], bytes | None], key: bytes, start: int, size: int) -> bytes | None:
    """`size` bytes of a value from `start` on, or None if they are not all there. `get` finds rows."""
    if not size:
        return b""
    first, last = start // PART_SIZE, (start + size - 1) // PART_SIZE
    parts = [get(_part_key(key, number)) for number in range(first, last + 1)]
    if None in parts:
        first, parts = 0, [get(key)]  # one long row, or nothing
    start -= first * PART_SIZE
    piece = b"".join(part for part in parts if part is not None)[start : start + size]
    return piece if len(piece) == size else None


def _part_key(key: bytes, number: int) -> bytes:
    return key + number.to_bytes(_NUMBER_SIZE, "big") if number else key
