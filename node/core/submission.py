"""Blocks that local callers hand in."""

from chain.blocktree import BlockNode
from node.interface.checked_block import CheckedBlock


class Submission:
    """One caller's block: remembers that it was handed in, so that asking again asks for the verdict."""

    __slots__ = ("entry", "examined", "source", "was_known")

    def __init__(self, examined: CheckedBlock, source: str = "submitted") -> None:
        """`source` is how the log says where it came from."""
        self.examined = examined
        self.source = source
        self.entry: BlockNode | None = None
        self.was_known = False
