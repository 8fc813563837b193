"""A tracker takes no part in the chain, whatever it is sent."""

from node.interface.messages import CompactBlock
from node.p2p.discovery.config import DiscoveryConfig, DiscoveryMethod
from tests.chainlab import Lab
from tests.sim.world import World


def test_a_tracker_that_is_sent_blocks_takes_none() -> None:
    world, lab = World(5), Lab()
    tracker = world.add(finding=DiscoveryConfig(ways=frozenset({DiscoveryMethod.TRACKER})))
    node = world.add([tracker])
    world.until(lambda: bool(tracker.node.peers(world.now).reply), 10)
    block = lab.mine()
    form = CompactBlock(block.header, bytes(8), block.txs[0], ())
    peer = node.node._peers._identity.id
    before = len(tracker.node._peers._requests)
    step = tracker.node.handle(peer, form, world.now)
    assert not step.effects
    assert len(tracker.node._peers._requests) == before
    assert tracker.node.view().tree.get(block.hash) is None
