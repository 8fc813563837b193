"""Filters along a chain: made in order, kept through reorganisations, honest where they cannot be had."""

from collections.abc import Callable

import pytest

from chain.block import Block
from chain.blocktree import BlockNode
from chain.hashes import sha256d
from chain.scripttype import ScriptType
from node.blockfilter.filter_index import NEAR_BLOCKS, BlockFilter, FilterIndex, FiltersBehind, FiltersBroken, NoFilter
from node.blockfilter.gcs import NO_HEADER, basic_filter
from node.core.view import NodeView
from node.interface.storage import Damaged, StoreError
from node.storage.filters import FILTER, FILTER_HEADER, FilterRows
from node.storage.memory import MemoryKv
from node.storage.schema import block_key
from tests.chainlab import Lab, funded, lock, pay
from tests.node.api.desk import Desk
from tests.node.blockfilter.golomb import matches

MakeDesk = Callable[..., Desk]
NETWORK = b"n" * 32


class Bench:
    """A chain in a node, and an index of which the test sees the rows."""

    def __init__(self, desk: Desk, blocks: list[Block]) -> None:
        self.desk = desk
        desk.give(blocks)
        self.kv = MemoryKv()
        self.condemned: list[str] = []
        self.index = self.opened()

    def opened(self) -> FilterIndex:
        index = FilterIndex(lambda: FilterRows(self.kv, NETWORK, self.condemned.append))
        index.open(self.view)
        return index

    @property
    def view(self) -> NodeView:
        return self.desk.runtime.view

    def entry(self, block: Block) -> BlockNode:
        entry = self.view.get(block.hash)
        assert entry
        return entry

    def make_all(self) -> None:
        while not self.index.is_level(self.view):
            self.index.make_next(self.view)

    def of(self, block: Block) -> BlockFilter:
        return self.index.of(self.view, self.entry(block))


@pytest.fixture
def lab() -> Lab:
    return funded()


@pytest.fixture
def bench(make_desk: MakeDesk, lab: Lab) -> Bench:
    return Bench(make_desk(), lab.blocks)


def test_a_chain_of_headers_from_genesis_on(bench: Bench, lab: Lab) -> None:
    bench.make_all()
    header = NO_HEADER
    listed = bench.index.headers(bench.view, 0, 2000)
    assert len(listed) == lab.height + 1
    for height, found in enumerate(listed):
        entry = bench.view.entry_at(height)
        assert entry
        made = bench.index.of(bench.view, entry)
        header = sha256d(sha256d(made.encoded) + header)
        assert made.header == found == header
    assert bench.index.headers(bench.view, 5, 3) == listed[5:8]
    assert bench.index.headers(bench.view, lab.height, 9) == listed[-1:]


def test_a_filter_knows_what_a_block_pays_and_spends(bench: Bench, lab: Lab) -> None:
    bench.make_all()
    [coin] = lab.take(ScriptType.P2TR)
    paid = b"\x00\x14" + b"\x99" * 20
    tx = pay([coin], [type(lab.blocks[0].txs[0].outputs[0])(coin.coin.value - 1000, paid)])
    block = lab.mine([tx])
    bench.desk.give([block])
    made = bench.of(block)
    commitment = block.txs[0].outputs[-1].script
    assert commitment.startswith(b"\x6a")
    assert [matches(made.encoded, block.hash, script) for script in (paid, coin.coin.script, commitment)] == [
        True, True, False,
    ]  # fmt: skip
    assert not matches(made.encoded, block.hash, lock(ScriptType.P2PKH, 11))
    assert made.encoded == basic_filter(block, [coin.coin])


def test_a_question_makes_a_few_and_waits_for_many(bench: Bench, lab: Lab) -> None:
    near = lab.blocks[NEAR_BLOCKS - 2]
    assert bench.index.height(bench.view) == -1
    with pytest.raises(FiltersBehind):
        bench.of(lab.blocks[NEAR_BLOCKS - 1])
    assert bench.of(near).header
    assert bench.index.height(bench.view) == NEAR_BLOCKS - 1
    with pytest.raises(FiltersBehind):
        bench.index.headers(bench.view, 0, 2000)
    assert len(bench.index.headers(bench.view, 0, 20)) == 20


def test_a_new_block_has_its_filter_at_once(bench: Bench, lab: Lab) -> None:
    bench.make_all()
    block = lab.mine()
    bench.desk.give([block])
    assert not bench.index.is_level(bench.view)
    bench.of(block)
    assert bench.index.is_level(bench.view)


