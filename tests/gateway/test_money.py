"""What must never happen to money, with real nodes: honest ones behind each other, and one that lies for gain."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from chain.address import decode_address, encode_address
from chain.hashes import sha256
from chain.scripttype import p2wpkh_script
from chain.tx import COIN, decode_tx
from tests.gateway import rules
from tests.gateway.bank import Bank
from tests.gateway.commands import Commands
from tests.gateway.crashes import MAYBE, payments_apart
from tests.gateway.island import BURN, MATURITY, Islands, make_islands
from tests.gateway.proxy import Answer, Exchange, Gateway, Payment
from tests.gateway.purse import Purse

COINS = (10 * COIN,) * 4
LARGE_COINS = 720
"""Inputs of a payment larger than 100,000 bytes."""
LARGE_BYTES = 100_000


@pytest.fixture(scope="module")
def islands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Islands]:
    islands = make_islands(tmp_path_factory.mktemp("islands"), 2)
    try:
        yield islands
    finally:
        islands.cluster.close()


@pytest.fixture(scope="module")
def bank(islands: Islands) -> Bank:
    return Bank(islands, parts=2)


@pytest.fixture
def gateways(islands: Islands) -> Iterator[list[Gateway]]:
    """One before each node."""
    with Gateway(islands.cluster.nodes[0].api) as first, Gateway(islands.cluster.nodes[1].api) as second:
        yield [first, second]


@pytest.fixture
def purse(islands: Islands, bank: Bank, gateways: list[Gateway], commands: Commands, tmp_path: Path) -> Purse:
    """A wallet whose coins both nodes know, and asks both."""
    purse = Purse(commands, tmp_path / "wallet.json", *(gateway.url for gateway in gateways)).create()
    address = purse.address()
    for coin in COINS:
        bank.give(address, [coin])
    bank.confirm()
    islands.unite()
    return purse


def recipient(name: str) -> str:
    """An address of nobody, by name."""
    return encode_address(p2wpkh_script(sha256(name.encode())[:20])) or ""


def times_paid(islands: Islands, address: str) -> int:
    """How often an address was paid on the chain of the second node, once everything is mined."""
    islands.unite()
    islands.mine(0, 2)
    islands.unite()
    return len(islands.cluster.get_json(1, f"/api/address/{address}/txs"))


def all_payments(gateways: Sequence[Gateway]) -> list[Payment]:
    return [payment for gateway in gateways for payment in gateway.payments]


def test_taken_by_one_node_and_refused_by_one_behind_it(
    islands: Islands, gateways: list[Gateway], purse: Purse, tmp_path: Path, commands: Commands
) -> None:
    """The coin is from a block that the second node has not heard of; the first one's answer is lost."""
    fresh = Purse(commands, tmp_path / "late.json", *purse.nodes).create()
    purse.get("send", fresh.address(), "5", "--yes")
    purse.get("send", fresh.get("address", "--new")["address"], "5", "--yes")
    islands.mine(0)
    gateways[0].rules = [rules.on_payment(rules.lose_answer)]
    address = recipient("behind")
    outcome = fresh.run("send", address, "1", "--yes")
    gateways[0].rules = []
    handed = {payment.txid for payment in all_payments(gateways)}
    if outcome.code == 1 and not MAYBE.search(outcome.err):
        fresh.run("send", address, "1", "--yes")
    assert handed <= fresh.txids(), outcome
    assert times_paid(islands, address) == 1, outcome


@pytest.mark.parametrize(
    "reason", ["-26: too-long-mempool-chain, too many descendants [limit: 25]", "-25: bad-txns-inputs-missingorspent"]
)
def test_a_node_that_passes_payments_on_and_says_that_it_refused_them(
    islands: Islands, gateways: list[Gateway], purse: Purse, reason: str
) -> None:
    """It shows the coins as unconfirmed, too, so that other coins look better."""

    def unconfirmed(tx: dict[str, Any]) -> None:
        tx["status"] = {"confirmed": False}

    address = recipient(reason)
    purse.nodes = [gateways[0].url]
    gateways[0].rules = [
        rules.on_payment(rules.refuse(reason, forward=True)),
        rules.on("/(scripthash|address)/", rules.altered(rules.each_tx(unconfirmed))),
    ]
    outcome = purse.run("send", address, "1", "--yes")
    gateways[0].rules = []
    assert gateways[0].payments or outcome.code == 1
    if outcome.code == 1 and not MAYBE.search(outcome.err):
        purse.run("send", address, "1", "--yes")
    purse.run("history")
    assert times_paid(islands, address) == 1, outcome
    assert {payment.txid for payment in gateways[0].payments} <= purse.txids()


