"""Spends of three types of output, their signature hashes, and signature operations.

A spend is not executed: its kind says which signature over which digest opens the coin, and
the signature becomes a `Check` for whoever has the curve library and the time.

Codes: what Bitcoin Core refuses too is SCRIPT_VERIFY; what only this node refuses, being a
strict subset, is SCRIPT_UNSUPPORTED.
"""

from collections.abc import Sequence

from chain.codec import varbytes, varint
from chain.coins import COIN_VALUE, Coin
from chain.errors import Invalid, Reject
from chain.hashes import hash160, sha256, sha256d, tagged_hash
from chain.keys import Check, decode_der, ecdsa_check, is_low_s, schnorr_check
from chain.scripttype import ScriptType, classify, p2wpkh_key_hash, p2wpkh_script_code, payload
from chain.tx import Tx, encode_output

SIGHASH_DEFAULT = 0x00
SIGHASH_ALL = 0x01
SIGHASH_NONE = 0x02
SIGHASH_SINGLE = 0x03
SIGHASH_ANYONECANPAY = 0x80
HASH_TYPES = frozenset({0x01, 0x02, 0x03, 0x81, 0x82, 0x83})
"""The defined ones, taproot's default left out."""
COMPRESSED_SIZE = 33


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
        spent = self._tx.inputs[index]
        if (key_hash := p2wpkh_key_hash(script)) is not None:  # the usual one first
            if spent.script_sig or len(spent.witness) != 2:
                raise self._failed(index, "P2WPKH takes two witness items and an empty scriptSig")
            signature, key = spent.witness
            return self._ecdsa(index, signature, key, key_hash, script)
        kind = classify(script)
        if kind is ScriptType.P2TR:
            return self._schnorr(index, script)
        if kind is ScriptType.P2PKH:
            if spent.witness:
                raise self._failed(index, "P2PKH takes no witness")
            signature, key = self._two_pushes(index, spent.script_sig)
            return self._ecdsa(index, signature, key, payload(script), script)
        raise self._unsupported(index, f"spending {kind}")

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
            return self._segwit_digest(index, hash_type, payload(script))
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
        return schnorr_check(payload(script), signature[:64], self._digest(index, hash_type, script))

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
                    p2wpkh_script_code(key_hash),
                    coin[COIN_VALUE],
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
            amounts = b"".join(coin[COIN_VALUE] for coin in self._coins)
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
            message += spent.outpoint + coin[COIN_VALUE] + varbytes(coin.script) + spent.sequence.to_bytes(4, "little")
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
