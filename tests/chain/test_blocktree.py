"""The tree of headers: ancestors, paths, median times, work, and the difficulty's schedule."""

import itertools
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.block import Header, decode_header, make_header
from chain.blocktree import BlockNode, BlockTree, fork_point, locator, path
from chain.hashes import BlockHash
from chain.params import GENESIS, REGTEST, Asert, Params, devnet_params
from chain.pow import Schedule, next_bits
from tests.chain.test_pow import BCH_LIMIT_BITS, RUNS, bits_after, read_run

T0 = GENESIS.header.time
EASY = 0x207FFFFF


def header_on(parent: BlockNode, time: int, bits: int = EASY, nonce: int = 0) -> Header:
    """A header of no particular merit."""
    return make_header(4, parent.hash, bytes(32), time, bits, nonce)


def grow(tree: BlockTree, parent: BlockNode, times: list[int], bits: int = EASY) -> list[BlockNode]:
    """A branch with blocks at these times."""
    branch = []
    for time in times:
        parent = tree.add(header_on(parent, time, bits, len(tree.entries)))
        branch.append(parent)
    return branch


def spaced(tree: BlockTree, parent: BlockNode, count: int) -> list[BlockNode]:
    """A branch with blocks every ten seconds."""
    return grow(tree, parent, [parent.header.time + 10 * (n + 1) for n in range(count)])


@st.composite
def trees(draw: st.DrawFn) -> tuple[BlockTree, list[BlockNode]]:
    """Up to 60 headers, each on any of those before, most on one of the last."""
    tree = BlockTree(REGTEST)
    entries = [tree.genesis]
    for nonce in range(draw(st.integers(1, 60))):
        back = draw(st.one_of(st.just(1), st.integers(1, len(entries))))
        parent = entries[-back]
        entries.append(tree.add(header_on(parent, draw(st.integers(T0, T0 + 200)), nonce=nonce)))
    return tree, entries


def line(entry: BlockNode) -> list[BlockNode]:
    """From genesis to `entry`."""
    found: list[BlockNode] = []
    at: BlockNode | None = entry
    while at is not None:
        found.append(at)
        at = at.parent
    return found[::-1]


@given(trees())
def test_every_ancestor_of_every_block(made: tuple[BlockTree, list[BlockNode]]) -> None:
    for entry in made[1]:
        assert [entry.ancestor(height) for height in range(entry.height + 1)] == line(entry)


