"""The formats that only messages about compact blocks have."""

from itertools import pairwise

from chain.block import HEADER_SIZE, decode_header
from chain.codec import Reader, malformed, varbytes, varint
from chain.tx import decode_tx
from node.interface.messages import SHORT_ID_SIZE
from node.p2p.wire.fields import COUNT_SIZE, Field


def header() -> Field:
    """One block header."""
    return Field(
        "80 bytes", HEADER_SIZE, lambda given: given.raw, lambda reader: decode_header(reader.take(HEADER_SIZE))
    )


def transaction(bytes_most: int) -> Field:
    """One transaction with its length."""
    return Field(
        f"length and transaction, up to {bytes_most} bytes of it",
        COUNT_SIZE + bytes_most,
        lambda tx: varbytes(tx.raw),
        lambda reader: decode_tx(reader.varbytes(bytes_most)),
    )


def short_ids(most: int) -> Field:
    """Short ids in a row. One may be there twice: that is chance, and nobody's fault."""

    def read(reader: Reader) -> tuple[bytes, ...]:
        raw = reader.take(SHORT_ID_SIZE * reader.varint(most))
        return tuple([raw[start : start + SHORT_ID_SIZE] for start in range(0, len(raw), SHORT_ID_SIZE)])

    return Field(
        f"count, up to {most} times {SHORT_ID_SIZE} bytes",
        COUNT_SIZE + SHORT_ID_SIZE * most,
        lambda given: varint(len(given)) + b"".join(given),
        read,
    )


def positions(most: int) -> Field:
    """Ascending numbers below `most`, one at least: each as how many it leaves out (BIP152)."""

    def write(given: tuple[int, ...]) -> bytes:
        gaps = (later - sooner - 1 for sooner, later in pairwise((-1, *given)))
        return varint(len(given)) + b"".join(map(varint, gaps))

    def read(reader: Reader) -> tuple[int, ...]:
        found, last = [], -1
        for _ in range(reader.varint(most)):
            last += 1 + reader.varint(most)
            found.append(last)
        if not found:
            raise malformed("an empty list")
        if last >= most:
            raise malformed("a position outside of any block")
        return tuple(found)

    return Field(f"count, 1 to {most} times the positions left out before it", COUNT_SIZE + 3 * most, write, read)
