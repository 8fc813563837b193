"""Amounts and fee rates as people write them, to and from whole satoshis. No floats anywhere."""

import re
from decimal import Decimal
from typing import NewType

from chain.tx import COIN, MAX_MONEY
from wallet.errors import WalletError

FeeRate = NewType("FeeRate", int)
"""Satoshis for 1,000 virtual bytes, so that fractions of a satoshi per byte stay whole numbers."""

RELAY_RATE = FeeRate(1_000)
"""What a node asks at least, by default: 1 sat/vB."""
RATE_MAX = FeeRate(10_000_000)
"""10,000 sat/vB: more is a slip of the finger (the bound of Bitcoin Core's `maxfeerate`)."""

_COINS = re.compile(r"(\d{1,8})(?:\.(\d{1,8}))?", re.ASCII)
_SATOSHIS = re.compile(r"(\d{1,16}) ?sats?", re.ASCII)
_RATE = re.compile(r"\d{1,8}(?:\.\d{1,3})?", re.ASCII)


def parse_amount(text: str) -> int:
    """Satoshis of "0.5" (coins, up to 8 decimals) or "1500sat". Raises WalletError."""
    text = text.strip()
    if match := _SATOSHIS.fullmatch(text):
        amount = int(match[1])
    elif match := _COINS.fullmatch(text):
        amount = int(match[1]) * COIN + int((match[2] or "").ljust(8, "0"))
    else:
        raise WalletError(f"{text!r} is not an amount: write coins with up to 8 decimals (0.5), or satoshis (1500sat)")
    if not 0 < amount <= MAX_MONEY:
        raise WalletError(f"{text!r} is not an amount that can be paid: it must be above 0 and at most 21000000 coins")
    return amount


def format_coins(satoshis: int) -> str:
    """Coins with all 8 decimals, as people compare them: "0.50000000"."""
    sign = "-" if satoshis < 0 else ""
    whole, rest = divmod(abs(satoshis), COIN)
    return f"{sign}{whole}.{rest:08d}"


def parse_fee_rate(text: str) -> FeeRate:
    """The rate of "2" or "1.25" satoshis per virtual byte. Raises WalletError."""
    if not _RATE.fullmatch(text.strip()):
        raise WalletError(f"{text!r} is not a fee rate: write satoshis per virtual byte, such as 2 or 1.25")
    return checked_rate(Decimal(text.strip()))


def checked_rate(sat_vb: Decimal) -> FeeRate:
    """The rate, rounded up to the next 1/1000 sat/vB. Raises WalletError where none would be meant."""
    if not (sat_vb.is_finite() and 0 < sat_vb <= RATE_MAX // 1_000):
        raise WalletError(f"a fee rate of {sat_vb} sat/vB is out of range: above 0, at most {RATE_MAX // 1_000}")
    thousandths = sat_vb * 1_000
    return FeeRate(int(thousandths) + (thousandths != int(thousandths)))


def fee_at(rate: FeeRate, vsize: int) -> int:
    """Satoshis that `vsize` virtual bytes cost, rounded up: never below the rate."""
    return -(-rate * vsize // 1_000)


def format_rate(fee: int, vsize: int) -> str:
    """Satoshis per virtual byte with two decimals."""
    return f"{Decimal(fee) / vsize:.2f}"