def test_a_node_that_lies_about_one_coin_and_then_about_the_other(
    islands: Islands, gateways: list[Gateway], purse: Purse
) -> None:
    """BIP143 signs each input's own amount alone: two payments of the same coins, each signed with one
    amount too small, have between them the signatures for a fee of the difference."""
    turn = {"lied": 0}
    coins = sorted(row["outpoint"] for row in purse.get("coins"))[:2]
    small = 60_000_000

    def smaller(document: Any, exchange: Exchange) -> Any:
        lied = coins[turn["lied"]].partition(":")[0]
        for tx in document if isinstance(document, list) else [document]:
            if isinstance(tx, dict) and tx.get("txid") == lied:
                for output in tx.get("vout", [tx]):
                    if output.get("value", 0) > small:
                        output["value"] = small
        return document

    def refuse_once_each(exchange: Exchange) -> Answer:
        turn["lied"] = 1
        return Answer(400, b"sendrawtransaction RPC error -25: bad-txns-inputs-missingorspent")

    purse.nodes = [gateways[0].url]
    gateways[0].rules = [
        rules.on_payment(refuse_once_each),
        rules.on("/(?!tx$)", rules.altered(smaller)),
    ]
    address = recipient("amounts")
    named = [part for coin in coins for part in ("--coin", coin)]
    for _ in range(2):
        purse.run("send", address, "10.1", "--yes", *named)
    spent = 20 * COIN
    for payment in gateways[0].payments:
        tx = decode_tx(payment.raw)
        fee = spent - sum(output.value for output in tx.outputs)
        assert fee < COIN // 10, payment.txid


def test_asked_through_a_node_behind_a_payment_stays(islands: Islands, gateways: list[Gateway], purse: Purse) -> None:
    """The node lacks the block of the coins, and says that they do not exist."""
    address = recipient("lag")
    payer = Purse(purse._commands, purse.file.with_name("second.json"), gateways[0].url).create()
    purse.get("send", payer.address(), "5", "--yes")
    islands.mine(0)
    purse.get("send", payer.get("address", "--new")["address"], "6", "--yes")
    islands.mine(0)
    sent = payer.get("send", address, "1", "--yes")
    payer.nodes = [gateways[1].url]
    for command in ("balance", "history", "coins"):
        outcome = payer.run(command)
        if command == "history" and outcome.code == 0:
            assert sent["txid"] in {row["txid"] for row in outcome.json()}
    other = recipient("lag, another")
    second = payer.run("send", other, "1", "--yes")
    islands.unite()
    payer.nodes = [gateways[0].url]
    assert sent["txid"] in payer.txids()
    assert times_paid(islands, address) == 1
    if second.code == 0:
        assert times_paid(islands, other) == 1


