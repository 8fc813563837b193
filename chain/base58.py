"""Base58Check (2009): bytes as text without look-alike characters, with a checksum of four bytes."""

from chain.hashes import sha256d

CHECKSUM_SIZE = 4
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGIT = {character: digit for digit, character in enumerate(_ALPHABET)}


def encode_base58check(payload: bytes) -> str:
    """The text of these bytes and their checksum."""
    raw = payload + sha256d(payload)[:CHECKSUM_SIZE]
    number = int.from_bytes(raw, "big")
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return "1" * (len(raw) - len(raw.lstrip(b"\x00"))) + text


def decode_base58check(text: str, length_max: int) -> bytes | None:
    """The bytes, or None for what is longer than `length_max` characters (it takes quadratic time) or invalid."""
    if not text or len(text) > length_max:
        return None
    number = 0
    for character in text:
        digit = _DIGIT.get(character)
        if digit is None:
            return None
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip("1"))
    raw = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    payload, checksum = raw[:-CHECKSUM_SIZE], raw[-CHECKSUM_SIZE:]
    return payload if len(raw) >= CHECKSUM_SIZE and sha256d(payload)[:CHECKSUM_SIZE] == checksum else None
