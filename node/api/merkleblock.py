"""BIP37's merkleblock: a header with a partial merkle tree that proves some transactions in it."""

from collections.abc import Collection, Sequence

from chain.block import Header
from chain.codec import varint
from chain.hashes import Txid, sha256d


def merkle_block(header: Header, txids: Sequence[Txid], proven: Collection[int]) -> bytes:
    """The message that proves the transactions at the `proven` positions of a block."""
    levels: list[list[tuple[bytes, bool]]] = [[(txid, position in proven) for position, txid in enumerate(txids)]]
    while len(levels[-1]) > 1:
        below = levels[-1]
        pairs = [(below[i], below[min(i + 1, len(below) - 1)]) for i in range(0, len(below), 2)]
        levels.append([(sha256d(left[0] + right[0]), left[1] or right[1]) for left, right in pairs])
    bits: list[bool] = []
    hashes: list[bytes] = []
    _descend(levels, len(levels) - 1, 0, bits, hashes)
    packed = bytearray((len(bits) + 7) // 8)
    for position, bit in enumerate(bits):
        packed[position // 8] |= bit << position % 8
    return b"".join(
        (
            header.raw,
            len(txids).to_bytes(4, "little"),
            varint(len(hashes)),
            *hashes,
            varint(len(packed)),
            packed,
        )
    )


def _descend(
    levels: list[list[tuple[bytes, bool]]], level: int, position: int, bits: list[bool], hashes: list[bytes]
) -> None:
    """Depth first: a bit a node, a hash where nothing below is proven, and for the proven leaves."""
    digest, wanted = levels[level][position]
    bits.append(wanted)
    if level == 0 or not wanted:
        hashes.append(digest)
        return
    for child in (2 * position, 2 * position + 1):
        if child < len(levels[level - 1]):
            _descend(levels, level - 1, child, bits, hashes)
