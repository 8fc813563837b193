"""A node's wall clock is set while requests are under way: timers take no notice."""

import pytest

from node.interface.effects import Answer, Failed
from node.p2p.net_processing import PeerManager
from tests.chainlab import funded, pay
from tests.sim.world import World

HOUR_S, DAY_S = 3_600.0, 86_400.0


@pytest.mark.parametrize("step_s", [0.0, -HOUR_S, DAY_S], ids=["no step", "an hour back", "a day forward"])
def test_a_wall_clock_that_is_set_drops_nobody_and_ends_no_request(
    step_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No peer is dropped, no request times out, nothing leaves the mempool."""
    world, lab = World(3), funded()
    first = world.add()
    second = world.add([first])
    behind = world.add([second], walled=True, listens=False)
    for block in lab.blocks:
        world.give(first, block)
    world.run(90)
    assert world.agree()
    tx = pay(lab.take())
    world.submit(second, tx)
    world.until(lambda: world.have([tx.txid]), 30)
    nodes = (first, second, behind)
    closed = [len(node.closed) for node in nodes]
    numbers = [[peer.number for peer in node.node.peers(world.now).reply] for node in nodes]  # type: ignore[union-attr]
    failures: list[str] = []
    on_answer = PeerManager.on_answer

    def noting(manager: PeerManager, answer: Answer, now: float) -> None:  # also those that the core gives up itself
        if isinstance(answer.message, Failed):
            failures.append(answer.message.reason)
        on_answer(manager, answer, now)

    monkeypatch.setattr(PeerManager, "on_answer", noting)
    world.set_clock(step_s)
    world.run(120)  # longer than any request may take
    assert [len(node.closed) for node in nodes] == closed
    assert [[peer.number for peer in node.node.peers(world.now).reply] for node in nodes] == numbers  # type: ignore[union-attr]
    assert failures == []
    assert world.have([tx.txid])
    block = world.mine(first)  # and the chain goes on
    world.until(world.agree, 30)
    assert behind.tip.hash == block.hash
