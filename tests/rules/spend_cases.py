"""Spending: what opens a coin, what does not, and what only Bitcoin Core lets pass."""

from collections.abc import Callable, Sequence

from chain.block import Block
from chain.errors import Reject
from chain.hashes import hash160, sha256, tagged_hash
from chain.keys import ORDER, encode_der, taproot_output, taproot_secret
from chain.script import LockKind, p2pkh_script, p2tr_script, p2wpkh_script
from chain.tx import SEQUENCE_FINAL, Tx, TxIn, TxOut, make_tx
from tests import sighash
from tests.chainlab import (
    ENGINE,
    FEE,
    Lab,
    Owned,
    key,
    lock,
    owner,
    pay,
    push,
    remade,
    signature,
    with_input,
    with_output,
)
from tests.rules.case import Case, Stricter, Unlock, block_of, one_payment, spend_of

KEY = key(0)
VERIFY, UNSUPPORTED = Reject.SCRIPT_VERIFY, Reject.SCRIPT_UNSUPPORTED
FAILS = str(VERIFY)
WPKH, PKH, TR = LockKind.P2WPKH, LockKind.P2PKH, LockKind.P2TR
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


# --- ECDSA by hand, in either envelope -----------------------------------------------------------


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


def opened(kind: LockKind, dress: Dress = strict, hash_type: int = 1, public: bytes = KEY.public, outputs: int = 1) -> Callable[[Lab], Block]:
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


def high_s(compact: bytes, hash_type: int) -> bytes:
    s = ORDER - int.from_bytes(compact[32:], "big")
    return strict(compact[:32] + s.to_bytes(32, "big"), hash_type)


def flipped(bit: int) -> Dress:
    """One bit of r||s is wrong."""

    def dress(compact: bytes, hash_type: int) -> bytes:
        number = int.from_bytes(compact, "big") ^ (1 << bit)
        return strict(number.to_bytes(64, "big"), hash_type)

    return dress


def der(r: bytes, s: bytes, tail: bytes = b"") -> bytes:
    """DER of two integers as they are, padded or not."""
    body = b"\x02" + bytes([len(r)]) + r + b"\x02" + bytes([len(s)]) + s
    return b"\x30" + bytes([len(body)]) + body + tail


def minimal(number: bytes) -> bytes:
    """The shortest two's complement of a positive number."""
    digits = number.lstrip(b"\x00") or b"\x00"
    return b"\x00" + digits if digits[0] & 0x80 else digits


def halves(compact: bytes) -> tuple[bytes, bytes]:
    return minimal(compact[:32]), minimal(compact[32:])


def padded_r(compact: bytes, hash_type: int) -> bytes:
    r, s = halves(compact)
    return der(b"\x00" + r, s) + bytes([hash_type])


def padded_s(compact: bytes, hash_type: int) -> bytes:
    r, s = halves(compact)
    return der(r, b"\x00" + s) + bytes([hash_type])


def negative_r(compact: bytes, hash_type: int) -> bytes:
    return der(b"\x80" + compact[1:32], minimal(compact[32:])) + bytes([hash_type])


def trailing(compact: bytes, hash_type: int) -> bytes:
    return encode_der(compact) + b"\x00" + bytes([hash_type])


def long_form(compact: bytes, hash_type: int) -> bytes:
    plain = encode_der(compact)
    return b"\x30\x81" + plain[1:] + bytes([hash_type])


def ber_length(compact: bytes, hash_type: int) -> bytes:
    plain = encode_der(compact)
    return b"\x30" + bytes([plain[1] + 1]) + plain[2:] + bytes([hash_type])


def exactly(content: bytes) -> Dress:
    """Something else altogether."""
    return lambda _compact, _hash_type: content


def numbers(r: int, s: int) -> Dress:
    """Strict DER of two given numbers."""
    content = (minimal(n.to_bytes(33, "big")) for n in (r, s))
    return exactly(der(*content) + b"\x01")


