"""The wallet and three real nodes: payments arrive everywhere, and none is lost.

GROAT_PAYMENTS sets how many the script makes (500 is the long run).
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from devnet.processes import environment
from tests.functional.cluster import Cluster
from tests.functional.conftest import StartCluster
from wallet.account import Wallet
from wallet.client import Esplora

PAYMENTS = int(os.environ.get("GROAT_PAYMENTS", "100"))
COINBASES = 20
"""Mature coins of the paying wallet: chains of unconfirmed payments start from each."""
PASSWORD = "devnet"


class Purse:
    """One wallet file, and the `wallet` command on it."""

    def __init__(self, folder: Path, name: str, node: str) -> None:
        self.file = folder / f"{name}.json"
        self.node = node
        self.run("create")

    def run(self, *arguments: str) -> Any:
        """The command's JSON."""
        command = [sys.executable, "-c", "from wallet.cli import main; main()", "--json", "--wallet", str(self.file)]
        outcome = subprocess.run(
            [*command, "--node", f"http://{self.node}", *arguments],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**environment(), "GROAT_WALLET_PASSWORD": PASSWORD},
        )
        assert outcome.returncode == 0, outcome.stderr
        return json.loads(outcome.stdout)

    def address(self) -> str:
        return str(self.run("address")["address"])


@pytest.fixture
def cluster(start_cluster: StartCluster) -> Cluster:
    return start_cluster(3)


def stats(cluster: Cluster, index: int, address: str) -> Any:
    return cluster.get_json(index, f"/api/address/{address}")


def test_a_payment_is_seen_by_all_within_two_blocks(cluster: Cluster, tmp_path: Path) -> None:
    payer, payee = (Purse(tmp_path, name, cluster.nodes[0].api) for name in ("payer", "payee"))
    cluster.rpc(0, "generatetoaddress", 101, payer.address())
    cluster.wait_for_agreement(101)
    address = payee.address()
    sent = payer.run("send", address, "0.25", "--yes")
    for index in range(3):
        cluster.wait_for(lambda i=index: sent["txid"] in cluster.rpc(i, "getrawmempool"), "the payment to spread")
    cluster.rpc(1, "generatetoaddress", 1, address)
    cluster.wait_for_agreement(102)
    answers = [stats(cluster, index, address) for index in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0]["chain_stats"] | {"funded_txo_sum": 0} == {
        "tx_count": 2, "funded_txo_count": 2, "funded_txo_sum": 0, "spent_txo_count": 0, "spent_txo_sum": 0,
    }  # fmt: skip
    [row] = [row for row in payer.run("history") if row["txid"] == sent["txid"]]
    assert row["height"] == 102
    balance = payee.run("balance")
    assert (balance["confirmed_sat"], balance["immature_sat"]) == (25_000_000, 50 * 10**8 + sent["fee_sat"])
    assert payer.run("balance")["spendable_sat"] >= 50 * 10**8 - 25_000_000 - sent["fee_sat"]


def test_many_payments_from_a_script(cluster: Cluster, tmp_path: Path) -> None:
    payer, payee = (Purse(tmp_path, name, cluster.nodes[0].api) for name in ("payer", "payee"))
    cluster.rpc(0, "generatetoaddress", 100 + COINBASES, payer.address())
    cluster.wait_for_agreement()
    address = payee.address()
    with Esplora([f"http://{cluster.nodes[0].api}"]) as client:
        wallet = Wallet.open(payer.file, PASSWORD, client)
        sent = []
        for number in range(PAYMENTS):
            sent.append(wallet.send(address, 10_000 + number).txid)
            if number % 20 == 19:
                cluster.rpc(number % 3, "generatetoaddress", 1, payer.address())
                cluster.wait_for_agreement()
    for index in range(3):
        cluster.wait_for(
            lambda i=index: (
                sum(part["tx_count"] for key, part in stats(cluster, i, address).items() if "stats" in key) == PAYMENTS
            ),
            "all payments to spread",
        )
    cluster.rpc(2, "generatetoaddress", 1, payer.address())
    cluster.wait_for_agreement()
    for index in range(3):
        chain = stats(cluster, index, address)["chain_stats"]
        assert chain["tx_count"] == len(set(sent)) == PAYMENTS
        assert chain["funded_txo_sum"] == sum(10_000 + number for number in range(PAYMENTS))
    assert payee.run("balance")["confirmed_sat"] == sum(10_000 + number for number in range(PAYMENTS))
