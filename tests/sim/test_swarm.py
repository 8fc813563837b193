"""A new node among peers of which most stall, one lies, one is slow and one is as it should be."""

import copy
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

import pytest

from chain.block import Block
from node.interface.messages import Blocks, GetBlocks
from node.p2p.wire.codec import encode
from tests.functional.scripted import empty_chain
from tests.sim.world import SimNode, World

COUNT = 300
SLOW_S = 1.0
EXTRA_S = 5.0
"""What the others may cost, beside twice the time of the good one alone."""


class Manner(Enum):
    """What a node does with requests for blocks."""

    STALLING = auto()
    LYING = auto()
    SLOW = auto()
    GOOD = auto()


SWARM = (*[Manner.STALLING] * 6, Manner.LYING, Manner.SLOW, Manner.GOOD)


class Swarm(World):
    """Nodes with one chain, of different manners."""

    def __init__(self, seed: int, blocks: list[Block]) -> None:
        super().__init__(seed)
        self.blocks = blocks
        self.manners: dict[int, Manner] = {}
        self.asked: dict[int, int] = {}
        """Blocks that each was asked for."""
        self._full = self.add()
        for block in blocks:
            self.give(self._full, block)

    def join(self, manner: Manner) -> SimNode:
        """One more with the whole chain."""
        node = self.add()
        self.kill(node)
        node.disk = copy.deepcopy(self._full.disk)
        self.start(node)
        self.manners[node.index] = manner
        self.asked[node.index] = 0
        return node

    def sync_s(self, peers: list[SimNode]) -> tuple[SimNode, float]:
        """A new node with these peers, and how long it takes."""
        fresh, tip = self.add(peers), self.blocks[-1].hash
        return fresh, self.until(lambda: fresh.tip.hash == tip, 300)

    def _serve(
        self, target: SimNode, sender: SimNode, request: Any, token: bytes | None, then: Callable[[bytes | None], None]
    ) -> None:
        manner = self.manners.get(target.index, Manner.GOOD)
        go_on = super()._serve
        if not isinstance(request, GetBlocks) or manner is Manner.GOOD:
            return go_on(target, sender, request, token, then)
        self.asked[target.index] += len(request.hashes)
        if manner is Manner.LYING:
            return then(encode(Blocks(tuple(b"no block" for _ in request.hashes))))
        if manner is Manner.SLOW:
            return self._at(self.now + SLOW_S, lambda: go_on(target, sender, request, token, then))
        return None  # never


@pytest.fixture(scope="module")
def blocks() -> list[Block]:
    return empty_chain(COUNT)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_one_good_peer_among_nine_is_enough(seed: int, blocks: list[Block]) -> None:
    world = Swarm(seed, blocks)
    order = world.rng.sample(SWARM, len(SWARM))
    good = world.join(Manner.GOOD)
    first, alone_s = world.sync_s([good])
    world.kill(first)
    world.kill(good)
    peers = [world.join(manner) for manner in order]
    fresh, among_s = world.sync_s(peers)
    print(f"alone {alone_s:.2f} s, among nine {among_s:.2f} s")
    assert among_s <= 2 * alone_s + EXTRA_S
    assert all(world.asked[p.index] for p in peers if world.manners[p.index] in (Manner.STALLING, Manner.LYING))
    world.run(70)  # those who stall have failed by then, and are honest for all that can be proved
    offenders = [reason for _, reason in fresh.closed if "broke the rules" in reason]
    assert len(offenders) == 1
    assert "bad block" in offenders[0]
