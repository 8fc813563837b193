"""Ports for tests: free, not among those that the system hands out to connections, and nobody else's.

A port that was free when it was asked for can be some connection's own a moment later, if it is
from the system's range (32768 and up). So these are below it. And it can be another test process's,
whose node is stopped just now: so each process takes slices of the range for itself, by a lock that
ends with it, and gives no port out twice while there are slices left.
"""

import fcntl
import os
import socket
import tempfile
from collections import deque
from pathlib import Path

LOWEST, HIGHEST = 20_000, 32_000
STRIDE = 8
"""Ports of one call."""
SLICE = 40 * STRIDE
"""Ports that a process takes at a time."""
LOCKS = Path(tempfile.gettempdir()) / f"groat-test-ports-{os.getuid()}"

_held: list[int] = []
"""Descriptors of the slices' locks: the system gives them back when the process ends."""
_unused: deque[int] = deque()
_used: deque[int] = deque()
"""First ports of each STRIDE, the one given out longest ago first."""


def free_ports(number: int) -> int:
    """The first of `number` free ports in a row."""
    assert number <= STRIDE
    for _ in range((HIGHEST - LOWEST) // STRIDE):
        if not _unused:
            _unused.extend(_next_slice() or [_used.popleft()])
        base = _unused.popleft()
        _used.append(base)
        if all(_is_free(port) for port in range(base, base + number)):
            return base
    raise AssertionError("no free ports")


def _next_slice() -> list[int]:
    """A slice that no process has; nothing if all are taken."""
    LOCKS.mkdir(exist_ok=True)
    for base in range(LOWEST, HIGHEST - SLICE + 1, SLICE):
        lock = os.open(LOCKS / str(base), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            continue
        _held.append(lock)
        return list(range(base, base + SLICE, STRIDE))
    assert _used, f"every slice of ports is taken: see {LOCKS}"
    return []


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
