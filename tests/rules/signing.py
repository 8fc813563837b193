"""What the cases about spending share: one key, its signatures by hand, and reshaped payments."""

from collections.abc import Callable

from chain.block import Block
from chain.errors import Reject
from chain.hashes import hash160
from chain.keys import encode_der
from chain.scripttype import ScriptType, p2pkh_script, p2wpkh_script
from chain.tx import Tx, TxOut
from tests import sighash
from tests.chainlab import (
    ENGINE,
    Lab,
    key,
    push,
    with_input,
)
from tests.rules.case import block_of, one_payment, spend_of

KEY = key(0)
VERIFY, UNSUPPORTED = Reject.SCRIPT_VERIFY, Reject.SCRIPT_UNSUPPORTED
FAILS = str(VERIFY)
WPKH, PKH, TR = ScriptType.P2WPKH, ScriptType.P2PKH, ScriptType.P2TR
ECDSA_TYPES = (0x01, 0x02, 0x03, 0x81, 0x82, 0x83)
FIELD = 2**256 - 2**32 - 977


def full_key(public: bytes) -> bytes:
    """x and y of a compressed key, 64 bytes."""
    x = int.from_bytes(public[1:], "big")
    y = pow(x**3 + 7, (FIELD + 1) // 4, FIELD)
    if y & 1 != public[0] & 1:
        y = FIELD - y
    return public[1:] + y.to_bytes(32, "big")


FULL = full_key(KEY.public)
UNCOMPRESSED = b"\x04" + FULL
HYBRID = bytes([6 + (FULL[63] & 1)]) + FULL
WRONG_HYBRID = bytes([7 - (FULL[63] & 1)]) + FULL


def ecdsa(tx: Tx, spent: TxOut, hash_type: int, *, index: int = 0, code: bytes | None = None) -> bytes:
    """r||s of key 0 over the digest of input `index`, by the specifications alone."""
    if spent.script[:1] == b"\x00":
        code = code or p2pkh_script(spent.script[2:])
        digest = sighash.segwit_v0(tx, index, code, spent.value, hash_type)
    else:
        digest = sighash.legacy(tx, index, code or spent.script, hash_type)
    return ENGINE.sign_ecdsa(KEY.secret, digest)


Dress = Callable[[bytes, int], bytes]
"""From r||s and the hash type to the signature as it stands in the transaction."""


def strict(compact: bytes, hash_type: int) -> bytes:
    return encode_der(compact) + bytes([hash_type])


def opened(
    kind: ScriptType, dress: Dress = strict, hash_type: int = 1, public: bytes = KEY.public, outputs: int = 1
) -> Callable[[Lab], Block]:
    """Spends a coin of `public` by a right signature that is dressed up by `dress`."""
    script = (p2wpkh_script if kind is WPKH else p2pkh_script)(hash160(public))

    def unlock(tx: Tx, spent: TxOut) -> tuple[bytes, tuple[bytes, ...]]:
        made = dress(ecdsa(tx, spent, hash_type), hash_type)
        if kind is WPKH:
            return b"", (made, public)
        return push_any(made) + push_any(public), ()

    return spend_of(script, unlock, outputs=outputs)


def push_any(content: bytes) -> bytes:
    """The shortest push."""
    return push(content) if content else b"\x00"


def reshaped(kind: ScriptType, change: Callable[[Tx], Tx]) -> Callable[[Lab], Block]:
    """A good payment whose first input is changed."""
    return block_of(lambda lab: change(one_payment(lab, kind)))


def witness_as(change: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]) -> Callable[[Tx], Tx]:
    return lambda tx: with_input(tx, witness=change(tx.inputs[0].witness))


def script_sig_as(change: Callable[[bytes], bytes]) -> Callable[[Tx], Tx]:
    return lambda tx: with_input(tx, script_sig=change(tx.inputs[0].script_sig))
