"""The key-value port on LevelDB. The only file that knows plyvel, or plyvel-next: its fork for newer Pythons.

Opened paranoid and read with checksums: without, a flipped bit in a write-ahead log opens
without error and leaves holes under a tip that looks right. What LevelDB says in its own words
becomes one line that says what happened and what to do.
"""

import errno
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

try:
    import plyvel
except ImportError:
    import plyvel_next as plyvel

from node.interface.storage import Damaged, StoreError
from node.storage.kv import Batch, Edit, Locked, OnDamage, Row

WRITE_BUFFER_BYTES = 8 * 1024 * 1024
"""Held in memory, and twice that in log files, before a table is written: larger is slower here,
because inserting into the sorted buffer then misses the processor's caches."""
CACHE_BYTES = 32 * 1024 * 1024
"""Bytes of LevelDB's cache of uncompressed table blocks."""
FILES_MAX = 256
"""Tables kept open, for each database."""

_CURRENT = re.compile(rb"MANIFEST-\d+\n")

# What the operating system says, and what the operator can do about it. The first that fits counts.
_ADVICE = (
    (("Permission denied", "Operation not permitted"), "permission denied: let this user read and write it"),
    (("Read-only file system",), "the file system is read-only: mount it writable or choose another --datadir"),
    (
        ("No space left on device", "Disk quota exceeded", "File too large"),
        "the disk is full: free some space and start again; nothing acknowledged is lost",
    ),
    (("Too many open files",), "too many open files: raise the limit (ulimit -n) and start again"),
    (("Input/output error",), "the disk fails to read or write: check it before you start again"),
    (("Not a directory", "File exists", "Is a directory"), "something else is in its place: choose another --datadir"),
)


def explain(path: Path, reason: str) -> StoreError:
    """The error that tells an operator what `reason`, in LevelDB's or the system's words, means."""
    if "lock " in reason and ("already held" in reason or "temporarily unavailable" in reason):
        return Locked(f"{path} is in use by another process: stop that first")
    for signs, advice in _ADVICE:
        if any(sign in reason for sign in signs):
            return StoreError(f"{path}: {advice}")
    return StoreError(f"{path}: {reason}")


class _LevelReads:
    """Reads common to a database and its snapshots.

    Single keys are looked up by an iterator too. LevelDB's own `get` counts how often a table was
    asked in vain and compacts it after so many times (`allowed_seeks`, made for disks that turn):
    with five million coins that is some 40 us of compaction for each coin that is looked up. By
    an iterator it costs 10 to 20, and in a sorted row of them 5 to 9.
    """

    def __init__(self, source: "plyvel.DB | plyvel.Snapshot", path: Path, on_damage: OnDamage) -> None:
        self._source = source
        self._path = path
        self._on_damage = on_damage

    def get(self, key: bytes) -> bytes | None:
        return self.get_many((key,)).get(key)

    def get_many(self, keys: Collection[bytes]) -> dict[bytes, bytes]:
        found = {}
        try:
            rows = self._source.raw_iterator(verify_checksums=True)
            seek, valid, key_here, value_here = rows.seek, rows.valid, rows.key, rows.value
            try:
                for key in sorted(keys):
                    seek(key)
                    if valid() and key_here() == key:
                        found[key] = value_here()
            finally:
                rows.close()
        except (plyvel.Error, RuntimeError) as error:
            raise self._failure(error) from error
        return found

    def scan(self, start: bytes, stop: bytes, *, reverse: bool = False) -> Iterator[Row]:
        # plyvel's other iterator takes a damaged table for the end of the rows, without a word.
        try:
            rows = self._source.raw_iterator(verify_checksums=True, fill_cache=False)
            try:
                yield from _backwards(rows, start, stop) if reverse else _forwards(rows, start, stop)
            finally:
                rows.close()
        except (plyvel.Error, RuntimeError) as error:
            raise self._failure(error) from error

    def close(self) -> None:
        self._source.close()

    def _failure(self, error: Exception) -> StoreError:
        reason = _text(error)
        if _is_damage(error):
            self._on_damage(reason)
            return Damaged(f"{self._path} is damaged ({reason}): start again to have it repaired")
        return explain(self._path, reason)  # RuntimeError: closed under a reader while stopping


def _forwards(rows: "plyvel.RawIterator", start: bytes, stop: bytes) -> Iterator[Row]:
    rows.seek(start)
    valid, item, step = rows.valid, rows.item, rows.next
    while valid():
        row: Row = item()
        if row[0] >= stop:
            return
        yield row
        step()


