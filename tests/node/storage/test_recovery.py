"""Data directories: whose they are, and what becomes of damaged ones. Real files, real processes."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chain.hashes import sha256
from chain.tx import outpoint
from node.interface.storage import Damaged, StoreError
from node.storage.kv import Batch, Kv, Locked
from node.storage.ledger import Ledger
from node.storage.leveldb import LevelDb, explain
from node.storage.recovery import open_store
from node.storage.schema import BODY, COIN, META, TIP, UNDO, VOUCHED, block_key, encode_meta
from tests.node.storage.branches import NETWORK, Model, assert_agrees, commit, delta_of, pay
from tests.node.storage.digest import recompute_digest

OTHER_NETWORK = bytes(32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net"


@pytest.fixture
def model(path: Path) -> Model:
    """A chain of some blocks, stored in `path`, which is closed."""
    made = Model()
    store = open_store(path, NETWORK)
    for _ in range(12):
        spent = [outpoint(made.changes[-1].block.txs[0].txid, 0)] if made.changes else []
        txs = [pay(spent, *[(100, bytes((0, 20)) + bytes((made.height, i)) * 10) for i in range(20)])] if spent else []
        commit(store, [], [made.mine(*txs)])
    store.close()
    return made


def reconnect(store: Ledger, model: Model) -> None:
    """What the chainstate does at every start: connect the stored blocks above the tip."""
    for change in model.changes[store.tip().height :]:
        assert store.block(change.height, change.block.hash) == change.block.raw
        store.commit(change.height, change.block.hash, delta_of(change), (), (change,))


def edit(path: Path, *edits: tuple[bytes, bytes | None]) -> None:
    kv = LevelDb(path, pytest.fail)
    kv.write(edits, sync=True)
    kv.close()


def flip(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 0x10
    file.write_bytes(content)


def compact(path: Path) -> None:
    """Move everything from the log into tables."""
    kv = LevelDb(path, pytest.fail)
    kv._db.compact_range()
    kv.close()


def only(path: Path, pattern: str) -> Path:
    [file] = path.glob(pattern)
    return file


# one owner


def test_a_second_process_is_told_the_first_ones_pid(path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from node.storage.recovery import open_store\n"
        "store = open_store(Path(sys.argv[1]), bytes(range(32)))\n"
        "print('open', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "open\n"
        for inspect in (False, True):
            with pytest.raises(Locked, match=rf"in use by process {owner.pid}: stop that first$"):
                open_store(path, NETWORK, inspect=inspect)
        owner.kill()
    open_store(path, NETWORK).close()


def test_the_same_process_cannot_open_it_twice_either(path: Path) -> None:
    store = open_store(path, NETWORK)
    with pytest.raises(Locked, match=rf"process {os.getpid()}:"):
        open_store(path, NETWORK)
    store.close()
    store.close()
    open_store(path, NETWORK).close()


def test_a_refused_opening_lets_go_of_the_directory(path: Path, model: Model) -> None:
    for _ in range(2):
        with pytest.raises(StoreError, match="belongs to network"):
            open_store(path, OTHER_NETWORK)
    store = open_store(path, NETWORK)
    assert_agrees(store, model)
    store.close()


# whose it is


def test_another_networks_directory_is_refused(path: Path, model: Model) -> None:
    with pytest.raises(StoreError, match=r"belongs to network 00010203 and this is 00000000: .*another --datadir"):
        open_store(path, OTHER_NETWORK, reindex=True)


def test_another_schema_of_blocks_is_refused(path: Path, model: Model) -> None:
    edit(path / "blocks", (META, encode_meta(99, NETWORK)))
    with pytest.raises(StoreError, match="has schema 99 and this version reads 3: use the version that made it"):
        open_store(path, NETWORK, reindex=True)


def test_another_schema_of_the_ledger_asks_for_a_reindex(path: Path, model: Model) -> None:
    edit(path / "ledger", (META, encode_meta(99, NETWORK, b"\x01")))
    with pytest.raises(StoreError, match=r"has schema 99 .*: run groatd reindex"):
        open_store(path, NETWORK)
    store = open_store(path, NETWORK, reindex=True)
    reconnect(store, model)
    assert_agrees(store, model)
    store.close()


def test_a_ledger_of_an_earlier_schema_is_built_anew(path: Path, model: Model) -> None:
    """In 2 there were summaries that nobody finds when their block leaves the best chain."""
    edit(path / "ledger", (META, encode_meta(2, NETWORK, b"\x01")))
    assert_rebuilt(path, model, "made by an earlier version")


def test_a_database_of_something_else_is_refused(path: Path) -> None:
    path.mkdir()
    edit(path / "blocks", (b"name", b"somebody else's"))
    with pytest.raises(StoreError, match="holds something else: choose another --datadir"):
        open_store(path, NETWORK)


def test_the_index_choice_is_kept_and_changed_by_a_reindex(path: Path, model: Model) -> None:
    with pytest.raises(StoreError, match="made with its indexes"):
        open_store(path, NETWORK, index=False)
    store = open_store(path, NETWORK, index=False, reindex=True)
    assert store.rebuilding == "reindex"
    assert store.tip().height == 0
    reconnect(store, model)
    assert_agrees(store, model)
    store.close()
    with pytest.raises(StoreError, match="made without its indexes: start with --no-index, or run groatd reindex"):
        open_store(path, NETWORK, index=True)
    store = open_store(path, NETWORK)
    assert not store.has_index
    assert store.rebuilding is None
    store.close()


# a damaged ledger/


def assert_rebuilt(path: Path, model: Model, why: str) -> None:
    """Opening for inspection says so and changes nothing; opening for use starts it anew."""
    with pytest.raises(Damaged):
        open_store(path, NETWORK, inspect=True)
    store = open_store(path, NETWORK)
    assert store.rebuilding is not None
    assert why in store.rebuilding
    assert store.tip().height == 0
    reconnect(store, model)
    assert_agrees(store, model)
    store.close()
    store = open_store(path, NETWORK)
    assert store.rebuilding is None
    assert_agrees(store, model)
    store.close()
    assert sorted(entry.name for entry in path.iterdir()) == ["blocks", "ledger", "pid"]


def drop_current(ledger: Path) -> None:
    (ledger / "CURRENT").unlink()


def drop_table(ledger: Path) -> None:
    compact(ledger)
    only(ledger, "*.ldb").unlink()


def flip_table(ledger: Path) -> None:
    """One bit in one coin."""
    kv = LevelDb(ledger, pytest.fail)
    coins = [coin for _, coin in kv.scan(COIN, b"d")]
    kv.close()
    compact(ledger)
    table = only(ledger, "*.ldb")
    flip(table, table.read_bytes().index(coins[-1]))


def zero_table(ledger: Path) -> None:
    """Everything but the end, that tells where things are: no row can be found at all."""
    compact(ledger)
    table = only(ledger, "*.ldb")
    content = table.read_bytes()
    table.write_bytes(bytes(len(content) - 100) + content[-100:])


def cut_table(ledger: Path) -> None:
    compact(ledger)
    table = only(ledger, "*.ldb")
    os.truncate(table, table.stat().st_size // 2)


def flip_log(ledger: Path) -> None:
    log = only(ledger, "*.log")
    flip(log, log.stat().st_size // 2)


def flip_manifest(ledger: Path) -> None:
    flip(only(ledger, "MANIFEST-*"), 20)


def garble_current(ledger: Path) -> None:
    (ledger / "CURRENT").write_text("rubbish")


def zero_current(ledger: Path) -> None:
    content = (ledger / "CURRENT").read_bytes()
    (ledger / "CURRENT").write_bytes(b"\0" + content[1:])


def lose_tip(ledger: Path) -> None:
    edit(ledger, (TIP, None))


def shorten_tip(ledger: Path) -> None:
    edit(ledger, (TIP, b"short"))


def lose_meta(ledger: Path) -> None:
    edit(ledger, (META, None))


def lose_coin(ledger: Path) -> None:
    kv = LevelDb(ledger, pytest.fail)
    key, _ = next(kv.scan(COIN, b"d"))
    kv.close()
    edit(ledger, (key, None), (VOUCHED, None))


def change_coin(ledger: Path) -> None:
    kv = LevelDb(ledger, pytest.fail)
    key, coin = next(kv.scan(COIN, b"d"))
    kv.close()
    edit(ledger, (key, coin[:4] + b"\xff" + coin[5:]), (VOUCHED, None))


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (drop_current, "CURRENT is missing"),
        (drop_table, "missing files"),
        (flip_table, "checksum mismatch"),
        (zero_table, "Corruption"),
        (cut_table, "Invalid argument"),
        (flip_log, "Corruption"),
        (flip_manifest, "Corruption"),
        (garble_current, "Corruption"),
        (zero_current, "CURRENT names no manifest"),
        (lose_tip, "no tip"),
        (shorten_tip, "no tip"),
        (lose_meta, "no tip"),
        (lose_coin, "do not match the digest"),
        (change_coin, "do not match the digest"),
    ],
)
def test_a_damaged_ledger_is_built_anew(path: Path, model: Model, harm: Callable[[Path], None], why: str) -> None:
    harm(path / "ledger")
    assert_rebuilt(path, model, why)


def test_a_clean_stop_vouches_for_the_digest_and_inspection_takes_nothing_for_granted(
    path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(coins: object) -> int:
        raise AssertionError("the coins were added up")

    with monkeypatch.context() as patched:
        patched.setattr("node.storage.ledger_check.coins_digest", fail)
        open_store(path, NETWORK).close()
        with pytest.raises(AssertionError, match="added up"):
            open_store(path, NETWORK, inspect=True)
    edit(path / "ledger", next_coin(path / "ledger"))
    with pytest.raises(Damaged, match="do not match the digest"):
        open_store(path, NETWORK, inspect=True)


def next_coin(ledger: Path) -> tuple[bytes, None]:
    """An edit that takes the first coin away."""
    kv = LevelDb(ledger, pytest.fail)
    key, _ = next(kv.scan(COIN, b"d"))
    kv.close()
    return key, None


def test_the_first_commit_after_a_start_ends_the_vouching(path: Path, model: Model) -> None:
    """Whatever happens to the process then, the next start adds up the coins."""
    store = open_store(path, NETWORK)
    commit(store, [], [model.mine()])
    ledger = store._ledger_kv
    assert ledger.get(VOUCHED) is None
    store.close()
    kv = LevelDb(path / "ledger", pytest.fail)
    assert kv.get(VOUCHED) == kv.get(TIP)
    kv.close()


def test_nothing_vouches_for_the_digest_after_a_commit_that_failed(path: Path, model: Model) -> None:
    """It may have reached the disk or not, and so may what the next ones would have stood on."""
    store = open_store(path, NETWORK)
    commit(store, [], [model.mine()])
    ledger = store._ledger_kv
    store._ledger_kv = FailingWrites(ledger)  # type: ignore[assignment]
    with pytest.raises(StoreError, match="no such luck"):
        commit(store, [], [model.mine()])
    store._ledger_kv = ledger
    store.close()
    kv = LevelDb(path / "ledger", pytest.fail)
    assert kv.get(VOUCHED) is None
    kv.close()
    model.leave()
    store = open_store(path, NETWORK)
    assert store.rebuilding is None
    assert_agrees(store, model)
    store.close()


class FailingWrites:
    """A database whose batches cannot be written."""

    def __init__(self, kv: Kv) -> None:
        self._kv = kv

    def batch(self, *, sync: bool) -> Batch:
        return FailingBatch(self._kv.batch(sync=sync))


class FailingBatch:
    def __init__(self, batch: Batch) -> None:
        self.put, self.delete = batch.put, batch.delete

    def write(self) -> None:
        raise StoreError("no such luck")


def test_every_flipped_bit_of_the_ledgers_log_is_noticed(path: Path) -> None:
    model = Model()
    store = open_store(path, NETWORK)
    commit(store, [], [model.mine()])
    store.close()
    log = only(path / "ledger", "*.log")
    before = log.read_bytes()
    for at in range(0, len(before), 11):
        flip(log, at)
        try:
            inspected = open_store(path, NETWORK, inspect=True)
        except Damaged:
            pass
        else:
            # Its length field may make the last record look cut off: then it is as if never written.
            assert recompute_digest(inspected) == inspected.tip().digest
            assert_agrees(inspected, model if inspected.tip().height else Model())
            inspected.close()
        for file in (path / "ledger").iterdir():
            file.unlink()
        (path / "ledger.damaged").unlink(missing_ok=True)
        store = open_store(path, NETWORK)
        reconnect(store, model)
        store.close()
        log = only(path / "ledger", "*.log")
        assert len(log.read_bytes()) >= len(before), "a new one also names the blocks that are not connected again yet"


def test_a_ledger_cut_off_at_its_end_is_an_older_one(path: Path, model: Model) -> None:
    log = only(path / "ledger", "*.log")
    os.truncate(log, log.stat().st_size - 400)  # what vouches for the digest, and the end of the last commit
    store = open_store(path, NETWORK)
    assert store.rebuilding is None
    assert store.tip().height == model.height - 1
    reconnect(store, model)
    assert_agrees(store, model)
    store.close()


def test_a_ledger_over_missing_blocks_is_built_anew(path: Path, model: Model) -> None:
    lost = model.changes[5]
    store = open_store(path, NETWORK)
    store._blocks_kv.write([(block_key(prefix, 6, lost.block.hash), None) for prefix in (b"h", BODY)], sync=True)
    store.close()
    store = open_store(path, NETWORK)
    assert store.rebuilding is not None
    assert "blocks below its tip are missing" in store.rebuilding
    store.put_block(6, lost.block.hash, lost.block.raw, sync=True)
    reconnect(store, model)
    assert_agrees(store, model)
    store.close()


def test_damage_met_while_running_is_repaired_at_the_next_start(
    path: Path, model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    """A flipped bit in an index row is found by who reads it: the coins are as they were."""
    compact(path / "ledger")
    table = only(path / "ledger", "*.ldb")
    txid = model.changes[3].block.txs[0].txid
    script = model.changes[3].block.txs[0].outputs[0].script
    flip(table, table.read_bytes().index(txid))
    store = open_store(path, NETWORK)
    assert recompute_digest(store) == store.tip().digest
    for _ in range(3):
        with pytest.raises(Damaged, match=r"checksum mismatch\): start again to have it repaired"):
            store.history(sha256(script), None, 1_000)
    assert len(caplog.records) == 1
    store.close()

    assert_rebuilt(path, model, "checksum mismatch")


def test_a_damaged_coin_is_no_missing_one(path: Path, model: Model) -> None:
    """Asked for alone or with others; the coins were vouched for, so no start adds them up."""
    point, coin = next(iter(sorted(model.coins.items())))
    compact(path / "ledger")
    table = only(path / "ledger", "*.ldb")
    flip(table, table.read_bytes().index(coin))
    store = open_store(path, NETWORK)
    with pytest.raises(Damaged, match="checksum mismatch"):
        store.coin(point)
    with pytest.raises(Damaged, match="checksum mismatch"):
        store.load_coins(model.coins)
    store.close()

    assert_rebuilt(path, model, "checksum mismatch")


def test_half_thrown_away_ledgers_are_thrown_away_wholly(path: Path, model: Model) -> None:
    rubbish = path / "ledger.discarded"
    rubbish.mkdir()
    (rubbish / "000003.log").write_bytes(b"from a start that was cut off")
    (path / "ledger.damaged").write_text("as noted before the cut\n")
    assert_rebuilt(path, model, "as noted before the cut")


# a damaged blocks/


@pytest.mark.parametrize("harm", [drop_current, garble_current, zero_current, flip_manifest])
def test_blocks_are_repaired_and_the_ledger_built_anew(path: Path, model: Model, harm: Callable[[Path], None]) -> None:
    harm(path / "blocks")
    with pytest.raises(Damaged, match="start the node to have it repaired"):
        open_store(path, NETWORK, inspect=True)
    store = open_store(path, NETWORK)

    assert store.rebuilding == "its blocks had to be repaired"
    assert [raw for _, raw in store.headers()] == [change.block.header.raw for change in model.changes]
    reconnect(store, model)
    assert_agrees(store, model)
    store.close()
    store = open_store(path, NETWORK)
    assert store.rebuilding is None
    store.close()


def test_blocks_whose_table_is_cut_off_are_fetched_again(path: Path, model: Model) -> None:
    cut_table(path / "blocks")
    with pytest.raises(Damaged, match="start the node to have it repaired"):
        open_store(path, NETWORK, inspect=True)
    store = open_store(path, NETWORK)
    assert store.rebuilding == "its blocks had to be repaired"
    assert store.tip().height == 0
    store.close()
    store = open_store(path, NETWORK)
    assert store.rebuilding is None
    store.close()


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_flipped_bit_in_the_blocks_log_costs_single_blocks(path: Path, model: Model, share: float) -> None:
    log = only(path / "blocks", "*.log")
    flip(log, int(log.stat().st_size * share))
    store = open_store(path, NETWORK)

    stored = {raw for _, raw in store.headers()}
    whole = [change for change in model.changes if store.block(change.height, change.block.hash) is not None]
    assert stored == {change.block.header.raw for change in whole}
    assert all(store.block(change.height, change.block.hash) == change.block.raw for change in whole)
    for change in model.changes:  # what peers would send again
        if change not in whole:
            store.put_block(change.height, change.block.hash, change.block.raw, sync=False)
    reconnect(store, model)
    assert_agrees(store, model)
    store.close()


def test_blocks_that_lie_about_their_contents_do_not_survive_a_repair(path: Path, model: Model) -> None:
    """Repaired logs are not checked by LevelDB, so the merkle root has to speak."""
    change = model.changes[7]
    raw = bytearray(change.block.raw)
    raw[-10] ^= 1
    key = block_key(BODY, 8, change.block.hash)
    edit(path / "blocks", (key, bytes(raw)))
    (path / "blocks.damaged").write_text("found while running\n")
    store = open_store(path, NETWORK)

    assert store.block(8, change.block.hash) is None
    assert store.undo(8, change.block.hash) is None
    assert len(list(store.headers())) == model.height - 1
    store.close()


def test_blocks_cut_off_anywhere_open_without_lies(path: Path, model: Model) -> None:
    log = only(path / "blocks", "*.log")
    os.truncate(log, log.stat().st_size // 2)
    store = open_store(path, NETWORK)

    assert store.rebuilding is not None, "its tip is gone"
    kept = list(store.headers())
    assert 0 < len(kept) < model.height
    assert kept == [(change.height, change.block.header.raw) for change in model.changes[: len(kept)]]
    store.close()


def test_undo_that_fails_its_checksum_is_damage_and_noted(path: Path, model: Model) -> None:
    change = model.changes[3]
    store = open_store(path, NETWORK)
    key = block_key(UNDO, 4, change.block.hash)
    record = store._blocks_kv.get(key)
    assert record is not None
    store._blocks_kv.write([(key, record[:-1] + bytes((record[-1] ^ 1,)))], sync=True)

    with pytest.raises(Damaged, match="at height 4 fails its checksum"):
        store.undo(4, change.block.hash)
    store.close()
    store = open_store(path, NETWORK)
    assert store.rebuilding == "its blocks had to be repaired"
    assert store._blocks_kv.get(key) is None
    reconnect(store, model)
    assert_agrees(store, model)
    store.close()


def test_a_start_that_is_cut_off_after_the_repair_does_not_keep_the_old_ledger(
    path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may stand on undo that the repair could not keep."""

    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    (path / "blocks.damaged").write_text("found while running\n")
    with monkeypatch.context() as patch:
        patch.setattr("node.storage.recovery._open_ledger", cut_off)
        with pytest.raises(KeyboardInterrupt):
            open_store(path, NETWORK)
    store = open_store(path, NETWORK)

    assert store.tip().height == 0
    reconnect(store, model)
    assert_agrees(store, model)
    store.close()


