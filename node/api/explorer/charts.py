"""The page of charts: time between blocks, difficulty and hash rate over the latest blocks."""

from collections.abc import Sequence

from chain.blocktree import BlockNode
from chain.frozen import value
from node.api.context import Call
from node.api.explorer.draw.plot import Plot, draw_bars, draw_line
from node.api.query.esplora_json import difficulty, hash_rate

RANGES = (50, 200, 1000)
"""Numbers of latest blocks to choose from."""
POINTS = 50
"""A chart's bars or points at most: of more blocks each stands for several in a row."""
RATE_BLOCKS = 20
"""Blocks over which the hash rate at a point is measured at least."""


@value
class Point:
    """A point of a chart: one or more blocks in a row."""

    first: int
    """Heights."""
    last: int
    interval_s: float
    """Mean seconds from each one's parent to it, by the headers."""
    difficulty: float
    """Difficulty of the last block."""
    hash_rate: float
    """Hashes a second."""

    @property
    def name(self) -> str:
        """Heights of the bar's blocks, for people."""
        return f"{self.first:,}" if self.first == self.last else f"{self.first:,}–{self.last:,}"


@value
class ChartsPage:
    """The charts."""

    count: int
    """Blocks asked for, one of RANGES."""
    ranges: tuple[int, ...]
    points: list[Point]
    spacing_s: int | None
    """Target between two blocks."""
    mean_s: float
    intervals: Plot
    difficulties: Plot
    rates: Plot


def charts_page(call: Call, count: int) -> ChartsPage:
    """The charts of the latest `count` blocks; genesis, which is years older than the next, is left out."""
    view = call.view
    entries = _latest(view.tip, count)
    points = _points(entries)
    spacing = view.params.target_spacing_s
    return ChartsPage(
        count,
        RANGES,
        points,
        spacing,
        sum(point.interval_s * (point.last - point.first + 1) for point in points) / max(1, len(entries)),
        draw_bars([max(0.0, point.interval_s) for point in points], spacing),
        draw_line([point.difficulty for point in points]),
        draw_line([point.hash_rate for point in points]),
    )


def _latest(tip: BlockNode, count: int) -> list[BlockNode]:
    """The latest blocks from the lowest on; each has a parent that is not genesis."""
    found: list[BlockNode] = []
    entry = tip
    while len(found) < count and entry.parent is not None and entry.height > 1:
        found.append(entry)
        entry = entry.parent
    return found[::-1]


def _points(entries: Sequence[BlockNode]) -> list[Point]:
    step = -(-len(entries) // POINTS) or 1
    # Whole groups at the tip's end; what is left over is the first one.
    starts = range(-(-len(entries) % step), len(entries), step)
    points = []
    for start in starts:
        group = entries[max(0, start) : start + step]
        first, last = group[0], group[-1]
        assert first.parent is not None
        points.append(
            Point(
                first.height,
                last.height,
                (last.time - first.parent.time) / len(group),
                difficulty(last.header),
                hash_rate(last, min(max(len(group), RATE_BLOCKS), last.height - 1)),
            )
        )
    return points