def test_ancestors_far_down() -> None:
    tree = BlockTree(REGTEST)
    branch = [tree.genesis, *spaced(tree, tree.genesis, 3000)]
    for height in (0, 1, 2, 15, 16, 17, 1023, 1024, 1025, 2047, 2998, 2999, 3000):
        assert branch[3000].ancestor(height) is branch[height]
        assert branch[height].ancestor(height // 3) is branch[height // 3]


@given(trees(), st.data())
def test_the_way_from_one_block_to_another(made: tuple[BlockTree, list[BlockNode]], draw: st.DataObject) -> None:
    """Left tip first, entered lowest first; what both share is neither left nor entered."""
    old, new = (draw.draw(st.sampled_from(made[1])) for _ in range(2))
    left, entered = path(old, new)
    assert line(old)[: len(line(old)) - len(left)] + entered == line(new)
    assert left == [entry for entry in reversed(line(old)) if entry not in line(new)]
    fork = fork_point(old, new)
    assert fork is fork_point(new, old)
    assert fork is [entry for entry in line(old) if entry in line(new)][-1]


def test_a_drawn_fork() -> None:
    """::

    genesis --- a1 --- a2 --- a3 --- a4
                  \\
                   --- b2 --- b3
    """
    tree = BlockTree(REGTEST)
    a1, a2, a3, a4 = spaced(tree, tree.genesis, 4)
    b2, b3 = grow(tree, a1, [T0 + 25, T0 + 26])
    assert path(a4, b3) == ([a4, a3, a2], [b2, b3])
    assert path(b3, a4) == ([b3, b2], [a2, a3, a4])
    assert path(a4, a4) == ([], [])
    assert path(tree.genesis, a2) == ([], [a1, a2])
    assert path(a2, tree.genesis) == ([a2, a1], [])
    assert tree.best_header is a4
    assert tree.branch(a1) == [a1, a2, b2, a3, b3, a4]


@given(trees())
def test_median_time_past(made: tuple[BlockTree, list[BlockNode]]) -> None:
    for entry in made[1]:
        times = sorted(one.header.time for one in line(entry)[-11:])
        assert entry.median_time == times[len(times) // 2]


@given(trees())
def test_the_first_seen_of_equal_work_is_best(made: tuple[BlockTree, list[BlockNode]]) -> None:
    tree, entries = made
    most = max(entry.chainwork for entry in entries)
    assert tree.best_header is next(entry for entry in entries if entry.chainwork == most)


def test_work_counts_and_not_height() -> None:
    tree = BlockTree(REGTEST)
    spaced(tree, tree.genesis, 100)
    [hard] = grow(tree, tree.genesis, [T0 + 1], bits=0x1F7FFFFF)
    assert tree.best_header is hard
    assert (tree.genesis.chainwork, hard.chainwork) == (2, 2 + 512)


@given(trees(), st.data())
def test_invalid_branches_are_never_best(made: tuple[BlockTree, list[BlockNode]], draw: st.DataObject) -> None:
    tree, entries = made
    bad = draw.draw(st.sampled_from(entries[1:]))
    tree.set_invalid(bad, True)
    for entry in entries:
        assert entry.invalid == (bad in line(entry))
    good = [entry for entry in entries if not entry.invalid]
    most = max(entry.chainwork for entry in good)
    assert tree.best_header is next(entry for entry in good if entry.chainwork == most)
    late = tree.add(header_on(bad, T0 + 300, nonce=999))
    assert late.invalid
    tree.set_invalid(bad, False)
    assert not any(entry.invalid for entry in [*entries, late])


def test_what_is_known_to_be_invalid_is_never_best() -> None:
    tree = BlockTree(REGTEST)
    bad = tree.add(header_on(tree.genesis, T0 + 1), invalid=True)
    late = tree.add(header_on(bad, T0 + 2))
    assert late.invalid
    assert tree.best_header is tree.genesis
    tree.set_invalid(bad, False)
    assert tree.best_header is late


@given(trees())
def test_children_in_the_order_in_which_they_came(made: tuple[BlockTree, list[BlockNode]]) -> None:
    tree, entries = made
    for entry in entries:
        assert entry.children == [child for child in entries if child.parent is entry]
        assert set(tree.branch(entry)) == {other for other in entries if entry in line(other)}


@pytest.mark.parametrize("version", [4, 0x2000_0000, -(2**31), -1])
def test_headers_come_back_as_they_went_in(version: int) -> None:
    tree = BlockTree(REGTEST)
    header = make_header(version, tree.genesis.hash, bytes(range(32)), 2**32 - 1, EASY, 2**32 - 2)
    assert tree.add(header).header == header == decode_header(header.raw)
    assert tree.genesis.header == GENESIS.header


@pytest.mark.parametrize("params", [REGTEST, devnet_params()], ids=["no schedule", "a schedule"])
def test_a_header_takes_little_memory(params: Params) -> None:
    """Of every block ever seen a node keeps an entry for as long as it runs; their schedule is shared."""
    count = 2_000
    source = BlockTree(params)
    raws = b"".join(entry.raw for entry in spaced(source, source.genesis, count))
    tree = BlockTree(params)
    tracemalloc.start()
    try:
        for start in range(0, len(raws), 80):
            tree.add(decode_header(raws[start : start + 80]))
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert taken / count < 560


@given(st.integers(0, 400))
def test_locators_reach_back_to_genesis_in_growing_steps(height: int) -> None:
    tree = BlockTree(REGTEST)
    branch = [tree.genesis, *spaced(tree, tree.genesis, height)]
    heights = [tree.entries[block_hash].height for block_hash in locator(branch[-1])]
    assert heights[0] == height
    assert heights[-1] == 0
    assert heights[:11] == list(range(height, max(-1, height - 11), -1))
    steps = [high - low for high, low in itertools.pairwise(heights)]
    assert steps[:-1] == sorted(steps[:-1])
    assert len(heights) <= 20


def test_unknown_hashes_are_not_found() -> None:
    tree = BlockTree(REGTEST)
    assert tree.get(BlockHash(bytes(32))) is None
    assert tree.get(GENESIS.hash) is tree.genesis


# idle time

CAP = 100
SLEEPY = Params("sleepy", EASY, 150, 60, True, Asert(10, 150, 2, 0x2000FFFF, CAP))


def idle_of(entry: BlockNode) -> int:
    """Idle seconds of its branch so far."""
    return entry.schedule.idle_s if entry.schedule else 0


def idle_after(times: list[int], params: Params = SLEEPY) -> list[int]:
    """idle of each block at these times after genesis'."""
    tree = BlockTree(params)
    return [idle_of(entry) for entry in grow(tree, tree.genesis, [T0 + time for time in times])]


def test_idle_time_is_what_exceeds_the_cap_between_latest_times() -> None:
    """::

    height      1        2        3      4          5        6          7
               anchor-1  anchor
    time        10^9     10^9+20  +30    +430       +425     +700       +710
    gap of m    ...      20       10     400        0        270        10
    idle        0        0        0      300        300      470        470
    """
    base = 10**9
    times = [base, base + 20, base + 30, base + 430, base + 425, base + 700, base + 710]
    assert idle_after(times) == [0, 0, 0, 300, 300, 470, 470]


def test_a_gap_before_the_anchor_is_idle_and_one_before_its_parent_is_not() -> None:
    """The anchor's parent starts the schedule: the years since 2011 lie before it."""
    assert idle_after([5, 6, 7]) == [0, 0, 0]
    assert idle_after([10**9, 10**9 + CAP, 10**9 + 2 * CAP]) == [0, 0, 0]
    assert idle_after([10**9, 10**9 + CAP + 1, 10**9 + 2 * CAP + 2]) == [0, 1, 2]


def test_a_block_dated_back_does_not_make_time_twice() -> None:
    """Times 0, 500, 100, 600: the second 500 s gap is between times that were there already."""
    assert idle_after([0, 10, 510, 110, 610, 620]) == [0, 0, 400, 400, 400, 400]


def test_without_a_cap_nothing_is_idle() -> None:
    uncapped = Params("awake", EASY, 150, 60, True, Asert(10, 150, 2, 0x2000FFFF, None))
    assert idle_after([10, 20, 10**8, 2 * 10**8], uncapped) == [0, 0, 0, 0]
    assert idle_after([10, 10**9], REGTEST) == [0, 0]


@given(st.lists(st.integers(0, 2000), min_size=2, max_size=20))
def test_idle_time_as_its_definition_reads(times: list[int]) -> None:
    highest, idle, expected = T0, 0, []
    for height, time in enumerate(times, 1):
        latest = max(highest, T0 + time)
        if height >= 2:
            idle += max(0, latest - highest - CAP)
        highest = latest
        expected.append(idle)
    assert idle_after(times) == expected


def test_each_branch_has_an_anchor_of_its_own() -> None:
    """::

    genesis --- 1 --- a2 --- a3
                  \\
                   --- b2 --- b3         the anchor height is 2
    """
    tree = BlockTree(SLEEPY)
    [one] = grow(tree, tree.genesis, [T0 + 1000])
    a2, a3 = grow(tree, one, [T0 + 1010, T0 + 1500])
    b2, b3 = grow(tree, one, [T0 + 1020, T0 + 1030])
    assert one.schedule is None
    assert [entry.schedule for entry in (a2, a3)] == [Schedule(one.time, 0), Schedule(one.time, 490 - CAP)]
    assert [entry.schedule for entry in (b2, b3)] == [Schedule(one.time, 0)] * 2


def test_a_night_asleep_owes_no_blocks() -> None:
    """Eight hours without a block cost at most the cap: difficulty halves about once, not 190 times."""
    params = devnet_params(first_bits=0x1E00FFFF)
    tree = BlockTree(params)
    branch = grow(tree, tree.genesis, [T0 + 10 * n for n in range(1, 150)])
    before = next_bits(branch[-1], params)
    [late] = grow(tree, branch[-1], [branch[-1].header.time + 8 * 3600])
    after = next_bits(late, params)
    assert before == 0x1E00FFFF
    assert idle_of(late) == 8 * 3600 - 150
    assert after == bits_after(late.height, 10 * (149 - 101) + 150, params)
    [soon] = grow(tree, late, [late.header.time + 10])
    assert next_bits(soon, params) == after


@pytest.mark.parametrize("run", RUNS)
def test_bchs_runs_through_the_tree(vectors: Path, run: str) -> None:
    """Every row of every run, its times moved to after our genesis, which is the anchor's parent."""
    facts, rows = read_run(vectors / "asert" / run)
    assert (facts["anchor height"], facts["anchor parent time"]) == (1, 0)
    params = Params("bch", BCH_LIMIT_BITS, 210_000, 7200, False, Asert(600, 172_800, 1, facts["anchor nBits"], None))
    tree = BlockTree(params)
    tip = tree.add(header_on(tree.genesis, T0 + 600))
    for height, time, bits in rows:
        while tip.height < height:  # run 5 leaves heights out; only the last block's time matters
            tip = tree.add(header_on(tip, T0 + time))
        assert (tip.height, tip.time) == (height, T0 + time)
        assert next_bits(tip, params) == bits
