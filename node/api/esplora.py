"""Esplora's REST routes: blocks, transactions and the mempool (scripts are in esplora_scripts.py).

The table at the end is what requests are routed by, at `/…` and at `/api/…` alike.
"""

from flask import Response

from chain.block import merkle_branch
from chain.hashes import BlockHash, Txid, to_hex
from chain.tree import Entry
from chain.tx import OutPoint, outpoint
from node.api.answers import JSON, OCTETS, TEXT, Problem, document, octets, text
from node.api.call import Call
from node.api.lookup import (
    FoundTx,
    block_txs,
    find_block,
    find_confirmed,
    find_spender,
    find_tx,
    raw_block,
)
from node.api.merkleblock import merkle_block
from node.api.routes import Kind, Route
from node.api.shapes import (
    block_shape,
    outspend_shape,
    recent_shape,
    status_shape,
    tx_shape,
)
from node.api.submission import SubmissionError, submit_hex

BLOCKS_LISTED = 10
TXS_PER_PAGE = 25
RECENT_TXS = 10
TX_BODY_MAX = 1_000_000
"""Bytes of a transaction in hex, twice what policy lets in."""

_NO_BLOCK = (404, "Block not found")
_NO_TX = (404, "Transaction not found")
_NO_PROOF = (404, "Transaction not found or is unconfirmed")
_NO_POSITION = (404, "tx index out of range")
_PAGE_START = (400, f"start index must be a multiple of {TXS_PER_PAGE}")
_PAGE_RANGE = (400, "start index out of range")
_NO_HEX = (400, "Missing tx")


def tip_height(call: Call) -> Response:
    return text(str(call.view.tip.height))


def tip_hash(call: Call) -> Response:
    return text(to_hex(call.view.tip.hash))


def hash_at(call: Call, height: int) -> Response:
    entry = call.view.entry_at(height)
    if entry is None:
        raise Problem(*_NO_BLOCK)
    return text(to_hex(entry.hash))


def blocks(call: Call, start: int | None = None) -> Response:
    top = call.view.tip.height if start is None else start
    if call.view.entry_at(top) is None:
        raise Problem(*_NO_BLOCK)
    heights = range(top, max(-1, top - BLOCKS_LISTED), -1)
    return document([_block_shape(call, call.view.tip.ancestor(height)) for height in heights])


def block(call: Call, block_hash: BlockHash) -> Response:
    return document(_block_shape(call, _entry(call, block_hash)))


def block_header(call: Call, block_hash: BlockHash) -> Response:
    return text(_entry(call, block_hash).header.raw.hex())


def block_raw(call: Call, block_hash: BlockHash) -> Response:
    return octets(_raw(call, _entry(call, block_hash)))


def block_status(call: Call, block_hash: BlockHash) -> Response:
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


def block_txids(call: Call, block_hash: BlockHash) -> Response:
    return document([to_hex(txid) for txid in _txids(call, _entry(call, block_hash))])


def block_txid(call: Call, block_hash: BlockHash, index: int) -> Response:
    txids = _txids(call, _entry(call, block_hash))
    if index >= len(txids):
        raise Problem(*_NO_POSITION)
    return text(to_hex(txids[index]))


def block_page(call: Call, block_hash: BlockHash, start: int | None = None) -> Response:
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


def tx(call: Call, txid: Txid) -> Response:
    return document(tx_shape(_tx(call, txid)))


def tx_hex(call: Call, txid: Txid) -> Response:
    return text(_tx(call, txid).tx.raw.hex())


def tx_raw(call: Call, txid: Txid) -> Response:
    return octets(_tx(call, txid).tx.raw)


def tx_status(call: Call, txid: Txid) -> Response:
    if call.view.pool.entry(txid) is not None:
        return document(status_shape(None))
    confirmed = find_confirmed(call.view, txid)
    return document(status_shape(confirmed[0] if confirmed else None))


