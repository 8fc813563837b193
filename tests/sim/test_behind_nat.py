"""Nodes that nobody can dial: what they hear, what they say, and what that costs."""

import pytest

from node.p2p.longpoll.server import HELD_S
from tests.chainlab import Lab, funded, pay
from tests.sim.test_world import give_all
from tests.sim.world import Faults, SimNode, World

PATIENCE_S = 200
"""Of a lossy network: what is lost is waited for up to a minute."""


@pytest.fixture
def lab() -> Lab:
    return funded()


def two_and_one_behind(world: World, lab: Lab, *, listens: bool = False) -> list[SimNode]:
    """Two nodes, and one that keeps a link with the first and that nobody can dial."""
    first = world.add()
    give_all(world, first, lab.blocks)
    nodes = [first, world.add([first]), world.add([first], listens=listens, walled=True)]
    world.until(world.agree, PATIENCE_S)
    world.run(30)  # until all have found each other
    for node in nodes:
        node.closed.clear()
    return nodes


def dropped(*nodes: SimNode) -> list[str]:
    """Why these dropped peers since they have found each other."""
    return [reason for node in nodes for _, reason in node.closed]


@pytest.mark.parametrize("listens", [False, True])
def test_follows_the_tip_and_the_mempool(listens: bool, lab: Lab) -> None:
    """Whether it knows that it cannot be dialled (it tells nobody of a listener) or has to notice."""
    world = World(30)
    first, second, behind = two_and_one_behind(world, lab, listens=listens)
    for _ in range(5):
        block = world.mine(second)
        assert world.until(lambda: behind.tip.hash == block.hash, 5) < 0.6  # noqa: B023
        payment = pay(lab.take())
        world.submit(second, payment)
        world.until(lambda: world.have([payment.txid], [behind]), 3)  # noqa: B023
    assert not dropped(first, second, behind)


def test_has_the_mempool_of_before_it_came(lab: Lab) -> None:
    world = World(31)
    first = world.add()
    give_all(world, first, lab.blocks)
    payments = [pay(lab.take()) for _ in range(30)]
    for payment in payments:
        world.submit(first, payment)
    behind = world.add([first], listens=False)
    world.until(lambda: world.have([payment.txid for payment in payments], [behind]), 10)


def test_its_own_payments_spread(lab: Lab) -> None:
    world = World(32)
    nodes = two_and_one_behind(world, lab)
    payments = [pay(lab.take()) for _ in range(20)]
    for payment in payments:
        world.submit(nodes[2], payment)
    world.until(lambda: world.have([payment.txid for payment in payments]), 3)
    block = world.mine(nodes[1])
    assert len(block.txs) == 21
    world.until(world.agree, 3)


def test_two_behind_different_walls_hear_of_each_other(lab: Lab) -> None:
    world = World(33)
    _, second, one = two_and_one_behind(world, lab)
    other = world.add([second], listens=True, walled=True)
    world.until(world.agree, 30)
    payment = pay(lab.take())
    world.submit(one, payment)
    world.until(lambda: world.have([payment.txid], [other]), 10)


@pytest.mark.parametrize("seed", [34, 39])
def test_under_loss(seed: int, lab: Lab) -> None:
    """What a lost answer told of is told again, and so is what was delivered in vain; in 39 a peer
    does not know that it has greeted another."""
    world = World(seed, faults=Faults(latency_s=(0.01, 0.3), loss=0.15))
    first, second, behind = two_and_one_behind(world, lab)
    payments = [pay(lab.take()) for _ in range(20)]
    for number, payment in enumerate(payments):
        world.submit((first, second, behind)[number % 3], payment)
        world.run(1)
    world.until(lambda: world.have([payment.txid for payment in payments]), PATIENCE_S)
    for number in range(8):
        block = world.mine((first, second)[number % 2])
        world.until(lambda: all(node.tip.hash == block.hash for node in world.up), PATIENCE_S)  # noqa: B023
    assert not any("broke the rules" in reason for reason in dropped(*world.up))


