"""JSON-RPC about what blocks and the chain add up to."""

from typing import Any

from chain.blocktree import BlockNode
from chain.hashes import BlockHash, to_hex
from node.api.actions.core_errors import BAD_VALUE, MISC, RpcError, shown
from node.api.context import Call
from node.api.encoding.json_codec import Shape
from node.api.query.queries import block_txs, raw_block
from node.api.rpc.args import INT32_MAX, INT32_MIN, Arg, block_hash, hash_in, integer, integer_in, strings
from node.api.rpc.block_stats import block_stats
from node.api.rpc.blockchain import known_block, no_body
from node.api.rpc.method import topic
from node.runtime.runtime import NotReady

MONTH_S = 30 * 24 * 3600
"""Blocks that getchaintxstats looks at by default."""
BITCOIN_SPACING_S = 600
"""Seconds between blocks, as Core has it on regtest too."""


def getblockstats(call: Call, hash_or_height: int | BlockHash, stats: list[str] | None) -> Shape:
    """Statistics of a block by hash or height, all or some; amounts in satoshis, rates in satoshis per vB."""
    view = call.view
    entry = _entry_at(call, hash_or_height) if isinstance(hash_or_height, int) else known_block(view, hash_or_height)
    if raw_block(view, entry) is None:
        raise no_body()
    if not view.reader.was_connected(entry.height, entry.hash):
        raise RpcError(MISC, "Undo data not available")
    found = block_stats(entry, block_txs(view, entry, 0, INT32_MAX), view.params)
    if not stats:
        return found
    for name in stats:
        if name not in found:
            raise RpcError(BAD_VALUE, f"Invalid selected statistic '{shown(name)}'")
    return {name: found[name] for name in sorted(set(stats))}


def getchaintxstats(call: Call, nblocks: int | None, final: BlockHash | None) -> Shape:
    """Number of transactions in the chain, and their rate over the last blocks."""
    view = call.view
    entry = view.tip if final is None else known_block(view, final)
    if not view.in_best_chain(entry):
        raise RpcError(BAD_VALUE, "Block is not in main chain")
    if nblocks is None:
        spacing_s = view.params.target_spacing_s or BITCOIN_SPACING_S
        nblocks = max(0, min(MONTH_S // spacing_s, entry.height - 1))
    elif nblocks < 0 or (nblocks > 0 and nblocks >= entry.height):
        raise RpcError(BAD_VALUE, "Invalid block count: should be between 0 and the block's height - 1")
    past = entry.ancestor(entry.height - nblocks)
    total = _total(call, entry)
    interval_s = entry.median_time - past.median_time
    shape: Shape = {
        "time": entry.time,
        "txcount": total,
        "window_final_block_hash": to_hex(entry.hash),
        "window_final_block_height": entry.height,
        "window_block_count": nblocks,
    }
    if nblocks > 0:
        count = total - _total(call, past)
        shape |= {"window_interval": interval_s, "window_tx_count": count}
        if interval_s > 0:
            shape["txrate"] = count / interval_s
    return shape


def _entry_at(call: Call, height: int) -> BlockNode:
    if height < 0:
        raise RpcError(BAD_VALUE, f"Target block height {height} is negative")
    entry = call.view.entry_at(height)
    if entry is None:
        raise RpcError(BAD_VALUE, f"Target block height {height} after current tip {call.view.tip.height}")
    return entry


def _total(call: Call, entry: BlockNode) -> int:
    total = call.measures.totals.up_to(call.view, entry, lambda: _check_ready(call))
    if total is None:
        raise no_body()
    return total


def _check_ready(call: Call) -> None:
    if not call.runtime.ready:
        raise NotReady  # storage is about to be closed


def _read_hash_or_height(name: str, content: Any) -> int | BlockHash:
    if isinstance(content, str):
        return BlockHash(hash_in(name, content))
    return integer_in(content, INT32_MIN, INT32_MAX)


METHODS = topic(
    "Blockchain",
    (getblockstats, Arg("hash_or_height", _read_hash_or_height, "string or numeric"), strings("stats", None)),
    (getchaintxstats, integer("nblocks", None), block_hash("blockhash", None)),
)
"""About blocks and the chain in numbers."""
