"""JSON-RPC about transactions: found, decoded, tried, submitted."""

from chain.errors import Reject, Rejected
from chain.hashes import BlockHash, Txid, to_hex
from chain.params import GENESIS
from chain.tx import Tx
from node.api.actions.core_errors import BAD_VALUE, NOT_FOUND, RpcError
from node.api.actions.submit_package import submit_package
from node.api.actions.submit_tx import (
    DEFAULT_MAX_RATE_SAT_KVB,
    check_burns,
    decode_hex_tx,
    decode_hex_txs,
    read_hex_tx,
    reason,
    rule,
    submission_error,
    submit_hex,
)
from node.api.context import Call
from node.api.encoding.json_codec import Coins, Shape
from node.api.query.queries import FoundTx, NoIndex, block_txs, find_block, find_tx
from node.api.rpc.args import amount, block_hash, flag, string, strings, txid, verbosity
from node.api.rpc.core_json import found_shape, tx_shape
from node.api.rpc.method import topic
from node.mempool.policy import Policy, fee_at

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
    """Decode a transaction in hex."""
    return tx_shape(read_hex_tx(hexstring, is_witness))


def sendrawtransaction(call: Call, hexstring: str, max_rate: int, max_burn: int) -> str:
    """Submit a transaction in hex; a fee rate above maxfeerate (coins per 1,000 vB, 0: any) is refused."""
    check_burns(decode_hex_tx(hexstring), max_burn)
    return to_hex(submit_hex(call, hexstring, _checked_rate(max_rate)))


def testmempoolaccept(call: Call, rawtxs: list[str], max_rate: int) -> list[Shape]:
    """The mempool's verdict on up to 25 transactions in hex, one after the other; none is replaced."""
    rate = _checked_rate(max_rate)
    txs = decode_hex_txs(rawtxs)
    return [_test(call, txs[0], rate)] if len(txs) == 1 else _test_together(call, txs, rate)


def submitpackage(call: Call, package: list[str], max_rate: int, max_burn: int) -> Shape:
    """Submit up to 25 transactions in hex: a child, which is the last, and its parents, for which it may pay."""
    return submit_package(call, package, _checked_rate(max_rate), max_burn)


def _test(call: Call, tx: Tx, max_rate: int) -> Shape:
    shape = _names(tx)
    try:
        accepted = call.change(lambda node, now: node.test_accept(tx, now, max_fee_rate=max_rate or None))
    except Rejected as error:
        return {**shape, **_refusal(error)}
    return {**shape, **_acceptance(tx, accepted.fee, accepted.vsize)}


def _test_together(call: Call, txs: list[Tx], max_rate: int) -> list[Shape]:
    """Judge several transactions as Core does: in order, up to the first that would be refused; the
    others are left out."""
    try:
        outcome = call.change(lambda node, now: node.test_package(txs, now))
    except Rejected as error:
        raise submission_error(error) from None
    shapes = []
    over = False
    for tx in txs:
        shape, member = _names(tx), outcome.members.get(tx.wtxid)
        if outcome.error is not None:
            shape["package-error"] = reason(outcome.error)
        elif member is not None and member.error is not None:
            shape |= _refusal(member.error)
        elif member is not None and not over:
            over = bool(max_rate) and member.fee > fee_at(max_rate, member.vsize)
            shape |= _TOO_DEAR if over else _acceptance(tx, member.fee, member.vsize)
        shapes.append(shape)
    return shapes


_TOO_DEAR: Shape = {"allowed": False, "reject-reason": str(Policy.MAX_FEE_EXCEEDED)}


def _names(tx: Tx) -> Shape:
    return {"txid": to_hex(tx.txid), "wtxid": to_hex(tx.wtxid)}


def _refusal(error: Rejected) -> Shape:
    if error.code is Reject.INPUTS_MISSING_OR_SPENT:
        return {"allowed": False, "reject-reason": "missing-inputs"}
    if error.code is Policy.MAX_FEE_EXCEEDED:
        return _TOO_DEAR
    return {"allowed": False, "reject-reason": rule(error), "reject-details": reason(error)}


def _acceptance(tx: Tx, fee: int, vsize: int) -> Shape:
    rate = Coins(fee * 1000 // vsize)
    fees = {"base": Coins(fee), "effective-feerate": rate, "effective-includes": [to_hex(tx.wtxid)]}
    return {"allowed": True, "vsize": vsize, "fees": fees}


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
    (submitpackage, strings("package"), _RATE, amount("maxburnamount", 0)),
)
"""About transactions."""
