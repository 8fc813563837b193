"""JSON-RPC about basic block filters (BIP157, BIP158)."""

from chain.hashes import BlockHash, to_hex
from node.api.actions.core_errors import MISC, NOT_FOUND, RpcError
from node.api.context import Call
from node.api.encoding.json_codec import Shape
from node.api.rpc.args import block_hash, string
from node.api.rpc.method import topic
from node.blockfilter.filter_index import FiltersBehind, FiltersBroken, NoFilter

BASIC = "basic"


def getblockfilter(call: Call, block_hash: BlockHash, filter_type: str) -> Shape:
    """A block's basic filter and filter header, the header in display order."""
    if filter_type != BASIC:
        raise RpcError(NOT_FOUND, "Unknown filtertype")
    if call.filters is None:
        raise RpcError(MISC, f"Index is not enabled for filtertype {BASIC}")
    entry = call.view.get(block_hash)
    if entry is None:
        raise RpcError(NOT_FOUND, "Block not found")
    try:
        found = call.filters.of(call.view, entry)
    except FiltersBehind:
        message = "Filter not found. Block filters are still in the process of being indexed."
        raise RpcError(MISC, message) from None
    except FiltersBroken as reason:
        raise RpcError(MISC, f"Filter not found. {reason}") from None
    except NoFilter as reason:
        if not call.view.in_best_chain(entry):
            raise RpcError(NOT_FOUND, "Filter not found. Block was not connected to active chain.") from None
        raise RpcError(MISC, f"Filter not found. {reason}") from None
    return {"filter": found.encoded.hex(), "header": to_hex(found.header)}


METHODS = topic("Blockchain", (getblockfilter, block_hash("blockhash"), string("filtertype", BASIC)))
"""About filters."""
