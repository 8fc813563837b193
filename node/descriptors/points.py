"""Public keys by their bytes: which are points of the curve, and their long form (SEC 1)."""

from chain.keys import is_x_only

COMPRESSED, UNCOMPRESSED = 33, 65
"""Bytes of a public key."""
_FIELD = 2**256 - 2**32 - 977


def is_public_key(content: bytes) -> bool:
    """True for a point in either form; the hybrid form is invalid."""
    if len(content) == COMPRESSED:
        return content[0] in (2, 3) and is_x_only(content[1:])
    if len(content) != UNCOMPRESSED or content[0] != 4:
        return False
    x, y = int.from_bytes(content[1:33], "big"), int.from_bytes(content[33:], "big")
    return x < _FIELD and y < _FIELD and (y * y - x * x * x - 7) % _FIELD == 0


def uncompressed(public: bytes) -> bytes:
    """The long form of a compressed public key, which is a point."""
    x = int.from_bytes(public[1:], "big")
    y = pow(x * x * x + 7, (_FIELD + 1) // 4, _FIELD)
    if y & 1 != public[0] & 1:
        y = _FIELD - y
    return b"\x04" + public[1:] + y.to_bytes(32, "big")
