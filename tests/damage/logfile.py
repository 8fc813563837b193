"""Where the records of a LevelDB log, or of a manifest, begin: there a changed length is taken for the end."""

from collections.abc import Iterator

BLOCK_SIZE = 32 * 1024
HEADER_SIZE = 7
"""Checksum (4), length (2, little endian), type (1)."""
LENGTH_HIGH = 5
"""The length's higher byte."""


def record_offsets(log: bytes) -> Iterator[int]:
    """Each record's first byte; a batch that crosses a block has several."""
    pos = 0
    while pos + HEADER_SIZE <= len(log):
        if BLOCK_SIZE - pos % BLOCK_SIZE < HEADER_SIZE:
            pos += BLOCK_SIZE - pos % BLOCK_SIZE  # the trailer of a block
            continue
        yield pos
        pos += HEADER_SIZE + int.from_bytes(log[pos + 4 : pos + 6], "little")
