"""JSON-RPC that makes blocks. They are solved here where that is trivial, in the miner processes elsewhere."""

from chain.block import Block, make_block
from chain.errors import Rejected
from chain.hashes import Txid, from_hex, to_hex
from chain.template import build_block, solve
from chain.tx import Tx
from node.api.call import Call
from node.api.rpc.args import address, flag, integer, string, strings
from node.api.rpc.method import MISC, NOT_FOUND, UNDECODABLE, VERIFY, RpcError, shown, topic
from node.api.rpc.output_script import descriptor_script, output_script
from node.api.rpc.proposal import check_on_tip
from node.api.shapes import Shape
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


def generatetodescriptor(call: Call, count: int, descriptor: str, tries: int | None) -> list[str]:
    """The same, paying to a descriptor of one script."""
    return generatetoaddress(call, count, descriptor_script(descriptor), tries)


def _mine_here(call: Call, script: bytes, tries: int) -> tuple[Block | None, int]:
    """A block on the tip, solved in this thread within so many hashes, and how many are left."""
    candidate = _candidate(call, script)
    header = solve(candidate.header, tries)
    if header is None:
        return None, 0
    return make_block(header, candidate.txs), tries - header.nonce - 1


def _mine_for_real(call: Call, script: bytes) -> Block | None:
    """A block on the tip, solved by the miner processes; begun again whenever others are faster."""
    deadline = call.runtime.now() + WORK_S
    while call.runtime.now() < deadline:
        candidate = _candidate(call, script)
        header = call.runtime.solve(candidate.header, deadline)
        if header is not None:
            return make_block(header, candidate.txs)
        if call.runtime.view.tip.hash == candidate.header.prev_hash:
            return None  # nobody here does such work, or it takes too long
    return None


def _candidate(call: Call, script: bytes) -> Block:
    """An unsolved block on the tip. Raises RpcError(-1) at the end of time."""
    try:
        return call.change(lambda node, now: node.template(script, now))
    except ValueError as error:
        raise RpcError(MISC, str(error)) from None


def generateblock(call: Call, output: str, transactions: list[str], submit: bool) -> Shape:
    """Make a block of exactly these transactions (ids or hex) that pays to an address or descriptor."""
    script = output_script(output)
    txs = [_named_tx(call, given) for given in transactions]
    view = call.view
    now = int(view.time.at(call.runtime.now()))
    try:
        candidate = build_block(view.tip, txs, 0, script, now, view.params)
    except ValueError as error:
        raise RpcError(MISC, str(error)) from None
    _check_candidate(view, candidate, now)
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


def _hand_in(call: Call, block: Block) -> None:
    try:
        submission = Submission(examine(block, call.config.params), "generated")
        call.change(lambda node, now: node.submit_block(submission, now))
    except Rejected as error:
        raise RpcError(VERIFY, f"block not accepted: {reason(error)}") from None


def _check_candidate(view: View, block: Block, now: int) -> None:
    """The unsolved block would be valid on the tip. Raises RpcError(-25)."""
    try:
        check_on_tip(view, block, now)
    except Rejected as error:
        raise RpcError(VERIFY, f"TestBlockValidity failed: {reason(error)}") from None


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


_MAXTRIES = integer("maxtries", None, least=0)
METHODS = topic(
    "Mining",
    (generatetoaddress, integer("nblocks", least=0, most=GENERATE_MAX), address("address"), _MAXTRIES),
    (generatetodescriptor, integer("num_blocks", least=0, most=GENERATE_MAX), string("descriptor"), _MAXTRIES),
    (generateblock, string("output"), strings("transactions"), flag("submit", True)),
)
"""That make blocks."""
