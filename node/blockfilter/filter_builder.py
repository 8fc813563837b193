"""The maker of block filters: a thread that works while the node has nothing better to do.

It keeps away from a chain that is being caught up with, and from blocks that come in quick
succession; otherwise it works one part of the time and rests four.
"""

import logging
from collections.abc import Callable

from chain.blocktree import BlockNode
from node.blockfilter.filter_index import FilterIndex, FiltersBroken
from node.core.view import NodeView
from node.interface.storage import StoreError
from node.runtime.runtime import Runtime

log = logging.getLogger("groat.filters")

LOOK_S = 1.0
"""Seconds between two looks at the tip: one that has not moved meanwhile is quiet."""
BEHIND_MAX = 2
"""Blocks by which the best known header may be ahead; more means that the chain is being caught up with."""
STALLED_S = 10.0
"""Seconds without a new block after which the node is not catching up, whatever headers it knows. With new
blocks all the time, so long without work is enough."""
SLICE_S = 0.02
"""Seconds that it works before it rests; one block is always made."""
REST = 4
"""Seconds that it rests for each second that it works."""
TOLD_BLOCKS = 1_000
"""Filters made at a stretch that are worth a line in the log."""


class FilterBuilder:
    """Keeps a `FilterIndex` level with the best chain."""

    def __init__(self, runtime: Runtime, index: FilterIndex, monotonic: Callable[[], float]) -> None:
        self._runtime = runtime
        self._index = index
        self._monotonic = monotonic
        self._made = 0
        self._tip: BlockNode | None = None
        """The tip at the last look."""
        self._moved = self._worked = 0.0
        """Times when the tip last changed, and when the last work ended."""

    def run(self) -> None:
        """Until the node stops, or there is nothing to be made for good. Raises NotReady, and StoreError
        where it is not the filters that cannot be read, but the blocks."""
        try:
            self._index.open(self._runtime.view)
        except StoreError as error:
            self._index.give_up(f"block filters are not available: {error}")
            self._say_why(str(error))
            return
        try:
            self._keep()
        except FiltersBroken as reason:
            self._say_why(str(reason))

    def _say_why(self, reason: str) -> None:
        if not self._runtime.over:  # what is closed under it then is no fault
            log.error("no more block filters are made: %s", reason)

    def _keep(self) -> None:
        self._tip = self._runtime.view.tip
        self._moved = self._worked = self._monotonic()
        while not self._runtime.pause(LOOK_S):  # no view is held meanwhile: old ones cost memory
            self._look(self._runtime.view, self._monotonic())

    def _look(self, view: NodeView, now: float) -> None:
        """Work if this is a good time for it."""
        quiet = view.tip is self._tip
        if not quiet:
            self._tip, self._moved = view.tip, now
        stalled = now - self._moved >= STALLED_S
        starved = now - self._worked >= STALLED_S
        is_catching_up = view.is_catching_up(BEHIND_MAX, self._runtime.now())
        if stalled or ((quiet or starved) and not is_catching_up):
            self._work(view)
            self._worked = self._monotonic()

    def _work(self, view: NodeView) -> None:
        """Make filters until there is one for every block, or the tip moves."""
        runtime, monotonic = self._runtime, self._monotonic
        while not self._index.is_level(view) and runtime.view.tip is view.tip:
            started = monotonic()
            while not self._index.is_level(view) and monotonic() - started < SLICE_S:
                self._index.make_next(view)
                self._made += 1
            if runtime.pause(REST * (monotonic() - started)):
                return
        if self._index.is_level(view) and self._made >= TOLD_BLOCKS:
            log.info("block filters: %d made, up to height %d", self._made, view.tip.height)
        if self._index.is_level(view):
            self._made = 0
