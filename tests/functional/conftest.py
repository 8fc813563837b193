"""Fixtures for tests with real nodes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.functional.cluster import Cluster, make_cluster

StartCluster = Callable[..., Cluster]


@pytest.fixture
def start_cluster(tmp_path: Path) -> Iterator[StartCluster]:
    """Starts a cluster: `start_cluster(nodes, links=[(0, 1)], options=[["--no-index"], ...], network="regtest")`.

    Without `links` all nodes know each other; `links=()` starts them apart. `launch=False` starts
    none yet. Everything is stopped when the test ends, however it ends.
    """
    clusters: list[Cluster] = []

    def start(
        nodes: int,
        *,
        links: Iterable[tuple[int, int]] | None = None,
        options: Sequence[Sequence[str]] = (),
        network: str = "regtest",
        launch: bool = True,
    ) -> Cluster:
        cluster = make_cluster(tmp_path / f"cluster{len(clusters)}", nodes, links, options, network)
        clusters.append(cluster)
        if launch:
            cluster.start()
        return cluster

    yield start
    for cluster in clusters:
        cluster.close()
