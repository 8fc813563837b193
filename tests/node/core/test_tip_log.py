"""The log's line for each new tip."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from chain.hashes import BlockHash, to_hex
from node.core.tip_log import CATCHING_UP_S, SOURCES_MAX, TipLog
from tests.sim.world import World


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.INFO, "groat.chain")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "groat.chain"]


def name(number: int) -> BlockHash:
    return BlockHash(number.to_bytes(32, "little"))


def change(height: int, connected: int = 1, disconnected: int = 0, txs: int = 1) -> Any:
    def one(at: int) -> Any:
        return SimpleNamespace(block=SimpleNamespace(hash=name(at), txs=[None] * txs))

    entered = [one(at) for at in range(height - connected + 1, height + 1)]
    left = [one(1000 + at) for at in range(disconnected)]
    return SimpleNamespace(new=SimpleNamespace(height=height, hash=name(height)), connected=entered, disconnected=left)


def test_a_block_of_a_peer(lines: Any) -> None:
    told = TipLog()
    told.came(name(7), "from 127.0.0.1:18444")
    told.moved(change(7, txs=3), 7, False, 0.0)
    assert lines() == [f"new tip at height 7: {to_hex(name(7))}, 3 transactions, from 127.0.0.1:18444"]


def test_a_reorganisation(lines: Any) -> None:
    told = TipLog()
    told.came(name(9), "mined here")
    told.moved(change(9, connected=3, disconnected=2), 9, False, 0.0)
    told.moved(change(8, connected=0, disconnected=1), 8, False, 0.0)
    assert lines() == [
        f"new tip at height 9: {to_hex(name(9))}, 1 transaction, 3 blocks, in the place of 2 blocks, mined here",
        f"new tip at height 8: {to_hex(name(8))}, in the place of 1 block",
    ]


def test_while_catching_up_not_every_tip(lines: Any) -> None:
    told = TipLog()
    for number in range(1, 501):
        told.moved(change(number), 500, number < 500, 1_000.0 + number / 10)
    said = lines()
    assert len(said) == 50 / CATCHING_UP_S + 1
    assert said[0].endswith("catching up with height 500")
    assert said[-1] == f"new tip at height 500: {to_hex(name(500))}, 1 transaction"


def test_what_is_never_connected_is_not_remembered_for_ever() -> None:
    told = TipLog()
    for number in range(2 * SOURCES_MAX):
        told.came(name(number), "submitted")
    assert len(told._sources) == SOURCES_MAX


def test_a_node_and_those_who_follow_it(lines: Any) -> None:
    """Every node has a line, and it says where the block came from."""
    world = World(1)
    miner = world.add()
    follower = world.add(peers=[miner])
    world.until(lambda: len(miner.node.peers(world.now).reply) == 1, 30)
    block = world.mine(miner)
    world.until(world.agree, 30)
    start = f"new tip at height 1: {to_hex(block.hash)}, 1 transaction, "
    assert [line.removeprefix(start) for line in lines()] == ["submitted", f"from {miner.endpoint}"]
    assert follower.tip.height == 1