DRESSES: list[tuple[str, Dress, Reject | None, Stricter | None]] = [
    ("strict DER", strict, None, None),
    ("high S", high_s, UNSUPPORTED, Stricter.HIGH_S),
    ("a bit of r wrong", flipped(256), VERIFY, None),
    ("a bit of s wrong", flipped(0), VERIFY, None),
    ("r with a leading zero", padded_r, VERIFY, None),
    ("s with a leading zero", padded_s, VERIFY, None),
    ("r negative", negative_r, VERIFY, None),
    ("a byte after the DER", trailing, VERIFY, None),
    ("DER lengths in long form", long_form, VERIFY, None),
    ("a DER length too large", ber_length, VERIFY, None),
    ("no signature", exactly(b""), VERIFY, None),
    ("a hash type and no signature", exactly(b"\x01"), VERIFY, None),
    ("nine bytes of nonsense", exactly(b"\x30\x06\x02\x01\x01\x02\x01\x01\x01"), VERIFY, None),
    ("r = 0", numbers(0, 1), VERIFY, None),
    ("s = 0", numbers(1, 0), VERIFY, None),
    ("r = order", numbers(ORDER, 1), VERIFY, None),
    ("s = order", numbers(1, ORDER), UNSUPPORTED, None),
    ("r of 33 bytes", numbers(2**256, 1), VERIFY, None),
    ("no hash type", lambda compact, _: encode_der(compact), VERIFY, None),
]
# Without a hash type the last byte of s is taken for one, and the DER is a byte short.


def coarser(
    kind: LockKind, name: str, expect: Reject | None, stricter: Stricter | None
) -> tuple[Reject | None, str | None]:
    """Our code and, where Core refuses in other words, Core's: high S before anything about the
    curve, and a P2PKH spend without a signature is none that we know."""
    if (kind, name) == (PKH, "no signature"):
        expect = UNSUPPORTED
    return expect, FAILS if expect is UNSUPPORTED and stricter is None else None


def envelope_cases() -> list[Case]:
    """Every way to dress a signature, by witness and by scriptSig."""
    cases = [
        Case(f"{kind.name}: {name}", opened(kind, dress), *coarser(kind, name, expect, stricter), stricter=stricter)
        for kind in (WPKH, PKH)
        for name, dress, expect, stricter in DRESSES
    ]
    for kind in (WPKH, PKH):
        for hash_type in ECDSA_TYPES:
            cases.append(Case(f"{kind.name}: hash type {hash_type:02x}", opened(kind, hash_type=hash_type), None))
        for hash_type in (0x00, 0x04, 0x05, 0x1F, 0x21, 0x23, 0x41, 0x43, 0x80, 0x84, 0xC1, 0xFF):
            cases.append(
                Case(
                    f"{kind.name}: undefined hash type {hash_type:02x}",
                    opened(kind, hash_type=hash_type),
                    UNSUPPORTED,
                    stricter=Stricter.HASH_TYPE,
                )
            )
        cases += [
            Case(f"{kind.name}: another hash type than signed", opened(kind, lambda c, _: strict(c, 2)), VERIFY),
            Case(f"{kind.name}: uncompressed key", opened(kind, public=UNCOMPRESSED), UNSUPPORTED,
                 stricter=Stricter.KEY_FORM),
            Case(f"{kind.name}: hybrid key", opened(kind, public=HYBRID), UNSUPPORTED, stricter=Stricter.KEY_FORM),
            # Core takes the key for what it is, no key, and says so; we do not look that far.
            Case(f"{kind.name}: hybrid key of the other parity", opened(kind, public=WRONG_HYBRID), UNSUPPORTED,
                 core=FAILS),
            Case(f"{kind.name}: key of 34 bytes", opened(kind, public=KEY.public + b"\x00"), UNSUPPORTED, core=FAILS),
            Case(f"{kind.name}: key of 32 bytes", opened(kind, public=KEY.public[1:]), UNSUPPORTED, core=FAILS),
            Case(f"{kind.name}: key of no bytes", opened(kind, public=b""), UNSUPPORTED, core=FAILS),
            Case(f"{kind.name}: x on no point", opened(kind, public=b"\x02" + (5).to_bytes(32, "big")), VERIFY),
            Case(f"{kind.name}: x above the field", opened(kind, public=b"\x02" + b"\xff" * 32), VERIFY),
            Case(f"{kind.name}: the other key of this x",
                 opened(kind, public=bytes([5 - KEY.public[0]]) + KEY.public[1:]), VERIFY),
        ]
    return cases


