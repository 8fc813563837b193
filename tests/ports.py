"""Ports for tests: free, and not among those that the system hands out to connections.

A port that was free when it was asked for can be some connection's own a moment later, if it is
from the system's range (32768 and up). So these are below it, each test process starts somewhere
else, and no port is given out twice.
"""

import itertools
import os
import socket

LOWEST, HIGHEST = 20_000, 32_000
STRIDE = 8
"""Ports of one call."""
_turns = itertools.count(os.getpid() * 37)


def free_ports(number: int) -> int:
    """The first of `number` free ports in a row."""
    assert number <= STRIDE
    for _ in range((HIGHEST - LOWEST) // STRIDE):
        base = LOWEST + next(_turns) * STRIDE % (HIGHEST - LOWEST)
        if all(_is_free(port) for port in range(base, base + number)):
            return base
    raise AssertionError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
