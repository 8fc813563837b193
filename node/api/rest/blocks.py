"""Esplora's routes about blocks."""

from collections.abc import Callable

from chain.blocktree import BlockNode
from chain.hashes import BlockHash, Txid, to_hex
from node.api.context import Call
from node.api.encoding.json_codec import Shape
from node.api.http.conditional import immutable
from node.api.http.message import JSON, OCTETS, TEXT, Problem, Response, document, octets, text
from node.api.query.esplora_json import block_shape, tx_shape
from node.api.query.queries import block_txids, block_txs, raw_block
from node.api.routing.route import ParamType, Route

BLOCKS_LISTED = 10
TXS_PER_PAGE = 25

_NO_BLOCK = (404, "Block not found")
_NO_POSITION = (404, "tx index out of range")
_PAGE_START = (400, f"start index must be a multiple of {TXS_PER_PAGE}")
_PAGE_RANGE = (400, "start index out of range")


def tip_height(call: Call) -> Response:
    """Height of the best chain's last block."""
    return text(str(call.view.tip.height))


def tip_hash(call: Call) -> Response:
    """Hash of the best chain's last block."""
    return text(to_hex(call.view.tip.hash))


def hash_at(call: Call, height: int) -> Response:
    """Hash of the best chain's block at a height."""
    entry = call.view.entry_at(height)
    if entry is None:
        raise Problem(*_NO_BLOCK)
    return text(to_hex(entry.hash))


def blocks(call: Call, start: int | None = None) -> Response:
    """Ten blocks, from the tip or a height downwards."""
    top = call.view.tip.height if start is None else start
    if call.view.entry_at(top) is None:
        raise Problem(*_NO_BLOCK)
    heights = range(top, max(-1, top - BLOCKS_LISTED), -1)
    return document([_block_shape(call, call.view.tip.ancestor(height)) for height in heights])


def block(call: Call, block_hash: BlockHash) -> Response:
    """A block."""
    return _permanent(call, document(_block_shape(call, _entry(call, block_hash))), block_hash)


def block_header(call: Call, block_hash: BlockHash) -> Response:
    """A block's header in hex."""
    return _permanent(call, text(_entry(call, block_hash).header.raw.hex()), block_hash)


def block_raw(call: Call, block_hash: BlockHash) -> Response:
    """A block's bytes."""
    return _permanent(call, octets(_raw(call, _entry(call, block_hash))), block_hash)


def block_status(call: Call, block_hash: BlockHash) -> Response:
    """Status of a block: whether it is in the best chain, its height, the next block."""
    entry = call.view.get(block_hash)
    if entry is None or not call.view.in_best_chain(entry):
        return document({"in_best_chain": False, "height": None, "next_best": None})
    following = call.view.entry_at(entry.height + 1)
    return document(
        {
            "in_best_chain": True,
            "height": entry.height,
            "next_best": to_hex(following.hash) if following else None,
        }
    )


def txids(call: Call, block_hash: BlockHash) -> Response:
    """Ids of a block's transactions."""
    return _permanent(call, document([to_hex(txid) for txid in _txids(call, block_hash)]), block_hash)


def block_txid(call: Call, block_hash: BlockHash, index: int) -> Response:
    """Id of one transaction of a block."""
    txids = _txids(call, block_hash)
    if index >= len(txids):
        raise Problem(*_NO_POSITION)
    return _permanent(call, text(to_hex(txids[index])), block_hash)


def block_page(call: Call, block_hash: BlockHash, start: int | None = None) -> Response:
    """25 transactions of a block, from a position on."""
    entry = _entry(call, block_hash)
    _raw(call, entry)
    first = start or 0
    if first % TXS_PER_PAGE:
        raise Problem(*_PAGE_START)
    found = block_txs(call.view, entry, first, TXS_PER_PAGE)
    if not found:
        raise Problem(*_PAGE_RANGE)
    confirmed = call.view.in_best_chain(entry)
    return document([tx_shape(one, confirmed=confirmed) for one in found])


def _permanent(call: Call, answer: Response, block_hash: BlockHash) -> Response:
    """An answer in which every field is fixed by the block's hash; where it stands, and so what its
    transactions' `status` says, is not."""
    return immutable(call.request, answer, to_hex(block_hash))


def _entry(call: Call, block_hash: BlockHash) -> BlockNode:
    entry = call.view.get(block_hash)
    if entry is None:
        raise Problem(*_NO_BLOCK)
    return entry


def _raw(call: Call, entry: BlockNode) -> bytes:
    raw = raw_block(call.view, entry)
    if raw is None:
        raise Problem(*_NO_BLOCK)
    return raw


def _block_shape(call: Call, entry: BlockNode) -> Shape:
    facts = call.measures.of(call.view, entry)
    if facts is None:
        raise Problem(*_NO_BLOCK)
    return block_shape(entry, facts)


def _txids(call: Call, block_hash: BlockHash) -> list[Txid]:
    found = block_txids(call.view, _entry(call, block_hash))
    if found is None:
        raise Problem(*_NO_BLOCK)
    return found


def _get(path: str, answer: Callable[..., Response], content: str, *errors: tuple[int, str], schema: str = "") -> Route:
    """A route about one block, or about a page of blocks."""
    params = {name: kind for name, kind in _PARAMS.items() if f":{name}" in path}
    return Route("GET", path, answer, content, schema, params, errors=errors)


_PARAMS = {
    "block_hash": ParamType.BLOCK_HASH,
    "height": ParamType.NUMBER,
    "index": ParamType.NUMBER,
    "start": ParamType.LENIENT_NUMBER,
}
ROUTES = (
    Route("GET", "/blocks/tip/height", tip_height, TEXT, quick=True),
    Route("GET", "/blocks/tip/hash", tip_hash, TEXT, quick=True),
    _get("/block-height/:height", hash_at, TEXT, _NO_BLOCK),
    _get("/blocks", blocks, JSON, schema="Blocks"),
    _get("/blocks/:start", blocks, JSON, _NO_BLOCK, schema="Blocks"),
    _get("/v1/blocks", blocks, JSON, schema="Blocks"),
    _get("/v1/blocks/:start", blocks, JSON, _NO_BLOCK, schema="Blocks"),
    _get("/block/:block_hash", block, JSON, _NO_BLOCK, schema="Block"),
    _get("/v1/block/:block_hash", block, JSON, _NO_BLOCK, schema="Block"),
    _get("/block/:block_hash/header", block_header, TEXT, _NO_BLOCK),
    _get("/block/:block_hash/raw", block_raw, OCTETS, _NO_BLOCK),
    _get("/block/:block_hash/status", block_status, JSON, schema="BlockStatus"),
    _get("/block/:block_hash/txids", txids, JSON, _NO_BLOCK, schema="Txids"),
    _get("/block/:block_hash/txid/:index", block_txid, TEXT, _NO_BLOCK, _NO_POSITION),
    _get("/block/:block_hash/txs", block_page, JSON, _NO_BLOCK, schema="TransactionPage"),
    _get(
        "/block/:block_hash/txs/:start",
        block_page,
        JSON,
        _NO_BLOCK,
        _PAGE_START,
        _PAGE_RANGE,
        schema="TransactionPage",
    ),
)
"""About blocks."""
