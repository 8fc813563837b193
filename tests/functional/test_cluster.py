"""Two real nodes: they find each other, agree, crash, catch up and stop. What every test here stands on."""

import subprocess

import pytest

from devnet.rpc import NodeRpcError
from tests.functional.cluster import ClusterError
from tests.functional.conftest import StartCluster

ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


def test_two_nodes_agree_through_a_crash_and_a_stop(start_cluster: StartCluster) -> None:
    cluster = start_cluster(2)
    cluster.rpc(0, "generatetoaddress", 3, ADDRESS)
    tip = cluster.wait_for_agreement(3)
    assert cluster.get(1, "/blocks/tip/hash") == tip
    assert cluster.get_json(1, f"/block/{tip}")["height"] == 3

    cluster.kill(1)
    cluster.rpc(0, "generatetoaddress", 2, ADDRESS)
    cluster.start(1)
    cluster.wait_for_agreement(5)

    assert cluster.stop(0) == 0
    assert not (cluster.nodes[0].datadir / "regtest" / ".cookie").exists()
    cluster.start(0)
    cluster.wait_for_agreement(5)


def test_nodes_started_apart_stay_apart_until_they_are_joined(start_cluster: StartCluster) -> None:
    cluster = start_cluster(2, links=())
    cluster.rpc(0, "generatetoaddress", 2, ADDRESS)
    cluster.rpc(1, "generatetoaddress", 3, ADDRESS)
    assert cluster.rpc(0, "getbestblockhash") != cluster.rpc(1, "getbestblockhash")
    cluster.rpc(0, "addnode", cluster.nodes[1].p2p, "add")
    cluster.wait_for_agreement(3)


def test_answers_of_any_status(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1)
    reply = cluster.request(0, "GET", "/block/zz")
    assert reply.status == 400
    assert reply.headers["content-type"] == "text/plain"
    assert reply.text == "Invalid hex string"
    assert cluster.request(0, "POST", "/", b"{}", content_type="text/plain").status == 401
    with pytest.raises(NodeRpcError) as caught:
        cluster.rpc(0, "getblockhash", 1)
    assert caught.value.code == -8


def test_a_node_that_cannot_start_says_why(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1, options=[["--no-such-option"]], launch=False)
    with pytest.raises(ClusterError, match=r"node 0 ended\n(.*\n)*.*--no-such-option"):
        cluster.start()


def test_nothing_is_left_behind(start_cluster: StartCluster) -> None:
    cluster = start_cluster(2)
    processes = [node.process for node in cluster.nodes if node.process]
    cluster.close()
    assert [process.poll() for process in processes] == [-9, -9]
    remaining = subprocess.run(["ps", "-A", "-o", "command="], capture_output=True, text=True, check=True).stdout
    assert str(cluster.folder) not in remaining
