"""`Wallet` against a node that checks payments: what gets paid, and what never happens."""

import re
import threading
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from chain.hashes import Txid, sha256
from chain.params import REGTEST, devnet_params
from chain.tx import COIN, OutPoint, Tx, TxOut, outpoint, outpoint_txid
from tests.wallet.conftest import CHEAP, PASSWORD, MakeWallet
from tests.wallet.esplora_server import STRANGER_ADDRESS, STRANGER_SCRIPT, Chain, Server
from wallet import account, broadcast
from wallet import client as client_module
from wallet.account import Wallet
from wallet.amounts import FeeRate, parse_amount
from wallet.build import payable_script
from wallet.client import Esplora
from wallet.delivery import KEEP_BLOCKS
from wallet.derivation import CHANGE, RECEIVE, KeyPath, words_from_entropy
from wallet.draft import Order, Sent, rate_for
from wallet.errors import (
    ChainLimit,
    FeeTooHigh,
    NodeUnreachable,
    PaymentRefused,
    ShortOfFunds,
    WalletError,
    WrongPassword,
)
from wallet.history import HistoryKind, Status
from wallet.payment import Stage
from wallet.store import WalletFile


def script_of(wallet: Wallet, index: int = 0) -> bytes:
    return payable_script(wallet.address_of(KeyPath(RECEIVE, index)))


def pool_tx(chain: Chain, sent: Sent) -> Tx:
    return chain.pool[sent.txid]


@pytest.fixture
def rich(wallet: Wallet, chain: Chain) -> Wallet:
    """A wallet of ten confirmed coins, one coin each."""
    chain.pay(script_of(wallet), *[COIN] * 10)
    return wallet


# one payment


def test_a_payment(rich: Wallet, chain: Chain) -> None:
    sent = rich.send(STRANGER_ADDRESS, 30_000_000)
    tx = pool_tx(chain, sent)
    assert sorted(o.value for o in tx.outputs) == sorted([30_000_000, COIN - 30_000_000 - sent.fee])
    assert (sent.vsize, tx.vsize) == (tx.vsize, tx.vsize)
    assert sent.fee == 2 * 141  # the node's estimate for 6 blocks is 2 sat/vB
    assert tx.lock_time == chain.height
    assert sent.change
    assert sent.change.path == KeyPath(CHANGE, 0)
    assert tx.outputs[sent.change.index].value == sent.change.value
    held = rich.balance()
    assert (held.confirmed, held.unconfirmed) == (9 * COIN, sent.change.value)
    chain.mine()
    assert rich.balance().confirmed == 10 * COIN - 30_000_000 - sent.fee


@pytest.mark.parametrize("rate", [1_000, 1_001, 2_500, 33_333])
def test_never_below_the_rate(rich: Wallet, chain: Chain, rate: int) -> None:
    for amount in (5_000, 2 * COIN, 7 * COIN + 1):
        sent = rich.send(STRANGER_ADDRESS, amount, rate=FeeRate(rate), max_fee=100_000)
        tx = pool_tx(chain, sent)
        paid = sum(coin.value for coin in sent.coins) - sum(o.value for o in tx.outputs)
        assert paid == sent.fee
        assert paid * 1_000 >= rate * tx.vsize
        # No more than the longest signatures would ask for.
        assert paid <= rate * (tx.vsize + len(tx.inputs)) / 1_000 + 1
        chain.mine(7)


@pytest.mark.parametrize(("target", "rate"), [(1, 3_500), (5, 3_500), (6, 2_000), (24, 2_000), (1_008, 1_000)])
def test_the_nodes_estimates(target: int, rate: int) -> None:
    assert rate_for({1: Decimal("3.5"), 6: Decimal(2), 25: Decimal("0.3")}, target) == rate
    assert rate_for({10: Decimal(4)}, 2) == 4_000
    assert rate_for({1: Decimal(1), 6: Decimal(3)}, 1) == 3_000, "a faster target never costs less"
    assert rate_for({6: Decimal(2)}, 6, FeeRate(5_000)) == 5_000
    with pytest.raises(FeeTooHigh, match="the node estimates 10001 sat/vB, which is no fee rate"):
        rate_for({6: Decimal(10_001)}, 6)


def test_the_fee_out_of_the_amount(rich: Wallet, chain: Chain) -> None:
    sent = rich.pay(rich.order(STRANGER_ADDRESS, 10 * COIN, subtract_fee=True))
    assert [o.value for o in pool_tx(chain, sent).outputs] == [10 * COIN - sent.fee]
    assert (sent.change, rich.balance().spendable) == (None, 0)


