"""The basic filters of the best chain's blocks: what is kept, what is still to be made, and making it.

A filter depends on its block, its header on those of all blocks before: so filters are made along
the best chain from genesis on, and those of a branch that was left stay. Whoever makes one writes
it under its block's hash; two threads that make the same one do no harm.
"""

from collections.abc import Callable, Sequence

from chain.block import decode_block
from chain.hashes import to_hex
from chain.tree import Entry
from chain.value import value
from node.filters.gcs import NO_HEADER, basic_filter, filter_header
from node.ports import StoreError
from node.store.filters import FilterRows
from node.view import View

NEAR_BLOCKS = 16
"""Filters that a question may make itself: with so few missing, it gets its answer at once, and
after a new block nobody waits for the keeper."""


class FiltersBehind(Exception):
    """The filters have not come as far as what was asked for, but will."""


class NoFilter(Exception):
    """There is no such filter, and waiting does not help; says why."""


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
        self._reached: Entry | None = None
        """The last block made: all before it have filters too."""
        self._fault: str | None = None

    def open(self, view: View) -> None:
        """Open the rows and find out how far they go. Raises StoreError."""
        rows = self._open_rows()
        reached = rows.reached()
        self._reached = view.get(reached[1]) if reached else None
        self._rows = rows

    def close(self) -> None:
        """Give up the rows. Nobody may be asking any more."""
        if self._rows:
            self._rows.close()

    def give_up(self, why: str) -> None:
        """Make no more filters, and tell everybody why there are none."""
        self._fault = why

    # --- how far -------------------------------------------------------------------------------

    def height(self, view: View) -> int:
        """The height up to which the best chain has filters; -1 before genesis has its."""
        last = self._last(view)
        return last.height if last else -1

    def is_level(self, view: View) -> bool:
        """True if every block of the best chain has its filter."""
        return self._last(view) is view.tip

    def _last(self, view: View) -> Entry | None:
        """The last block of the best chain that has a filter."""
        last = self._reached
        while last is not None and not view.in_best_chain(last):
            last = last.parent
        return last

    # --- what there is -------------------------------------------------------------------------

    def of(self, view: View, entry: Entry) -> BlockFilter:
        """The filter of a block of any branch. Raises FiltersBehind, NoFilter."""
        in_best_chain = view.in_best_chain(entry)
        rows = self._prepare(view, entry.height if in_best_chain else -1)
        try:
            header = rows.header(entry.height, entry.hash)
            encoded = rows.filter(entry.height, entry.hash)
        except StoreError as error:
            raise self._failed(error) from error
        if encoded is not None and header is not None:
            return BlockFilter(encoded, header)
        if in_best_chain:
            raise self._lost(f"the filter of {_name(entry)} is lost")
        raise NoFilter("the block was not in the best chain when filters were made")

    def headers(self, view: View, start: int, count: int) -> Sequence[bytes]:
        """The filter headers of the best chain's blocks from a height on, no more than `count`; fewer
        only where the chain ends. Raises FiltersBehind, NoFilter."""
        stop = min(start + count, view.tip.height + 1)
        rows = self._prepare(view, stop - 1)
        try:
            known = rows.headers(start, stop)
        except StoreError as error:
            raise self._failed(error) from error
        found = []
        entry: Entry | None = view.tip.ancestor(stop - 1)
        while entry is not None and entry.height >= start:
            if entry.hash not in known:
                raise self._lost(f"the filter header of {_name(entry)} is lost")
            found.append(known[entry.hash])
            entry = entry.parent
        return found[::-1]

    def _prepare(self, view: View, height: int) -> FilterRows:
        """The rows, as soon as they reach this height of the best chain; a few missing ones are made."""
        if self._fault:
            raise NoFilter(self._fault)
        missing = height - self.height(view)
        if self._rows is None or missing > NEAR_BLOCKS:
            raise FiltersBehind
        while self.height(view) < height:  # the keeper may set it back by one while it writes the same
            self.make_next(view)
        return self._rows

    # --- making them ---------------------------------------------------------------------------

    def make_next(self, view: View) -> None:
        """Make the filter of the best chain's next block that has none. Raises NoFilter for good."""
        if self._rows is None or self.is_level(view):
            return
        last = self._last(view)
        entry = view.tip.ancestor(last.height + 1 if last else 0)
        try:
            if self._rows.header(entry.height, entry.hash) is None:
                self._make(view, entry, self._rows)
        except StoreError as error:
            raise self._failed(error) from error
        self._reached = entry

    def _make(self, view: View, entry: Entry, rows: FilterRows) -> None:
        previous = NO_HEADER
        if entry.parent is not None:
            before = rows.header(entry.parent.height, entry.parent.hash)
            if before is None:
                raise self._lost(f"the filter header of {_name(entry.parent)} is lost")
            previous = before
        raw, spent = view.raw_block(entry), view.reader.undo(entry.height, entry.hash)
        if raw is None or spent is None:
            raise self._failed(f"{_name(entry)} is lost or damaged: start the node again to have it repaired")
        encoded = basic_filter(decode_block(raw, view.tx_spending), spent)
        rows.put(entry.height, entry.hash, encoded, filter_header(encoded, previous))

    def _lost(self, what: str) -> NoFilter:
        """Of a row that was written."""
        assert self._rows
        self._rows.condemn(what)
        return self._failed(what)

    def _failed(self, why: object) -> NoFilter:
        reason = f"block filters are not available: {why}"
        self.give_up(reason)
        return NoFilter(reason)


def _name(entry: Entry) -> str:
    return f"block {to_hex(entry.hash)} at height {entry.height}"