def tx_outspends(call: Call, txid: Txid) -> Response:
    outputs = _tx(call, txid).tx.outputs
    points = [outpoint(txid, index) for index in range(len(outputs))]
    return document([outspend_shape(find_spender(call.view, point)) for point in points])


def tx_outspend(call: Call, txid: Txid, index: int) -> Response:
    point: OutPoint = outpoint(txid, index)
    return document(outspend_shape(find_spender(call.view, point)))


def tx_merkle_proof(call: Call, txid: Txid) -> Response:
    entry, position = _confirmed(call, txid)
    branch = merkle_branch([bytes(one) for one in _txids(call, entry)], position)
    return document({"block_height": entry.height, "merkle": [to_hex(node) for node in branch], "pos": position})


def tx_merkle_block(call: Call, txid: Txid) -> Response:
    entry, position = _confirmed(call, txid)
    return text(merkle_block(entry.header, _txids(call, entry), {position}).hex())


def send_tx(call: Call) -> Response:
    return _send(call, call.body())


def broadcast(call: Call, given: str | None) -> Response:
    if given is None:
        raise Problem(*_NO_HEX)
    return _send(call, given.encode("utf-8", "replace"))


def mempool(call: Call) -> Response:
    pool = call.view.pool
    return document(
        {
            "count": pool.totals.count,
            "vsize": pool.totals.vsize,
            "total_fee": pool.totals.fee,
            "fee_histogram": pool.fee_histogram(),
        }
    )


def mempool_txids(call: Call) -> Response:
    return document([to_hex(txid) for txid in tuple(call.view.pool.entries)])


def mempool_recent(call: Call) -> Response:
    return document([recent_shape(entry) for entry in call.view.pool.newest(RECENT_TXS)])


def _send(call: Call, given: bytes) -> Response:
    try:
        return text(to_hex(submit_hex(call, given.decode("ascii", "replace").strip())))
    except SubmissionError as error:
        raise Problem(400, f"sendrawtransaction RPC error {error.code}: {error.reason}") from None


def _entry(call: Call, block_hash: BlockHash) -> Entry:
    entry = call.view.get(block_hash)
    if entry is None:
        raise Problem(*_NO_BLOCK)
    return entry


def _raw(call: Call, entry: Entry) -> bytes:
    raw = raw_block(call.view, entry)
    if raw is None:
        raise Problem(*_NO_BLOCK)
    return raw


def _block_shape(call: Call, entry: Entry) -> dict[str, object]:
    facts = call.measures.of(call.view, entry)
    if facts is None:
        raise Problem(*_NO_BLOCK)
    return block_shape(entry, facts)


def _txids(call: Call, entry: Entry) -> list[Txid]:
    found = find_block(call.view, entry)
    if found is None:
        raise Problem(*_NO_BLOCK)
    return [one.txid for one in found.txs]


def _tx(call: Call, txid: Txid) -> FoundTx:
    found = find_tx(call.view, txid)
    if found is None:
        raise Problem(*_NO_TX)
    return found


def _confirmed(call: Call, txid: Txid) -> tuple[Entry, int]:
    confirmed = find_confirmed(call.view, txid)
    if confirmed is None:
        raise Problem(*_NO_PROOF)
    return confirmed


_HASH = {"block_hash": Kind.BLOCK_HASH}
_TXID = {"txid": Kind.TXID}
_OF_BLOCK = (_NO_BLOCK,)
_OF_TX = (_NO_TX,)

