"""A real node that nobody can dial: it hears of blocks and payments as soon as others, and its own spread."""

import time

import pytest

from tests.chainlab import Lab, funded, pay
from tests.functional.cluster import Cluster
from tests.functional.conftest import StartCluster

PROMISED_S = 1.5
"""From a block's being found to its being the tip of a node behind a NAT."""
BLOCKS = 3
ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
BEHIND = 2
"""The node that nobody can dial; it was told of node 0 alone."""


@pytest.fixture
def lab() -> Lab:
    return funded()


@pytest.fixture
def cluster(start_cluster: StartCluster, lab: Lab) -> Cluster:
    made = start_cluster(3, links=[(0, 1), (0, BEHIND)], options=[[], [], ["--unlisted"]])
    for block in lab.blocks:
        made.rpc(0, "submitblock", block.raw.hex())
    made.wait_for_agreement(lab.height)
    return made


def mine(cluster: Cluster, finder: int, *watchers: int) -> float:
    """Seconds until a block that one node finds is the tip of these others."""
    start = time.monotonic()
    [block] = cluster.rpc(finder, "generatetoaddress", 1, ADDRESS)
    for index in watchers:
        cluster.wait_for(lambda i=index: cluster.rpc(i, "getbestblockhash") == block, "the block")
    return time.monotonic() - start


def test_blocks_come_and_go_in_time(cluster: Cluster) -> None:
    comes = [mine(cluster, 1, BEHIND) for _ in range(BLOCKS)]
    goes = [mine(cluster, BEHIND, 0, 1) for _ in range(BLOCKS)]
    print(f"others' blocks come after {max(comes):.3f} s at most, its own are everywhere after {max(goes):.3f} s")
    assert max(comes) < PROMISED_S
    assert max(goes) < PROMISED_S


def test_payments_come_and_go(cluster: Cluster, lab: Lab) -> None:
    txids = [cluster.rpc(finder, "sendrawtransaction", pay(lab.take()).raw.hex()) for finder in (BEHIND, 1)]
    start = time.monotonic()
    for index in range(3):
        cluster.wait_for(lambda i=index: set(txids) <= set(cluster.rpc(i, "getrawmempool")), "both to spread", 10)
    print(f"payments of both sides are everywhere after {time.monotonic() - start:.3f} s")


def test_nobody_dials_it(cluster: Cluster) -> None:
    assert cluster.rpc(BEHIND, "getpeerinfo")
    logs = [node.log.read_text() for node in cluster.nodes]
    assert f"at {cluster.nodes[0].p2p}" in logs[BEHIND]
    assert not any(f"at {cluster.nodes[BEHIND].p2p}" in log for log in logs[:BEHIND])
