"""JSON-RPC about the indexes that are kept beside the blocks."""

from node.api.call import Call
from node.api.rpc_args import string
from node.api.rpc_method import topic
from node.api.shapes import Shape


def getindexinfo(call: Call, name: str) -> Shape:
    """The indexes kept, all or one by its name, and how far each has come."""
    height = call.view.tip.height
    kept = ("txindex",) if call.view.reader.has_index else ()
    # Written with the ledger in one batch, so never behind it.
    return {one: {"synced": True, "best_block_height": height} for one in kept if name in ("", one)}


METHODS = topic("Util", (getindexinfo, string("index_name", "")))
"""About indexes."""
