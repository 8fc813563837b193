"""Would a block be valid on the tip? All rules but its proof of work, and nothing is changed."""

from chain.block import Block, Header
from chain.check import check_block, check_body
from chain.connect import connect_block, connect_header, context_after
from chain.errors import Invalid, Reject
from chain.keys import default_engine
from node.core.view import View


def check_header_on_tip(view: View, header: Header, now: int) -> None:
    """Hold a header on the view's tip against every rule but its proof of work. `now` is Unix time in seconds.

    Raises Rejected: with PREV_NOT_FOUND where it stands on another block.
    """
    connect_header(header, view.tip if header.prev_hash == view.tip.hash else None, now, view.params)


def check_on_tip(view: View, block: Block, now: int) -> None:
    """The same for a whole block."""
    check_header_on_tip(view, block.header, now)
    known = view.pool.wtxids  # checked, and verified, when they entered
    check_body(block)
    check_block(block, known)
    connected = connect_block(block, context_after(view.tip), view.reader.coin, view.params, known)
    if default_engine().first_failure(b"".join(connected.checks)) is not None:
        raise Invalid(Reject.SCRIPT_VERIFY, "wrong signature")
