"""Blocks between the wire and the chain: unpacked from what peers send (block_serving.py packs them).

Costly, and needs neither lock nor chain.
"""

from collections.abc import Container

from chain.block import TxLookup, decode_block
from chain.errors import Invalid
from chain.hashes import Wtxid
from chain.params import Params
from node.interface.checked_block import examine
from node.interface.effects import Failed, PeerReply
from node.interface.messages import Blocks, Reply


def prepare(
    reply: Reply, params: Params, known: TxLookup | None = None, checked: Container[Wtxid] = frozenset()
) -> PeerReply:
    """Blocks as `Bodies`, or as the offence that one of them is; anything else as it is.

    Transactions that are `known` are not decoded again, and those `checked` by the mempool not checked either.
    """
    if not isinstance(reply, Blocks):
        return reply
    try:
        return tuple(examine(decode_block(raw, known), params, checked) if raw else None for raw in reply.raws)
    except Invalid as fault:
        return Failed(f"sent a bad block: {fault}", offence=True)
