"""JSON-RPC about making blocks. Solving takes place here where it is trivial, in the miner processes elsewhere."""

from chain.block import Block, decode_block, make_block, witness_commitment
from chain.check import check_block, check_body
from chain.connect import connect_block, context_after
from chain.errors import Invalid, Rejected
from chain.hashes import Txid, from_hex, to_hex
from chain.keys import default_engine
from chain.template import build_block, solve
from chain.tree import Entry
from chain.tx import Tx, TxIn, make_tx
from node.api.call import Call
from node.api.output_script import output_script
from node.api.rpc_args import address, flag, ignored, integer, string, strings
from node.api.rpc_method import MISC, NOT_FOUND, UNDECODABLE, VERIFY, RpcError, shown, topic
from node.api.rpc_shapes import bits_hex, target_hex
from node.api.shapes import Shape, difficulty
from node.api.submission import SubmissionError, decode_hex_tx, reason
from node.chainstate import examine
from node.node import Submission
from node.view import View

GENERATE_MAX = 10_000
"""Blocks of one generatetoaddress."""
TRIES_DEFAULT = 1_000_000
"""Hashes that one generatetoaddress may cost where blocks are solved here."""
WORK_S = 600.0
"""Seconds that miner processes may take for one block."""
HASHRATE_BLOCKS = 120
"""Blocks over which the network's hash rate is estimated."""
BLOCK_HEX_MAX = 8_000_000
"""Hex digits of the largest block."""


def generatetoaddress(call: Call, count: int, script: bytes, tries: int | None) -> list[str]:
    """Make blocks that pay to an address; returns their hashes. Real work where the network asks for it."""
    hashes: list[str] = []
    left = TRIES_DEFAULT if tries is None else tries
    # Who counts tries wants them counted, so they are made here whatever the network.
    here = tries is not None or call.config.params.asert is None
    while len(hashes) < count:
        if here:
            block, left = _mine_here(call, script, left)
        else:
            block = _mine_for_real(call, script)
        if block is None:
            break
        _hand_in(call, block)
        hashes.append(to_hex(block.hash))
    return hashes


def _mine_here(call: Call, script: bytes, tries: int) -> tuple[Block | None, int]:
    """A block on the tip, solved in this thread within so many hashes, and how many are left."""
    candidate = call.change(lambda node, now: node.template(script, now))
    header = solve(candidate.header, tries)
    if header is None:
        return None, 0
    return make_block(header, candidate.txs), tries - header.nonce - 1


def _mine_for_real(call: Call, script: bytes) -> Block | None:
    """A block on the tip, solved by the miner processes; begun again whenever others are faster."""
    deadline = call.runtime.now() + WORK_S
    while call.runtime.now() < deadline:
        candidate = call.change(lambda node, now: node.template(script, now))
        header = call.runtime.solve(candidate.header, deadline)
        if header is not None:
            return make_block(header, candidate.txs)
        if call.runtime.view.tip.hash == candidate.header.prev_hash:
            return None  # nobody here does such work, or it takes too long
    return None


def generateblock(call: Call, output: str, transactions: list[str], submit: bool) -> Shape:
    """Make a block of exactly these transactions (ids or hex) that pays to an address or descriptor."""
    script = output_script(output)
    txs = [_named_tx(call, given) for given in transactions]
    view = call.view
    candidate = build_block(view.tip, txs, 0, script, int(call.runtime.now()), view.params)
    _check_candidate(view, candidate)
    if view.params.asert is None:
        header = solve(candidate.header, TRIES_DEFAULT)
    else:
        header = call.runtime.solve(candidate.header, call.runtime.now() + WORK_S)
    if header is None:
        raise RpcError(MISC, "Unable to make block: no solution in time")
    block = make_block(header, candidate.txs)
    if not submit:
        return {"hash": to_hex(block.hash), "hex": block.raw.hex()}
    _hand_in(call, block)
    return {"hash": to_hex(block.hash)}