def test_a_broken_block_that_is_asked_for_again_and_again_is_logged_once(
    path: Path, model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(path, NETWORK)
    change = model.changes[2]
    store._blocks_kv.write([(block_key(BODY, 3, change.block.hash), bytes(100))], sync=True)
    caplog.clear()
    for _ in range(5):
        with pytest.raises(Damaged, match="is not what its hash says"):
            store.block(3, change.block.hash)
    assert len(caplog.records) == 1
    store.close()


# what the system refuses


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        (os.strerror(errno.EACCES), "let this user read and write it"),
        (os.strerror(errno.EPERM), "let this user read and write it"),
        (os.strerror(errno.EROFS), "read-only"),
        (os.strerror(errno.ENOSPC), "disk is full.*nothing acknowledged is lost"),
        (os.strerror(errno.EDQUOT), "disk is full"),
        (os.strerror(errno.EMFILE), "ulimit -n"),
        (os.strerror(errno.EIO), "disk fails"),
        (os.strerror(errno.ENOTDIR), "something else is in its place"),
        ("something new", "something new"),
    ],
)
def test_what_the_system_says_becomes_advice(reason: str, advice: str) -> None:
    with pytest.raises(StoreError, match=rf"^/data/net: .*{advice}"):
        raise explain(Path("/data/net"), f"IO error: /data/net/blocks/000003.log: {reason}")


