"""Orders that come to their limits, without a node."""

import re
from random import Random

import pytest

from chain.hashes import Txid, sha256
from chain.keys import default_engine
from chain.tx import COIN, TxOut, outpoint
from tests.wallet.esplora_server import STRANGER_SCRIPT
from wallet.amounts import FeeRate, parse_amount
from wallet.derivation import RECEIVE, Account, AccountSecret, KeyPath
from wallet.draft import Draft, Holdings, Order, make_draft
from wallet.errors import ChainLimit, ShortOfFunds, WalletError
from wallet.sizes import WEIGHT_MAX
from wallet.state import OwnCoin

ACCOUNT = Account(AccountSecret("abandon " * 11 + "about").xpub)
ENGINE = default_engine()
RATE = FeeRate(2_000)


def holdings(count: int, value: int, *, height: int | None = 1, own: bool = False) -> Holdings:
    coins = (
        OwnCoin(
            outpoint(Txid(sha256(number.to_bytes(4, "big"))), 0), value, KeyPath(RECEIVE, number % 3), height, own=own
        )
        for number in range(count)
    )
    return Holdings({coin.outpoint: coin for coin in coins}, 10, {}, 0)


def draft(held: Holdings, amount: int | None, payments: int = 1) -> Draft:
    order = Order((TxOut(amount or 0, STRANGER_SCRIPT),) * payments, everything=amount is None)
    return make_draft(order, RATE, held, ACCOUNT, Random(1), ENGINE)


def test_everything_that_is_too_much_for_one_transaction() -> None:
    """What the error says can be sent at once, can be sent at once."""
    held = holdings(1_600, 100_000)
    with pytest.raises(ShortOfFunds, match="1600 coins are too many for one transaction: send") as much:
        draft(held, None)
    most = parse_amount(re.findall(r"send ([\d.]+) coins", str(much.value))[0])
    assert draft(held, most).vsize * 4 <= WEIGHT_MAX
    with pytest.raises(ShortOfFunds, match="too many small coins for one transaction: send at most") as small:
        draft(held, most + 1)
    assert parse_amount(re.findall(r"at most ([\d.]+) coins", str(small.value))[0]) == most


def test_everything_goes_to_a_single_address() -> None:
    with pytest.raises(WalletError, match="everything can be paid to a single address only"):
        draft(holdings(2, COIN), None, payments=2)


def test_everything_waits_for_a_block_where_some_of_it_has_to() -> None:
    held = holdings(30, COIN, height=None, own=True)
    with pytest.raises(ChainLimit):
        draft(held, None)
    assert len(draft(holdings(20, COIN, height=None, own=True), None).coins) == 20


@pytest.mark.parametrize("value", [200, 270, 513])
def test_everything_that_is_nothing_after_the_fee(value: int) -> None:
    with pytest.raises(ShortOfFunds, match="nothing would be left to send after the fee"):
        draft(holdings(1, value), None)
    assert [output.value for output in draft(holdings(1, 514), None).payments] == [294]