def test_waiting_costs_next_to_nothing_and_no_link(lab: Lab) -> None:
    world = World(35)
    first, second, behind = two_and_one_behind(world, lab)
    before = behind.requests["poll"]
    quiet_s = 600
    world.run(quiet_s)
    assert quiet_s / HELD_S - 2 <= (behind.requests["poll"] - before) / 2 <= quiet_s / HELD_S + 1  # of two peers
    assert not dropped(first, second, behind)
    assert not first.requests["poll"]
    assert not second.requests["poll"]


def test_how_long_a_poll_is_held_is_no_round_trip(lab: Lab) -> None:
    world = World(41)
    _, _, behind = two_and_one_behind(world, lab)
    for _ in range(int(2 * HELD_S)):
        world.run(1)
        peers = world.call(behind, lambda core, now: core.peers(now))
        assert all(peer.round_trip_s and peer.round_trip_s < 1 for peer in peers)


def test_a_peer_that_comes_back_is_polled_again(lab: Lab) -> None:
    world = World(36)
    first, second, behind = two_and_one_behind(world, lab)
    world.kill(first)
    world.run(5)
    assert not any(parked for parked in first.parked)
    world.start(first)
    world.run(40)
    block = world.mine(second)
    assert world.until(lambda: all(node.tip.hash == block.hash for node in world.up), 5) < 1
    world.kill(behind)
    world.start(behind)
    world.run(40)
    payment = pay(lab.take())
    world.submit(second, payment)
    world.until(lambda: world.have([payment.txid], [behind]), 3)


def test_a_cut_and_a_burst(lab: Lab) -> None:
    """While it is cut off, much happens; the other side does not know that nobody hears it."""
    world = World(37)
    first, second, behind = two_and_one_behind(world, lab)
    world.partition([first, second], [behind])
    payments = [pay(lab.take()) for _ in range(10)]
    for payment in payments:
        world.submit(second, payment)
    world.run(5)
    for _ in range(12):
        world.mine(second)
    late = [pay(lab.take()) for _ in range(10)]
    for payment in late:
        world.submit(first, payment)
    world.run(20)
    world.heal()
    world.until(world.agree, 60)
    world.until(lambda: world.have([payment.txid for payment in late], [behind]), 60)


def test_the_same_seed_gives_the_same_run() -> None:
    def a_run() -> bytes:
        world, lab = World(38, faults=Faults(loss=0.05)), funded()
        nodes = two_and_one_behind(world, lab)
        world.submit(nodes[1], pay(lab.take()))
        world.mine(nodes[0])
        world.run(60)
        return world.trace

    assert a_run() == a_run()


def test_its_own_blocks_reach_all(lab: Lab) -> None:
    """Nobody can ask it for them: it is told which to push."""
    world = World(39)
    first, second, behind = two_and_one_behind(world, lab)
    for _ in range(3):
        world.submit(behind, pay(lab.take()))
        block = world.mine(behind)
        assert world.until(lambda: all(node.tip.hash == block.hash for node in world.up), 5) < 1  # noqa: B023
    world.partition([first, second], [behind])
    for _ in range(30):
        world.mine(behind)
    world.run(20)
    world.heal()
    world.until(world.agree, 60)
    assert not any("broke the rules" in reason for reason in dropped(*world.up))
    assert first.tip.height == lab.height + 33


def test_its_own_blocks_reach_all_under_loss(lab: Lab) -> None:
    world = World(40, faults=Faults(latency_s=(0.01, 0.3), loss=0.15))
    _, _, behind = two_and_one_behind(world, lab)
    for _ in range(5):
        block = world.mine(behind)
        world.until(lambda: all(node.tip.hash == block.hash for node in world.up), PATIENCE_S)  # noqa: B023
    assert not any("broke the rules" in reason for reason in dropped(*world.up))