# --- what signatures cover ------------------------------------------------------------------------


def altered(kind: LockKind, change: Callable[[Tx], Tx], hash_types: Sequence[int | None] = ()) -> Callable[[Lab], Block]:
    """A payment of two coins and two outputs, changed after it was signed."""

    def make(lab: Lab) -> Tx:
        owned = lab.take(kind, 2)
        half = owned[0].coin.value - FEE
        tx = pay(owned, [TxOut(half, lock(kind, n)) for n in range(2)], sequences=[7, 9], version=1,
                 hash_types=hash_types)
        return change(tx)

    return block_of(make)


def coverage_cases() -> list[Case]:
    """What each hash type leaves open may change, and nothing else."""
    cases = []
    for kind in (WPKH, PKH, TR):
        whole = [0x00] * 2 if kind is TR else [0x01] * 2
        changes: list[tuple[str, Callable[[Tx], Tx], Sequence[int], Reject | None]] = [
            ("an amount", lambda tx: with_output(tx, value=tx.outputs[0].value - 1), whole, VERIFY),
            ("a script", lambda tx: with_output(tx, script=lock(number=5)), whole, VERIFY),
            ("an output more", lambda tx: remade(tx, outputs=(*tx.outputs, TxOut(0, b"\x51"))), whole, VERIFY),
            ("the version", lambda tx: remade(tx, version=0), whole, VERIFY),
            ("the lock time", lambda tx: remade(tx, lock_time=1), whole, VERIFY),
            ("a sequence", lambda tx: with_input(tx, 1, sequence=8), whole, VERIFY),
            ("another sequence", lambda tx: with_input(tx, 0, sequence=8), whole, VERIFY),
            ("the order of inputs", lambda tx: remade(tx, inputs=tx.inputs[::-1]), whole, VERIFY),
            ("the outputs under NONE", lambda tx: remade(tx, outputs=(TxOut(5, b"\x51"),)), [2, 2], None),
            ("a sequence under NONE", lambda tx: with_input(tx, 1, sequence=8), [2, 2], VERIFY),
            ("the other output under SINGLE", lambda tx: with_output(tx, 1, value=5), [3, 0x82], None),
            ("the output under SINGLE", lambda tx: with_output(tx, 0, value=5), [3, 0x82], VERIFY),
            ("an output more under SINGLE", lambda tx: remade(tx, outputs=(*tx.outputs, TxOut(0, b"\x51"))),
             [3, 3], None),
            ("an input less under ANYONECANPAY",
             lambda tx: remade(tx, inputs=tx.inputs[:1], outputs=tx.outputs[:1]), [0x83, 1], None),
            ("an input less under ALL", lambda tx: remade(tx, inputs=tx.inputs[:1], outputs=tx.outputs[:1]),
             [3, 1], VERIFY),
            ("all but itself under NONE and ANYONECANPAY",
             lambda tx: remade(tx, inputs=tx.inputs[1:], outputs=(TxOut(1, b"\x51"),)), [1, 0x82], None),
            ("the version under NONE and ANYONECANPAY", lambda tx: remade(tx, version=0), [0x82, 0x82], VERIFY),
        ]
        if kind is TR:
            changes.remove(next(c for c in changes if c[0] == "an input less under ANYONECANPAY"))
            changes.append(("the order of inputs under NONE and ANYONECANPAY",
                            lambda tx: remade(tx, inputs=tx.inputs[::-1]), [0x82, 0x82], None))
        cases += [
            Case(f"{kind.name}: changed after signing: {name}", altered(kind, change, types), expect)
            for name, change, types, expect in changes
        ]
    return cases


def other_amount(kind: LockKind) -> Callable[[Lab], Block]:
    """Signed over another amount than the coin has: only the original digest does not notice."""

    def make(lab: Lab) -> Tx:
        [owned] = lab.take(kind)
        lie = type(owned.coin).make(owned.coin.height, False, TxOut(owned.coin.value + 1, owned.coin.script))
        return pay([Owned(owned.point, lie)], fee=FEE + 1)

    return block_of(make)


