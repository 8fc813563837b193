"""Key expressions out of text (BIP380, multipaths by BIP389)."""

from collections.abc import Sequence
from enum import Enum

from node.descriptors.base58keys import parse_extended, parse_wif
from node.descriptors.errors import DescriptorError
from node.descriptors.keys import HARDENED, DerivedKey, FixedKey, Key, Origin
from node.descriptors.networks import KeyNetwork
from node.descriptors.points import COMPRESSED, is_public_key

STEPS_MAX = 255
"""Steps of a path: a key's depth is one byte (BIP32)."""
ALTERNATIVES_MAX = 100
"""Paths that one multipath step may stand for."""


class ScriptContext(Enum):
    """The place of an expression in a descriptor."""

    TOP = "at the top"
    P2SH = "in sh()"
    P2WPKH = "in wpkh()"
    P2WSH = "in wsh()"
    P2TR = "in tr()"


def parse_key(text: str, context: ScriptContext, network: KeyNetwork) -> list[Key]:
    """The key expressions that the text stands for, more than one for a multipath. Raises DescriptorError."""
    *before, rest = text.split("]")
    if len(before) > 1:
        raise DescriptorError("Multiple ']' characters found for a single pubkey")
    marks: list[str] = []
    origin = _parse_origin(before[0], marks) if before else None
    return _parse_rest(rest, origin, marks, context, network)


def is_hex(text: str) -> bool:
    """True for bytes in hex, at least one."""
    return bool(text) and len(text) % 2 == 0 and all(c in "0123456789abcdefABCDEF" for c in text)


def _parse_origin(text: str, marks: list[str]) -> Origin:
    if text[:1] != "[":
        got = text[:1] or "]"
        raise DescriptorError(f"Key origin start '[ character expected but not found, got '{got}' instead")
    fingerprint, *steps = text[1:].split("/")
    if len(fingerprint) != 8:
        size = len(fingerprint)
        raise DescriptorError(f"Fingerprint is not 4 bytes ({size} characters instead of 8 characters)")
    if not is_hex(fingerprint):
        raise DescriptorError(f"Fingerprint '{fingerprint}' is not hex")
    _check_length(steps)
    for step in steps:
        if step[:1] == "<" and step[-1:] == ">":
            raise DescriptorError(
                f"Key path value '{step}' specifies multipath in a section where multipath is not allowed"
            )
    return Origin(bytes.fromhex(fingerprint), tuple(_parse_step(step, marks) for step in steps))


def _parse_rest(
    text: str, origin: Origin | None, marks: list[str], context: ScriptContext, network: KeyNetwork
) -> list[Key]:
    given, *steps = text.split("/")
    if not given:
        raise DescriptorError("No key provided")
    if given != given.strip():
        raise DescriptorError(f"Key '{given}' is invalid due to whitespace")
    taproot = context is ScriptContext.P2TR
    if not steps:
        fixed = _parse_hex(given, taproot) if is_hex(given) else None
        private = None if fixed else parse_wif(given, network)
        public, x_only = fixed or (private, taproot)
        if public is not None:
            if len(public) != COMPRESSED and context not in (ScriptContext.TOP, ScriptContext.P2SH):
                raise DescriptorError("Uncompressed keys are not allowed")
            return [FixedKey(public, origin, _mark(marks), taproot, x_only, private is not None)]
    extended = parse_extended(given, network)
    wildcard = None
    if steps and steps[-1] in ("*", "*'", "*h"):
        last = steps.pop()
        wildcard = HARDENED if last[1:] else 0
        marks += last[1:]
    paths = _parse_paths(steps, marks)
    return [DerivedKey(extended, path, wildcard, origin, _mark(marks), taproot) for path in paths]


def _parse_hex(text: str, taproot: bool) -> tuple[bytes, bool]:
    """The public key, and whether only its x was given. Raises DescriptorError."""
    content = bytes.fromhex(text)
    if len(content) == 65 and content[0] in (6, 7):
        raise DescriptorError("Hybrid public keys are not allowed")
    if is_public_key(content):
        return content, False
    if taproot and len(content) == 32 and is_public_key(b"\x02" + content):
        return b"\x02" + content, True
    raise DescriptorError(f"Pubkey '{text}' is invalid")


def _parse_paths(steps: Sequence[str], marks: list[str]) -> list[tuple[int, ...]]:
    """Every path, in the order of a multipath step's alternatives."""
    _check_length(steps)
    paths: list[tuple[int, ...]] = [()]
    several = False
    for step in steps:
        if step[:1] == "<" and step[-1:] == ">":
            if several:
                raise DescriptorError("Multiple multipath key path specifiers found")
            several = True
            found = _parse_alternatives(step[1:-1], marks)
        else:
            found = [_parse_step(step, marks)]
        paths = [(*path, number) for number in found for path in paths]
    return paths


def _parse_alternatives(text: str, marks: list[str]) -> list[int]:
    given = text.split(";")
    if len(given) < 2:
        raise DescriptorError("Multipath key path specifiers must have at least two items")
    if len(given) > ALTERNATIVES_MAX:
        raise DescriptorError(f"Multipath key path specifiers must have at most {ALTERNATIVES_MAX} items")
    numbers: list[int] = []
    for one in given:
        number = _parse_step(one, marks)
        if number in numbers:
            raise DescriptorError(f"Duplicated key path value {number} in multipath specifier")
        numbers.append(number)
    return numbers


def _parse_step(text: str, marks: list[str]) -> int:
    hardened = text[-1:] in ("'", "h")
    digits = text[:-1] if hardened else text
    if hardened:
        marks.append(text[-1])
    if not digits.isascii() or not digits.isdigit() or len(digits) > 10 or int(digits) > 2**32 - 1:
        raise DescriptorError(f"Key path value '{digits}' is not a valid uint32")
    if int(digits) >= HARDENED:
        raise DescriptorError(f"Key path value {int(digits)} is out of range")
    return int(digits) | (HARDENED if hardened else 0)


def _check_length(steps: Sequence[str]) -> None:
    if len(steps) > STEPS_MAX:
        raise DescriptorError(f"Key path of more than {STEPS_MAX} steps")


def _mark(marks: list[str]) -> str:
    """The mark of hardened steps: that of the last of them, for all of a key, as in Core."""
    return marks[-1] if marks else "h"
