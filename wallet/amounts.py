"""Amounts and fee rates as people write them, to and from whole satoshis. No floats anywhere."""

import re
from decimal import Decimal
from typing import NewType

from chain.tx import COIN, MAX_MONEY
from wallet.errors import InvalidValue

FeeRate = NewType("FeeRate", int)
"""Satoshis for 1,000 virtual bytes, so that fractions of a satoshi per byte stay whole numbers."""

RELAY_RATE = FeeRate(1_000)
"""1 sat/vB: the default minimum relay fee rate."""
LONG_TERM_RATE = FeeRate(10_000)
"""10 sat/vB: the assumed cost of spending a coin later (Bitcoin Core's `consolidatefeerate`)."""
RATE_MAX = FeeRate(10_000_000)
"""10,000 sat/vB: more is taken for a typing mistake (the bound of Bitcoin Core's `maxfeerate`)."""

TARGET_BLOCKS = 6
"""Default confirmation target."""
SATOSHIS_SHOWN_MAX = 100_000
"""Larger amounts are shown in coins: nobody counts 14 digits."""

_COINS = re.compile(r"(\d{1,8})(?:\.(\d{1,8}))?", re.ASCII)
_SATOSHIS = re.compile(r"(\d{1,16}) ?sats?", re.ASCII)
_RATE = re.compile(r"\d{1,8}(?:\.\d{1,3})?", re.ASCII)


def parse_amount(text: str) -> int:
    """Satoshis of "0.5" (coins, up to 8 decimals) or "1500sat". Raises InvalidValue."""
    match = _SATOSHIS.fullmatch(text.strip())
    return _payable(int(match[1]), text) if match else parse_coins(text)


def parse_coins(text: str) -> int:
    """Satoshis of "0.5" coins. Raises InvalidValue."""
    match = _COINS.fullmatch(text.strip())
    if not match:
        satoshis = f"{text.strip()}sat" if text.strip().isdecimal() else "1500sat"
        raise InvalidValue(
            f"{text!r} is not an amount: write coins with up to 8 decimals (0.5), or satoshis ({satoshis})"
        )
    return _payable(int(match[1]) * COIN + int((match[2] or "").ljust(8, "0")), text)


def _payable(amount: int, text: str) -> int:
    if not 0 < amount <= MAX_MONEY:
        raise InvalidValue(f"{text!r} cannot be paid: an amount is above 0 and at most 21000000 coins")
    return amount


def format_coins(satoshis: int) -> str:
    """Coins with all 8 decimals, as people compare them: "0.50000000"."""
    sign = "-" if satoshis < 0 else ""
    whole, rest = divmod(abs(satoshis), COIN)
    return f"{sign}{whole}.{rest:08d}"


def format_amount(satoshis: int) -> str:
    """An amount within a sentence: "294 sat" where that is short, else "0.50000000 coins"."""
    return f"{satoshis} sat" if abs(satoshis) < SATOSHIS_SHOWN_MAX else f"{format_coins(satoshis)} coins"


def parse_fee_rate(text: str) -> FeeRate:
    """The rate of "2" or "1.25" satoshis per virtual byte. Raises InvalidValue."""
    if not _RATE.fullmatch(text.strip()):
        raise InvalidValue(f"{text!r} is not a fee rate: write satoshis per virtual byte, such as 2 or 1.25")
    return checked_rate(Decimal(text.strip()))


def checked_rate(sat_vb: Decimal) -> FeeRate:
    """The rate, rounded up to the next 1/1000 sat/vB. Raises InvalidValue where none would be meant."""
    if not (sat_vb.is_finite() and 0 < sat_vb <= RATE_MAX // 1_000):
        raise InvalidValue(f"a fee rate of {sat_vb} sat/vB is out of range: above 0, at most {RATE_MAX // 1_000}")
    thousandths = sat_vb * 1_000
    return FeeRate(int(thousandths) + (thousandths != int(thousandths)))


def fee_at(rate: FeeRate, vsize: int) -> int:
    """Satoshis that `vsize` virtual bytes cost, rounded up: never below the rate."""
    return -(-rate * vsize // 1_000)


def format_rate(fee: int, vsize: int) -> str:
    """Satoshis per virtual byte with two decimals."""
    return f"{Decimal(fee) / vsize:.2f}"


def format_fee_rate(rate: FeeRate) -> str:
    """Satoshis per virtual byte with as many decimals as there are: "2", "1.25"."""
    return f"{Decimal(rate) / 1_000:.3f}".rstrip("0").rstrip(".")
