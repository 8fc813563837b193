"""The page of branches: the latest blocks of all branches, and the latest reorganisations."""

from chain.blocktree import BlockNode, fork_point
from chain.frozen import value
from chain.hashes import BlockHash, to_hex
from node.api.context import Call
from node.api.explorer.block import BlockStatus, standing
from node.api.explorer.draw.forktree import Drawing, TreeNode, draw_tree
from node.core.view import NodeView

HEIGHTS_SHOWN = 24
"""Rows of the drawing."""
AHEAD_SHOWN = 8
"""Rows above the tip, where headers or other branches are ahead of it."""
ROOTS_SEARCHED = 500
"""Blocks of the best chain below the drawing where branches that reach into it may begin."""
NODES_MAX = 400
"""Blocks off the best chain that are looked at; further ones are not drawn."""
LISTED_MAX = 50
"""Blocks of a reorganisation that are named."""


@value
class Branch:
    """Blocks that lead away from the best chain."""

    fork_height: int
    """Height of the last block that it shares with that chain."""
    tip: str
    tip_height: int
    time: int
    standing: BlockStatus

    @property
    def length(self) -> int:
        """Blocks of its own."""
        return self.tip_height - self.fork_height


@value
class ForksPage:
    """The branches."""

    drawing: Drawing
    branches: list[Branch]
    low: int
    """The lowest height that is drawn."""
    high: int
    older: int | None
    """The height that the page before this one ends with; None: there is nothing before."""
    newer: int | None
    hidden: int
    """Blocks in these heights that there was no room to draw."""
    reorgs: int
    """Since the node started."""
    deepest: int
    latest: list[tuple[float, "ReorgRow"]]
    """The last of them with their times, the newest first."""


@value
class ReorgRow:
    """A change of the tip: the blocks left behind, and those that came instead."""

    depth: int
    fork: BlockNode
    left: list[str]
    came: list[str]
    came_count: int
    height: int
    """Height of the new tip."""


def forks_page(call: Call, top: int | None) -> ForksPage:
    """The branches around the heights up to `top`; None: the latest."""
    view = call.view
    side = _side_blocks(view, view.tip.height if top is None else min(top, view.tip.height))
    reach = max((entry.height for entry in side), default=0)
    highest = max(view.tip.height, min(reach, view.tip.height + AHEAD_SHOWN)) if top is None else top
    low = max(0, highest - HEIGHTS_SHOWN + 1)
    shown = [entry for entry in side if low <= entry.height <= highest]
    best = [view.tip.ancestor(height) for height in range(low, min(view.tip.height, highest) + 1)]
    nodes = [TreeNode(entry, standing(view, entry)) for entry in (*best, *shown)]
    drawing = draw_tree(nodes, low, highest)
    counts = view.counts
    return ForksPage(
        drawing,
        _branches(view, side, low, highest),
        low,
        highest,
        low - 1 if low else None,
        None if top is None else (highest + HEIGHTS_SHOWN if highest + HEIGHTS_SHOWN < view.tip.height else -1),
        len(nodes) - len(drawing.nodes),
        counts.reorgs,
        counts.reorg_depth_most,
        [(one.time, reorg) for one in counts.latest_reorgs if (reorg := reorg_between(one.old, one.new))],
    )


def _side_blocks(view: NodeView, top: int) -> list[BlockNode]:
    """Blocks off the best chain, of branches that begin not too far below `top`; parents first."""
    found: list[BlockNode] = []
    base = max(0, top - HEIGHTS_SHOWN - ROOTS_SEARCHED)
    entry: BlockNode | None = view.tip.ancestor(top)
    child_of_best = view.entry_at(top + 1)
    # The newest branches first: what is over NODES_MAX is old.
    while entry is not None and entry.height >= base and len(found) < NODES_MAX:
        child = entry.last_child
        while child is not None and len(found) < NODES_MAX:
            if child is not child_of_best:
                found += _branch(child, NODES_MAX - len(found))
            child = child.previous_sibling
        child_of_best, entry = entry, entry.parent
    return found


def _branch(root: BlockNode, most: int) -> list[BlockNode]:
    """`root` and what stands on it, `most` blocks at most, parents first."""
    found = [root]
    for entry in found:
        child = entry.last_child
        while child is not None and len(found) < most:
            found.append(child)
            child = child.previous_sibling
        if len(found) >= most:
            break
    return found


def _branches(view: NodeView, side: list[BlockNode], low: int, high: int) -> list[Branch]:
    """Branches that end between these heights, by their last block, the newest first."""
    parents = {entry.parent.hash for entry in side if entry.parent}
    forks: dict[BlockHash, int] = {}
    """The height of the best chain's block that each stands on; parents come first."""
    branches = []
    for entry in side:
        assert entry.parent is not None
        fork = forks[entry.hash] = forks.get(entry.parent.hash, entry.parent.height)
        if entry.hash not in parents and low <= entry.height <= high:
            branches.append(Branch(fork, to_hex(entry.hash), entry.height, entry.time, standing(view, entry)))
    return sorted(branches, key=lambda branch: -branch.tip_height)


def reorg_between(old: BlockNode, new: BlockNode) -> ReorgRow | None:
    """The reorganisation from one tip to another; None where no block was left."""
    fork = fork_point(old, new)
    if fork is old:
        return None
    # By their heights, however far it is: only what is named is walked to.
    left = range(old.height, max(fork.height, old.height - LISTED_MAX), -1)
    came = range(fork.height + 1, min(new.height, fork.height + LISTED_MAX) + 1)
    return ReorgRow(
        old.height - fork.height,
        fork,
        [to_hex(old.ancestor(height).hash) for height in left],
        [to_hex(new.ancestor(height).hash) for height in came],
        new.height - fork.height,
        new.height,
    )
