"""Coin selection: what holds for every choice, and the choices of known cases."""

from itertools import islice
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.tx import OutPoint
from tests.wallet.coin_selection import replay, rows_of
from wallet.amounts import FeeRate, fee_at
from wallet.errors import ShortOfFunds
from wallet.select import CHANGE_AIM, CandidateCoin, Goal, Selection, close, select
from wallet.sizes import P2WPKH_OUTPUT_WEIGHT, WEIGHT_MAX

DUST = 294


def coins(*values: int) -> list[CandidateCoin]:
    return [CandidateCoin(OutPoint(index.to_bytes(36, "big")), value) for index, value in enumerate(values)]


def goal(amount: int, rate: int = 1_000, *, subtract: bool = False, outputs: int = 1) -> Goal:
    return Goal(amount, outputs, P2WPKH_OUTPUT_WEIGHT * outputs, FeeRate(rate), DUST, DUST, subtract)


def check(choice: Selection, wanted: Goal, pool: list[CandidateCoin]) -> None:
    """What must hold of every choice, whichever method made it."""
    assert set(choice.chosen) <= set(pool)
    assert len(set(choice.chosen)) == len(choice.chosen) > 0
    assert choice.change == 0 or choice.change >= DUST
    assert choice.vsize == wanted.vsize(choice.chosen, change=bool(choice.change))
    assert choice.vsize * 4 <= WEIGHT_MAX
    least = fee_at(wanted.rate, choice.vsize)
    paid = choice.total - choice.change - choice.fee
    if choice.change:
        assert choice.fee == least  # to the satoshi
    else:
        assert choice.fee >= least
        # What goes to the fee on top could not have been change.
        assert choice.fee < least + DUST + fee_at(wanted.rate, 32) + 1
    if wanted.subtract_fee:
        assert DUST <= paid <= wanted.amount
    else:
        assert paid == wanted.amount


values = st.lists(st.integers(1, 10**9), min_size=1, max_size=40)


@settings(max_examples=300, deadline=None)
@given(
    values,
    st.integers(DUST, 2 * 10**9),
    st.sampled_from([1, 500, 1_000, 3_337, 50_000]),
    st.booleans(),
    st.integers(0, 9),
)
def test_every_choice_is_sound_and_none_is_missed(
    values: list[int], amount: int, rate: int, subtract: bool, seed: int
) -> None:
    pool, wanted = coins(*values), goal(amount, rate, subtract=subtract)
    try:
        choice = select(pool, wanted, Random(seed))
    except ShortOfFunds:
        # All coins worth spending, together, do not do either.
        assert close([coin for coin in pool if wanted.worth(coin) > 0], wanted) is None
    else:
        check(choice, wanted, pool)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1_000, 10**6), min_size=1, max_size=12), st.data())
def test_a_payment_without_change_is_found_where_there_is_one(values: list[int], data: st.DataObject) -> None:
    pool = coins(*values)
    subset = data.draw(st.lists(st.sampled_from(pool), min_size=1, unique=True))
    rate = 1_000
    fee = fee_at(FeeRate(rate), goal(0, rate).vsize(subset, change=False))
    amount = sum(coin.value for coin in subset) - fee
    if amount < DUST:
        return
    choice = select(pool, goal(amount, rate), Random(1))
    check(choice, goal(amount, rate), pool)
    # No worse than this very subset, which wastes nothing but haste.
    own = close(subset, goal(amount, rate))
    assert own
    assert choice.waste <= own.waste


@pytest.mark.parametrize(
    ("values", "amount", "chosen"),
    [
        # Two coins of 1,000 would come back in part, as change that costs more than the exact coin saves.
        ([1_000, 1_361, 99_820, 1_000], 1_251, [1_361]),
        ([1_361, 63_528, 1_785, 1_353, 1_000, 8_871], 11_763, [8_871, 1_785, 1_353]),
    ],
)
def test_what_would_come_back_is_no_exact_match(values: list[int], amount: int, chosen: list[int]) -> None:
    choice = select(coins(*values), goal(amount), Random(1))
    assert (sorted((coin.value for coin in choice.chosen), reverse=True), choice.change) == (chosen, 0)


