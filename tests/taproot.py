"""Key-path outputs without scripts, and who can spend them (BIP86, BIP341)."""

from chain.hashes import tagged_hash
from chain.keys import ORDER, Engine


def taproot_output(engine: Engine, internal_x: bytes) -> bytes:
    """The output key, x only, of an internal key without scripts (BIP86)."""
    return engine.tweak_public(internal_x, tagged_hash("TapTweak", internal_x))[0]


def taproot_secret(engine: Engine, secret: bytes) -> bytes:
    """The secret that signs for `taproot_output` of this secret's key (BIP341)."""
    key = engine.public_key(secret)
    number = int.from_bytes(secret, "big")
    even = number if key[0] == 2 else ORDER - number
    tweak = int.from_bytes(tagged_hash("TapTweak", key[1:]), "big")
    return ((even + tweak) % ORDER).to_bytes(32, "big")
