"""Prefixes of one network's keys."""

from dataclasses import dataclass

from chain.address import MAIN_ADDRESSES, REGTEST_ADDRESSES, AddressFormat


@dataclass(frozen=True, slots=True)
class KeyNetwork:
    """Prefixes of addresses and keys."""

    addresses: AddressFormat
    xpub: bytes
    """Version bytes (4) of an extended public key (BIP32)."""
    xprv: bytes
    """Version bytes of an extended private key."""
    wif: bytes
    """The byte before a private key."""


TEST_KEYS = KeyNetwork(REGTEST_ADDRESSES, b"\x04\x35\x87\xcf", b"\x04\x35\x83\x94", b"\xef")
"""Key format of every network here: tpub, tprv."""
MAIN_KEYS = KeyNetwork(MAIN_ADDRESSES, b"\x04\x88\xb2\x1e", b"\x04\x88\xad\xe4", b"\x80")
"""Bitcoin's own: what public test vectors are of."""
