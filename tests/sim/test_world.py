"""A few real nodes together: links, blocks, payments, partitions, restarts."""

import os
import subprocess
import sys
from pathlib import Path

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


@pytest.mark.parametrize("seed", [8, 19, 34])
def test_a_lossy_network_still_agrees(seed: int, lab: Lab) -> None:
    world = World(seed, faults=Faults(latency_s=(0.01, 0.3), loss=0.1))
    patience_s = 100  # a lost answer is waited for up to 15 s, and several may be lost in a row
    nodes = a_line(world, 4)
    give_all(world, nodes[0], lab.blocks)
    world.until(world.agree, patience_s)
    payments = [pay(lab.take()) for _ in range(10)]
    for number, payment in enumerate(payments):
        world.submit(nodes[number % 4], payment)
    world.until(lambda: world.have([payment.txid for payment in payments]), patience_s)
    for number in range(5):
        world.mine(nodes[number % 4])
        world.run(5)
    world.mine(max(nodes, key=lambda node: node.tip.height))  # of branches with equal work each stays with its own
    world.until(world.agree, 30)
    assert not any("broke the rules" in reason for node in nodes for _, reason in node.closed)


@pytest.mark.parametrize("seed", [20, 21, 22])
def test_after_any_churn_all_agree_again(seed: int, lab: Lab) -> None:
    """Blocks, payments, power cuts and partitions in random order; then one tip and one mempool."""
    world = World(seed, faults=Faults(latency_s=(0.005, 0.4), loss=0.03))
    nodes: list[SimNode] = []
    for _ in range(7):
        nodes.append(world.add(world.rng.sample(nodes, min(len(nodes), 2))))
    give_all(world, nodes[0], lab.blocks)
    for _ in range(60):
        world.run(world.rng.random() * 4)
        deed, node = world.rng.random(), world.rng.choice(world.up)
        down = [other for other in nodes if other.core is None]
        if deed < 0.35:
            world.mine(node)
        elif deed < 0.6 and node.tip.height >= lab.height:
            world.submit(node, pay(lab.take()))
        elif deed < 0.7 and len(down) < 3:
            world.kill(node)
        elif deed < 0.8 and down:
            world.start(world.rng.choice(down))
        elif deed < 0.87:
            island = world.rng.sample(nodes, world.rng.randrange(1, 6))
            world.partition([other for other in nodes if other not in island], island)
        elif deed > 0.9:
            world.heal()
    world.heal()
    for node in nodes:
        if node.core is None:
            world.start(node)
    world.run(30)
    world.mine(nodes[0])  # of two tips with equal work both may stand
    world.until(world.agree, 60)
    world.until(lambda: len({frozenset(node.txids) for node in nodes}) == 1, 60)
    assert not any("broke the rules" in reason for node in nodes for _, reason in node.closed)


def a_run(seed: int) -> bytes:
    """The trace of a little of everything."""
    world = World(seed, faults=Faults(loss=0.02))
    nodes = a_line(world, 4)
    lab = funded()
    give_all(world, nodes[0], lab.blocks)
    world.until(world.agree, 120)
    for node in nodes:
        world.submit(node, pay(lab.take()))
    world.run(2)
    world.kill(nodes[2])
    world.mine(nodes[0])
    world.run(2)
    world.start(nodes[2])
    world.run(20)
    return world.trace


def test_the_same_seed_gives_the_same_run() -> None:
    assert a_run(9) == a_run(9)
    assert a_run(9) != a_run(10)


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_the_order_of_hashes_does_not_matter(hash_seed: str) -> None:
    """Python's own hashes differ from process to process: nothing may follow their order."""
    code = "from tests.sim.test_world import a_run; print(a_run(11).hex())"
    there = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert there.stdout.strip() == a_run(11).hex()
