"""The tree of blocks as a drawing: a row for each height, the newest on top, a lane for each branch."""

from chain.blocktree import BlockNode
from chain.frozen import value
from chain.hashes import to_hex

ROW, LANE = 50, 148
"""Distance of rows and of lanes, in CSS pixels: the drawing is not stretched."""
BOX_WIDTH, BOX_HEIGHT = 128, 34
BEND = 8
"""Radius where the line of a branch turns: half the gap between two rows of blocks."""
LEFT = 88
"""Room for the heights."""
LANES_MAX = 8
"""Branches side by side; blocks of further ones are not drawn, and are counted."""


@value
class TreeNode:
    """A block to be drawn."""

    entry: BlockNode
    standing: str


@value
class Box:
    """A block in its place."""

    hash: str
    height: int
    time: int
    standing: str
    x: float
    y: float
    is_tip: bool
    """Nothing that is drawn stands on it."""


@value
class Edge:
    """A line from a block to its parent, where both are drawn; or down out of the picture."""

    path: str
    standing: str


@value
class Row:
    """A height's label."""

    height: int
    y: float


@value
class Drawing:
    """The whole drawing of a tree of blocks."""

    width: float
    height: float
    nodes: list[Box]
    edges: list[Edge]
    rows: list[Row]


def draw_tree(nodes: list[TreeNode], low: int, high: int) -> Drawing:
    """Place the blocks, which come parents before children within a branch, the best chain first."""
    lanes = _lanes(nodes)
    placed = [node for node in nodes if node.entry.hash in lanes]
    parents = {node.entry.parent.hash for node in placed if node.entry.parent}
    width = LEFT + (max(lanes.values(), default=0) + 1) * LANE
    boxes, edges = [], []
    for node in placed:
        entry = node.entry
        x, y = _place(lanes[entry.hash], entry.height, high)
        boxes.append(Box(to_hex(entry.hash), entry.height, entry.time, node.standing, x, y, entry.hash not in parents))
        if entry.parent is not None:
            edges.append(Edge(_edge(entry, lanes, high), node.standing))
    rows = [Row(height, (high - height) * ROW + ROW / 2) for height in range(high, low - 1, -1)]
    return Drawing(width, (high - low + 1) * ROW, boxes, edges, rows)


def _lanes(nodes: list[TreeNode]) -> dict[bytes, int]:
    """The lane of each block: 0 for the best chain, for other branches the first that is free."""
    lanes: dict[bytes, int] = {}
    taken: list[set[int]] = [set() for _ in range(LANES_MAX)]
    """Heights by lane."""
    for run in _runs(nodes):
        root = run[0].entry
        parent = root.parent.hash if root.parent else b""
        # Free beside the parent too: a block right above another would seem to stand on it.
        needed = {root.height - 1, *(node.entry.height for node in run)}
        least = 0 if run[0].standing == "best" else lanes.get(parent, 0) + 1
        lane = next((lane for lane in range(least, LANES_MAX) if not taken[lane] & needed), None)
        if lane is None or (lane and root.height > nodes[0].entry.height and parent not in lanes):
            continue  # no room, or what it stands on found none
        lanes.update((node.entry.hash, lane) for node in run)
        taken[lane] |= needed
    return lanes


def _runs(nodes: list[TreeNode]) -> list[list[TreeNode]]:
    """The blocks in straight lines: each goes on with the first block that stands on its last one.
    The best chain first, the others as they begin, so that what a run stands on comes before it."""
    runs: dict[bytes, list[TreeNode]] = {}
    """Runs of blocks, by the hash of their last one."""
    tip = max((node.entry.height for node in nodes if node.standing == "best"), default=-1)
    found = []
    for node in nodes:
        parent = node.entry.parent.hash if node.entry.parent else b""
        run = runs.get(parent)
        leaves_best = run is not None and run[-1].standing == "best" and node.standing != "best"
        # What comes on top of the tip goes on where the best chain may.
        if run is None or (leaves_best and node.entry.height <= tip):
            run = []
            found.append(run)
        else:
            del runs[parent]
        run.append(node)
        runs[node.entry.hash] = run
    return sorted(found, key=lambda run: (run[0].standing != "best", run[0].entry.height))


def _place(lane: int, height: int, high: int) -> tuple[float, float]:
    """The middle of a block."""
    return LEFT + lane * LANE + BOX_WIDTH / 2, (high - height) * ROW + ROW / 2


def _edge(entry: BlockNode, lanes: dict[bytes, int], high: int) -> str:
    assert entry.parent is not None
    x, y = _place(lanes[entry.hash], entry.height, high)
    # Below the picture the line goes straight on.
    lane = lanes.get(entry.parent.hash, lanes[entry.hash])
    to_x, to_y = _place(lane, entry.height - 1, high)
    if to_x == x:
        return f"M{x:g} {y:g}V{to_y:g}"
    # Across in the gap between the rows, so that it passes behind no other block, and down into its parent.
    gap_y, turn = to_y - ROW / 2, BEND if x > to_x else -BEND
    across = f"Q{x:g} {gap_y:g} {x - turn:g} {gap_y:g}H{to_x + turn:g}Q{to_x:g} {gap_y:g} {to_x:g} {gap_y + BEND:g}"
    return f"M{x:g} {y:g}V{gap_y - BEND:g}{across}V{to_y:g}"
