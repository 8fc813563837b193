"""JSON-RPC about ZeroMQ notifications."""

from node.api.call import Call
from node.api.rpc.method import topic
from node.api.shapes import Shape
from node.notifications import HIGH_WATER_MARK, TOPICS


def getzmqnotifications(call: Call) -> list[Shape]:
    """The active ZeroMQ notifications and their addresses."""
    return [
        {"type": f"pub{name.decode()}", "address": address, "hwm": HIGH_WATER_MARK}
        for name in TOPICS
        for address in call.config.zmq
    ]


METHODS = topic("Zmq", (getzmqnotifications,))
"""About notifications."""
