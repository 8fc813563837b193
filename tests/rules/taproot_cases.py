"""Taproot: by key with every hash type, and all that only Bitcoin Core lets pass."""

from collections.abc import Callable

from chain.block import Block
from chain.hashes import tagged_hash
from chain.keys import ORDER
from chain.scripttype import p2tr_script
from chain.tx import Tx, TxOut
from tests import sighash
from tests.chainlab import (
    ENGINE,
    Lab,
    lock,
    pay,
    push,
    with_input,
)
from tests.rules.case import Case, Stricter, block_of, spend_of
from tests.rules.signing import (
    ECDSA_TYPES,
    FAILS,
    FIELD,
    KEY,
    PKH,
    TR,
    UNSUPPORTED,
    VERIFY,
    WPKH,
    reshaped,
    script_sig_as,
    witness_as,
)
from tests.taproot import taproot_output, taproot_secret

INTERNAL = KEY.public[1:]
OUTPUT = taproot_output(ENGINE, INTERNAL)
TWEAKED = taproot_secret(ENGINE, KEY.secret)


def by_key(
    *,
    hash_type: int = 0,
    secret: bytes = TWEAKED,
    tail: bytes | None = None,
    annex: bytes | None = None,
    output: bytes = OUTPUT,
) -> Callable[[Lab], Block]:
    """Spends key 0's taproot coin by key, by the specification alone; `tail` follows the signature."""

    def unlock(tx: Tx, spent: TxOut) -> tuple[bytes, tuple[bytes, ...]]:
        digest = sighash.taproot(tx, 0, [spent], hash_type, annex=annex)
        ending = tail if tail is not None else bytes([hash_type]) if hash_type else b""
        made = ENGINE.sign_schnorr(secret, digest) + ending
        return b"", (made,) if annex is None else (made, annex)

    return spend_of(p2tr_script(output), unlock)


def by_script(
    script: bytes, items: tuple[bytes, ...] = (), *, leaf: int = 0xC0, spoil: bool = False
) -> Callable[[Lab], Block]:
    """Spends a taproot coin by its one script."""
    leaf_hash = tagged_hash("TapLeaf", bytes([leaf, len(script)]) + script)
    output, parity = ENGINE.tweak_public(INTERNAL, tagged_hash("TapTweak", INTERNAL + leaf_hash))
    control = bytes([leaf | parity]) + INTERNAL
    if spoil:
        control = control[:-1] + bytes([control[-1] ^ 1])
    return spend_of(p2tr_script(output), lambda *_: (b"", (*items, script, control)))


def by_script_with_signature() -> Callable[[Lab], Block]:
    """A script path that checks a signature: <key> CHECKSIG."""
    script = push(INTERNAL) + b"\xac"
    leaf_hash = tagged_hash("TapLeaf", b"\xc0" + push(script))
    output, parity = ENGINE.tweak_public(INTERNAL, tagged_hash("TapTweak", INTERNAL + leaf_hash))

    def unlock(tx: Tx, spent: TxOut) -> tuple[bytes, tuple[bytes, ...]]:
        digest = sighash.taproot(tx, 0, [spent], 0, leaf_hash=leaf_hash)
        return b"", (ENGINE.sign_schnorr(KEY.secret, digest), script, bytes([0xC0 | parity]) + INTERNAL)

    return spend_of(p2tr_script(output), unlock)


def taproot_single_alone(hash_type: int) -> Callable[[Lab], Block]:
    """SINGLE without an output has no digest in BIP341; whatever is signed instead."""

    def make(lab: Lab) -> Tx:
        owned = lab.take(TR, 2)
        tx = pay(owned, [TxOut(owned[0].coin.value, lock())])
        return with_input(tx, 1, witness=(tx.inputs[1].witness[0] + bytes([hash_type]),))

    return block_of(make)


def mixed_kinds(lab: Lab) -> Tx:
    """One coin of each kind together: every digest of taproot covers the others' amounts and scripts."""
    return pay([*lab.take(TR), *lab.take(WPKH), *lab.take(PKH), *lab.take(TR)])


