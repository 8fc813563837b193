"""Payments of one wallet that conflict with each other, and those that stand on them."""

from pathlib import Path

import pytest

from chain.hashes import to_hex
from chain.tx import COIN, outpoint_txid
from tests.wallet.conftest import PASSWORD, MakeWallet
from tests.wallet.esplora_server import STRANGER_ADDRESS, STRANGER_SCRIPT, Chain, Server, serve
from wallet.account import Wallet
from wallet.build import payable_script
from wallet.client import Esplora
from wallet.delivery import conflicts_with_all
from wallet.derivation import RECEIVE, KeyPath
from wallet.errors import PaymentRefused, WalletError
from wallet.payment import Payment, Stage

GONE = "-25: bad-txns-inputs-missingorspent"
LOW = "-26: mempool min fee not met"


def script_of(wallet: Wallet, index: int = 0) -> bytes:
    return payable_script(wallet.address_of(KeyPath(RECEIVE, index)))


def stages(wallet: Wallet) -> list[Stage]:
    return [payment.stage for payment in wallet.look().payments]


def refused_then_replaced(wallet: Wallet, chain: Chain, amount: int, refusals: int = 2) -> list[Payment]:
    """A payment that was refused so often, and the one made in its place, which is sent."""
    chain.refuse_next = [LOW] * refusals
    with pytest.raises(PaymentRefused):
        wallet.send(STRANGER_ADDRESS, amount)
    wallet.send(STRANGER_ADDRESS, amount)
    payments = list(wallet._file.state.payments)
    assert len(payments) == 2
    assert list(chain.pool) == [payments[1].txid]
    return payments


# an order with several payments


def test_an_order_whose_replacement_was_sent_is_settled(wallet: Wallet, chain: Chain) -> None:
    """The same order again is another payment, though the first one is not buried."""
    chain.pay(script_of(wallet), COIN, COIN)
    refused_then_replaced(wallet, chain, 60_000)
    again = wallet.send(STRANGER_ADDRESS, 60_000)
    assert len(chain.pool) == 2
    assert again.txid in chain.pool
    assert "nothing more was paid" not in " ".join(wallet.warnings)


def test_a_replaced_payment_s_change_is_not_counted_beside_the_other_s(wallet: Wallet, chain: Chain) -> None:
    chain.pay(script_of(wallet), COIN)
    _, second = refused_then_replaced(wallet, chain, 60_000)
    for _ in range(2):
        assert wallet.balance().unconfirmed == COIN - 60_000 - second.fee
        assert {outpoint_txid(point) for point in wallet.look().coins} == {second.txid}
    chain.mine()
    assert wallet.balance().confirmed == COIN - 60_000 - second.fee
    assert wallet.balance().unconfirmed == 0
    chain.mine(5)
    assert stages(wallet) == [Stage.DEAD, Stage.BURIED]
    assert wallet.balance().confirmed == COIN - 60_000 - second.fee


def test_a_replaced_payment_is_not_handed_over_before_the_other(wallet: Wallet, chain: Chain) -> None:
    chain.pay(script_of(wallet), COIN)
    _, second = refused_then_replaced(wallet, chain, 60_000)
    chain.forget()
    chain.handed_in.clear()
    assert stages(wallet) == [Stage.HANDED_OUT, Stage.SEEN]
    assert chain.handed_in == [second.txid]


def test_a_payment_from_many_coins_can_be_replaced(wallet: Wallet, chain: Chain) -> None:
    for _ in range(40):
        chain.pay(script_of(wallet), 100_000)
    first, second = refused_then_replaced(wallet, chain, 3_500_000, 3)
    assert conflicts_with_all(second.spent, [first])


def test_a_payment_that_is_taken_while_its_replacement_is_planned(wallet: Wallet, chain: Chain) -> None:
    for _ in range(40):
        chain.pay(script_of(wallet), 100_000)
    chain.refuse_next = [LOW] * 2
    with pytest.raises(PaymentRefused):
        wallet.send(STRANGER_ADDRESS, 3_500_000)
    sent = wallet.send(STRANGER_ADDRESS, 3_500_000)
    assert [payment.txid for payment in wallet._file.state.payments] == [sent.txid] == list(chain.pool)


def test_an_order_is_seen_once_more_before_it_is_called_sent(wallet: Wallet, chain: Chain, server: Server) -> None:
    """A node showed it, and has lost its mempool since."""
    chain.pay(script_of(wallet), COIN)
    chain.refuse_next = [LOW]
    with pytest.raises(PaymentRefused):
        wallet.send(STRANGER_ADDRESS, 60_000)
    assert stages(wallet) == [Stage.SEEN]
    assert [payment.counted for payment in wallet.look().payments] == [True]
    chain.forget()
    sent = wallet.send(STRANGER_ADDRESS, 60_000)
    assert list(chain.pool) == [sent.txid]


def test_a_draft_beside_a_payment_of_the_same_order(wallet: Wallet, chain: Chain, make_wallet: MakeWallet) -> None:
    """Without change in either the next change address does not tell that something came in between."""
    chain.pay(script_of(wallet), COIN, COIN)
    one, other = sorted(wallet.look().spendable)
    amount = COIN - 220
    draft = wallet.draft(wallet.order(STRANGER_ADDRESS, amount, only=[one]))
    process = make_wallet()
    chain.refuse_next = [LOW] * 2
    with pytest.raises(PaymentRefused):
        process.pay(process.order(STRANGER_ADDRESS, amount, only=[other]))
    assert not process._file.state.payments[0].outputs
    with pytest.raises(WalletError, match="came in between: nothing was sent"):
        wallet.pay_draft(draft)
    assert len(wallet._file.state.payments) == 1


