"""JSON-RPC for miners outside the node: what they hand in, and what they want to know."""

from chain.block import Block, decode_block, make_block, witness_commitment
from chain.blocktree import BlockNode
from chain.check import check_block
from chain.errors import Invalid, Reject, Rejected
from chain.params import Params
from chain.pow import next_bits
from chain.tx import TxIn, make_tx
from node.api.actions.core_errors import BAD_VALUE, MISC, UNDECODABLE, RpcError
from node.api.context import Call
from node.api.encoding.json_codec import Shape
from node.api.query.esplora_json import bits_difficulty, hash_rate
from node.api.rpc.args import flag, ignored, integer, string
from node.api.rpc.core_json import bits_hex, network_shape, target_hex
from node.api.rpc.method import topic
from node.core.submission import Submission
from node.interface.checked_block import examine

HASHRATE_BLOCKS = 120
"""Blocks over which the network's hash rate is estimated, unless the caller names another number."""
RETARGET_BLOCKS = 144
"""Blocks for which Core's regtest would keep its difficulty: what nblocks -1 counts back to."""
WITNESS_FAULTS = frozenset({Reject.UNEXPECTED_WITNESS, Reject.WITNESS_NONCE, Reject.WITNESS_MERKLE})
"""Errors of a body: the header does not commit to it, so that somebody may have changed it on the way."""
BLOCK_HEX_MAX = 8_000_000
"""Hex digits of the largest block."""


def submitblock(call: Call, hexdata: str, dummy: object) -> str | None:
    """Submit a block in hex; null if it is valid, else why it is not. A coinbase's missing witness is added."""
    block = with_coinbase_witness(read_block(call, hexdata))
    try:
        submission = Submission(examine(block, call.config.params, call.view.pool.wtxids))
        return call.change(lambda node, now: node.submit_block(submission, now))
    except Rejected as error:
        if error.code in WITNESS_FAULTS:
            return _word_for(call, block, str(error.code))
        return str(error.code)


def _word_for(call: Call, block: Block, fault: str) -> str:
    """The word for a block whose witnesses are not its own: Core looks at all else, and at its header, before, and
    keeps that."""
    try:
        check_block(block, call.view.pool.wtxids)
        return call.change(lambda node, now: node.submit_header(block.header, now)) or fault
    except Rejected as error:
        return str(error.code)


def read_block(call: Call, hexdata: str) -> Block:
    """The block that the hex spells. Raises RpcError(-22)."""
    try:
        # fromhex would pass over spaces.
        if len(hexdata) > BLOCK_HEX_MAX or not hexdata.isalnum():
            raise ValueError
        return decode_block(bytes.fromhex(hexdata), call.view.tx_spending)
    except (ValueError, Invalid):
        raise RpcError(UNDECODABLE, "Block decode failed") from None


def with_coinbase_witness(block: Block) -> Block:
    """The block with the coinbase witness that its commitment needs, where a miner left it out (Core)."""
    coinbase = block.txs[0] if block.txs else None
    if coinbase is None or not coinbase.is_coinbase or coinbase.has_witness or witness_commitment(coinbase) is None:
        return block
    spent = coinbase.inputs[0]
    filled = TxIn(spent.outpoint, spent.script_sig, spent.sequence, (bytes(32),))
    return make_block(
        block.header, (make_tx(coinbase.version, (filled,), coinbase.outputs, coinbase.lock_time), *block.txs[1:])
    )


def setgenerate(call: Call, generate: bool) -> None:
    """Turn this node's own mining off or on, where it was started with --mine; it is on after each start."""
    switch = call.runtime.mining
    if switch is None:
        raise RpcError(MISC, "This node does not mine: start it with --mine ADDRESS, or use generatetoaddress")
    switch.turn(generate)


def getgenerate(call: Call) -> bool:
    """True if this node is mining now."""
    switch = call.runtime.mining
    return switch is not None and switch.is_on


def getmininginfo(call: Call) -> Shape:
    """Mining-related information."""
    view = call.view
    tip, template = view.tip, call.templates.last
    shape: Shape = {"blocks": tip.height}
    if template is not None:
        shape |= {"currentblockweight": template.weight, "currentblocktx": template.tx_count}
    return shape | {
        **_work_shape(tip.header.bits),
        "networkhashps": hash_rate(tip, HASHRATE_BLOCKS),
        "pooledtx": view.pool.totals.count,
        **network_shape(view.params),
        "next": {"height": tip.height + 1, **_work_shape(next_bits(tip, view.params))},
        "warnings": list(view.warnings),
    }


def _work_shape(bits: int) -> Shape:
    return {"bits": bits_hex(bits), "difficulty": bits_difficulty(bits), "target": target_hex(bits)}


def getnetworkhashps(call: Call, count: int, height: int) -> float:
    """Hashes a second that the last nblocks blocks up to a height took (-1: since the difficulty last changed; up to
    the tip)."""
    view = call.view
    if count < -1 or count == 0:
        raise RpcError(BAD_VALUE, "Invalid nblocks. Must be a positive number or -1.")
    last = view.tip if height == -1 else view.entry_at(height)
    if last is None:
        raise RpcError(BAD_VALUE, "Block does not exist at specified height")
    return hash_rate(last, _since_retarget(last, view.params) if count == -1 else count)


def _since_retarget(last: BlockNode, params: Params) -> int:
    return 1 if params.has_difficulty else last.height % RETARGET_BLOCKS + 1


METHODS = topic(
    "Mining",
    (submitblock, string("hexdata"), ignored("dummy")),
    (setgenerate, flag("generate")),
    (getgenerate,),
    (getmininginfo,),
    (getnetworkhashps, integer("nblocks", HASHRATE_BLOCKS), integer("height", -1)),
)
"""Methods for miners."""
