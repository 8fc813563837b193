"""Bars and lines in a box of 1,000 by 200 that is stretched to the room there is; labels stand beside it."""

from collections.abc import Sequence
from math import ceil, floor, log10

from chain.frozen import value

WIDTH, HEIGHT = 1000.0, 200.0
TICKS = 4
"""Lines across the box, at most one more."""
GAP = 0.25
"""Share of a bar's room that stays empty."""


@value
class Tick:
    """A line across, and its label's place."""

    y: float
    share: float
    """Share of the height, from the top, in percent."""
    amount: float


@value
class Bar:
    """One bar."""

    x: float
    y: float
    width: float
    height: float


@value
class Plot:
    """A plot, ready to draw; every field in the box's units."""

    bars: list[Bar]
    line: str
    """SVG's `d`, empty where there are bars."""
    area: str
    ticks: list[Tick]
    mark: float | None
    """Height of the line that marks the target."""


def draw_bars(amounts: Sequence[float], wish: float | None = None) -> Plot:
    """A bar for each amount, from 0 up."""
    top, ticks = _scale(max([*amounts, wish or 0.0]))
    room = WIDTH / max(1, len(amounts))
    bars = []
    for place, amount in enumerate(amounts):
        height = max(0.0, amount) / top * HEIGHT
        bars.append(Bar(place * room + room * GAP / 2, HEIGHT - height, room * (1 - GAP), height))
    return Plot(bars, "", "", ticks, None if wish is None else HEIGHT - wish / top * HEIGHT)


def draw_line(amounts: Sequence[float]) -> Plot:
    """A line through the amounts, evenly spaced."""
    top, ticks = _scale(max(amounts, default=1.0))
    room = WIDTH / max(1, len(amounts) - 1)
    points = [f"{place * room:.1f} {HEIGHT - amount / top * HEIGHT:.1f}" for place, amount in enumerate(amounts)]
    if len(points) == 1:
        points.append(f"{WIDTH:.1f} {points[0].split()[1]}")
    line = "M" + "L".join(points) if points else ""
    area = f"{line}L{WIDTH:.1f} {HEIGHT}L0 {HEIGHT}Z" if points else ""
    return Plot([], line, area, ticks, None)


def _scale(most: float) -> tuple[float, list[Tick]]:
    """The amount at the top of the box, and lines at round amounts below it."""
    if most <= 0:
        return 1.0, []
    rough = most / TICKS
    power = 10.0 ** floor(log10(rough))
    step = next(step for step in (power, 2 * power, 2.5 * power, 5 * power, 10 * power) if step >= rough)
    top = ceil(most / step - 1e-9) * step
    amounts = [number * step for number in range(round(top / step) + 1)]
    return top, [Tick(HEIGHT - amount / top * HEIGHT, 100 - amount / top * 100, amount) for amount in amounts]
