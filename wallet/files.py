"""Atomic writes of the wallet file, by one process at a time, readable only by its owner."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wallet.errors import WalletError

LOCK_TRIES = 1_200
LOCK_PAUSE_S = 0.05
"""One minute in total: longer than any wallet command holds the lock."""
FILE_BYTES_MAX = 64 * 1024 * 1024
"""A larger file is not a wallet."""

Pause = Callable[[float], object]
"""Waits for so many seconds."""


def read_file(path: Path) -> bytes:
    """The file's bytes. Raises WalletError if it is not there, not readable or not plausible."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise WalletError(f"no wallet at {path}: make one with `wallet create`, or give --wallet FILE") from error
    except OSError as error:
        raise WalletError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > FILE_BYTES_MAX:
        raise WalletError(f"{path} is too large to be a wallet file")
    return content


def write_file(path: Path, content: bytes) -> None:
    """Replace the file in one step: after a crash it is the old one or the new one. Raises WalletError;
    the file is the old one then, unless the text says that this is not sure."""
    # One writer at a time holds the lock, so the name is free or left over from a crash.
    fresh = path.with_name(path.name + ".new")
    try:
        with suppress(FileNotFoundError):
            fresh.unlink()
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink()
        raise WalletError(f"cannot write {path}: {error.strerror}") from error
    try:
        _sync_folder(path.parent)
    except OSError as error:
        # It is the new one for everybody who reads it now, but might not be after a power failure.
        raise WalletError(
            f"{path} was written, but may not be on the disk yet ({error.strerror}): check the disk, "
            "and see `wallet history` before you repeat a payment"
        ) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def exclusive(path: Path, pause: Pause) -> Iterator[None]:
    """Hold the lock of the wallet at `path` (the file beside it that ends in .lock).

    Raises WalletError if another process does not let go of it in time.
    """
    try:
        descriptor = _open_lock(path)
    except OSError as error:
        raise WalletError(
            f"cannot write in {path.parent}: {error.strerror}; choose another place with --wallet FILE"
        ) from error
    try:
        _wait_for_lock(descriptor, path, pause)
        yield
    finally:
        os.close(descriptor)  # which lets go of the lock


@contextmanager
def tried_lock(path: Path) -> Iterator[bool]:
    """Hold the lock as `exclusive` does, without waiting: False where it cannot be had."""
    try:
        descriptor = _open_lock(path)
    except OSError:
        yield False
        return
    try:
        yield _is_locked(descriptor)
    finally:
        os.close(descriptor)


def _open_lock(path: Path) -> int:
    return os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _wait_for_lock(descriptor: int, path: Path, pause: Pause) -> None:
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pause(LOCK_PAUSE_S)
        except OSError as error:
            raise WalletError(f"cannot lock {path}: {error.strerror}") from error
        else:
            return
    raise WalletError(f"another command is using {path}: wait until it is done and try again")