CASES = [
    Case("P2TR: default hash type", by_key(), None),
    *(Case(f"P2TR: hash type {hash_type:02x}", by_key(hash_type=hash_type), None) for hash_type in ECDSA_TYPES),
    Case("P2TR: hash type 00 written out", by_key(tail=b"\x00"), VERIFY),
    *(
        Case(f"P2TR: undefined hash type {hash_type:02x}", by_key(hash_type=hash_type), VERIFY)
        for hash_type in (0x04, 0x21, 0x41, 0x80, 0x84, 0xFF)
    ),
    Case("P2TR: another hash type than signed", by_key(tail=b"\x01"), VERIFY),
    Case("P2TR: 66 bytes of signature", by_key(tail=b"\x01\x01"), VERIFY),
    Case("P2TR: 63 bytes of signature", reshaped(TR, witness_as(lambda w: (w[0][:63],))), VERIFY),
    Case("P2TR: no bytes of signature", reshaped(TR, witness_as(lambda _: (b"",))), VERIFY),
    Case("P2TR: no witness", reshaped(TR, witness_as(lambda _: ())), VERIFY),
    Case("P2TR with a scriptSig", reshaped(TR, script_sig_as(lambda _: b"\x51")), VERIFY),
    Case("P2TR: a bit of r wrong", reshaped(TR, witness_as(lambda w: (bytes([w[0][0] ^ 1]) + w[0][1:],))), VERIFY),
    Case("P2TR: a bit of s wrong", reshaped(TR, witness_as(lambda w: (w[0][:63] + bytes([w[0][63] ^ 1]),))), VERIFY),
    Case("P2TR: s = order", reshaped(TR, witness_as(lambda w: (w[0][:32] + ORDER.to_bytes(32, "big"),))), VERIFY),
    Case("P2TR: r = field", reshaped(TR, witness_as(lambda w: (FIELD.to_bytes(32, "big") + w[0][32:],))), VERIFY),
    Case("P2TR: signed with the internal key", by_key(secret=KEY.secret), VERIFY),
    Case("P2TR: an output key that is the internal key", by_key(secret=KEY.secret, output=INTERNAL), None),
    Case("P2TR: an output key on no point", by_key(output=(5).to_bytes(32, "big")), VERIFY),
    Case("P2TR: an output key above the field", by_key(output=b"\xff" * 32), VERIFY),
    Case("P2TR with an annex", by_key(annex=b"\x50"), UNSUPPORTED, stricter=Stricter.TAPROOT_EXTRAS),
    Case("P2TR with a long annex", by_key(annex=b"\x50" * 600), UNSUPPORTED, stricter=Stricter.TAPROOT_EXTRAS),
    Case("P2TR by a script that anyone can run", by_script(b"\x51"), UNSUPPORTED, stricter=Stricter.TAPROOT_EXTRAS),
    Case(
        "P2TR by a script that checks a signature",
        by_script_with_signature(),
        UNSUPPORTED,
        stricter=Stricter.TAPROOT_EXTRAS,
    ),
    Case(
        "P2TR by a leaf version of the future",
        by_script(b"\x00", leaf=0xC2),
        UNSUPPORTED,
        stricter=Stricter.TAPROOT_EXTRAS,
    ),
    Case("P2TR by OP_SUCCESS", by_script(b"\x50"), UNSUPPORTED, stricter=Stricter.TAPROOT_EXTRAS),
    Case("P2TR by a script that says no", by_script(b"\x00"), UNSUPPORTED, core=FAILS),
    Case("P2TR by a script of another key", by_script(b"\x51", spoil=True), UNSUPPORTED, core=FAILS),
    Case(
        "P2TR with a second item that is no annex",
        reshaped(TR, witness_as(lambda w: (*w, b"\x01"))),
        UNSUPPORTED,
        core=FAILS,
    ),
    Case(
        "P2TR with an annex that was not signed",
        reshaped(TR, witness_as(lambda w: (*w, b"\x50"))),
        UNSUPPORTED,
        core=FAILS,
    ),
    *(
        Case(f"P2TR: SINGLE without an output, {hash_type:02x}", taproot_single_alone(hash_type), VERIFY)
        for hash_type in (0x03, 0x83)
    ),
    Case("coins of every kind in one payment", block_of(mixed_kinds), None),
]
