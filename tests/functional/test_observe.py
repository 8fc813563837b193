"""Two real nodes, watched from outside: each tells the same story of the other, and so do their metrics."""

from prometheus_client.parser import text_string_to_metric_families

from tests.functional.cluster import Cluster
from tests.functional.conftest import StartCluster

ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


def metrics(cluster: Cluster, index: int) -> dict[tuple[str, ...], float]:
    """Samples by name and the values of their labels."""
    text = cluster.get(index, "/metrics")
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_peers_and_metrics_of_real_nodes(start_cluster: StartCluster) -> None:
    cluster = start_cluster(2)
    cluster.wait_for(lambda: all(len(cluster.get_json(index, "/api/v1/peers")) == 1 for index in (0, 1)), "a peer each")
    cluster.rpc(0, "generatetoaddress", 5, ADDRESS)
    cluster.wait_for_agreement(5)
    cluster.wait_for(lambda: cluster.get_json(1, "/v1/peers")[0]["first_blocks"] == 5, "credit for five blocks")

    # Counted from the last time that connections were closed, so that it may take a moment.
    cluster.wait_for(
        lambda: all(
            min(p["bytes_sent"], p["bytes_received"]) > 0 for i in (0, 1) for p in cluster.get_json(i, "/v1/peers")
        ),
        "bytes both ways",
    )
    [one], [other] = (cluster.get_json(index, "/v1/peers") for index in (0, 1))
    assert one["direction"] == "in"
    assert (one["connection_type"], other["connection_type"]) == ("inbound", "static")
    assert (one["discovered_by"], other["discovered_by"]) == ("itself", "operator")
    assert (one["endpoint"], other["endpoint"]) == (cluster.nodes[1].p2p, cluster.nodes[0].p2p)
    assert one["id"] != other["id"]
    assert (one["role"], one["services"], one["choked"]) == ("full", ["NETWORK"], False)
    for peer in (one, other):
        assert 0 < peer["least_round_trip_ms"] <= peer["round_trip_ms"] < 60_000
    assert other["score"] > 20
    assert other["why"][0] == {"reason": "delivered valid blocks first", "points": other["why"][0]["points"]}
    assert (other["synced_headers"], other["synced_blocks"]) == (5, 5)
    assert [peer["connection_type"] for peer in cluster.rpc(1, "getpeerinfo")] == ["manual"]

    first, second = metrics(cluster, 0), metrics(cluster, 1)
    for told in (first, second):
        assert (told["groat_tip_height",], told["groat_blocks_connected_total",]) == (5, 5)
        assert told["process_resident_memory_bytes",] > 10e6
    # Node 1 has greeted first, but the other's greeting back may be through before its own.
    assert (first["groat_peers", "in", "full"], second["groat_peers", other["direction"], "full"]) == (1, 1)
    # What one sent on a route that is quiet by now, the other received. (A hello may have come to nobody.)
    sent, received = (
        told["groat_p2p_bytes_total", way, "confirm"] for told, way in ((first, "sent"), (second, "received"))
    )
    assert sent == received > 4
    asked, answered = (
        told["groat_p2p_messages_total", way, "confirm"] for told, way in ((first, "in"), (second, "out"))
    )
    assert asked == answered > 0
    assert first["groat_http_request_seconds_count", "p2p"] > 5
    assert cluster.request(0, "POST", "/metrics", b"").status == 404


def test_how_peers_were_found(start_cluster: StartCluster) -> None:
    """Each is told of the one before it; the first and the last hear of each other by themselves.
    (If both greet at once, each has been found by the other.)"""
    cluster = start_cluster(3, links=(), launch=False)
    for index in (1, 2):
        cluster.nodes[index].options += ["--bootstrap", cluster.nodes[index - 1].p2p]
    cluster.start()

    def peers() -> list[dict[str, str]]:
        return [peer for index in range(3) for peer in cluster.get_json(index, "/v1/peers")]

    cluster.wait_for(lambda: len(peers()) == 6, "all to be linked")
    for peer in peers():
        ways = {"itself"} if peer["direction"] == "in" else {"bootstrap", "gossip", "kademlia"}
        assert peer["discovered_by"] in ways
    [first] = [peer for peer in cluster.get_json(1, "/v1/peers") if peer["endpoint"] == cluster.nodes[0].p2p]
    assert first["discovered_by"] == ("bootstrap" if first["direction"] == "out" else "itself")
