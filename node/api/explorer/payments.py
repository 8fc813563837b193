"""The newest blocks that have payments, however far below the tip they are.

Looking into a block costs a read, so one page looks into a bounded number of them. What was seen is remembered:
the next page goes on below it, and from a new tip down only to what is known.
"""

from chain.block import HEADER_SIZE
from chain.codec import read_varint
from chain.tree import Entry, fork_point
from chain.value import value
from node.api.lookup import raw_block
from node.view import View

BLOCKS_PER_PAGE = 1_000
"""Blocks that one page looks into, some 20 ms; where payments are further down, the next page goes on there."""


@value
class Searched:
    """Blocks of one branch that were looked into, from `top` down."""

    top: Entry
    found: tuple[Entry, ...]
    """Those with payments, the newest first."""
    rest: Entry | None
    """The first that was not looked into; None below genesis, and where a body is missing."""

    @property
    def count(self) -> int:
        """Blocks that were looked into."""
        return self.top.height - (self.rest.height if self.rest else -1)


class PaymentBlocks:
    """Blocks with more than their coinbase. For any thread: what is remembered is replaced as a whole."""

    def __init__(self, enough: int) -> None:
        """No more than `enough` blocks are looked for."""
        self._enough = enough
        self._known: Searched | None = None

    def newest(self, view: View) -> Searched:
        """What is known once up to BLOCKS_PER_PAGE further blocks have been looked into."""
        known = _left_of(self._known, view)
        above = self._search(view, view.tip, known.top if known else None, (), BLOCKS_PER_PAGE)
        if known is not None and above.rest is known.top:
            above = self._joined(above, known)
            above = self._search(view, above.rest, None, above.found, BLOCKS_PER_PAGE)
        self._known = above
        return above

    def _search(
        self, view: View, at: Entry | None, stop: Entry | None, found: tuple[Entry, ...], most: int
    ) -> Searched:
        """Look into up to `most` blocks from `at` down to above `stop`, as long as more are wanted."""
        for _ in range(most):
            if at is None or at is stop or len(found) == self._enough:
                break
            raw = raw_block(view, at)
            if raw is None:
                at = None
                break
            if read_varint(raw, HEADER_SIZE)[0] > 1:
                found += (at,)
            at = at.parent
        return Searched(view.tip, found, at)

    def _joined(self, above: Searched, known: Searched) -> Searched:
        """Both together; of more than enough the lowest are to be looked for again when they are wanted."""
        found = above.found + known.found
        if len(found) <= self._enough:
            return Searched(above.top, found, known.rest)
        kept = found[: self._enough]
        return Searched(above.top, kept, kept[-1].parent)


def _left_of(known: Searched | None, view: View) -> Searched | None:
    """The part of it that is on the best chain; None if nothing is."""
    if known is None or view.in_best_chain(known.top):
        return known
    fork = fork_point(known.top, view.tip)
    if known.rest is not None and fork.height <= known.rest.height:
        return None
    return Searched(fork, tuple(entry for entry in known.found if entry.height <= fork.height), known.rest)
