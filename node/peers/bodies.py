"""Blocks between the wire and the chain: packed for peers, and unpacked from what they send.

Costly, and needs neither lock nor chain.
"""

from collections.abc import Callable
from typing import Any

from chain.block import decode_block
from chain.errors import Invalid
from chain.hashes import BlockHash, Wtxid
from chain.params import Params
from node.chainstate import Examined, examine
from node.peers.messages import BLOCKS_BYTES, Blocks, GetBlocks
from node.ports import Failed
from node.view import View

Bodies = tuple[Examined | None, ...]
"""The first of the blocks that were asked for, in order; None for one that the peer does not have."""


def pack(request: GetBlocks, raw_block: Callable[[BlockHash], bytes | None]) -> Blocks:
    """The answer to a request for blocks: the first of them, up to one that would make it too long."""
    raws: list[bytes] = []
    size = 0
    for block_hash in request.hashes:
        raw = raw_block(block_hash) or b""
        size += len(raw)
        if raws and size > BLOCKS_BYTES:
            break
        raws.append(raw)
    return Blocks(tuple(raws))


def prepare(reply: Any, params: Params, view: View | None = None) -> Any:
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