def single_alone(kind: LockKind, hash_type: int) -> Callable[[Lab], Block]:
    """Two inputs and one output; the second signs SINGLE, and there is no second output."""

    def make(lab: Lab) -> Tx:
        owned = lab.take(kind, 2)
        outputs = [TxOut(owned[0].coin.value, lock())]
        tx = make_tx(2, tuple(TxIn(one.point, b"", SEQUENCE_FINAL) for one in owned), tuple(outputs), 0)
        coins = [one.coin for one in owned]
        holders = [owner(coin.script) for coin in coins]
        first = signature(tx, coins, 0)
        made = [first, b""]
        spent = TxOut(coins[1].value, coins[1].script)
        secret = holders[1].secret if holders[1] else b""
        if kind is WPKH:
            code = p2pkh_script(spent.script[2:])
            digest = sighash.segwit_v0(tx, 1, code, spent.value, hash_type)
        else:
            digest = sighash.legacy(tx, 1, spent.script, hash_type)
        made[1] = strict(ENGINE.sign_ecdsa(secret, digest), hash_type)
        for index, holder in enumerate(holders):
            assert holder is not None
            if kind is WPKH:
                tx = with_input(tx, index, witness=(made[index], holder.public))
            else:
                tx = with_input(tx, index, script_sig=push(made[index]) + push(holder.public))
        return tx

    return block_of(make)


# --- envelopes -----------------------------------------------------------------------------------


def reshaped(kind: LockKind, change: Callable[[Tx], Tx]) -> Callable[[Lab], Block]:
    """A good payment whose first input is changed."""
    return block_of(lambda lab: change(one_payment(lab, kind)))


def witness_as(change: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]) -> Callable[[Tx], Tx]:
    return lambda tx: with_input(tx, witness=change(tx.inputs[0].witness))


def script_sig_as(change: Callable[[bytes], bytes]) -> Callable[[Tx], Tx]:
    return lambda tx: with_input(tx, script_sig=change(tx.inputs[0].script_sig))


def split_pushes(script_sig: bytes) -> tuple[bytes, bytes]:
    """Signature and key of a P2PKH spend."""
    size = script_sig[0]
    return script_sig[1 : size + 1], script_sig[size + 2 :]


def pushdata(width: int, which: int) -> Callable[[bytes], bytes]:
    """A scriptSig one of whose pushes has its length in more bytes than it needs."""

    def change(script_sig: bytes) -> bytes:
        pushes = [push(part) for part in split_pushes(script_sig)]
        content = pushes[which][1:]
        operator = {1: b"\x4c", 2: b"\x4d", 4: b"\x4e"}[width]
        pushes[which] = operator + len(content).to_bytes(width, "little") + content
        return b"".join(pushes)

    return change


def other_keys(tx: Tx) -> Tx:
    """Signature and key of somebody else, in place of the owner's."""
    stranger = key(7).public
    return with_input(tx, witness=(tx.inputs[0].witness[0], stranger))


