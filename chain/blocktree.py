"""The tree of headers: where blocks stand, how much work is behind them, how to get across.

Holds facts, decides nothing: `connect.py` says which header may enter, the node's chainstate
which branch to follow.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Final

from chain.block import Header, read_header
from chain.hashes import BlockHash
from chain.params import GENESIS, Params
from chain.target import work_from_bits

MEDIAN_SPAN = 11
"""Blocks whose median time the next one has to exceed."""
LOCATOR_DENSE = 10
"""Hashes of a locator before its steps start to double."""


class Entry:
    """A header in its place. Fixed at construction, but for the last six: elder to sequence.

    There is one for every block for as long as the node runs, so it keeps the 80 bytes and no
    more of their fields than what comes later asks for: some 500 bytes in all.
    """

    __slots__ = (
        "anchor",
        "chainwork",
        "elder",
        "has_body",
        "hash",
        "height",
        "idle_s",
        "invalid",
        "max_time",
        "median_time",
        "parent",
        "raw",
        "ready",
        "sequence",
        "skip",
        "time",
        "youngest",
    )

    def __init__(self, header: Header, parent: "Entry | None", params: Params) -> None:
        self.raw: Final = header.raw
        self.hash: Final = header.hash
        self.time: Final = header.time
        self.parent: Final = parent
        self.height: Final[int] = parent.height + 1 if parent else 0
        self.chainwork: Final[int] = (parent.chainwork if parent else 0) + work_from_bits(header.bits)
        """Expected hashes for all blocks from genesis to this one, both counted."""
        self.skip: Final[Entry | None] = parent.ancestor(_skip_height(self.height)) if parent else None
        self.median_time: Final[int] = _median_time(header.time, parent)
        """Median time past: of this block and the ten before; a later block's time must be above it."""
        self.max_time: Final[int] = max(parent.max_time, header.time) if parent else header.time
        """The latest time of this block and all before."""
        self.anchor: Final[Entry | None] = self._find_anchor(params)
        """This branch's block where the difficulty's schedule starts; None below it."""
        self.idle_s: Final[int] = self._sum_idle(params)
        """Seconds since the anchor that do not count (see Asert.gap_cap_s)."""
        self.elder: Entry | None = parent.youngest if parent else None
        """The parent's child that came before this one."""
        self.youngest: Entry | None = None
        """The last of this block's children to come."""
        self.has_body = parent is None
        """The body is stored."""
        self.ready = parent is None
        """The bodies of this block and of all before it are stored."""
        self.invalid = False
        """It, or one before it, breaks a rule or was ruled out by the operator."""
        self.sequence = 0
        """Order in which bodies became usable: the first seen of equal work is followed."""

    @property
    def header(self) -> Header:
        """The header, decoded anew each time."""
        return read_header(self.raw, self.hash)

    @property
    def children(self) -> "list[Entry]":
        """The blocks that stand directly on this one, in the order in which they came."""
        found, child = [], self.youngest
        while child is not None:
            found.append(child)
            child = child.elder
        return found[::-1]

    def __repr__(self) -> str:
        return f"<{self.height} {self.hash[::-1].hex()[:16]}>"

    def _find_anchor(self, params: Params) -> "Entry | None":
        if params.asert is None:
            return None
        if self.height == params.asert.anchor_height:
            return self
        return self.parent.anchor if self.parent else None

    def _sum_idle(self, params: Params) -> int:
        if self.anchor is None or self.parent is None or params.asert is None or params.asert.gap_cap_s is None:
            return 0
        gap = self.max_time - self.parent.max_time
        return self.parent.idle_s + max(0, gap - params.asert.gap_cap_s)

    @property
    def elapsed_s(self) -> int:
        """Seconds of its schedule that the branch has used: what `next_bits` takes."""
        if self.anchor is None or self.anchor.parent is None:
            return 0
        return self.time - self.idle_s - self.anchor.parent.time

    def ancestor(self, height: int) -> "Entry":
        """The block of this branch at `height`, in logarithmic time. 0 <= height <= own height."""
        entry = self
        while entry.height > height:
            skip, parent = entry.skip, entry.parent
            assert skip is not None
            assert parent is not None
            if skip.height == height:
                return skip
            # Not the skip where the parent's own skip leads further without overshooting (Core's GetAncestor).
            parent_goes_further = parent.skip is not None and height <= parent.skip.height < skip.height - 2
            entry = skip if skip.height > height and not parent_goes_further else parent
        return entry


def _skip_height(height: int) -> int:
    """Height of the ancestor that a block also points at, as in a deterministic skip list."""
    if height < 2:
        return 0
    if height % 2 == 0:
        return height & (height - 1)
    lower = (height - 1) & (height - 2)
    return (lower & (lower - 1)) + 1


