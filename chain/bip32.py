"""Extended keys (BIP32): a key with a chain code, from which a tree of keys is derived."""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, replace

from chain.base58 import decode_base58check, encode_base58check
from chain.hashes import hash160
from chain.keys import Engine, add_secrets, is_x_only

HARDENED = 1 << 31
"""Added to an index: the child is derived from the secret key, so that the public half cannot have it."""
MAIN_PRIVATE, MAIN_PUBLIC = bytes.fromhex("0488ade4"), bytes.fromhex("0488b21e")
"""Versions of xprv... and xpub..."""
TEST_PRIVATE, TEST_PUBLIC = bytes.fromhex("04358394"), bytes.fromhex("043587cf")
"""Versions of tprv... and tpub..., on every test network."""
PUBLIC_VERSION = {MAIN_PRIVATE: MAIN_PUBLIC, TEST_PRIVATE: TEST_PUBLIC}
SERIALISED_SIZE = 78
TEXT_MAX = 112
"""Characters of a serialised key in Base58Check."""
DEPTH_MAX = 255


class ExtendedKeyError(ValueError):
    """A text that is not an extended key, or a child that cannot be derived."""


@dataclass(frozen=True, slots=True, repr=False)
class ExtendedKey:
    """One key of the tree, private or public."""

    version: bytes
    """4 bytes: the network, and whether the key is private."""
    depth: int
    """Steps from the master key."""
    parent_fingerprint: bytes
    """The first 4 bytes of HASH160 of the parent's public key; zeros for the master key."""
    index: int
    """Among its parent's children, 32 bits."""
    chain_code: bytes
    """32 bytes."""
    key: bytes
    """33 bytes: a zero and the secret key, or the compressed public key."""

    @property
    def is_private(self) -> bool:
        """True if secret keys can be derived."""
        return self.key[0] == 0

    @property
    def secret(self) -> bytes:
        """The 32-byte secret key. Raises ExtendedKeyError for a public one."""
        if not self.is_private:
            raise ExtendedKeyError("a public key has no secret")
        return self.key[1:]

    def public_key(self, engine: Engine) -> bytes:
        """The compressed public key."""
        return engine.public_key(self.secret) if self.is_private else self.key

    def fingerprint(self, engine: Engine) -> bytes:
        """The first 4 bytes of HASH160 of the public key."""
        return hash160(self.public_key(engine))[:4]

    def public(self, engine: Engine) -> "ExtendedKey":
        """The public half."""
        if not self.is_private:
            return self
        return replace(self, version=PUBLIC_VERSION[self.version], key=self.public_key(engine))

    def child(self, index: int, engine: Engine) -> "ExtendedKey":
        """CKDpriv or CKDpub. Raises ExtendedKeyError where no child exists (one index in 2^127, or a hardened
        step from a public key)."""
        if self.depth == DEPTH_MAX:
            raise ExtendedKeyError(f"a path has at most {DEPTH_MAX} steps")
        public = self.public_key(engine)
        hardened = index >= HARDENED
        if hardened and not self.is_private:
            raise ExtendedKeyError("a hardened step needs the private key")
        message = (self.key if hardened else public) + index.to_bytes(4, "big")
        digest = hmac.digest(self.chain_code, message, "sha512")
        try:
            if self.is_private:
                key = b"\x00" + add_secrets(digest[:32], self.key[1:])
            else:
                key = engine.add_to_public(public, digest[:32])
        except ValueError:
            raise ExtendedKeyError(f"there is no key at index {index}") from None
        return ExtendedKey(self.version, self.depth + 1, hash160(public)[:4], index, digest[32:], key)

    def descend(self, path: Iterable[int], engine: Engine) -> "ExtendedKey":
        """The key at the end of these steps. Raises ExtendedKeyError."""
        key = self
        for index in path:
            key = key.child(index, engine)
        return key

    def __repr__(self) -> str:
        return "ExtendedKey(...)"  # a secret is in no log


def master_key(seed: bytes, version: bytes) -> ExtendedKey:
    """The root of the tree of a seed (of 16 to 64 bytes). Raises ExtendedKeyError for one seed in 2^127."""
    digest = hmac.digest(b"Bitcoin seed", seed, "sha512")
    return _checked(ExtendedKey(version, 0, bytes(4), 0, digest[32:], b"\x00" + digest[:32]))


def encode_extended(key: ExtendedKey) -> str:
    """The text: xprv, xpub, tprv or tpub."""
    place = bytes((key.depth,)) + key.parent_fingerprint + key.index.to_bytes(4, "big")
    return encode_base58check(key.version + place + key.chain_code + key.key)


def decode_extended(text: str) -> ExtendedKey:
    """The key that the text is. Raises ExtendedKeyError."""
    raw = decode_base58check(text, TEXT_MAX)
    if raw is None or len(raw) != SERIALISED_SIZE:
        raise ExtendedKeyError("not an extended key")
    index = int.from_bytes(raw[9:13], "big")
    return _checked(ExtendedKey(raw[:4], raw[4], raw[5:9], index, raw[13:45], raw[45:]))


def _checked(key: ExtendedKey) -> ExtendedKey:
    """The key, if its parts go together. Raises ExtendedKeyError."""
    if key.depth == 0 and (any(key.parent_fingerprint) or key.index):
        raise ExtendedKeyError("a master key has no parent")
    if key.version in PUBLIC_VERSION:
        if key.key[0] != 0:
            raise ExtendedKeyError("not a secret key")
        try:
            add_secrets(key.key[1:], bytes(32))
        except ValueError:
            raise ExtendedKeyError("not a secret key") from None
    elif key.version not in PUBLIC_VERSION.values():
        raise ExtendedKeyError("an extended key of no network")
    elif key.key[0] not in (2, 3) or not is_x_only(key.key[1:]):
        raise ExtendedKeyError("not a public key")
    return key
