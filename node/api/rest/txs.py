"""Esplora's routes about transactions."""

from collections.abc import Callable

from chain.block import merkle_branch
from chain.blocktree import BlockNode
from chain.hashes import Txid, to_hex
from chain.tx import outpoint
from node.api.actions.submit_package import submit_package
from node.api.actions.submit_tx import DEFAULT_MAX_RATE_SAT_KVB, SubmissionError, submit_hex
from node.api.context import Call
from node.api.encoding.json_codec import BadJson, parse
from node.api.encoding.merkleblock import merkle_block
from node.api.http.conditional import immutable
from node.api.http.message import JSON, OCTETS, TEXT, Problem, Response, document, octets, text
from node.api.query.esplora_json import outspend_shape, status_shape, tx_shape
from node.api.query.queries import FoundTx, block_txids, find_confirmed, find_spender, find_tx
from node.api.routing.route import ParamType, Route

TX_BODY_MAX = 1_000_000
"""Bytes of a transaction in hex: policy lets in fewer."""
PACKAGE_BODY_MAX = 4_000_000
"""Bytes of a package in hex: policy lets in fewer."""
BURIED_BLOCKS = 10
"""Confirmations with which a transaction's bytes may be kept by caches (electrs)."""

_NO_TX = (404, "Transaction not found")
_NO_PROOF = (404, "Transaction not found or is unconfirmed")
_NO_HEX = (400, "Missing tx")
_NO_PACKAGE = (400, "Invalid array of transactions")
_PACKAGE_REFUSED = (400, "submitpackage RPC error")
_REFUSED = (400, "sendrawtransaction RPC error")


def whole_tx(call: Call, txid: Txid) -> Response:
    """A transaction."""
    return document(tx_shape(_tx(call, txid)))


def tx_hex(call: Call, txid: Txid) -> Response:
    """A transaction in hex."""
    found = _tx(call, txid)
    return _permanent_if_buried(call, text(found.tx.raw.hex()), found)


def tx_raw(call: Call, txid: Txid) -> Response:
    """A transaction's bytes."""
    found = _tx(call, txid)
    return _permanent_if_buried(call, octets(found.tx.raw), found)


def tx_status(call: Call, txid: Txid) -> Response:
    """Status of a transaction: whether it is confirmed, and its block."""
    if call.view.pool.entry(txid) is not None:
        return document(status_shape(None))
    confirmed = find_confirmed(call.view, txid)
    return document(status_shape(confirmed[0] if confirmed else None))


def tx_outspends(call: Call, txid: Txid) -> Response:
    """Spending status of each output."""
    outputs = _tx(call, txid).tx.outputs
    points = [outpoint(txid, index) for index in range(len(outputs))]
    return document([outspend_shape(find_spender(call.view, point)) for point in points])


def tx_outspend(call: Call, txid: Txid, index: int) -> Response:
    """Spending status of an output."""
    return document(outspend_shape(find_spender(call.view, outpoint(txid, index))))


def tx_merkle_proof(call: Call, txid: Txid) -> Response:
    """A proof of inclusion."""
    entry, position, txids = _confirmed(call, txid)
    branch = merkle_branch([bytes(one) for one in txids], position)
    return document({"block_height": entry.height, "merkle": [to_hex(node) for node in branch], "pos": position})


def tx_merkle_block(call: Call, txid: Txid) -> Response:
    """BIP37's merkleblock, in hex."""
    entry, position, txids = _confirmed(call, txid)
    return text(merkle_block(entry.header, txids, {position}).hex())


def send_tx(call: Call) -> Response:
    """Submit a transaction in hex."""
    return _send(call, call.body())


def broadcast(call: Call, tx: str | None) -> Response:
    """Submit a transaction in hex, as a query."""
    if tx is None:
        raise Problem(*_NO_HEX)
    return _send(call, tx.encode("utf-8", "replace"))


