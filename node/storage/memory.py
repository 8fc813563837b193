"""The key-value port in memory, with a power switch: for tests and the simulator.

A `MemoryKv` is the disk as much as the database: it stays when the process that used it is gone,
and `crash` takes from it what was never synced, as a power cut may.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator
from weakref import WeakSet

from node.interface.storage import StoreError
from node.storage.kv import Batch, Edit, Row


class _SavedState:
    """The rows as they were when this was made: what has changed since is kept aside, by key."""

    __slots__ = ("__weakref__", "_kv", "before")

    def __init__(self, kv: "MemoryKv") -> None:
        self._kv = kv
        self.before: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        # The other way round a write between the two looks would show through.
        now = self._kv.rows.get(key)
        return self.before.get(key, now)

    def get_many(self, keys: Collection[bytes]) -> dict[bytes, bytes]:
        return _those_found(self.get, keys)

    def scan(self, start: bytes, stop: bytes, *, reverse: bool = False) -> Iterator[Row]:
        keys = {*self._kv.keys_between(start, stop), *(key for key in list(self.before) if start <= key < stop)}
        for key in sorted(keys, reverse=reverse):
            value = self.get(key)
            if value is not None:
                yield key, value

    def close(self) -> None:
        self._kv.forget(self)


class _MemoryBatch:
    """A `Batch`."""

    __slots__ = ("_edits", "_kv", "_sync", "delete", "put")

    def __init__(self, kv: "MemoryKv", sync: bool) -> None:
        edits: list[Edit] = []
        self._kv, self._edits, self._sync = kv, edits, sync
        self.put: Callable[[bytes, bytes], object] = lambda key, value: edits.append((key, value))
        self.delete: Callable[[bytes], object] = lambda key: edits.append((key, None))

    def write(self) -> None:
        self._kv.write(self._edits, sync=self._sync)


class MemoryKv:
    """A dictionary as a `Kv`."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.writes_until_failure: int | None = None
        """Number of writes that still work; the one after fails and changes nothing. None: all work."""
        self._order: list[bytes] | None = []
        """The keys in order; None after a key has come or gone, until somebody asks."""
        self._snapshots: WeakSet[_SavedState] = WeakSet()
        self._synced = _SavedState(self)
        self._unsynced: list[list[Edit]] = []

    def get(self, key: bytes) -> bytes | None:
        return self.rows.get(key)

    def get_many(self, keys: Collection[bytes]) -> dict[bytes, bytes]:
        return _those_found(self.get, keys)

    def scan(self, start: bytes, stop: bytes, *, reverse: bool = False) -> Iterator[Row]:
        yield from [(key, self.rows[key]) for key in self.keys_between(start, stop)][:: -1 if reverse else 1]

    def keys_between(self, start: bytes, stop: bytes) -> list[bytes]:
        """The keys from start, inclusive, to stop, exclusive, in order."""
        order = self._order
        if order is None:
            order = self._order = sorted(self.rows)
        return order[bisect_left(order, start) : bisect_left(order, stop)]

    def batch(self, *, sync: bool) -> Batch:
        return _MemoryBatch(self, sync)

    def write(self, edits: Iterable[Edit], *, sync: bool) -> None:
        batch = list(edits)
        if self.writes_until_failure is not None:
            if self.writes_until_failure == 0:
                raise StoreError("the memory disk was told to fail")
            self.writes_until_failure -= 1
        self._keep(batch)
        self._apply(batch)
        self._unsynced.append(batch)
        if sync:
            self._synced.before.clear()
            self._unsynced.clear()

    def _keep(self, batch: list[Edit]) -> None:
        """Set aside what the batch is about to change, for whoever still has to see it."""
        for kept in (self._synced, *self._snapshots):
            before = kept.before
            for key, _ in batch:
                if key not in before:
                    before[key] = self.rows.get(key)

    def _apply(self, batch: Iterable[Edit]) -> None:
        rows = self.rows
        for key, value in batch:
            if value is None:
                if rows.pop(key, None) is not None:
                    self._order = None
            else:
                if key not in rows:
                    self._order = None
                rows[key] = value

    def snapshot(self) -> _SavedState:
        kept = _SavedState(self)
        self._snapshots.add(kept)
        return kept

    def forget(self, kept: _SavedState) -> None:
        """Stop keeping what this snapshot sees."""
        self._snapshots.discard(kept)

    def crash(self, keep: int = 0) -> None:
        """A power cut: of the writes since the last synced one only the first `keep` survive."""
        lucky = self._unsynced[:keep]
        self._apply(list(self._synced.before.items()))
        for batch in lucky:
            self._apply(batch)
        self._synced.before.clear()
        self._unsynced.clear()
        self._snapshots.clear()
        self.writes_until_failure = None

    def close(self) -> None:
        """Nothing: what is here stays, as on a disk."""


def _those_found(get: Callable[[bytes], bytes | None], keys: Iterable[bytes]) -> dict[bytes, bytes]:
    found = ((key, get(key)) for key in keys)
    return {key: value for key, value in found if value is not None}


class MemoryDisk:
    """The disk of one node's store: both databases, and the switch for both."""

    def __init__(self) -> None:
        self.blocks = MemoryKv()
        self.ledger = MemoryKv()

    def crash(self) -> None:
        """A power cut: what was not synced is gone. Open the store again to go on."""
        self.blocks.crash()
        self.ledger.crash()
