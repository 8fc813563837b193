"""JSON-RPC that waits for blocks. Who waits holds a thread and a seat, but not the lock."""

from collections.abc import Callable
from functools import partial

from chain.blocktree import BlockNode, is_on
from chain.hashes import BlockHash, to_hex
from node.api.actions.core_errors import MISC, RpcError
from node.api.context import Call
from node.api.encoding.json_codec import Shape
from node.api.rpc.args import block_hash, integer
from node.api.rpc.method import topic
from node.core.node import Node
from node.interface.effects import Step
from node.runtime.runtime import Busy

WAIT_MAX_S = 600.0
"""The longest wait, also where the caller sets no limit; then the tip is told as it is."""
LOOK_S = 5.0
"""Seconds between two looks whether the client is still there: who has gone gives up the seat."""


def waitfornewblock(call: Call, timeout: int, current_tip: BlockHash | None) -> Shape:
    """Wait up to timeout milliseconds (0: 600000, the most) for another tip than current_tip, or than now."""
    known = call.view.tip.hash if current_tip is None else current_tip
    return _tip_shape(await_tip(call, lambda tip: tip.hash != known, _seconds(timeout)))


def waitforblock(call: Call, block_hash: BlockHash, timeout: int) -> Shape:
    """Wait up to timeout milliseconds (0: 600000, the most) until a block is in the best chain; else the tip."""
    tree = call.view.tree

    def is_here(tip: BlockNode) -> bool:
        entry = tree.get(block_hash)
        return entry is not None and is_on(entry, tip)

    tip = await_tip(call, is_here, _seconds(timeout))
    entry = tree.get(block_hash)
    # A later block may have come before we looked: what is told is what was waited for.
    return _tip_shape(entry if entry is not None and is_on(entry, tip) else tip)


def waitforblockheight(call: Call, height: int, timeout: int) -> Shape:
    """Wait up to timeout milliseconds (0: 600000, the most) until the tip is at a height or above; else the tip."""
    return _tip_shape(await_tip(call, lambda tip: tip.height >= height, _seconds(timeout)))


def await_tip(call: Call, is_wanted: Callable[[BlockNode], bool], timeout_s: float) -> BlockNode:
    """The tip, as soon as it fulfils the condition; as it is when the time is over or the client has gone, for whom
    nothing waits: neither this call nor the rest of its batch.

    `is_wanted` is asked under the lock. Raises Busy where too many wait.
    """
    runtime = call.runtime
    deadline = runtime.now() + timeout_s
    has_waited = False
    while True:
        if call.request.is_gone():
            return runtime.view.tip
        until = min(deadline, runtime.now() + LOOK_S)
        try:
            tip = runtime.call(partial(_ask, is_wanted, until))
        except Busy:
            if not has_waited:
                raise
            return runtime.view.tip  # others took the seat between two looks
        if tip is not None:
            return tip
        if runtime.now() >= deadline:
            return runtime.view.tip
        has_waited = True


def _ask(is_wanted: Callable[[BlockNode], bool], until: float, node: Node, now: float) -> Step[BlockNode]:
    return node.await_tip(is_wanted, until, now)


def _seconds(timeout_ms: int) -> float:
    if timeout_ms < 0:
        raise RpcError(MISC, "Negative timeout")
    return min(timeout_ms / 1000, WAIT_MAX_S) if timeout_ms else WAIT_MAX_S


def _tip_shape(tip: BlockNode) -> Shape:
    return {"hash": to_hex(tip.hash), "height": tip.height}


_TIMEOUT = integer("timeout", 0)
METHODS = topic(
    "Blockchain",
    (waitfornewblock, _TIMEOUT, block_hash("current_tip", None)),
    (waitforblock, block_hash("blockhash"), _TIMEOUT),
    (waitforblockheight, integer("height"), _TIMEOUT),
)
"""Methods that wait."""
