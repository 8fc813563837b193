"""A transaction as a flow: a ribbon for each input and output, as broad as its amount."""

from collections.abc import Sequence

from chain.frozen import value

WIDTH = 200
"""Width of the drawing; it is stretched to the room there is."""
ROW = 88
"""Height of an input or output in the lists beside it, which the drawing has to match."""
BROAD = 56.0
"""Width of all that flows, where it comes together."""
BROAD_ONE = 36.0
"""Width of a ribbon at its end, at most."""
THIN = 2.0
"""Width of a ribbon that carries next to nothing."""
MIDDLE = WIDTH / 2


@value
class Ribbon:
    """A ribbon between an input or output and the transaction."""

    path: str
    """SVG's `d`."""
    is_fee: bool


@value
class Flow:
    """The whole drawing of a transaction's flow."""

    height: float
    left: list[Ribbon]
    right: list[Ribbon]


def draw_flow(inputs: Sequence[int], outputs: Sequence[int], fee: int) -> Flow:
    """The ribbons of these amounts in satoshis. The fee goes out below the outputs, if there is one."""
    leaving = [*outputs, fee] if fee else list(outputs)
    rows = max(len(inputs), len(leaving), 1)
    height = float(rows * ROW)
    total = max(sum(inputs), sum(leaving), 1)
    left = _ribbons(list(inputs), total, height, is_left=True)
    right = _ribbons(leaving, total, height, is_left=False)
    if fee:
        right[-1] = Ribbon(right[-1].path, True)
    return Flow(height, left, right)


def _ribbons(amounts: Sequence[int], total: int, height: float, *, is_left: bool) -> list[Ribbon]:
    """Ribbons from rows at the edge to the middle, where they lie on each other."""
    broad = [max(THIN, amount / total * BROAD) for amount in amounts]
    ends = [min(BROAD_ONE, breadth) for breadth in broad]
    top = (height - sum(broad)) / 2
    offset = (height - len(amounts) * ROW) / 2
    ribbons = []
    for row, (breadth, end) in enumerate(zip(broad, ends, strict=True)):
        centre = offset + row * ROW + ROW / 2
        edge, bend = (0.0, MIDDLE / 2) if is_left else (float(WIDTH), WIDTH - MIDDLE / 2)
        path = (
            f"M{edge:g} {centre - end / 2:.1f}"
            f"C{bend:g} {centre - end / 2:.1f} {bend:g} {top:.1f} {MIDDLE:g} {top:.1f}"
            f"L{MIDDLE:g} {top + breadth:.1f}"
            f"C{bend:g} {top + breadth:.1f} {bend:g} {centre + end / 2:.1f} {edge:g} {centre + end / 2:.1f}Z"
        )
        ribbons.append(Ribbon(path, False))
        top += breadth
    return ribbons
