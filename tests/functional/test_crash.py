"""`kill -9` at any time, under traffic: the same command starts the node again, and nothing is lost.

GROAT_KILLS sets how often (50 is the long run).
"""

import os
import random
import threading
import time
from pathlib import Path

import pytest

from chain.address import encode_address
from devnet.rpc import NodeRpcError, Unreachable
from tests.chainlab import Lab, funded, lock, made_by, pay
from tests.functional.cluster import Cluster
from tests.functional.conftest import StartCluster
from tests.functional.test_partition import digest_of, feed

KILLS = int(os.environ.get("GROAT_KILLS", "6"))
PACE_S = 0.02
"""Between two payments."""


class Traffic:
    """Payments in chains, one after the other, to whichever node takes them; as long as it is open."""

    def __init__(self, cluster: Cluster, lab: Lab, rng: random.Random) -> None:
        self._cluster, self._rng = cluster, rng
        self._coins = [lab.take()[0] for _ in range(20)]
        self.acknowledged: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(PACE_S):
            place = self._rng.randrange(len(self._coins))
            payment = pay([self._coins[place]], fee=1000)
            index = self._rng.randrange(len(self._cluster.nodes))
            try:
                self._cluster.client(index, 10.0).rpc("sendrawtransaction", payment.raw.hex())
            except (NodeRpcError, Unreachable):
                continue  # down just now, or the chain of payments is too long for the moment
            self.acknowledged.append(payment.txid[::-1].hex())
            self._coins[place] = made_by(payment)


def test_kill_9_under_traffic(start_cluster: StartCluster) -> None:
    lab, rng = funded(), random.Random(KILLS)
    address = encode_address(lock(number=50))
    cluster = start_cluster(3, options=[["--mine", address, "--mine-interval", "1"], [], []], launch=False)
    cluster.start(1, 2)
    feed(cluster, 1, lab)
    cluster.wait_for_agreement(lab.height)
    cluster.start(0)  # the miner, which knows of node 1 and 2 by their own greetings
    with Traffic(cluster, lab, rng) as traffic:
        for _ in range(KILLS):
            time.sleep(rng.uniform(0.1, 1.0))  # the point of time is what is varied
            victim = rng.randrange(3)
            height = cluster.rpc(victim, "getblockcount")
            cluster.kill(victim)
            digest_of(cluster, cluster.nodes[victim])
            cluster.start(victim)
            assert cluster.rpc(victim, "getblockcount") >= height
            others = [index for index in range(3) if index != victim]
            target = max(cluster.rpc(index, "getblockcount") for index in others)
            cluster.wait_for(
                lambda v=victim, t=target: cluster.rpc(v, "getblockcount") >= t, f"node {victim} to catch up"
            )
    assert len(traffic.acknowledged) > KILLS
    cluster.stop(0)
    cluster.wait_for(lambda: cluster.rpc(1, "getbestblockhash") == cluster.rpc(2, "getbestblockhash"), "one tip")
    cluster.start(0)
    cluster.wait_for_agreement()
    for index in range(3):
        assert cluster.stop(index) == 0
    assert len({digest_of(cluster, node) for node in cluster.nodes}) == 1


def children_of(pid: int) -> list[int]:
    """Living processes whose parent is `pid`."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_no_helper_outlives_a_killed_node(start_cluster: StartCluster) -> None:
    """The miner's and the verifier's pipe closes with the node, whatever ended it."""
    address = encode_address(lock(number=1))
    cluster = start_cluster(1, options=[["--mine", address, "--mine-threads", "2"]])
    process = cluster.nodes[0].process
    assert process is not None
    cluster.wait_for(lambda: len(children_of(process.pid)) >= 2, "the miners to run")
    helpers = children_of(process.pid)
    cluster.kill(0)
    cluster.wait_for(lambda: not any(is_alive(pid) for pid in helpers), "the helpers to end", 5.0)
