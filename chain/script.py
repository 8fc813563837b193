"""Locks and what opens them: three kinds of spend, their digests, and signature operations.

A spend is not executed: its kind says which signature over which digest opens the coin, and
the signature becomes a `Check` for whoever has the curve library and the time.

Codes: what Bitcoin Core refuses too is SCRIPT_VERIFY; what only this node refuses, being a
strict subset, is SCRIPT_UNSUPPORTED.
"""

from collections.abc import Sequence
from enum import StrEnum

from chain.address import witness_program
from chain.codec import varbytes, varint
from chain.coins import Coin
from chain.errors import Invalid, Reject
from chain.hashes import hash160, sha256, sha256d, tagged_hash
from chain.keys import Check, decode_der, ecdsa_check, is_low_s, schnorr_check
from chain.tx import Tx, encode_output

SIGHASH_DEFAULT = 0x00
SIGHASH_ALL = 0x01
SIGHASH_NONE = 0x02
SIGHASH_SINGLE = 0x03
SIGHASH_ANYONECANPAY = 0x80
HASH_TYPES = frozenset({0x01, 0x02, 0x03, 0x81, 0x82, 0x83})
"""The defined ones, taproot's default left out."""
COMPRESSED_SIZE = 33


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
    """The kind of a scriptPubKey."""
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
    if script[:1] == b"\x6a":
        return ScriptType.OP_RETURN
    if size in (35, 67) and script[0] == size - 2 and script[-1] == _OP_CHECKSIG:
        return ScriptType.P2PK
    program = witness_program(script)
    return ScriptType.WITNESS_UNKNOWN if program and program[0] else ScriptType.NONSTANDARD


def p2wpkh_script(key_hash: bytes) -> bytes:
    """Pays a 20-byte key hash by witness (BIP141)."""
    return b"\x00\x14" + key_hash


def p2pkh_script(key_hash: bytes) -> bytes:
    """Pays a 20-byte key hash."""
    return b"\x76\xa9\x14" + key_hash + b"\x88\xac"


def p2tr_script(output_x: bytes) -> bytes:
    """Pays a 32-byte taproot output key (BIP341)."""
    return b"\x51\x20" + output_x


