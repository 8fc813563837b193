"""The checksum behind a descriptor's # (BIP380)."""

from node.descriptors.errors import DescriptorError

CHECKSUM_SIZE = 8
"""Characters."""

_DESCRIPTOR_CHARACTERS = (
    "0123456789()[],'/*abcdefgh@:$%{}IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~ijklmnopqrstuvwxyzABCDEFGH`#\"\\ "
)
_POSITIONS = {character: position for position, character in enumerate(_DESCRIPTOR_CHARACTERS)}
_CHECKSUM_CHARACTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0xF5DEE51989, 0xA9FDCA3312, 0x1BAB10E32D, 0x3706B1677A, 0x644D626FFD)


def descriptor_checksum(body: str) -> str:
    """The 8 characters. Raises DescriptorError for a character that has no place."""
    checksum, group, grouped = 1, 0, 0
    for character in body:
        position = _POSITIONS.get(character)
        if position is None:
            raise DescriptorError("Invalid characters in payload")
        checksum = _polymod(checksum, position & 31)
        group = group * 3 + (position >> 5)
        grouped += 1
        if grouped == 3:
            checksum = _polymod(checksum, group)
            group = grouped = 0
    if grouped:
        checksum = _polymod(checksum, group)
    for _ in range(CHECKSUM_SIZE):
        checksum = _polymod(checksum, 0)
    checksum ^= 1
    return "".join(_CHECKSUM_CHARACTERS[checksum >> 5 * (7 - i) & 31] for i in range(CHECKSUM_SIZE))


def with_checksum(body: str) -> str:
    """The whole text."""
    return f"{body}#{descriptor_checksum(body)}"


def split_checksum(text: str, *, required: bool = False) -> str:
    """The text without its checksum, which is right, or is not there and not required.

    Raises DescriptorError.
    """
    body, *more = text.split("#")
    if len(more) > 1:
        raise DescriptorError("Multiple '#' symbols")
    if not more and required:
        raise DescriptorError("Missing checksum")
    if more and len(more[0]) != CHECKSUM_SIZE:
        raise DescriptorError(f"Expected 8 character checksum, not {len(more[0])} characters")
    computed = descriptor_checksum(body)
    if more and more[0] != computed:
        raise DescriptorError(f"Provided checksum '{more[0]}' does not match computed checksum '{computed}'")
    return body


def _polymod(checksum: int, digit: int) -> int:
    top = checksum >> 35
    checksum = (checksum & 0x7FFFFFFFF) << 5 ^ digit
    for bit, term in enumerate(_GENERATOR):
        checksum ^= term if top >> bit & 1 else 0
    return checksum
