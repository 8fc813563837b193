"""Files that only their owner may read: the JSON-RPC cookie, the node's key, the saved mempool."""

import contextlib
import fcntl
import os
import secrets
from pathlib import Path

from node.interface.settings import ConfigError

COOKIE_USER = "__cookie__"
KEY_SIZE = 32
PRIVATE = 0o600


class Cookie:
    """JSON-RPC credentials of this run in a file, there from before the API answers to a clean stop.

    The file is locked as long as the process lives, so that a second node on the same folder is
    refused before it takes the first one's credentials away.
    """

    def __init__(self, path: Path) -> None:
        """Write new credentials. Raises ConfigError where that fails or another process has the folder."""
        self._path = path
        self._file = _lock(path)
        try:
            os.ftruncate(self._file, 0)
            os.fchmod(self._file, PRIVATE)
            os.write(self._file, f"{COOKIE_USER}:{secrets.token_hex(32)}".encode())
        except OSError as error:
            os.close(self._file)
            raise ConfigError(f"cannot write {path}: {error.strerror}") from None

    def remove(self) -> None:
        """The credentials are no longer good."""
        with contextlib.suppress(OSError):
            self._path.unlink()
        os.close(self._file)


def _lock(path: Path) -> int:
    """Open and lock the file; again if who had it removed it meanwhile."""
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, PRIVATE)
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror}") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            raise ConfigError(f"{path.parent} is in use by process {_owner(path.parent)}: stop that first") from None
        if os.fstat(file).st_nlink:
            return file
        os.close(file)


def _owner(folder: Path) -> str:
    try:
        return (folder / "pid").read_text("ascii").strip() or "unknown"
    except (OSError, UnicodeDecodeError):
        return "unknown"


def read_node_key(path: Path) -> bytes:
    """The node's secret key, drawn and written at the first start; 32 bytes. Raises ConfigError."""
    try:
        return _read_key(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    try:
        write_private(path, secrets.token_bytes(KEY_SIZE).hex().encode() + b"\n")
        return _read_key(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None


def _read_key(path: Path) -> bytes:
    try:
        key = bytes.fromhex(path.read_text("ascii"))
    except ValueError:
        key = b""
    if len(key) != KEY_SIZE or not any(key):
        raise ConfigError(f"{path} holds no key: restore it, or remove it to get a new identity")
    return key


def write_private(path: Path, content: bytes) -> None:
    """Replace the file, all or nothing, also in a power cut. Raises OSError."""
    fresh = path.with_name(path.name + ".new")
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE)
    with open(file, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(path)
