"""Standard output scripts: their types, how they are told apart, made, and taken apart again.

The only place that knows their bytes. What has to be shown to spend from them is `script.py`'s.
"""

from enum import StrEnum

OP_RETURN = b"\x6a"
"""The operator that an output which only carries data starts with."""
_OP_CHECKSIG = 0xAC


class ScriptType(StrEnum):
    """Type of a scriptPubKey, in Bitcoin Core's words. The first three can be spent here."""

    P2WPKH = "witness_v0_keyhash"
    P2PKH = "pubkeyhash"
    P2TR = "witness_v1_taproot"
    P2SH = "scripthash"
    P2WSH = "witness_v0_scripthash"
    P2PK = "pubkey"
    OP_RETURN = "nulldata"
    WITNESS_UNKNOWN = "witness_unknown"
    NONSTANDARD = "nonstandard"


SPENDABLE_KINDS = frozenset({ScriptType.P2WPKH, ScriptType.P2PKH, ScriptType.P2TR})


def classify(script: bytes) -> ScriptType:
    """The type of a scriptPubKey (Core's Solver)."""
    size = len(script)
    if size == 22 and script[:2] == b"\x00\x14":
        return ScriptType.P2WPKH
    if size == 34 and script[:2] == b"\x51\x20":
        return ScriptType.P2TR
    if size == 25 and script[:3] == b"\x76\xa9\x14" and script[23:] == b"\x88\xac":
        return ScriptType.P2PKH
    if size == 23 and script[:2] == b"\xa9\x14" and script[22:] == b"\x87":
        return ScriptType.P2SH
    if size == 34 and script[:2] == b"\x00\x20":
        return ScriptType.P2WSH
    if is_data_carrier(script):
        return ScriptType.OP_RETURN
    if size in (35, 67) and script[0] == size - 2 and script[-1] == _OP_CHECKSIG:
        return ScriptType.P2PK
    program = witness_program(script)
    return ScriptType.WITNESS_UNKNOWN if program and program[0] else ScriptType.NONSTANDARD


def is_p2wpkh(script: bytes) -> bool:
    """True for the usual type; quicker than `classify`."""
    return len(script) == 22 and script[:2] == b"\x00\x14"


def p2wpkh_key_hash(script: bytes) -> bytes | None:
    """The key hash that a script of this type pays, or None: `classify` and `payload` in one, for the hot path."""
    return script[2:] if len(script) == 22 and script[:2] == b"\x00\x14" else None


def is_data_carrier(script: bytes) -> bool:
    """True for a script that starts with OP_RETURN, so that nobody can ever spend it."""
    return script[:1] == OP_RETURN


def witness_program(script: bytes) -> tuple[int, bytes] | None:
    """Version and program of a witness output (BIP141), or None."""
    if not 4 <= len(script) <= 42 or script[1] != len(script) - 2:
        return None
    if script[0] == 0:
        return 0, script[2:]
    if 0x51 <= script[0] <= 0x60:
        return script[0] - 0x50, script[2:]
    return None


def payload(script: bytes) -> bytes:
    """The part that differs between scripts of one type: the hash, the key or the witness program.

    For scripts that `classify` finds to be of a type that has such a part. By the first byte, because looking up
    the members of an enum takes longer than all the rest.
    """
    first = script[0]
    if first == 0x00 or 0x51 <= first <= 0x60:
        return script[2:]
    if first == 0x76:  # OP_DUP: P2PKH
        return script[3:23]
    if first == 0xA9:  # OP_HASH160: P2SH
        return script[2:22]
    return script[1:-1]  # a push: P2PK


def p2wpkh_script(key_hash: bytes) -> bytes:
    """Pays a 20-byte key hash by witness (BIP141)."""
    return b"\x00\x14" + key_hash


def p2wpkh_script_code(key_hash: bytes) -> bytes:
    """The script that a spend from P2WPKH signs for in place of its own, length first (BIP143)."""
    return b"\x19\x76\xa9\x14" + key_hash + b"\x88\xac"


def p2pkh_script(key_hash: bytes) -> bytes:
    """Pays a 20-byte key hash."""
    return b"\x76\xa9\x14" + key_hash + b"\x88\xac"


def p2tr_script(output_x: bytes) -> bytes:
    """Pays a 32-byte taproot output key (BIP341)."""
    return b"\x51\x20" + output_x


def p2sh_script(script_hash: bytes) -> bytes:
    """Pays the 20-byte hash160 of a script (BIP16)."""
    return b"\xa9\x14" + script_hash + b"\x87"


def p2wsh_script(script_hash: bytes) -> bytes:
    """Pays the 32-byte SHA-256 of a script by witness (BIP141)."""
    return b"\x00\x20" + script_hash


def witness_script(version: int, program: bytes) -> bytes:
    """Pays a witness program of 2 to 40 bytes of any version from 0 to 16 (BIP141)."""
    return bytes((0x50 + version if version else 0, len(program))) + program
