"""Would a block be valid on the tip? All rules but its proof of work, and nothing is changed."""

from collections.abc import Sequence

from chain.block import Block, Header
from chain.blocktree import BlockNode
from chain.connect import connect_header
from chain.keys import Check, default_engine
from chain.validate import validate_candidate
from node.core.view import NodeView


def check_header_on_tip(view: NodeView, header: Header, now: int) -> None:
    """Hold a header on the view's tip against every rule but its proof of work. `now` is Unix time in seconds.

    Raises Rejected: with PREV_NOT_FOUND where it stands on another block.
    """
    connect_header(header, _parent(view, header), now, view.params)


def check_on_tip(view: NodeView, block: Block, now: int) -> None:
    """Check a whole block on the tip, all rules but its proof of work."""
    known = view.pool.wtxids  # checked, and verified, when they entered
    validate_candidate(block, _parent(view, block.header), view.reader.coin, now, view.params, _first_failure, known)


def _parent(view: NodeView, header: Header) -> BlockNode | None:
    return view.tip if header.prev_hash == view.tip.hash else None


def _first_failure(checks: Sequence[Check]) -> int | None:
    return default_engine().first_failure(b"".join(checks))
