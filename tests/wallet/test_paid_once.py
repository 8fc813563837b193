"""Nodes that lie, lag or lose answers: nothing is paid twice, and no record is lost."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chain.hashes import Txid, to_hex
from chain.tx import COIN, Tx, TxIn, TxOut, decode_tx, make_tx
from tests.wallet.conftest import PASSWORD, MakeWallet
from tests.wallet.esplora_server import STRANGER_ADDRESS, STRANGER_SCRIPT, Chain, Refuse, Server, serve
from wallet.account import Wallet
from wallet.build import payable_script
from wallet.client import Esplora
from wallet.derivation import CHANGE, GAP_LIMIT, RECEIVE, KeyPath
from wallet.draft import Sent
from wallet.errors import ChainLimit, NodeError, PaymentRefused, PaymentUnclear, WalletError
from wallet.history import Status
from wallet.payment import Stage
from wallet.store import WalletFile

GONE = "-25: bad-txns-inputs-missingorspent"


def script_of(wallet: Wallet, index: int = 0) -> bytes:
    return payable_script(wallet.address_of(KeyPath(RECEIVE, index)))


@pytest.fixture
def rich(wallet: Wallet, chain: Chain) -> Wallet:
    """A wallet of ten confirmed coins, one coin each."""
    chain.pay(script_of(wallet), *[COIN] * 10)
    return wallet


@contextmanager
def through(tmp_path: Path, *servers: Server) -> Iterator[Wallet]:
    """The same wallet file, asked and told through other nodes."""
    with Esplora([server.url for server in servers], deadline_s=0.5) as client:
        yield Wallet.open(tmp_path / "wallet0.json", PASSWORD, client)


def payments_to_stranger(chain: Chain, amount: int) -> list[Txid]:
    """Transactions anywhere on the chain or waiting that pay the stranger just this."""
    txs = [tx for tx, _ in chain.confirmed()] + list(chain.pool.values())
    return [tx.txid for tx in txs if TxOut(amount, STRANGER_SCRIPT) in tx.outputs]


# one order


@pytest.mark.parametrize("behind_first", [False, True])
def test_an_answer_lost_and_a_node_behind(rich: Wallet, chain: Chain, server: Server, tmp_path: Path,
                                          behind_first: bool) -> None:  # fmt: skip
    """One node takes the payment and its answer is lost, the other does not know the coin yet."""
    rich.balance()
    server.after = lambda path, answer: (503, "") if path == "/tx" else answer
    with serve(Chain(blocks=chain.blocks[:1])) as behind:
        behind.before = lambda path: None if path == "/tx" else server.answer_to(path)
        servers = (behind, server) if behind_first else (server, behind)
        with through(tmp_path, *servers) as wallet:
            sent = wallet.send(STRANGER_ADDRESS, 60_000)  # asked for, and shown
    server.after = lambda _, answer: answer
    assert payments_to_stranger(chain, 60_000) == [sent.txid]
    chain.mine(7)
    assert payments_to_stranger(chain, 60_000) == [sent.txid]
    assert sent.txid in {entry.txid for entry in rich.history()[0]}


@pytest.mark.parametrize(
    "reason",
    [
        "-26: too-long-mempool-chain, too many unconfirmed ancestors",
        GONE,
        "-26: insufficient fee, rejecting replacement",
        "-26: mempool min fee not met",
    ],
)
def test_a_node_that_passes_payments_on_and_refuses_them(rich: Wallet, chain: Chain, reason: str) -> None:  # fmt: skip
    """However often the order is given again, all that was signed for it shares a coin."""
    taken: list[Tx] = []

    def collude(tx: Tx) -> None:
        taken.append(tx)
        raise Refuse(reason)

    chain.instead = collude
    for _ in range(12):
        with pytest.raises((PaymentRefused, ChainLimit, WalletError)):
            rich.send(STRANGER_ADDRESS, 60_000)
    chain.instead = None
    signed = {tx.txid: tx for tx in taken}
    assert len(signed) >= 1
    spent = [{spent.outpoint for spent in tx.inputs} for tx in signed.values()]
    assert all(a & b for a in spent for b in spent)
    for tx in signed.values():
        try:
            chain.accept(tx)
        except Refuse:
            pass  # a replacement takes the place of another, or has the coin no more
    chain.mine()
    assert len(payments_to_stranger(chain, 60_000)) == 1


@pytest.mark.parametrize(
    "status_and_body",
    [
        (200, "fine"),
        (200, ""),
        (200, "00" * 32),
        (301, ""),
        (400, ""),
        (400, "<h1>Bad Request</h1>"),
        (404, "no"),
        (413, "-26: x"),
        (429, "slow down"),
        (500, "oops"),
        (502, "<html>"),
    ],
)
def test_only_a_reject_reason_is_a_refusal(
    rich: Wallet, chain: Chain, server: Server, tmp_path: Path, status_and_body: tuple[int, str]
) -> None:
    rich.balance()
    answers: dict[str, tuple[int, str]] = {"/tx": status_and_body}
    server.after = lambda path, answer: answers.get(path, (404, "") if path.startswith("/tx/") else answer)
    with (
        through(tmp_path, server) as wallet,
        pytest.raises(PaymentUnclear, match=r"may have been sent: do not repeat it"),
    ):
        wallet.send(STRANGER_ADDRESS, 60_000)
    server.after = lambda _, answer: answer
    assert len(chain.pool) == 1
    # The order given again is that payment, whatever the person was told to do; then it is a new one.
    assert {rich.send(STRANGER_ADDRESS, 60_000).txid} == set(chain.pool)
    assert "nothing more was paid" in rich.warnings[-1]
    assert len(chain.pool) == 1
    rich.send(STRANGER_ADDRESS, 60_000)
    assert len(chain.pool) == 2


@pytest.mark.parametrize(
    "words",
    [
        "-27: Transaction outputs already in utxo set",
        "-26: txn-already-known",
        "-26: txn-already-in-mempool",
        '{"code":-27,"message":"already in block chain"}',
    ],
)
def test_a_payment_that_the_node_has_already_is_sent(
    rich: Wallet, chain: Chain, server: Server, words: str
) -> None:  # fmt: skip
    server.after = lambda path, answer: (400, f"sendrawtransaction RPC error: {words}") if path == "/tx" else answer
    assert rich.send(STRANGER_ADDRESS, 60_000).txid in chain.pool


def test_a_higher_fee_replaces_what_was_refused(rich: Wallet, chain: Chain) -> None:
    chain.refuse_next = ["-26: mempool min fee not met, 282 < 900"]
    with pytest.raises(PaymentRefused, match="with a higher --fee-rate to replace it"):
        rich.send(STRANGER_ADDRESS, COIN)
    first = rich.look().payments  # which hands it over again, with success
    assert [payment.stage for payment in first] == [Stage.SEEN]
    chain.forget()
    chain.refuse_next = ["-26: mempool min fee not met"]
    rich.send(STRANGER_ADDRESS, COIN)
    sent = rich.look().payments
    assert len(sent) == 2
    assert set(sent[0].spent) & set(sent[1].spent)
    assert sent[1].fee >= sent[0].fee + sent[1].tx.vsize
    assert list(chain.pool) == [sent[1].txid]
    # Once somebody was told of it, the same order is a new payment.
    rich.send(STRANGER_ADDRESS, COIN)
    assert len(chain.pool) == 2


def test_a_payment_is_not_lost_by_asking_a_node_behind(
    rich: Wallet, chain: Chain, server: Server, tmp_path: Path
) -> None:
    sent = rich.send(STRANGER_ADDRESS, 60_000)
    chain.mine()
    with serve(Chain(blocks=chain.blocks[:2])) as behind, through(tmp_path, behind) as wallet:
        behind.chain.serial = 10_000
        assert [payment.stage for payment in wallet.look().payments] == [Stage.SEEN]  # handed over, and taken
        behind.chain.refuse_next = [GONE]
        behind.chain.forget()
        for _ in range(3):
            view = wallet.look()
            assert view.payments[0].stage is not Stage.DEAD
            assert not {point for payment in view.payments for point in payment.spent} & view.spendable
    assert rich.history()[0][0].txid == sent.txid
    assert payments_to_stranger(chain, 60_000) == [sent.txid]


def test_looking_does_not_wait_for_a_node_that_is_busy(
    rich: Wallet, chain: Chain, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    rich.send(STRANGER_ADDRESS, 60_000)
    chain.forget()
    pauses: list[float] = []
    monkeypatch.setattr(Esplora, "pause", staticmethod(pauses.append))
    chain.refuse_next = ["-26: busy"]
    assert rich.look().payments[0].stage is Stage.HANDED_OUT
    server.after = lambda path, answer: (503, "") if path == "/tx" else answer
    assert rich.look().payments[0].stage is Stage.SEEN  # taken, and shown when asked
    assert pauses == []


def test_a_payment_that_a_command_cut_short_left_is_told_of(
    rich: Wallet, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("wallet.outgoing.hand_over", kill)
        with pytest.raises(Killed):
            rich.send(STRANGER_ADDRESS, 60_000)
    assert chain.pool == {}
    rich.balance()
    [txid] = chain.pool
    assert rich.warnings == [f"payment {to_hex(txid)} was signed by a command that was cut short, and is sent now"]


# payments on others' unconfirmed coins


def test_a_payment_whose_coin_was_replaced_by_its_payer(wallet: Wallet, chain: Chain) -> None:
    """
    payer ─► P (1.0 to us) ─► ours (0.4)        unconfirmed
          └► Q (elsewhere)                      mined in the place of P
    """
    parent = chain.pay(script_of(wallet), COIN, mine=False)
    sent = wallet.send(STRANGER_ADDRESS, 40_000_000)
    chain.forget()
    chain.paid -= 1
    replacement = chain.pay(STRANGER_SCRIPT, 5_000)
    assert replacement.inputs[0].outpoint == parent.inputs[0].outpoint
    entry = wallet.history()[0][0]
    assert (entry.txid, entry.status, entry.conflict) == (sent.txid, Status.WAITING, replacement.txid)
    assert [f"{to_hex(replacement.txid)} spends a coin that it needs" in line for line in wallet.warnings] == [True]
    wallet.warnings.clear()
    chain.mine(5)
    entry = wallet.history()[0][0]
    assert (entry.txid, entry.status, entry.conflict) == (sent.txid, Status.LOST, replacement.txid)
    assert ["is lost" in line for line in wallet.warnings] == [True]
    wallet.warnings.clear()
    assert wallet.history()[0][0].status is Status.LOST
    assert wallet.warnings == []
    assert wallet.balance().spendable == 0


def test_a_conflict_without_a_signature_kills_nothing(rich: Wallet, chain: Chain, server: Server) -> None:
    """A node alone can make up a transaction that spends any coin, but not sign it."""
    sent = rich.send(STRANGER_ADDRESS, 60_000)
    point = sent.coins[0].outpoint
    forged = make_tx(2, (TxIn(point, b"", 0, (b"\x30" + bytes(70), b"\x02" + bytes(32))),), (TxOut(5_000, b"\x51"),), 0)
    chain.forget()
    chain.mine(10)

    def lie(path: str) -> tuple[int, str] | None:
        if path.endswith(f"/outspend/{int.from_bytes(point[32:], 'little')}"):
            status = {"confirmed": True, "block_height": 3, "block_hash": "00" * 32, "block_time": 5}
            return 200, json.dumps({"spent": True, "txid": to_hex(forged.txid), "vin": 0, "status": status})
        if path == f"/tx/{to_hex(forged.txid)}/hex":
            return 200, forged.raw.hex()
        return (400, f"sendrawtransaction RPC error {GONE}") if path == "/tx" else None

    server.before = lie
    view = rich.look()
    assert [(payment.stage, payment.conflict) for payment in view.payments] == [(Stage.HANDED_OUT, forged.txid)]
    assert point not in view.spendable
    server.before = lambda _: None
    assert [payment.stage for payment in rich.look().payments] == [Stage.SEEN]


def test_payments_on_coinbases_that_were_undone_are_not_spendable(wallet: Wallet, chain: Chain) -> None:
    chain.mine(1, script_of(wallet))
    chain.mine(99)
    wallet.send(STRANGER_ADDRESS, COIN)
    assert wallet.balance().spendable == 49 * COIN - 282
    chain.rewind(100)
    chain.forget()
    balance = wallet.balance()
    assert (balance.confirmed, balance.spendable) == (0, 0)


# amounts


def test_amounts_that_are_not_those_of_the_parents(wallet: Wallet, chain: Chain, server: Server) -> None:
    """A busy address's coins come from a list: their amounts are the node's word until something is signed."""
    chain.mine(120, script_of(wallet))
    chain.mine(100)
    wallet.balance()
    lied: dict[str, int] = {}

    def inflate(path: str, answer: tuple[int, str]) -> tuple[int, str]:
        if not path.endswith("/utxo") or answer[1] == "[]":
            return answer
        rows = json.loads(answer[1])
        for row in rows[:40]:
            row["value"] = lied.setdefault(row["txid"], row["value"] - 45_000_000)
        return 200, json.dumps(rows)

    server.after = inflate
    with pytest.raises(NodeError, match="its transaction says otherwise: nothing was signed"):
        wallet.pay(wallet.order(STRANGER_ADDRESS, None))
    assert chain.handed_in == []


@pytest.mark.parametrize("claim", [21_000_000 * COIN, 2_601 * COIN])
def test_more_coins_than_the_blocks_can_have_made(wallet: Wallet, chain: Chain, claim: int) -> None:
    chain.mine(50)
    chain.mine(1, script_of(wallet), claim)
    for call in (wallet.balance, wallet.history, lambda: wallet.send(STRANGER_ADDRESS, COIN)):
        with pytest.raises(NodeError, match="more than 51 blocks can have made"):
            call()


# histories


def every_history(change: Callable[[list[Any]], list[Any]]) -> Callable[[str, tuple[int, str]], tuple[int, str]]:
    def alter(path: str, answer: tuple[int, str]) -> tuple[int, str]:
        return (200, json.dumps(change(json.loads(answer[1])))) if "/scripthash/" in path and "/txs" in path else answer

    return alter


def test_transactions_of_others_are_no_use_of_an_address(rich: Wallet, chain: Chain, server: Server) -> None:
    other = chain.tx_json(chain.pay(STRANGER_SCRIPT, 5_000))
    server.after = every_history(lambda rows: [other, *rows])
    for call in (rich.balance, rich.history, rich.address, rich.new_address, lambda: rich.send(STRANGER_ADDRESS, COIN)):
        with pytest.raises(NodeError, match="a transaction for an address that it does not touch"):
            call()


def test_a_page_that_comes_again_and_again(wallet: Wallet, chain: Chain, server: Server) -> None:
    chain.mine(60, script_of(wallet))
    first = None

    def again(path: str, answer: tuple[int, str]) -> tuple[int, str]:
        nonlocal first
        if "/txs" not in path or answer[1] == "[]":
            return answer
        first = first or answer
        return first

    server.after = again
    with pytest.raises(NodeError, match="repeats transactions"):
        wallet.history()


# change


def test_change_stays_within_what_a_restored_wallet_looks_at(
    rich: Wallet, chain: Chain, make_wallet: MakeWallet, tmp_path: Path
) -> None:
    """24 payments, then the chain is another: the next change would go to index 24."""
    for n in range(24):
        rich.send(STRANGER_ADDRESS, 5_000 + n)
    chain.rewind(1)
    chain.forget()
    chain.blocks = [*chain.blocks[:1]]
    chain.paid = 50
    chain.serial += 1
    chain.pay(script_of(rich), COIN, COIN)
    chain.instead = lambda tx: refuse_old(chain, tx)
    sent = rich.send(STRANGER_ADDRESS, 40_000)
    assert sent.change
    assert sent.change.path.index < GAP_LIMIT
    chain.mine()
    restored = make_wallet(0, "restored")
    assert restored.balance().confirmed == 2 * COIN - 40_000 - sent.fee


def refuse_old(chain: Chain, tx: Tx) -> None:
    """The payments of the chain that is gone have no coins here."""
    chain.instead = None
    try:
        chain.accept(tx)
    finally:
        chain.instead = lambda again: refuse_old(chain, again)


def test_change_beyond_the_gap_is_found_in_the_transactions_read(
    chain: Chain, make_wallet: MakeWallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wallet that went on past the gap (an older version did): the words find its change all the same."""
    wallet = make_wallet()
    chain.pay(script_of(wallet), COIN)
    monkeypatch.setattr("wallet.draft.next_change_index", lambda _: 150)
    sent = wallet.send(STRANGER_ADDRESS, 40_000)
    chain.mine()
    assert sent.change
    assert sent.change.path == KeyPath(CHANGE, 150)
    restored = make_wallet(0, "restored")
    assert restored.balance().confirmed == COIN - 40_000 - sent.fee
    assert restored.look().found.looked_at == {RECEIVE: 21, CHANGE: 171}


