"""A miner of another process against a real node: it finds blocks, and what it is late with costs little."""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chain.params import REGTEST_LIMIT_BITS, Asert, devnet_params
from node.chainstate.stale_blocks import SIBLINGS_MAX
from tests.functional.cluster import Cluster
from tests.functional.conftest import StartCluster

MINER = Path(__file__).with_name("external_miner.py")
ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
SCRIPT = "0014751e76e8199196d454941c45d1b3a323f1433bd6"
MINER_S = 120
SPAM = 2 * SIBLINGS_MAX
"""Blocks that come too late, from one miner."""
ANSWER_MAX_S = 2.0
"""For the tip's height meanwhile, on a machine that may be busy with other tests; usually 3 ms."""
GROWTH_MAX_KB = 60_000


def mine(cluster: Cluster, *options: str) -> dict[str, Any]:
    """What the miner heard."""
    node = cluster.nodes[0]
    login = (node.datadir / cluster.network_name / ".cookie").read_text().strip()
    command = [sys.executable, "-I", str(MINER), f"http://{node.api}", login, SCRIPT, *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=MINER_S, check=False)
    assert ended.returncode == 0, ended.stderr
    heard: dict[str, Any] = json.loads(ended.stdout)
    return heard


def test_a_miner_with_long_polls(start_cluster: StartCluster) -> None:
    """Two nodes: what the miner finds is the network's, late blocks hurt nobody."""
    cluster = start_cluster(2)
    heard = mine(cluster, "--blocks", "120")
    assert heard["accepted"] == 120
    assert set(heard) <= {"accepted", "inconclusive", "long polls"}
    assert heard["long polls"] >= 60  # some tips follow each other too quickly to be told one by one
    assert cluster.wait_for_agreement(120)
    assert cluster.rpc(0, "getmininginfo")["currentblocktx"] == 0
    assert cluster.rpc(1, "gettxoutsetinfo", "none")["total_amount"] == 120 * 50
    coinbase = cluster.rpc(1, "getblock", cluster.rpc(1, "getbestblockhash"), 2)["tx"][0]
    assert coinbase["vin"][0]["txinwitness"] == ["00" * 32]
    assert coinbase["vout"][0]["scriptPubKey"]["address"] == ADDRESS


def test_a_miner_where_difficulty_moves(start_cluster: StartCluster, tmp_path: Path) -> None:
    """Bits, target and time of every template are those that the next block must have."""
    # A target of 2^9 hashes at first; far ahead of a block every two seconds it gets harder with each.
    asert = Asert(spacing_s=2, half_life_s=20, anchor_height=5, first_bits=0x1F7FFFFF, gap_cap_s=30)
    params = replace(devnet_params(spacing_s=2), pow_limit_bits=REGTEST_LIMIT_BITS, asert=asert)
    network = tmp_path / "network.toml"
    network.write_text("".join(f"{key} = {json.dumps(setting)}\n" for key, setting in params.to_mapping().items()))
    cluster = start_cluster(1, network=str(network))
    assert mine(cluster, "--blocks", "30")["accepted"] == 30
    headers = [cluster.rpc(0, "getblockheader", cluster.rpc(0, "getblockhash", height)) for height in range(1, 31)]
    targets = [int(header["target"], 16) for header in headers]
    assert len({*targets[:4]}) == 1
    assert len({*targets[4:]}) > 15
    assert targets[-1] < targets[4]


def memory_kb(cluster: Cluster) -> int:
    process = cluster.nodes[0].process
    assert process is not None
    status = Path(f"/proc/{process.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1])


@pytest.mark.timeout(180)
def test_siblings_by_the_thousand_are_cheap_and_harmless(start_cluster: StartCluster) -> None:
    """Without long polls a miner goes on with the same parent for seconds (minerd: 5 s)."""
    cluster = start_cluster(1)
    cluster.rpc(0, "generatetoaddress", 20, ADDRESS)
    before = memory_kb(cluster)
    slowest = 0.0
    with ThreadPoolExecutor(1) as pool:
        spam = pool.submit(mine, cluster, "--no-longpoll", "--siblings", str(SPAM))
        while not spam.done():
            started = time.perf_counter()
            assert cluster.request(0, "GET", "/blocks/tip/height").status == 200
            slowest = max(slowest, time.perf_counter() - started)
        heard = spam.result()
    assert heard["inconclusive"] > SIBLINGS_MAX
    assert set(heard) == {"accepted", "inconclusive"}
    assert slowest < ANSWER_MAX_S
    assert memory_kb(cluster) - before < GROWTH_MAX_KB
    assert cluster.rpc(0, "getblockcount") == 20 + heard["accepted"]
    assert len(cluster.rpc(0, "getchaintips")) == 1 + SIBLINGS_MAX
    # A restart finds what was kept, and goes on.
    tip = cluster.rpc(0, "getbestblockhash")
    assert cluster.stop(0) == 0
    cluster.start(0)
    assert cluster.rpc(0, "getbestblockhash") == tip
    assert len(cluster.rpc(0, "getchaintips")) == 1 + SIBLINGS_MAX
    assert mine(cluster, "--blocks", "3")["accepted"] == 3