def test_a_payment_from_hundreds_of_coins_leaves_a_wallet_that_opens(
    islands: Islands, bank: Bank, gateways: list[Gateway], commands: Commands, tmp_path: Path
) -> None:
    purse = Purse(commands, tmp_path / "wallet.json", gateways[0].url).create()
    bank.give(purse.address(), [COIN // 100] * LARGE_COINS)
    bank.confirm()
    total = purse.get("balance")["confirmed_sat"]
    outcome = purse.run("send", BURN, "max", "--yes")
    assert outcome.code == 0, outcome
    [payment] = gateways[0].payments
    assert len(payment.raw) > LARGE_BYTES
    assert purse.get("balance")["confirmed_sat"] == 0
    assert outcome.json()["txid"] in purse.txids()
    islands.mine(0)
    [row] = [row for row in purse.get("history") if row["txid"] == outcome.json()["txid"]]
    assert (row["confirmed"], row["net_sat"]) == (True, -total)


def test_words_bring_everything_back_after_the_chain_began_anew(
    gateways: list[Gateway], commands: Commands, tmp_path: Path
) -> None:
    """More payments than a gap on one chain, then one on another where none of them is known."""
    first, second = make_islands(tmp_path / "first", 1), make_islands(tmp_path / "second", 1)
    try:
        with Gateway(first.cluster.nodes[0].api) as before, Gateway(second.cluster.nodes[0].api) as after:
            purse = Purse(commands, tmp_path / "wallet.json", before.url)
            words = purse.get("create")["words"]
            address = purse.address()
            first.mine(0, 2, address)
            first.mine(0, MATURITY)
            for number in range(22):
                purse.get("send", recipient("wiped"), f"0.{number + 1:03}", "--yes")
                first.mine(0)
            second.mine(0, 2, address)
            second.mine(0, MATURITY)
            purse.nodes = [after.url]
            purse.run("balance")
            purse.get("send", recipient("wiped"), "1", "--yes", "--fee-rate", "2")
            second.mine(0)
            restored = Purse(commands, tmp_path / "restored.json", after.url)
            assert restored.run("restore", stdin=words + "\n").code == 0
            assert restored.get("balance")["confirmed_sat"] == purse.get("balance")["confirmed_sat"]
            assert restored.get("balance")["confirmed_sat"] > 98 * COIN
    finally:
        first.cluster.close()
        second.cluster.close()


def test_a_payment_that_lost_its_coin_stays_in_the_history(
    islands: Islands, gateways: list[Gateway], purse: Purse, commands: Commands, tmp_path: Path
) -> None:
    """A coin that never confirmed is spent, and its sender takes it back."""
    copy = Purse(commands, tmp_path / "copy.json", gateways[0].url)
    purse.nodes = [gateways[0].url]
    copy.file.write_bytes(purse.file.read_bytes())
    coin = purse.get("coins")[0]["outpoint"]
    heir = Purse(commands, tmp_path / "heir.json", gateways[0].url).create()
    first = purse.get("send", heir.address(), "1", "--yes", "--coin", coin)
    sent = heir.get("send", BURN, "0.4", "--yes")
    assert sent["inputs"][0]["outpoint"].startswith(first["txid"])
    with Gateway(islands.cluster.nodes[1].api) as elsewhere:
        copy.nodes = [elsewhere.url]
        instead = copy.get("send", recipient("replaced"), "2", "--yes", "--coin", coin, "--fee-rate", "20")
    islands.mine(1)
    islands.unite(payments=False)
    shown = heir.run("history")
    assert sent["txid"] in {row["txid"] for row in shown.json()}, shown
    assert first["txid"] not in islands.rpc(0, "getrawmempool")
    assert first["txid"] in purse.txids()
    assert instead["txid"] in purse.txids()
    assert heir.get("balance")["spendable_sat"] == 0


def test_coinbases_of_a_chain_that_went_back_are_immature_again(
    islands: Islands, gateways: list[Gateway], commands: Commands, tmp_path: Path
) -> None:
    purse = Purse(commands, tmp_path / "wallet.json", gateways[0].url).create()
    islands.mine(0, 3, purse.address())
    islands.mine(0, MATURITY)
    assert purse.get("balance")["immature_sat"] == 0
    total = purse.get("balance")["confirmed_sat"]
    height = islands.rpc(0, "getblockcount")
    block = islands.rpc(0, "getblockhash", height - 49)
    islands.rpc(0, "invalidateblock", block)
    try:
        assert islands.rpc(0, "getblockcount") == height - 50
        held = purse.get("balance")
        assert (held["confirmed_sat"], held["immature_sat"], held["spendable_sat"]) == (0, total, 0)
        assert purse.run("send", BURN, "1", "--yes").code == 1
        assert gateways[0].payments == []
    finally:
        islands.rpc(0, "reconsiderblock", block)


def test_a_claim_of_all_coins_is_not_shown_as_confirmed(gateways: list[Gateway], purse: Purse) -> None:
    """Well formed, with an id that is its hash, and in a block of the best chain, says the node."""
    script = decode_address(purse.get("coins")[0]["address"]).hex()
    value = (21_000_000 * COIN).to_bytes(8, "little").hex()
    raw = f"0200000001{'5a' * 32}0000000000ffffffff01{value}16{script}00000000"
    tx = decode_tx(bytes.fromhex(raw))
    txid = bytes(tx.txid)[::-1].hex()
    row = {
        "txid": txid,
        "version": 2,
        "locktime": 0,
        "vin": [
            {
                "txid": "5a" * 32,
                "vout": 0,
                "prevout": {"scriptpubkey": "51", "value": 21_000_000 * COIN},
                "scriptsig": "",
                "is_coinbase": False,
                "sequence": 2**32 - 1,
            }
        ],
        "vout": [{"scriptpubkey": script, "value": 21_000_000 * COIN}],
        "size": 82,
        "weight": 328,
        "fee": 0,
        "status": {"confirmed": True, "block_height": 1, "block_hash": "00" * 32, "block_time": 1_700_000_000},
    }
    true = purse.get("balance")

    def richer(document: Any, exchange: Exchange) -> Any:
        mine = any(out["scriptpubkey"] == script for tx in document for out in tx["vout"])
        return [row, *document] if mine else document

    purse.nodes = [gateways[0].url]
    gateways[0].rules = [
        rules.on(f"/tx/{txid}/hex", rules.say(200, raw)),
        rules.on(f"/tx/{txid}$", rules.say(200, json.dumps(row))),
        rules.on(f"/tx/{txid}/status", rules.say(200, json.dumps(row["status"]))),
        rules.on("/(scripthash|address)/[^/]+/txs$", rules.altered(richer)),
    ]
    outcome = purse.run("balance")
    assert outcome.code == 1 or outcome.json()["confirmed_sat"] <= true["confirmed_sat"], outcome
    assert len(outcome.lines) == (outcome.code == 1)
    assert not payments_apart(gateways[0].payments)
