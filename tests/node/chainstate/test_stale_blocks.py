"""Blocks beside the best chain: the newest are kept, and what was forgotten can come again."""

import itertools
from collections.abc import Iterable

import pytest

from chain.block import Block
from chain.blocktree import BlockNode
from chain.errors import Invalid, Reject, Unready
from chain.params import REGTEST
from node.chainstate import stale_blocks
from node.chainstate.chainstate import Chainstate
from node.interface.checked_block import examine
from node.storage.memory import MemoryDisk
from node.storage.recovery import open_memory
from tests.chainlab import NOW, Lab, with_coinbase, with_output
from tests.node.chainstate.test_chainstate import Desk

MOST = 5


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stale_blocks, "SIBLINGS_MAX", MOST)


@pytest.fixture
def lab() -> Lab:
    lab = Lab()
    lab.mine_empty(20)
    return lab


@pytest.fixture
def desk(lab: Lab) -> Desk:
    desk = Desk()
    desk.give(*lab.blocks)
    return desk


def rivals(lab: Lab, count: int, first: int = 100) -> list[Block]:
    """Blocks on the lab's tip."""
    return [lab.candidate(extra_nonce=first + number) for number in range(count)]


def shortened(lab: Lab) -> Lab:
    """The lab without its last block."""
    shorter = Lab()
    for block in lab.blocks[:-1]:
        shorter.accept(block)
    return shorter


def known(desk: Desk, blocks: Iterable[Block]) -> list[bool]:
    """Which are in the tree; their bodies are stored, or not, accordingly, and so are their headers."""
    tree, found = desk.chain.tree, []
    stored = {raw for _, raw in desk.store.headers()}
    for block in blocks:
        entry = tree.get(block.hash)
        height = tree.entries[block.header.prev_hash].height + 1
        assert (entry is not None) == (desk.store.block(height, block.hash) is not None)
        assert (entry is not None) == (block.header.raw in stored)
        found.append(entry is not None)
    return found


def assert_joined(desk: Desk) -> None:
    """The tree's links say the same as its entries."""
    entries = set(desk.chain.tree.entries.values())
    by_links: list[BlockNode] = desk.chain.tree.branch(desk.chain.tree.genesis)
    assert set(by_links) == entries
    assert len(by_links) == len(entries)


def test_the_oldest_siblings_are_forgotten(desk: Desk, lab: Lab) -> None:
    others = rivals(lab, 12)
    desk.give(lab.mine(), *others)
    assert known(desk, others) == [False] * 7 + [True] * 5
    assert desk.tip == lab.tip.hash
    assert_joined(desk)


def test_siblings_at_several_heights_count_together(desk: Desk, lab: Lab) -> None:
    others = []
    for height in range(4):
        late = rivals(lab, 3, first=100 + 10 * height)
        desk.give(lab.mine(), *late)
        others += late
    assert known(desk, others) == [False] * 7 + [True] * 5
    assert_joined(desk)


def test_what_has_a_block_on_it_stays(desk: Desk, lab: Lab) -> None:
    r"""
    ::

        20 --- tip
          \--- first --- second         more work: followed, then left again
    """
    fork = lab.copy()
    tip = lab.mine()
    first = fork.mine(extra_nonce=7)
    desk.give(tip, first)
    second = fork.mine()
    desk.give(second)
    assert desk.tip == second.hash
    longer = [lab.mine() for _ in range(2)]
    desk.give(*longer)
    assert desk.tip == lab.tip.hash
    desk.give(lab.mine(), *rivals(shortened(lab), 12))
    assert known(desk, [first, second, tip, *longer]) == [True] * 5
    assert_joined(desk)


def test_what_was_forgotten_can_come_again_and_win(desk: Desk, lab: Lab) -> None:
    fork = lab.copy()
    forgotten, above = fork.mine(extra_nonce=7), fork.mine()
    tip, others = lab.candidate(), rivals(lab, 6)
    desk.give(tip, forgotten, *others)
    assert known(desk, [forgotten]) == [False]
    with pytest.raises(Unready) as caught:
        desk.give(above)
    assert caught.value.code is Reject.PREV_NOT_FOUND
    desk.give(forgotten, above)
    assert desk.tip == above.hash
    assert desk.is_whole()
    assert_joined(desk)