ROUTES = (
    Route("GET", "/blocks/tip/height", tip_height, "Height of the best chain's last block", TEXT),
    Route("GET", "/blocks/tip/hash", tip_hash, "Hash of the best chain's last block", TEXT),
    Route(
        "GET",
        "/block-height/:height",
        hash_at,
        "Hash of the best chain's block at a height",
        TEXT,
        {"height": Kind.NUMBER},
        errors=_OF_BLOCK,
    ),
    Route("GET", "/blocks", blocks, "The last ten blocks", JSON),
    Route(
        "GET",
        "/blocks/:start",
        blocks,
        "Ten blocks from a height downwards",
        JSON,
        {"start": Kind.LENIENT_NUMBER},
        errors=_OF_BLOCK,
    ),
    Route("GET", "/block/:block_hash", block, "A block", JSON, _HASH, errors=_OF_BLOCK),
    Route("GET", "/block/:block_hash/header", block_header, "A block's header in hex", TEXT, _HASH, errors=_OF_BLOCK),
    Route("GET", "/block/:block_hash/raw", block_raw, "A block's bytes", OCTETS, _HASH, errors=_OF_BLOCK),
    Route("GET", "/block/:block_hash/status", block_status, "Where a block stands", JSON, _HASH),
    Route("GET", "/block/:block_hash/txids", block_txids, "Ids of a block's transactions", JSON, _HASH, errors=_OF_BLOCK),
    Route(
        "GET",
        "/block/:block_hash/txid/:index",
        block_txid,
        "Id of one transaction of a block",
        TEXT,
        {**_HASH, "index": Kind.NUMBER},
        errors=(_NO_BLOCK, _NO_POSITION),
    ),
    Route("GET", "/block/:block_hash/txs", block_page, "A block's first 25 transactions", JSON, _HASH, errors=_OF_BLOCK),
    Route(
        "GET",
        "/block/:block_hash/txs/:start",
        block_page,
        "25 transactions of a block",
        JSON,
        {**_HASH, "start": Kind.LENIENT_NUMBER},
        errors=(_NO_BLOCK, _PAGE_START, _PAGE_RANGE),
    ),
    Route("GET", "/tx/:txid", tx, "A transaction", JSON, _TXID, errors=_OF_TX),
    Route("GET", "/tx/:txid/hex", tx_hex, "A transaction in hex", TEXT, _TXID, errors=_OF_TX),
    Route("GET", "/tx/:txid/raw", tx_raw, "A transaction's bytes", OCTETS, _TXID, errors=_OF_TX),
    Route("GET", "/tx/:txid/status", tx_status, "Where a transaction stands", JSON, _TXID),
    Route("GET", "/tx/:txid/outspends", tx_outspends, "Who spends each output", JSON, _TXID, errors=_OF_TX),
    Route(
        "GET",
        "/tx/:txid/outspend/:index",
        tx_outspend,
        "Who spends an output",
        JSON,
        {**_TXID, "index": Kind.INDEX},
    ),
    Route("GET", "/tx/:txid/merkle-proof", tx_merkle_proof, "A proof of inclusion", JSON, _TXID, errors=(_NO_PROOF,)),
    Route(
        "GET",
        "/tx/:txid/merkleblock-proof",
        tx_merkle_block,
        "A proof of inclusion as BIP37's merkleblock, in hex",
        TEXT,
        _TXID,
        errors=(_NO_PROOF,),
    ),
    Route(
        "POST",
        "/tx",
        send_tx,
        "Submit a transaction in hex",
        TEXT,
        body_max=TX_BODY_MAX,
        errors=((400, "sendrawtransaction RPC error"),),
        writes=True,
    ),
    Route(
        "GET",
        "/broadcast",
        broadcast,
        "Submit a transaction in hex, as a query",
        TEXT,
        query={"tx": Kind.TX_HEX},
        errors=(_NO_HEX, (400, "sendrawtransaction RPC error")),
        writes=True,
    ),
    Route("GET", "/mempool", mempool, "The mempool's sums", JSON),
    Route("GET", "/mempool/txids", mempool_txids, "Ids of all unconfirmed transactions", JSON),
    Route("GET", "/mempool/recent", mempool_recent, "The ten newest unconfirmed transactions", JSON),
)
"""Everything but scripts and fees."""