def test_only_the_coins_named(rich: Wallet, chain: Chain) -> None:
    named = sorted(rich.look().coins)[2:4]
    sent = rich.pay(rich.order(STRANGER_ADDRESS, 5_000, only=named))
    assert sorted(coin.outpoint for coin in sent.coins) == named
    with pytest.raises(ShortOfFunds, match="is not this wallet's, or spent"):
        rich.pay(rich.order(STRANGER_ADDRESS, 5_000, only=named))
    other = next(coin.outpoint for coin in rich.look().coins.values() if coin.value == COIN)
    with pytest.raises(ShortOfFunds, match=r"not enough coins: at most 0\.99999780 coins"):
        rich.pay(rich.order(STRANGER_ADDRESS, COIN, only=[other]))


def test_several_payments_at_once(rich: Wallet, chain: Chain) -> None:
    payments = tuple(TxOut(10_000 + n, STRANGER_SCRIPT) for n in range(100))
    tx = pool_tx(chain, rich.pay(Order(payments)))
    assert {o.value for o in tx.outputs} >= {p.value for p in payments}
    with pytest.raises(WalletError, match="single payment"):
        rich.pay(Order(payments, subtract_fee=True))
    with pytest.raises(WalletError, match="1 to 1000"):
        rich.pay(Order(()))


def test_paying_oneself(rich: Wallet, chain: Chain) -> None:
    sent = rich.send(rich.address_of(KeyPath(RECEIVE, 1)), 5_000)
    assert rich.balance().spendable == 10 * COIN - sent.fee
    entry = rich.history()[0][0]
    assert (entry.kind, entry.net, entry.fee, entry.counterparties) == (HistoryKind.SELF, -sent.fee, sent.fee, ())


def test_coinbases_are_spent_from_the_very_block_on_that_may(wallet: Wallet, chain: Chain) -> None:
    coinbase = chain.mine(1, script_of(wallet))[0]
    chain.mine(98)
    assert (wallet.balance().immature, chain.height) == (50 * COIN, 99)
    with pytest.raises(ShortOfFunds):
        wallet.send(STRANGER_ADDRESS, 5_000)
    with pytest.raises(WalletError, match="mined less than 100 blocks ago"):
        wallet.pay(wallet.order(STRANGER_ADDRESS, 5_000, only=[outpoint(coinbase.txid, 0)]))
    chain.mine()
    assert wallet.balance().spendable == 50 * COIN
    assert wallet.send(STRANGER_ADDRESS, 5_000).txid in chain.pool


