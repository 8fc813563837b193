"""Basic block filters: which scripts a block touches, in some twenty bits each (BIP158).

A filter may say yes where the truth is no, once in 784,931 questions, and never the other way
round. Pure: bytes and values in, bytes out.
"""

from collections.abc import Iterable, Set

from chain.block import Block
from chain.codec import varint
from chain.coins import Coin
from chain.hashes import BlockHash, sha256d
from chain.scripttype import is_data_carrier
from node.blockfilter.siphash import siphash_many

FALSE_POSITIVES = 784_931
"""M: one question in so many gets a wrong yes."""
REMAINDER_BITS = 19
"""P: of the Golomb-Rice code."""
NO_HEADER = bytes(32)
"""The filter header before genesis'."""
_KEY_SIZE = 16


def basic_filter(block: Block, spent: Iterable[Coin]) -> bytes:
    """The basic filter of a block and of the coins that it spends, encoded: their number, then the set."""
    scripts = {coin.script for coin in spent}
    scripts.update(output.script for tx in block.txs for output in tx.outputs if not is_data_carrier(output.script))
    scripts.discard(b"")
    return encode_set(block.hash, scripts)


def encode_set(block_hash: BlockHash, elements: Set[bytes]) -> bytes:
    """A Golomb-coded set of byte strings under a block's key."""
    span = len(elements) * FALSE_POSITIVES
    hashes = siphash_many(block_hash[:_KEY_SIZE], elements)
    return varint(len(elements)) + _golomb_rice(sorted(each * span >> 64 for each in hashes))


def filter_header(encoded: bytes, previous: bytes) -> bytes:
    """The filter header (BIP157), 32 bytes: it commits to a filter and, by the header before, to all before it."""
    return sha256d(sha256d(encoded) + previous)


def _golomb_rice(ascending: list[int]) -> bytes:
    """The differences, each as its quotient in ones, a zero and its remainder; filled up with zeros."""
    bits = []
    last = 0
    for number in ascending:
        quotient, remainder = divmod(number - last, 1 << REMAINDER_BITS)
        bits.append(f"{'1' * quotient}0{remainder:0{REMAINDER_BITS}b}")
        last = number
    if not bits:
        return b""
    text = "".join(bits)
    size = (len(text) + 7) // 8
    return int(text.ljust(8 * size, "0"), 2).to_bytes(size)
