"""What operators see of a peer's height: it goes on although the peer, which has all from us, tells us nothing."""

import pytest

from tests.sim.world import SimNode, World


def heights(world: World, of: SimNode) -> set[tuple[int, int]]:
    """(synced_headers, synced_blocks) of a node's peers."""
    return {(peer.synced_headers, peer.synced_blocks) for peer in of.node.peers(world.now).reply}


@pytest.fixture
def three() -> tuple[World, list[SimNode]]:
    """All linked with each other, at height 5."""
    world = World(1)
    nodes = [world.add()]
    nodes.append(world.add(peers=nodes[:1]))
    nodes.append(world.add(peers=nodes[:2]))
    world.until(lambda: all(len(node.node.peers(world.now).reply) == 2 for node in nodes), 60)
    for _ in range(5):
        world.mine(nodes[0])
    world.until(world.agree, 60)
    return world, nodes


def test_peers_of_a_miner_are_as_high_as_it(three: tuple[World, list[SimNode]]) -> None:
    world, nodes = three
    for height in range(6, 12):
        world.mine(nodes[0])
        world.until(world.agree, 60)
        world.run(2)
        for node in nodes:
            assert heights(world, node) == {(height, height)}


def test_one_that_was_away_is_seen_to_catch_up(three: tuple[World, list[SimNode]]) -> None:
    world, nodes = three
    away = nodes[2]
    world.kill(away)
    for _ in range(20):
        world.mine(nodes[0])
    world.until(lambda: world.agree(nodes[:2]), 60)
    world.start(away)
    world.until(world.agree, 60)
    world.run(40)
    for node in nodes:
        assert {headers for headers, _ in heights(world, node)} == {25}
    world.mine(nodes[0])
    world.until(world.agree, 60)
    world.run(2)
    for node in nodes:
        assert heights(world, node) == {(26, 26)}


def test_one_that_nobody_can_dial_too() -> None:
    world = World(2)
    miner = world.add()
    hidden = world.add(peers=[miner], listens=False, walled=True)
    world.until(lambda: len(miner.node.peers(world.now).reply) == 1, 60)
    for _ in range(4):
        world.mine(miner)
        world.until(world.agree, 60)
    world.run(40)
    assert heights(world, miner) == heights(world, hidden) == {(4, 4)}


def test_one_that_has_no_more_than_headers_is_not_taken_for_level() -> None:
    """It has asked for headers, and is refused every block."""
    world = World(3)
    miner = world.add()
    for _ in range(9):
        world.mine(miner)
    miner.node._peers._chain.raw_block = lambda block_hash: None  # type: ignore[method-assign]
    world.add(peers=[miner])
    world.run(20)
    assert heights(world, miner) == {(9, 0)}
