"""Would a block be valid on the tip? All rules but its proof of work, and nothing is changed."""

from chain.block import Block
from chain.check import check_block, check_body
from chain.connect import connect_block, connect_header, context_after
from chain.errors import Invalid, Reject
from chain.keys import default_engine
from node.view import View


def check_on_tip(view: View, block: Block, now: int) -> None:
    """Hold a block on the view's tip against every rule but its proof of work. `now` is Unix time in seconds.

    Raises Rejected: with PREV_NOT_FOUND where it stands on another block.
    """
    parent = view.tip if block.header.prev_hash == view.tip.hash else None
    connect_header(block.header, parent, now, view.params)
    known = view.pool.wtxids  # checked, and verified, when they entered
    check_body(block)
    check_block(block, known)
    connected = connect_block(block, context_after(view.tip), view.reader.coin, view.params, known)
    if default_engine().first_failure(b"".join(connected.checks)) is not None:
        raise Invalid(Reject.SCRIPT_VERIFY, "wrong signature")
