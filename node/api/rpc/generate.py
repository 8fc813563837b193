"""JSON-RPC that makes blocks. They are solved here where that is trivial, in the miner processes elsewhere."""

from chain.block import Block, make_block
from chain.blocktemplate import build_block, solve
from chain.errors import Rejected
from chain.hashes import Txid, from_hex, to_hex
from chain.tx import Tx
from node.api.actions.core_errors import MISC, NOT_FOUND, UNDECODABLE, VERIFY, RpcError, shown
from node.api.actions.submit_tx import SubmissionError, decode_hex_tx, reason
from node.api.context import Call
from node.api.encoding.json_codec import Shape
from node.api.query.block_proposal import check_header_on_tip, check_on_tip
from node.api.rpc.args import address, flag, integer, string, strings
from node.api.rpc.candidate_block import block_time, no_template
from node.api.rpc.method import topic
from node.api.rpc.output_script import descriptor_script, output_script
from node.api.rpc.pace import CallPace
from node.core.submission import Submission
from node.interface.checked_block import examine

TRIES_DEFAULT = 1_000_000
"""Hashes that one generatetoaddress may cost where blocks are solved here (Core)."""
WORK_S = 600.0
"""Seconds that miner processes may take for one block."""
RACES_MAX = 1_000
"""Number of times in a row that a block is made again because another came first."""


def generatetoaddress(call: Call, count: int, script: bytes, tries: int | None) -> list[str]:
    """Make so many blocks on the best chain that pay to an address; returns their hashes. Real work where the network
    asks for it. maxtries: hashes in all (1000000), then there are fewer blocks."""
    hashes: list[str] = []
    pace = CallPace(call.runtime, call.request.is_gone)
    left = TRIES_DEFAULT if tries is None else tries
    # Who counts tries wants them counted, so they are made here whatever the network.
    here = tries is not None or not call.config.params.has_difficulty
    races = 0
    while len(hashes) < count and pace.go_on():
        if here:
            block, left = _mine_here(call, script, left)
        else:
            block = _mine_for_real(call, script)
        if block is None:
            break
        if _hand_in(call, block):
            hashes.append(to_hex(block.hash))
            races = 0
        else:
            races = _count_race(races)
    return hashes


def generatetodescriptor(call: Call, count: int, descriptor: str, tries: int | None) -> list[str]:
    """Mine blocks that pay to a descriptor of one script."""
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
    """An unsolved block on the tip, that would be valid there. Raises RpcError(-1)."""
    try:
        block = call.change(lambda node, now: node.template(script, now))
        view = call.runtime.view
        if block.header.prev_hash == view.tip.hash:  # or it is outdated already, and will be made again
            check_on_tip(view, block, block_time(call, view))
    except (Rejected, ValueError) as error:
        raise no_template(error) from None
    return block


def generateblock(call: Call, output: str, transactions: list[str], submit: bool) -> Shape:
    """Make a block of exactly these transactions (ids or hex) that pays to an address or descriptor."""
    script = output_script(output)
    txs = [_named_tx(call, given) for given in transactions]
    races = 0
    while True:
        block = _mine_exactly(call, script, txs)
        if not submit:
            return {"hash": to_hex(block.hash), "hex": block.raw.hex()}
        if _hand_in(call, block):
            return {"hash": to_hex(block.hash)}
        races = _count_race(races)


def _mine_exactly(call: Call, script: bytes, txs: list[Tx]) -> Block:
    """A solved block of these transactions on the tip. Raises RpcError(-1; -25 where one of them cannot be in it)."""
    view = call.runtime.view
    now = block_time(call, view)
    try:
        candidate = build_block(view.tip, txs, 0, script, now, view.params, tag=call.config.coinbase_tag)
        check_header_on_tip(view, candidate.header, now)
    except (Rejected, ValueError) as error:
        raise no_template(error) from None
    try:
        check_on_tip(view, candidate, now)
    except Rejected as error:
        raise RpcError(VERIFY, f"TestBlockValidity failed: {reason(error)}") from None
    if not view.params.has_difficulty:
        header = solve(candidate.header, TRIES_DEFAULT)
    else:
        header = call.runtime.solve(candidate.header, call.runtime.now() + WORK_S)
    if header is None:
        raise RpcError(MISC, "Unable to make block: no solution in time")
    return make_block(header, candidate.txs)


def _hand_in(call: Call, block: Block) -> bool:
    """True if it is the tip now, or was; False: another came first, and is the tip by now. Raises RpcError(-25)."""
    try:
        submission = Submission(examine(block, call.config.params), "generated")
        if call.change(lambda node, now: node.submit_next(submission, now)):
            return True
        call.change(lambda node, now: node.settle(now))
    except Rejected as error:
        raise RpcError(VERIFY, f"block not accepted: {reason(error)}") from None
    return False


def _count_race(races: int) -> int:
    """Count a block that another was faster than. Raises RpcError(-1) after RACES_MAX in a row."""
    if races == RACES_MAX:
        raise RpcError(MISC, f"Unable to make block: others came first {RACES_MAX} times")
    return races + 1


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
    (generatetoaddress, integer("nblocks", least=0), address("address"), _MAXTRIES),
    (generatetodescriptor, integer("num_blocks", least=0), string("descriptor"), _MAXTRIES),
    (generateblock, string("output"), strings("transactions"), flag("submit", True)),
)
"""Methods that make blocks."""
