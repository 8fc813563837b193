"""Which node a wallet talks to, by the addresses that people have: real nodes, the real command."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chain.params import REGTEST, devnet_params
from devnet.processes import environment
from tests.functional.conftest import StartCluster

PASSWORD = "devnet"
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """The `wallet` command on a new wallet file, with nobody at a terminal."""

    def run(*arguments: str, file: str = "wallet.json") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", "from wallet.cli import main; main()", "--wallet", str(tmp_path / file), *arguments],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**environment(), "GROAT_WALLET_PASSWORD": PASSWORD, "COLUMNS": "80"},
        )

    assert run("create").returncode == 0
    return run


def test_the_addresses_of_a_node(start_cluster: StartCluster, command: Command) -> None:
    node = start_cluster(1).nodes[0]
    for url in (node.api, f"http://{node.api}/", f"http://{node.api}/api", f"http://{node.api}/api/",
                f"http://{node.api}/explorer/"):  # fmt: skip
        outcome = command("--node", url, "balance")
        assert (outcome.returncode, outcome.stderr) == (0, ""), url
    for url, says in (
        (f"https://{node.api}", f"https://{node.api} does not speak TLS: write http:// and not https://"),
        (f"http://{node.p2p}", "this is not a node's API: --node may name its port for peers (P2P)"),
    ):
        began = time.monotonic()
        outcome = command("--node", url, "balance")
        assert (outcome.returncode, outcome.stdout, outcome.stderr.count("\n")) == (1, "", 1)
        assert says in outcome.stderr
        assert time.monotonic() - began < 4, "it is told at once, not when a wait is over"


def test_a_wallet_and_a_node_of_two_networks(start_cluster: StartCluster, command: Command, tmp_path: Path) -> None:
    toml = tmp_path / "network.toml"
    toml.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in devnet_params().to_mapping().items()))
    node = start_cluster(1, network=str(toml)).nodes[0]
    outcome = command("--node", node.api, "balance")
    assert (outcome.returncode, outcome.stdout) == (1, "")
    theirs, own = devnet_params().network_id.hex()[:8], REGTEST.network_id.hex()[:8]
    assert outcome.stderr == (
        f"Error: the node is on network devnet ({theirs}), this wallet on regtest ({own}): "
        "give another --node, or a wallet made with `wallet create --network FILE`\n"
    )
    assert command("create", "--network", str(toml), file="other.json").returncode == 0
    outcome = command("--node", node.api, "balance", file="other.json")
    assert (outcome.returncode, outcome.stderr) == (0, "")
