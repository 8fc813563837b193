"""A copy of a data directory to look into, made without writing to it.

LevelDB writes even where it only reads: a lock, a log of its own, and what it replays from its logs
goes into tables. Tables are never changed, so links to them do; the rest is small and copied.
"""

import shutil
import tempfile
from pathlib import Path

from node.storage.data_dir import BLOCKS, LEDGER
from node.storage.leveldb import explain

_LEFT_OUT = ("LOCK", "LOG", "LOG.old")


class ScratchCopy:
    """A copy of a data directory in the system's folder for temporary files."""

    def __init__(self, source: Path) -> None:
        """Raises StoreError."""
        self.path = Path(tempfile.mkdtemp(prefix="groat-verify-"))
        try:
            for name in (BLOCKS, LEDGER):
                if (source / name).is_dir():
                    _copy(source / name, self.path / name)
        except OSError as error:
            self.remove()
            raise explain(source, str(error)) from error

    def remove(self) -> None:
        """Leave nothing of it."""
        shutil.rmtree(self.path, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    target.mkdir()
    for file in source.iterdir():
        if file.suffix in (".ldb", ".sst"):
            (target / file.name).symlink_to(file.resolve())
        elif file.is_file() and file.name not in _LEFT_OUT:
            shutil.copyfile(file, target / file.name)
