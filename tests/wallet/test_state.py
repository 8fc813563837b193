"""What the wallet remembers, to JSON and back."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.hashes import BlockHash, Txid
from chain.tx import MAX_MONEY, OutPoint, TxIn, TxOut, make_tx
from wallet import state as state_module
from wallet.derivation import KeyPath
from wallet.errors import DamagedFile
from wallet.fields import Fields, parse_json
from wallet.payment import Payment, Stage
from wallet.state import (
    OwnCoin,
    Snapshot,
    State,
    decode_state,
    encode_state,
    format_outpoint,
    next_change_index,
    parse_outpoint,
)

heights = st.integers(0, 2**31 - 1)
amounts = st.integers(0, MAX_MONEY)
points = st.binary(min_size=32, max_size=32).map(lambda txid: OutPoint(txid + (7).to_bytes(4, "little")))
paths = st.builds(KeyPath, st.sampled_from([0, 1]), st.integers(0, 2**31 - 1))
flags = st.booleans()
own_coins = st.builds(OwnCoin, points, amounts, paths, st.none() | heights, flags, flags, flags)
txids = st.binary(min_size=32, max_size=32).map(Txid)


@st.composite
def payments(draw: st.DrawFn) -> Payment:
    spent = draw(st.lists(points, min_size=1, max_size=3))
    tx = make_tx(2, tuple(TxIn(p, b"", 0, (b"witness",)) for p in spent), (TxOut(draw(amounts), b"\x00" * 22),), 0)
    inputs = tuple((draw(amounts), draw(paths)) for _ in spent)
    outputs = ((0, draw(paths)),) if draw(st.booleans()) else ()
    return Payment(
        raw=tx.raw,
        fee=draw(amounts),
        inputs=inputs,
        outputs=outputs,
        sent_height=draw(heights),
        paid=tuple(TxOut(draw(amounts), draw(st.binary(max_size=40))) for _ in range(draw(st.integers(0, 2)))),
        stage=draw(st.sampled_from(Stage)),
        counted=draw(flags),
        height=draw(st.none() | heights),
        buried_at=draw(st.none() | heights),
        reason=draw(st.text(max_size=300)),
        told=draw(flags),
        conflict=draw(st.none() | txids),
        parents=(tx.raw,) * draw(st.integers(0, 2)),
    )


states = st.builds(
    State,
    st.integers(1, 1000),
    st.integers(0, 1000),
    st.integers(0, 1000),
    st.lists(payments(), max_size=3).map(tuple),
    st.none()
    | st.builds(
        Snapshot,
        st.binary(min_size=32, max_size=32).map(BlockHash),
        heights,
        st.lists(own_coins, max_size=3).map(tuple),
    ),
    st.frozensets(paths, max_size=5),
)


@settings(max_examples=200, deadline=None)
@given(states)
def test_states_survive_the_file(state: State) -> None:
    assert decode_state(Fields(parse_json(json.dumps(encode_state(state)).encode()), "the state")) == state


PAYMENT = Payment(
    make_tx(2, (TxIn(OutPoint(bytes(36)), b"", 0),), (TxOut(5, b""),), 0).raw,
    1,
    ((6, KeyPath(0, 0)),),
    ((0, KeyPath(1, 0)),),
    9,
)
GOOD = encode_state(
    State(
        payments=(PAYMENT,),
        snapshot=Snapshot(BlockHash(bytes(32)), 5, (OwnCoin(OutPoint(bytes(36)), 1, KeyPath(0, 0), 3),)),
        settled=frozenset({KeyPath(1, 1)}),
    )
)


def changed(*place: Any, to: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(GOOD))
    inner: Any = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = to
    return document


@pytest.mark.parametrize(
    "broken",
    [
        changed("receive_next", to=0),
        changed("receive_next", to=2**40),
        changed("change_next", to=-1),
        changed("change_next", to="1"),
        changed("payments", to={}),
        changed("payments", 0, to=None),
        changed("payments", 0, "raw", to="00"),
        changed("payments", 0, "raw", to="00" * 70),
        changed("payments", 0, "stage", to="happy"),
        changed("payments", 0, "counted", to=1),
        changed("payments", 0, "told", to=None),
        changed("payments", 0, "reason", to="x" * 301),
        changed("payments", 0, "conflict", to="00"),
        changed("payments", 0, "paid", to=[[1]]),
        changed("payments", 0, "paid", to=[[-1, ""]]),
        changed("payments", 0, "paid", to=[[1, "0"]]),
        changed("payments", 0, "parents", to=["00"]),
        changed("payments", 0, "buried_at", to=-1),
        changed("payments", 0, "inputs", to=[]),
        changed("payments", 0, "inputs", 0, to=[1, 2]),
        changed("payments", 0, "inputs", 0, to=[1, 2, 0]),
        changed("payments", 0, "inputs", 0, to=[-1, 0, 0]),
        changed("payments", 0, "outputs", 0, to=[1, 0, 0]),
        changed("payments", 0, "height", to=-1),
        changed("snapshot", to=[]),
        changed("snapshot", "tip", to="00"),
        changed("snapshot", "coins", 0, 0, to="00:0"),
        changed("snapshot", "coins", 0, 0, to=5),
        changed("snapshot", "coins", 0, 4, to=-1),
        changed("snapshot", "coins", 0, 4, to="3"),
        changed("snapshot", "coins", 0, to=[]),
        changed("settled", to=None),
        changed("settled", "change", to=[-1]),
        changed("settled", "change", to=[True]),
    ],
)
def test_damaged_states(broken: dict[str, Any]) -> None:
    with pytest.raises(DamagedFile):
        decode_state(Fields(broken, "the state"))


def test_a_snapshot_too_large_to_read_back_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "SNAPSHOT_COINS_MAX", 1)
    coin = OwnCoin(OutPoint(bytes(36)), 1, KeyPath(0, 0), 3)
    assert encode_state(State(snapshot=Snapshot(BlockHash(bytes(32)), 5, (coin,))))["snapshot"]
    assert encode_state(State(snapshot=Snapshot(BlockHash(bytes(32)), 5, (coin, coin))))["snapshot"] is None


def test_a_file_of_version_1_keeps_its_payments_live() -> None:
    """It took a payment for lost on one node's word; its snapshot is left to the next look."""
    rows: list[dict[str, Any]] = []
    for fate in ("sent", "seen", "lost"):
        row = dict(GOOD["payments"][0], fate=fate)
        rows.append({key: row[key] for key in ("raw", "fee", "inputs", "outputs", "sent_height", "fate", "height")})
    old = {**GOOD, "pending": rows}
    del old["payments"], old["change_seen"]
    state = decode_state(Fields(old, "the state"), 1)
    assert [(p.stage, p.told) for p in state.payments] == [(Stage.HANDED_OUT, True)] * 3
    assert (state.receive_next, state.snapshot) == (1, None)