def test_confirmed_coins_come_first_then_our_own_then_other_peoples(wallet: Wallet, chain: Chain) -> None:
    chain.pay(script_of(wallet), COIN)
    chain.pay(script_of(wallet, 1), 3 * COIN, mine=False)
    first = wallet.send(STRANGER_ADDRESS, COIN // 2)
    assert [coin.path for coin in first.coins] == [KeyPath(RECEIVE, 0)]
    second = wallet.send(STRANGER_ADDRESS, COIN // 4)
    assert [coin.path for coin in second.coins] == [KeyPath(CHANGE, 0)]
    third = wallet.send(STRANGER_ADDRESS, COIN)
    assert KeyPath(RECEIVE, 1) in [coin.path for coin in third.coins]


# what is refused


def test_too_little_money(rich: Wallet, chain: Chain) -> None:
    before = list(chain.handed_in)
    with pytest.raises(ShortOfFunds, match="not enough coins: "):
        rich.send(STRANGER_ADDRESS, 10 * COIN)
    with pytest.raises(WalletError, match="293 sat is too little to pay"):
        rich.send(STRANGER_ADDRESS, 293)
    assert chain.handed_in == before


ABOVE = [
    (1_000, None, 700, "follows the node's 700 sat/vB, above 100"),
    (1_400_000, None, 9_900, "follows the node's 9900 sat/vB"),
    (9 * COIN, None, 101, "follows the node's 101 sat/vB, above 100"),
    (10_000, None, 11, "of 1551 sat is more than a tenth of the 10000 sat paid"),
    (50_000, 800_000, 2, "is more than a tenth of the 50000 sat paid"),
    (18 * COIN, 9_999_999, 2, "is above 0.10000000 coins"),
]


@pytest.mark.parametrize(("amount", "rate", "estimate", "says"), ABOVE)
def test_no_fee_above_the_ceiling_is_signed(
    rich: Wallet, make_wallet: MakeWallet, chain: Chain, amount: int, rate: int | None, estimate: int, says: str
) -> None:
    """Whoever asks for it: the node's estimates, its minimum, or a person who named the rate alone."""
    chain.pay(script_of(rich), *[COIN] * 10)
    before = list(chain.handed_in)
    order = rich.order(STRANGER_ADDRESS, amount, rate=None if rate is None else FeeRate(rate))
    for claims in ({"estimates": {"6": estimate}}, {"estimates": {"6": 1}, "minimum": estimate}):
        vars(chain).update(claims)
        wallet = make_wallet()
        with pytest.raises(FeeTooHigh, match=f"{re.escape(says)}.*: nothing was sent"):
            wallet.pay(order)
        with pytest.raises(FeeTooHigh, match=f"{re.escape(says)}.*: nothing was sent"):
            wallet.pay_draft(wallet.draft(order))
    assert chain.handed_in == before


def test_a_fee_that_a_person_named(rich: Wallet, chain: Chain) -> None:
    chain.estimates = {"6": 700}
    for call in (
        lambda: rich.send(STRANGER_ADDRESS, 1_000, max_fee=98_699),
        lambda: rich.pay_draft(rich.draft(rich.order(STRANGER_ADDRESS, 1_000, max_fee=98_699))),
    ):
        with pytest.raises(FeeTooHigh, match="fee of 98700 sat is above the maximum of 98699 sat: nothing was sent"):
            call()
    assert rich.send(STRANGER_ADDRESS, 1_000, max_fee=98_700).fee == 98_700
    agreed = rich.draft(rich.order(STRANGER_ADDRESS, 1_000)).agreed()
    chain.estimates = {"6": 9_900}
    assert rich.pay_draft(agreed).fee == 98_700


@pytest.mark.parametrize(("amount", "estimate"), [(300, 10), (1_000, 2), (14_100, 10), (141_000, 100), (9 * COIN, 100)])
def test_ordinary_fees_need_no_leave(rich: Wallet, chain: Chain, amount: int, estimate: int) -> None:
    chain.estimates = {"6": estimate}
    assert rich.send(STRANGER_ADDRESS, amount).fee >= 141 * estimate


def test_the_nodes_minimum_is_met_and_known_before_anything_is_signed(rich: Wallet, chain: Chain) -> None:
    chain.minimum = 5
    assert rich.send(STRANGER_ADDRESS, COIN // 2).fee == 5 * 141  # and not the estimate, 2
    before = list(chain.handed_in)
    order = rich.order(STRANGER_ADDRESS, COIN // 2, rate=FeeRate(4_999))
    assert rich.draft(order).below_minimum == (
        "the node takes no less than 5 sat/vB now, and 4.999 is below: give --fee-rate 5 or more"
    )
    with pytest.raises(WalletError, match=r"the node takes no less than 5 sat/vB now.*; nothing was sent"):
        rich.pay(order)
    assert chain.handed_in == before


def test_everything(rich: Wallet, chain: Chain) -> None:
    chain.mine(1, script_of(rich))  # immature
    chain.pay(script_of(rich), 340, mine=False)  # costs as much as it brings, at 5 sat/vB
    chain.pay(script_of(rich), 5_000, mine=False)
    sent = rich.send(STRANGER_ADDRESS, None, rate=FeeRate(5_000))
    assert [o.value for o in pool_tx(chain, sent).outputs] == [10 * COIN + 5_000 - sent.fee]
    assert (sent.change, len(sent.coins), rich.balance().spendable) == (None, 11, 340)
    with pytest.raises(ShortOfFunds, match="nothing would be left to send after the fee"):
        rich.send(STRANGER_ADDRESS, None)


def test_everything_of_the_coins_named(rich: Wallet, chain: Chain) -> None:
    named = sorted(rich.look().coins)[2:4]
    sent = rich.pay(rich.order(STRANGER_ADDRESS, None, only=named))
    assert sorted(coin.outpoint for coin in sent.coins) == named
    assert [o.value for o in sent.payments] == [2 * COIN - sent.fee]


@pytest.mark.parametrize("rate", [1_000, 2_500, 77_777])
def test_what_a_shortage_says_can_be_sent(rich: Wallet, chain: Chain, rate: int) -> None:
    """To the satoshi, and it is what everything comes to."""
    with pytest.raises(ShortOfFunds) as short:
        rich.send(STRANGER_ADDRESS, 10 * COIN, rate=FeeRate(rate))
    most = parse_amount(re.findall(r"at most ([\d.]+) coins", str(short.value))[0])
    everything = rich.draft(rich.order(STRANGER_ADDRESS, None, rate=FeeRate(rate)))
    assert [o.value for o in everything.payments] == [most]
    with pytest.raises(ShortOfFunds):
        rich.send(STRANGER_ADDRESS, most + 1, rate=FeeRate(rate))
    assert rich.send(STRANGER_ADDRESS, most, rate=FeeRate(rate)).change is None


@pytest.mark.parametrize(("rate", "least"), [(1_000, 435), (100_000, 14_394)])
def test_too_little_left_of_the_amount(rich: Wallet, chain: Chain, rate: int, least: int) -> None:
    """A payment out of one coin, with change: 141 vB, and 294 sat have to be left."""
    for amount in (294, least - 32 * rate // 1_000, least - 1):
        with pytest.raises(ShortOfFunds, match="too little would be left of the amount after the fee: pay more"):
            rich.pay(rich.order(STRANGER_ADDRESS, amount, rate=FeeRate(rate), subtract_fee=True))
    draft = rich.draft(rich.order(STRANGER_ADDRESS, least, rate=FeeRate(rate), subtract_fee=True))
    assert [o.value for o in draft.payments] == [294]


def test_without_the_password_nothing_is_sent(make_wallet: MakeWallet, rich: Wallet) -> None:
    reader = make_wallet(password=None)
    assert reader.balance().spendable == 10 * COIN
    with pytest.raises(WalletError, match="needs the wallet's password"):
        reader.send(STRANGER_ADDRESS, 5_000)
    with pytest.raises(WrongPassword, match="wrong password"):
        make_wallet(password="wrong")


def test_a_node_of_another_network(rich: Wallet, server: Server, make_wallet: MakeWallet) -> None:
    server.before = lambda path: (200, "00" * 32) if path == "/block-height/0" else None
    wallet = make_wallet()
    for call in (wallet.balance, wallet.history, wallet.address, lambda: wallet.send(STRANGER_ADDRESS, 5_000)):
        with pytest.raises(WalletError, match="the node is on another network than this wallet"):
            call()


def test_a_node_of_another_network_with_the_same_genesis(
    rich: Wallet, make_wallet: MakeWallet, chain: Chain, server: Server
) -> None:
    """Regtest and devnets begin with the same block."""
    chain.network = devnet_params()
    wallet, before = make_wallet(), len(chain.handed_in)
    theirs, own = devnet_params().network_id.hex()[:8], REGTEST.network_id.hex()[:8]
    says = f"the node is on network devnet ({theirs}), this wallet on regtest ({own}): give another --node"
    order = wallet.order(STRANGER_ADDRESS, 5_000)
    for call in (
        wallet.balance, wallet.history, wallet.address, wallet.new_address, wallet.look,
        lambda: wallet.draft(order), lambda: wallet.pay(order),
    ):  # fmt: skip
        with pytest.raises(WalletError, match=re.escape(says)):
            call()
    assert len(chain.handed_in) == before
    chain.network = REGTEST
    assert wallet.balance().confirmed == 10 * COIN


@pytest.mark.parametrize(
    "answer", ["<html>", "{}", '{"name": 1, "id": "00"}', '{"name": "x\\u0007", "id": "%s"}' % ("00" * 32)]
)
def test_a_node_that_does_not_tell_its_network(
    rich: Wallet, make_wallet: MakeWallet, server: Server, answer: str
) -> None:
    """Esplora's own servers do not; some answer every route with a page."""
    server.before = lambda path: (200, answer) if path.startswith("/v1/") else None
    assert make_wallet().send(STRANGER_ADDRESS, 5_000).fee == 282


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("-26: mempool min fee not met, 141 < 900", "the fee is too low for the node now .* with a higher --fee-rate"),
        ("-26: min relay fee not met, 1 < 2", "with a higher --fee-rate to replace it"),
        ("-26: something-new", "the node refused the payment .-26: something-new.: .* keeps its coins"),
        ("-26: non-final", "the node refused the payment .-26: non-final.: .* is signed"),
        ("-25: bad-txns-inputs-missingorspent", "the node says that the coins are spent or unknown .* is signed"),
        ("-26: too-long-mempool-chain, too many", "as many unconfirmed transactions in a row .* is signed and waits"),
    ],
)
def test_a_refused_payment_keeps_its_coins(rich: Wallet, chain: Chain, reason: str, says: str) -> None:
    chain.refuse_next = [reason]
    with pytest.raises((PaymentRefused, ChainLimit), match=says):
        rich.send(STRANGER_ADDRESS, 5_000)
    assert chain.pool == {}
    assert len(chain.handed_in) == 2  # the stranger's payment, and the one refused
    # The next look offers it again; it counts as paid, and its coin is not spent by another.
    chain.refuse_next = [reason]
    balance = rich.balance()
    assert (balance.confirmed, balance.spendable) == (9 * COIN, 9 * COIN)
    assert balance.unconfirmed == COIN - 5_000 - 282
    other = rich.send(STRANGER_ADDRESS, 7_000)
    assert not {coin.outpoint for coin in other.coins} & set(spent_by(rich, chain.handed_in[1]))


def spent_by(wallet: Wallet, txid: Txid) -> tuple[OutPoint, ...]:
    return next(payment.spent for payment in wallet.look().payments if payment.txid == txid)


def test_a_busy_node_is_asked_again(rich: Wallet, chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broadcast, "BUSY_PAUSE_S", 0.001)
    chain.refuse_next = ["-26: busy"] * 3
    assert rich.send(STRANGER_ADDRESS, 5_000).txid in chain.pool


# many payments


def test_payments_in_quick_succession(rich: Wallet, chain: Chain, server: Server) -> None:
    rich.send(STRANGER_ADDRESS, 5_000)
    server.requests.clear()
    sent = [rich.send(STRANGER_ADDRESS, 5_000 + n) for n in range(30)]
    # While the tip stays: is it still there, what fee, are the coins unspent, and the payment. The chain
    # is looked at once, when so much change is out that a restored wallet might not find it.
    looks = [request for request in server.requests if "/scripthash/" in request or "/block/" in request]
    assert len(server.requests) - len(looks) <= 4 * 30 + 1
    assert len([request for request in looks if "/block/" in request]) == 1
    spent = [coin.outpoint for payment in sent for coin in payment.coins]
    assert len(spent) == len(set(spent))
    assert {payment.txid for payment in sent} <= set(chain.pool)
    assert len(chain.pool) == 31
    change = [payment.change.path for payment in sent if payment.change]
    assert len(set(change)) == len(change)


def test_two_open_wallets_on_one_file(rich: Wallet, make_wallet: MakeWallet, chain: Chain) -> None:
    other = make_wallet()
    for _ in range(8):
        rich.send(STRANGER_ADDRESS, 600_000)
        other.send(STRANGER_ADDRESS, 700_000)
    assert len(chain.pool) == 16


def test_threads_with_a_wallet_each(
    rich: Wallet, make_wallet: MakeWallet, chain: Chain, server: Server, tmp_path: Path
) -> None:
    failures: list[Exception] = []

    def pay() -> None:
        try:
            with Esplora([server.url]) as client:
                wallet = Wallet.open(tmp_path / "wallet0.json", PASSWORD, client)
                for _ in range(6):
                    wallet.send(STRANGER_ADDRESS, 1_000_000)
        except WalletError as error:
            failures.append(error)

    threads = [threading.Thread(target=pay) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(chain.pool) == 18


def test_the_limit_of_payments_in_a_row(wallet: Wallet, chain: Chain) -> None:
    chain.pay(script_of(wallet), COIN)
    for _ in range(25):
        wallet.send(STRANGER_ADDRESS, 5_000)
    before = len(chain.handed_in)
    with pytest.raises(ChainLimit, match="wait for a block, or let --wait do it"):
        wallet.send(STRANGER_ADDRESS, 5_000)
    assert len(chain.handed_in) == before  # known without asking
    chain.mine()
    assert wallet.send(STRANGER_ADDRESS, 5_000).txid in chain.pool


def test_the_limit_of_payments_on_one_that_was_split(wallet: Wallet, chain: Chain) -> None:
    chain.pay(script_of(wallet), COIN)
    wallet.pay(Order((TxOut(900_000, script_of(wallet)),) * 60))
    for _ in range(24):
        wallet.send(STRANGER_ADDRESS, 5_000)
    before = len(chain.handed_in)
    with pytest.raises(ChainLimit):
        wallet.send(STRANGER_ADDRESS, 5_000)
    assert (len(chain.pool), len(chain.handed_in)) == (25, before)
    chain.mine()
    assert wallet.send(STRANGER_ADDRESS, 5_000).txid in chain.pool


def test_a_limit_that_only_the_node_knows(wallet: Wallet, make_wallet: MakeWallet, chain: Chain) -> None:
    """Another wallet's row of payments ends in a coin of ours: the node refuses it, other coins do."""
    other = make_wallet(1)
    chain.pay(script_of(other), COIN)
    for _ in range(24):
        other.send(STRANGER_ADDRESS, 5_000)
    other.pay(other.order(wallet.address().address, other.balance().spendable, subtract_fee=True))
    with pytest.raises(ChainLimit, match="is signed and waits"):
        wallet.send(STRANGER_ADDRESS, 5_000)
    waiting = chain.handed_in[-1]
    chain.pay(script_of(wallet, 1), 100_000, mine=False)
    sent = wallet.send(STRANGER_ADDRESS, 6_000)
    assert [coin.value for coin in sent.coins] == [100_000]
    # The same order goes on with the payment that is signed, and nothing else is paid for it.
    with pytest.raises(ChainLimit, match="is signed and waits"):
        wallet.send(STRANGER_ADDRESS, 5_000)
    chain.mine()
    assert wallet.send(STRANGER_ADDRESS, 5_000).txid == waiting
    assert set(chain.pool) == {waiting}


def test_waiting_for_a_block_at_the_limit(wallet: Wallet, chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "TIP_POLL_S", 0.01)
    chain.pay(script_of(wallet), COIN)
    for _ in range(25):
        wallet.send(STRANGER_ADDRESS, 5_000)
    said: list[str] = []

    def on_wait(line: str) -> None:
        said.append(line)
        timer.start()

    timer = threading.Timer(0.1, chain.mine)
    sent = wallet.pay(wallet.order(STRANGER_ADDRESS, 5_000), wait=True, on_wait=on_wait)
    timer.join()
    assert sent.txid in chain.pool
    assert said == [f"at the node's limit of unconfirmed transactions: waiting for block {chain.height}"]


def test_waiting_for_a_block_that_does_not_come(wallet: Wallet, chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "TIP_POLL_S", 0.01)
    monkeypatch.setattr(account, "WAIT_S", 0.1)
    chain.pay(script_of(wallet), COIN)
    for _ in range(25):
        wallet.send(STRANGER_ADDRESS, 5_000)
    with pytest.raises(ChainLimit, match="is anybody mining"):
        wallet.send(STRANGER_ADDRESS, 5_000, wait=True)


def test_settled_addresses_are_not_asked_about_again(
    rich: Wallet, chain: Chain, server: Server, tmp_path: Path
) -> None:
    for _ in range(12):
        rich.send(STRANGER_ADDRESS, 60_000_000)
        chain.mine(7)
    settled = WalletFile(tmp_path / "wallet0.json").state.settled
    assert len(settled) >= 3
    server.requests.clear()
    rich.send(STRANGER_ADDRESS, 5_000)
    asked = {request.split("/")[2] for request in server.requests if "/scripthash/" in request}
    assert len(asked) >= 40
    assert not asked & {sha256(payable_script(rich.address_of(path))).hex() for path in settled}
    # But when money is short, everything is.
    spendable = rich.balance().spendable
    chain.pay(payable_script(rich.address_of(KeyPath(CHANGE, 0))), 5 * COIN)
    assert rich.send(STRANGER_ADDRESS, spendable + COIN).txid in chain.pool


# when things go wrong


def test_a_coin_that_a_copy_of_the_wallet_spent(rich: Wallet, make_wallet: MakeWallet, chain: Chain) -> None:
    copy = make_wallet(0, "copy")
    rich.send(STRANGER_ADDRESS, 5_000)
    everything = copy.pay(copy.order(STRANGER_ADDRESS, 9 * COIN))
    # The tip is the same, so the first wallet believes in coins that are gone.
    sent = rich.send(STRANGER_ADDRESS, 6_000)
    assert {everything.txid, sent.txid} <= set(chain.pool)


def test_payments_that_the_node_lost_are_handed_over_again(rich: Wallet, chain: Chain, make_wallet: MakeWallet) -> None:
    sent = [rich.send(STRANGER_ADDRESS, 3 * COIN // 2 + n) for n in range(6)]  # some on the ones before
    expected = rich.balance()
    for reader in (rich.balance, rich.history, rich.look, make_wallet(password=None).balance):
        chain.forget()
        reader()
        assert set(chain.pool) == {payment.txid for payment in sent}
    assert rich.balance() == expected
    chain.forget()
    chain.mine()
    rich.send(STRANGER_ADDRESS, 5_000)
    assert len(chain.pool) == 7


def test_payments_of_a_branch_that_lost(rich: Wallet, chain: Chain) -> None:
    sent = rich.send(STRANGER_ADDRESS, 5_000)
    chain.mine(3)
    assert rich.history()[0][0].height == chain.height - 2
    chain.rewind(3)
    chain.forget()
    chain.mine(4)
    entry = rich.history()[0][0]
    assert (entry.txid, entry.height) == (sent.txid, None)
    assert sent.txid in chain.pool


def test_a_payment_whose_coins_are_gone_counts_for_nothing(
    rich: Wallet, make_wallet: MakeWallet, chain: Chain, tmp_path: Path
) -> None:
    lost = rich.send(STRANGER_ADDRESS, 5_000)
    chain.forget()
    copy = make_wallet(0, "copy")
    everything = copy.pay(copy.order(STRANGER_ADDRESS, 10 * COIN, subtract_fee=True))
    chain.mine()
    assert rich.balance().spendable == 0
    assert rich.history()[0][0].status is Status.WAITING
    assert "It is lost once that has 6 confirmations" in rich.warnings[0]
    chain.mine(5)
    rich.warnings.clear()
    entry = rich.history()[0][-1]
    assert (entry.txid, entry.status, entry.conflict) == (lost.txid, Status.LOST, everything.txid)
    assert ["is lost" in warning for warning in rich.warnings] == [True]
    rich.warnings.clear()
    assert rich.balance().spendable == 0
    assert rich.warnings == []  # it was said once
    with pytest.raises(ShortOfFunds):
        rich.send(STRANGER_ADDRESS, 5_001)
    # Were that branch to lose, the payment would count again.
    chain.rewind(6)
    chain.forget()
    assert rich.history()[0][0].txid == lost.txid
    assert lost.txid in chain.pool


def test_one_coin_gone_sets_the_others_of_a_payment_free(rich: Wallet, make_wallet: MakeWallet, chain: Chain) -> None:
    lost = rich.send(STRANGER_ADDRESS, 3 * COIN // 2)
    assert len(lost.coins) == 2
    chain.forget()
    copy = make_wallet(0, "copy")
    copy.pay(copy.order(STRANGER_ADDRESS, COIN, only=[lost.coins[0].outpoint], subtract_fee=True))
    chain.mine(5)
    assert rich.balance().confirmed == 8 * COIN  # it might still be mined, were the branch to lose
    chain.mine()
    assert rich.balance().confirmed == 9 * COIN
    assert rich.pay(rich.order(STRANGER_ADDRESS, 9 * COIN, subtract_fee=True)).txid in chain.pool


def test_a_buried_payment_is_forgotten_and_a_young_one_kept(rich: Wallet, chain: Chain, tmp_path: Path) -> None:
    rich.send(STRANGER_ADDRESS, 5_000)
    chain.mine(5)
    rich.send(STRANGER_ADDRESS, 6_000)
    state = WalletFile(tmp_path / "wallet0.json").state
    assert [(p.stage, p.height) for p in state.payments] == [(Stage.SEEN, chain.height - 4), (Stage.SEEN, None)]
    chain.mine()
    rich.send(STRANGER_ADDRESS, 7_000)
    state = WalletFile(tmp_path / "wallet0.json").state
    buried = chain.height
    assert [(p.stage, p.height) for p in state.payments] == [
        (Stage.BURIED, buried - 5),
        (Stage.SEEN, buried),
        (Stage.SEEN, None),
    ]
    # One node's word at one time is not enough to forget it.
    chain.mine(KEEP_BLOCKS - 1)
    rich.send(STRANGER_ADDRESS, 8_000)
    assert len(WalletFile(tmp_path / "wallet0.json").state.payments) == 4
    chain.mine()
    rich.send(STRANGER_ADDRESS, 9_000)
    assert len(WalletFile(tmp_path / "wallet0.json").state.payments) == 4


def test_no_answer_means_perhaps(rich: Wallet, chain: Chain, server: Server, tmp_path: Path) -> None:
    with Esplora([server.url], deadline_s=0.1) as client:
        wallet = Wallet.open(tmp_path / "wallet0.json", PASSWORD, client)
        wallet.send(STRANGER_ADDRESS, 5_000)
        server.before = lambda path: (504, "") if path == "/tx" else None
        with pytest.raises(NodeUnreachable, match=r"may have been sent: do not repeat it.*see `wallet history`"):
            wallet.send(STRANGER_ADDRESS, 60_000)
    assert len(chain.pool) == 1
    server.before = lambda path: None
    # It is remembered: its coins are not spent again, and the next command hands it over.
    assert rich.balance().unconfirmed > 0
    assert len(chain.pool) == 2


def test_an_interrupted_payment_says_what_is_known(rich: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Esplora, "send", interrupted)
    with pytest.raises(NodeUnreachable, match=r"may have been sent: do not repeat it.*interrupted"):
        rich.send(STRANGER_ADDRESS, 60_000)


def test_a_refusal_to_relay_again_is_a_warning_not_a_failure(rich: Wallet, chain: Chain) -> None:
    sent = rich.send(STRANGER_ADDRESS, 5_000)
    before = rich.balance()
    chain.forget()
    chain.refuse_next = ["-26: mempool min fee not met"]
    assert rich.balance() == replace(before, spendable=9 * COIN)  # less its change
    assert rich.warnings == [
        f"payment {sent.txid[::-1].hex()} waits: the node does not take it (-26: mempool min fee not met)"
    ]


def test_a_payment_confirmed_while_nobody_looked(rich: Wallet, chain: Chain, tmp_path: Path) -> None:
    """Its own address is not on the page read, and its coins are spent: the node is asked by id."""
    sent = rich.pay(rich.order(STRANGER_ADDRESS, 10 * COIN, subtract_fee=True))
    chain.mine()
    chain.mine(60, script_of(rich))
    assert rich.balance().confirmed == 0
    assert [(p.stage, p.height) for p in rich.look().payments] == [(Stage.BURIED, 2)]
    assert sent.txid in {entry.txid for entry in rich.history()[0]}
    chain.pay(script_of(rich, 1), COIN)
    rich.send(STRANGER_ADDRESS, 5_000)
    payments = WalletFile(tmp_path / "wallet0.json").state.payments
    assert [p.stage for p in payments] == [Stage.BURIED, Stage.SEEN]


# drafts


def test_a_draft_is_sent_as_shown(rich: Wallet, chain: Chain) -> None:
    draft = rich.draft(rich.order(STRANGER_ADDRESS, 5_000))
    assert chain.pool == {}
    sent = rich.pay_draft(draft)
    assert (sent.txid, sent.fee, sent.coins, sent.change) == (draft.tx.txid, draft.fee, draft.coins, draft.change)
    assert sent.txid in chain.pool


def test_a_draft_knows_what_happened_since_the_last_payment(
    rich: Wallet, chain: Chain, make_wallet: MakeWallet
) -> None:
    rich.send(STRANGER_ADDRESS, 5_000)
    copy = make_wallet(0, "copy")
    copy.pay(copy.order(STRANGER_ADDRESS, 9 * COIN))  # at the same tip
    draft = rich.draft(rich.order(STRANGER_ADDRESS, 5_000))
    assert rich.pay_draft(draft).txid in chain.pool


def test_a_draft_whose_coins_were_taken_meanwhile(wallet: Wallet, chain: Chain, make_wallet: MakeWallet) -> None:
    chain.pay(script_of(wallet), COIN)
    draft = wallet.draft(wallet.order(STRANGER_ADDRESS, 5_000))
    make_wallet().send(STRANGER_ADDRESS, 5_000)
    with pytest.raises(WalletError, match="came in between: nothing was sent"):
        wallet.pay_draft(draft)
    assert len(chain.pool) == 1


def test_a_draft_whose_change_address_was_taken_meanwhile(rich: Wallet, chain: Chain, make_wallet: MakeWallet) -> None:
    draft = rich.draft(rich.order(STRANGER_ADDRESS, 5_000))
    other = next(point for point in rich.look().coins if point not in {coin.outpoint for coin in draft.coins})
    rich.pay(rich.order(STRANGER_ADDRESS, 5_000, only=[other]))
    with pytest.raises(WalletError, match="came in between: nothing was sent"):
        rich.pay_draft(draft)
    assert len(chain.pool) == 1


def test_a_draft_over_a_new_block(rich: Wallet, chain: Chain) -> None:
    draft = rich.draft(rich.order(STRANGER_ADDRESS, 5_000))
    chain.mine(2)
    assert rich.pay_draft(draft).txid in chain.pool


def test_a_draft_leaves_no_trace(rich: Wallet, tmp_path: Path) -> None:
    before = (tmp_path / "wallet0.json").read_bytes()
    rich.draft(rich.order(STRANGER_ADDRESS, 5_000))
    rich.balance()
    rich.history()
    rich.address()
    assert (tmp_path / "wallet0.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.name != "wallet0.json.lock"] == ["wallet0.json"]


# history and addresses


def test_history(wallet: Wallet, chain: Chain) -> None:
    chain.mine(1, script_of(wallet))
    chain.mine(99)
    chain.pay(script_of(wallet), 70_000)
    received_height = chain.height
    sent = wallet.send(STRANGER_ADDRESS, 30_000)
    entries, tip = wallet.history()
    assert tip.height == chain.height
    facts = [(e.kind, e.net, e.fee, e.height, e.counterparties) for e in entries]
    assert facts == [
        (HistoryKind.SENT, -30_000 - sent.fee, sent.fee, None, (STRANGER_ADDRESS,)),
        (HistoryKind.RECEIVED, 70_000, None, received_height, (STRANGER_ADDRESS,)),
        (HistoryKind.MINED, 50 * COIN, None, 1, ()),
    ]
    assert entries[0].time is None
    assert entries[2].time == 1_700_000_010
    assert sum(entry.net for entry in entries) == wallet.balance().spendable


def test_addresses(wallet: Wallet, chain: Chain) -> None:
    assert wallet.address().index == wallet.address().index == 0
    assert [wallet.new_address().index for _ in range(3)] == [1, 2, 3]
    assert wallet.address().index == 0
    chain.pay(script_of(wallet, 0), 5_000, mine=False)
    chain.pay(script_of(wallet, 2), 5_000)
    assert wallet.address().index == 1
    chain.pay(script_of(wallet, 1), 5_000)
    assert wallet.address().index == 3
    # Somebody paid an address that only a copy of the wallet handed out.
    chain.pay(script_of(wallet, 9), 5_000)
    assert wallet.address().index == 3
    assert wallet.new_address().index == 10
    assert wallet.address().address == wallet.address_of(KeyPath(RECEIVE, 3))


def test_a_new_address_follows_the_one_shown(wallet: Wallet, chain: Chain) -> None:
    chain.pay(script_of(wallet, 0), 5_000)
    assert wallet.address().index == 1
    assert wallet.new_address().index == 2


def test_addresses_beyond_the_gap_are_warned_of(wallet: Wallet) -> None:
    warnings = [wallet.new_address().warning for _ in range(20)]
    assert warnings[:19] == [None] * 19
    assert "20 addresses before it are unused" in (warnings[19] or "")


def test_addresses_without_a_node(tmp_path: Path) -> None:
    WalletFile.create(tmp_path / "w.json", words_from_entropy(bytes(16)), "x", REGTEST, Esplora.pause, CHEAP)
    with Esplora(["http://127.0.0.1:1"]) as client:
        wallet = Wallet.open(tmp_path / "w.json", None, client)
        assert wallet.address_of(KeyPath(RECEIVE, 0)) == wallet.address().address
        assert "not checked whether it was used: no node answers" in (wallet.address().warning or "")
        assert wallet.new_address().index == 1
        assert wallet.address().index == 1


def test_change_comes_back_to_fresh_addresses_only(rich: Wallet, chain: Chain) -> None:
    paths = []
    for n in range(5):
        sent = rich.send(STRANGER_ADDRESS, 5_000 + n)
        assert sent.change
        paths.append(sent.change.path.index)
        chain.mine(n)
    assert paths == [0, 1, 2, 3, 4]
    assert all(outpoint_txid(point) != b"" for point in rich.look().coins)