class Spend:
    """A transaction beside the coins it spends: digests and checks, with what they share kept."""

    __slots__ = ("_coins", "_segwit_parts", "_taproot_parts", "_tx")

    def __init__(self, tx: Tx, coins: Sequence[Coin]) -> None:
        """`coins` are in the order of `tx.inputs`."""
        self._tx = tx
        self._coins = coins
        self._segwit_parts: tuple[bytes, bytes, bytes] | None = None
        self._taproot_parts: tuple[bytes, bytes, bytes, bytes, bytes] | None = None

    def check(self, index: int) -> Check:
        """The signature that has to be right for input `index` to open its coin.

        Raises Invalid(SCRIPT_VERIFY or SCRIPT_UNSUPPORTED) where no signature could.
        """
        script = self._coins[index].script
        size, spent = len(script), self._tx.inputs[index]
        if size == 22 and script[:2] == b"\x00\x14":
            if spent.script_sig or len(spent.witness) != 2:
                raise self._failed(index, "P2WPKH takes two witness items and an empty scriptSig")
            signature, key = spent.witness
            return self._ecdsa(index, signature, key, script[2:], script)
        if size == 34 and script[:2] == b"\x51\x20":
            return self._schnorr(index, script)
        if size == 25 and script[:3] == b"\x76\xa9\x14" and script[23:] == b"\x88\xac":
            if spent.witness:
                raise self._failed(index, "P2PKH takes no witness")
            signature, key = self._two_pushes(index, spent.script_sig)
            return self._ecdsa(index, signature, key, script[3:23], script)
        raise self._unsupported(index, f"spending {classify(script)}")

    def signature_hash(self, index: int, hash_type: int) -> bytes:
        """The signature hash of input `index`, 32 bytes: BIP143, BIP341 or the original algorithm, by its coin.

        Raises Invalid for SINGLE without an output at that index.
        """
        return self._digest(index, hash_type, self._coins[index].script)

    def _digest(self, index: int, hash_type: int, script: bytes) -> bytes:
        if hash_type & 3 == SIGHASH_SINGLE and index >= len(self._tx.outputs):
            kind = classify(script)
            raise (self._failed if kind is ScriptType.P2TR else self._unsupported)(index, "SINGLE without an output")
        if script[:1] == b"\x00":
            return self._segwit_digest(index, hash_type, script[2:])
        if script[:1] == b"\x51":
            return self._taproot_digest(index, hash_type)
        return self._original_digest(index, hash_type, script)

    def _two_pushes(self, index: int, script_sig: bytes) -> tuple[bytes, bytes]:
        size = script_sig[0] if script_sig else 0
        if not 1 <= size <= 75 or len(script_sig) != size + 2 + COMPRESSED_SIZE or script_sig[size + 1] != 33:
            raise self._unsupported(index, "P2PKH takes a signature and a compressed key")
        return script_sig[1 : size + 1], script_sig[size + 2 :]

    def _ecdsa(self, index: int, signature: bytes, key: bytes, key_hash: bytes, script: bytes) -> Check:
        if hash160(key) != key_hash:
            raise self._failed(index, "the key does not hash to the coin's")
        compact = decode_der(signature[:-1])
        if compact is None:
            raise self._failed(index, "the signature is not strict DER")
        if len(key) != COMPRESSED_SIZE or key[0] not in (2, 3):
            raise self._unsupported(index, "the key is not compressed")
        hash_type = signature[-1]
        if hash_type not in HASH_TYPES:
            raise self._unsupported(index, "undefined hash type")
        if not is_low_s(compact):
            raise self._unsupported(index, "high S")
        return ecdsa_check(key, compact, self._digest(index, hash_type, script))

    def _schnorr(self, index: int, script: bytes) -> Check:
        spent = self._tx.inputs[index]
        if spent.script_sig or not spent.witness:
            raise self._failed(index, "P2TR takes a witness and an empty scriptSig")
        if len(spent.witness) != 1:
            raise self._unsupported(index, "P2TR by script path or with an annex")
        signature = spent.witness[0]
        hash_type = SIGHASH_DEFAULT
        if len(signature) == 65:
            hash_type = signature[64]
            if hash_type not in HASH_TYPES:
                raise self._failed(index, "undefined hash type")
        elif len(signature) != 64:
            raise self._failed(index, "a taproot signature has 64 or 65 bytes")
        return schnorr_check(script[2:], signature[:64], self._digest(index, hash_type, script))

    def _segwit_digest(self, index: int, hash_type: int, key_hash: bytes) -> bytes:
        """BIP143."""
        tx = self._tx
        if self._segwit_parts is None:
            prevouts, sequences, outputs = _joined(tx)
            self._segwit_parts = (sha256d(prevouts), sha256d(sequences), sha256d(outputs))
        prevouts_hash, sequences_hash, outputs_hash = self._segwit_parts
        if hash_type != SIGHASH_ALL:
            base = hash_type & 3
            if base == SIGHASH_SINGLE:
                outputs_hash = sha256d(encode_output(tx.outputs[index]))
            elif base == SIGHASH_NONE:
                outputs_hash = bytes(32)
            if hash_type & SIGHASH_ANYONECANPAY:
                prevouts_hash = bytes(32)
            if hash_type & SIGHASH_ANYONECANPAY or base != SIGHASH_ALL:
                sequences_hash = bytes(32)
        spent, coin = tx.inputs[index], self._coins[index]
        return sha256d(
            b"".join(
                (
                    tx.raw[:4],
                    prevouts_hash,
                    sequences_hash,
                    spent.outpoint,
                    b"\x19\x76\xa9\x14",
                    key_hash,
                    b"\x88\xac",
                    coin[4:12],  # the value, as it stands
                    spent.sequence.to_bytes(4, "little"),
                    outputs_hash,
                    tx.raw[-4:],
                    hash_type.to_bytes(4, "little"),
                )
            )
        )

    def _taproot_digest(self, index: int, hash_type: int) -> bytes:
        """BIP341, key path, no annex."""
        tx = self._tx
        if self._taproot_parts is None:
            prevouts, sequences, outputs = _joined(tx)
            amounts = b"".join(coin[4:12] for coin in self._coins)
            scripts = b"".join(varbytes(coin.script) for coin in self._coins)
            self._taproot_parts = (
                sha256(prevouts),
                sha256(amounts),
                sha256(scripts),
                sha256(sequences),
                sha256(outputs),
            )
        base = hash_type & 3
        message = bytes((0, hash_type)) + tx.version.to_bytes(4, "little") + tx.lock_time.to_bytes(4, "little")
        if not hash_type & SIGHASH_ANYONECANPAY:
            message += b"".join(self._taproot_parts[:4])
        if base in (SIGHASH_DEFAULT, SIGHASH_ALL):
            message += self._taproot_parts[4]
        message += b"\x00"  # key path, no annex
        if hash_type & SIGHASH_ANYONECANPAY:
            spent, coin = tx.inputs[index], self._coins[index]
            message += spent.outpoint + coin[4:12] + varbytes(coin.script) + spent.sequence.to_bytes(4, "little")
        else:
            message += index.to_bytes(4, "little")
        if base == SIGHASH_SINGLE:
            message += sha256(encode_output(tx.outputs[index]))
        return tagged_hash("TapSighash", message)

    def _original_digest(self, index: int, hash_type: int, script: bytes) -> bytes:
        """The algorithm of 2009: the transaction itself, with parts blanked out."""
        tx = self._tx
        base, alone = hash_type & 3, bool(hash_type & SIGHASH_ANYONECANPAY)
        ins = b""
        for position, spent in enumerate(tx.inputs):
            if alone and position != index:
                continue
            mine = position == index
            sequence = spent.sequence if mine or base == SIGHASH_ALL else 0
            ins += spent.outpoint + varbytes(script if mine else b"") + sequence.to_bytes(4, "little")
        return sha256d(
            tx.version.to_bytes(4, "little")
            + varint(1 if alone else len(tx.inputs))
            + ins
            + self._original_outputs(index, base)
            + tx.lock_time.to_bytes(4, "little")
            + hash_type.to_bytes(4, "little")
        )

    def _original_outputs(self, index: int, base: int) -> bytes:
        tx = self._tx
        if base == SIGHASH_NONE:
            return b"\x00"
        if base == SIGHASH_SINGLE:
            blank = (b"\xff" * 8 + b"\x00") * index
            return varint(index + 1) + blank + encode_output(tx.outputs[index])
        return varint(len(tx.outputs)) + tx.outputs_raw

    def _failed(self, index: int, reason: str) -> Invalid:
        return Invalid(Reject.SCRIPT_VERIFY, f"input {index}: {reason}")

    def _unsupported(self, index: int, reason: str) -> Invalid:
        return Invalid(Reject.SCRIPT_UNSUPPORTED, f"input {index}: {reason}")


