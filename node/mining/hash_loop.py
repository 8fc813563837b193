"""The proof-of-work loop: the C extension's, where a compiler has built it, or hashlib's."""

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from struct import iter_unpack, pack
from typing import NamedTuple

try:
    from node.mining import _hashloop
except ImportError:
    NATIVE: tuple[str, ...] = ()
else:
    NATIVE = _hashloop.LOOPS

HEADER_SIZE = 80
NONCE_SIZE = 4
NONCES = 1 << 32
"""Number of nonces of a header."""
ROW = 256
"""Nonces that hashlib's loop lays out at a time."""
BATCH = 2048
"""Nonces of a call with hashlib: about 2 ms."""
NATIVE_BATCH = 1 << 14
"""Nonces of a call in C: 4 ms where it is slow. So many that a call's own cost does not count."""

Scan = Callable[[bytes, int, int, int], int | None]
"""`scan(header, target, first, count)`: the first nonce from `first` on, after at most `count`
tries, with which the hash of these 80 bytes, as a little-endian number, is `target` or less.

The nonce in the header does not matter. Nonces end at `NONCES`, whatever `count` says.
"""


class Loop(NamedTuple):
    """A way to hash. All give the same answers."""

    name: str
    scan: Scan
    batch: int
    """Number of nonces to ask for in one call, so that it takes milliseconds."""


def scan_with_hashlib(header: bytes, target: int, first: int, count: int) -> int | None:
    """A `Scan`, as fast as it can be in Python.

    Everything but the nonce is hashed once; the nonces' bytes are made a row at a time; and the
    hash's top byte tells on its own, 255 times of 256 or more, that the number is too large.
    """
    copy, outer = sha256(header[:-NONCE_SIZE]).copy, sha256
    top_byte = target >> 248
    end = min(first + count, NONCES)
    for start in range(first, end, ROW):
        row = range(start, min(start + ROW, end))
        for (nonce,) in iter_unpack("4s", pack(f"<{len(row)}I", *row)):
            trial = copy()
            trial.update(nonce)
            digest = outer(trial.digest()).digest()
            if digest[31] <= top_byte and int.from_bytes(digest, "little") <= target:
                return int.from_bytes(nonce, "little")
    return None


def _scan_natively(name: str, header: bytes, target: int, first: int, count: int) -> int | None:
    return _hashloop.scan(header, target.to_bytes(32, "little"), first, count, name)


LOOPS = (
    *(Loop(name, partial(_scan_natively, name), NATIVE_BATCH) for name in NATIVE),
    Loop("hashlib", scan_with_hashlib, BATCH),
)
"""Hash loops of this installation and this processor, the fastest first."""
