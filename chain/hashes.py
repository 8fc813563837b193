"""The hash functions of the formats, and the two helpers between bytes and display hex.

Inside the program every hash is 32 bytes in wire order. Only the edges (RPC, command lines,
logs) show the reversed hex that Bitcoin's users know.
"""

import hashlib
from collections.abc import Callable
from typing import NewType

from chain.ripemd160 import ripemd160

try:
    from chain import _sha256d
except ImportError:  # not built, or not for this processor: hashlib does it
    NATIVE: Callable[[bytes], bytes] | None = None
else:
    NATIVE = _sha256d.sha256d

Txid = NewType("Txid", bytes)
"""sha256d of a transaction without its witnesses; 32 bytes, wire order."""
Wtxid = NewType("Wtxid", bytes)
"""sha256d of a transaction with its witnesses; 32 bytes, wire order."""
BlockHash = NewType("BlockHash", bytes)
"""sha256d of an 80-byte header; 32 bytes, wire order."""

sha256_new = hashlib.sha256


def sha256(message: bytes) -> bytes:
    """SHA-256, 32 bytes."""
    return sha256_new(message).digest()


def sha256d_with_hashlib(message: bytes) -> bytes:
    """SHA-256 twice, 32 bytes."""
    return sha256_new(sha256_new(message).digest()).digest()


def is_right(hasher: Callable[[bytes], bytes]) -> bool:
    """True if it hashes as hashlib does, at every size around the ends of SHA-256's blocks."""
    messages = [bytes(range(size)) for size in range(2 * 64 + 2)]
    return all(hasher(message) == sha256d_with_hashlib(message) for message in messages)


if NATIVE is not None and not is_right(NATIVE):  # a compiler's or an emulator's error: Core looks too
    NATIVE = None

sha256d: Callable[[bytes], bytes] = NATIVE or sha256d_with_hashlib
"""SHA-256 twice, 32 bytes: ids, merkle trees, the original and BIP143 digests. In C where it was
built, which is three times as fast for what is so short."""


def tagged_hash(tag: str, message: bytes) -> bytes:
    """SHA-256 with a domain tag in front, 32 bytes (BIP340)."""
    prefix = sha256(tag.encode())
    return sha256(prefix + prefix + message)


def to_hex(digest: bytes) -> str:
    """Display hex of a hash: byte order reversed, lower case."""
    return digest[::-1].hex()


def from_hex(text: str) -> bytes:
    """The 32 bytes of a display hash. Raises ValueError unless it is exactly 64 hex digits."""
    if len(text) != 64 or not text.isascii() or not text.isalnum():
        raise ValueError("not a 64-digit hex hash")
    return bytes.fromhex(text)[::-1]


def _prepare_hash160() -> Callable[[bytes], bytes]:
    """hash160 on OpenSSL's RIPEMD-160 where it is built in, on our own where it is not."""
    try:
        fresh = hashlib.new("ripemd160")
    except ValueError:
        return lambda message: ripemd160(sha256(message))

    def with_openssl(message: bytes) -> bytes:
        hasher = fresh.copy()  # half the cost of hashlib.new
        hasher.update(sha256_new(message).digest())
        return hasher.digest()

    return with_openssl


hash160 = _prepare_hash160()
"""RIPEMD-160 of SHA-256, 20 bytes: what P2PKH and P2WPKH scripts hold of a public key."""
