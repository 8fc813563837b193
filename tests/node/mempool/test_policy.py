"""One case for each code of policy, and the numbers at their limits."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

import node.mempool.accept
from chain.coins import Coin
from chain.errors import Invalid, Rejected, Unready
from chain.scripttype import ScriptType, classify, p2pkh_script, p2tr_script, p2wpkh_script
from chain.tx import COIN, NULL_OUTPOINT, OutPoint, Tx, TxIn, TxOut, make_tx
from node.mempool.accept import MempoolAccept, Offer, VerifiedCache
from node.mempool.policy import (
    MAX_DATA_SCRIPT_SIZE,
    MAX_SCRIPT_SIG_SIZE,
    MAX_TX_WEIGHT,
    Policy,
    Refused,
    check_max_fee,
    check_standard,
    dust_threshold,
    fee_at,
    is_push_only,
)
from node.mempool.prechecks import wrong_signature
from tests.node.mempool.mempool_lab import REPLACEABLE, WITNESS, PoolLab, made, script

ADDRESS = p2wpkh_script(bytes(20))
DATA = TxOut(0, b"\x6a\x04data")
P2SH = b"\xa9\x14" + bytes(20) + b"\x87"
P2WSH = b"\x00\x20" + bytes(32)


@dataclass(frozen=True)
class Case:
    """Something that policy refuses, and how."""

    name: str
    expect: Policy
    run: Callable[[PoolLab], object]
    """Raises it."""
    kind: type[Rejected] = Refused
    detail: str | None = None


def paying(*outputs: TxOut) -> Callable[[PoolLab], object]:
    """Staging a payment to these."""
    return lambda lab: lab.stage(lab.pay(lab.fund(), to=outputs))


def signed(script_sig: bytes) -> Callable[[PoolLab], object]:
    """Staging a payment with this scriptSig."""

    def run(lab: PoolLab) -> object:
        spent = TxIn(lab.fund(), script_sig, REPLACEABLE)
        return lab.stage(make_tx(2, (spent,), (TxOut(900_000, ADDRESS),), 0))

    return run


def coinbase(lab: PoolLab) -> object:
    return lab.stage(make_tx(2, (TxIn(NULL_OUTPOINT, b"\x01\x02", 0),), (TxOut(COIN, ADDRESS),), 0))


def small(lab: PoolLab) -> object:
    tx = make_tx(2, (TxIn(lab.fund(), b"", 0),), (TxOut(0, b"\x6a\x02ab"),), 0)
    assert tx.stripped_size == 64
    return lab.stage(tx)


def heavy(weight: int) -> Callable[[PoolLab], object]:
    """Staging a transaction of exactly this weight."""

    def run(lab: PoolLab) -> object:
        point = lab.fund(10 * COIN)
        bare = lab.pay(point, fee=COIN, witness=(bytes(70_000),))
        tx = lab.pay(point, fee=COIN, witness=(bytes(70_000 + weight - bare.weight),))
        assert tx.weight == weight
        return lab.stage(tx)

    return run


def known(lab: PoolLab) -> object:
    tx = lab.pay(lab.fund())
    lab.mine(tx)
    return lab.stage(tx)


def twice(lab: PoolLab) -> object:
    tx = lab.pay(lab.fund())
    lab.add(tx)
    return lab.stage(tx)


def other_witness(lab: PoolLab) -> object:
    point, to = lab.fund(), [TxOut(900_000, ADDRESS)]
    lab.add(lab.pay(point, to=to))
    return lab.stage(lab.pay(point, to=to, witness=(b"\x31" * 72, WITNESS[1])))


def no_room(lab: PoolLab) -> object:
    lab.chained(lab.fund(), 10, fee=5000)
    lab.pool.usage_max_bytes = lab.pool.view().usage
    return lab.stage(lab.pay(lab.fund(), fee=4999))


def below_the_floor(lab: PoolLab) -> object:
    lab.chained(lab.fund(), 10, fee=500)
    lab.pool.usage_max_bytes = lab.pool.view().usage
    lab.add(lab.pay(lab.fund(), fee=5000))
    return lab.stage(lab.pay(lab.fund(), fee=400))


def spends_what_it_replaces(lab: PoolLab) -> object:
    point = lab.fund()
    rival = lab.pay(point)
    lab.add(rival)
    return lab.stage(lab.pay(point, made(rival), fee=50_000))


def pays_no_more(lab: PoolLab) -> object:
    point = lab.fund()
    lab.add(lab.pay(point))
    return lab.stage(lab.pay(point))


def pushes_out(count: int) -> Callable[[PoolLab], object]:
    """Staging a replacement of so many, in chains of 25 at most."""

    def run(lab: PoolLab) -> object:
        points = [lab.fund() for _ in range(0, count, 25)]
        for index, point in enumerate(points):
            lab.chained(point, min(25, count - 25 * index))
        return lab.stage(lab.pay(*points, fee=900_000))

    return run


def adds_unconfirmed(lab: PoolLab) -> object:
    point, other = lab.fund(), lab.chained(lab.fund(), 1)[0]
    lab.add(lab.pay(point))
    return lab.stage(lab.pay(point, made(other), fee=50_000))


def busy(lab: PoolLab) -> object:
    admission = MempoolAccept(lab.pool, VerifiedCache(), lab.coins.get, lambda: lab.context, lambda: 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(node.mempool.accept, "OUT_MAX", 0)
        verdicts, _ = admission.offer([Offer(lab.pay(lab.fund()))], lab.now)
    assert verdicts[0].error is not None
    raise verdicts[0].error


def wrong_key(lab: PoolLab) -> object:
    return lab.stage(lab.pay(lab.fund())).checks()


def max_fee(lab: PoolLab) -> None:
    check_max_fee(1001, 100, 10_000)


CASES = (
    Case("a coinbase outside of a block", Policy.COINBASE, coinbase),
    Case("version 0", Policy.VERSION, lambda lab: lab.stage(lab.pay(lab.fund(), version=0))),
    Case("version 3 would promise BIP431", Policy.VERSION, lambda lab: lab.stage(lab.pay(lab.fund(), version=3))),
    Case("version -1", Policy.VERSION, lambda lab: lab.stage(lab.pay(lab.fund(), version=2**32 - 1))),
    Case("one weight unit too many", Policy.TX_SIZE, heavy(MAX_TX_WEIGHT + 1), detail="weight 400001"),
    Case("64 stripped bytes", Policy.TX_SIZE_SMALL, small),
    Case("a scriptSig of 1,651 bytes", Policy.SCRIPTSIG_SIZE, signed(b"\x00" * (MAX_SCRIPT_SIG_SIZE + 1))),
    Case("a scriptSig that runs", Policy.SCRIPTSIG_NOT_PUSHONLY, signed(b"\x51\x76")),
    Case("a scriptSig cut off", Policy.SCRIPTSIG_NOT_PUSHONLY, signed(b"\x05abc")),
    Case("P2SH", Policy.SCRIPTPUBKEY, paying(TxOut(5000, P2SH)), detail="output 0: scripthash cannot be spent here"),
    Case("P2WSH", Policy.SCRIPTPUBKEY, paying(TxOut(5000, P2WSH))),
    Case("P2PK", Policy.SCRIPTPUBKEY, paying(TxOut(5000, b"\x21" + WITNESS[1] + b"\xac"))),
    Case("no script", Policy.SCRIPTPUBKEY, paying(TxOut(5000, ADDRESS), TxOut(5000, b""))),
    Case("a future witness version", Policy.SCRIPTPUBKEY, paying(TxOut(5000, b"\x52\x20" + bytes(32)))),
    Case("P2TR to no point", Policy.SCRIPTPUBKEY, paying(TxOut(5000, b"\x51\x20" + bytes(32)))),
    Case("84 bytes of OP_RETURN", Policy.SCRIPTPUBKEY, paying(TxOut(0, b"\x6a\x4c\x51" + bytes(81)))),
    Case("an OP_RETURN that runs", Policy.SCRIPTPUBKEY, paying(TxOut(0, b"\x6a\xac"), TxOut(5000, ADDRESS))),
    Case("two OP_RETURN outputs", Policy.MULTI_OP_RETURN, paying(DATA, DATA, TxOut(5000, ADDRESS))),
    Case("293 satoshis", Policy.DUST, paying(TxOut(5000, ADDRESS), TxOut(293, ADDRESS)), detail="output 1: 293 < 294"),
    Case(
        "a height that comes later",
        Policy.NON_FINAL,
        lambda lab: lab.stage(lab.pay(lab.fund(), lock_time=lab.height + 1)),
        Unready,
    ),
    Case(
        "a time that comes later",
        Policy.NON_FINAL,
        lambda lab: lab.stage(lab.pay(lab.fund(), lock_time=lab.context.parent_median_time)),
        Unready,
    ),
    Case(
        "three blocks after a coin of two blocks ago",
        Policy.NON_BIP68_FINAL,
        lambda lab: lab.stage(lab.pay(lab.fund(height=lab.height - 1), sequence=3)),
        Unready,
    ),
    Case(
        "one block after a coin of the pool",
        Policy.NON_BIP68_FINAL,
        lambda lab: lab.stage(lab.pay(made(lab.chained(lab.fund(), 1)[0]), sequence=1)),
        Unready,
    ),
    Case(
        "512 seconds after a coin of the pool",
        Policy.NON_BIP68_FINAL,
        lambda lab: lab.stage(lab.pay(made(lab.chained(lab.fund(), 1)[0]), sequence=1 << 22 | 1)),
        Unready,
    ),
    Case("it is in the chain", Policy.ALREADY_KNOWN, known),
    Case("another's key", Policy.SCRIPT_VERIFY, wrong_key, Invalid),
    Case("half a satoshi a byte", Policy.MIN_RELAY_FEE, lambda lab: lab.stage(lab.pay(lab.fund(), fee=50))),
    Case("a satoshi over the limit", Policy.MAX_FEE_EXCEEDED, max_fee, detail="1001 > 1000"),
    Case("it is here", Policy.ALREADY_IN_MEMPOOL, twice),
    Case("it is here with another witness", Policy.SAME_NONWITNESS, other_witness),
    Case("below what was evicted", Policy.MEMPOOL_MIN_FEE, below_the_floor),
    Case("the worst of a full pool", Policy.MEMPOOL_FULL, no_room),
    Case(
        "26 in a chain",
        Policy.TOO_LONG_CHAIN,
        lambda lab: lab.stage(lab.pay(made(lab.chained(lab.fund(), 25)[-1]))),
        detail="too many unconfirmed ancestors [limit: 25]",
    ),
    Case("a child of what it replaces", Policy.SPENDS_CONFLICTING, spends_what_it_replaces),
    Case("a replacement for the same fee", Policy.INSUFFICIENT_FEE, pays_no_more),
    Case("a replacement of 101", Policy.TOO_MANY_REPLACEMENTS, pushes_out(101), detail="101 > 100"),
    Case("a replacement with a new unconfirmed input", Policy.ADDS_UNCONFIRMED, adds_unconfirmed),
    Case("too many signatures are out", Policy.BUSY, busy),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_refused(case: Case) -> None:
    lab = PoolLab()
    with pytest.raises(Rejected) as refused:
        case.run(lab)
    assert (refused.value.code, type(refused.value)) == (case.expect, case.kind)
    if case.detail is not None:
        assert refused.value.detail == case.detail
    lab.check()


def test_every_code_has_a_case() -> None:
    assert {case.expect for case in CASES} == set(Policy)


P2TR = p2tr_script(bytes(31) + b"\x01")  # 1 is the x of a point, 0 is not
P2PKH = p2pkh_script(bytes(20))
ACCEPTED: tuple[tuple[str, Callable[[PoolLab], object]], ...] = (
    ("version 1", lambda lab: lab.stage(lab.pay(lab.fund(), version=1))),
    ("the most weight", heavy(MAX_TX_WEIGHT)),
    ("a scriptSig of 1,650 bytes", signed(b"\x00" * MAX_SCRIPT_SIG_SIZE)),
    ("the least P2WPKH", paying(TxOut(294, ADDRESS), TxOut(9000, ADDRESS))),
    ("the least P2PKH", paying(TxOut(546, P2PKH), TxOut(9000, ADDRESS))),
    ("the least P2TR", paying(TxOut(330, P2TR), TxOut(9000, ADDRESS))),
    ("83 bytes of OP_RETURN", paying(TxOut(0, b"\x6a\x4c\x50" + bytes(80)), TxOut(9000, ADDRESS))),
    ("an empty OP_RETURN", paying(TxOut(0, b"\x6a"), TxOut(9000, ADDRESS))),
    ("a lock time that has come", lambda lab: lab.stage(lab.pay(lab.fund(), lock_time=lab.height))),
    (
        "a lock time that nobody heeds",
        lambda lab: lab.stage(lab.pay(lab.fund(), lock_time=lab.height + 9, sequence=2**32 - 1)),
    ),
    (
        "a time that has come",
        lambda lab: lab.stage(lab.pay(lab.fund(), lock_time=lab.context.parent_median_time - 1)),
    ),
    (
        "two blocks after a coin of two blocks ago",
        lambda lab: lab.stage(lab.pay(lab.fund(height=lab.height - 1), sequence=2)),
    ),
    (
        "a relative lock in version 1",
        lambda lab: lab.stage(lab.pay(made(lab.chained(lab.fund(), 1)[0]), sequence=1, version=1)),
    ),
    (
        "no wait after a coin of the pool",
        lambda lab: lab.stage(lab.pay(made(lab.chained(lab.fund(), 1)[0]), sequence=0)),
    ),
    ("25 in a chain", lambda lab: lab.chained(lab.fund(), 25)),
    ("a replacement of 100", pushes_out(100)),
    ("one satoshi a byte", lambda lab: lab.stage(lab.pay(lab.fund(), fee=110))),
    ("the highest fee allowed", lambda lab: check_max_fee(1000, 100, 10_000)),
    ("no limit on the fee", lambda lab: check_max_fee(10**9, 100, 0)),
)


@pytest.mark.parametrize("run", [run for _, run in ACCEPTED], ids=[name for name, _ in ACCEPTED])
def test_accepted_at_the_limit(run: Callable[[PoolLab], object]) -> None:
    lab = PoolLab()
    run(lab)
    lab.check()


def test_a_payment_of_110_vb() -> None:
    """Or the case above proves nothing."""
    lab = PoolLab()
    tx = lab.pay(lab.fund(), fee=110)
    assert (tx.vsize, fee_at(1000, tx.vsize)) == (110, 110)
    assert lab.refusal(lab.pay(lab.fund(), fee=109)) is not None


def test_a_coinbase_matures() -> None:
    lab = PoolLab()
    ripe, green = (lab.fund(height=lab.height + 1 - age, coinbase=True) for age in (100, 99))
    assert lab.refusal(lab.pay(ripe)) is None
    refused = lab.refusal(lab.pay(green))
    assert isinstance(refused, Unready)
    assert str(refused) == "bad-txns-premature-spend-of-coinbase: tried to spend coinbase at depth 99"


def test_outputs_above_inputs_are_invalid_for_ever() -> None:
    lab = PoolLab()
    refused = lab.refusal(lab.pay(lab.fund(), fee=-1))
    assert isinstance(refused, Invalid)
    assert refused.code == "bad-txns-in-belowout"


def test_a_wrong_signature_is_invalid_for_ever() -> None:
    error = wrong_signature(3)
    assert isinstance(error, Invalid)
    assert str(error) == "mempool-script-verify-flag-failed: input 3: wrong signature"


def test_what_cannot_be_spent_here_stays_the_same_code() -> None:
    """Spending a coin of another kind is no matter of policy."""
    lab = PoolLab()
    point = lab.fund(lock=P2SH)
    with pytest.raises(Invalid) as refused:
        lab.stage(lab.pay(point)).checks()
    assert refused.value.code == "script-unsupported"


@pytest.mark.parametrize(
    ("lock", "kind", "least"),
    [
        (ADDRESS, ScriptType.P2WPKH, 294),
        (P2PKH, ScriptType.P2PKH, 546),
        (P2TR, ScriptType.P2TR, 330),
        (b"\x6a\x01x", ScriptType.OP_RETURN, 0),
    ],
)
def test_dust_thresholds_are_cores(lock: bytes, kind: ScriptType, least: int) -> None:
    assert classify(lock) is kind
    assert dust_threshold(lock) == least


@pytest.mark.parametrize(
    ("pushes", "only"),
    [
        (b"", True),
        (b"\x00\x51\x60\x4f\x50", True),
        (b"\x4b" + bytes(75), True),
        (b"\x4b" + bytes(74), False),
        (b"\x4c\x01a", True),
        (b"\x4c\x02a", False),
        (b"\x4c", False),
        (b"\x4d\x01\x00a", True),
        (b"\x4d\x01", False),
        (b"\x4e\x01\x00\x00\x00a", True),
        (b"\x4e\x01\x00\x00", False),
        (b"\x61", False),
        (b"\x51\xac", False),
    ],
)
def test_push_only(pushes: bytes, only: bool) -> None:
    assert is_push_only(pushes) is only


def test_fees_round_up() -> None:
    assert [fee_at(1000, 110), fee_at(1001, 110), fee_at(1500.5, 2), fee_at(0, 9)] == [110, 111, 4, 0]


def test_data_size_counts_the_operator() -> None:
    outputs = (TxOut(0, b"\x6a\x4c\x50" + bytes(80)), TxOut(9000, ADDRESS))
    tx = make_tx(2, (TxIn(OutPoint(bytes(36)), b"", 0),), outputs, 0)
    assert len(tx.outputs[0].script) == MAX_DATA_SCRIPT_SIZE
    check_standard(tx)


def test_pool_coins_of_data_outputs_cannot_be_spent() -> None:
    lab = PoolLab()
    tx: Tx = lab.pay(lab.fund(), to=[DATA, TxOut(9000, script(1))])
    lab.add(tx)
    assert lab.pool.coin(made(tx, 0)) is None
    assert lab.pool.coin(made(tx, 1)) == Coin.make(0x7FFFFFFF, False, tx.outputs[1])
    refused = lab.refusal(lab.pay(made(tx, 0), made(tx, 1)))
    assert refused is not None
    assert refused.code == "bad-txns-inputs-missingorspent"
