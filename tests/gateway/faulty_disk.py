"""A disk that fails, or a process that dies, at a chosen step of writing in one folder.

`install` alters the process that it is called in: the functions of `os` and `io` that write count
their steps on files of the folder, note them in a log, and do what is wanted at one of them.
"""

import builtins
import errno
import io
import os
import resource
import signal
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class Fault(StrEnum):
    """What happens at the step."""

    NONE = "none"
    KILL_BEFORE = "kill-before"
    KILL_HALFWAY = "kill-halfway"
    """A write is cut in two; other steps are as with `KILL_AFTER`."""
    KILL_AFTER = "kill-after"
    INTERRUPT = "interrupt"
    """SIGINT, before the step."""
    FULL_ONCE = "full-once"
    """ENOSPC, half a write done."""
    FULL = "full"
    """ENOSPC from this step on, wherever something is made or written."""
    BROKEN = "broken"
    """EIO, half a write done."""
    SHORT = "short"
    """The system takes no file beyond so many bytes (RLIMIT_FSIZE): the step's number says how many."""


KILLS = (Fault.KILL_BEFORE, Fault.KILL_HALFWAY, Fault.KILL_AFTER)
GROWING = ("open", "write", "flush")
"""Steps that need room on the disk."""


class Disk:
    """Counts steps, and makes one of them fail."""

    def __init__(self, folder: Path, log: int, fault: Fault, at: int) -> None:
        self._folder = os.path.realpath(folder)
        self._log = log
        self._fault = fault
        self._at = at
        self._steps = 0
        self._descriptors: set[int] = set()
        self._note = os.write

    def has(self, path: Any) -> bool:
        """True for a file of the folder, by path or by descriptor."""
        if isinstance(path, int):
            return path in self._descriptors
        return (os.path.realpath(path) + os.sep).startswith(self._folder + os.sep)

    def opened(self, descriptor: int) -> int:
        """Remember a descriptor."""
        self._descriptors.add(descriptor)
        return descriptor

    def closed(self, descriptor: int) -> None:
        """Forget a descriptor."""
        self._descriptors.discard(descriptor)

    def step(self, name: str, whole: Callable[[], T], half: Callable[[], object] | None = None) -> T:
        """One step, or what happens instead of it."""
        self._steps += 1
        self._note(self._log, f"{name}\n".encode())
        full = self._fault is Fault.FULL and self._steps >= self._at and name in GROWING
        if self._steps != self._at and not full:
            return whole()
        match self._fault:
            case Fault.KILL_BEFORE:
                os.kill(os.getpid(), signal.SIGKILL)
            case Fault.KILL_HALFWAY | Fault.KILL_AFTER:
                with suppress(OSError):  # there may be nothing to remove
                    (half if half and self._fault is Fault.KILL_HALFWAY else whole)()
                os.kill(os.getpid(), signal.SIGKILL)
            case Fault.INTERRUPT:
                signal.raise_signal(signal.SIGINT)
            case Fault.FULL_ONCE | Fault.FULL:
                _fail(errno.ENOSPC, half)
            case Fault.BROKEN:
                _fail(errno.EIO, half)
        return whole()


def _fail(number: int, half: Callable[[], object] | None) -> None:
    if half:
        half()
    raise OSError(number, os.strerror(number))


class File:
    """An open file of the folder."""

    def __init__(self, disk: Disk, file: Any) -> None:
        self._disk, self._file = disk, file

    def __enter__(self) -> "File":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, content: Any) -> int:
        def half() -> None:
            self._file.write(content[: len(content) // 2])
            self._file.flush()

        return self._disk.step("write", lambda: int(self._file.write(content)), half)

    def flush(self) -> None:
        self._disk.step("flush", self._file.flush)

    def close(self) -> None:
        if self._file.closed:
            return
        self._disk.closed(self._file.fileno())
        # A descriptor is free once close was called, even where that fails.
        try:
            self._disk.step("close", lambda: None)
        finally:
            self._file.close()


def install(folder: str, log: str, fault: str = Fault.NONE, at: int = 0, pid_file: str = "") -> None:
    """Let this process write in `folder` as said. Steps are noted in the file `log`."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if pid_file:
        Path(pid_file).write_text(str(os.getpid()))
    if fault == Fault.SHORT:
        _limit_files(at)
        return
    log_descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    disk = Disk(Path(folder), log_descriptor, Fault(fault), at)
    _replace_openers(disk)
    _replace_writers(disk)
    for name in ("replace", "rename", "link"):
        _replace_pair(disk, name)
    for name in ("unlink", "remove", "truncate"):
        _replace_single(disk, name)


def _limit_files(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def _replace_openers(disk: Disk) -> None:
    os_open, io_open = os.open, io.open

    def open_descriptor(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if not disk.has(path) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_DIRECTORY):
            return os_open(path, flags, *more, **named)
        return disk.step("open", lambda: disk.opened(os_open(path, flags, *more, **named)))

    def open_file(file: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
        if not disk.has(file) or not set(mode) & set("wax+"):
            return io_open(file, mode, *more, **named)
        if isinstance(file, int):
            return File(disk, io_open(file, mode, *more, **named))
        opened = disk.step("open", lambda: io_open(file, mode, *more, **named))
        disk.opened(opened.fileno())
        return File(disk, opened)

    vars(os).update(open=open_descriptor)
    vars(io).update(open=open_file)
    vars(builtins).update(open=open_file)


def _replace_writers(disk: Disk) -> None:
    os_write, os_close = os.write, os.close

    def write(descriptor: int, content: Any) -> int:
        if not disk.has(descriptor):
            return os_write(descriptor, content)
        half = content[: len(content) // 2]
        return disk.step("write", lambda: os_write(descriptor, content), lambda: os_write(descriptor, half))

    def close(descriptor: int) -> None:
        disk.closed(descriptor)
        os_close(descriptor)

    def synced(os_sync: Callable[[int], None]) -> Callable[[Any], None]:
        def sync(file: Any) -> None:
            descriptor = file if isinstance(file, int) else file.fileno()
            if not disk.has(descriptor):
                os_sync(descriptor)
                return
            disk.step("fsync", lambda: os_sync(descriptor))

        return sync

    vars(os).update(write=write, close=close, fsync=synced(os.fsync), fdatasync=synced(os.fdatasync))


def _replace_pair(disk: Disk, name: str) -> None:
    original = getattr(os, name)

    def act(source: Any, target: Any, **named: Any) -> None:
        if not disk.has(target):
            original(source, target, **named)
            return
        disk.step(name, lambda: original(source, target, **named))

    setattr(os, name, act)


def _replace_single(disk: Disk, name: str) -> None:
    original = getattr(os, name)

    def act(path: Any, *more: Any, **named: Any) -> None:
        if not disk.has(path):
            original(path, *more, **named)
            return
        disk.step(name, lambda: original(path, *more, **named))

    setattr(os, name, act)
