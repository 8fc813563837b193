"""What tests of child processes share: looking at them from outside, waiting with a deadline."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from node.workers.child_process import ROOT

PATIENCE_S = 10.0


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Poll until the condition holds; fail when it still does not after `PATIENCE_S`."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.005)


def is_alive(pid: int) -> bool:
    """True for a process that runs; a zombie that its parent has not collected does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return state.stdout.strip()[:1] not in ("", "Z")


def open_files(pid: int) -> list[str]:
    """What the process has open, standard streams included."""
    return [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]


def start_script(script: str) -> "subprocess.Popen[str]":
    """Run Python source in a process that finds our packages; its output is a pipe."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd="/",
    )
