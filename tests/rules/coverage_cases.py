"""What a signature covers: each hash type leaves open what it says and nothing else."""

from collections.abc import Callable, Sequence

from chain.block import Block
from chain.errors import Reject
from chain.scripttype import ScriptType, p2pkh_script
from chain.tx import SEQUENCE_FINAL, Tx, TxIn, TxOut, make_tx
from tests import sighash
from tests.chainlab import (
    ENGINE,
    FEE,
    Lab,
    Owned,
    lock,
    owner,
    pay,
    push,
    remade,
    signature,
    with_input,
    with_output,
)
from tests.rules.case import Case, Stricter, block_of
from tests.rules.signing import PKH, TR, UNSUPPORTED, VERIFY, WPKH, strict


def altered(
    kind: ScriptType, change: Callable[[Tx], Tx], hash_types: Sequence[int | None] = ()
) -> Callable[[Lab], Block]:
    """A payment of two coins and two outputs, changed after it was signed."""

    def make(lab: Lab) -> Tx:
        owned = lab.take(kind, 2)
        half = owned[0].coin.value - FEE
        tx = pay(
            owned, [TxOut(half, lock(kind, n)) for n in range(2)], sequences=[7, 9], version=1, hash_types=hash_types
        )
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
            (
                "an output more under SINGLE",
                lambda tx: remade(tx, outputs=(*tx.outputs, TxOut(0, b"\x51"))),
                [3, 3],
                None,
            ),
            (
                "an input less under ANYONECANPAY",
                lambda tx: remade(tx, inputs=tx.inputs[:1], outputs=tx.outputs[:1]),
                [0x83, 1],
                None,
            ),
            (
                "an input less under ALL",
                lambda tx: remade(tx, inputs=tx.inputs[:1], outputs=tx.outputs[:1]),
                [3, 1],
                VERIFY,
            ),
            (
                "all but itself under NONE and ANYONECANPAY",
                lambda tx: remade(tx, inputs=tx.inputs[1:], outputs=(TxOut(1, b"\x51"),)),
                [1, 0x82],
                None,
            ),
            ("the version under NONE and ANYONECANPAY", lambda tx: remade(tx, version=0), [0x82, 0x82], VERIFY),
        ]
        if kind is TR:
            changes.remove(next(c for c in changes if c[0] == "an input less under ANYONECANPAY"))
            changes.append(
                (
                    "the order of inputs under NONE and ANYONECANPAY",
                    lambda tx: remade(tx, inputs=tx.inputs[::-1]),
                    [0x82, 0x82],
                    None,
                )
            )
        cases += [
            Case(f"{kind.name}: changed after signing: {name}", altered(kind, change, types), expect)
            for name, change, types, expect in changes
        ]
    return cases


def other_amount(kind: ScriptType) -> Callable[[Lab], Block]:
    """Signed over another amount than the coin has: only the original digest does not notice."""

    def make(lab: Lab) -> Tx:
        [owned] = lab.take(kind)
        lie = type(owned.coin).make(owned.coin.height, False, TxOut(owned.coin.value + 1, owned.coin.script))
        return pay([Owned(owned.point, lie)], fee=FEE + 1)

    return block_of(make)


def single_alone(kind: ScriptType, hash_type: int) -> Callable[[Lab], Block]:
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


CASES = [
    *coverage_cases(),
    Case("P2WPKH signed for another amount", other_amount(WPKH), VERIFY),
    Case("P2TR signed for another amount", other_amount(TR), VERIFY),
    Case("P2PKH signed for another amount", other_amount(PKH), None),
    *(
        Case(
            f"{kind.name}: SINGLE without an output, {hash_type:02x}",
            single_alone(kind, hash_type),
            UNSUPPORTED,
            stricter=Stricter.SINGLE_ALONE,
        )
        for kind in (WPKH, PKH)
        for hash_type in (0x03, 0x83)
    ),
]
