"""Scripts as people read them: rust-bitcoin's style for Esplora, Bitcoin Core's for JSON-RPC,
and the output descriptors (BIP380 to BIP386) that Core shows beside them.
"""

from collections.abc import Iterator
from typing import NamedTuple

from chain.address import encode_address
from chain.keys import decode_der, is_x_only
from chain.scripttype import ScriptType, classify, payload
from node.descriptors.checksum import with_checksum

PUSH_MAX = 520
"""Bytes of one push."""
KEYS_MAX = 20
"""Most keys of a bare multisig."""

_CHECKMULTISIG = b"\xae"
_KEY_FORMS = frozenset({(33, b"\x02"), (33, b"\x03"), (65, b"\x04")})
_PUSHDATA1, _PUSHDATA4 = 0x4C, 0x4E
_LENGTH_SIZES = {0x4C: 1, 0x4D: 2, 0x4E: 4}
"""Bytes of the length behind an operator that pushes more than 75."""
_1NEGATE, _RESERVED, _1, _16 = 0x4F, 0x50, 0x51, 0x60
_NOP10, _LAST_NAMED = 0xB9, 0xBA

_NAMES = [
    f"OP_{name}"
    for line in (
        "NOP VER IF NOTIF VERIF VERNOTIF ELSE ENDIF VERIFY RETURN TOALTSTACK FROMALTSTACK 2DROP 2DUP 3DUP 2OVER",
        "2ROT 2SWAP IFDUP DEPTH DROP DUP NIP OVER PICK ROLL ROT SWAP TUCK CAT SUBSTR LEFT RIGHT SIZE INVERT AND OR",
        "XOR EQUAL EQUALVERIFY RESERVED1 RESERVED2 1ADD 1SUB 2MUL 2DIV NEGATE ABS NOT 0NOTEQUAL ADD SUB MUL DIV",
        "MOD LSHIFT RSHIFT BOOLAND BOOLOR NUMEQUAL NUMEQUALVERIFY NUMNOTEQUAL LESSTHAN GREATERTHAN LESSTHANOREQUAL",
        "GREATERTHANOREQUAL MIN MAX WITHIN RIPEMD160 SHA1 SHA256 HASH160 HASH256 CODESEPARATOR CHECKSIG",
        "CHECKSIGVERIFY CHECKMULTISIG CHECKMULTISIGVERIFY NOP1 CHECKLOCKTIMEVERIFY CHECKSEQUENCEVERIFY NOP4 NOP5",
        "NOP6 NOP7 NOP8 NOP9 NOP10 CHECKSIGADD",
    )
    for name in line.split()
]
"""Names of the opcodes from 0x61 to 0xba."""

_SIGHASH_NAMES = {
    0x01: "ALL",
    0x02: "NONE",
    0x03: "SINGLE",
    0x81: "ALL|ANYONECANPAY",
    0x82: "NONE|ANYONECANPAY",
    0x83: "SINGLE|ANYONECANPAY",
}


class Instruction(NamedTuple):
    """One step of a script."""

    operator: int
    pushed: bytes | None
    """The bytes it pushes; None for an operator that pushes nothing of the script's."""


def instructions(script: bytes) -> Iterator[Instruction | None]:
    """The steps of a script; a truncated push ends them with None."""
    pos, size = 0, len(script)
    while pos < size:
        operator = script[pos]
        pos += 1
        if operator > _PUSHDATA4:
            yield Instruction(operator, None)
            continue
        length = operator
        if operator >= _PUSHDATA1:
            width = 1 << (operator - _PUSHDATA1)
            length = int.from_bytes(script[pos : pos + width], "little")
            pos += width
        if pos + length > size:
            yield None
            return
        yield Instruction(operator, script[pos : pos + length])
        pos += length


def has_valid_operators(script: bytes) -> bool:
    """True if every step is one that scripts have had, and no push is cut off or over 520 bytes (Core)."""
    return all(
        step is not None and step.operator <= _NOP10 and len(step.pushed or b"") <= PUSH_MAX
        for step in instructions(script)
    )


def esplora_asm(script: bytes) -> str:
    """Assembly as rust-bitcoin writes it: `OP_PUSHBYTES_20 d0c4…`, `OP_PUSHNUM_1`, `OP_0`."""
    words: list[str] = []
    end = 0
    for step in instructions(script):
        if step is None:
            return _cut_short(words, script[end:])
        end += 1
        if step.pushed is None:
            words.append(_rust_name(step.operator))
            continue
        end += _LENGTH_SIZES.get(step.operator, 0) + len(step.pushed)
        words.append(f"{_rust_push(step.operator)} {step.pushed.hex()}".rstrip())
    return " ".join(words)


