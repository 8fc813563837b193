"""JSON-RPC about the mempool and fees."""

from typing import Any

from chain.hashes import Txid, to_hex
from node.api.call import Call
from node.api.jsontext import Coins
from node.api.rpc_args import flag, integer, string, txid
from node.api.rpc_method import BAD_VALUE, NOT_FOUND, RpcError, topic
from node.api.rpc_shapes import pool_shape
from node.api.shapes import Shape
from node.fees import TARGET_MAX
from node.mempool import USAGE_MAX_BYTES
from node.policy import INCREMENTAL_FEE_SAT_KVB, MIN_RELAY_FEE_SAT_KVB

ESTIMATE_MODES = ("unset", "economical", "conservative")


def getrawmempool(call: Call, verbose: bool, mempool_sequence: bool) -> Any:
    """Ids of all unconfirmed transactions, or all about them."""
    pool = call.view.pool
    if verbose:
        if mempool_sequence:
            raise RpcError(BAD_VALUE, "Verbose results cannot contain mempool sequence values.")
        return {to_hex(entry.txid): pool_shape(pool, entry) for entry in list(pool.entries.values())}
    entries = list(pool.entries.values())
    txids = [to_hex(entry.txid) for entry in entries]
    if not mempool_sequence:
        return txids
    return {"txids": txids, "mempool_sequence": 1 + max((entry.sequence for entry in entries), default=0)}


def getmempoolentry(call: Call, txid: Txid) -> Shape:
    """What the mempool knows of a transaction."""
    entry = call.view.pool.entry(txid)
    if entry is None:
        raise RpcError(NOT_FOUND, "Transaction not in mempool")
    return pool_shape(call.view.pool, entry)


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
    """The fee rate to be mined within so many blocks."""
    if not 1 <= target <= TARGET_MAX:
        raise RpcError(BAD_VALUE, f"Invalid conf_target, must be between 1 and {TARGET_MAX}")
    if mode.lower() not in ESTIMATE_MODES:
        names = ", ".join(f'"{name}"' for name in ESTIMATE_MODES)
        raise RpcError(BAD_VALUE, f"Invalid estimate_mode parameter, must be one of: {names}")
    rate_sat_vb = call.view.fees.estimate(target)
    if rate_sat_vb is None:
        return {"errors": ["Insufficient data or no feerate found"], "blocks": target}
    return {"feerate": Coins(max(-int(-rate_sat_vb * 1000 // 1), _least(call))), "blocks": target}


def _least(call: Call) -> int:
    """The rate that the next transaction has to pay, in satoshis per 1,000 vB."""
    return max(-int(-call.view.pool.floor_sat_kvb // 1), MIN_RELAY_FEE_SAT_KVB)


METHODS = topic(
    "Mempool",
    (getrawmempool, flag("verbose", False), flag("mempool_sequence", False)),
    (getmempoolentry, txid("txid")),
    (getmempoolinfo,),
    (estimatesmartfee, integer("conf_target"), string("estimate_mode", "economical")),
)
"""About the mempool and fees."""