ENVELOPE_CASES = [
    Case("P2WPKH with a scriptSig", reshaped(WPKH, script_sig_as(lambda _: b"\x51")), VERIFY),
    Case("P2WPKH with an empty push in the scriptSig", reshaped(WPKH, script_sig_as(lambda _: b"\x00")), VERIFY),
    Case("P2WPKH with three witness items", reshaped(WPKH, witness_as(lambda w: (b"", *w))), VERIFY),
    Case("P2WPKH with one witness item", reshaped(WPKH, witness_as(lambda w: w[:1])), VERIFY),
    Case("P2WPKH with no witness", reshaped(WPKH, witness_as(lambda _: ())), VERIFY),
    Case("P2WPKH with key and signature swapped", reshaped(WPKH, witness_as(lambda w: w[::-1])), VERIFY),
    Case("P2WPKH with a stranger's key", reshaped(WPKH, other_keys), VERIFY),
    Case("P2WPKH opened as if it were P2PKH",
         reshaped(WPKH, lambda tx: with_input(tx, script_sig=b"".join(map(push, tx.inputs[0].witness)), witness=())),
         VERIFY),
    Case("P2PKH with a witness", reshaped(PKH, witness_as(lambda _: (b"\x01",))), VERIFY),
    Case("P2PKH with an extra push", reshaped(PKH, script_sig_as(lambda s: b"\x51" + s)), UNSUPPORTED,
         stricter=Stricter.P2PKH_PUSHES),
    Case("P2PKH with an extra empty push", reshaped(PKH, script_sig_as(lambda s: b"\x00" + s)), UNSUPPORTED,
         stricter=Stricter.P2PKH_PUSHES),
    Case("P2PKH with an operator before the pushes", reshaped(PKH, script_sig_as(lambda s: b"\x61" + s)), UNSUPPORTED,
         stricter=Stricter.P2PKH_PUSHES),
    Case("P2PKH with an operator between the pushes",
         reshaped(PKH, script_sig_as(lambda s: push(split_pushes(s)[0]) + b"\x61" + push(split_pushes(s)[1]))),
         UNSUPPORTED, stricter=Stricter.P2PKH_PUSHES),
    *(
        Case(f"P2PKH with PUSHDATA{width} for the {what}", reshaped(PKH, script_sig_as(pushdata(width, which))),
             UNSUPPORTED, stricter=Stricter.P2PKH_PUSHES)
        for width in (1, 2, 4) for which, what in enumerate(("signature", "key"))
    ),
    # Core runs the script and fails; we do not run scripts, and only see that it is no such spend.
    Case("P2PKH with a push after the key", reshaped(PKH, script_sig_as(lambda s: s + b"\x51")), UNSUPPORTED,
         core=FAILS),
    Case("P2PKH with an empty scriptSig", reshaped(PKH, script_sig_as(lambda _: b"")), UNSUPPORTED, core=FAILS),
    Case("P2PKH with a signature only", reshaped(PKH, script_sig_as(lambda s: push(split_pushes(s)[0]))), UNSUPPORTED,
         core=FAILS),
    Case("P2PKH with a key only", reshaped(PKH, script_sig_as(lambda s: push(split_pushes(s)[1]))), UNSUPPORTED,
         core=FAILS),
    Case("P2PKH with key and signature swapped",
         reshaped(PKH, script_sig_as(lambda s: b"".join(map(push, split_pushes(s)[::-1])))), UNSUPPORTED, core=FAILS),
    Case("P2PKH with a last push that is cut off", reshaped(PKH, script_sig_as(lambda s: s[:-1])), UNSUPPORTED,
         core=FAILS),
    Case("P2PKH with a stranger's key",
         reshaped(PKH, script_sig_as(lambda s: push(split_pushes(s)[0]) + push(key(7).public))), VERIFY),
    Case("P2PKH opened as if it were P2WPKH",
         reshaped(PKH, lambda tx: with_input(tx, script_sig=b"", witness=split_pushes(tx.inputs[0].script_sig))),
         VERIFY),
    Case("P2WPKH signed for another amount", other_amount(WPKH), VERIFY),
    Case("P2TR signed for another amount", other_amount(TR), VERIFY),
    Case("P2PKH signed for another amount", other_amount(PKH), None),
    *(
        Case(f"{kind.name}: SINGLE without an output, {hash_type:02x}", single_alone(kind, hash_type), UNSUPPORTED,
             stricter=Stricter.SINGLE_ALONE)
        for kind in (WPKH, PKH) for hash_type in (0x03, 0x83)
    ),
]


# --- taproot --------------------------------------------------------------------------------------

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


def by_script(script: bytes, items: tuple[bytes, ...] = (), *, leaf: int = 0xC0, spoil: bool = False) -> Callable[[Lab], Block]:
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


