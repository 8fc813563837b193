"""Amounts and fee rates as people write them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.tx import MAX_MONEY
from wallet.amounts import checked_rate, fee_at, format_coins, format_rate, parse_amount, parse_fee_rate
from wallet.errors import WalletError


@pytest.mark.parametrize(
    ("text", "satoshis"),
    [
        ("1", 100_000_000),
        ("0.5", 50_000_000),
        ("0.00000001", 1),
        ("00.10", 10_000_000),
        (" 2.5 ", 250_000_000),
        ("21000000", MAX_MONEY),
        ("1sat", 1),
        ("1500sat", 1_500),
        ("1500 sats", 1_500),
        ("2100000000000000sat", MAX_MONEY),
    ],
)
def test_amounts(text: str, satoshis: int) -> None:
    assert parse_amount(text) == satoshis


@pytest.mark.parametrize(
    "text",
    ["", "0", "0sat", "0.000000001", "1.", ".5", "-1", "+1", "1e3", "1,5", "1 5", "0x10", "nan", "inf", "1.5sat", "sat",
     "1_0", "21000000.00000001", "2100000000000001sat", "99999999999999999999", "٣", "1\n2", "1BTC"],
)  # fmt: skip
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(WalletError):
        parse_amount(text)


@given(st.integers(1, MAX_MONEY))
def test_amounts_survive_writing_and_reading(satoshis: int) -> None:
    assert parse_amount(format_coins(satoshis)) == satoshis
    assert parse_amount(f"{satoshis}sat") == satoshis
    assert format_coins(-satoshis) == "-" + format_coins(satoshis)


@pytest.mark.parametrize(("text", "rate"), [("1", 1_000), ("1.25", 1_250), ("0.001", 1), ("10000", 10_000_000)])
def test_fee_rates(text: str, rate: int) -> None:
    assert parse_fee_rate(text) == rate


@pytest.mark.parametrize("text", ["", "0", "-1", "1.0001", "10000.001", "1e3", "nan", "inf", "one"])
def test_what_is_no_fee_rate(text: str) -> None:
    with pytest.raises(WalletError):
        parse_fee_rate(text)


@given(st.decimals(Decimal("0.00001"), Decimal(10_000), places=5), st.integers(1, 100_000))
def test_fees_are_rounded_up_and_never_by_more_than_it_takes(rate_sat_vb: Decimal, vsize: int) -> None:
    rate = checked_rate(rate_sat_vb)
    assert 0 <= Decimal(rate) / 1_000 - rate_sat_vb < Decimal("0.001")
    assert 0 <= fee_at(rate, vsize) - Decimal(rate) * vsize / 1_000 < 1


def test_rates_are_shown_with_two_decimals() -> None:
    assert format_rate(282, 141) == "2.00"
    assert format_rate(200, 141) == "1.42"
