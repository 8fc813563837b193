"""Processes that outlive the command that starts them, and are never mistaken for others.

A process id alone names nothing for long: before a signal is sent, the process must have
started when ours did and must have been given our node's folder on its command line.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from devnet.state import DevnetError, Process

PACKAGES = Path(__file__).resolve().parents[1]
"""The folder that holds our packages: a child finds them there, installed or not."""
POLL_S = 0.02
ANSWER_S = 60.0
"""Seconds that a command which only checks its options may take."""
PROC = Path("/proc")
"""Linux; elsewhere `ps` is asked."""


def python(module: str, *arguments: str) -> list[str]:
    """The command line of one of our modules. -P: never a folder that happens to be called `node`."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """The environment of this process without GROAT_...: a node's options are all on its command line."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("GROAT_")}
    return kept | {"PYTHONPATH": str(PACKAGES)}


def spawn(command: Sequence[str], log: Path) -> Process:
    """Start a process in a session of its own that holds none of our files. Its output goes to `log`."""
    with open(log, "ab") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
            env=environment(),
        )
    # We may end before it does: nobody will wait for it through this object.
    child.returncode = 0
    return Process(child.pid, start_time(child.pid) or "")


def last_words(command: Sequence[str]) -> str:
    """Run a command that ends by itself; what it complains about, or nothing if it is content. Raises DevnetError."""
    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            cwd="/",
            env=environment(),
            timeout=ANSWER_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DevnetError("groatd does not start: is this machine very busy?") from None
    if ended.returncode == 0:
        return ""
    return ended.stderr.strip().rpartition("\n")[2] or f"exit status {ended.returncode}"


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Put off Ctrl-C and SIGTERM, so that what is started is also written down. Main thread only."""
    received: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers = [signal.signal(number, lambda number, _: received.append(number)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, handlers, strict=True):
            signal.signal(number, handler)
        for late in received:
            signal.raise_signal(late)


def start_time(pid: int) -> str | None:
    """Start time of the process with this id, or None if it is not alive."""
    if PROC.is_dir():
        try:
            # The name, in parentheses, may hold anything; the third field follows it.
            fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        state, started = fields[0], fields[19]
    else:
        state, _, started = _ps(pid, "state=,lstart=").partition(" ")
    return started.strip() if state[:1] not in ("", "Z", "X") else None


def command_line(pid: int) -> list[str]:
    """The arguments that the process was started with; empty without a process."""
    if PROC.is_dir():
        try:
            return os.fsdecode((PROC / str(pid) / "cmdline").read_bytes()).split("\0")[:-1]
        except (FileNotFoundError, ProcessLookupError):
            return []
    return _ps(pid, "command=").split()


def _ps(pid: int, field: str) -> str:
    listing = subprocess.run(["ps", "-ww", "-o", field, "-p", str(pid)], capture_output=True, text=True, check=False)
    return listing.stdout.strip()


def is_running(process: Process | None, folder: Path) -> bool:
    """True if that very process is alive and works on that folder."""
    if not process:
        return False
    try:
        os.waitpid(process.pid, os.WNOHANG)  # our own child would stay a zombie for as long as we live
    except ChildProcessError:
        pass
    if start_time(process.pid) != process.started:
        return False
    words = command_line(process.pid)
    # None yet: the system has begun to run the program (so that Popen returned) and has not laid its
    # arguments out, which takes 10 ms on a busy machine.
    return not words or f" {folder} " in f" {' '.join(words)} "


def send_signal(process: Process | None, folder: Path, number: signal.Signals) -> bool:
    """Signal that very process; False if it is gone."""
    if not process or not is_running(process, folder):
        return False
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def wait_end(process: Process | None, folder: Path, timeout_s: float) -> bool:
    """Wait until that process is gone; False if it is still there after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while is_running(process, folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True
