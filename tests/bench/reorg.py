"""A reorganisation beside connecting the same blocks fresh: both branches as deep, one write.

    base --- a1 ... aN          followed first
        \\--- b1 ... bN --- c    with more work from its last block on

Timed from the first block of the second branch given to the node until its last is the tip.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from chain.block import Block, decode_block, make_block
from chain.blocktemplate import build_block, solve
from chain.blocktree import BlockTree
from chain.params import REGTEST
from tests.bench.connect import LocalNode
from tests.bench.rows import Bench, Row
from tests.bench.workload import SPACING_S, START_TIME, Chain, payments_chain

PER_BLOCK = 500


def measure(bench: Bench) -> Iterator[Row]:
    """100 blocks of 500 payments, the same ones on both branches and different ones."""
    blocks = bench.size(100, 10)
    old = payments_chain(bench.cache, blocks, PER_BLOCK)
    same = payments_chain(bench.cache, blocks, PER_BLOCK, branch=1)
    other = payments_chain(bench.cache, blocks, PER_BLOCK, name="other", branch=2)
    found = bench.in_turns(
        {
            "fresh": lambda: _seconds(same.base, same),
            "the same payments": lambda: _seconds((*old.base, *old.payments), same),
            "other payments": lambda: _seconds((*old.base, *old.payments), other),
        },
        bench.size(5, 1),
    )
    fresh, known, unseen = found.values()
    yield Row(f"reorg {blocks} deep, same payments", "s", known, "connected fresh", fresh, 0.6, "less")
    yield Row(f"reorg {blocks} deep, unseen payments", "s", unseen, "connected fresh", fresh, 1.3, "less")


def _seconds(before: tuple[bytes, ...], branch: Chain) -> float:
    """From the first block of the branch to its tip, in a node that has connected `before`."""
    raws = (*branch.payments, _one_more(branch).raw)
    with tempfile.TemporaryDirectory(prefix="groat-bench-") as folder, LocalNode(Path(folder), index=False) as node:
        node.connect(before)
        start = perf_counter()
        node.give(raws)
        node.await_tip(decode_block(raws[-1]).hash)
        return perf_counter() - start


def _one_more(branch: Chain) -> Block:
    """An empty block on top."""
    tree = BlockTree(REGTEST)
    tip = tree.genesis
    for raw in (*branch.base, *branch.payments):
        tip = tree.add(decode_block(raw).header)
    bare = build_block(tip, (), 0, b"\x51", START_TIME + (tip.height + 1) * SPACING_S, REGTEST)
    header = solve(bare.header, 1 << 20)
    assert header is not None
    return make_block(header, bare.txs)
