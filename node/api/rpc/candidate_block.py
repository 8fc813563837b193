"""Common to every block that JSON-RPC makes or has made: its time, and the error where none can be made."""

from chain.errors import Rejected
from node.api.actions.core_errors import MISC, RpcError
from node.api.actions.submit_tx import reason
from node.api.context import Call
from node.core.view import NodeView


def block_time(call: Call, view: NodeView) -> int:
    """The time for a block that is made now, Unix time in seconds."""
    return int(view.time.at(call.runtime.now()))


def no_template(error: Rejected | ValueError) -> RpcError:
    """The reason that no block can be made on the tip now, in Core's words: solving one would be in vain."""
    return RpcError(MISC, f"TestBlockValidity failed: {reason(error)}" if isinstance(error, Rejected) else str(error))