def test_a_payment_as_heavy_as_nodes_relay_is_read_back() -> None:
    """719 coins make 106,837 bytes, 400,000 weight units at most 400,000 bytes."""
    inputs = tuple(TxIn(OutPoint(n.to_bytes(36, "big")), b"", 0, (bytes(72), bytes(33))) for n in range(1, 1_400))
    tx = make_tx(2, inputs, (TxOut(5, b""),), 0)
    assert 380_000 < tx.weight < 400_000
    state = State(payments=(Payment(tx.raw, 1, ((6, KeyPath(0, 0)),) * len(inputs), (), 9),))
    assert decode_state(Fields(parse_json(json.dumps(encode_state(state)).encode()), "the state")) == state


def test_change_never_goes_past_the_gap_limit() -> None:
    assert [next_change_index(State(change_next=n, change_seen=5)) for n in (5, 24)] == [5, 24]
    # Nothing of the last 20 is shown by the chain: the first of them that no payment here pays.
    paid = replace(PAYMENT, outputs=((0, KeyPath(1, 5)), (0, KeyPath(0, 6))))
    assert next_change_index(State(change_next=25, change_seen=5, payments=(paid,))) == 6
    everywhere = tuple(replace(paid, outputs=((0, KeyPath(1, n)),)) for n in range(5, 25))
    assert next_change_index(State(change_next=25, change_seen=5, payments=everywhere)) == 5


def test_outpoints_as_people_write_them() -> None:
    text = "00" * 31 + "ab:7"
    assert format_outpoint(parse_outpoint(text)) == text
    for wrong in (
        "",
        "ab:1",
        "ab" * 32,
        "ab" * 32 + ":",
        "ab" * 32 + ":-1",
        "ab" * 32 + ":x",
        "zz" * 32 + ":0",
        "ab" * 32 + ":" + "9" * 10,
    ):
        with pytest.raises(ValueError, match="is not an outpoint: write txid:index"):
            parse_outpoint(wrong)


@pytest.mark.parametrize(
    ("coin", "tip_height", "mature"),
    [
        (OwnCoin(OutPoint(bytes(36)), 1, KeyPath(0, 0), 1, is_coinbase=True), 99, False),
        (OwnCoin(OutPoint(bytes(36)), 1, KeyPath(0, 0), 1, is_coinbase=True), 100, True),
        (OwnCoin(OutPoint(bytes(36)), 1, KeyPath(0, 0), 1), 1, True),
        (OwnCoin(OutPoint(bytes(36)), 1, KeyPath(0, 0), None), 1, True),
    ],
)
def test_a_coinbase_can_be_spent_from_tip_height_99_above_its_own(coin: OwnCoin, tip_height: int, mature: bool) -> None:
    assert coin.is_mature(tip_height) is mature
