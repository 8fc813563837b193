"""Blocks between the wire and the chain: unpacked from what peers send (block_serving.py packs them).

Costly, and needs neither lock nor chain.
"""

from typing import Any

from chain.block import decode_block
from chain.errors import Invalid
from chain.hashes import Wtxid
from chain.params import Params
from node.chainstate.chainstate import CheckedBlock, examine
from node.core.view import NodeView
from node.interface.effects import Failed
from node.p2p.wire.messages import Blocks

Bodies = tuple[CheckedBlock | None, ...]
"""The first of the blocks that were asked for, in order; None for one that the peer does not have."""


def prepare(reply: Any, params: Params, view: NodeView | None = None) -> Any:
    """Blocks as `Bodies`, or as the offence that one of them is; anything else as it is.

    Transactions that the view has are not decoded again, and those of its pool not checked either.
    """
    if not isinstance(reply, Blocks):
        return reply
    known = view.tx_spending if view else None
    checked = view.pool.wtxids if view else frozenset[Wtxid]()
    try:
        return tuple(examine(decode_block(raw, known), params, checked) if raw else None for raw in reply.raws)
    except Invalid as fault:
        return Failed(f"sent a bad block: {fault}", offence=True)
