"""Clients from npm, each in a run of Node.js of its own: a wallet library, an explorer's client, three of JSON-RPC."""

from collections.abc import Callable
from typing import Any

import pytest

from chain.hashes import to_hex
from tests.clients.conftest import MATURE, SUBSIDY, FreshNode, Purse

RunJs = Callable[..., Any]


@pytest.mark.parametrize("kind", ["p2wpkh", "p2pkh", "p2tr"])
def test_bitcoinjs_spends_by_psbt(node: FreshNode, run_js: RunJs, kind: str) -> None:
    said = {"url": f"{node.url}/api", "kind": kind}
    address = run_js("bitcoinjs.mjs", {**said, "step": "address"})["address"]
    node.mine(MATURE + 1, address)
    spent = run_js("bitcoinjs.mjs", {**said, "step": "spend"})
    assert (spent["status"], spent["unconfirmed"]) == (200, {"confirmed": False}), spent
    assert spent["total"] == 2 * SUBSIDY
    txid = spent["txid"]
    assert txid == spent["ours"]
    assert node.rpc("getmempoolentry", txid)["vsize"] == spent["virtual_size"]

    [mined] = node.mine(1, address)
    found = run_js("bitcoinjs.mjs", {**said, "step": "confirmed", "txid": txid})
    assert found["status"]["block_height"] == MATURE + 2
    assert {key: found[key] for key in ("txid", "fee", "block", "roots", "proof_of_work", "position")} == {
        "txid": txid, "fee": spent["fee"], "block": mined, "roots": True, "proof_of_work": True, "position": 1,
    }  # fmt: skip


def test_mempool_js(node: FreshNode, purse: Purse, run_js: RunJs) -> None:
    tx, tx_hex = purse.payment(fee=2000)
    txid = to_hex(tx.txid)
    said = {"port": node.port, "address": purse.address, "hex": tx_hex, "txid": txid}
    sent = run_js("mempool.mjs", {**said, "step": "broadcast"})
    assert (sent["sent"], sent["again"], sent["unconfirmed"], sent["txids"]) == (txid, txid, [txid], [txid])
    assert sent["bad"]["status"] == 400
    assert sent["mempool"]["count"] == 1
    assert sent["mempool"]["total_fee"] == 2000
    assert sent["recent"][0]["txid"] == txid
    assert set(sent["recommended"]) == {"fastestFee", "halfHourFee", "hourFee", "economyFee", "minimumFee"}

    [mined] = node.mine(1, purse.address)
    found = run_js("mempool.mjs", {**said, "step": "confirmed", "block": mined})
    assert found["tip"] == [MATURE + 1, mined]
    assert found["at_height"] == node.rpc("getblockhash", 1)
    assert found["header"] == node.rpc("getblockheader", mined, False)
    assert found["block_status"] == {"in_best_chain": True, "height": MATURE + 1, "next_best": None}
    assert found["block_txids"][1] == found["block_txid"] == found["block_txs"][1] == txid
    assert (found["block"]["id"], found["block"]["tx_count"]) == (mined, 2)
    assert found["blocks"] == list(range(12, 2, -1))
    assert found["tx"]["fee"] == 2000
    assert found["tx"]["spent"] == SUBSIDY
    assert found["status"] == found["tx"]["status"]
    assert found["status"]["block_hash"] == mined
    assert found["hex"] == tx_hex
    assert (found["merkle_proof"]["block_height"], found["merkle_proof"]["pos"]) == (MATURE + 1, 1)
    assert found["merkleblock_proof"].startswith(found["header"])
    assert (found["outspend"]["spent"], found["outspend"]["txid"]) == (True, txid)
    assert found["outspends"] == [{"spent": False}]
    assert found["address"]["chain_stats"]["tx_count"] == MATURE + 2
    assert found["utxos"] == MATURE + 1
    first, second = found["pages"]
    assert (len(first), len(second), len({*first, *second})) == (25, 25, 50)
    assert found["chain"] == 25
    assert found["absent"] == {"status": 404, "text": "Transaction not found"}


@pytest.mark.parametrize(
    ("client", "unauthorized"),
    [
        ("bitcoin-core", 401),
        ("rpc-bitcoin", "401"),
        ("bitcoind-rpc", "Bitcoin JSON-RPC: Connection Rejected: 401 Unnauthorized"),
    ],
)
def test_json_rpc(node: FreshNode, purse: Purse, run_js: RunJs, client: str, unauthorized: object) -> None:
    tx, tx_hex = purse.payment()
    said = {"port": node.port, "user": node.user, "password": node.password}
    told = run_js("rpc.mjs", {**said, "client": client, "address": purse.address, "hex": tx_hex})
    absent = {"code": -5, "message": "Block not found"}
    assert told == {
        "txid": to_hex(tx.txid),
        "mined": node.rpc("getbestblockhash"),
        "count": MATURE + 1,
        "hash": node.rpc("getblockhash", 1),
        "absent": absent,
        "block": [node.rpc("getblock", node.rpc("getbestblockhash"))["tx"][0], to_hex(tx.txid)],
        "positional": MATURE + 1,
        "info": "regtest",
        "refused": absent,
        "unauthorized": unauthorized,
    }
