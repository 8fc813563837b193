"""JSON-RPC about blocks and chains."""

import os
from pathlib import Path

from chain.blocktree import BlockNode, fork_point
from chain.hashes import BlockHash, Txid, to_hex
from chain.tx import TxOut, outpoint
from node.api.actions.core_errors import BAD_VALUE, MISC, NOT_FOUND, RpcError
from node.api.chainless import no_chain
from node.api.context import Call
from node.api.encoding.json_codec import Shape
from node.api.query.esplora_json import difficulty
from node.api.query.queries import block_txs, find_block, raw_block
from node.api.rpc.args import block_hash, flag, integer, txid, verbosity
from node.api.rpc.core_json import (
    bits_hex,
    block_shape,
    found_shape,
    header_shape,
    network_shape,
    target_hex,
    txout_shape,
)
from node.api.rpc.method import topic
from node.core.view import NodeView
from node.p2p.block_sync.initial_block_download import SYNCED_BLOCKS


def getblockchaininfo(call: Call) -> Shape:
    """The state of the chain."""
    view = call.view
    tip, best = view.tip, view.best_header
    return {
        **network_shape(view.params),
        "blocks": tip.height,
        "headers": max(tip.height, best.height),
        "bestblockhash": to_hex(tip.hash),
        "bits": bits_hex(tip.header.bits),
        "target": target_hex(tip.header.bits),
        "difficulty": difficulty(tip.header),
        "time": tip.header.time,
        "mediantime": tip.median_time,
        "verificationprogress": min(1.0, (tip.height + 1) / (best.height + 1)),
        "initialblockdownload": view.behind > SYNCED_BLOCKS and not view.catch_up.is_synced,
        "chainwork": f"{tip.chainwork:064x}",
        "size_on_disk": folder_bytes(call.config.folder),
        "pruned": False,
        "warnings": [*([reason] if (reason := no_chain(call.config)) else []), *view.warnings],
    }


def getblockcount(call: Call) -> int:
    """The height of the best chain; genesis has height 0."""
    return call.view.tip.height


def getbestblockhash(call: Call) -> str:
    """The hash of the best chain's last block."""
    return to_hex(call.view.tip.hash)


def getdifficulty(call: Call) -> float:
    """The last block's difficulty, as a multiple of Bitcoin's first."""
    return difficulty(call.view.tip.header)


def getblockhash(call: Call, height: int) -> str:
    """The hash of the best chain's block at a height."""
    entry = call.view.entry_at(height)
    if entry is None:
        raise RpcError(BAD_VALUE, "Block height out of range")
    return to_hex(entry.hash)


def getblock(call: Call, block_hash: BlockHash, verbose: int) -> str | Shape:
    """A block: 0 hex, 1 with transaction ids, 2 with transactions, 3 with what they spend too."""
    view, entry = call.view, known_block(call.view, block_hash)
    if verbose <= 0:
        return _raw(view, entry).hex()
    block = find_block(view, entry)
    if block is None:
        raise no_body()
    if verbose == 1:
        return block_shape(view, entry, block, [to_hex(one.txid) for one in block.txs])
    found = block_txs(view, entry, 0, len(block.txs))
    return block_shape(view, entry, block, [found_shape(one, fee=True, prevouts=verbose >= 3) for one in found])


def getblockheader(call: Call, block_hash: BlockHash, verbose: bool) -> str | Shape:
    """A block's header: false hex, true an object."""
    entry = known_block(call.view, block_hash)
    if not verbose:
        return entry.header.raw.hex()
    facts = call.measures.of(call.view, entry)
    return header_shape(call.view, entry, facts.tx_count if facts else 0)


def gettxout(call: Call, txid: Txid, index: int, include_mempool: bool) -> Shape | None:
    """An unspent output, or null."""
    view, point = call.view, outpoint(txid, index)
    coin = view.reader.coin(point)
    confirmed = coin is not None
    if include_mempool:
        if view.pool.spender(point) is not None:
            return None
        coin = coin or view.pool.coin(point)
    if coin is None:
        return None
    return txout_shape(TxOut(coin.value, coin.script), coin, view, confirmed=confirmed)


def getchaintips(call: Call) -> list[Shape]:
    """The last block of every branch."""
    view, tree = call.view, call.view.tree
    # A copy in one step: other threads may add to the tree.
    tips = [entry for entry in list(tree.entries.values()) if entry.last_child is None or entry is view.tip]
    tips.sort(key=lambda entry: -entry.height)
    return [
        {
            "height": entry.height,
            "hash": to_hex(entry.hash),
            "branchlen": entry.height - fork_point(view.tip, entry).height,
            "status": _tip_status(view, entry),
        }
        for entry in tips
        if entry is view.tip or not view.in_best_chain(entry)
    ]


def invalidateblock(call: Call, block_hash: BlockHash) -> None:
    """Treat a block, and all on top of it, as if it broke a rule."""
    entry = known_block(call.view, block_hash)
    if entry.parent is None:
        raise RpcError(MISC, "The genesis block cannot be ruled out")
    call.change(lambda node, now: node.invalidate(block_hash, now))


def reconsiderblock(call: Call, block_hash: BlockHash) -> None:
    """Take that back, for a block and all on top of it."""
    known_block(call.view, block_hash)
    call.change(lambda node, now: node.reconsider(block_hash, now))


def preciousblock(call: Call, block_hash: BlockHash) -> None:
    """Follow a block rather than others with as much work, as if it had come first."""
    known_block(call.view, block_hash)
    call.change(lambda node, now: node.prefer(block_hash, now))


def known_block(view: NodeView, block_hash: BlockHash) -> BlockNode:
    """The block of this hash, on any branch. Raises RpcError(-5)."""
    entry = view.get(block_hash)
    if entry is None:
        raise RpcError(NOT_FOUND, "Block not found")
    return entry


def folder_bytes(folder: Path) -> int:
    """The bytes of a folder's files."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(root, name)).st_size
            except FileNotFoundError:  # LevelDB removes files while we look
                continue
    return total


def _raw(view: NodeView, entry: BlockNode) -> bytes:
    raw = raw_block(view, entry)
    if raw is None:
        raise no_body()
    return raw


def no_body() -> RpcError:
    """The error for a block of which only the header is here."""
    return RpcError(MISC, "Block not available (not fully downloaded)")


def _tip_status(view: NodeView, entry: BlockNode) -> str:
    if entry is view.tip:
        return "active"
    if entry.invalid:
        return "invalid"
    if not entry.has_chain:
        return "headers-only"
    return "valid-fork" if view.reader.was_connected(entry.height, entry.hash) else "valid-headers"


_HASH = block_hash("blockhash")
METHODS = topic(
    "Blockchain",
    (getblockchaininfo,),
    (getblockcount,),
    (getbestblockhash,),
    (getdifficulty,),
    (getblockhash, integer("height")),
    (getblock, _HASH, verbosity("verbosity", 1, ("verbose",))),
    (getblockheader, _HASH, flag("verbose", True)),
    (gettxout, txid("txid"), integer("n", least=0, most=2**32 - 1), flag("include_mempool", True)),
    (getchaintips,),
    (invalidateblock, _HASH),
    (reconsiderblock, _HASH),
    (preciousblock, _HASH),
)
"""About blocks and chains."""
