"""The address book's file with real nodes: it is kept, used again, and never in the way."""

from pathlib import Path

from tests.functional.cluster import Cluster
from tests.functional.conftest import StartCluster


def path_of(cluster: Cluster, index: int) -> Path:
    return cluster.nodes[index].datadir / cluster.network_name / "peers.dat"


def book_of(cluster: Cluster, index: int) -> bytes:
    return path_of(cluster, index).read_bytes()


def peers(cluster: Cluster, index: int) -> int:
    return len(cluster.rpc(index, "getpeerinfo"))


def test_who_was_met_once_is_found_again(start_cluster: StartCluster) -> None:
    """Nobody tells the second node of the first one any more, which itself knows nobody."""
    cluster = start_cluster(2)
    cluster.wait_for(lambda: peers(cluster, 1), "a link")
    assert [cluster.stop(index) for index in (1, 0)] == [0, 0]
    saved = book_of(cluster, 1)
    path_of(cluster, 0).unlink()
    cluster.nodes[1].options = []
    cluster.start(0, 1)
    cluster.wait_for(lambda: peers(cluster, 1), "a link from the book")
    [found] = cluster.rpc(1, "getpeerinfo")
    assert (found["addr"], found["connection_type"]) == (cluster.nodes[0].p2p, "outbound-full-relay")
    assert cluster.stop(1) == 0
    assert book_of(cluster, 1)[:33] == saved[:33]  # the same secret


def test_a_damaged_book_is_a_warning_and_an_empty_book(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1)
    assert cluster.stop(0) == 0
    path_of(cluster, 0).write_bytes(book_of(cluster, 0)[:-1] + b"?")
    cluster.start(0)
    assert "peers.dat is not used" in cluster.nodes[0].log.read_text()
    assert cluster.stop(0) == 0
    cluster.start(0)
    assert cluster.nodes[0].log.read_text().count("peers.dat is not used") == 1
