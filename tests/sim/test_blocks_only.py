"""Links for blocks alone: no transactions and no addresses go either way."""

import pytest

from node.interface.endpoint import Endpoint, PeerId
from node.interface.messages import Addresses, GetAddresses
from node.p2p.discovery.base import NoDiscovery
from tests.chainlab import Lab, funded, pay
from tests.sim.test_world import give_all
from tests.sim.world import SimNode, World


@pytest.fixture
def lab() -> Lab:
    return funded()


def pair(world: World, lab: Lab, monkeypatch: pytest.MonkeyPatch, *, blocks_only: int) -> tuple[SimNode, SimNode]:
    """Two nodes, of which the second has chosen the first from its address book."""
    monkeypatch.setattr("node.p2p.connections.outbound.OUTBOUND_MAX", 1 - blocks_only)
    monkeypatch.setattr("node.p2p.connections.outbound.BLOCKS_ONLY_MAX", blocks_only)
    first, second = world.add(), world.add()
    give_all(world, first, lab.blocks)
    second.node.load_book(_book_with(second, first))
    world.until(world.agree, 20)
    world.run(5)
    return first, second


def _book_with(node: SimNode, other: SimNode) -> bytes:
    book = node.node._peers.addrman
    book.add([other.endpoint], None, 0.0)
    return book.dump()


def kinds(world: World, node: SimNode) -> list[tuple[str, bool]]:
    peers = world.call(node, lambda core, now: core.peers(now))
    return [(peer.connection_type, peer.blocks_only) for peer in peers]


def test_blocks_go_and_nothing_else(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(40)
    first, second = pair(world, lab, monkeypatch, blocks_only=1)
    assert kinds(world, first) == [("inbound", True)]
    assert kinds(world, second) == [("block-relay-only", True)]
    for node in (first, second):
        world.submit(node, pay(lab.take()))
    world.run(120)
    assert len(first.txids) == len(second.txids) == 1
    for node in (first, second):
        assert not {"inv", "txs", "gettxs", "addresses", "findnode"} & set(node.requests)
    for miner in (first, second):
        block = world.mine(miner)
        world.until(lambda: first.tip.hash == second.tip.hash == block.hash, 5)  # noqa: B023


class Talker(NoDiscovery):
    """A way of finding nodes that tells whoever asks, and remembers whom it was told of."""

    def __init__(self) -> None:
        self.heard_of: list[PeerId] = []

    def linked(self, peer: PeerId, endpoint: Endpoint, now: float) -> None:
        self.heard_of.append(peer)

    proved = linked

    def serve(self, peer: PeerId, request: object, now: float) -> Addresses:
        return Addresses((Endpoint("10.9.9.9", 1),))


@pytest.mark.parametrize("blocks_only", [1, 0])
def test_nobody_hears_of_the_link_nor_over_it(lab: Lab, monkeypatch: pytest.MonkeyPatch, blocks_only: int) -> None:
    world = World(42)
    first, _ = pair(world, lab, monkeypatch, blocks_only=blocks_only)
    talker = Talker()
    monkeypatch.setattr(first.node._peers, "_discovery", talker)
    [(_, is_for_blocks_only)] = kinds(world, first)
    assert is_for_blocks_only == bool(blocks_only)
    [peer] = world.call(first, lambda core, now: core.peers(now))
    reply = world.call(first, lambda core, now: core.handle(peer.id, GetAddresses(), now))
    assert bool(reply.endpoints) != bool(blocks_only)
    first.node._peers.linked(peer.id, world.now)
    assert bool(talker.heard_of) != bool(blocks_only)


def test_otherwise_all_goes(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(41)
    first, second = pair(world, lab, monkeypatch, blocks_only=0)
    assert kinds(world, first) == [("inbound", False)]
    assert kinds(world, second) == [("outbound-full-relay", False)]
    payments = [pay(lab.take()) for _ in range(2)]
    for node, payment in zip((first, second), payments, strict=True):
        world.submit(node, payment)
    world.until(lambda: world.have([payment.txid for payment in payments]), 30)
    assert second.requests["addresses"]
