"""The ordered key-value port that the store stands on, and the ways it can fail.

Keys and values are bytes; keys are ordered bytewise. Knows nothing of blocks or coins.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Protocol

from node.interface.storage import StoreError

Row = tuple[bytes, bytes]
"""A key and its value."""
Edit = tuple[bytes, bytes | None]
"""A key and its new value; None deletes it."""
OnDamage = Callable[[str], None]
"""Told once what was found broken, so that the next start can repair it."""


class Locked(StoreError):
    """Another process owns the data directory."""


class Reads(Protocol):
    """Reads of a database as it is now, or of a snapshot for ever."""

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, or None."""
        ...

    def get_many(self, keys: Collection[bytes]) -> dict[bytes, bytes]:
        """The values of those keys that are there; for many keys quicker than one by one."""
        ...

    def scan(self, start: bytes, stop: bytes, *, reverse: bool = False) -> Iterator[Row]:
        """Rows with start <= key < stop, in key order or against it; untouched by later writes."""
        ...

    def close(self) -> None:
        """Give back what is held; a second call does nothing."""
        ...


class Batch(Protocol):
    """Edits that are made together, in their order: of two edits of a key the later one counts.

    `put` and `delete` are attributes rather than methods because a commit calls them thousands of
    times: in LevelDB they are the library's own.
    """

    put: Callable[[bytes, bytes], object]
    delete: Callable[[bytes], object]

    def write(self) -> None:
        """Make all of them or none. Once only."""
        ...


class Kv(Reads, Protocol):
    """A database. Raises StoreError for what the environment does."""

    def batch(self, *, sync: bool) -> Batch:
        """An empty batch. With `sync` it, and every write before it, survives a power cut once
        its `write` returns."""
        ...

    def write(self, edits: Iterable[Edit], *, sync: bool) -> None:
        """A batch of these edits."""
        ...

    def snapshot(self) -> Reads:
        """The rows as they are now, whatever is written later."""
        ...


def end_of(prefix: bytes) -> bytes:
    """The least key above every key that starts with `prefix`, which is not all ff."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes((stem[-1] + 1,))


def scan_prefix(rows: Reads, prefix: bytes, *, reverse: bool = False) -> Iterator[Row]:
    """Every row whose key starts with `prefix`."""
    return rows.scan(prefix, end_of(prefix), reverse=reverse)
