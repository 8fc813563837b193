r"""Blocks beside the best chain, and on top of what was refused: the node's words are Core's.

::

    base --- ... --- n2 --- n1 --- tip     followed
                      |      \--- x        beside the tip
                       \--- x              further down
                                   \--- x --- child
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from chain.block import Block, merkle_root
from chain.blocktemplate import build_block
from chain.blocktree import BlockNode
from chain.hashes import to_hex
from chain.params import REGTEST
from chain.tx import Tx
from tests.chainlab import (
    Lab,
    coinbase_input,
    funded,
    lock,
    make_block,
    pay,
    reblock,
    remade,
    solved,
    with_coinbase,
    with_header,
    with_input,
    with_output,
)
from tests.node.api.desk import Desk
from tests.oracle.kernel import Kernel

INCONCLUSIVE = "inconclusive"
"""Taken, and not looked at further: it is not followed."""
ONLY_COINS_SHOW = frozenset({"too_much_for_the_coinbase"})
"""Of these faults a child on a branch has Core look at its parent, and not say what it found."""
FAULTS: dict[str, Callable[[Lab, BlockNode], Block]] = {}
Make = Callable[[Lab, BlockNode], Block]


def fault(make: Make) -> Make:
    FAULTS[make.__name__] = make
    return make


def sound(lab: Lab, parent: BlockNode, *txs: Tx) -> Block:
    """A block on any block, with two payments unless others are given; their coins are there on every branch."""
    if not txs:
        spending = lab.copy()
        txs = (pay(spending.take()), pay(spending.take()))
    made = build_block(parent, txs, 0, lock(), int(time.time()), REGTEST, 7)
    return make_block(solved(made.header), made.txs)


@fault
def wrong_height_push(lab: Lab, parent: BlockNode) -> Block:
    return with_coinbase(sound(lab, parent), lambda coinbase: coinbase_input(coinbase, b"\x01\x05" + bytes(8)))


@fault
def height_of_the_block_before(lab: Lab, parent: BlockNode) -> Block:
    before = build_block(parent, [], 0, lock(), 0, REGTEST).txs[0].inputs[0].script_sig
    script = before[:1] + bytes([before[1] - 1]) + before[2:]
    return with_coinbase(sound(lab, parent), lambda coinbase: coinbase_input(coinbase, script))


@fault
def locked_to_its_height(lab: Lab, parent: BlockNode) -> Block:
    return sound(lab, parent, pay(lab.copy().take(), lock_time=parent.height + 1, sequences=[0]))


@fault
def locked_to_the_median_time(lab: Lab, parent: BlockNode) -> Block:
    return sound(lab, parent, pay(lab.copy().take(), lock_time=parent.median_time, sequences=[0]))


@fault
def locked_coinbase(lab: Lab, parent: BlockNode) -> Block:
    return with_coinbase(
        sound(lab, parent), lambda coinbase: remade(with_input(coinbase, sequence=0), lock_time=parent.height + 1)
    )


@fault
def too_much_for_the_coinbase(lab: Lab, parent: BlockNode) -> Block:
    """Only coins show it: beside the best chain nobody looks."""
    return with_coinbase(sound(lab, parent), lambda coinbase: with_output(coinbase, value=60 * 10**8))


@fault
def two_coinbases(lab: Lab, parent: BlockNode) -> Block:
    block = sound(lab, parent)
    return reblock(block, (*block.txs, block.txs[0]))


@fault
def no_outputs(lab: Lab, parent: BlockNode) -> Block:
    block = sound(lab, parent)
    return reblock(block, (*block.txs[:2], remade(block.txs[2], outputs=())))


@fault
def a_long_coinbase_script(lab: Lab, parent: BlockNode) -> Block:
    return with_coinbase(sound(lab, parent), lambda coinbase: coinbase_input(coinbase, bytes(101)))


@fault
def no_coinbase(lab: Lab, parent: BlockNode) -> Block:
    block = sound(lab, parent)
    return reblock(block, block.txs[1:])


@fault
def another_merkle_root(lab: Lab, parent: BlockNode) -> Block:
    block = sound(lab, parent)
    return make_block(block.header, block.txs[:-1])


@fault
def the_last_transaction_twice(lab: Lab, parent: BlockNode) -> Block:
    block = sound(lab, parent)
    return make_block(block.header, (*block.txs, block.txs[-1]))


@fault
def another_witness(lab: Lab, parent: BlockNode) -> Block:
    block = sound(lab, parent)
    last = block.txs[-1]
    return make_block(block.header, (*block.txs[:-1], with_input(last, witness=(*last.inputs[0].witness, b"x"))))


@fault
def two_reserved_values(lab: Lab, parent: BlockNode) -> Block:
    block = sound(lab, parent)
    return make_block(block.header, (with_input(block.txs[0], witness=(bytes(32), bytes(32))), *block.txs[1:]))


@fault
def witnesses_without_a_commitment(lab: Lab, parent: BlockNode) -> Block:
    block = sound(lab, parent)
    bare = with_input(remade(block.txs[0], outputs=block.txs[0].outputs[:1]), witness=())
    txs = (bare, *block.txs[1:])
    root = merkle_root([tx.txid for tx in txs])[0]
    return make_block(solved(with_header(block.header, merkle_root=root)), txs)


PLACES: dict[str, Callable[[Lab], BlockNode]] = {
    "on the tip": lambda lab: lab.tip,
    "beside the tip": lambda lab: lab.tip.ancestor(lab.height - 1),
    "further down": lambda lab: lab.tip.ancestor(lab.height - 3),
}


@pytest.fixture(scope="module")
def lab() -> Lab:
    """Coins below the branches, and no difference between them in what there is to spend."""
    lab = funded()
    lab.mine_empty(4)
    lab.now = int(time.time())
    return lab


@pytest.fixture
def desk(tmp_path: Path, lab: Lab) -> Iterator[Desk]:
    with closing(Desk(tmp_path / "desk")) as desk:
        desk.give(lab.blocks)
        yield desk


def core_word(kernel: Kernel, block: Block) -> str | None:
    """What Core's submitblock would say."""
    before = kernel.tip
    lines = len(kernel._lines)
    try:
        verdict = kernel.submit(block)
    except AssertionError:  # it was not checked as a tip
        assert kernel.tip == before
        assert not any("BlockChecked" in line for line in kernel._lines[lines:])
        return INCONCLUSIVE
    return verdict.code


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", FAULTS)
def test_a_block_is_refused_where_core_refuses_it_and_so_is_its_child(
    desk: Desk, lab: Lab, name: str, place: str
) -> None:
    parent = PLACES[place](lab)
    block = FAULTS[name](lab, parent)
    entry = BlockNode(block.header, parent, REGTEST)
    child = sound(lab, entry)
    with Kernel() as kernel:
        kernel.follow(lab.blocks)
        # Once more at the end: what is remembered of a refused block tells then.
        for offered in (block, child, block) if name not in ONLY_COINS_SHOW else (block, block):
            theirs = core_word(kernel, offered)
            ours = desk.rpc("submitblock", offered.raw.hex())
            assert ours is not None
            if offered is block and ours == "duplicate-inconclusive":
                ours = INCONCLUSIVE  # Core's engine does not tell these two apart
            assert ours == theirs
        assert kernel.tip == to_hex(lab.tip.hash) == desk.rpc("getbestblockhash")


@pytest.mark.parametrize("name", ["another_witness", "two_reserved_values"])
def test_the_honest_body_still_connects_with_its_child(desk: Desk, lab: Lab, name: str) -> None:
    """The header of the changed body is kept, so that the child waits for the right one."""
    changed, honest = FAULTS[name](lab, lab.tip), sound(lab, lab.tip)
    honest = make_block(changed.header, honest.txs)
    child = lab.copy()
    child.accept(honest)
    later = child.candidate()
    with Kernel() as kernel:
        kernel.follow(lab.blocks)
        for block in (changed, later):
            assert desk.rpc("submitblock", block.raw.hex()) == core_word(kernel, block)
        kernel.offer(honest)
        assert desk.rpc("submitblock", honest.raw.hex()) is None
        assert kernel.tip == to_hex(later.hash) == desk.rpc("getbestblockhash")
        # Of a block that is here another body is none.
        assert desk.rpc("submitblock", changed.raw.hex()) == "duplicate"
        assert core_word(kernel, changed) == INCONCLUSIVE