def _cut_short(words: list[str], rest: bytes) -> str:
    """A script whose last push, `rest`, has fewer bytes than it announces."""
    if len(rest) <= _LENGTH_SIZES.get(rest[0], 0):  # not even its length is all there
        return " ".join(words) + "<unexpected end>"  # rust-bitcoin has no space there
    return " ".join((*words, _rust_push(rest[0]), "<push past end>"))


def _rust_push(operator: int) -> str:
    if operator == 0:
        return "OP_0"
    size = _LENGTH_SIZES.get(operator)
    return f"OP_PUSHBYTES_{operator}" if size is None else f"OP_PUSHDATA{size}"


def core_asm(script: bytes, *, signatures: bool = False) -> str:
    """Assembly as Bitcoin Core writes it: short pushes as numbers, long ones as hex.

    With `signatures` (for a scriptSig) the hash type of what looks like one is spelled out.
    """
    words = []
    for step in instructions(script):
        if step is None:
            words.append("[error]")
        elif step.pushed is None:
            words.append(_core_name(step.operator))
        elif len(step.pushed) <= 4:
            words.append(str(_script_number(step.pushed)))
        else:
            words.append(_signature_text(step.pushed) if signatures else step.pushed.hex())
    return " ".join(words)


def descriptor(script: bytes) -> str:
    """The descriptor that Core infers for a scriptPubKey without knowing any key, checksum included."""
    kind = classify(script)
    address = encode_address(script)
    if kind is ScriptType.P2TR and is_x_only(payload(script)):
        return with_checksum(f"rawtr({payload(script).hex()})")
    if kind is ScriptType.P2PK and is_key_form(payload(script)):
        return with_checksum(f"pk({payload(script).hex()})")
    if address is not None:
        return with_checksum(f"addr({address})")
    return with_checksum(multisig_descriptor(script) or f"raw({script.hex()})")


def multisig_descriptor(script: bytes) -> str | None:
    """multi() of a bare multisig, without a checksum; None for any other script."""
    found = multisig(script)
    return None if found is None else f"multi({','.join((str(found[0]), *(key.hex() for key in found[1])))})"


def multisig(script: bytes) -> tuple[int, tuple[bytes, ...]] | None:
    """The keys and the number that have to sign, of a bare multisig (BIP11); None for any other script."""
    steps = list(instructions(script)) if script[-1:] == _CHECKMULTISIG else []
    if len(steps) < 4 or len(steps) > KEYS_MAX + 3:
        return None
    threshold, *pushed, counted, _ = (None if step is None else _number_or_bytes(step) for step in steps)
    keys = tuple(key for key in pushed if isinstance(key, bytes) and is_key_form(key))
    if not isinstance(threshold, int) or len(keys) != len(pushed) or counted != len(keys):
        return None
    return (threshold, keys) if 1 <= threshold <= len(keys) else None


def is_key_form(content: bytes) -> bool:
    """True for what has the size and the first byte of a public key, on the curve or not."""
    return (len(content), content[:1]) in _KEY_FORMS


def _number_or_bytes(step: Instruction) -> int | bytes | None:
    """A number or key of a multisig step: a number, up to 16 by an operator and else pushed, or a key."""
    if _1 <= step.operator <= _16:
        return step.operator - _RESERVED
    if step.pushed is not None and len(step.pushed) == 1 and _16 - _RESERVED < step.pushed[0] <= KEYS_MAX:
        return step.pushed[0]
    return step.pushed


def _rust_name(operator: int) -> str:
    if _1 <= operator <= _16:
        return f"OP_PUSHNUM_{operator - _RESERVED}"
    if operator == _1NEGATE:
        return "OP_PUSHNUM_NEG1"
    if operator == _RESERVED:
        return "OP_RESERVED"
    if operator > _LAST_NAMED:
        return f"OP_RETURN_{operator}" if operator != 0xFF else "OP_INVALIDOPCODE"
    # rust-bitcoin keeps the short names of the two lock-time operators.
    short = {0xB1: "OP_CLTV", 0xB2: "OP_CSV"}
    return short.get(operator) or _NAMES[operator - 0x61]


def _core_name(operator: int) -> str:
    if _1 <= operator <= _16:
        return str(operator - _RESERVED)
    if operator == _1NEGATE:
        return "-1"
    if operator == _RESERVED:
        return "OP_RESERVED"
    if operator > _LAST_NAMED:
        return "OP_UNKNOWN" if operator != 0xFF else "OP_INVALIDOPCODE"
    return _NAMES[operator - 0x61]


def _script_number(pushed: bytes) -> int:
    """Little endian, the top bit of the last byte being the sign."""
    if not pushed:
        return 0
    number = int.from_bytes(pushed, "little")
    sign = 1 << (8 * len(pushed) - 1)
    return -(number - sign) if number & sign else number


def _signature_text(pushed: bytes) -> str:
    name = _SIGHASH_NAMES.get(pushed[-1])
    if name is None or decode_der(pushed[:-1]) is None:
        return pushed.hex()
    return f"{pushed[:-1].hex()}[{name}]"