def _median_time(time: int, parent: Entry | None) -> int:
    times, entry = [time], parent
    while entry is not None and len(times) < MEDIAN_SPAN:
        times.append(entry.time)
        entry = entry.parent
    times.sort()
    return times[len(times) // 2]


class BlockTree:
    """Every known header that passed its checks, from genesis on."""

    def __init__(self, params: Params) -> None:
        self.params: Final = params
        self.genesis: Final = Entry(GENESIS.header, None, params)
        self.entries: Final[dict[BlockHash, Entry]] = {self.genesis.hash: self.genesis}
        self.best_header = self.genesis
        """Most work among headers not known to be invalid; the first seen of equals."""

    def get(self, block_hash: BlockHash) -> Entry | None:
        """The entry of this hash, on any branch."""
        return self.entries.get(block_hash)

    def add(self, header: Header, *, invalid: bool = False) -> Entry:
        """Put a header on its parent, which must be here. No checks.

        `invalid` if it is known to be; on an invalid parent it is in any case.
        """
        parent = self.entries[header.prev_hash]
        entry = Entry(header, parent, self.params)
        entry.invalid = invalid or parent.invalid
        parent.youngest = entry
        self.entries[entry.hash] = entry
        if entry.chainwork > self.best_header.chainwork and not entry.invalid:
            self.best_header = entry
        return entry

    def remove(self, entry: Entry) -> None:
        """Forget a header with none on top of it, that is neither genesis nor the best.

        Who holds the entry can still go from it to its ancestors.
        """
        parent = entry.parent
        assert parent is not None
        assert entry.youngest is None
        assert entry is not self.best_header
        del self.entries[entry.hash]
        if parent.youngest is entry:
            parent.youngest = entry.elder
            return
        younger = parent.youngest
        while younger is not None and younger.elder is not entry:
            younger = younger.elder
        assert younger is not None
        younger.elder = entry.elder

    def forget(self, entries: Sequence[Entry]) -> None:
        """Remove headers, those on top first, and find the best header again if it is one of them."""
        if self.best_header in entries:
            gone = set(entries)
            self.best_header = self._find_best(lambda entry: entry not in gone)
        for entry in entries:
            self.remove(entry)

    def branch(self, root: Entry) -> list[Entry]:
        """`root` and all that stands on it, parents first."""
        found = [root]
        for entry in found:
            found += entry.children
        return found

    def set_invalid(self, root: Entry, invalid: bool) -> None:
        """Mark `root` and all that stands on it, and find the best header again if it may be another."""
        for entry in self.branch(root):
            entry.invalid = invalid
        if not invalid or self.best_header.invalid:
            self.best_header = self._find_best(lambda entry: True)

    def _find_best(self, may_be: Callable[[Entry], bool]) -> Entry:
        valid = (entry for entry in self.entries.values() if not entry.invalid and may_be(entry))
        return max(valid, key=attrgetter("chainwork"))


def is_on(entry: Entry, branch: Entry) -> bool:
    """True if `entry` is `branch` or one of its ancestors."""
    return entry.height <= branch.height and branch.ancestor(entry.height) is entry


def fork_point(one: Entry, other: Entry) -> Entry:
    """The last block that both branches share."""
    low = min(one.height, other.height)
    one, other = one.ancestor(low), other.ancestor(low)
    while one is not other:
        if one.skip is not other.skip and one.skip is not None and other.skip is not None:
            one, other = one.skip, other.skip
        else:
            assert one.parent is not None
            assert other.parent is not None
            one, other = one.parent, other.parent
    return one


def path(old: Entry, new: Entry) -> tuple[list[Entry], list[Entry]]:
    """The blocks to leave, tip first, and the blocks to enter, lowest first.

    ::

        fork --- o --- o --- old      leave: old, o, o
           \\--- n --- new            enter: n, new
    """
    fork = fork_point(old, new)
    return _down_to(old, fork), _down_to(new, fork)[::-1]


def _down_to(entry: Entry, fork: Entry) -> list[Entry]:
    passed = []
    while entry is not fork:
        passed.append(entry)
        assert entry.parent is not None
        entry = entry.parent
    return passed


def locator(entry: Entry) -> list[BlockHash]:
    """Hashes from `entry` back to genesis, dense at first and then ever further apart."""
    hashes, step = [entry.hash], 1
    while entry.height:
        entry = entry.ancestor(max(0, entry.height - step))
        hashes.append(entry.hash)
        if len(hashes) > LOCATOR_DENSE:
            step *= 2
    return hashes


def between(base: Entry, top: Entry) -> list[Entry]:
    """The blocks above `base` up to `top`, lowest first. `base` is an ancestor of `top`."""
    found = []
    while top is not base:
        found.append(top)
        assert top.parent is not None
        top = top.parent
    return found[::-1]
