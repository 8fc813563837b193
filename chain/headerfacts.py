"""Facts about a header in its branch: all that the rules ask of it when the next header comes.

The tree's entries are made of these, and so is the trail of headers that are not in the tree: one
code computes them for both.
"""

from collections.abc import Iterable
from typing import Final

from chain.block import Header
from chain.params import Params
from chain.pow import Schedule, next_schedule
from chain.target import work_from_bits

MEDIAN_SPAN = 11
"""Blocks whose median time the next one has to exceed."""


class HeaderFacts:
    """A header's place, without the headers before it."""

    __slots__ = ("chainwork", "hash", "height", "invalid", "max_time", "median_time", "schedule", "time")

    def __init__(self, header: Header, parent: "HeaderFacts | None", times: Iterable[int], params: Params) -> None:
        """`times` are those of the ten headers before this one, or of as many as there are; `parent` is None for
        genesis alone."""
        time = header.time
        recent = [time, *times]
        recent.sort()
        self.hash: Final = header.hash
        self.time: Final = time
        self.height: Final[int] = parent.height + 1 if parent is not None else 0
        self.chainwork: Final[int] = work_from_bits(header.bits) + (parent.chainwork if parent is not None else 0)
        """Expected hashes for all blocks from genesis to this one, both counted."""
        self.median_time: Final[int] = recent[len(recent) // 2]
        """Median time past: of this block and the ten before; a later block's time must be above it."""
        self.max_time: Final[int] = time if parent is None or time > parent.max_time else parent.max_time
        """The latest time of this block and all before."""
        self.schedule: Final[Schedule | None] = next_schedule(parent, time, params) if parent is not None else None
        """The branch's difficulty schedule, for `next_bits`; None below its anchor."""
        self.invalid: bool = parent is not None and parent.invalid
        """It, or one before it, breaks a rule or was ruled out by the operator."""
