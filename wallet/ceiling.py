"""The fee ceiling: the highest fee of a payment that no person has named. Pure.

A node's estimates, and the minimum it says it has, are claims: whatever they are, nothing above the
ceiling is signed. Every way to pay goes through `wallet.draft.sign_draft`, which asks here.
"""

from chain.tx import COIN
from wallet.amounts import LONG_TERM_RATE, FeeRate, fee_at, format_amount, format_fee_rate

SHARE_MAX = 10
"""A fee may be one part in so many of the amount paid ..."""
SMALL_RATE = LONG_TERM_RATE
"""... or come to this rate: however little is paid, that is an ordinary fee."""
FEE_MAX = COIN // 10
"""Satoshis: however large the payment, no fee is higher (Bitcoin Core's `maxtxfee`)."""
ESTIMATE_MAX = FeeRate(100_000)
"""100 sat/vB: the highest rate that is paid because a node says so."""


def fee_excess(
    fee: int, vsize: int, paid: int, rate: FeeRate, *, rate_named: bool = False, max_fee: int | None = None
) -> str | None:
    """Why a fee is above the ceiling, as the words after "the fee of ..."; None where it is not.

    `paid` is what the recipients get, `rate` what the fee was computed from, `rate_named` whether a
    person chose that rate. A fee that a person named, `max_fee`, takes the place of all limits.
    """
    if max_fee is not None:
        return f"is above the maximum of {format_amount(max_fee)}" if fee > max_fee else None
    if rate > ESTIMATE_MAX and not rate_named:
        return f"follows the node's {format_fee_rate(rate)} sat/vB, above {format_fee_rate(ESTIMATE_MAX)}"
    if fee > FEE_MAX:
        return f"is above {format_amount(FEE_MAX)}"
    if fee > max(paid // SHARE_MAX, fee_at(SMALL_RATE, vsize)):
        return f"is more than a tenth of the {format_amount(paid)} paid"
    return None
