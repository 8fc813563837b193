"""The key-value port on LevelDB and in memory, and what a power cut takes from the latter."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chain.hashes import sha256
from node.interface.storage import StoreError
from node.storage.kv import Edit, Kv, Reads, Row, end_of, scan_prefix
from node.storage.leveldb import LevelDb, _LevelReads
from node.storage.memory import MemoryDisk, MemoryKv
from node.storage.recovery import open_memory, open_store
from tests.node.storage.branches import NETWORK, SCRIPTS, Model, assert_agrees, commit, wander


@pytest.fixture(params=["leveldb", "memory"])
def kv(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kv]:
    opened = LevelDb(tmp_path / "kv", pytest.fail) if request.param == "leveldb" else MemoryKv()
    yield opened
    opened.close()


def rows(reads: Reads, *, reverse: bool = False) -> list[Row]:
    return list(reads.scan(b"", b"\xff" * 9, reverse=reverse))


def test_of_two_edits_of_a_key_the_later_counts(kv: Kv) -> None:
    kv.write([(b"a", b"1"), (b"a", None), (b"b", None), (b"b", b"2"), (b"c", b"3"), (b"c", b"4")], sync=False)

    assert rows(kv) == [(b"b", b"2"), (b"c", b"4")]
    assert (kv.get(b"a"), kv.get(b"b")) == (None, b"2")


def test_scans_are_ordered_and_half_open(kv: Kv) -> None:
    keys = [b"a", b"a\x00", b"a\xff", b"b", b"b\xff\xff", b"c"]
    kv.write([(key, key) for key in reversed(keys)], sync=False)

    assert [key for key, _ in rows(kv)] == keys
    assert [key for key, _ in rows(kv, reverse=True)] == keys[::-1]
    assert [key for key, _ in kv.scan(b"a\x00", b"b")] == [b"a\x00", b"a\xff"]
    assert [key for key, _ in scan_prefix(kv, b"b", reverse=True)] == [b"b\xff\xff", b"b"]
    assert [key for key, _ in kv.scan(b"b", b"c", reverse=True)] == [b"b\xff\xff", b"b"]
    assert [key for key, _ in kv.scan(b"c", b"z", reverse=True)] == [b"c"]
    assert list(kv.scan(b"d", b"z")) == list(kv.scan(b"d", b"z", reverse=True)) == []
    assert list(kv.scan(b"", b"a", reverse=True)) == list(kv.scan(b"b", b"b")) == []


@pytest.mark.parametrize(
    ("prefix", "end"), [(b"a", b"b"), (b"a\xff", b"b"), (b"a\xff\xff", b"b"), (b"\x00\xfe", b"\x00\xff")]
)
def test_the_end_of_a_prefix(prefix: bytes, end: bytes) -> None:
    assert end_of(prefix) == end


def test_a_scan_does_not_see_what_is_written_meanwhile(kv: Kv) -> None:
    kv.write([(b"a", b"1"), (b"b", b"1"), (b"c", b"1")], sync=False)
    scan = kv.scan(b"a", b"z")
    first = next(scan)
    kv.write([(b"b", None), (b"c", b"2"), (b"d", b"2")], sync=False)

    assert [first, *scan] == [(b"a", b"1"), (b"b", b"1"), (b"c", b"1")]


@pytest.mark.parametrize("seed", range(3))
def test_snapshots_hold_under_any_writes(kv: Kv, seed: int) -> None:
    rng = random.Random(seed)
    expected: dict[bytes, bytes] = {}
    held: list[tuple[Reads, dict[bytes, bytes]]] = []
    for _ in range(60):
        edits: list[Edit] = []
        for _ in range(rng.randrange(6)):
            edits.append((bytes((rng.randrange(12),)), rng.choice((None, rng.randbytes(2)))))
        kv.write(edits, sync=rng.random() < 0.3)
        for key, value in edits:
            if value is None:
                expected.pop(key, None)
            else:
                expected[key] = value
        if rng.random() < 0.3:
            held.append((kv.snapshot(), dict(expected)))
        if held and rng.random() < 0.2:
            held.pop(rng.randrange(len(held)))[0].close()
        for reads, then in [*held, (kv, expected)]:
            assert rows(reads) == sorted(then.items())
            assert rows(reads, reverse=True) == sorted(then.items(), reverse=True)
            assert all(reads.get(bytes((key,))) == then.get(bytes((key,))) for key in range(12))


@pytest.mark.parametrize("is_snapshot", [False, True])
def test_no_read_leaves_anything_open(tmp_path: Path, is_snapshot: bool) -> None:
    """Whatever it finds, and wherever its reader stops: an open iterator keeps all old versions."""
    store, model = open_store(tmp_path / "net", NETWORK), Model()
    wander(model, store, random.Random(2), 6)
    counted = [store._ledger, store._blocks]
    opened = [count_iterators(reads) for reads in counted]  # type: ignore[arg-type]
    reader = store.snapshot() if is_snapshot else store
    if is_snapshot:
        opened.append(count_iterators(reader._ledger))  # type: ignore[arg-type]
    tx = model.changes[-1].block.txs[0]
    name = sha256(SCRIPTS[1])
    place = reader.tx_location(tx.txid)
    assert place is not None
    reader.tx_at(tx.txid, place, model.tip)
    reader.stats(name)
    reader.stats(bytes(32))
    for limit in (0, 1, 100):
        reader.history(name, None, limit)
        reader.utxos(name, limit)
    next(reader.coins())
    next(store.headers())
    reader.block(model.height, model.tip)
    reader.undo(model.height, model.tip)
    store.load_coins(model.coins)
    left = [model.leave(), model.leave()]
    commit(store, left, [model.mine(salt=9)])
    commit(store, [], [model.mine(salt=9)])

    assert all(opened), "all were read"
    assert all(iterator.is_closed for iterators in opened for iterator in iterators)
    reader.close()
    store.close()


class CountedIterator:
    """LevelDB's iterator, that remembers whether it was closed."""

    def __init__(self, iterator: Any) -> None:
        self._iterator = iterator
        self.is_closed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._iterator, name)

    def close(self) -> None:
        self._iterator.close()
        self.is_closed = True