def send_package(call: Call, maxfeerate: int | None, maxburnamount: int | None) -> Response:
    """Submit a child with its parents, an array of transactions in hex."""
    try:
        given = parse(call.body())
    except BadJson:
        raise Problem(*_NO_PACKAGE) from None
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise Problem(*_NO_PACKAGE)
    rate = DEFAULT_MAX_RATE_SAT_KVB if maxfeerate is None else maxfeerate
    try:
        return document(submit_package(call, given, rate, maxburnamount or 0))
    except SubmissionError as error:
        raise Problem(400, f"submitpackage RPC error {error.code}: {error.reason}") from None


def _send(call: Call, given: bytes) -> Response:
    try:
        return text(to_hex(submit_hex(call, given.decode("ascii", "replace").strip())))
    except SubmissionError as error:
        raise Problem(400, f"sendrawtransaction RPC error {error.code}: {error.reason}") from None


def _tx(call: Call, txid: Txid) -> FoundTx:
    found = find_tx(call.view, txid)
    if found is None:
        raise Problem(*_NO_TX)
    return found


def _permanent_if_buried(call: Call, answer: Response, found: FoundTx) -> Response:
    """A transaction's bytes. Its id does not name the witnesses: until it is buried others may stand in a block."""
    if found.entry is None or call.view.tip.height - found.entry.height + 1 < BURIED_BLOCKS:
        return answer
    return immutable(call.request, answer, to_hex(found.tx.wtxid))


def _confirmed(call: Call, txid: Txid) -> tuple[BlockNode, int, list[Txid]]:
    """Block and position of a confirmed transaction, and the ids of all in that block."""
    confirmed = find_confirmed(call.view, txid)
    txids = block_txids(call.view, confirmed[0]) if confirmed else None
    if confirmed is None or txids is None:
        raise Problem(*_NO_PROOF)
    return (*confirmed, txids)


def _get(path: str, answer: Callable[..., Response], content: str, *errors: tuple[int, str], schema: str = "") -> Route:
    """A route about one transaction."""
    params = {"txid": ParamType.TXID} | ({"index": ParamType.INDEX} if ":index" in path else {})
    return Route("GET", path, answer, content, schema, params, errors=errors)


ROUTES = (
    _get("/tx/:txid", whole_tx, JSON, _NO_TX, schema="Transaction"),
    _get("/tx/:txid/hex", tx_hex, TEXT, _NO_TX),
    _get("/tx/:txid/raw", tx_raw, OCTETS, _NO_TX),
    _get("/tx/:txid/status", tx_status, JSON, schema="Status"),
    _get("/tx/:txid/outspends", tx_outspends, JSON, _NO_TX, schema="Outspends"),
    _get("/tx/:txid/outspend/:index", tx_outspend, JSON, schema="Outspend"),
    _get("/tx/:txid/merkle-proof", tx_merkle_proof, JSON, _NO_PROOF, schema="MerkleProof"),
    _get("/tx/:txid/merkleblock-proof", tx_merkle_block, TEXT, _NO_PROOF),
    Route(
        "POST",
        "/tx",
        send_tx,
        TEXT,
        body_max=TX_BODY_MAX,
        takes="TransactionHex",
        errors=(_REFUSED,),
        writes=True,
    ),
    Route(
        "POST",
        "/txs/package",
        send_package,
        JSON,
        "PackageResult",
        query={"maxfeerate": ParamType.COINS, "maxburnamount": ParamType.COINS},
        body_max=PACKAGE_BODY_MAX,
        takes="PackageHex",
        errors=(_NO_PACKAGE, _PACKAGE_REFUSED),
        writes=True,
    ),
    Route(
        "GET",
        "/broadcast",
        broadcast,
        TEXT,
        query={"tx": ParamType.TX_HEX},
        errors=(_NO_HEX, _REFUSED),
        writes=True,
    ),
)
"""About transactions."""
