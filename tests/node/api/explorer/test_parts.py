"""What pages are made of: words for numbers and times, the geometry of pictures. Pure, so all of it is tables."""

import re
from dataclasses import dataclass
from types import SimpleNamespace
from typing import cast

import pytest
from markupsafe import Markup

from chain.blocktree import BlockNode, BlockTree
from node.api.explorer import formatting
from node.api.explorer.draw.flow import BROAD, ROW, THIN, draw_flow
from node.api.explorer.draw.forktree import BOX_HEIGHT, LANE, LANES_MAX, LEFT, Drawing, TreeNode, draw_tree
from node.api.explorer.draw.plot import HEIGHT, WIDTH, draw_bars, draw_line
from node.api.explorer.fees import BLOCK_VSIZE, NextBlock, fee_bands, next_block
from node.api.explorer.forks import reorg_between
from node.mempool.entry import MempoolTotals
from node.mempool.view import MempoolView
from tests.chainlab import START_TIME, Lab

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("satoshis", "shown"),
    [
        (0, "0.00000000"),
        (1, "0.00000001"),
        (2_500_000, "0.02500000"),
        (5_000_000_000, "50.00000000"),
        (2_100_000_000_000_000, "21,000,000.00000000"),
        (-141, "−0.00000141"),
    ],
)
def test_amounts_have_eight_decimals(satoshis: int, shown: str) -> None:
    assert formatting.plain_coins(satoshis) == shown
    assert re.sub("<[^>]*>", "", formatting.coins(satoshis)) == shown


def test_zeros_at_the_end_are_faint() -> None:
    assert formatting.coins(2_500_000) == Markup('<span class="amount">0.025<span class="faint">00000</span></span>')
    assert formatting.coins(5, signed=True).startswith(Markup('<span class="amount">+0.00000005'))
    assert formatting.coins(0, signed=True).startswith(Markup('<span class="amount">0.00'))


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (0, "0"),
        (4.6565423739069247e-10, "4.66 × 10⁻¹⁰"),
        (0.0005, "0.000500"),
        (0.00123, "0.00123"),
        (0.5, "0.500"),
        (9.996, "10.00"),
        (1234.5, "1,234"),
        (1.23e20, "1.23 × 10²⁰"),
    ],
)
def test_numbers_of_any_size_have_three_digits(amount: float, shown: str) -> None:
    assert formatting.significant(amount) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-90, "in 1 minute"),
        (-1, "just now"),
        (0, "just now"),
        (1.9, "just now"),
        (2, "2 seconds ago"),
        (59.9, "59 seconds ago"),
        (60, "1 minute ago"),
        (3_599, "59 minutes ago"),
        (7_200, "2 hours ago"),
        (86_400, "1 day ago"),
        (500_000_000, "5,787 days ago"),
    ],
)
def test_how_long_ago(seconds: float, shown: str) -> None:
    assert formatting.ago(seconds) == shown


def test_a_moment_has_its_exact_time() -> None:
    assert formatting.moment(NOW - 120, NOW) == (
        '<time datetime="2023-11-14T22:11:20Z" title="2023-11-14 22:11:20 UTC">2 minutes ago</time>'
    )
    # A header may claim any 32 bits, an expiry lies beyond them.
    assert "2106-02-07" in formatting.moment(2**32 - 1, NOW)
    assert "9999-12-31" in formatting.moment(1e18, NOW)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.5, "0.5 s"), (7, "7 s"), (59.6, "1 min"), (90, "1 min 30 s"), (3_600, "1 h"), (700, "11 min"), (-5, "−5 s")],
)
def test_durations(seconds: float, shown: str) -> None:
    assert formatting.duration(seconds) == shown


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"hello", "hello"),
        ("grüße 🙂".encode(), "grüße 🙂"),
        (b"<b>&amp;", "<b>&amp;"),
        ("turned \u202e round".encode(), "turned □ round"),
        (b"two\nlines\x00.", "two□lines□."),
        (b"\xff\xfe", None),
        (b"\x01\x02\x03\x04a", None),
        (b"", None),
    ],
)
def test_what_strangers_wrote(content: bytes, shown: str | None) -> None:
    assert formatting.message(content) == shown


def test_long_texts_are_cut() -> None:
    assert formatting.readable("a" * 1_000) == "a" * formatting.TEXT_MAX + "…"
    assert formatting.letters(bytes(range(256)) * 10).count("□") > 0


# pictures


def test_ribbons_are_as_broad_as_their_amounts() -> None:
    flow = draw_flow([60, 40], [99], 1)
    assert flow.height == 2 * ROW
    assert [ribbon.is_fee for ribbon in flow.right] == [False, True]

    def breadth_in_the_middle(path: str) -> float:
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", path)]
        return numbers[9] - numbers[7]

    assert [breadth_in_the_middle(ribbon.path) for ribbon in flow.left] == pytest.approx(
        [0.6 * BROAD, 0.4 * BROAD], 0.1
    )
    assert breadth_in_the_middle(flow.right[1].path) == pytest.approx(THIN, abs=0.1)