# payments on payments


def test_a_payment_on_a_lost_one_is_lost_too_and_frees_its_other_coins(wallet: Wallet, chain: Chain) -> None:
    """
    payer ─► P (1.0 to us) ─► ours ─► its change, and a coin of ours ─► ours
          └► Q (elsewhere), buried
    """
    chain.pay(script_of(wallet), 30_000_000)
    chain.pay(script_of(wallet), COIN, mine=False)
    parent = wallet.send(STRANGER_ADDRESS, 50_000_000)
    child = wallet.send(STRANGER_ADDRESS, 60_000_000)
    chain.forget()
    chain.paid -= 1
    chain.pay(STRANGER_SCRIPT, 5_000)
    chain.mine(5)
    assert stages(wallet) == [Stage.DEAD, Stage.DEAD]
    lost = [line for line in wallet.warnings if "is lost" in line]
    assert [to_hex(sent.txid) in line for sent, line in zip((parent, child), lost, strict=True)] == [True, True]
    assert wallet.balance().spendable == 30_000_000
    # The chain is another: both are tried again.
    chain.rewind(6)
    chain.forget()
    chain.paid -= 1
    chain.pay(script_of(wallet), COIN)
    chain.mine(7)
    assert stages(wallet) != [Stage.DEAD, Stage.DEAD]


def test_nothing_is_signed_on_a_payment_that_is_gone(wallet: Wallet, chain: Chain) -> None:
    """It was there at the last look, at this very tip: coins held with it could never be freed."""
    chain.pay(script_of(wallet), 30_000_000, 1_000_000)
    chain.pay(script_of(wallet), COIN, mine=False)
    wallet.send(STRANGER_ADDRESS, 900_000)  # the wallet file knows all three now
    chain.pool.popitem()
    chain.forget()
    handed_in = len(chain.handed_in)
    with pytest.raises(WalletError, match="not enough coins"):
        wallet.send(STRANGER_ADDRESS, 120_000_000)
    assert len(wallet._file.state.payments) == 1
    assert len(chain.handed_in) == handed_in + 1


def test_a_conflict_that_is_buried_counts_beside_one_that_is_not(
    wallet: Wallet, chain: Chain, make_wallet: MakeWallet, tmp_path: Path
) -> None:
    """Two copies of a wallet file: the other one spends a coin in a block, and one in a payment that waits."""
    chain.pay(script_of(wallet), COIN, COIN, COIN)
    copy = make_wallet(0, "copy")
    coins = sorted(wallet.look().coins)
    wallet.pay(wallet.order(STRANGER_ADDRESS, 3 * COIN - 100_000))
    chain.forget()
    for point in (coins[1], coins[0]):
        copy.pay(copy.order(STRANGER_ADDRESS, 60_000, only=[point]))
        if point == coins[1]:
            chain.mine(6)
    assert stages(wallet) == [Stage.DEAD]
    assert coins[2] in wallet.look().spendable


# settled, and settled no more


def test_a_node_s_lie_of_a_deep_block_is_found_out(wallet: Wallet, chain: Chain, server: Server) -> None:
    chain.pay(script_of(wallet), COIN)
    sent = wallet.send(STRANGER_ADDRESS, 60_000)
    chain.forget()
    with serve(Chain(blocks=list(chain.blocks), serial=chain.serial)) as liar:
        liar.chain.pool = {}
        tx = next(payment.tx for payment in wallet._file.state.payments)
        liar.chain.blocks[1] = (liar.chain.blocks[1][0], [*liar.chain.blocks[1][1], tx])
        chain.mine(8)
        liar.chain.blocks += chain.blocks[len(liar.chain.blocks) :]
        with Esplora([liar.url]) as client:
            through = Wallet.open(wallet._file.path, PASSWORD, client)
            assert [payment.stage for payment in through.look().payments] == [Stage.BURIED]
    assert stages(wallet) == [Stage.SEEN]
    assert list(chain.pool) == [sent.txid]


def test_a_block_s_depth_is_counted_in_the_chain_that_it_is_in(
    wallet: Wallet, chain: Chain, server: Server, make_wallet: MakeWallet
) -> None:
    """One node stops answering in the middle of a look; the other is on a shorter branch, with a conflict."""
    chain.pay(script_of(wallet), COIN)
    with serve(Chain(blocks=list(chain.blocks), serial=500)) as other, Esplora([server.url, other.url]) as both:
        with Esplora([other.url]) as client:
            make_wallet(0, "copy")
            copy = Wallet.open(wallet._file.path.with_name("copy0.json"), PASSWORD, client)
            rival = copy.send(STRANGER_ADDRESS, 70_000)
        other.chain.mine()
        wallet.send(STRANGER_ADDRESS, 60_000)
        chain.forget()
        chain.mine(20)
        through = Wallet.open(wallet._file.path, PASSWORD, both)
        refusal = (400, f"sendrawtransaction RPC error {GONE}")
        server.before = lambda path: (503, "") if path.startswith("/tx/") else refusal if path == "/tx" else None
        [payment] = through.look().payments
        assert (payment.stage, payment.conflict) == (Stage.HANDED_OUT, rival.txid)
