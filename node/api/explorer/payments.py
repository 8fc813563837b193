"""The newest blocks that have payments, however far below the tip they are.

The sizes of undo records tell which blocks spend coins, without reading the blocks. One page looks at a bounded
number of them, and what was seen is remembered: the next page goes on below it, and from a new tip down only to
what is known.
"""

from chain.blocktree import BlockNode, fork_point
from chain.frozen import value
from node.core.view import NodeView

BLOCKS_PER_PAGE = 10_000
"""Blocks that one page looks at, in some 20 ms; where payments are further down, the next page goes on there."""


@value
class Searched:
    """Blocks of one branch that were looked at, from `top` down."""

    top: BlockNode
    found: tuple[BlockNode, ...]
    """Payments found, the newest first."""
    rest: BlockNode | None
    """The first that was not looked at; None below genesis."""

    @property
    def count(self) -> int:
        """Blocks that were looked at."""
        return self.top.height - (self.rest.height if self.rest else -1)


class PaymentBlocks:
    """Blocks with more than their coinbase. For any thread: what is remembered is replaced as a whole."""

    def __init__(self, enough: int, most: int = BLOCKS_PER_PAGE) -> None:
        """`enough` is the most blocks that are looked for, among up to `most` at a time."""
        self._enough = enough
        self._most = most
        self._known: Searched | None = None

    def newest(self, view: NodeView) -> Searched:
        """The payments known once up to `most` further blocks have been looked at."""
        known = _left_of(self._known, view)
        searched = self._search(view, view.tip, known.top if known else None, ())
        if known is not None and searched.rest is known.top:
            searched = self._joined(searched, known)
            searched = self._search(view, searched.rest, None, searched.found)
        self._known = searched
        return searched

    def _search(
        self, view: NodeView, at: BlockNode | None, stop: BlockNode | None, found: tuple[BlockNode, ...]
    ) -> Searched:
        """Look at blocks from `at` down to above `stop`, as long as more are wanted."""
        if at is None or at is stop or len(found) >= self._enough:
            return Searched(view.tip, found, at)
        lowest = max(at.height - self._most + 1, stop.height + 1 if stop else 0)
        for height, block_hash, size in view.reader.undo_sizes(at.height):
            if height < lowest:
                break
            while at.height > height and at.parent is not None:
                at = at.parent
            if size and at.hash == block_hash and at not in found[-1:]:
                found += (at,)
                if len(found) == self._enough:
                    return Searched(view.tip, found, at.parent)
        return Searched(view.tip, found, at.ancestor(lowest).parent)

    def _joined(self, above: Searched, known: Searched) -> Searched:
        """Two searched ranges as one; of more than enough the lowest are looked for again once they are wanted."""
        found = above.found + known.found
        if len(found) <= self._enough:
            return Searched(above.top, found, known.rest)
        kept = found[: self._enough]
        return Searched(above.top, kept, kept[-1].parent)


def _left_of(known: Searched | None, view: NodeView) -> Searched | None:
    """The part of it that is on the best chain; None if nothing is."""
    if known is None or view.in_best_chain(known.top):
        return known
    fork = fork_point(known.top, view.tip)
    if known.rest is not None and fork.height <= known.rest.height:
        return None
    return Searched(fork, tuple(entry for entry in known.found if entry.height <= fork.height), known.rest)
