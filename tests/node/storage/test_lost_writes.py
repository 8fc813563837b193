"""Batches that LevelDB drops without a word: it takes a length that goes beyond its log, and a header of
zeros, for the end of what was written. Each start, and each inspection, notices what the tip stands on."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from chain.tx import outpoint
from node.interface.storage import Damaged
from node.storage.headers import StoredHeaders
from node.storage.kv import scan_prefix
from node.storage.leveldb import LevelDb
from node.storage.recovery import open_store
from node.storage.schema import (
    BLOCKS_SCHEMA,
    BODY,
    COMMIT,
    HEADER,
    LEFT,
    META,
    TIP,
    UNDO,
    VOUCHED,
    block_key,
    chain_key,
    commit_key,
    encode_meta,
)
from tests.damage.logfile import HEADER_SIZE, LENGTH_HIGH, record_offsets
from tests.node.storage.branches import NETWORK, SCRIPTS, Model, assert_agrees, commit, delta_of, pay
from tests.node.storage.digest import recompute_digest


def spending(model: Model) -> None:
    """A block that spends the coinbase of the one before, and makes many rows."""
    point = outpoint(model.changes[-1].block.txs[0].txid, 0)
    scripts = [bytes((0, 20)) + bytes((model.height, number)) * 10 for number in range(30)]
    model.mine(pay([point], *[(100, script) for script in scripts]))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net"


@pytest.fixture
def model(path: Path) -> Model:
    """Ten blocks; two of them replace others, after a while without them."""
    made, store = Model(), open_store(path, NETWORK)
    made.mine()
    commit(store, [], made.changes)
    for _ in range(7):
        spending(made)
        commit(store, [], made.changes[-1:])
    commit(store, [made.leave(), made.leave()], [])
    for _ in range(2):
        made.mine(script=SCRIPTS[3], salt=7)
        spending(made)
        commit(store, [], made.changes[-2:])
    store.close()
    return made


def flip_length(content: bytearray, at: int) -> None:
    content[at + LENGTH_HIGH] ^= 0x80


def zero_header(content: bytearray, at: int) -> None:
    content[at : at + HEADER_SIZE] = bytes(HEADER_SIZE)


def only_log(folder: Path) -> Path:
    [log] = folder.glob("*.log")
    return log


def assert_right_or_rebuilt(path: Path, model: Model) -> bool:
    """True if an inspection found it right: then a start does as well."""
    try:
        inspected = open_store(path, NETWORK, inspect=True)
    except Damaged:
        is_right = False
    else:
        is_right = True
        tip = inspected.tip()
        assert inspected._is_in_chain(tip.height, tip.hash) or not tip.height
        if tip.hash in {change.block.hash for change in model.changes}:
            assert_agrees(inspected, model_at(model, tip.height))
        assert recompute_digest(inspected) == tip.digest
        inspected.close()
    store = open_store(path, NETWORK)
    assert (store.rebuilding is None) == is_right or not store.tip().height, "one that lost all is begun anew"
    wanted = {change.block.hash for change in model.changes}
    if store.tip().height and store.tip().hash not in wanted:  # it is as it was before others replaced its end
        store.close()
        store = open_store(path, NETWORK, reindex=True)
    for change in model.changes[store.tip().height :]:
        if (change.height, change.block.header.raw) not in list(store.headers()):
            store.put_block(change.height, change.block.hash, change.block.raw, sync=False)  # as peers do
        store.commit(change.height, change.block.hash, delta_of(change), (), (change,))
    assert_agrees(store, model)
    store.close()
    return is_right


def model_at(model: Model, height: int) -> Model:
    """The chain as far as that height."""
    at = Model()
    for change in model.changes[:height]:
        at._apply(delta_of(change))
        at.changes.append(change)
    return at


@pytest.mark.parametrize("harm", [flip_length, zero_header])
@pytest.mark.parametrize("part", ["blocks", "ledger"])
def test_no_record_of_a_log_is_lost_without_notice(
    path: Path, model: Model, part: str, harm: Callable[[bytearray, int], None], tmp_path: Path
) -> None:
    offsets = list(record_offsets(only_log(path / part).read_bytes()))
    assert len(offsets) > 10
    noticed = 0
    for number, at in enumerate(offsets):
        copy = tmp_path / f"copy{number}"
        shutil.copytree(path, copy)
        log = only_log(copy / part)
        content = bytearray(log.read_bytes())
        harm(content, at)
        log.write_bytes(content)
        noticed += not assert_right_or_rebuilt(copy, model)
        shutil.rmtree(copy)
    assert noticed > 2


@pytest.mark.parametrize("harm", [flip_length, zero_header])
def test_the_tips_undo_lost_from_the_end_of_the_log(
    path: Path, model: Model, harm: Callable[[bytearray, int], None]
) -> None:
    log = only_log(path / "blocks")
    content = bytearray(log.read_bytes())
    harm(content, list(record_offsets(content))[-1])
    log.write_bytes(content)
    with pytest.raises(Damaged, match="undo below its tip is missing"):
        open_store(path, NETWORK, inspect=True)
    assert not assert_right_or_rebuilt(path, model)


def left_key(path: Path) -> bytes:
    """Of a block that has left the best chain, as the ledger names it."""
    kv = LevelDb(path / "ledger", pytest.fail)
    keys = [key for key, _ in scan_prefix(kv, LEFT)]
    kv.close()
    assert len(keys) == 2
    return keys[-1]


@pytest.mark.parametrize("lost", [(UNDO, BODY, HEADER), (UNDO,)])
def test_a_lost_block_beside_the_best_chain_is_named(
    path: Path, model: Model, lost: tuple[bytes, ...], caplog: pytest.LogCaptureFixture
) -> None:
    place = left_key(path)[1:]
    kv = LevelDb(path / "blocks", pytest.fail)
    kv.write([(prefix + place, None) for prefix in lost], sync=True)
    if HEADER not in lost:
        kv.write([(HEADER + place, (kv.get(HEADER + place) or b"")[:80])], sync=True)
    kv.close()
    with pytest.raises(Damaged, match="blocks beside its chain that are lost"):
        open_store(path, NETWORK, inspect=True)
    for _ in range(2):  # it is told once, and nothing is built anew for it
        store = open_store(path, NETWORK)
        assert store.rebuilding is None
        assert_agrees(store, model)
        store.close()
    assert caplog.text.count(f"lost block {place[:3:-1].hex()} at height {int.from_bytes(place[:4], 'big')}") == 1


def test_a_repair_names_what_is_lost_beside_the_best_chain(
    path: Path, model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    place = left_key(path)[1:]
    kv = LevelDb(path / "blocks", pytest.fail)
    kv.write([(UNDO + place, b"not what was sealed")], sync=True)
    kv.close()
    (path / "blocks.damaged").write_text("found while running\n")
    open_store(path, NETWORK).close()
    assert f"lost block {place[:3:-1].hex()} at height {int.from_bytes(place[:4], 'big')} beside" in caplog.text


def test_a_block_that_comes_back_into_the_best_chain_is_beside_it_no_more(path: Path, model: Model) -> None:
    """Nor one that a new ledger has connected again."""
    assert left_key(path)
    store = open_store(path, NETWORK, reindex=True)
    assert len([*scan_prefix(store._ledger_kv, LEFT)]) == 12
    for change in model.changes:
        store.commit(change.height, change.block.hash, delta_of(change), (), (change,))
    assert len([*scan_prefix(store._ledger_kv, LEFT)]) == 2
    store.close()
    assert left_key(path)


def test_a_lost_commit_is_noticed_where_later_ones_have_written_over_it(path: Path, model: Model) -> None:
    """Two blocks left, then others in their place: the heights alone look right without the first of these."""
    kv = LevelDb(path / "ledger", pytest.fail)
    numbers = [int.from_bytes(key[1:], "big") for key, _ in scan_prefix(kv, COMMIT)]
    assert numbers == list(range(1, 12))
    kv.write([(commit_key(9), None)], sync=True)
    assert kv.get(VOUCHED) == kv.get(TIP)
    kv.close()
    with pytest.raises(Damaged, match="commits are missing"):
        open_store(path, NETWORK, inspect=True)
    assert not assert_right_or_rebuilt(path, model)


def test_a_chain_that_does_not_name_all_its_blocks_is_noticed(path: Path, model: Model) -> None:
    kv = LevelDb(path / "ledger", pytest.fail)
    kv.write([(chain_key(4), None)], sync=True)
    kv.close()
    with pytest.raises(Damaged, match="commits below its tip are missing"):
        open_store(path, NETWORK, inspect=True)
    assert not assert_right_or_rebuilt(path, model)


def test_only_the_numbers_of_the_latest_commits_are_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.storage.ledger.COMMITS_KEPT", 3)
    store, model = open_store(path, NETWORK), Model()
    for _ in range(7):
        commit(store, [], [model.mine()])
    store.close()
    store = open_store(path, NETWORK)
    assert store.rebuilding is None
    assert [key for key, _ in scan_prefix(store._ledger_kv, COMMIT)] == [commit_key(n) for n in (5, 6, 7)]
    commit(store, [], [model.mine()])
    assert_agrees(store, model)
    store.close()


def test_blocks_without_the_record_of_their_network_are_repaired(path: Path, model: Model) -> None:
    kv = LevelDb(path / "blocks", pytest.fail)
    kv.write([(META, None)], sync=True)
    kv.close()
    with pytest.raises(Damaged, match="the record of its network is missing"):
        open_store(path, NETWORK, inspect=True)
    assert not assert_right_or_rebuilt(path, model)


@pytest.mark.parametrize("schema", [1, 2])
def test_headers_of_an_earlier_schema_are_told_of_undo_once(path: Path, model: Model, schema: int) -> None:
    kv = LevelDb(path / "blocks", pytest.fail)
    kv.write([(key, raw[:80]) for key, raw in scan_prefix(kv, HEADER)], sync=True)
    kv.write([(META, encode_meta(schema, NETWORK))], sync=True)
    kv.close()
    inspected = open_store(path, NETWORK, inspect=True)
    assert inspected._blocks_kv.get(META) == encode_meta(schema, NETWORK), "an inspection changes nothing"
    inspected.close()
    store = open_store(path, NETWORK)
    assert store.rebuilding is None
    assert_agrees(store, model)
    assert store._blocks_kv.get(META) == encode_meta(BLOCKS_SCHEMA, NETWORK)
    assert len(list(StoredHeaders(store._blocks).connected())) == 12
    store.close()


def test_an_upgrade_does_not_hide_that_undo_is_gone(path: Path, model: Model) -> None:
    kv = LevelDb(path / "blocks", pytest.fail)
    kv.write([(key, raw[:80]) for key, raw in scan_prefix(kv, HEADER)], sync=True)
    kv.write([(META, encode_meta(2, NETWORK)), (block_key(UNDO, 3, model.changes[2].block.hash), None)], sync=True)
    kv.close()
    with pytest.raises(Damaged, match=r"undo below its tip is missing, the lowest is that of block .* at height 3"):
        open_store(path, NETWORK, inspect=True)
    assert not assert_right_or_rebuilt(path, model)
