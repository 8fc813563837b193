"""Addresses: the texts that people pass on for a scriptPubKey.

Base58Check for hashes (2009), bech32 for segwit version 0 (BIP173), bech32m from version 1 on
(BIP350).
"""

from dataclasses import dataclass

from chain.base58 import decode_base58check, encode_base58check
from chain.scripttype import ScriptType, classify, p2pkh_script, p2sh_script, payload, witness_program, witness_script

BECH32_MAX = 90
"""Characters in the longest bech32 text."""
BASE58_MAX = 50
"""Characters in a Base58 text that could still be a 21-byte payload."""


@dataclass(frozen=True, slots=True)
class AddressFormat:
    """Prefixes of one network's addresses."""

    hrp: str
    """The text before bech32's separator."""
    p2pkh: int
    """Base58 version byte of a key hash."""
    p2sh: int
    """Base58 version byte of a script hash."""


MAIN_ADDRESSES = AddressFormat("bc", 0x00, 0x05)
TEST_ADDRESSES = AddressFormat("tb", 0x6F, 0xC4)
REGTEST_ADDRESSES = AddressFormat("bcrt", 0x6F, 0xC4)
"""Address format of every network here; Base58 is the same on test networks."""
FORMATS = (REGTEST_ADDRESSES, TEST_ADDRESSES, MAIN_ADDRESSES)


class AddressError(ValueError):
    """Raised for a text that is not an address, or not one of this network: `other_network` tells which."""

    def __init__(self, reason: str, *, other_network: bool = False) -> None:
        super().__init__(reason)
        self.other_network = other_network


def encode_address(script: bytes, fmt: AddressFormat = REGTEST_ADDRESSES) -> str | None:
    """The address of a scriptPubKey, or None if it is of no kind that has one."""
    kind = classify(script)
    if kind is ScriptType.P2PKH:
        return encode_base58check(bytes((fmt.p2pkh,)) + payload(script))
    if kind is ScriptType.P2SH:
        return encode_base58check(bytes((fmt.p2sh,)) + payload(script))
    program = witness_program(script)
    if program is None:
        return None
    version, content = program
    if version == 0 and len(content) not in (20, 32):
        return None
    return _bech32_encode(fmt.hrp, version, content)


def decode_address(text: str, fmt: AddressFormat = REGTEST_ADDRESSES) -> bytes:
    """The scriptPubKey that the address stands for. Raises AddressError."""
    if not text.isascii():  # or the Kelvin sign would pass for a K: its lower case is k
        raise AddressError("not an address: a character that does not belong")
    lowered = text.lower()
    for other in FORMATS:
        if lowered.startswith(other.hrp + "1"):
            script = _decode_bech32(text, other.hrp)
            if other.hrp != fmt.hrp:
                raise AddressError("address of another network", other_network=True)
            return script
    return _decode_base58(text, fmt)


def _decode_base58(text: str, fmt: AddressFormat) -> bytes:
    payload = decode_base58check(text, BASE58_MAX)
    if payload is None or len(payload) != 21:
        raise AddressError("not an address")
    version, content = payload[0], payload[1:]
    if version == fmt.p2pkh:
        return p2pkh_script(content)
    if version == fmt.p2sh:
        return p2sh_script(content)
    known = {v for other in FORMATS for v in (other.p2pkh, other.p2sh)}
    raise AddressError(
        "address of another network" if version in known else "not an address", other_network=version in known
    )


_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32_DIGIT = {character: digit for digit, character in enumerate(_BECH32)}
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM = {False: 1, True: 0x2BC830A3}
"""Constants of the checksum: bech32, bech32m."""


def _polymod(digits: list[int]) -> int:
    checksum = 1
    for digit in digits:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ digit
        for bit, term in enumerate(_GENERATOR):
            checksum ^= term if top >> bit & 1 else 0
    return checksum


def _expand(hrp: str) -> list[int]:
    return [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp]


def _regroup(numbers: list[int], width: int, new_width: int, *, pad: bool) -> list[int] | None:
    """Regroup bits into another width; None if the padding is not zero or too long."""
    held = bits = 0
    groups = []
    for number in numbers:
        held = held << width | number
        bits += width
        while bits >= new_width:
            bits -= new_width
            groups.append(held >> bits & ((1 << new_width) - 1))
        held &= (1 << bits) - 1
    if pad:
        return [*groups, held << (new_width - bits)] if bits else groups
    return None if bits >= width or held else groups


def _bech32_encode(hrp: str, version: int, program: bytes) -> str:
    digits = [version, *(_regroup(list(program), 8, 5, pad=True) or [])]
    checksum = _polymod(_expand(hrp) + digits + [0] * 6) ^ _CHECKSUM[version > 0]
    digits += [checksum >> 5 * (5 - i) & 31 for i in range(6)]
    return hrp + "1" + "".join(_BECH32[digit] for digit in digits)


def _decode_bech32(text: str, hrp: str) -> bytes:
    if len(text) > BECH32_MAX or text not in (text.lower(), text.upper()):
        raise AddressError("not a bech32 address: too long, or upper and lower case mixed")
    digits = [_BECH32_DIGIT.get(character, -1) for character in text.lower()[len(hrp) + 1 :]]
    if len(digits) < 7 or -1 in digits:
        raise AddressError("not a bech32 address: a character that does not belong")
    version = digits[0]
    if version > 16 or _polymod(_expand(hrp) + digits) != _CHECKSUM[version > 0]:
        raise AddressError("not a bech32 address: wrong checksum, a letter may be mistyped")
    program = _regroup(digits[1:-6], 5, 8, pad=False)
    if program is None or not 2 <= len(program) <= 40 or (version == 0 and len(program) not in (20, 32)):
        raise AddressError("not a bech32 address: wrong length")
    return witness_script(version, bytes(program))
