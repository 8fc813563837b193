"""BIP37's merkleblock: a header with a partial merkle tree that proves some transactions in it."""

from collections.abc import Collection, Sequence

from chain.block import HEADER_SIZE, Header, decode_header
from chain.check import MAX_WEIGHT
from chain.codec import Reader, varint
from chain.frozen import value
from chain.hashes import Txid, sha256d

LEAST_TX_WEIGHT = 240
"""Weight units of the smallest transaction: 60 bytes that are stripped of nothing (Core)."""
TXS_MAX = MAX_WEIGHT // LEAST_TX_WEIGHT
"""Transactions that a block could have; a proof that claims more proves nothing."""


@value
class MerkleBlock:
    """A proof as it came; see `proven_txids`."""

    header: Header
    tx_count: int
    """Transactions that the block is said to have."""
    hashes: tuple[bytes, ...]
    """Nodes of the tree, depth first."""
    flags: bytes
    """A bit a node that is visited, the lowest first."""


def read_merkle_block(raw: bytes) -> MerkleBlock:
    """The message that `raw` begins with; what follows is overlooked, as in Core. Raises Invalid(MALFORMED)."""
    reader = Reader(raw)
    header = decode_header(reader.take(HEADER_SIZE))
    tx_count = reader.uint(4)
    hashes = tuple([reader.take(32) for _ in range(reader.varint(len(raw)))])
    return MerkleBlock(header, tx_count, hashes, reader.varbytes(len(raw)))


def proven_txids(block: MerkleBlock) -> list[Txid] | None:
    """The transactions that the proof proves, in their order; None if it does not fit its header.

    Each hash and each byte of flags has to be used, and no two siblings may be equal (CVE-2012-2459).
    Whoever asks compares `tx_count` with the block's (CVE-2017-12842).
    """
    hashes = len(block.hashes)
    if not 0 < block.tx_count <= TXS_MAX or not hashes <= block.tx_count or 8 * len(block.flags) < hashes:
        return None
    walk = _Walk(block)
    try:
        root = walk.descend((block.tx_count - 1).bit_length(), 0)
    except _Broken:
        return None
    if root != block.header.merkle_root or walk.hashes_used != hashes or (walk.bits_used + 7) // 8 != len(block.flags):
        return None
    return walk.proven


class _Broken(Exception):
    """A partial merkle tree with too few bits or hashes, or two equal siblings."""


class _Walk:
    """Computes the root from a proof."""

    def __init__(self, block: MerkleBlock) -> None:
        self._block = block
        self.bits_used = 0
        self.hashes_used = 0
        self.proven: list[Txid] = []

    def descend(self, level: int, position: int) -> bytes:
        """The hash of a node, leaves being at level 0. Raises _Broken."""
        wanted = self._bit()
        if level == 0 or not wanted:
            digest = self._hash()
            if wanted:
                self.proven.append(Txid(digest))
            return digest
        left = self.descend(level - 1, 2 * position)
        right = left
        if 2 * position + 1 < _width(self._block.tx_count, level - 1):
            right = self.descend(level - 1, 2 * position + 1)
            if left == right:
                raise _Broken
        return sha256d(left + right)

    def _bit(self) -> bool:
        position = self.bits_used
        if position >= 8 * len(self._block.flags):
            raise _Broken
        self.bits_used += 1
        return bool(self._block.flags[position // 8] >> position % 8 & 1)

    def _hash(self) -> bytes:
        if self.hashes_used >= len(self._block.hashes):
            raise _Broken
        self.hashes_used += 1
        return self._block.hashes[self.hashes_used - 1]


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


def _width(count: int, level: int) -> int:
    """Nodes of a level."""
    return (count + (1 << level) - 1) >> level
