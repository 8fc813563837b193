"""JSON-RPC about the indexes that are kept beside the blocks."""

from node.api.context import Call
from node.api.encoding.json_codec import Shape
from node.api.rpc.args import string
from node.api.rpc.method import topic


def getindexinfo(call: Call, name: str) -> Shape:
    """The indexes kept, all or one by its name, and how far each has come."""
    view, filters = call.view, call.filters
    kept: dict[str, Shape] = {}
    if view.reader.has_index:
        # Written with the ledger in one batch, so never behind it.
        kept["txindex"] = {"synced": True, "best_block_height": view.tip.height}
    if filters:
        # Nothing is at genesis' height, as in Core.
        reached = max(0, filters.height(view))
        kept["basic block filter index"] = {"synced": filters.is_level(view), "best_block_height": reached}
    return {one: state for one, state in kept.items() if name in ("", one)}


METHODS = topic("Util", (getindexinfo, string("index_name", "")))
"""About indexes."""
