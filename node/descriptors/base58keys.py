"""Keys in Base58Check: extended keys (BIP32), private keys (WIF)."""

from collections.abc import Sequence

from chain.base58 import decode_base58check
from chain.bip32 import ExtendedKey, ExtendedKeyError, decode_extended, encode_extended
from chain.keys import default_engine
from node.descriptors.errors import DescriptorError, NotDerivable
from node.descriptors.networks import KeyNetwork
from node.descriptors.points import uncompressed

WIF_MAX = 52
"""Characters of a private key."""


class Extended:
    """An extended key, from which others are derived."""

    def __init__(self, key: ExtendedKey) -> None:
        self._key = key
        self._engine = default_engine()
        self.xpub = encode_extended(key.public(self._engine))
        """The public half of the key, as text."""
        self.fingerprint = key.fingerprint(self._engine)
        """4 bytes."""
        self.is_private = key.is_private
        """Hardened steps can be taken."""

    def branch(self, path: Sequence[int]) -> "Extended":
        """The key below. Raises NotDerivable."""
        return Extended(self._descend(path)) if path else self

    def public_key(self, path: Sequence[int]) -> bytes:
        """The compressed public key below. Raises NotDerivable."""
        return self._descend(path).public_key(self._engine)

    def _descend(self, path: Sequence[int]) -> ExtendedKey:
        try:
            return self._key.descend(path, self._engine)
        except ExtendedKeyError as error:
            raise NotDerivable("Cannot derive script without private keys") from error


def parse_extended(text: str, network: KeyNetwork) -> Extended:
    """The extended key of this network, private or public, that the text is. Raises DescriptorError."""
    try:
        key = decode_extended(text)
    except ExtendedKeyError:
        key = None
    if key is None or key.version not in (network.xprv, network.xpub):
        raise DescriptorError(f"key '{text}' is not valid")
    return Extended(key)


def parse_wif(text: str, network: KeyNetwork) -> bytes | None:
    """The public key, in the form that the text asks for, of the private key that it is; or None."""
    content = decode_base58check(text, WIF_MAX)
    if content is None or content[:1] != network.wif:
        return None
    compressed = len(content) == 34 and content[-1] == 1
    if not compressed and len(content) != 33:
        return None
    try:
        public = default_engine().public_key(content[1:33])
    except ValueError:
        return None
    return public if compressed else uncompressed(public)
