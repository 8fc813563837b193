"""A devnet on paper, for tests that start no node."""

from pathlib import Path

import pytest

from devnet.state import Devnet


@pytest.fixture
def devnet(tmp_path: Path) -> Devnet:
    """Three nodes, none of them started."""
    return Devnet(
        folder=tmp_path,
        network="devnet",
        nodes=3,
        miners=1,
        spacing_s=10,
        mine_duty=20,
        api_port=18443,
        address="bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
        ready=True,
        processes=(None, None, None),
        options=((), (), ()),
    )
