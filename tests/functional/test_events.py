"""Live events of real nodes: over real HTTP, from another node's blocks, and to the node's end."""

import signal
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.functional.cluster import Cluster
from tests.sse import Follower

StartCluster = Callable[..., Cluster]
ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
STOP_S = 5.0


def test_a_reorganisation_brought_by_a_peer(start_cluster: StartCluster) -> None:
    r"""
    ::

        genesis --- a1 --- a2           node 0's own
               \--- b1 --- b2 --- b3    node 1's, which it hears of later
    """
    cluster = start_cluster(2, links=[])
    with ExitStack() as stack:
        follower = Follower(cluster.nodes[0].api_port, "/api/v1/events")
        stack.callback(follower.close)
        a = cluster.rpc(0, "generatetoaddress", 2, ADDRESS)
        own = [(event.topic, event.data["hash"]) for event in follower.take(6)]
        assert own == [(topic, made) for made in a for topic in ("block_stored", "block", "tip")]
        b = cluster.rpc(1, "generatetoaddress", 3, ADDRESS)
        cluster.rpc(0, "addnode", cluster.nodes[1].p2p, "add")
        told = follower.until(lambda event: event.topic == "tip")
        places = [(event.topic, event.data["hash"]) for event in told[:-1] if "hash" in event.data]
        assert sorted(places[:3]) == sorted(("block_stored", made) for made in b)
        assert places[3:] == [
            ("block_disconnected", a[1]),
            ("block_disconnected", a[0]),
            ("block", b[0]),
            ("block", b[1]),
            ("block", b[2]),
        ]
        [reorg] = [event.data for event in told if event.topic == "reorg"]
        assert (reorg["depth"], reorg["fork"]["height"]) == (2, 0)
        assert (reorg["old_tip"]["hash"], reorg["new_tip"]["hash"]) == (a[1], b[2])
        assert told[3].topic == "reorg"
        assert told[-1].data["hash"] == b[2]
        assert [event.id for event in told] == list(range(told[0].id, told[0].id + len(told)))


@pytest.mark.parametrize("count", [60])
def test_a_node_with_followers_stops_in_time(start_cluster: StartCluster, count: int) -> None:
    """Some of them have stopped reading. Who comes back to the next run learns that there was a gap."""
    cluster = start_cluster(1)
    followers = [Follower(cluster.nodes[0].api_port) for _ in range(count)]
    cluster.rpc(0, "generatetoaddress", 400, ADDRESS)
    told = followers[0].take(3)
    process = cluster.nodes[0].process
    assert process is not None
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(4 * STOP_S) == 0
    assert time.monotonic() - began < STOP_S
    cluster.nodes[0].process = None
    for follower in followers:
        follower.close()
    cluster.start(0)
    back = Follower(cluster.nodes[0].api_port, last_event_id=str(told[-1].id))
    assert back.next()[1:] == ("missed", {"count": None})
    cluster.rpc(0, "generatetoaddress", 1, ADDRESS)
    assert back.until(lambda event: event.topic == "tip")[-1].data["height"] == 401
    back.close()