def submitblock(call: Call, hexdata: str, dummy: object) -> str | None:
    """Submit a block in hex; null if it is valid, else why it is not."""
    try:
        if len(hexdata) > BLOCK_HEX_MAX or not hexdata.isalnum():
            raise ValueError
        block = decode_block(bytes.fromhex(hexdata), call.view.tx_spending)
    except (ValueError, Invalid):
        raise RpcError(UNDECODABLE, "Block decode failed") from None
    if not block.txs or not block.txs[0].is_coinbase:
        raise RpcError(UNDECODABLE, "Block does not start with a coinbase")
    block = with_coinbase_witness(block)
    try:
        submission = Submission(examine(block, call.config.params, call.view.pool.wtxids))
        return call.change(lambda node, now: node.submit_block(submission, now))
    except Rejected as error:
        return str(error.code)


def getmininginfo(call: Call) -> Shape:
    """What a miner wants to know."""
    tip = call.view.tip
    return {
        "blocks": tip.height,
        "bits": bits_hex(tip.header.bits),
        "difficulty": difficulty(tip.header),
        "target": target_hex(tip.header.bits),
        "networkhashps": hash_rate(tip),
        "pooledtx": call.view.pool.totals.count,
        "chain": call.view.params.name,
        "warnings": [],
    }


def hash_rate(tip: Entry) -> float:
    """Hashes a second that the last blocks took, by their claimed times."""
    start = tip.ancestor(max(0, tip.height - HASHRATE_BLOCKS))
    times = [tip.ancestor(height).header.time for height in range(start.height, tip.height + 1)]
    elapsed_s = max(times) - min(times)
    return (tip.chainwork - start.chainwork) / elapsed_s if elapsed_s else 0.0


def with_coinbase_witness(block: Block) -> Block:
    """The block with the coinbase witness that its commitment needs, where a miner left it out."""
    coinbase = block.txs[0]
    if coinbase.has_witness or witness_commitment(coinbase) is None:
        return block
    spent = coinbase.inputs[0]
    filled = TxIn(spent.outpoint, spent.script_sig, spent.sequence, (bytes(32),))
    return make_block(
        block.header, (make_tx(coinbase.version, (filled,), coinbase.outputs, coinbase.lock_time), *block.txs[1:])
    )


def _hand_in(call: Call, block: Block) -> None:
    try:
        submission = Submission(examine(block, call.config.params))
        call.change(lambda node, now: node.submit_block(submission, now))
    except Rejected as error:
        raise RpcError(VERIFY, f"block not accepted: {reason(error)}") from None


def _check_candidate(view: View, block: Block) -> None:
    """The unsolved block would be valid on the tip. Raises RpcError(-25)."""
    try:
        check_body(block)
        check_block(block)
        connected = connect_block(block, context_after(view.tip), view.reader.coin, view.params, ())
    except Invalid as error:
        raise RpcError(VERIFY, f"TestBlockValidity failed: {reason(error)}") from None
    if default_engine().first_failure(b"".join(connected.checks)) is not None:
        raise RpcError(VERIFY, "TestBlockValidity failed: wrong signature")


def _named_tx(call: Call, given: str) -> Tx:
    """A transaction of the mempool by its id, or one in hex. Raises RpcError."""
    if len(given) == 64:
        try:
            entry = call.view.pool.entry(Txid(from_hex(given)))
        except ValueError:
            entry = None
        if entry is None:
            raise RpcError(NOT_FOUND, f"Transaction {given} not in mempool.")
        return entry.tx
    try:
        return decode_hex_tx(given)
    except SubmissionError:
        raise RpcError(
            UNDECODABLE, f"Transaction decode failed for {shown(given)}. Make sure the tx has at least one input."
        ) from None


METHODS = topic(
    "Mining",
    (
        generatetoaddress,
        integer("nblocks", least=0, most=GENERATE_MAX),
        address("address"),
        integer("maxtries", None, least=0),
    ),
    (generateblock, string("output"), strings("transactions"), flag("submit", True)),
    (submitblock, string("hexdata"), ignored("dummy")),
    (getmininginfo,),
)
"""About making blocks."""
