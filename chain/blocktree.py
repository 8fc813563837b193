"""The tree of headers: where blocks stand, how much work is behind them, how to get across.

Holds facts, decides nothing: `connect.py` says which header may enter, the node's chainstate
which branch to follow.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Final

from chain.block import Header, read_header
from chain.hashes import BlockHash
from chain.headerfacts import MEDIAN_SPAN, HeaderFacts
from chain.params import GENESIS, Params

LOCATOR_DENSE = 10
"""Hashes of a locator before its steps start to double."""


class BlockNode(HeaderFacts):
    """A header in its place. Fixed at construction, but for `invalid` and the last five: previous_sibling to sequence.

    There is one for every block for as long as the node runs, so it keeps the 80 bytes and no
    more of their fields than what comes later asks for: some 500 bytes in all.
    """

    __slots__ = ("has_body", "has_chain", "last_child", "parent", "previous_sibling", "raw", "sequence", "skip")

    def __init__(self, header: Header, parent: "BlockNode | None", params: Params) -> None:
        super().__init__(header, parent, recent_times(parent), params)
        self.raw: Final = header.raw
        self.parent: Final = parent
        self.skip: Final[BlockNode | None] = parent.ancestor(_skip_height(self.height)) if parent else None
        self.previous_sibling: BlockNode | None = parent.last_child if parent else None
        """The parent's child that came before this one."""
        self.last_child: BlockNode | None = None
        """The last of this block's children to come."""
        self.has_body = parent is None
        """The body is stored."""
        self.has_chain = parent is None
        """The bodies of this block and of all before it are stored."""
        self.sequence = 0
        """Order in which bodies became usable: the first seen of equal work is followed."""

    @property
    def header(self) -> Header:
        """The header, decoded anew each time."""
        return read_header(self.raw, self.hash)

    @property
    def children(self) -> "list[BlockNode]":
        """The blocks that stand directly on this one, in the order in which they came."""
        found, child = [], self.last_child
        while child is not None:
            found.append(child)
            child = child.previous_sibling
        return found[::-1]

    def __repr__(self) -> str:
        return f"<{self.height} {self.hash[::-1].hex()[:16]}>"

    def ancestor(self, height: int) -> "BlockNode":
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


def recent_times(entry: BlockNode | None) -> list[int]:
    """Times of the last ten blocks of a branch, `entry`'s first: with one more, the next median."""
    times: list[int] = []
    while entry is not None and len(times) < MEDIAN_SPAN - 1:
        times.append(entry.time)
        entry = entry.parent
    return times


class BlockTree:
    """Every known header that passed its checks, from genesis on."""

    def __init__(self, params: Params) -> None:
        self.params: Final = params
        self.genesis: Final = BlockNode(GENESIS.header, None, params)
        self.entries: Final[dict[BlockHash, BlockNode]] = {self.genesis.hash: self.genesis}
        self.best_header = self.genesis
        """Most work among headers not known to be invalid; the first seen of equals."""

    def get(self, block_hash: BlockHash) -> BlockNode | None:
        """The entry of this hash, on any branch."""
        return self.entries.get(block_hash)

    def add(self, header: Header, *, invalid: bool = False) -> BlockNode:
        """Put a header on its parent, which must be here. No checks.

        `invalid` if it is known to be; on an invalid parent it is in any case.
        """
        parent = self.entries[header.prev_hash]
        entry = BlockNode(header, parent, self.params)
        entry.invalid |= invalid
        parent.last_child = entry
        self.entries[entry.hash] = entry
        if entry.chainwork > self.best_header.chainwork and not entry.invalid:
            self.best_header = entry
        return entry

    def remove(self, entry: BlockNode) -> None:
        """Forget a header with none on top of it, that is neither genesis nor the best.

        Who holds the entry can still go from it to its ancestors.
        """
        parent = entry.parent
        assert parent is not None
        assert entry.last_child is None
        assert entry is not self.best_header
        del self.entries[entry.hash]
        if parent.last_child is entry:
            parent.last_child = entry.previous_sibling
            return
        younger = parent.last_child
        while younger is not None and younger.previous_sibling is not entry:
            younger = younger.previous_sibling
        assert younger is not None
        younger.previous_sibling = entry.previous_sibling

    def forget(self, entries: Sequence[BlockNode]) -> None:
        """Remove headers, those on top first, and find the best header again if it is one of them."""
        if self.best_header in entries:
            gone = set(entries)
            self.best_header = self._find_best(lambda entry: entry not in gone)
        for entry in entries:
            self.remove(entry)

    def branch(self, root: BlockNode) -> list[BlockNode]:
        """`root` and all that stands on it, parents first."""
        found = [root]
        for entry in found:
            found += entry.children
        return found

    def set_invalid(self, root: BlockNode, invalid: bool) -> None:
        """Mark `root` and all that stands on it, and find the best header again if it may be another."""
        for entry in self.branch(root):
            entry.invalid = invalid
        if not invalid or self.best_header.invalid:
            self.best_header = self._find_best(lambda entry: True)

    def _find_best(self, may_be: Callable[[BlockNode], bool]) -> BlockNode:
        valid = (entry for entry in self.entries.values() if not entry.invalid and may_be(entry))
        return max(valid, key=attrgetter("chainwork"))


def is_on(entry: BlockNode, branch: BlockNode) -> bool:
    """True if `entry` is `branch` or one of its ancestors."""
    return entry.height <= branch.height and branch.ancestor(entry.height) is entry


def between(base: BlockNode, top: BlockNode) -> list[BlockNode]:
    """The blocks above `base` up to `top`, lowest first. `base` is `top` or an ancestor of it."""
    return _down_to(top, base)[::-1]


def fork_point(one: BlockNode, other: BlockNode) -> BlockNode:
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


def path(old: BlockNode, new: BlockNode) -> tuple[list[BlockNode], list[BlockNode]]:
    """The blocks to leave, tip first, and the blocks to enter, lowest first.

    ::

        fork --- o --- o --- old      leave: old, o, o
           \\--- n --- new            enter: n, new
    """
    fork = fork_point(old, new)
    return _down_to(old, fork), between(fork, new)


def _down_to(entry: BlockNode, fork: BlockNode) -> list[BlockNode]:
    passed = []
    while entry is not fork:
        passed.append(entry)
        assert entry.parent is not None
        entry = entry.parent
    return passed


def locator(entry: BlockNode) -> list[BlockHash]:
    """Hashes from `entry` back to genesis, dense at first and then ever further apart."""
    hashes, step = [entry.hash], 1
    while entry.height:
        entry = entry.ancestor(max(0, entry.height - step))
        hashes.append(entry.hash)
        if len(hashes) > LOCATOR_DENSE:
            step *= 2
    return hashes