@pytest.mark.parametrize("fee", [110, 111, 150])
def test_around_an_exact_match(fee: int) -> None:
    # One input, one output: 10.5 + 68 + 31 = 110 vB.
    choice = select(coins(1_000_000), goal(1_000_000 - fee), Random(1))
    assert (choice.vsize, choice.change, choice.fee) == (110, 0, fee)


def test_one_satoshi_short() -> None:
    assert select(coins(100_110), goal(100_000), Random(1)).fee == 110
    with pytest.raises(ShortOfFunds, match=r"at most 0\.00099999 coins can be sent with a fee of 1 sat/vB"):
        select(coins(100_109), goal(100_000), Random(1))
    assert select(coins(100_109), goal(99_999), Random(1)).fee == 110


def test_change_below_dust_goes_to_the_fee_and_dust_itself_comes_back() -> None:
    with_change = 141  # vB: the other output's 31 more
    assert select(coins(100_000 + with_change + DUST), goal(100_000), Random(1)).change == DUST
    below = select(coins(100_000 + with_change + DUST - 1), goal(100_000), Random(1))
    assert (below.change, below.fee, below.vsize) == (0, with_change + DUST - 1, 110)


def test_a_large_coin_stays_whole_where_a_small_one_does() -> None:
    pool = coins(5_000_000_000, 400_000, 900_000_000)
    choice = select(pool, goal(100_000), Random(1))
    assert [coin.value for coin in choice.chosen] == [400_000]
    assert choice.change >= CHANGE_AIM


def test_coins_that_cost_more_than_they_bring_are_left() -> None:
    choice = select(coins(10_000, *[60] * 50), goal(5_000), Random(1))
    assert [coin.value for coin in choice.chosen] == [10_000]
    with pytest.raises(ShortOfFunds):
        select(coins(*[68] * 50), goal(300), Random(1))


def test_the_fee_is_exact_beyond_252_inputs() -> None:
    # The count of inputs takes three bytes from 253 on.
    pool = coins(*[10_000] * 400)
    for amount in (252 * 9_932 - 42, 253 * 9_932 - 50, 3_000_000):
        check(select(pool, goal(amount), Random(2)), goal(amount), pool)


def test_a_subtracted_fee_comes_out_of_the_amount() -> None:
    choice = select(coins(1_000_000), goal(1_000_000, subtract=True), Random(1))
    assert (choice.fee, choice.change) == (110, 0)
    choice = select(coins(2_000_000), goal(1_000_000, subtract=True), Random(1))
    assert (choice.fee, choice.change) == (141, 1_000_000)
    with pytest.raises(ShortOfFunds, match="too little would be left"):
        select(coins(2_000_000), goal(400, subtract=True), Random(1))


def test_no_transaction_is_heavier_than_nodes_relay() -> None:
    pool = coins(*[1_000] * 3_000)
    with pytest.raises(ShortOfFunds, match="too many small coins"):
        select(pool, goal(1_500_000), Random(1))
    check(select(pool, goal(1_000_000), Random(1)), goal(1_000_000), pool)


def test_fees_are_low_and_few_coins_are_left_lying(vectors: Path) -> None:
    """990 payments among 2,010 receipts. At a long-term rate of 0.5 sat/vB the fees were 0.0669 coins, but 1,747 coins
    were left, which cost 0.0119 more."""
    file = vectors / "coin_selection" / "bustabit-2019-2020-tiny.csv.bz2"
    outcome = replay(islice(rows_of(file), 3_000))
    assert outcome.payments == 990
    assert outcome.without_change > 300
    assert outcome.left < 600
    assert outcome.total < 7_600_000


def test_an_empty_wallet() -> None:
    with pytest.raises(ShortOfFunds, match="not enough coins: none can be sent now"):
        select([], goal(1_000), Random(1))


def test_the_same_seed_makes_the_same_choice() -> None:
    pool = coins(*(10_000 + 37 * n for n in range(200)))
    wanted = goal(777_777, 5_000)
    assert select(pool, wanted, Random(5)) == select(pool, wanted, Random(5))