# the file


def test_a_payment_from_hundreds_of_coins(wallet: Wallet, chain: Chain, tmp_path: Path) -> None:
    """719 inputs make over 106,000 bytes: as much as nodes relay, and the file reads it back."""
    for _ in range(4):
        chain.pay(script_of(wallet), *[100_000] * 180)
    sent = wallet.pay(wallet.order(STRANGER_ADDRESS, None))
    tx = chain.pool[sent.txid]
    assert len(tx.inputs) == 720
    assert tx.size > 100_000
    assert [payment.raw for payment in WalletFile(tmp_path / "wallet0.json").state.payments] == [tx.raw]
    chain.mine()
    assert wallet.balance().spendable == 0


def test_nothing_is_sent_that_the_file_has_no_room_for(
    rich: Wallet, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = list(chain.handed_in)
    monkeypatch.setattr("wallet.store.FILE_BYTES_MAX", 2_000)
    with pytest.raises(WalletError, match=r"has no room for more .*: nothing was sent"):
        rich.send(STRANGER_ADDRESS, 60_000)
    assert chain.handed_in == before


def test_nothing_is_sent_that_does_not_come_back_from_the_disk(
    rich: Wallet, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = list(chain.handed_in)
    monkeypatch.setattr("wallet.store.read_file", lambda path: path.read_bytes()[:-9])
    with pytest.raises(WalletError, match="does not hold what was written to it: nothing was sent"):
        rich.send(STRANGER_ADDRESS, 60_000)
    assert chain.handed_in == before


def test_raw_of_every_payment_decodes(rich: Wallet, chain: Chain, tmp_path: Path) -> None:
    sent = rich.send(STRANGER_ADDRESS, 60_000)
    [payment] = WalletFile(tmp_path / "wallet0.json").state.payments
    assert decode_tx(payment.raw).txid == sent.txid
    assert (payment.stage, payment.told, payment.paid) == (Stage.SEEN, True, (TxOut(60_000, STRANGER_SCRIPT),))


# what nobody was told


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_order_whose_txid_did_not_get_out_is_not_paid_again(
    rich: Wallet, chain: Chain, error: BaseException
) -> None:
    shown: list[Txid] = []

    def fail(_: Sent) -> None:
        raise error

    rich.outgoing.tell = fail
    with pytest.raises(type(error)):
        rich.send(STRANGER_ADDRESS, 60_000)
    rich.outgoing.tell = lambda sent: shown.append(sent.txid)
    rich.send(STRANGER_ADDRESS, 60_000)
    assert shown == payments_to_stranger(chain, 60_000) == list(chain.pool)
    rich.send(STRANGER_ADDRESS, 60_000)
    assert sorted(shown) == sorted(chain.pool)
    assert len(shown) == 2
