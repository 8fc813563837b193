"""What is kept of damaged blocks: every one that can be read, whatever became of its table's index."""

import logging
import os
import shutil
from pathlib import Path

import pytest

from node.interface.storage import LostBlocks
from node.storage.recovery import open_store
from node.storage.table_salvage import rows_of
from tests.node.storage.branches import NETWORK, SCRIPTS, Model, assert_agrees, commit, delta_of
from tests.node.storage.test_recovery import compact, only

BLOCKS = 60
ROWS_TOGETHER = 15
"""Bodies of this size in a table's block: they are lost together."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net"


@pytest.fixture
def model(path: Path) -> Model:
    """A chain whose blocks are in one table."""
    made, store = Model(), open_store(path, NETWORK)
    for number in range(BLOCKS):
        commit(store, [], [made.mine(script=SCRIPTS[number % len(SCRIPTS)])])
    store.close()
    compact(path / "blocks")
    return made


def kept(path: Path, model: Model) -> list[int]:
    """Heights of the blocks that a start still finds, each of which is what it was."""
    store = open_store(path, NETWORK)
    heights = [height for height, _ in store.headers()]
    for height in heights:
        change = model.changes[height - 1]
        assert store.block(height, change.block.hash) == change.block.raw
    store.close()
    return heights


def test_every_row_is_found_without_the_index(path: Path, model: Model) -> None:
    table = only(path / "blocks", "*.ldb").read_bytes()
    found: dict[bytes, bytes] = {}
    for key, row in rows_of(table):
        found.setdefault(key, row)  # of a row's versions the newest comes first
    store = open_store(path, NETWORK)
    whole = dict(store._blocks_kv.scan(b"", b"\xff"))
    store.close()
    assert len(whole) > 3 * BLOCKS
    assert {key: found.get(key) for key in whole} == whole


@pytest.mark.parametrize("cut", [1, 47, 48, 100, 1_000])
def test_a_table_without_its_end_gives_back_all_blocks(path: Path, model: Model, cut: int) -> None:
    table = only(path / "blocks", "*.ldb")
    os.truncate(table, table.stat().st_size - cut)
    assert kept(path, model) == list(range(1, BLOCKS + 1))
    store = open_store(path, NETWORK)
    assert store.lost() is None
    for change in model.changes:
        store.commit(change.height, change.block.hash, delta_of(change), (), (change,))
    assert_agrees(store, model)
    store.close()


@pytest.mark.parametrize("share", [0.05, 0.3, 0.8])
def test_half_a_table_gives_back_what_is_in_it_and_the_rest_is_named(
    path: Path, model: Model, share: float, caplog: pytest.LogCaptureFixture
) -> None:
    table = only(path / "blocks", "*.ldb")
    os.truncate(table, int(table.stat().st_size * share))
    with caplog.at_level(logging.ERROR):
        heights = kept(path, model)
    assert heights == list(range(1, len(heights) + 1)), "bodies lie in the order of their heights"
    assert len(heights) >= int(BLOCKS * share) - ROWS_TOGETHER
    lost = model.changes[len(heights) :]
    store = open_store(path, NETWORK)
    if lost:
        assert store.lost() == LostBlocks(len(lost), lost[0].height, BLOCKS)
        assert f"lost block {lost[0].block.hash[::-1].hex()} at height {lost[0].height}" in caplog.text
        assert f"{len(lost)} blocks are lost, from height {lost[0].height} to {BLOCKS}" in caplog.text
    for change in model.changes:
        assert (store.lost() is not None) == bool(lost), "until the chain is as high as it was"
        if change in lost:
            store.put_block(change.height, change.block.hash, change.block.raw, sync=False)
        store.commit(change.height, change.block.hash, delta_of(change), (), (change,))
    assert store.lost() is None
    assert_agrees(store, model)
    store.close()
    store = open_store(path, NETWORK)
    assert store.lost() is None
    store.close()


@pytest.mark.parametrize("at", [0.25, 0.5])
def test_a_hole_in_a_table_without_its_end_costs_what_is_in_it(path: Path, model: Model, at: float) -> None:
    table = only(path / "blocks", "*.ldb")
    content = bytearray(table.read_bytes())
    start = int(len(content) * 0.6 * at)
    content[start : start + 300] = bytes(300)
    table.write_bytes(content[:-100])
    heights = kept(path, model)
    assert len(heights) == BLOCKS - ROWS_TOGETHER
    assert max(heights) == BLOCKS


def test_what_was_lost_before_is_not_looked_for_again(path: Path, model: Model) -> None:
    """Rows that were deleted since would come back."""
    table = only(path / "blocks", "*.ldb")
    os.truncate(table, table.stat().st_size - 100)
    assert len(kept(path, model)) == BLOCKS
    (path / "blocks.damaged").write_text("found while running\n")
    aside = path / "aside"
    shutil.copytree(path / "blocks" / "lost", aside)
    store = open_store(path, NETWORK)
    store.drop_block(BLOCKS, model.changes[-1].block.hash)
    store.close()
    (path / "blocks.damaged").write_text("found again\n")
    assert len(kept(path, model)) == BLOCKS - 1
