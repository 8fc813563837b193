"""What the wallet remembers, to JSON and back."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.hashes import BlockHash
from chain.tx import MAX_MONEY, OutPoint, TxIn, TxOut, make_tx
from wallet import state as state_module
from wallet.derivation import KeyPath
from wallet.errors import DamagedFile
from wallet.fields import Fields, parse_json
from wallet.state import (
    Fate,
    OwnCoin,
    Pending,
    Snapshot,
    State,
    decode_state,
    encode_state,
    format_outpoint,
    parse_outpoint,
)

heights = st.integers(0, 2**31 - 1)
amounts = st.integers(0, MAX_MONEY)
points = st.binary(min_size=32, max_size=32).map(lambda txid: OutPoint(txid + (7).to_bytes(4, "little")))
paths = st.builds(KeyPath, st.sampled_from([0, 1]), st.integers(0, 2**31 - 1))
own_coins = st.builds(OwnCoin, points, amounts, paths, st.none() | heights, st.booleans(), st.booleans())


@st.composite
def pendings(draw: st.DrawFn) -> Pending:
    spent = draw(st.lists(points, min_size=1, max_size=3))
    tx = make_tx(2, tuple(TxIn(p, b"", 0, (b"witness",)) for p in spent), (TxOut(draw(amounts), b"\x00" * 22),), 0)
    inputs = tuple((draw(amounts), draw(paths)) for _ in spent)
    outputs = ((0, draw(paths)),) if draw(st.booleans()) else ()
    return Pending(
        tx.raw, draw(amounts), inputs, outputs, draw(heights), draw(st.sampled_from(Fate)), draw(st.none() | heights)
    )


states = st.builds(
    State,
    st.integers(1, 1000),
    st.integers(0, 1000),
    st.lists(pendings(), max_size=3).map(tuple),
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


GOOD = encode_state(
    State(
        pending=(
            Pending(
                make_tx(2, (TxIn(OutPoint(bytes(36)), b"", 0),), (TxOut(5, b""),), 0).raw,
                1,
                ((6, KeyPath(0, 0)),),
                ((0, KeyPath(1, 0)),),
                9,
            ),
        ),
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
        changed("pending", to={}),
        changed("pending", 0, to=None),
        changed("pending", 0, "raw", to="00"),
        changed("pending", 0, "raw", to="00" * 70),
        changed("pending", 0, "fate", to="happy"),
        changed("pending", 0, "inputs", to=[]),
        changed("pending", 0, "inputs", 0, to=[1, 2]),
        changed("pending", 0, "inputs", 0, to=[1, 2, 0]),
        changed("pending", 0, "inputs", 0, to=[-1, 0, 0]),
        changed("pending", 0, "outputs", 0, to=[1, 0, 0]),
        changed("pending", 0, "height", to=-1),
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
