"""The files that a devnet consists of, each known by its name, and their removal.

Whatever else is in the folder belongs to somebody else: a file of another name, also inside a node's folders, and
what a symbolic link leads to.
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from devnet.state import LOCK_FILE, STATE_FILE, Devnet, DevnetError, save

DATABASES = ("blocks", "ledger", "filters")
"""LevelDB's folders of a node."""
DISCARDED = ".discarded"
"""Behind a database's name while the node throws it away."""
SALVAGED = "lost"
"""Folder in a database's folder with what LevelDB's repair could not use."""
LEVELDB_FILE = re.compile(r"CURRENT|LOCK|LOG|LOG\.old|MANIFEST-\d+|\d+\.(?:ldb|sst|log|dbtmp)")
NODE_FILES = {".cookie", "mempool.dat", "node.key", "peers.dat", "pid", *(f"{name}.damaged" for name in DATABASES)}
DRAFT = ".new"
"""Behind the name of a file that is being replaced."""
LOG_FILE = re.compile(r"log(?:\.\d+)?")
"""A node's log and those before it."""


def planned(devnet: Devnet) -> Iterator[Path]:
    """Paths of a new devnet's files."""
    yield from _shared_files(devnet)
    yield from planned_for(devnet, range(devnet.nodes))


def planned_for(devnet: Devnet, indexes: Iterable[int]) -> Iterator[Path]:
    """Paths of these nodes' files."""
    for index in indexes:
        yield devnet.datadir(index) / devnet.network
        yield devnet.log(index)


def _shared_files(devnet: Devnet) -> list[Path]:
    return [devnet.wallet_file, *([devnet.network_file] if devnet.has_network_file else [])]


def check_free(paths: Iterable[Path]) -> None:
    """Nothing is in the place of these files. Raises DevnetError naming what is."""
    for path in paths:
        if os.path.lexists(path):
            raise DevnetError(
                f"{path} is there already and belongs to no devnet: move it away, or choose another folder with --dir"
            )


def remove(devnet: Devnet) -> None:
    """Delete the devnet, but the lock that the caller holds. Raises DevnetError naming what cannot be deleted.

    Its state file goes last and says from the beginning that the devnet is not whole, so that after a failure
    `down --wipe` goes on where it was, and `up` begins anew.
    """
    save(replace(devnet, ready=False))
    try:
        for index in range(devnet.nodes):
            _remove_node(devnet, index)
        for path in _shared_files(devnet):
            _remove_file(path)
            _remove_file(path.with_name(path.name + DRAFT))
        _remove_file(devnet.wallet_file.with_name(devnet.wallet_file.name + ".lock"))
        _remove_file(devnet.folder / (STATE_FILE + DRAFT))
        _remove_file(devnet.folder / STATE_FILE)
    except OSError as error:
        raise DevnetError(
            f"cannot delete {error.filename}: {error.strerror}; part of this devnet is gone already: "
            "when that can be deleted, run `devnet down --wipe` again"
        ) from None


def remove_folder(devnet: Devnet) -> list[str]:
    """Delete the lock, and the folder if nothing else is in it. Returns the names of what is left there."""
    lock = devnet.folder / LOCK_FILE
    try:
        if lock.stat().st_size == 0:  # ours has nothing in it
            lock.unlink()
        devnet.folder.rmdir()
    except OSError:
        pass  # something of the user's is in it, or the folder above is read-only
    return sorted(path.name for path in devnet.folder.iterdir()) if devnet.folder.is_dir() else []


def _remove_node(devnet: Devnet, index: int) -> None:
    with _own_folder(devnet.datadir(index)) as entries:
        for log in entries:
            if LOG_FILE.fullmatch(log.name):
                _remove_file(log)
        with _own_folder(devnet.datadir(index) / devnet.network) as entries:
            for entry in entries:
                if entry.name.removesuffix(DRAFT) in NODE_FILES:
                    _remove_file(entry)
                elif entry.name.removesuffix(DISCARDED) in DATABASES:
                    _remove_database(entry)


def _remove_database(folder: Path) -> None:
    with _own_folder(folder) as entries:
        for entry in entries:
            if LEVELDB_FILE.fullmatch(entry.name):
                _remove_file(entry)
            elif entry.name == SALVAGED:
                _remove_database(entry)


@contextmanager
def _own_folder(folder: Path) -> Iterator[list[Path]]:
    """The devnet's own entries of a folder; at the end it is deleted if nothing is left.

    A link in its place is deleted, and what it leads to is not looked at.
    """
    if folder.is_symlink():
        folder.unlink()
    if not folder.is_dir():
        yield []
        return
    yield list(folder.iterdir())
    if not any(folder.iterdir()):
        folder.rmdir()


def _remove_file(path: Path) -> None:
    """Delete the file, or a link in its place; a folder of that name is somebody else's."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
