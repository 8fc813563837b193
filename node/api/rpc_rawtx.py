"""JSON-RPC about transactions: found, decoded, tried, submitted."""

from typing import Any

from chain.errors import Reject, Rejected
from chain.hashes import BlockHash, Txid, to_hex
from chain.params import GENESIS
from chain.tx import Tx
from node.api.call import Call
from node.api.jsontext import Coins
from node.api.lookup import FoundTx, NoIndex, block_txs, find_block, find_tx
from node.api.rpc_args import amount, block_hash, flag, string, strings, txid, verbosity
from node.api.rpc_method import BAD_VALUE, NOT_FOUND, UNDECODABLE, RpcError, shown, topic
from node.api.rpc_shapes import found_shape, tx_shape
from node.api.shapes import Shape
from node.api.submission import (
    DEFAULT_MAX_RATE_SAT_KVB,
    SubmissionError,
    check_burns,
    decode_hex_tx,
    read_hex_tx,
    reason,
    rule,
    submit_hex,
)

TESTED_MAX = 25
"""Transactions of one testmempoolaccept."""
MAX_RATE_LIMIT_SAT_KVB = 100_000_000
"""A maximal fee rate above this is taken for a mistake itself."""

_HINT = "Use gettransaction for wallet transactions."


def getrawtransaction(call: Call, txid: Txid, verbose: int, block_hash: BlockHash | None) -> str | Shape:
    """A transaction of the mempool or of a block: 0 hex, 1 an object, 2 with what it spends too."""
    if block_hash is None and txid == GENESIS.txs[0].txid:
        raise RpcError(
            NOT_FOUND, "The genesis block coinbase is not considered an ordinary transaction and cannot be retrieved"
        )
    found = _find(call, txid) if block_hash is None else _find_in(call, txid, block_hash)
    if verbose <= 0:
        return found.tx.raw.hex()
    shape = found_shape(found, fee=verbose >= 2, prevouts=verbose >= 2)
    if found.entry is not None:
        if block_hash is not None:
            shape = {"in_active_chain": call.view.in_best_chain(found.entry), **shape}
        confirmations = call.view.confirmations(found.entry)
        shape["blockhash"] = to_hex(found.entry.hash)
        shape["confirmations"] = max(0, confirmations)
        if confirmations > 0:
            shape["time"] = shape["blocktime"] = found.entry.header.time
    return shape


def decoderawtransaction(call: Call, hexstring: str, is_witness: bool | None) -> Shape:
    """What a transaction in hex says."""
    return tx_shape(read_hex_tx(hexstring, is_witness))


def sendrawtransaction(call: Call, hexstring: str, max_rate: int, max_burn: int) -> str:
    """Submit a transaction in hex; a fee rate above maxfeerate (coins per 1,000 vB, 0: any) is refused."""
    check_burns(decode_hex_tx(hexstring), max_burn)
    return to_hex(submit_hex(call, hexstring, _checked_rate(max_rate)))


def testmempoolaccept(call: Call, rawtxs: list[str], max_rate: int) -> list[Shape]:
    """What the mempool would say to each of up to 25 transactions in hex."""
    rate = _checked_rate(max_rate)
    if not 1 <= len(rawtxs) <= TESTED_MAX:
        raise RpcError(BAD_VALUE, f"Array must contain between 1 and {TESTED_MAX} transactions.")
    txs = []
    for raw in rawtxs:
        try:
            txs.append(decode_hex_tx(raw))
        except SubmissionError:
            raise RpcError(
                UNDECODABLE, f"TX decode failed: {shown(raw)} Make sure the tx has at least one input."
            ) from None
    return [_test(call, tx, rate) for tx in txs]


def _test(call: Call, tx: Tx, max_rate: int) -> Shape:
    shape: dict[str, Any] = {"txid": to_hex(tx.txid), "wtxid": to_hex(tx.wtxid)}
    try:
        accepted = call.change(lambda node, now: node.test_accept(tx, now, max_fee_rate=max_rate or None))
    except Rejected as error:
        if error.code is Reject.INPUTS_MISSING_OR_SPENT:
            return {**shape, "allowed": False, "reject-reason": "missing-inputs"}
        return {**shape, "allowed": False, "reject-reason": rule(error), "reject-details": reason(error)}
    rate = Coins(-(-accepted.fee * 1000 // accepted.vsize))
    fees = {"base": Coins(accepted.fee), "effective-feerate": rate, "effective-includes": [shape["wtxid"]]}
    return {**shape, "allowed": True, "vsize": accepted.vsize, "fees": fees}


def _checked_rate(rate_sat_kvb: int) -> int:
    if rate_sat_kvb > MAX_RATE_LIMIT_SAT_KVB:
        raise RpcError(BAD_VALUE, "Fee rates larger than or equal to 1BTC/kvB are not accepted")
    return rate_sat_kvb


def _find(call: Call, txid: Txid) -> FoundTx:
    try:
        found = find_tx(call.view, txid)
    except NoIndex:
        raise RpcError(
            NOT_FOUND,
            "No such mempool transaction. This node runs with --no-index: provide a block hash to look in a block. "
            + _HINT,
        ) from None
    if found is None:
        raise RpcError(NOT_FOUND, f"No such mempool or blockchain transaction. {_HINT}")
    return found


def _find_in(call: Call, txid: Txid, block_hash: BlockHash) -> FoundTx:
    entry = call.view.get(block_hash)
    if entry is None:
        raise RpcError(NOT_FOUND, "Block hash not found")
    block = find_block(call.view, entry)
    position = next((n for n, tx in enumerate(block.txs) if tx.txid == txid), None) if block else None
    if position is None:
        raise RpcError(NOT_FOUND, f"No such transaction found in the provided block. {_HINT}")
    return block_txs(call.view, entry, position, 1)[0]


_RATE = amount("maxfeerate", DEFAULT_MAX_RATE_SAT_KVB)
METHODS = topic(
    "Rawtransactions",
    (getrawtransaction, txid("txid"), verbosity("verbosity", 0, ("verbose",)), block_hash("blockhash", None)),
    (decoderawtransaction, string("hexstring"), flag("iswitness", None)),
    (sendrawtransaction, string("hexstring"), _RATE, amount("maxburnamount", 0)),
    (testmempoolaccept, strings("rawtxs"), _RATE),
)
"""About transactions."""
