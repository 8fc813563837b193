"""The basic filters of the best chain's blocks: what is kept, what is still to be made, and making it.

A filter depends on its block, its header on those of all blocks before: so filters are made along
the best chain from genesis on, and those of a branch that was left stay. Whoever makes one writes
it under its block's hash; two threads that make the same one do no harm.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from chain.block import decode_block
from chain.blocktree import BlockNode, fork_point
from chain.frozen import value
from chain.hashes import to_hex
from node.blockfilter.gcs import NO_HEADER, basic_filter, filter_header
from node.core.view import NodeView
from node.interface.storage import StoreError
from node.storage.filters import FilterRows

NEAR_BLOCKS = 16
"""Filters that a question may make itself: with so few missing, it gets its answer at once, and
after a new block nobody waits for the keeper."""


class FiltersBehind(Exception):
    """The filters have not come as far as what was asked for, but will."""


class NoFilter(Exception):
    """A filter that does not exist, and waiting does not help; says why."""


class FiltersBroken(Exception):
    """The filters cannot be read or written; says why. Those that are damaged are made anew at the next start."""


@value
class BlockFilter:
    """A block's basic filter (BIP158)."""

    encoded: bytes
    header: bytes
    """32 bytes, wire order (BIP157)."""


class FilterIndex:
    """The filters of one node. From any thread, once it is open."""

    def __init__(self, open_rows: Callable[[], FilterRows]) -> None:
        """`open_rows` is called by `open`; it may raise StoreError."""
        self._open_rows = open_rows
        self._rows: FilterRows | None = None
        self._reached: BlockNode | None = None
        """The last block made: all before it have filters too."""
        self._fault: str | None = None

    def open(self, view: NodeView) -> None:
        """Open the rows and find out how far they go. Raises StoreError."""
        rows = self._open_rows()
        reached = rows.reached()
        self._reached = view.get(reached[1]) if reached else None
        self._rows = rows

    def close(self) -> None:
        """Give up the rows. Nobody may be asking any more."""
        if self._rows:
            self._rows.close()

    @property
    def fault(self) -> str | None:
        """The reason that filters are off, if they are."""
        return self._fault

    def give_up(self, why: str) -> None:
        """Make no more filters, and give everybody the reason."""
        self._fault = why

    def height(self, view: NodeView) -> int:
        """The height up to which the best chain has filters; -1 before genesis has its."""
        last = self._last(view)
        return last.height if last else -1

    def is_level(self, view: NodeView) -> bool:
        """True if every block of the best chain has its filter."""
        return self._last(view) is view.tip

    def _last(self, view: NodeView) -> BlockNode | None:
        """The last block of the best chain that has a filter."""
        return fork_point(self._reached, view.tip) if self._reached else None

    def of(self, view: NodeView, entry: BlockNode) -> BlockFilter:
        """The filter of a block of any branch. Raises FiltersBehind, FiltersBroken, NoFilter, and Damaged
        where a block for it is."""
        in_best_chain = view.in_best_chain(entry)
        rows = self._prepare(view, entry.height if in_best_chain else -1)
        with self._failing():
            header = rows.header(entry.height, entry.hash)
            encoded = rows.filter(entry.height, entry.hash)
        if encoded is not None and header is not None:
            return BlockFilter(encoded, header)
        if in_best_chain:
            raise self._lost(f"the filter of {_name(entry)} is lost")
        raise NoFilter("the block was not in the best chain when filters were made")

    def headers(self, view: NodeView, start: int, count: int) -> Sequence[bytes]:
        """The filter headers of the best chain's blocks from a height on, no more than `count`; fewer
        only where the chain ends. Raises as `of`."""
        stop = min(start + count, view.tip.height + 1)
        rows = self._prepare(view, stop - 1)
        with self._failing():
            known = rows.headers(start, stop)
        found = []
        entry: BlockNode | None = view.tip.ancestor(stop - 1)
        while entry is not None and entry.height >= start:
            if entry.hash not in known:
                raise self._lost(f"the filter header of {_name(entry)} is lost")
            found.append(known[entry.hash])
            entry = entry.parent
        return found[::-1]

    def _prepare(self, view: NodeView, height: int) -> FilterRows:
        """The rows, as soon as they reach this height of the best chain; a few missing ones are made."""
        if self._fault:
            raise FiltersBroken(self._fault)
        missing = height - self.height(view)
        if self._rows is None or missing > NEAR_BLOCKS:
            raise FiltersBehind
        while self.height(view) < height:  # the keeper may set it back by one while it writes the same
            self.make_next(view)
        return self._rows

    def make_next(self, view: NodeView) -> None:
        """Make the filter of the best chain's next block that has none. Raises FiltersBroken for good, and
        Damaged where the block is."""
        if self._rows is None or self.is_level(view):
            return
        last = self._last(view)
        entry = view.tip.ancestor(last.height + 1 if last else 0)
        with self._failing():
            is_made = self._rows.header(entry.height, entry.hash) is not None
        if not is_made:
            self._make(view, entry, self._rows)
        self._reached = entry

    def _make(self, view: NodeView, entry: BlockNode, rows: FilterRows) -> None:
        previous = NO_HEADER
        if entry.parent is not None:
            with self._failing():
                before = rows.header(entry.parent.height, entry.parent.hash)
            if before is None:
                raise self._lost(f"the filter header of {_name(entry.parent)} is lost")
            previous = before
        raw, spent = view.raw_block(entry), view.reader.undo(entry.height, entry.hash)
        assert raw is not None, "it is in the best chain"
        assert spent is not None
        encoded = basic_filter(decode_block(raw, view.tx_spending), spent)
        with self._failing():
            rows.put(entry.height, entry.hash, encoded, filter_header(encoded, previous))

    def _lost(self, what: str) -> FiltersBroken:
        """Condemn the rows: one that was written cannot be read. Returns the error to raise."""
        assert self._rows
        self._rows.condemn(what)
        return self._failed(what)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Guard work on the rows: a failure is theirs alone, the node goes on without them."""
        try:
            yield
        except StoreError as error:
            raise self._failed(error) from error

    def _failed(self, why: object) -> FiltersBroken:
        reason = f"block filters are not available: {why}"
        self.give_up(reason)
        return FiltersBroken(reason)


def _name(entry: BlockNode) -> str:
    return f"block {to_hex(entry.hash)} at height {entry.height}"
