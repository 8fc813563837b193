"""Floods at twice what a node can answer, from peers, from strangers and from who only greets, and of the
API: blocks of honest peers come in as ever, and memory stays where it is.

GROAT_SIEGE=1 for two minutes; without it, ten seconds.
"""

import json
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from chain.address import encode_address
from chain.params import REGTEST, Asert, Params
from tests.chainlab import lock
from tests.functional.cluster import Cluster
from tests.functional.conftest import StartCluster
from tests.functional.siege import Attack
from tests.functional.test_slow_clients import resident_bytes

FLOOD_S = 120.0 if os.environ.get("GROAT_SIEGE") else 10.0
BLOCK_EVERY_S = 1.0
ACCEPTED_MAX_S = 2.0
GROWTH_MAX_BYTES = 30 * 1024 * 1024
CAPACITY_S = 2.0
NEVER = 2**31 - 1
OPEN_SEA = Params("sea", REGTEST.pow_limit_bits, 150, 7200, False, Asert(10, 150, NEVER, REGTEST.pow_limit_bits, None))
"""Regtest's rules, but local addresses are as good as any others."""


@pytest.fixture
def sea(start_cluster: StartCluster, tmp_path: Path) -> Cluster:
    """Two nodes that are linked, on such a network."""
    network = tmp_path / "sea.toml"
    network.write_text("".join(f"{key} = {json.dumps(setting)}\n" for key, setting in OPEN_SEA.to_mapping().items()))
    cluster: Cluster = start_cluster(2, network=str(network), launch=False)
    one, other = cluster.nodes
    one.options += ["--peer", other.p2p]
    cluster.start()
    cluster.rpc(1, "generatetoaddress", 3, encode_address(lock()))
    cluster.wait_for_agreement(3)
    return cluster


def test_blocks_come_in_through_a_flood(sea: Cluster, start_cluster: StartCluster) -> None:
    rate = 2 * capacity(start_cluster, "plain")
    victim = sea.nodes[0]
    blocks = blocks_in_flood(sea, victim.p2p_port, rate, ("session", "hello", "junk"))
    log = victim.log.read_text()
    assert "it sent more than it may" in log  # the flooding peer is gone
    assert log.count("\n") < 100 + 3 * blocks, "a flood fills the log"
    assert len(sea.rpc(0, "getpeerinfo")) == 1


def test_blocks_come_in_while_the_api_is_flooded(sea: Cluster, start_cluster: StartCluster) -> None:
    """From the peer, and told of by the very listener that is flooded."""
    rate = 2 * capacity(start_cluster, "api")
    victim = sea.nodes[0]
    blocks = blocks_in_flood(sea, victim.api_port, rate, ("api", "blocks", "nothing"))
    assert victim.log.read_text().count("\n") < 100 + 3 * blocks, "a flood fills the log"
    assert len(sea.rpc(0, "getpeerinfo")) == 1


def blocks_in_flood(sea: Cluster, port: int, rate: float, kinds: Sequence[str]) -> int:
    """A block each second while one of the first node's listeners is flooded; how many there were."""
    victim = sea.nodes[0]
    assert victim.process
    network_id = OPEN_SEA.network_id.hex()
    with ExitStack() as stack:
        attacks = [stack.enter_context(Attack("flood", port, rate / len(kinds), kind, network_id)) for kind in kinds]
        before, most = resident_bytes(victim.process.pid), 0
        times, ends = [], time.monotonic() + FLOOD_S
        while time.monotonic() < ends:
            began = time.monotonic()
            times.append(block_s(sea))
            most = max(most, resident_bytes(victim.process.pid) - before)
            time.sleep(max(0.0, began + BLOCK_EVERY_S - time.monotonic()))
    offered = sum(attack.figures["offered"] for attack in attacks) / FLOOD_S
    print(
        f"capacity {rate / 2:.0f}/s, offered {offered:.0f}/s,",
        f"{len(times)} blocks: median {sorted(times)[len(times) // 2]:.3f} s,",
    )
    print(f"slowest {max(times):.3f} s, memory up {most / 2**20:.1f} MB", *(attack.figures for attack in attacks))
    assert max(times) < ACCEPTED_MAX_S
    assert most < GROWTH_MAX_BYTES
    return len(times)


def capacity(start_cluster: StartCluster, kind: str) -> float:
    """Requests of a kind a second that a node answers to whom it does not limit, if it has nothing else to do."""
    cluster: Cluster = start_cluster(1, links=())
    [node] = cluster.nodes
    port = node.api_port if kind == "api" else node.p2p_port
    with Attack("flood", port, 20_000, kind, REGTEST.network_id.hex()) as attack:
        time.sleep(CAPACITY_S)
    cluster.close()
    return attack.figures["answers"] / CAPACITY_S


def block_s(cluster: Cluster) -> float:
    """Seconds from a block at one node to its being the other's tip."""
    [block_hash] = cluster.rpc(1, "generatetoaddress", 1, encode_address(lock()))
    began = time.monotonic()
    cluster.wait_for(lambda: cluster.get(0, "/blocks/tip/hash") == block_hash, "the block", 4 * ACCEPTED_MAX_S)
    return time.monotonic() - began
