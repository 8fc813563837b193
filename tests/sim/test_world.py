"""A few real nodes together: links, blocks, payments, partitions, restarts."""

import pytest

from chain.block import Block
from tests.chainlab import Lab, funded, pay
from tests.sim.world import Faults, SimNode, World


def linked(world: World) -> bool:
    """True once all nodes have links both ways with as many peers as there are."""
    for node in world.up:
        peers = world.call(node, lambda core, now: core.peers(now))
        if len(peers) < min(len(world.up) - 1, 3):
            return False
    return True


def a_line(world: World, count: int) -> list[SimNode]:
    """Nodes of which each was told only of the one before."""
    nodes: list[SimNode] = []
    for _ in range(count):
        nodes.append(world.add(nodes[-1:]))
    return nodes


def give_all(world: World, node: SimNode, blocks: list[Block]) -> None:
    for block in blocks:
        assert world.give(node, block) is None


@pytest.fixture
def lab() -> Lab:
    return funded()


def test_nodes_find_each_other() -> None:
    world = World(1)
    a_line(world, 5)
    world.until(lambda: linked(world), 20)


def test_a_block_reaches_all() -> None:
    world = World(2)
    nodes = a_line(world, 4)
    world.until(lambda: linked(world), 20)
    block = world.mine(nodes[3])
    took_s = world.until(lambda: all(node.tip.hash == block.hash for node in nodes), 5)
    assert took_s < 1


def test_late_joiner_syncs(lab: Lab) -> None:
    world = World(3)
    first = world.add()
    give_all(world, first, lab.blocks)
    second = world.add([first])
    third = world.add([second])
    world.until(world.agree, 20)
    assert third.tip.height == lab.height
    assert not any(node.closed for node in (first, second, third))


def test_partition_heals_to_the_most_work(lab: Lab) -> None:
    world = World(4)
    nodes = a_line(world, 4)
    give_all(world, nodes[0], lab.blocks)
    world.until(lambda: linked(world) and world.agree(), 30)
    world.partition(nodes[:2], nodes[2:])
    payment = pay(lab.take())
    world.submit(nodes[0], payment)
    for _ in range(20):
        world.mine(nodes[1])
        world.mine(nodes[2])
        world.run(1)
    best = world.mine(nodes[3])
    world.run(30)
    assert not world.agree()
    world.heal()
    world.until(lambda: all(node.tip.hash == best.hash for node in nodes), 60)
    world.until(lambda: world.have([payment.txid]), 60)


def test_payments_spread_and_are_mined(lab: Lab) -> None:
    world = World(5)
    nodes = a_line(world, 4)
    give_all(world, nodes[0], lab.blocks)
    world.until(lambda: linked(world) and world.agree(), 30)
    payments = [pay(lab.take()) for _ in range(40)]
    for number, payment in enumerate(payments):
        world.submit(nodes[number % 4], payment)
    txids = {payment.txid for payment in payments}
    world.until(lambda: world.have(txids), 10)
    block = world.mine(nodes[2])
    assert {tx.txid for tx in block.txs[1:]} == txids
    world.until(world.agree, 5)
    assert not any(node.txids for node in nodes)


def test_payments_reach_late_joiners(lab: Lab) -> None:
    world = World(6)
    first = world.add()
    give_all(world, first, lab.blocks)
    payments = [pay(lab.take()) for _ in range(10)]
    for payment in payments:
        world.submit(first, payment)
    late = world.add([first])
    world.until(lambda: world.have([payment.txid for payment in payments], [late]), 30)


def test_killed_nodes_catch_up(lab: Lab) -> None:
    world = World(7)
    nodes = a_line(world, 4)
    give_all(world, nodes[0], lab.blocks)
    world.until(lambda: linked(world) and world.agree(), 30)
    for round_number in range(8):
        victim = nodes[round_number % 4]
        miner = nodes[(round_number + 1) % 4]
        world.kill(victim)
        block = world.mine(miner)
        world.run(world.rng.random() * 3)
        world.start(victim)
        world.until(lambda: all(node.tip.hash == block.hash for node in nodes), 60)  # noqa: B023


def test_a_lossy_network_still_agrees(lab: Lab) -> None:
    world = World(8, faults=Faults(latency_s=(0.01, 0.3), loss=0.1))
    nodes = a_line(world, 4)
    give_all(world, nodes[0], lab.blocks)
    world.until(world.agree, 120)
    payments = [pay(lab.take()) for _ in range(10)]
    for number, payment in enumerate(payments):
        world.submit(nodes[number % 4], payment)
    world.until(lambda: world.have([payment.txid for payment in payments]), 120)
    for number in range(5):
        world.mine(nodes[number % 4])
        world.run(5)
    world.until(world.agree, 120)
    assert not any("broke the rules" in reason for node in nodes for _, reason in node.closed)


def test_the_same_seed_gives_the_same_run(lab: Lab) -> None:
    def trace(seed: int) -> bytes:
        world = World(seed)
        nodes = a_line(world, 3)
        give_all(world, nodes[0], lab.blocks[:10])
        world.mine(nodes[0])
        world.run(10)
        return world.trace

    assert trace(9) == trace(9)
    assert trace(9) != trace(10)
