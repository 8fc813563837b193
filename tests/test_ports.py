"""Test processes that run side by side never get each other's ports."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.ports import STRIDE, free_ports

ROOT = Path(__file__).parents[1]
CALLS = 50
"""More than one slice has."""
ASK = f"from tests.ports import free_ports; print([free_ports(2) for _ in range({CALLS})], flush=True); input()"


def test_no_port_is_given_to_two_processes_or_twice() -> None:
    pipe = subprocess.PIPE
    given = [free_ports(2) for _ in range(CALLS)]
    with ExitStack() as stack:
        others = [
            stack.enter_context(
                subprocess.Popen([sys.executable, "-c", ASK], cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
            )
            for _ in range(2)
        ]
        for other in others:
            assert other.stdout
            given += [int(port) for port in other.stdout.readline().strip("[]\n").split(",")]
        for other in others:
            other.communicate("\n")  # until then each keeps what it has
    assert len(given) == len(set(given)) == 3 * CALLS
    assert all(port % STRIDE == 0 for port in given)
