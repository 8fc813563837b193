"""The tree of headers: where blocks stand, how much work is behind them, how to get across.

Holds facts, decides nothing: `connect.py` says which header may enter, the node's chainstate
which branch to follow.
"""

from typing import Final

from chain.block import Header
from chain.compact import work_from_bits
from chain.hashes import BlockHash
from chain.params import GENESIS, Params

MEDIAN_SPAN = 11
"""Blocks whose median time the next one has to exceed."""
LOCATOR_DENSE = 10
"""Hashes of a locator before its steps start to double."""


class Entry:
    """A header in its place. Fixed at construction, but for the last four: has_body, ready, invalid, sequence."""

    __slots__ = (
        "anchor",
        "chainwork",
        "has_body",
        "hash",
        "header",
        "height",
        "idle_s",
        "invalid",
        "max_time",
        "median_time",
        "parent",
        "ready",
        "sequence",
        "skip",
    )

    def __init__(self, header: Header, parent: "Entry | None", params: Params) -> None:
        self.header: Final = header
        self.hash: Final = header.hash
        self.parent: Final = parent
        self.height: Final[int] = parent.height + 1 if parent else 0
        self.chainwork: Final[int] = (parent.chainwork if parent else 0) + work_from_bits(header.bits)
        """Expected hashes for all blocks from genesis to this one, both counted."""
        self.skip: Final[Entry | None] = parent.ancestor(_skip_height(self.height)) if parent else None
        self.median_time: Final[int] = _median_time(header, parent)
        """Of this block and the ten before: a later block's time must be above it."""
        self.max_time: Final[int] = max(parent.max_time, header.time) if parent else header.time
        """The latest time of this block and all before."""
        self.anchor: Final[Entry | None] = self._find_anchor(params)
        """This branch's block where the difficulty's schedule starts; None below it."""
        self.idle_s: Final[int] = self._sum_idle(params)
        """Seconds since the anchor that do not count (see Asert.gap_cap_s)."""
        self.has_body = parent is None
        """The body is stored."""
        self.ready = parent is None
        """The bodies of this block and of all before it are stored."""
        self.invalid = False
        """It, or one before it, breaks a rule or was ruled out by the operator."""
        self.sequence = 0
        """When its body became usable: the first seen of equal work is followed."""

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
        return self.header.time - self.idle_s - self.anchor.parent.header.time

    def ancestor(self, height: int) -> "Entry":
        """The block of this branch at `height`, in logarithmic time. 0 <= height <= own height."""
        entry = self
        while entry.height > height:
            skip, parent = entry.skip, entry.parent
            assert skip is not None
            assert parent is not None
            # Not the skip where the parent's own skip leads further without overshooting (Core's GetAncestor).
            parent_goes_further = height <= _skip_height(parent.height) < skip.height - 2
            follow_skip = skip.height == height or (skip.height > height and not parent_goes_further)
            entry = skip if follow_skip else parent
        return entry


def _skip_height(height: int) -> int:
    """Which ancestor a block also points at, as in a deterministic skip list."""
    if height < 2:
        return 0
    if height % 2 == 0:
        return height & (height - 1)
    lower = (height - 1) & (height - 2)
    return (lower & (lower - 1)) + 1


def _median_time(header: Header, parent: Entry | None) -> int:
    times, entry = [header.time], parent
    while entry is not None and len(times) < MEDIAN_SPAN:
        times.append(entry.header.time)
        entry = entry.parent
    times.sort()
    return times[len(times) // 2]


class BlockTree:
    """Every known header that passed its checks, from genesis on."""

    def __init__(self, params: Params) -> None:
        self.params: Final = params
        self.genesis: Final = Entry(GENESIS.header, None, params)
        self.entries: Final[dict[BlockHash, Entry]] = {self.genesis.hash: self.genesis}
        self.children: Final[dict[BlockHash, list[Entry]]] = {}
        self.best_header = self.genesis
        """Most work among headers not known to be invalid; the first seen of equals."""

    def get(self, block_hash: BlockHash) -> Entry | None:
        """The entry of this hash, on any branch."""
        return self.entries.get(block_hash)

    def add(self, header: Header) -> Entry:
        """Put a header on its parent, which must be here. No checks."""
        entry = Entry(header, self.entries[header.prev_hash], self.params)
        assert entry.parent is not None
        entry.invalid = entry.parent.invalid
        self.entries[entry.hash] = entry
        self.children.setdefault(header.prev_hash, []).append(entry)
        if entry.chainwork > self.best_header.chainwork and not entry.invalid:
            self.best_header = entry
        return entry

    def branch(self, root: Entry) -> list[Entry]:
        """`root` and all that stands on it, parents first."""
        found = [root]
        for entry in found:
            found.extend(self.children.get(entry.hash, ()))
        return found

    def set_invalid(self, root: Entry, invalid: bool) -> None:
        """Mark `root` and all that stands on it, and find the best header again."""
        for entry in self.branch(root):
            entry.invalid = invalid
        self.best_header = max(
            (entry for entry in self.entries.values() if not entry.invalid), key=lambda entry: entry.chainwork
        )


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
