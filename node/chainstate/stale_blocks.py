"""Blocks beside the best chain with nothing on them: kept, but not without end.

Where blocks are cheap, a miner that is late posts thousands of blocks on a parent that has its
successor, and a broken one thousands of invalid ones. Each valid one could still become part of
the best chain, if somebody builds on it; so the newest are kept, and whoever builds on one that
was forgotten has it and sends it again, as any block that is not known here. Of an invalid one
nothing is lost but that this is known.
"""

from collections.abc import Callable, Iterable

from chain.blocktree import BlockNode

SIBLINGS_MAX = 1_000
"""Blocks kept on parents of the best chain without being in it or having any on top; beyond, the one
that came first is forgotten: its header, its body, its mark."""


class StaleBlocks:
    """Stale blocks without children, the oldest first. Call only under the lock."""

    def __init__(self, is_needed: Callable[[BlockNode], bool]) -> None:
        """`is_needed` tells what is not to be forgotten: it, or what stands on it, may yet be followed."""
        self._is_needed = is_needed
        self._waiting: dict[BlockNode, None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, entry: BlockNode) -> None:
        """A block has come that is not followed now, or has turned out invalid."""
        self._waiting[entry] = None

    def surplus(self) -> Iterable[BlockNode]:
        """The blocks to be forgotten now; no longer counted here afterwards."""
        while len(self._waiting) > SIBLINGS_MAX:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            # What has found its place in a chain meanwhile is no sibling any more: it stays for good.
            if not self._is_needed(oldest):
                yield oldest
