"""Keys in Base58: extended keys (BIP32), private keys (WIF).

The only module of the node that knows the bip32 package.
"""

from collections.abc import Sequence

from bip32 import BIP32, BIP32DerivationError, PrivateDerivationError
from bip32.base58 import b58decode_check

from chain.keys import default_engine
from node.descriptors.errors import DescriptorError, NotDerivable
from node.descriptors.networks import KeyNetwork
from node.descriptors.points import uncompressed

TEXT_MAX = 120
"""Characters of such a key, and some: Base58 takes quadratic time."""
EXTENDED_SIZE = 78
"""Bytes behind the text of an extended key."""


class Extended:
    """An extended key, from which others are derived."""

    def __init__(self, key: BIP32) -> None:
        self._key = key
        self.xpub: str = key.get_xpub()
        """Its public half."""
        self.fingerprint: bytes = key.get_fingerprint()
        """4 bytes."""
        self.is_private: bool = key.privkey is not None
        """Hardened steps can be taken."""

    def branch(self, path: Sequence[int]) -> "Extended":
        """The key below. Raises NotDerivable."""
        if not path:
            return self
        try:
            if self.is_private:
                chaincode, secret = self._key.get_extended_privkey_from_path(list(path))
                return Extended(BIP32(chaincode, secret, depth=1, network=self._key.network))
            chaincode, public = self._key.get_extended_pubkey_from_path(list(path))
            return Extended(BIP32(chaincode, pubkey=public, depth=1, network=self._key.network))
        except (PrivateDerivationError, BIP32DerivationError) as error:
            raise NotDerivable("Cannot derive script without private keys") from error

    def public_key(self, path: Sequence[int]) -> bytes:
        """The compressed public key below. Raises NotDerivable."""
        try:
            public: bytes = self._key.get_pubkey_from_path(list(path))
        except (PrivateDerivationError, BIP32DerivationError) as error:
            raise NotDerivable("Cannot derive script without private keys") from error
        return public


def parse_extended(text: str, network: KeyNetwork) -> Extended:
    """The extended key of this network, private or public, that the text is. Raises DescriptorError."""
    content = _decode(text)
    if content is not None and len(content) == EXTENDED_SIZE:
        maker = {network.xprv: BIP32.from_xpriv, network.xpub: BIP32.from_xpub}.get(content[:4])
        if maker is not None:
            try:
                return Extended(maker(text))
            except ValueError:
                pass  # its key is none: the same error as for any other text
    raise DescriptorError(f"key '{text}' is not valid")


def parse_wif(text: str, network: KeyNetwork) -> bytes | None:
    """The public key, in the form that the text asks for, of the private key that it is; or None."""
    content = _decode(text)
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


def _decode(text: str) -> bytes | None:
    if len(text) > TEXT_MAX:
        return None
    try:
        content: bytes = b58decode_check(text)
    except ValueError:
        return None
    return content