def count_iterators(reads: _LevelReads) -> list[CountedIterator]:
    """The iterators that are opened from now on."""
    source, opened = reads._source, []

    class Source:
        def raw_iterator(self, **options: bool) -> CountedIterator:
            opened.append(CountedIterator(source.raw_iterator(**options)))
            return opened[-1]

        def close(self) -> None:
            source.close()

    reads._source = Source()
    return opened


# the power switch of memory


def test_a_crash_takes_what_was_not_synced() -> None:
    kv = MemoryKv()
    kv.write([(b"a", b"1"), (b"b", b"1")], sync=False)
    kv.write([(b"b", b"2")], sync=True)
    kv.write([(b"a", None), (b"b", b"3"), (b"c", b"3")], sync=False)
    kv.write([(b"b", b"4")], sync=False)
    kv.crash()

    assert rows(kv) == [(b"a", b"1"), (b"b", b"2")]
    kv.write([(b"a", b"5")], sync=True)
    kv.crash()
    assert rows(kv) == [(b"a", b"5"), (b"b", b"2")]


def test_a_crash_may_spare_the_first_of_the_unsynced_writes() -> None:
    kv = MemoryKv()
    for number in range(4):
        kv.write([(b"a", bytes((number,)))], sync=number == 0)
    kv.crash(keep=2)

    assert rows(kv) == [(b"a", b"\x02")]


def test_a_failing_write_changes_nothing() -> None:
    kv = MemoryKv()
    kv.writes_until_failure = 1
    kv.write([(b"a", b"1")], sync=True)
    with pytest.raises(StoreError):
        kv.write([(b"a", b"2")], sync=True)

    assert rows(kv) == [(b"a", b"1")]


@pytest.mark.parametrize("working", range(3))
def test_wherever_a_commit_is_cut_off_the_old_ledger_is_whole(working: int) -> None:
    """Bodies unsynced, then undo, then the ledger: cut before each."""
    disk, model = MemoryDisk(), Model()
    store = open_memory(disk, NETWORK)
    commit(store, [], [model.mine(), model.mine()])
    if working < 2:
        disk.blocks.writes_until_failure = working
    else:
        disk.ledger.writes_until_failure = 0
    change = model.mine()
    with pytest.raises(StoreError):
        commit(store, [], [change])
    model.leave()
    disk.crash()

    store = open_memory(disk, NETWORK)
    assert_agrees(store, model)
    assert [height for height, _ in store.headers()] == ([1, 2] if working < 2 else [1, 2, 3])
    model.mine()
    commit(store, [], [change])
    disk.crash()
    assert_agrees(open_memory(disk, NETWORK), model)


def test_bodies_alone_do_not_survive_unsynced() -> None:
    disk, model = MemoryDisk(), Model()
    store = open_memory(disk, NETWORK)
    kept, lost = model.mine(), model.mine()
    store.put_block(1, kept.block.hash, kept.block.raw, sync=True)
    store.put_block(2, lost.block.hash, lost.block.raw, sync=False)
    disk.crash()

    store = open_memory(disk, NETWORK)
    assert store.block(1, kept.block.hash) == kept.block.raw
    assert store.block(2, lost.block.hash) is None
    assert list(store.headers()) == [(1, kept.block.header.raw)]
