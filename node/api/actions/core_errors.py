"""Errors in Core's codes and words: JSON-RPC's own, and what the actions raise."""

MISC = -1
TYPE = -3
NOT_FOUND = -5
BAD_VALUE = -8
UNDECODABLE = -22
ALREADY_ADDED = -23
NOT_ADDED = -24
NOT_IN_NODES = -29
VERIFY = -25
REJECTED = -26
DATABASE = -20
WARMING_UP = -28
METHOD_NOT_FOUND = -32601
INVALID_REQUEST = -32600
PARSE = -32700

SHOWN_MAX = 80
"""Characters of a bad value that are repeated in an error."""


class RpcError(Exception):
    """An error object: one of Core's codes and its words."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


def shown(given: str) -> str:
    """A bad value, cut to what an error may repeat."""
    return given if len(given) <= SHOWN_MAX else given[:SHOWN_MAX] + "..."
