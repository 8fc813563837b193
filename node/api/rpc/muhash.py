"""MuHash3072 of the coin set, as Bitcoin Core computes it for `gettxoutsetinfo "muhash"`.

Each coin becomes a number modulo a 3072-bit prime; the set's hash is the product, so that the
order does not matter and a coin can be taken out again by dividing.
"""

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from chain.codec import varbytes
from chain.coins import COIN_SCRIPT, Coin
from chain.hashes import sha256
from chain.tx import OutPoint

_BITS = 3072
_EXCESS = 1103717
MODULUS = 2**_BITS - _EXCESS
"""The largest 3072-bit safe prime."""
_MASK = 2**_BITS - 1
_SIZE = _BITS // 8
_NO_BYTES = bytes(_SIZE)
_NONCE = bytes(16)


class MuHash:
    """A multiset of byte strings under a hash that does not see their order."""

    __slots__ = ("_denominator", "_numerator")

    def __init__(self) -> None:
        self._numerator = 1
        self._denominator = 1

    def insert(self, element: bytes) -> None:
        """Put an element in."""
        self._numerator = _fold(self._numerator * _number(element))

    def remove(self, element: bytes) -> None:
        """Take an element out; it need not have been put in yet."""
        self._denominator = _fold(self._denominator * _number(element))

    def digest(self) -> bytes:
        """32 bytes; shown reversed, as `hashes.to_hex` does."""
        product = self._numerator * pow(self._denominator, -1, MODULUS) % MODULUS
        return sha256(product.to_bytes(_SIZE, "little"))


def _number(element: bytes) -> int:
    """SHA-256 stretched to 3072 bits by ChaCha20's key stream."""
    stream = Cipher(ChaCha20(sha256(element), _NONCE), mode=None).encryptor()
    return int.from_bytes(stream.update(_NO_BYTES), "little")


def _fold(product: int) -> int:
    """Reduce a product modulo MODULUS to little over 3072 bits: 2^3072 counts as the excess, which is
    a thirtieth of what `%` costs. Twice, because the first time leaves some 20 bits too many."""
    product = (product >> _BITS) * _EXCESS + (product & _MASK)
    return (product >> _BITS) * _EXCESS + (product & _MASK)


def coin_element(point: OutPoint, coin: Coin) -> bytes:
    """A coin as Core hashes it: outpoint, height * 2 + coinbase, value, script with its length."""
    return point + coin[: COIN_SCRIPT.start] + varbytes(coin.script)
