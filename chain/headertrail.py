"""Headers followed without being kept: those of a branch that has yet to prove its work.

`BlockTree` holds the headers that are worth their memory; a trail holds facts about the last one and
eleven times. Both compute the same `HeaderFacts`, and `validate_header` judges both alike.
"""

from collections import deque

from chain.block import Header
from chain.blocktree import BlockNode, recent_times
from chain.errors import Reject, Unready
from chain.headerfacts import MEDIAN_SPAN, HeaderFacts
from chain.params import Params
from chain.validate import validate_header


class HeaderTrail:
    """The end of a branch: facts about its last header, and none of the headers before."""

    def __init__(self, base: BlockNode, params: Params) -> None:
        self.tip: HeaderFacts = base
        """The last header that was followed; at first the one in the tree that the trail starts from."""
        self._params = params
        self._times = deque(reversed(recent_times(base)), MEDIAN_SPAN - 1)

    def follow(self, header: Header, now: int) -> None:
        """Move on to the next header, if the rules allow it. `now` is Unix time in seconds.

        Raises Unready(PREV_NOT_FOUND) for one that does not stand on `tip`, and Rejected as `validate_header`.
        """
        if header.prev_hash != self.tip.hash:
            raise Unready(Reject.PREV_NOT_FOUND)
        validate_header(header, self.tip, now, self._params)
        self.tip = HeaderFacts(header, self.tip, self._times, self._params)
        self._times.append(header.time)
