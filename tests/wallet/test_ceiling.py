"""The fee ceiling: limits as a table, and that nothing above them is signed whatever a node says."""

from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.hashes import Txid, sha256
from chain.keys import default_engine
from chain.tx import COIN, TxOut, outpoint
from tests.wallet.esplora_server import STRANGER_SCRIPT
from wallet.amounts import FeeRate, fee_at
from wallet.ceiling import fee_excess
from wallet.derivation import RECEIVE, Account, AccountSecret, KeyPath
from wallet.draft import Holdings, Order, make_draft, rate_for, sign_draft
from wallet.errors import FeeTooHigh, ShortOfFunds, WalletError
from wallet.state import OwnCoin

SECRET = AccountSecret("abandon " * 11 + "about")
ACCOUNT = Account(SECRET.xpub)
ENGINE = default_engine()


@pytest.mark.parametrize(
    ("fee", "paid", "rate", "named", "max_fee", "says"),
    [
        (1_410, 294, 10_000, False, None, None),
        (1_411, 14_100, 10_008, False, None, "is more than a tenth of the 14100 sat paid"),
        (1_411, 14_110, 10_008, False, None, None),
        (14_100, 141_000, 100_000, False, None, None),
        (14_101, 10 * COIN, 100_001, False, None, "follows the node's 100.001 sat/vB, above 100"),
        (14_101, 10 * COIN, 100_001, True, None, None),
        (14_101, 141_000, 100_001, True, None, "is more than a tenth of the 0.00141000 coins paid"),
        (10_000_000, 2 * COIN, 70_000, False, None, None),
        (10_000_001, 2 * COIN, 70_000, True, None, "is above 0.10000000 coins"),
        (98_700, 1_000, 700_000, False, 98_700, None),
        (98_700, 1_000, 700_000, True, 98_699, "is above the maximum of 98699 sat"),
        (142, COIN, 1_000, False, 141, "is above the maximum of 141 sat"),
    ],
)
def test_the_limits(fee: int, paid: int, rate: int, named: bool, max_fee: int | None, says: str | None) -> None:
    assert fee_excess(fee, 141, paid, FeeRate(rate), rate_named=named, max_fee=max_fee) == says


def coin(number: int, value: int) -> OwnCoin:
    return OwnCoin(outpoint(Txid(sha256(bytes((number,)))), 0), value, KeyPath(RECEIVE, number % 3), 1)


rates = st.decimals(Decimal("0.001"), Decimal(9_999), places=3)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(300, 10**10), min_size=1, max_size=12),
    st.integers(294, 10**9),
    rates,
    st.none() | rates,
    st.sampled_from(["amount", "subtract", "everything"]),
    st.none() | st.integers(1, 10**7),
)
def test_no_claim_of_a_node_gets_a_higher_fee_signed(
    values: list[int], amount: int, estimate: Decimal, minimum: Decimal | None, way: str, max_fee: int | None
) -> None:
    order = Order(
        (TxOut(amount, STRANGER_SCRIPT),),
        subtract_fee=way == "subtract",
        everything=way == "everything",
        max_fee=max_fee,
    )
    held = Holdings({c.outpoint: c for c in map(coin, range(len(values)), values)}, 10, {}, 0)
    least = None if minimum is None else FeeRate(int(minimum * 1_000))
    rate = rate_for({6: estimate}, 6, least)
    try:
        draft = make_draft(order, rate, held, ACCOUNT, Random(1), ENGINE, minimum=least)
    except ShortOfFunds:
        return
    if draft.fee_excess:
        with pytest.raises(FeeTooHigh, match="nothing was sent"):
            sign_draft(draft, ACCOUNT, SECRET.secret, ENGINE)
        return
    tx = sign_draft(draft, ACCOUNT, SECRET.secret, ENGINE)
    paid = sum(output.value for output in tx.outputs if output.script == STRANGER_SCRIPT)
    fee = sum(c.value for c in draft.coins) - sum(output.value for output in tx.outputs)
    assert fee == draft.fee
    if max_fee is None:
        assert fee <= max(paid // 10, fee_at(FeeRate(10_000), draft.vsize))
        assert fee <= COIN // 10
        assert rate <= 100_000
    else:
        assert fee <= max_fee


def test_what_a_person_agreed_to_is_signed_and_no_more() -> None:
    held = Holdings({c.outpoint: c for c in (coin(0, COIN), coin(1, COIN))}, 10, {}, 0)
    order = Order((TxOut(1_000, STRANGER_SCRIPT),))
    agreed = make_draft(order, FeeRate(700_000), held, ACCOUNT, Random(1), ENGINE).agreed()
    assert (agreed.order.rate, agreed.order.max_fee) == (700_000, agreed.fee)
    assert sign_draft(agreed, ACCOUNT, SECRET.secret, ENGINE).txid == agreed.tx.txid
    dearer = make_draft(agreed.order, FeeRate(700_001), held, ACCOUNT, Random(1), ENGINE)
    with pytest.raises(FeeTooHigh):
        sign_draft(dearer, ACCOUNT, SECRET.secret, ENGINE)


def test_below_the_nodes_minimum_nothing_is_signed() -> None:
    held = Holdings({c.outpoint: c for c in (coin(0, COIN),)}, 10, {}, 0)
    order = Order((TxOut(1_000, STRANGER_SCRIPT),), rate=FeeRate(1_000))
    draft = make_draft(order, FeeRate(1_000), held, ACCOUNT, Random(1), ENGINE, minimum=FeeRate(1_001))
    with pytest.raises(WalletError, match=r"the node takes no less than 1\.001 sat/vB now, and 1 is below"):
        sign_draft(draft, ACCOUNT, SECRET.secret, ENGINE)
