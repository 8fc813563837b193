"""The filters' folder: whose it is, and that whatever is wrong with it is made anew."""

from collections.abc import Callable
from pathlib import Path

import pytest

from chain.hashes import BlockHash
from node.interface.storage import Damaged, StoreError
from node.storage.filters import FILTERS, FilterRows, discard_filters, open_filters
from node.storage.leveldb import LevelDb
from node.storage.memory import MemoryKv
from node.storage.schema import META, encode_meta

NETWORK = b"n" * 32
HASH = BlockHash(b"h" * 32)


def made(folder: Path) -> None:
    rows = open_filters(folder, NETWORK)
    rows.put(7, HASH, b"filter", b"x" * 32)
    rows.close()


def test_rows_come_back(tmp_path: Path) -> None:
    made(tmp_path)
    rows = open_filters(tmp_path, NETWORK)
    assert (rows.filter(7, HASH), rows.header(7, HASH), rows.reached()) == (b"filter", b"x" * 32, (7, HASH))
    assert (rows.filter(8, HASH), rows.header(7, BlockHash(NETWORK))) == (None, None)
    rows.close()


def test_headers_are_those_of_their_heights() -> None:
    rows = FilterRows(MemoryKv(), NETWORK)
    for height in range(300):
        rows.put(height, BlockHash(height.to_bytes(32, "big")), b"", height.to_bytes(32, "big"))
    rows.put(255, BlockHash(b"\xff" * 32), b"", b"y" * 32)
    found = rows.headers(254, 257)
    assert sorted(found.values()) == [*[height.to_bytes(32, "big") for height in (254, 255, 256)], b"y" * 32]


def other_network(folder: Path) -> None:
    edit(folder, (META, encode_meta(1, b"o" * 32)))


def other_schema(folder: Path) -> None:
    edit(folder, (META, encode_meta(9, NETWORK)))


def no_meta(folder: Path) -> None:
    edit(folder, (META, None))


def headless(folder: Path) -> None:
    (folder / FILTERS / "CURRENT").unlink()


def garbled(folder: Path) -> None:
    for path in (folder / FILTERS).glob("MANIFEST-*"):
        path.write_bytes(b"nonsense" * 20)


def noted(folder: Path) -> None:
    (folder / f"{FILTERS}.damaged").write_text("a flipped bit\n")


def edit(folder: Path, *edits: tuple[bytes, bytes | None]) -> None:
    kv = LevelDb(folder / FILTERS, pytest.fail)
    kv.write(edits, sync=True)
    kv.close()


@pytest.mark.parametrize("harm", [other_network, other_schema, no_meta, headless, garbled, noted])
def test_whatever_is_wrong_they_are_made_anew(
    tmp_path: Path, harm: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    made(tmp_path)
    harm(tmp_path)
    rows = open_filters(tmp_path, NETWORK)
    assert (rows.filter(7, HASH), rows.reached()) == (None, None)
    rows.put(7, HASH, b"filter", b"x" * 32)
    rows.close()
    assert "making the filters of all blocks anew" in caplog.text
    rows = open_filters(tmp_path, NETWORK)
    assert rows.filter(7, HASH) == b"filter"
    rows.close()


def test_damage_that_is_read_leaves_a_note(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = open_filters(tmp_path, NETWORK)
    for height in range(400):  # enough for a table
        rows.put(height, HASH, bytes(1000), b"x" * 32)
    rows.close()
    rows = open_filters(tmp_path, NETWORK)
    for table in (tmp_path / FILTERS).glob("*.ldb"):
        content = bytearray(table.read_bytes())
        content[len(content) // 2 - 500 : len(content) // 2 + 500] = b"\xee" * 1000
        table.write_bytes(content)
    with pytest.raises(Damaged):
        [rows.filter(height, HASH) for height in range(400)]
    rows.close()
    assert (tmp_path / f"{FILTERS}.damaged").exists()
    assert caplog.text.count("is damaged") == 1
    rows = open_filters(tmp_path, NETWORK)
    assert rows.reached() is None
    rows.close()
    assert not (tmp_path / f"{FILTERS}.damaged").exists()


def test_throwing_away_what_is_not_there(tmp_path: Path) -> None:
    discard_filters(tmp_path)
    made(tmp_path)
    discard_filters(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_something_else_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / FILTERS).write_text("a file")
    with pytest.raises(StoreError, match="something else is in its place"):
        open_filters(tmp_path, NETWORK)