def test_a_transaction_without_amounts_can_be_drawn() -> None:
    assert len(draw_flow([0, 0], [0], 0).left) == 2
    assert draw_flow([], [], 0).height == ROW


def test_bars_stay_in_the_box_under_round_lines() -> None:
    plot = draw_bars([3, 0, 47, 12], wish=10)
    assert [tick.amount for tick in plot.ticks] == [0, 20, 40, 60]
    assert all(bar.x >= 0 and bar.x + bar.width <= WIDTH and bar.y + bar.height == HEIGHT for bar in plot.bars)
    assert plot.bars[2].height == pytest.approx(47 / 60 * HEIGHT)
    assert plot.mark == pytest.approx(HEIGHT - 10 / 60 * HEIGHT)


def test_lines_of_one_point_and_of_nothing() -> None:
    assert draw_line([6.0]).line == f"M0.0 0.0L{WIDTH} 0.0"
    assert draw_line([]).line == ""
    assert draw_line([0.0, 0.0]).ticks == []
    assert draw_bars([]).bars == []


@dataclass
class Family:
    """A tree of headers by hand; `best` is the chain that the drawing takes for the best."""

    tree: BlockTree
    entries: dict[str, BlockNode]
    best: str

    def drawn(self) -> Drawing:
        best, entry = [], self.entries[self.best]
        while entry.parent is not None:
            best.append(entry)
            entry = entry.parent
        others = [entry for entry in self.entries.values() if entry not in best]
        nodes = [*(TreeNode(one, "best") for one in best[::-1]), *(TreeNode(one, "stale") for one in others)]
        return draw_tree(nodes, 1, max(entry.height for entry in self.entries.values()))

    def lanes(self) -> dict[str, int]:
        names = {entry.hash[::-1].hex(): name for name, entry in self.entries.items()}
        return {names[box.hash]: round((box.x - LEFT) // LANE) for box in self.drawn().nodes}


def family(text: str, best: str) -> Family:
    """Each word is a block on another, `child:parent`; without a parent on genesis."""
    lab = Lab()
    entries: dict[str, BlockNode] = {}
    for number, word in enumerate(text.split()):
        name, _, parent = word.partition(":")
        lab.tip = entries.get(parent, lab.tree.genesis)
        header = lab.candidate(fees=0, time=START_TIME + number * 600 + 600, extra_nonce=number).header
        entries[name] = lab.tree.add(header)
    return Family(lab.tree, entries, best)


TREES = [
    # a - b - c, and x beside b
    ("a b:a c:b x:a", "c", {"a": 0, "b": 0, "c": 0, "x": 1}),
    # A branch of two keeps its lane.
    ("a b:a c:b d:c x:a y:x", "d", {"a": 0, "b": 0, "c": 0, "d": 0, "x": 1, "y": 1}),
    # Two branches from one block, and one from a branch.
    ("a b:a c:b d:c x:a y:a z:x", "d", {"a": 0, "b": 0, "c": 0, "d": 0, "x": 1, "y": 2, "z": 1}),
    # Above y, which lies beside c, z would seem to stand on it.
    ("a b:a c:b d:c x:a y:x z:c", "d", {"a": 0, "b": 0, "c": 0, "d": 0, "x": 1, "y": 1, "z": 2}),
    # Branches one above the other share a lane.
    ("a b:a c:b d:c e:d x:a z:d", "e", {"a": 0, "b": 0, "c": 0, "d": 0, "e": 0, "x": 1, "z": 1}),
    # Headers on top of the tip.
    ("a b:a x:b y:x", "b", {"a": 0, "b": 0, "x": 0, "y": 0}),
    # A longer branch than the best chain (headers alone) goes on above it.
    ("a b:a x:a y:x z:y", "b", {"a": 0, "b": 0, "x": 1, "y": 1, "z": 1}),
]


@pytest.mark.parametrize(("text", "best", "lanes"), TREES)
def test_branches_have_lanes_of_their_own(text: str, best: str, lanes: dict[str, int]) -> None:
    assert family(text, best).lanes() == lanes


def test_blocks_of_too_many_branches_are_left_out_with_what_stands_on_them() -> None:
    text = "a b:a " + " ".join(f"x{number}:a y{number}:x{number}" for number in range(LANES_MAX + 3))
    found = family(text, "b")
    drawing = found.drawn()
    assert len(drawing.nodes) == 2 + 2 * (LANES_MAX - 1)
    assert max(found.lanes().values()) == LANES_MAX - 1
    hashes = {box.hash for box in drawing.nodes}
    for name, entry in found.entries.items():
        if name.startswith("y") and entry.hash[::-1].hex() in hashes:
            assert entry.parent
            assert entry.parent.hash[::-1].hex() in hashes


def test_lines_of_branches_pass_behind_no_block() -> None:
    crossings = 0
    for text, best, _ in TREES:
        drawing = family(text, best).drawn()
        for y in (float(y) for edge in drawing.edges for y in re.findall(r" ([\d.]+)H", edge.path)):
            crossings += 1
            assert all(abs(box.y - y) > BOX_HEIGHT / 2 for box in drawing.nodes)
    assert crossings == 9


def test_no_two_boxes_lie_on_each_other() -> None:
    for text, best, _ in TREES:
        boxes = family(text, best).drawn().nodes
        assert len({(box.x, box.y) for box in boxes}) == len(boxes)


def test_a_reorganisation_is_told_by_what_left_and_came() -> None:
    entries = family("a b:a c:b x:a y:x z:y", "z").entries
    told = reorg_between(entries["c"], entries["z"])
    assert told
    assert (told.depth, told.fork, told.came_count, told.height) == (2, entries["a"], 3, 4)
    assert told.left == [entries[name].hash[::-1].hex() for name in "cb"]
    assert told.came == [entries[name].hash[::-1].hex() for name in "xyz"]
    assert reorg_between(entries["a"], entries["c"]) is None
    # Back to a block of the same branch, as invalidateblock does.
    back = reorg_between(entries["c"], entries["a"])
    assert back
    assert (back.depth, back.came_count) == (2, 0)


@pytest.mark.parametrize(
    ("coinbase", "name"),
    [
        (b"\x02\x70\x00\x08........\x08/node 1/", "node 1"),
        (b"\x03abc/slush/\xfa\xbemm", "slush"),
        (b"\x01/F2Pool.com:x1/\x00", "F2Pool.com:x1"),
        (b"no tag at all", None),
        (b"//", None),
        (b"/<script>/", None),
        (b"/ /", None),
        (b"/\xe2\x80\xae/", None),
        (b"/" + b"x" * 31 + b"/", None),
        (b"", None),
    ],
)
def test_a_miners_name_is_between_slashes(coinbase: bytes, name: str | None) -> None:
    assert formatting.miner_name(coinbase) == name


# the mempool by fee rate


def pool_of(*txs: tuple[int, int]) -> MempoolView:
    """A mempool of transactions of these fees and sizes."""
    entries = {number: SimpleNamespace(fee=fee, vsize=vsize) for number, (fee, vsize) in enumerate(txs)}
    fees, sizes = (sum(tx[side] for tx in txs) for side in (0, 1))
    return cast(MempoolView, SimpleNamespace(entries=entries, totals=MempoolTotals(len(txs), sizes, fees)))


@pytest.mark.parametrize(
    ("rates", "names"),
    [
        # Far apart: the usual bands, the empty ones between them too.
        ((1, 12, 60), ["50–75", "30–50", "20–30", "15–20", "10–15", "7–10", "5–7", "4–5", "3–4", "2–3", "1–2"]),
        # As on a devnet, close together: narrower ones.
        ((3, 3.2, 3.35), ["3.3–3.4", "3.2–3.3", "3.1–3.2", "3–3.1"]),
        ((1, 2, 3), ["3–3.5", "2.5–3", "2–2.5", "1.5–2", "1–1.5"]),
        ((3,), ["3–3.1"]),
        ((2_000,), ["1,000+"]),
        ((), []),
    ],
)
def test_bands_are_as_narrow_as_the_rates_are_close(rates: tuple[float, ...], names: list[str]) -> None:
    bands = fee_bands(pool_of(*((round(rate * 1_000), 1_000) for rate in rates)))
    assert [band.name for band in bands] == names
    assert sum(band.count for band in bands) == len(rates)
    assert sum(band.fees for band in bands) == round(sum(rates) * 1_000)


def test_the_next_block_takes_everything_where_that_fits() -> None:
    pool = pool_of((3_000, 1_000), (500, 250))
    assert next_block(pool, fee_bands(pool)) == NextBlock(2, 1_250, 3_500, 2.0, 3.2, False)
    assert next_block(pool_of(), []) is None


def test_the_next_block_of_a_full_mempool_is_the_best_paid_part() -> None:
    """Two blocks' worth: one and a half at 2 sat/vB, half a block at 60."""
    dear = [(60 * 10_000, 10_000)] * 50
    cheap = [(2 * 10_000, 10_000)] * 150
    pool = pool_of(*dear, *cheap)
    found = next_block(pool, fee_bands(pool))
    assert found
    assert (found.tx_count, found.is_estimate, found.low, found.high) == (100, True, 2, 75)
    assert found.vsize == BLOCK_VSIZE
    assert found.fees == 30_000_000 + 2 * (BLOCK_VSIZE - 500_000)
    assert found.fill == 1.0