def _joined(tx: Tx) -> tuple[bytes, bytes, bytes]:
    """Outpoints, sequences and outputs of a transaction, each laid end to end."""
    if len(tx.inputs) == 1:
        [spent] = tx.inputs
        return spent.outpoint, spent.sequence.to_bytes(4, "little"), tx.outputs_raw
    prevouts = b"".join([spent.outpoint for spent in tx.inputs])
    sequences = b"".join([spent.sequence.to_bytes(4, "little") for spent in tx.inputs])
    return prevouts, sequences, tx.outputs_raw


# --- signature operations ----------------------------------------------------------------------

_OP_PUSHDATA1, _OP_PUSHDATA2, _OP_PUSHDATA4 = 0x4C, 0x4D, 0x4E
_OP_CHECKSIG, _OP_CHECKSIGVERIFY = 0xAC, 0xAD
_OP_CHECKMULTISIG, _OP_CHECKMULTISIGVERIFY = 0xAE, 0xAF
_MULTISIG_COST = 20


def legacy_sigops(script: bytes) -> int:
    """Signature operations as Core has always counted them; a truncated push ends the count."""
    count = pos = 0
    size = len(script)
    while pos < size:
        operator = script[pos]
        pos += 1
        if operator <= _OP_PUSHDATA4:
            if operator >= _OP_PUSHDATA1:
                width = 1 << (operator - _OP_PUSHDATA1)
                if pos + width > size:
                    break
                operator = int.from_bytes(script[pos : pos + width], "little")
                pos += width
            pos += operator
            if pos > size:
                break
        elif operator in (_OP_CHECKSIG, _OP_CHECKSIGVERIFY):
            count += 1
        elif operator in (_OP_CHECKMULTISIG, _OP_CHECKMULTISIGVERIFY):
            count += _MULTISIG_COST
    return count
