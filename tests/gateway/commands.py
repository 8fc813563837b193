"""The `wallet` command, run many times: each in a process of its own, forked from one that has imported it.

    with Commands() as commands:
        outcome = commands.run(["--json", "--wallet", str(file), "--node", url, "balance"])

A command is given its arguments and environment as by a shell, without a terminal. It is killed at
its deadline. What it takes in memory and time is measured by the system. `hook` names a module of
tests that alters the process before the command begins.

python -m tests.gateway.commands is the process that forks: a JSON document a line in, one out.
"""

import importlib
import json
import os
import pkgutil
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import wallet
from devnet.processes import environment

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0
OUTPUT_BYTES_MAX = 16 * 1024 * 1024
ADDRESS_SPACE_MAX = 6 * 1024**3
"""A command that wants more fails, before the machine does."""
END_S = 10.0


class CommandsError(AssertionError):
    """The process that forks is gone."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    arguments: tuple[str, ...]
    code: int
    """Its exit status; that of a signal is negative."""
    out: str
    err: str
    wall_s: float
    cpu_s: float
    memory_bytes: int
    """The most that it had in memory, what it shares with others included."""
    late: bool
    """It was killed at its deadline."""

    def json(self) -> Any:
        """The document on standard output."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        """Of standard error."""
        return self.err.splitlines()

    def __str__(self) -> str:
        tail = "; ".join(part for part in (self.out.strip()[-600:], self.err.strip()[-1_200:]) if part)
        cost = f"{self.wall_s:.1f} s, {self.memory_bytes >> 20} MB"
        return f"{' '.join(self.arguments)}: {'late, ' if self.late else ''}exit {self.code}, {cost}: {tail}"


class Commands:
    """A process that runs commands one after the other. Ends with its block."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="groat-commands-")
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> "Commands":
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tests.gateway.commands", self._folder.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            env={**environment(), "PYTHONPATH": str(ROOT), "TERM": "dumb", "COLUMNS": "400"},
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process
        try:
            self._process.communicate(timeout=END_S)
        finally:
            self._process.kill()
            self._process.wait()
            self._folder.cleanup()

    def run(
        self,
        arguments: Sequence[str],
        *,
        stdin: str = "",
        variables: Mapping[str, str] | None = None,
        deadline_s: float = DEADLINE_S,
        hook: str = "",
        hook_options: Mapping[str, Any] | None = None,
    ) -> Outcome:
        """Run it to its end."""
        order = {
            "arguments": list(arguments),
            "stdin": stdin,
            "variables": dict(variables or {}),
            "deadline_s": deadline_s,
            "hook": hook,
            "hook_options": dict(hook_options or {}),
        }
        with self._lock:
            assert self._process
            assert self._process.stdin
            assert self._process.stdout
            print(json.dumps(order), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        if not line:
            raise CommandsError("nobody runs commands any more")
        return Outcome(tuple(arguments), **json.loads(line))


# the process that forks


def serve(folder: Path) -> None:
    """Run what standard input says, until it closes."""
    for module in pkgutil.iter_modules(wallet.__path__, "wallet."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    main: Callable[[], None] = importlib.import_module("wallet.cli").main
    for line in sys.stdin:
        order = json.loads(line)
        (folder / "stdin").write_text(order["stdin"])
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            _be(main, order, folder)
        late = not _ended(child, began + order["deadline_s"])
        if late:
            os.kill(child, signal.SIGKILL)
        _, status, usage = os.wait4(child, 0)
        answer = {
            "code": os.waitstatus_to_exitcode(status),
            "out": _text(folder / "stdout"),
            "err": _text(folder / "stderr"),
            "wall_s": time.monotonic() - began,
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "memory_bytes": usage.ru_maxrss * 1024,
            "late": late,
        }
        print(json.dumps(answer), flush=True)


def _ended(child: int, at: float) -> bool:
    """Wait for the child's end until then; it is still there to be waited for."""
    while True:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return True
        left = at - time.monotonic()
        if left <= 0:
            return False
        signal.sigtimedwait({signal.SIGCHLD}, min(left, 0.5))


def _be(main: Callable[[], None], order: Mapping[str, Any], folder: Path) -> None:
    """Become the command, and end with it."""
    code = 1
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        for number, (name, flags) in enumerate(
            [("stdin", os.O_RDONLY), *((name, os.O_RDWR | os.O_CREAT | os.O_TRUNC) for name in ("stdout", "stderr"))]
        ):
            os.dup2(os.open(folder / name, flags, 0o600), number)
        sys.stdin = os.fdopen(0, closefd=False)  # the other one may have read ahead
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_MAX, ADDRESS_SPACE_MAX))
        os.environ.update(order["variables"])
        sys.argv = ["wallet", *order["arguments"]]
        if order["hook"]:
            importlib.import_module(order["hook"]).install(**order["hook_options"])
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001
        # As the interpreter ends.
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(OUTPUT_BYTES_MAX).decode(errors="replace")


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    serve(Path(sys.argv[1]))
