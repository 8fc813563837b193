"""Headers and blocks: 80 bytes, transactions, merkle trees, the witness commitment."""

from collections.abc import Callable
from struct import Struct

from chain.codec import malformed, read_varint, varint
from chain.frozen import value
from chain.hashes import BlockHash, sha256d
from chain.tx import TRUNCATED, WITNESS_SCALE, OutPoint, Tx, first_outpoint, read_tx

HEADER_SIZE = 80
_FIELDS = Struct("<i32s32sIII")
COMMITMENT_PREFIX = bytes.fromhex("6a24aa21a9ed")
"""Start of the coinbase output that commits to the witnesses (BIP141)."""
COMMITMENT_SIZE = 38


@value
class Header:
    version: int
    """Signed 32 bits."""
    prev_hash: BlockHash
    merkle_root: bytes
    """Over the txids; 32 bytes."""
    time: int
    """Unix time in seconds, as the miner claims."""
    bits: int
    """The target in compact form."""
    nonce: int
    hash: BlockHash
    raw: bytes
    """The 80 bytes themselves."""


def make_header(version: int, prev_hash: BlockHash, merkle_root: bytes, time: int, bits: int, nonce: int) -> Header:
    """Encode the fields and name the header."""
    raw = b"".join(
        (
            version.to_bytes(4, "little", signed=True),
            prev_hash,
            merkle_root,
            time.to_bytes(4, "little"),
            bits.to_bytes(4, "little"),
            nonce.to_bytes(4, "little"),
        )
    )
    return Header(version, prev_hash, merkle_root, time, bits, nonce, BlockHash(sha256d(raw)), raw)


def decode_header(raw: bytes) -> Header:
    """The header that these 80 bytes are. Raises Invalid(MALFORMED)."""
    if len(raw) != HEADER_SIZE:
        raise malformed(f"a header has 80 bytes, not {len(raw)}")
    return read_header(raw, BlockHash(sha256d(raw)))


def read_header(raw: bytes, block_hash: BlockHash) -> Header:
    """The header that these 80 bytes are, whose hash is known to be this."""
    version, prev_hash, merkle_root, time, bits, nonce = _FIELDS.unpack(raw)
    return Header(version, prev_hash, merkle_root, time, bits, nonce, block_hash, raw)


@value
class Block:
    header: Header
    txs: tuple[Tx, ...]
    """The coinbase first."""
    raw: bytes
    """The whole encoding."""

    @property
    def hash(self) -> BlockHash:
        """The header's."""
        return self.header.hash

    @property
    def size(self) -> int:
        """Bytes with witnesses."""
        return len(self.raw)

    @property
    def stripped_size(self) -> int:
        """Bytes without witnesses, header and count included."""
        return HEADER_SIZE + len(varint(len(self.txs))) + sum(tx.stripped_size for tx in self.txs)

    @property
    def weight(self) -> int:
        """Weight units, header and count included (BIP141)."""
        return self.stripped_size * (WITNESS_SCALE - 1) + len(self.raw)


def make_block(header: Header, txs: tuple[Tx, ...]) -> Block:
    """Put header and transactions together."""
    return Block(header, txs, header.raw + varint(len(txs)) + b"".join(tx.raw for tx in txs))


TxLookup = Callable[[OutPoint], Tx | None]
"""Finds a transaction, decoded before, by the coin that its first input spends."""


def decode_block(raw: bytes, known: TxLookup | None = None) -> Block:
    """The one block that `raw` is. Raises Invalid(MALFORMED), also on trailing bytes.

    Transactions that `known` finds, and whose bytes are these, are not decoded again.
    """
    header = decode_header(raw[:HEADER_SIZE])
    txs = []
    try:
        count, pos = read_varint(raw, HEADER_SIZE)
        for _ in range(count):
            # An encoding says itself where it ends: what starts with a transaction's bytes is that transaction.
            tx = known(first_outpoint(raw, pos)) if known else None
            if tx is not None and raw.startswith(tx.raw, pos):
                pos += len(tx.raw)
            else:
                tx, pos = read_tx(raw, pos)
            txs.append(tx)
    except TRUNCATED:
        raise malformed("block is truncated") from None
    if pos != len(raw):
        raise malformed(f"{len(raw) - pos} bytes after the block")
    return Block(header, tuple(txs), raw)


def tx_offsets(block: Block) -> list[int]:
    """Offset of each transaction in `block.raw`."""
    pos = HEADER_SIZE + len(varint(len(block.txs)))
    offsets = []
    for tx in block.txs:
        offsets.append(pos)
        pos += len(tx.raw)
    return offsets


def merkle_root(leaves: list[bytes]) -> tuple[bytes, bool]:
    """The root over 32-byte leaves, and whether a level held the same pair twice.

    A pair 2i, 2i+1 of equal nodes before the odd one is doubled lets two different lists have
    one root (CVE-2012-2459).
    """
    level = leaves or [bytes(32)]
    mutated = False
    while len(level) > 1:
        mutated = mutated or any(level[i] == level[i + 1] for i in range(0, len(level) - 1, 2))
        if len(level) % 2:
            level = [*level, level[-1]]
        level = [sha256d(level[i] + level[i + 1]) for i in range(0, len(level), 2)]
    return level[0], mutated


def merkle_branch(leaves: list[bytes], position: int) -> list[bytes]:
    """The siblings, deepest first, that prove the leaf at `position`."""
    level, branch = leaves, []
    while len(level) > 1:
        if len(level) % 2:
            level = [*level, level[-1]]
        branch.append(level[position ^ 1])
        level = [sha256d(level[i] + level[i + 1]) for i in range(0, len(level), 2)]
        position //= 2
    return branch


def witness_commitment(coinbase: Tx) -> bytes | None:
    """The 32 bytes that the coinbase commits to, or None. The last fitting output counts (BIP141)."""
    for output in reversed(coinbase.outputs):
        if len(output.script) >= COMMITMENT_SIZE and output.script.startswith(COMMITMENT_PREFIX):
            return output.script[6:COMMITMENT_SIZE]
    return None


def commitment_hash(txs: tuple[Tx, ...], reserved: bytes) -> bytes:
    """The witness commitment: the hash of the witness merkle root (the coinbase counts as zero)
    with the coinbase's 32-byte reserved value (BIP141)."""
    leaves = [bytes(32), *(tx.wtxid for tx in txs[1:])]
    return sha256d(merkle_root(leaves)[0] + reserved)
