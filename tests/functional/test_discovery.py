"""Real nodes of which each is told of one other find each other, and stay together when some are killed.

::

    0 <-- 1 <-- 2 <-- ... <-- 11        node i begins with node i-1 and knows nobody else
"""

import time
from collections.abc import Iterable
from itertools import combinations

import pytest

from chain.block import Block
from devnet.rpc import NodeRpcError
from tests.chainlab import funded, pay
from tests.functional.cluster import Cluster
from tests.functional.conftest import StartCluster

NODES = 12
FORMED_S = 20.0
"""A network has to form in this time, from the start of the first process that knows another."""
FRESH = 3
"""Blocks that come when the network stands; those before them are there to make a coin that can be spent."""
KILLED = 4
HEALED_S = 30.0
ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"

Graph = dict[int, set[int]]


def graph_of(cluster: Cluster) -> Graph:
    """Who is a peer of whom, as the running nodes tell."""
    places = {node.p2p: node.index for node in cluster.nodes}
    graph: Graph = {node.index: set() for node in cluster.nodes if node.process}
    for index in graph:
        for peer in cluster.rpc(index, "getpeerinfo"):
            other = places.get(peer["addr"])
            if other in graph and other != index:
                graph[index].add(other)
                graph[other].add(index)
    return graph


def is_connected(graph: Graph, without: tuple[int, ...] = ()) -> bool:
    left = set(graph) - set(without)
    reached, edge = set[int](), {min(left)}
    while edge:
        reached |= edge
        edge = {other for node in edge for other in graph[node]} & left - reached
    return reached == left


def survives(graph: Graph, killed: int) -> bool:
    """True if no choice of so many nodes holds the others together."""
    return all(is_connected(graph, chosen) for chosen in combinations(graph, killed))


def start_first(cluster: Cluster, ways: str, blocks: Iterable[Block]) -> None:
    """The node that knows nobody, with these blocks."""
    cluster.add("--discovery", ways)
    cluster.start()
    for block in blocks:
        cluster.rpc(0, "submitblock", block.raw.hex())


def start_others(cluster: Cluster, ways: str) -> None:
    for _ in range(1, NODES):
        cluster.add("--discovery", ways, "--bootstrap", cluster.nodes[-1].p2p)
    cluster.start(*range(1, NODES))


@pytest.mark.parametrize("ways", ["gossip,kademlia", "gossip", "kademlia"])
def test_nodes_that_know_one_other_make_a_network_that_lives_on(
    start_cluster: StartCluster, ways: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster, lab = start_cluster(0, launch=False), funded()
    start_first(cluster, ways, lab.blocks[:-FRESH])
    launched = time.monotonic()
    start_others(cluster, ways)
    ready = time.monotonic()
    cluster.wait_for(lambda: survives(graph_of(cluster), KILLED), f"a network that survives {KILLED} deaths", FORMED_S)
    formed = time.monotonic()
    assert formed - launched < FORMED_S

    for block in lab.blocks[-FRESH:]:
        cluster.rpc(NODES - 1, "submitblock", block.raw.hex())
    cluster.wait_for_agreement(lab.height)

    # The first bootstrap and three others, so that of the chain only pieces are left.
    for index in range(0, NODES, NODES // KILLED):
        cluster.kill(index)
    left = [node.index for node in cluster.nodes if node.process]
    assert len(left) == NODES - KILLED
    death = time.monotonic()
    assert is_connected(graph_of(cluster))
    first, last = left[0], left[-1]
    payment = pay(lab.take(), fee=1000)
    txid = cluster.rpc(first, "sendrawtransaction", payment.raw.hex())
    cluster.wait_for(lambda: all(txid in cluster.rpc(i, "getrawmempool") for i in left), "the payment", HEALED_S)
    cluster.rpc(last, "generatetoaddress", 1, ADDRESS)
    tip = cluster.wait_for_agreement(lab.height + 1, HEALED_S)
    assert txid in cluster.rpc(first, "getblock", tip)["tx"]
    lived = time.monotonic()
    assert is_connected(graph_of(cluster))
    with capsys.disabled():
        print(
            f"\n{NODES} nodes, {ways}: all up after {ready - launched:.1f} s, {formed - ready:.1f} s later "
            f"a network that survives any {KILLED} deaths; {KILLED} killed: a payment and a block "
            f"everywhere after {lived - death:.1f} s"
        )


def test_a_tracker_introduces_nodes_and_may_go(start_cluster: StartCluster) -> None:
    cluster = start_cluster(0, launch=False)
    tracker = cluster.add("--discovery", "tracker")
    for _ in range(3):
        cluster.add("--discovery", "gossip", "--bootstrap", tracker.p2p)
    cluster.start()
    cluster.wait_for(lambda: is_connected(graph_of(cluster), (tracker.index,)), "three introduced nodes", FORMED_S)
    cluster.rpc(1, "generatetoaddress", 2, ADDRESS)
    with pytest.raises(NodeRpcError, match="a tracker, which only introduces others"):
        cluster.rpc(0, "getblockcount")
    cluster.kill(0)
    cluster.wait_for_agreement(2, HEALED_S)
    cluster.rpc(3, "generatetoaddress", 1, ADDRESS)
    cluster.wait_for_agreement(3, HEALED_S)