TAPROOT_CASES = [
    Case("P2TR: default hash type", by_key(), None),
    *(Case(f"P2TR: hash type {hash_type:02x}", by_key(hash_type=hash_type), None) for hash_type in ECDSA_TYPES),
    Case("P2TR: hash type 00 written out", by_key(tail=b"\x00"), VERIFY),
    *(Case(f"P2TR: undefined hash type {hash_type:02x}", by_key(hash_type=hash_type), VERIFY)
      for hash_type in (0x04, 0x21, 0x41, 0x80, 0x84, 0xFF)),
    Case("P2TR: another hash type than signed", by_key(tail=b"\x01"), VERIFY),
    Case("P2TR: 66 bytes of signature", by_key(tail=b"\x01\x01"), VERIFY),
    Case("P2TR: 63 bytes of signature", reshaped(TR, witness_as(lambda w: (w[0][:63],))), VERIFY),
    Case("P2TR: no bytes of signature", reshaped(TR, witness_as(lambda _: (b"",))), VERIFY),
    Case("P2TR: no witness", reshaped(TR, witness_as(lambda _: ())), VERIFY),
    Case("P2TR with a scriptSig", reshaped(TR, script_sig_as(lambda _: b"\x51")), VERIFY),
    Case("P2TR: a bit of r wrong",
         reshaped(TR, witness_as(lambda w: (bytes([w[0][0] ^ 1]) + w[0][1:],))), VERIFY),
    Case("P2TR: a bit of s wrong",
         reshaped(TR, witness_as(lambda w: (w[0][:63] + bytes([w[0][63] ^ 1]),))), VERIFY),
    Case("P2TR: s = order", reshaped(TR, witness_as(lambda w: (w[0][:32] + ORDER.to_bytes(32, "big"),))), VERIFY),
    Case("P2TR: r = field", reshaped(TR, witness_as(lambda w: (FIELD.to_bytes(32, "big") + w[0][32:],))), VERIFY),
    Case("P2TR: signed with the internal key", by_key(secret=KEY.secret), VERIFY),
    Case("P2TR: an output key that is the internal key", by_key(secret=KEY.secret, output=INTERNAL), None),
    Case("P2TR: an output key on no point", by_key(output=(5).to_bytes(32, "big")), VERIFY),
    Case("P2TR: an output key above the field", by_key(output=b"\xff" * 32), VERIFY),
    Case("P2TR with an annex", by_key(annex=b"\x50"), UNSUPPORTED, stricter=Stricter.TAPROOT_EXTRAS),
    Case("P2TR with a long annex", by_key(annex=b"\x50" * 600), UNSUPPORTED, stricter=Stricter.TAPROOT_EXTRAS),
    Case("P2TR by a script that anyone can run", by_script(b"\x51"), UNSUPPORTED, stricter=Stricter.TAPROOT_EXTRAS),
    Case("P2TR by a script that checks a signature", by_script_with_signature(), UNSUPPORTED,
         stricter=Stricter.TAPROOT_EXTRAS),
    Case("P2TR by a leaf version of the future", by_script(b"\x00", leaf=0xC2), UNSUPPORTED,
         stricter=Stricter.TAPROOT_EXTRAS),
    Case("P2TR by OP_SUCCESS", by_script(b"\x50"), UNSUPPORTED, stricter=Stricter.TAPROOT_EXTRAS),
    Case("P2TR by a script that says no", by_script(b"\x00"), UNSUPPORTED, core=FAILS),
    Case("P2TR by a script of another key", by_script(b"\x51", spoil=True), UNSUPPORTED, core=FAILS),
    Case("P2TR with a second item that is no annex", reshaped(TR, witness_as(lambda w: (*w, b"\x01"))), UNSUPPORTED,
         core=FAILS),
    Case("P2TR with an annex that was not signed", reshaped(TR, witness_as(lambda w: (*w, b"\x50"))), UNSUPPORTED,
         core=FAILS),
    *(Case(f"P2TR: SINGLE without an output, {hash_type:02x}", taproot_single_alone(hash_type), VERIFY)
      for hash_type in (0x03, 0x83)),
    Case("coins of every kind in one payment", block_of(mixed_kinds), None),
]


# --- other kinds ------------------------------------------------------------------------------------


def nothing(_tx: Tx, _spent: TxOut) -> tuple[bytes, tuple[bytes, ...]]:
    return b"", ()


