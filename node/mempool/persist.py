"""The pool as bytes, so that a node that stops keeps what waits.

Version (1 byte), count (4), then for each transaction the time it entered (8, whole seconds) and
its encoding with its length. Little endian, lengths as compact sizes, one encoding for one pool.
"""

from collections.abc import Iterable

from chain.codec import Reader, malformed, varbytes
from chain.tx import Tx, decode_tx
from node.mempool.policy import MAX_TX_WEIGHT

VERSION = 1
DUMP_TXS_MAX = 1_000_000
"""More than fit in a pool of the default size; a dump that claims more is refused."""


def encode_dump(txs: Iterable[tuple[Tx, float]]) -> bytes:
    """Transactions with the Unix times at which they entered, in order; at most DUMP_TXS_MAX,
    whatever comes after is left out."""
    records: list[bytes] = []
    for tx, time in txs:
        if len(records) == DUMP_TXS_MAX:
            break
        records.append(int(time).to_bytes(8, "little") + varbytes(tx.raw))
    return b"".join((bytes((VERSION,)), len(records).to_bytes(4, "little"), *records))


def load_dump(dump: bytes) -> list[tuple[Tx, float]]:
    """Decode what `encode_dump` was given. Raises Invalid(MALFORMED), also on trailing bytes.

    Nothing is believed but the format: each transaction has yet to be checked and staged.
    """
    reader = Reader(dump)
    version = reader.uint(1)
    if version != VERSION:
        raise malformed(f"mempool file of version {version}")
    count = reader.uint(4)
    if count > DUMP_TXS_MAX:
        raise malformed(f"{count} transactions are over the limit of {DUMP_TXS_MAX}")
    found = []
    for _ in range(count):
        time = reader.uint(8)
        # No transaction of the pool has more bytes than it may have weight.
        found.append((decode_tx(reader.varbytes(MAX_TX_WEIGHT)), float(time)))
    reader.finish()
    return found