def test_invalid_blocks_are_bounded_too_and_stay_invalid(desk: Desk, lab: Lab) -> None:
    greedy = [
        with_coinbase(block, lambda tx: with_output(tx, value=tx.outputs[0].value + 1)) for block in rivals(lab, 8)
    ]
    for block in greedy:  # each is on the tip, so each is connected
        desk.give(block)
        assert desk.chain.failure(block.hash) is not None
    assert desk.tip == lab.tip.hash
    assert known(desk, greedy) == [False] * 3 + [True] * 5
    assert set(desk.store.marks()) == {block.hash for block in greedy[3:]}
    desk.give(greedy[0])
    failure = desk.chain.failure(greedy[0].hash)
    assert failure is not None
    assert failure.code is Reject.CB_AMOUNT
    with pytest.raises(Invalid) as caught:
        desk.give(greedy[-1])
    assert caught.value.code is Reject.DUPLICATE_INVALID
    assert desk.chain.best is desk.chain.tip
    desk.give(lab.mine())
    assert desk.tip == lab.tip.hash
    assert_joined(desk)


def test_what_the_operator_ruled_out_stays_ruled_out(desk: Desk, lab: Lab) -> None:
    [chosen, *others] = rivals(lab, 10)
    desk.give(lab.mine(), chosen)
    entry = desk.chain.tree.get(chosen.hash)
    assert entry is not None
    desk.chain.invalidate(entry)
    desk.give(*others)
    assert known(desk, [chosen]) == [True]
    assert desk.store.marks() == {chosen.hash: "operator"}
    again = Desk(desk.disk)
    again.give(*rivals(shortened(lab), 10, first=900))
    assert known(again, [chosen]) == [True]
    again.chain.reconsider(again.chain.tree.entries[chosen.hash])
    assert again.store.marks() == {}


def test_a_preferred_block_stays(desk: Desk, lab: Lab) -> None:
    [chosen, *others] = rivals(lab, 12)
    left = lab.mine()
    desk.give(left, chosen)
    desk.chain.prefer(desk.chain.tree.entries[chosen.hash])
    desk.settle()
    assert desk.tip == chosen.hash
    desk.give(*others)
    assert known(desk, [chosen, left]) == [True, True]  # what was connected once is not sent again
    assert desk.is_whole()


def test_the_operator_s_preference_outlives_another_look_for_the_best(desk: Desk, lab: Lab) -> None:
    """Also one that comes before the preferred block is the tip."""
    [chosen] = rivals(lab, 1)
    desk.give(lab.mine(), chosen)
    tree = desk.chain.tree
    desk.chain.prefer(tree.entries[chosen.hash])
    desk.chain.reconsider(tree.entries[lab.blocks[3].hash])
    desk.settle()
    assert desk.tip == chosen.hash


def test_after_a_restart_the_bound_holds(desk: Desk, lab: Lab) -> None:
    others = rivals(lab, 5)
    desk.give(lab.mine(), *others)
    again = Desk(desk.disk)
    assert known(again, others) == [True] * 5
    more = rivals(shortened(lab), 5, first=900)
    again.give(*more)
    assert known(again, others + more) == [False] * 5 + [True] * 5
    assert again.tip == lab.tip.hash


def test_siblings_are_written_without_waiting_for_the_disk(lab: Lab) -> None:
    """What is followed is safe before anybody is told; a sibling is with the next block that is."""
    disk = MemoryDisk()
    store = open_memory(disk, REGTEST.network_id)
    chain = Chainstate(REGTEST, store, itertools.count(1).__next__)
    synced: list[bool] = []
    put = store.put_block

    def spy(*args: object, sync: bool) -> None:
        synced.append(sync)
        put(*args, sync=sync)  # type: ignore[arg-type]

    store.put_block = spy  # type: ignore[method-assign]
    for block in (lab.blocks[0], Lab().candidate(extra_nonce=5), lab.blocks[1]):
        chain.submit_block(examine(block, REGTEST), NOW, sync=True)
    assert synced == [True, False, True]
