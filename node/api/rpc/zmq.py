"""JSON-RPC about ZeroMQ notifications."""

from node.api.context import Call
from node.api.encoding.json_codec import Shape
from node.api.rpc.method import topic
from node.notify.zmq_messages import HIGH_WATER_MARK, TOPICS


def getzmqnotifications(call: Call) -> list[Shape]:
    """The active ZeroMQ notifications and their addresses."""
    return [
        {"type": f"pub{name.decode()}", "address": address, "hwm": HIGH_WATER_MARK}
        for name in TOPICS
        for address in call.config.zmq
    ]


METHODS = topic("Zmq", (getzmqnotifications,))
"""About notifications."""
