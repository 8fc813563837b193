"""Block filters of a real node: in the background, over restarts, thrown away, off, and after a reindex."""

import json
import shutil
import subprocess
from typing import Any

from devnet.processes import environment, python
from tests.functional.cluster import Cluster
from tests.functional.conftest import StartCluster

ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
BLOCKS = 60
OK, BAD_REQUEST, BEHIND = 200, 400, 503


def headers(cluster: Cluster) -> Any:
    """The filter headers of the whole chain, as soon as they are there."""
    statuses = set()

    def are_there() -> bool:
        reply = cluster.request(0, "GET", "/v1/filters/headers/0")
        statuses.add(reply.status)
        return reply.status == OK

    cluster.wait_for(are_there, "filters of all blocks")
    assert statuses <= {OK, BEHIND}
    return cluster.get_json(0, "/v1/filters/headers/0")


def command(cluster: Cluster, name: str) -> Any:
    """A groatd command on the data of the stopped node; what it prints."""
    datadir = str(cluster.nodes[0].datadir)
    line = python("node", name, "--json", "--network", "regtest", "--datadir", datadir)
    return json.loads(subprocess.run(line, capture_output=True, check=True, env=environment(), cwd="/").stdout)


def test_through_a_nodes_life(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1)
    cluster.rpc(0, "generatetoaddress", BLOCKS, ADDRESS)
    made = headers(cluster)
    assert len(made) == BLOCKS + 1
    # A new block's is there as soon as somebody asks.
    [mined] = cluster.rpc(0, "generatetoaddress", 1, ADDRESS)
    assert cluster.request(0, "GET", f"/v1/filters/{mined}").status == OK

    cluster.kill(0)
    cluster.start(0)
    assert headers(cluster)[: BLOCKS + 1] == made
    cluster.stop(0)
    folder = cluster.nodes[0].datadir / "regtest" / "filters"
    shutil.rmtree(folder)
    cluster.start(0)
    assert headers(cluster)[: BLOCKS + 1] == made

    cluster.stop(0)
    before = command(cluster, "verify")
    assert command(cluster, "reindex") == before
    assert not folder.exists()
    cluster.start(0)
    assert headers(cluster)[: BLOCKS + 1] == made
    cluster.stop(0)
    assert command(cluster, "verify") == before


def test_without_indexes_there_are_none(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1, options=[["--no-index"]])
    cluster.rpc(0, "generatetoaddress", 1, ADDRESS)
    assert cluster.request(0, "GET", "/v1/filters/headers/0").status == BAD_REQUEST
    assert not (cluster.nodes[0].datadir / "regtest" / "filters").exists()
