"""Finding the wallet's coins on a chain, by real HTTP."""

import pytest

from chain.hashes import sha256
from chain.tx import COIN, OutPoint, outpoint
from tests.wallet.conftest import MakeWallet
from tests.wallet.esplora_server import STRANGER_ADDRESS, Chain, Server
from wallet.account import Wallet
from wallet.build import payable_script
from wallet.client import Esplora
from wallet.derivation import CHANGE, RECEIVE, Account, AccountSecret, KeyPath, words_from_entropy
from wallet.errors import NodeError
from wallet.ledger import Balance
from wallet.scan import Scan, scan

ACCOUNT = AccountSecret(words_from_entropy(bytes(16)))


@pytest.fixture
def account() -> Account:
    return Account(ACCOUNT.xpub)


def receive(account: Account, index: int) -> bytes:
    return account.script(KeyPath(RECEIVE, index))


def look(client: Esplora, account: Account, **options: object) -> Scan:
    return scan(client, account, client.tip(), (1, 0), **options)  # type: ignore[arg-type]


def values(found: Scan) -> dict[KeyPath, int]:
    return {coin.path: coin.value for coin in found.coins}


def test_an_empty_wallet_costs_one_request_an_address(client: Esplora, server: Server, account: Account) -> None:
    found = look(client, account)
    assert (found.coins, found.used, found.next_index(RECEIVE)) == ([], set(), 0)
    assert len([r for r in server.requests if "/scripthash/" in r]) == 21 + 20  # the first address counts as handed out


def test_coins_up_to_the_gap_limit_and_from_there_on(client: Esplora, chain: Chain, account: Account) -> None:
    chain.pay(receive(account, 20), 1_000)  # the 21st: the last that is looked at
    chain.pay(receive(account, 40), 2_000)  # 20 after it
    chain.pay(account.script(KeyPath(CHANGE, 19)), 3_000)
    chain.pay(receive(account, 62), 4_000)  # 21 unused between
    found = look(client, account)
    assert values(found) == {KeyPath(RECEIVE, 20): 1_000, KeyPath(RECEIVE, 40): 2_000, KeyPath(CHANGE, 19): 3_000}
    assert (found.next_index(RECEIVE), found.next_index(CHANGE)) == (41, 20)
    # More addresses were handed out than the words alone would tell.
    found = scan(client, account, client.tip(), (43, 0))
    assert KeyPath(RECEIVE, 62) in values(found)


def test_spent_coins_are_gone_and_their_addresses_settle(
    client: Esplora, chain: Chain, wallet: Wallet, account: Account
) -> None:
    chain.pay(receive(account, 0), COIN)
    wallet.pay(wallet.order(STRANGER_ADDRESS, COIN, subtract_fee=True))
    assert look(client, account).coins == []
    assert look(client, account).settled == set()
    chain.mine(5)
    assert look(client, account).settled == set()
    chain.mine()
    found = look(client, account)
    assert found.settled == {KeyPath(RECEIVE, 0)}
    found = look(client, account, passed_over=found.settled)
    assert (found.txs, found.settled, found.next_index(RECEIVE)) == ({}, {KeyPath(RECEIVE, 0)}, 1)


def test_a_miners_address_with_hundreds_of_coins(
    client: Esplora, server: Server, chain: Chain, account: Account
) -> None:
    script = receive(account, 0)
    coinbases = chain.mine(230, script)
    paid = chain.pay(script, 7_000)
    chain.mine(100)
    young = chain.mine(30, script)
    server.requests.clear()
    found = look(client, account)
    script_hash = sha256(script).hex()
    # The first page, the coins, and pages until the coins are old enough to be mature.
    pages = [request for request in server.requests if script_hash in request]
    assert len(pages) <= 4
    assert len(found.coins) == 230 + 30 + 1
    mature = {coin.outpoint for coin in found.coins if coin.is_mature(chain.height)}
    assert mature == {outpoint(tx.txid, 0) for tx in [*coinbases, paid]}
    immature = {coin.outpoint for coin in found.coins} - mature
    assert immature == {outpoint(tx.txid, 0) for tx in young}
    whole = look(client, account, whole=True)
    assert len(whole.txs) == 261
    assert {c.outpoint: c.is_mature(chain.height) for c in whole.coins} == {
        c.outpoint: c.is_mature(chain.height) for c in found.coins
    }