def _backwards(rows: "plyvel.RawIterator", start: bytes, stop: bytes) -> Iterator[Row]:
    rows.seek(stop)
    if rows.valid():
        rows.prev()
    else:
        rows.seek_to_last()
    valid, item, step = rows.valid, rows.item, rows.prev
    while valid():
        row: Row = item()
        if row[0] < start:
            return
        yield row
        step()


def _text(error: Exception) -> str:
    """LevelDB's message; plyvel hands it on as bytes."""
    said = error.args[0] if error.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)


def _is_damage(error: Exception) -> bool:
    """True for what LevelDB finds wrong with its files. Of a table that is cut off it says only
    that it cannot be read there."""
    cut_off = isinstance(error, plyvel.IOError) and _text(error).endswith(f".ldb: {os.strerror(errno.EINVAL)}")
    return cut_off or isinstance(error, plyvel.CorruptionError)


class _LevelBatch:
    """A `Batch`."""

    __slots__ = ("_batch", "_failure", "delete", "put")

    def __init__(self, batch: "plyvel.WriteBatch", failure: Callable[[Exception], StoreError]) -> None:
        self.put = batch.put
        self.delete = batch.delete
        self._batch = batch
        self._failure = failure

    def write(self) -> None:
        try:
            self._batch.write()
        except (plyvel.Error, RuntimeError) as error:
            raise self._failure(error) from error


class LevelDb(_LevelReads):
    """A LevelDB database as a `Kv`. Close it only when nobody reads any more."""

    def __init__(
        self,
        path: Path,
        on_damage: OnDamage,
        *,
        create: bool = True,
        known_as: Path | None = None,
        write_buffer_bytes: int = WRITE_BUFFER_BYTES,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        """Open, and make if it is not there. `known_as` is what errors call it, if it is a copy. Raises
        StoreError, among them Locked and Damaged."""
        name = known_as or path
        try:
            if is_headless(path):
                raise Damaged(f"{name} is damaged (CURRENT is missing)")
            if not create and not (path / "CURRENT").exists():  # LevelDB makes the directory even to say so
                raise StoreError(f"{name} is empty: start the node to have it built")
            # What LevelDB makes of some other names looks like the system's fault.
            if (path / "CURRENT").exists() and not _CURRENT.fullmatch((path / "CURRENT").read_bytes()):
                raise Damaged(f"{name} is damaged (Corruption: CURRENT names no manifest)")
            self._db = plyvel.DB(
                str(path),
                create_if_missing=True,
                paranoid_checks=True,
                write_buffer_size=write_buffer_bytes,
                lru_cache_size=cache_bytes,
                max_open_files=FILES_MAX,
                compression=None,  # hashes and signatures do not compress
            )
        except OSError as error:
            raise explain(name, str(error)) from error
        except plyvel.Error as error:
            if _is_damage(error):
                raise Damaged(f"{name} is damaged ({_text(error)})") from error
            raise explain(name, _text(error)) from error
        super().__init__(self._db, name, on_damage)

    def batch(self, *, sync: bool) -> Batch:
        """An empty batch. Of what was written unsynced before, LevelDB does not sync the end of a
        log that it has just filled, but for some milliseconds waits for its table: if the power
        fails then, there are bodies missing under the tip, which recovery.py finds out."""
        return _LevelBatch(self._db.write_batch(sync=sync), self._failure)

    def write(self, edits: Iterable[Edit], *, sync: bool) -> None:
        batch = self.batch(sync=sync)
        for key, value in edits:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.write()

    def snapshot(self) -> _LevelReads:
        return _LevelReads(self._db.snapshot(), self._path, self._on_damage)


def is_headless(path: Path) -> bool:
    """True for tables or logs without the file that says which count: opened like that, LevelDB
    would start an empty database and delete them."""
    if not path.is_dir() or (path / "CURRENT").exists():
        return False
    return any(entry.suffix in {".ldb", ".sst", ".log"} for entry in path.iterdir())


def repair(path: Path) -> list[Path]:
    """Keep what can be read, its order of writing included; the rest goes to `lost/`. Returns the
    tables of which nothing could be read, or not all."""
    before = set(path.glob("lost/*.ldb"))
    try:
        plyvel.repair_db(str(path), paranoid_checks=True, compression=None)
    except plyvel.Error as error:
        raise StoreError(
            f"{path} is damaged beyond repair ({_text(error)}): move it away, start again, and peers send its blocks"
        ) from error
    return sorted(set(path.glob("lost/*.ldb")) - before)