def p2pk(public: bytes) -> tuple[bytes, Unlock]:
    def unlock(tx: Tx, spent: TxOut) -> tuple[bytes, tuple[bytes, ...]]:
        return push(strict(ecdsa(tx, spent, 1), 1)), ()

    return push(public) + b"\xac", unlock


def multisig() -> tuple[bytes, Unlock]:
    """1 of 2, bare."""

    def unlock(tx: Tx, spent: TxOut) -> tuple[bytes, tuple[bytes, ...]]:
        return b"\x00" + push(strict(ecdsa(tx, spent, 1), 1)), ()

    return b"\x51" + push(KEY.public) + push(key(1).public) + b"\x52\xae", unlock


def p2sh(redeem: bytes, witness: bool = False) -> tuple[bytes, Unlock]:
    """A script behind its hash; with `witness`, P2WPKH of key 0 inside P2SH."""

    def unlock(tx: Tx, spent: TxOut) -> tuple[bytes, tuple[bytes, ...]]:
        if not witness:
            return push(redeem), ()
        digest = sighash.segwit_v0(tx, 0, p2pkh_script(redeem[2:]), spent.value, 1)
        return push(redeem), (strict(ENGINE.sign_ecdsa(KEY.secret, digest), 1), KEY.public)

    return b"\xa9" + push(hash160(redeem)) + b"\x87", unlock


def p2wsh(script: bytes) -> tuple[bytes, Unlock]:
    return b"\x00" + push(sha256(script)), lambda *_: (b"", (script,))


def accepted_elsewhere(name: str, script: bytes, unlock: Unlock = nothing) -> Case:
    """A kind of lock that Core lets be opened."""
    return Case(f"spends {name}", spend_of(script, unlock), UNSUPPORTED, stricter=Stricter.SCRIPT_KIND)


def refused_elsewhere(name: str, script: bytes, unlock: Unlock = nothing) -> Case:
    """A kind of lock that stays shut in Core too; we say only that we do not know it."""
    return Case(f"spends {name}", spend_of(script, unlock), UNSUPPORTED, core=FAILS)


KIND_CASES = [
    accepted_elsewhere("P2PK", *p2pk(KEY.public)),
    accepted_elsewhere("P2PK of an uncompressed key", *p2pk(UNCOMPRESSED)),
    accepted_elsewhere("bare multisig", *multisig()),
    accepted_elsewhere("P2SH", *p2sh(b"\x51")),
    accepted_elsewhere("P2WPKH inside P2SH", *p2sh(p2wpkh_script(hash160(KEY.public)), witness=True)),
    accepted_elsewhere("P2WSH", *p2wsh(b"\x51")),
    accepted_elsewhere("a bare OP_TRUE", b"\x51"),
    accepted_elsewhere("an empty script", b"", lambda *_: (b"\x51", ())),
    accepted_elsewhere("pay to anchor", bytes.fromhex("51024e73")),
    accepted_elsewhere("witness version 2", b"\x52" + push(b"\x01" * 32)),
    accepted_elsewhere("witness version 1 with 33 bytes", b"\x51" + push(b"\x01" * 33)),
    accepted_elsewhere("witness version 16", b"\x60" + push(b"\x01" * 2)),
    accepted_elsewhere("41 bytes after a version: no witness program", b"\x51" + push(b"\x01" * 41)),
    refused_elsewhere("witness version 2 of nothing but zeros", b"\x52" + push(bytes(32))),
    refused_elsewhere("witness version 0 with 21 bytes", b"\x00" + push(bytes(21))),
    refused_elsewhere("P2WSH without its script", b"\x00" + push(sha256(b"\x51"))),
    refused_elsewhere("P2SH without its script", b"\xa9" + push(hash160(b"\x51")) + b"\x87"),
    refused_elsewhere("a bare OP_FALSE", b"\x00"),
    refused_elsewhere("a script that is cut off", b"\x4b\x51"),
    refused_elsewhere("an operator that is switched off", b"\x51\x51\x95"),
]

CASES = [*envelope_cases(), *coverage_cases(), *ENVELOPE_CASES, *TAPROOT_CASES, *KIND_CASES]