def test_a_reorganisation(bench: Bench, lab: Lab) -> None:
    bench.make_all()
    other = lab.copy()
    left = [lab.mine() for _ in range(2)]
    bench.desk.give(left)
    kept = [bench.of(block) for block in left]
    entered = [other.mine(script=lock(ScriptType.P2PKH, 3), extra_nonce=7) for _ in range(3)]
    bench.desk.give(entered)
    assert bench.index.height(bench.view) == lab.height - 2
    # What was made stays, and the new branch has its own.
    assert [bench.of(block) for block in left] == kept
    made = [bench.of(block) for block in entered]
    assert made[0].header != kept[0].header
    assert list(bench.index.headers(bench.view, lab.height - 1, 9)) == [each.header for each in made]
    # And back: nothing is made twice.
    back = lab.copy()
    more = [back.mine(extra_nonce=9) for _ in range(2)]
    bench.desk.give(more)
    rows = dict(bench.kv.rows)
    bench.of(more[-1])
    assert len(bench.kv.rows) == len(rows) + 4


def test_a_branch_that_never_was_the_best(bench: Bench, lab: Lab) -> None:
    bench.make_all()
    other = lab.copy()
    bench.desk.give([lab.mine(), lab.mine()])
    stale = other.mine(extra_nonce=3)
    bench.desk.give([stale])
    with pytest.raises(NoFilter, match="was not in the best chain"):
        bench.of(stale)


def test_it_goes_on_where_it_was(bench: Bench, lab: Lab) -> None:
    for _ in range(50):
        bench.index.make_next(bench.view)
    again = bench.opened()
    assert again.height(bench.view) == 49
    again.make_next(bench.view)
    assert again.height(bench.view) == 50


def test_a_tip_that_the_chain_does_not_know_begins_at_genesis(bench: Bench, lab: Lab) -> None:
    bench.make_all()
    FilterRows(bench.kv, NETWORK).put(200, type(lab.tip.hash)(b"\x77" * 32), b"\x00", bytes(32))
    bench.index = bench.opened()
    assert bench.index.height(bench.view) == -1
    rows = len(bench.kv.rows)
    bench.make_all()
    assert len(bench.kv.rows) == rows


@pytest.mark.parametrize("prefix", [FILTER, FILTER_HEADER])
def test_a_lost_row_is_told_and_has_them_made_anew(bench: Bench, lab: Lab, prefix: bytes) -> None:
    bench.make_all()
    bench.kv.write([(block_key(prefix, 5, lab.blocks[4].hash), None)], sync=True)
    with pytest.raises(FiltersBroken, match="is lost"):
        bench.of(lab.blocks[4])
    assert len(bench.condemned) == 1
    with pytest.raises(FiltersBroken, match="not available"):
        bench.of(lab.blocks[9])


def test_a_lost_header_ends_the_list(bench: Bench, lab: Lab) -> None:
    bench.make_all()
    bench.kv.write([(block_key(FILTER_HEADER, 5, lab.blocks[4].hash), None)], sync=True)
    with pytest.raises(FiltersBroken, match="height 5 is lost"):
        bench.index.headers(bench.view, 0, 20)


def test_a_disk_that_fails_is_no_fault_of_the_node(bench: Bench, lab: Lab) -> None:
    bench.kv.writes_until_failure = 3
    with pytest.raises(FiltersBroken, match="not available: the memory disk"):
        bench.make_all()
    with pytest.raises(FiltersBroken, match="not available: the memory disk"):
        bench.of(lab.blocks[0])
    assert bench.desk.get("/blocks/tip/height").text == str(lab.height)


def test_before_it_is_open_everybody_waits(bench: Bench, lab: Lab) -> None:
    closed = FilterIndex(lambda: pytest.fail("nobody opens it"))
    with pytest.raises(FiltersBehind):
        closed.of(bench.view, bench.entry(lab.blocks[0]))
    closed.make_next(bench.view)
    closed.close()


def test_a_lost_block_is_no_block_without_scripts(bench: Bench, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object) -> None:
        raise Damaged("a hole in the blocks")

    monkeypatch.setattr(type(bench.view.reader), "undo", lost)
    for _ in range(2):  # it is the blocks that are broken, not the filters
        with pytest.raises(Damaged, match="a hole in the blocks"):
            bench.make_all()


def test_errors_of_opening_are_passed_on() -> None:
    def refuse() -> FilterRows:
        raise StoreError("no")

    with pytest.raises(StoreError):
        FilterIndex(refuse).open(None)  # type: ignore[arg-type]
