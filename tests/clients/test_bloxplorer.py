"""bloxplorer, a client of Esplora explorers, from a payment to its confirmation."""

import asyncio
from typing import Any

import pytest
from bloxplorer.exceptions import BlockstreamApiError
from bloxplorer.explorers import AsyncExplorer, SyncExplorer

from tests.clients.conftest import MATURE, SUBSIDY, FreshNode, Purse

# It hands its text to httpx in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")


def explorer_of(node: FreshNode, base: type = SyncExplorer, path: str = "/api/") -> Any:
    """Its explorers have their address in the class."""
    return type("Explorer", (base,), {"BASE_URL": node.url + path})()


@pytest.mark.parametrize("path", ["/api/", "/"])
def test_a_payment_from_broadcast_to_confirmation(node: FreshNode, purse: Purse, path: str) -> None:
    explorer = explorer_of(node, path=path)
    tx, tx_hex = purse.payment(fee=2000)
    txid = node.rpc("decoderawtransaction", tx_hex)["txid"]
    assert explorer.tx.post(tx_hex).data == txid
    assert explorer.tx.get_status(txid).data == {"confirmed": False}
    assert explorer.mempool.get_txids().data == [txid]
    assert explorer.mempool.get().data["total_fee"] == 2000
    assert explorer.mempool.get_latest_txs().data[0]["txid"] == txid
    assert [one["txid"] for one in explorer.addr.get_unconfirmed_tx_history(purse.address).data] == [txid]

    [mined] = node.mine(1, purse.address)
    assert explorer.blocks.get_last_height().data == str(MATURE + 1)
    assert explorer.blocks.get_last_hash().data == explorer.blocks.get_height(MATURE + 1).data == mined
    assert explorer.blocks.get(mined).data["tx_count"] == 2
    assert explorer.blocks.get_txids(mined).data[1] == explorer.blocks.get_txids(mined, 1).data == txid
    assert explorer.blocks.get_status(mined).data == {"in_best_chain": True, "height": MATURE + 1, "next_best": None}
    assert [one["txid"] for one in explorer.blocks.get_txs(mined).data][1] == txid
    assert tx.raw in explorer.blocks.get_raw(mined).data
    assert explorer.tx.get(txid).data["fee"] == 2000
    assert explorer.tx.get_raw(txid).data == tx.raw
    assert explorer.tx.get_hex(txid).data == tx_hex
    assert explorer.tx.get_merkleblock_proof(txid).data.startswith(explorer.blocks.get_header(mined).data)
    assert [each["height"] for each in explorer.blocks.get_blocks(5).data] == [5, 4, 3, 2, 1, 0]
    assert explorer.tx.get_merkle_proof(txid).data["pos"] == 1
    spent = explorer.tx.get(txid).data["vin"][0]
    assert explorer.tx.get_spending_status(spent["txid"], spent["vout"]).data["txid"] == txid
    assert explorer.tx.get_spending_status(txid).data == [{"spent": False}]

    stats = explorer.addr.get(purse.address).data["chain_stats"]
    assert stats["tx_count"] == MATURE + 2
    assert stats["funded_txo_sum"] - stats["spent_txo_sum"] == (MATURE + 1) * SUBSIDY
    assert len(explorer.addr.get_utxo(purse.address).data) == MATURE + 1
    first = explorer.addr.get_tx_history(purse.address).data
    second = explorer.addr.get_confirmed_tx_history(purse.address, first[-1]["txid"]).data
    assert len({one["txid"] for one in [*first, *second]}) == 50
    assert float(explorer.fees.get_estimates().data["1"]) >= 1.0


def test_what_it_says_of_errors(node: FreshNode) -> None:
    explorer = explorer_of(node)
    with pytest.raises(BlockstreamApiError) as bad:
        explorer.tx.post("00")
    assert bad.value.status_code == 400
    assert str(bad.value.message).startswith("sendrawtransaction RPC error -22")
    with pytest.raises(BlockstreamApiError) as absent:
        explorer.tx.get("ab" * 32)
    assert absent.value.status_code == 404


def test_many_questions_at_once(node: FreshNode, purse: Purse) -> None:
    """Its asynchronous form, with a connection for each question."""
    explorer = explorer_of(node, AsyncExplorer)

    async def ask() -> list[Any]:
        return await asyncio.gather(*(explorer.blocks.get_height(height) for height in range(20)))

    hashes = [answer.data for answer in asyncio.run(ask())]
    assert hashes == [node.rpc("getblockhash", height) for height in range(20)]
