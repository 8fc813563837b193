"""Trees of branches whose payments come back, honest and spoilt: Core's engine ends on the same block."""

import random

import pytest

from chain.hashes import to_hex
from tests.chainlab import funded
from tests.node.chainstate.forest import Forest
from tests.node.core.test_shortcuts import BLOCKS, Skipper
from tests.oracle.kernel import Kernel


@pytest.mark.parametrize("seed", [20_090_103, 20_090_109])
def test_after_every_block_the_engine_stands_where_the_node_does(seed: int) -> None:
    forest, skipper = Forest(seed), Skipper(random.Random(seed))
    tips = set()
    with Kernel() as kernel:
        kernel.follow(funded().blocks)
        for planted in forest.grow(BLOCKS):
            skipper.pay(forest)
            skipper.give(planted.block.raw)
            skipper.settle()
            kernel.offer(planted.block)
            tip = to_hex(skipper.store.tip().hash)
            assert kernel.tip == tip == to_hex(forest.best.entry.hash), str(planted.code)
            tips.add(tip)
    assert len(tips) >= BLOCKS // 10
