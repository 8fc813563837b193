"""Fixtures: nodes that hear of nothing by themselves, and commands to run."""

from collections.abc import Iterator

import pytest

from tests.functional.cluster import Cluster, make_cluster
from tests.gateway.commands import Commands


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands]:
    with Commands() as commands:
        yield commands


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes without peers, on one chain of regtest's genesis alone."""
    cluster = make_cluster(tmp_path_factory.mktemp("nodes"), 2, (), (), "regtest")
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()
