"""Coins and what changes them, against a naive replay."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from chain.coins import Coin, CoinLookup, CoinsDelta, DeltaBuilder, is_unspendable
from chain.tx import OutPoint, TxOut

POINTS = [OutPoint(bytes([n]) * 36) for n in range(6)]
SCRIPTS = st.binary(max_size=40)


@given(st.integers(0, 2**31 - 1), st.booleans(), st.integers(0, 21 * 10**14), SCRIPTS)
def test_a_coin_is_its_encoding(height: int, is_coinbase: bool, value: int, script: bytes) -> None:
    coin = Coin.make(height, is_coinbase, TxOut(value, script))
    assert (coin.height, coin.is_coinbase, coin.value, coin.script) == (height, is_coinbase, value, script)
    assert Coin(bytes(coin)) == coin
    assert len(coin) == 12 + len(script)


def test_what_never_becomes_a_coin() -> None:
    assert [is_unspendable(script) for script in (b"\x6a", b"\x6adata", bytes(10_001), b"\x51" * 10_001)] == [True] * 4
    assert [is_unspendable(script) for script in (b"", b"\x51", bytes(10_000), b"\x51\x6a")] == [False] * 4


State = dict[OutPoint, Coin]


@st.composite
def histories(draw: st.DrawFn) -> tuple[State, list[CoinsDelta]]:
    """Coins to begin with, and blocks that spend and make some of six outpoints.

    An outpoint may come again with another coin (a transaction mined again at another height),
    also within one delta: then it is in both `spent` and `created`.
    """
    serial = 0

    def fresh() -> Coin:
        nonlocal serial
        serial += 1
        return Coin.make(serial, False, TxOut(serial, b""))

    start = {point: fresh() for point in draw(st.sets(st.sampled_from(POINTS)))}
    state, deltas = dict(start), []
    for _ in range(draw(st.integers(0, 6))):
        gone = draw(st.sets(st.sampled_from(sorted(state)))) if state else set()
        spent = {point: state.pop(point) for point in sorted(gone)}
        absent = [point for point in POINTS if point not in state]
        created = {point: fresh() for point in sorted(draw(st.sets(st.sampled_from(absent))))} if absent else {}
        state |= created
        deltas.append(CoinsDelta(created, spent))
    return start, deltas


def applied(state: State, delta: CoinsDelta) -> State:
    """As storage applies it: deletes first, then puts."""
    after = dict(state)
    for point, coin in delta.spent.items():
        assert after.pop(point) == coin
    for point in delta.created:
        assert point not in after
    return after | delta.created


def states(start: State, deltas: list[CoinsDelta]) -> list[State]:
    """The coins before the first delta and after each."""
    found = [start]
    for delta in deltas:
        found.append(applied(found[-1], delta))
    return found


@given(histories())
def test_fold_and_then_are_the_naive_replay(made: tuple[State, list[CoinsDelta]]) -> None:
    start, deltas = made
    replayed = states(start, deltas)[-1]
    folded = CoinsDelta.fold(deltas)
    assert applied(start, folded) == replayed
    joined = CoinsDelta({}, {})
    for delta in deltas:
        joined = joined.then(delta)
    assert applied(start, joined) == replayed


@given(histories(), st.integers(0, 6))
def test_then_is_associative(made: tuple[State, list[CoinsDelta]], at: int) -> None:
    start, deltas = made
    left, right = CoinsDelta.fold(deltas[:at]), CoinsDelta.fold(deltas[at:])
    assert applied(start, left.then(right)) == applied(start, CoinsDelta.fold(deltas))


@given(histories())
def test_the_inverse_leads_back(made: tuple[State, list[CoinsDelta]]) -> None:
    start, deltas = made
    passed = states(start, deltas)
    for delta, before, after in zip(deltas, passed, passed[1:], strict=False):
        assert applied(after, delta.inverse()) == before
        assert delta.inverse().inverse() == delta
    there_and_back = CoinsDelta.fold([*deltas, *(delta.inverse() for delta in reversed(deltas))])
    assert applied(start, there_and_back) == start


@given(histories(), st.integers(0, 6))
def test_a_reorganisation_is_one_delta(made: tuple[State, list[CoinsDelta]], at: int) -> None:
    """::

    start --- d0 --- ... --- d5      undone down to `at`, then done again
    """
    start, deltas = made
    tip = states(start, deltas)[-1]
    undone = [delta.inverse() for delta in reversed(deltas[at:])]
    assert applied(tip, CoinsDelta.fold([*undone, *deltas[at:]])) == tip
    assert applied(tip, CoinsDelta.fold(undone)) == states(start, deltas[:at])[-1]


@given(histories())
def test_over_sees_what_will_be(made: tuple[State, list[CoinsDelta]]) -> None:
    start, deltas = made
    after = states(start, deltas)[-1]
    lookup = CoinsDelta.fold(deltas).over(start.get)
    stacked: CoinLookup = start.get
    for delta in deltas:
        stacked = delta.over(stacked)
    for point in POINTS:
        assert lookup(point) == stacked(point) == after.get(point)


@given(histories())
def test_a_builder_sees_the_coins_on_its_way(made: tuple[State, list[CoinsDelta]]) -> None:
    start, deltas = made
    builder = DeltaBuilder(start.get)
    for delta, after in zip(deltas, states(start, deltas)[1:], strict=True):
        builder.add(delta)
        assert [builder.coin(point) for point in POINTS] == [after.get(point) for point in POINTS]
    assert builder.delta == CoinsDelta.fold(deltas)


@given(histories())
def test_deltas_are_not_changed_by_being_folded(made: tuple[State, list[CoinsDelta]]) -> None:
    _, deltas = made
    copies = [CoinsDelta(dict(delta.created), dict(delta.spent)) for delta in deltas]
    CoinsDelta.fold(deltas)
    for delta, other in itertools.pairwise(deltas):
        delta.then(other).inverse()
    assert deltas == copies


def test_the_trap_an_outpoint_in_both() -> None:
    """A transaction confirmed at height 5 is reorganised out and in again at height 6::

    4 --- 5 (makes p)
     \\
      --- 5' --- 6' (makes p)
    """
    point = POINTS[0]
    low, high = (Coin.make(height, False, TxOut(1, b"")) for height in (5, 6))
    reorganisation = CoinsDelta({point: low}, {}).inverse().then(CoinsDelta({point: high}, {}))
    assert reorganisation == CoinsDelta({point: high}, {point: low})
    store: State = {point: low}
    assert reorganisation.over(store.get)(point) == high
    assert applied(store, reorganisation) == {point: high}
    back = reorganisation.inverse()
    assert back.over({point: high}.get)(point) == low
    assert applied({point: high}, back) == store
    assert applied(store, reorganisation.then(back)) == store
    gone = reorganisation.then(CoinsDelta({}, {point: high}))
    assert gone == CoinsDelta({}, {point: low})
    assert gone.over(store.get)(point) is None