def test_maturity_of_a_busy_address_at_its_very_block(client: Esplora, chain: Chain, account: Account) -> None:
    script = receive(account, 0)
    first = outpoint(chain.mine(40, script)[0].txid, 0)
    for tip_height, expected in ((99, False), (100, True)):
        chain.mine(tip_height - chain.height)
        coin = next(coin for coin in look(client, account).coins if coin.outpoint == first)
        assert coin.is_mature(tip_height) is expected


def test_more_unconfirmed_payments_than_a_page_holds(client: Esplora, chain: Chain, account: Account) -> None:
    script = receive(account, 0)
    for _ in range(60):
        chain.pay(script, 10_000, mine=False)
    assert sum(coin.value for coin in look(client, account).coins) == 600_000
    assert all(coin.height is None and not coin.is_coinbase for coin in look(client, account).coins)


def test_our_own_change_is_told_from_other_peoples_unconfirmed_coins(
    client: Esplora, chain: Chain, wallet: Wallet, account: Account
) -> None:
    chain.pay(receive(account, 0), COIN)
    chain.pay(receive(account, 1), 5_000, mine=False)
    wallet.send(STRANGER_ADDRESS, 30_000)
    own = {coin.path: coin.own for coin in look(client, account).coins if coin.height is None}
    assert own == {KeyPath(CHANGE, 0): True, KeyPath(RECEIVE, 1): False}


def test_a_restored_wallet_finds_everything(chain: Chain, make_wallet: MakeWallet, account: Account) -> None:
    first = make_wallet(0, "first")
    chain.pay(receive(account, 0), COIN, 2 * COIN)
    for amount in (30_000, 40_000, 50_000):
        first.send(STRANGER_ADDRESS, amount)
        chain.mine()
    chain.mine(1, receive(account, 1))
    restored = make_wallet(0, "restored")
    assert restored.balance() == first.balance()
    assert restored.balance().confirmed == 3 * COIN - 120_000 - 3 * 282
    assert restored.balance().immature == 50 * COIN
    assert restored.history()[0] == first.history()[0]
    assert restored.send(STRANGER_ADDRESS, 10_000).change
    # It goes on with fresh change addresses, not with those that are used.
    assert len({coin.path for coin in restored.look().coins.values() if coin.path.chain == CHANGE}) >= 1
    assert restored.look().found.next_index(CHANGE) == 4


def test_a_reorganisation_takes_coins_back(chain: Chain, wallet: Wallet, account: Account) -> None:
    chain.mine(1, receive(account, 0))
    chain.mine(99)
    chain.pay(receive(account, 0), 9_000)
    assert wallet.balance() == Balance(
        confirmed=50 * COIN + 9_000, unconfirmed=0, immature=0, spendable=50 * COIN + 9_000
    )
    chain.rewind(1)
    assert wallet.balance() == Balance(confirmed=50 * COIN, unconfirmed=9_000, immature=0, spendable=50 * COIN + 9_000)
    chain.rewind(50)
    assert wallet.balance().immature == 50 * COIN


def test_outpoints_are_never_counted_twice(client: Esplora, chain: Chain, account: Account) -> None:
    chain.pay(receive(account, 0), 1_000, 2_000)
    chain.pay(receive(account, 1), 3_000)
    points: list[OutPoint] = [coin.outpoint for coin in look(client, account).coins]
    assert len(points) == len(set(points)) == 3


def test_more_transactions_than_are_kept_in_memory(
    wallet: Wallet, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one address, and of several together."""
    script = payable_script(wallet.address_of(KeyPath(RECEIVE, 0)))
    chain.mine(60, script)
    monkeypatch.setattr("wallet.scan.TXS_MAX", 40)
    with pytest.raises(NodeError, match="one address has more than 40 transactions"):
        wallet.history()
    monkeypatch.setattr("wallet.scan.TXS_MAX", 60)
    assert len(wallet.history()[0]) == 60
    chain.pay(payable_script(wallet.address_of(KeyPath(RECEIVE, 1))), 5_000)
    with pytest.raises(NodeError, match="more than 60 transactions of this wallet"):
        wallet.history()


def test_blocks_that_come_while_it_looks_are_no_lie(client: Esplora, chain: Chain, account: Account) -> None:
    """A miner's wallet may have all coins there are, those of blocks above the tip that it began with included."""
    for _ in range(3):
        chain.mine(1, receive(account, 0), 50 * COIN)
    before = client.tip()
    for _ in range(3):
        chain.mine(1, receive(account, 0), 50 * COIN)
    found = scan(client, account, before, (1, 0))
    assert [coin.value for coin in found.coins] == [50 * COIN] * 6
