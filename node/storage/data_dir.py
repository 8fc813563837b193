"""A network's data directory: one process owns it, and it remembers what was found broken."""

import errno
import fcntl
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from node.interface.storage import StoreError
from node.storage.kv import Locked
from node.storage.leveldb import explain

log = logging.getLogger("groat.store")

BLOCKS = "blocks"
LEDGER = "ledger"
PID = "pid"


class DataDir:
    """An owned data directory. The lock is on the file `pid`, which names the owner; it goes
    with the process, however that ends."""

    def __init__(self, path: Path, *, create: bool) -> None:
        """Take the directory. Without `create` it need not be writable. Raises Locked with the owner's
        pid, and StoreError."""
        self.path = path
        self.blocks = path / BLOCKS
        """Folder of the database, or of the copy to look into."""
        self.ledger = path / LEDGER
        self._told: set[str] = set()
        self._lock: int | None = None
        self._is_writable = False
        try:
            if create:
                path.mkdir(parents=True, exist_ok=True)
            elif not (path / BLOCKS).is_dir():
                raise StoreError(f"{path} holds no blocks: check --datadir and --network")
            lock, is_writable = _open_lock(path / PID, create)
        except OSError as error:
            raise explain(path, str(error)) from error
        if lock is None:
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_writable:
                os.ftruncate(lock, 0)
                os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError as error:
            owner = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
            os.close(lock)
            raise Locked(f"{path} is in use by process {owner or 'unknown'}: stop that first") from error
        except OSError as error:
            os.close(lock)
            raise explain(path, str(error)) from error
        self._lock, self._is_writable = lock, is_writable

    def release(self) -> None:
        """Let others have it. The file stays: unlinking it would race with who locks it next."""
        if self._lock is not None:
            if self._is_writable:
                os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def reporter(self, part: str) -> Callable[[str], None]:
        """A callback for when `part` is found broken: logs it once, and leaves a note for the next start."""

        def report(reason: str) -> None:
            if part in self._told:
                return  # once is enough: a peer may ask for the same broken block for ever
            self._told.add(part)
            log.error("%s is damaged (%s): it is repaired when the node starts", self.path / part, reason)
            try:
                self._note(part).write_text(reason + "\n")
            except OSError as error:
                log.error("cannot leave a note of that for the next start: %s", error)

        return report

    def reported(self, part: str) -> str | None:
        """Why `part` was reported broken, or None."""
        try:
            return self._note(part).read_text(errors="replace").strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise explain(self.path, str(error)) from error

    def repaired(self, part: str) -> None:
        """Forget the report. Raises StoreError."""
        self._told.discard(part)
        try:
            self._note(part).unlink(missing_ok=True)
        except OSError as error:
            raise explain(self.path, str(error)) from error

    def discard_ledger(self) -> None:
        """Throw `ledger/` away, all or nothing: half a database could open as an older one."""
        try:
            discard(self.ledger)
            self.repaired(LEDGER)
        except OSError as error:
            raise explain(self.path, str(error)) from error

    def _note(self, part: str) -> Path:
        return self.path / f"{part}.damaged"


def _open_lock(path: Path, must_write: bool) -> tuple[int | None, bool]:
    """The file to lock, and whether it is open for writing; None where it is not there and cannot be made:
    then nobody can use the directory either. Raises OSError."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o644), True
    except OSError as error:
        if must_write or error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
    return (os.open(path, os.O_RDONLY), False) if path.exists() else (None, False)


def discard(folder: Path) -> None:
    """Throw a folder away wholly, also what an earlier try has left. Raises OSError."""
    rubbish = folder.with_name(f"{folder.name}.discarded")
    if rubbish.exists():
        shutil.rmtree(rubbish)
    if folder.exists():
        folder.rename(rubbish)
        shutil.rmtree(rubbish)
