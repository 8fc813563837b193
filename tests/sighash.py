"""Bitcoin's three signature hashes, written a second time from their specifications.

Slow, general (any script code, annex, script path) and independent of `chain.script`: the tests
hold the two against each other, and sign with this one what `chain.script` refuses to touch.
"""

import hashlib
import struct
from collections.abc import Sequence

from chain.codec import varbytes, varint
from chain.tx import Tx, TxOut

DEFAULT, ALL, NONE, SINGLE, ANYONE_CAN_PAY = 0x00, 0x01, 0x02, 0x03, 0x80


def _sha256(message: bytes) -> bytes:
    return hashlib.sha256(message).digest()


def _double(message: bytes) -> bytes:
    return _sha256(_sha256(message))


def _output(output: TxOut) -> bytes:
    return struct.pack("<q", output.value) + varbytes(output.script)


def legacy(tx: Tx, index: int, script_code: bytes, hash_type: int) -> bytes:
    """The original digest, Satoshi's bug included: 1 for SINGLE without an output."""
    base = hash_type & 0x1F
    if base == SINGLE and index >= len(tx.outputs):
        return (1).to_bytes(32, "little")
    picked = [index] if hash_type & ANYONE_CAN_PAY else list(range(len(tx.inputs)))
    parts = [struct.pack("<I", tx.version), varint(len(picked))]
    for i in picked:
        spent = tx.inputs[i]
        sequence = 0 if i != index and base in (NONE, SINGLE) else spent.sequence
        parts += [spent.outpoint, varbytes(script_code if i == index else b""), struct.pack("<I", sequence)]
    if base == NONE:
        parts.append(varint(0))
    elif base == SINGLE:
        parts.append(varint(index + 1))
        parts += [struct.pack("<q", -1) + b"\x00"] * index
        parts.append(_output(tx.outputs[index]))
    else:
        parts.append(varint(len(tx.outputs)))
        parts += [_output(output) for output in tx.outputs]
    parts += [struct.pack("<I", tx.lock_time), struct.pack("<I", hash_type)]
    return _double(b"".join(parts))


def segwit_v0(tx: Tx, index: int, script_code: bytes, value: int, hash_type: int) -> bytes:
    """BIP143."""
    base, anyone = hash_type & 0x1F, bool(hash_type & ANYONE_CAN_PAY)
    prevouts = sequences = outputs = bytes(32)
    if not anyone:
        prevouts = _double(b"".join(i.outpoint for i in tx.inputs))
        if base not in (NONE, SINGLE):
            sequences = _double(b"".join(struct.pack("<I", i.sequence) for i in tx.inputs))
    if base not in (NONE, SINGLE):
        outputs = _double(b"".join(map(_output, tx.outputs)))
    elif base == SINGLE and index < len(tx.outputs):
        outputs = _double(_output(tx.outputs[index]))
    spent = tx.inputs[index]
    return _double(
        struct.pack("<I", tx.version)
        + prevouts
        + sequences
        + spent.outpoint
        + varbytes(script_code)
        + struct.pack("<q", value)
        + struct.pack("<I", spent.sequence)
        + outputs
        + struct.pack("<I", tx.lock_time)
        + struct.pack("<I", hash_type)
    )


def taproot(
    tx: Tx,
    index: int,
    spent: Sequence[TxOut],
    hash_type: int,
    *,
    annex: bytes | None = None,
    leaf_hash: bytes | None = None,
) -> bytes:
    """BIP341, key path or (with `leaf_hash`) BIP342 script path without OP_CODESEPARATOR."""
    base, anyone = hash_type & 3, bool(hash_type & ANYONE_CAN_PAY)
    parts = [b"\x00", bytes([hash_type]), struct.pack("<I", tx.version), struct.pack("<I", tx.lock_time)]
    if not anyone:
        parts += [
            _sha256(b"".join(i.outpoint for i in tx.inputs)),
            _sha256(b"".join(struct.pack("<q", o.value) for o in spent)),
            _sha256(b"".join(varbytes(o.script) for o in spent)),
            _sha256(b"".join(struct.pack("<I", i.sequence) for i in tx.inputs)),
        ]
    if base not in (NONE, SINGLE):
        parts.append(_sha256(b"".join(map(_output, tx.outputs))))
    parts.append(bytes([2 * (leaf_hash is not None) + (annex is not None)]))
    if anyone:
        here = tx.inputs[index]
        parts += [here.outpoint, _output(spent[index]), struct.pack("<I", here.sequence)]
    else:
        parts.append(struct.pack("<I", index))
    if annex is not None:
        parts.append(_sha256(varbytes(annex)))
    if base == SINGLE:
        parts.append(_sha256(_output(tx.outputs[index])))
    if leaf_hash is not None:
        parts += [leaf_hash, b"\x00", b"\xff\xff\xff\xff"]
    return tagged("TapSighash", b"".join(parts))


def tagged(tag: str, message: bytes) -> bytes:
    """BIP340's tagged hash."""
    prefix = _sha256(tag.encode())
    return _sha256(prefix + prefix + message)
