"""Child processes that end when this one does, however it ends.

A child gets a pipe each way and nothing else: no socket, file or secret of ours. It must end when
its standard input closes, which the kernel sees to even after `kill -9`; so nothing survives us.
"""

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import IO, cast

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds our packages: a child finds them there, installed or not."""
END_S = 1.0
"""Seconds that a child may take to end by itself once its input is closed."""
LAST_WORDS_BYTES = 16_384
"""Bytes of a dead child's error output that are read at most."""


class ChildProcess:
    """A child process, and the two pipes to it."""

    def __init__(self, module: str, *arguments: str) -> None:
        """Start `python -m module`. Raises OSError."""
        environment = {name: text for name, text in os.environ.items() if not name.startswith("GROAT_")}
        # The child runs elsewhere, so paths relative to here would mean something else there.
        inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(os.path.isabs, inherited)])
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *arguments],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env=environment,
        )
        pipes = self._process.stdin, self._process.stdout, self._process.stderr
        self._pipes = [cast(IO[bytes], pipe) for pipe in pipes]
        self.pid = self._process.pid
        self.stdin = self._pipes[0].fileno()
        """File descriptor of its input; never waits for a child that does not read."""
        self.stdout = self._pipes[1].fileno()
        """File descriptor of its output."""
        os.set_blocking(self.stdin, False)

    def close_input(self) -> None:
        """Tell it to end."""
        with contextlib.suppress(OSError):
            self._pipes[0].close()

    def end(self) -> str:
        """Close its input, wait for it, kill it if need be; why it ended, in one line."""
        self.close_input()
        _, from_child, errors = self._pipes
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        from_child.close()
        os.set_blocking(errors.fileno(), False)
        last_words = (errors.read(LAST_WORDS_BYTES) or b"").decode(errors="replace").strip()
        errors.close()
        return last_words.rpartition("\n")[2] or f"exit code {self._process.returncode}"

    def read_all(self) -> bytes:
        """The child's whole output, once it has ended."""
        return self._pipes[1].read()
