"""JSON-RPC about the mempool and fees."""

from decimal import Decimal
from typing import Any

from chain.hashes import Txid, to_hex
from chain.tx import OutPoint, outpoint, outpoint_index, outpoint_txid
from node.api.actions.core_errors import BAD_VALUE, NOT_FOUND, TYPE, RpcError, shown
from node.api.context import Call
from node.api.encoding.json_codec import Coins, Shape
from node.api.rpc.args import (
    INT32_MAX,
    INT32_MIN,
    array,
    flag,
    hash_in,
    integer,
    integer_in,
    string,
    txid,
    wrong_type,
)
from node.api.rpc.core_json import pool_shape
from node.api.rpc.method import topic
from node.mempool.entry import MempoolEntry
from node.mempool.fee_estimator import TARGET_MAX
from node.mempool.mempool import USAGE_MAX_BYTES
from node.mempool.policy import INCREMENTAL_FEE_SAT_KVB, MIN_RELAY_FEE_SAT_KVB

ESTIMATE_MODES = ("unset", "economical", "conservative")


def getrawmempool(call: Call, verbose: bool, mempool_sequence: bool) -> Any:
    """Ids of all unconfirmed transactions, or all about them."""
    pool = call.view.pool
    sequence = pool.changes + 1  # of the next one, as Core counts; read before the rest
    if verbose:
        if mempool_sequence:
            raise RpcError(BAD_VALUE, "Verbose results cannot contain mempool sequence values.")
        return {to_hex(entry.txid): pool_shape(pool, entry) for entry in list(pool.entries.values())}
    entries = list(pool.entries.values())
    txids = [to_hex(entry.txid) for entry in entries]
    if not mempool_sequence:
        return txids
    return {"txids": txids, "mempool_sequence": sequence}


def getmempoolentry(call: Call, txid: Txid) -> Shape:
    """A transaction's entry in the mempool."""
    return pool_shape(call.view.pool, _entry(call, txid))


def getmempoolancestors(call: Call, txid: Txid, verbose: bool) -> Any:
    """Ids of all unconfirmed transactions that have to be mined before one, or all about them."""
    return _entries_shape(call, call.view.pool.ancestors(_entry(call, txid)), verbose)


def getmempooldescendants(call: Call, txid: Txid, verbose: bool) -> Any:
    """Ids of all unconfirmed transactions that can be mined only after one, or all about them."""
    return _entries_shape(call, call.view.pool.descendants(_entry(call, txid)), verbose)


def gettxspendingprevout(call: Call, outputs: list[Any]) -> list[Shape]:
    """The unconfirmed transaction that spends each of some outputs, if one does."""
    if not outputs:
        raise RpcError(BAD_VALUE, "Invalid parameter, outputs are missing")
    points = [_outpoint(given) for given in outputs]
    shapes = []
    for point in points:
        shape: Shape = {"txid": to_hex(outpoint_txid(point)), "vout": outpoint_index(point)}
        spender = call.view.pool.spender(point)
        shapes.append(shape if spender is None else {**shape, "spendingtxid": to_hex(spender)})
    return shapes


def _outpoint(given: Any) -> OutPoint:
    """An object of txid and vout, and no more. Raises RpcError."""
    if not isinstance(given, dict):
        raise wrong_type(given, "object")
    for name, kind in (("txid", str), ("vout", int | Decimal)):
        if name not in given:
            raise RpcError(TYPE, f"Missing {name}")
        if not isinstance(given[name], kind) or isinstance(given[name], bool):
            raise wrong_type(given[name], "string" if kind is str else "number", name)
    for name in given:
        if name not in ("txid", "vout"):
            raise RpcError(TYPE, f"Unexpected key {shown(name)}")
    txid = Txid(hash_in("txid", given["txid"]))
    index = integer_in(given["vout"], INT32_MIN, INT32_MAX)
    if index < 0:
        raise RpcError(BAD_VALUE, "Invalid parameter, vout cannot be negative")
    return outpoint(txid, index)


def _entry(call: Call, txid: Txid) -> MempoolEntry:
    entry = call.view.pool.entry(txid)
    if entry is None:
        raise RpcError(NOT_FOUND, "Transaction not in mempool")
    return entry


def _entries_shape(call: Call, entries: list[MempoolEntry], verbose: bool) -> Any:
    if not verbose:
        return [to_hex(entry.txid) for entry in entries]
    return {to_hex(entry.txid): pool_shape(call.view.pool, entry) for entry in entries}


def getmempoolinfo(call: Call) -> Shape:
    """The mempool's sums and limits."""
    pool = call.view.pool
    return {
        "loaded": True,
        "size": pool.totals.count,
        "bytes": pool.totals.vsize,
        "usage": pool.usage,
        "total_fee": Coins(pool.totals.fee),
        "maxmempool": USAGE_MAX_BYTES,
        "mempoolminfee": Coins(_least(call)),
        "minrelaytxfee": Coins(MIN_RELAY_FEE_SAT_KVB),
        "incrementalrelayfee": Coins(INCREMENTAL_FEE_SAT_KVB),
        "unbroadcastcount": 0,
        "fullrbf": True,
    }


def estimatesmartfee(call: Call, target: int, mode: str) -> Shape:
    """The fee rate to be mined within so many blocks, or within more (blocks) where too little is known of so few."""
    if not 1 <= target <= TARGET_MAX:
        raise RpcError(BAD_VALUE, f"Invalid conf_target, must be between 1 and {TARGET_MAX}")
    if mode.lower() not in ESTIMATE_MODES:
        names = ", ".join(f'"{name}"' for name in ESTIMATE_MODES)
        raise RpcError(BAD_VALUE, f"Invalid estimate_mode parameter, must be one of: {names}")
    estimate = call.view.fees.nearest(target)
    if estimate is None:
        return {"errors": ["Insufficient data or no feerate found"], "blocks": target}
    return {"feerate": Coins(max(-int(-estimate.rate * 1000 // 1), _least(call))), "blocks": estimate.blocks}


def _least(call: Call) -> int:
    """The rate that the next transaction has to pay, in satoshis per 1,000 vB."""
    return max(-int(-call.view.pool.floor_sat_kvb // 1), MIN_RELAY_FEE_SAT_KVB)


METHODS = topic(
    "Mempool",
    (getrawmempool, flag("verbose", False), flag("mempool_sequence", False)),
    (getmempoolentry, txid("txid")),
    (getmempoolancestors, txid("txid"), flag("verbose", False)),
    (getmempooldescendants, txid("txid"), flag("verbose", False)),
    (gettxspendingprevout, array("outputs")),
    (getmempoolinfo,),
    (estimatesmartfee, integer("conf_target"), string("estimate_mode", "economical")),
)
"""About the mempool and fees."""
