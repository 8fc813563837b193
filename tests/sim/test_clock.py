"""Clocks that are set back or forward while nodes run."""

import pytest

from tests.chainlab import funded, pay
from tests.sim.world import World

HOUR_S, YEARS_S = 3_600.0, 10 * 365 * 86_400.0


@pytest.mark.parametrize("step_s", [-YEARS_S, -HOUR_S, -30.0, HOUR_S, YEARS_S])
def test_a_clock_that_is_set_stops_nothing(step_s: float) -> None:
    world, lab = World(3), funded()
    first = world.add()
    second = world.add([first])
    behind = world.add([second], walled=True, listens=False)
    for block in lab.blocks:
        world.give(first, block)
    world.run(90)
    assert world.agree()
    world.set_clock(step_s)
    tx = pay(lab.take())
    world.submit(second, tx)
    world.until(lambda: world.have([tx.txid]), 30)
    if abs(step_s) <= HOUR_S:  # else no block on this chain has a time that the rules allow
        for miner in (behind, first):
            world.mine(miner)
            world.until(world.agree, 30)
    newcomer = world.add([first])
    world.until(lambda: newcomer.tip.hash == first.tip.hash or step_s == -YEARS_S, 30)
    world.kill(first)
    world.run(1)
    world.start(first)
    world.until(lambda: len(first.node.peers(world.now).reply) >= 2, 30)  # type: ignore[arg-type]