def test_leveldbs_own_lock_is_known_too(tmp_path: Path) -> None:
    kv = LevelDb(tmp_path / "kv", pytest.fail)
    with pytest.raises(Locked, match="in use by another process"):
        LevelDb(tmp_path / "kv", pytest.fail)
    kv.close()


@pytest.mark.parametrize("inspect", [True, False])
def test_a_file_in_the_directorys_place(tmp_path: Path, inspect: bool) -> None:
    (tmp_path / "net").write_text("")
    with pytest.raises(StoreError, match=r"something else is in its place|holds no blocks"):
        open_store(tmp_path / "net", NETWORK, inspect=inspect)


@pytest.mark.parametrize("inspect", [True, False])
@pytest.mark.parametrize("part", ["blocks", "ledger"])
def test_a_folder_that_the_system_does_not_let_look_into(
    path: Path, model: Model, part: str, inspect: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain_exists = Path.exists

    def refuse(file: Path) -> bool:
        if file == path / part / "CURRENT":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return plain_exists(file)

    def refuse_copy(source: Path, target: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "exists", refuse)
    monkeypatch.setattr(shutil, "copyfile", refuse_copy)
    with pytest.raises(StoreError, match="let this user read and write it"):
        open_store(path, NETWORK, inspect=inspect)


def test_a_note_that_cannot_be_removed(path: Path, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    (path / "blocks.damaged").write_text("found while running\n")
    plain_unlink = Path.unlink

    def refuse(file: Path, missing_ok: bool = False) -> None:
        if file.name == "blocks.damaged":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        plain_unlink(file, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        with pytest.raises(StoreError, match="let this user read and write it"):
            open_store(path, NETWORK)
    store = open_store(path, NETWORK)
    assert store.rebuilding == "its blocks had to be repaired"
    store.close()


def test_an_inspection_makes_nothing(tmp_path: Path, path: Path) -> None:
    with pytest.raises(StoreError, match="holds no blocks: check --datadir and --network"):
        open_store(path, NETWORK, inspect=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("part", ["blocks", "ledger"])
def test_an_inspection_makes_no_database(path: Path, model: Model, part: str) -> None:
    shutil.rmtree(path / part)
    if part == "blocks":
        (path / part).mkdir()
    with pytest.raises(StoreError, match=f"{part} is empty: start the node to have it built"):
        open_store(path, NETWORK, inspect=True)
    assert not list(path.glob(f"{part}/*"))
    assert not (path / f"{part}.damaged").exists()


def test_a_full_disk_stops_a_commit_and_loses_nothing(path: Path) -> None:
    """A file size limit stands in for the full disk, in a process of its own."""
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from node.interface.storage import StoreError; from node.storage.recovery import open_store\n"
        "from tests.node.storage.branches import Model, commit\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "store, model = open_store(Path(sys.argv[1]), bytes(range(32))), Model()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try:\n"
        "    while True: commit(store, [], [model.mine()]); print(store.tip().height, flush=True)\n"
        "except StoreError as error: print(error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    *heights, error = ran.stdout.splitlines()
    assert "the disk is full: free some space and start again" in error, ran.stderr
    store, model = open_store(path, NETWORK), Model()
    while model.height < int(heights[-1]):
        model.mine()
    assert store.rebuilding is None
    if store.tip().height > model.height:
        model.mine()  # the write that failed may still have reached the disk
    assert_agrees(store, model)
    store.close()


def test_an_inspection_writes_nothing_and_needs_no_leave_to_write(
    path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a read-only mount: whatever is opened for writing there is refused."""
    plain_open = os.open

    def refuse(file: object, flags: int, *mode: int, **more: int) -> int:
        if str(file).startswith(str(path)) and flags & (os.O_RDWR | os.O_WRONLY | os.O_CREAT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return plain_open(file, flags, *mode, **more)  # type: ignore[arg-type]

    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.rglob("*") if file.is_file()}
    monkeypatch.setattr(os, "open", refuse)
    for _ in range(2):
        inspected = open_store(path, NETWORK, inspect=True)
        assert_agrees(inspected, model)
        inspected.close()
    monkeypatch.undo()
    assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.rglob("*") if file.is_file()} == before


def test_an_inspection_reads_every_row(path: Path, model: Model) -> None:
    """Also those that no start looks at; the note has the next one repair them."""
    compact(path / "blocks")
    table = only(path / "blocks", "*.ldb")
    flip(table, table.read_bytes().index(model.changes[4].block.raw) + 90)
    store = open_store(path, NETWORK)
    assert store.rebuilding is None
    store.close()
    with pytest.raises(Damaged, match="checksum mismatch"):
        open_store(path, NETWORK, inspect=True)
    store = open_store(path, NETWORK)
    assert store.rebuilding == "its blocks had to be repaired"
    store.close()
