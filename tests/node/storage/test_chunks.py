"""Long blocks and long undo: stored in parts, read as a whole or by the piece."""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest

from chain.hashes import BlockHash
from chain.tx import Tx, TxIn, TxOut, make_tx, outpoint
from node.interface.storage import Damaged, TxLocation
from node.storage.chunks import PART_SIZE, in_parts, read_parts, read_piece
from node.storage.kv import Row, scan_prefix
from node.storage.ledger import Ledger
from node.storage.leveldb import LevelDb
from node.storage.memory import MemoryDisk, MemoryKv
from node.storage.recovery import open_memory, open_store
from node.storage.schema import BLOCKS_SCHEMA, BODY, META, UNDO, block_key, encode_coins, encode_meta, seal
from tests.node.storage.branches import NETWORK, Model, assert_agrees, commit

SIZES = [0, 1, PART_SIZE - 1, PART_SIZE, PART_SIZE + 1, 2 * PART_SIZE, 5 * PART_SIZE + 77]
LONG_SCRIPT = b"\x51" * 10_000
"""The longest that makes a coin."""


@pytest.fixture(params=["leveldb", "memory"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Ledger]]:
    disk = MemoryDisk()
    opened: list[Ledger] = []

    def open_it() -> Ledger:
        if request.param == "leveldb":
            opened.append(open_store(tmp_path / "net", NETWORK))
        else:
            opened.append(open_memory(disk, NETWORK))
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


@pytest.mark.parametrize("size", SIZES)
def test_any_piece_is_what_it_was(size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    content = content[:size]
    kv = MemoryKv()
    kv.write([*in_parts(b"a", content), (b"b", b"another value")], sync=False)

    assert all(len(row) <= PART_SIZE for row in kv.rows.values())
    assert b"".join(part for _, part in read_parts(kv, b"a")) == content
    edges = {0, 1, PART_SIZE - 1, PART_SIZE, PART_SIZE + 1, 2 * PART_SIZE, size // 2, size - 1, size, size + 1}
    for start in sorted(edge for edge in edges if edge >= 0):
        for end in sorted(edge for edge in edges if edge > start):
            expected = content[start:end] if end <= size else None
            assert read_piece(kv.get, b"a", start, end - start) == expected
    assert read_piece(kv.get, b"a", 0, 0) == b""
    assert read_piece(kv.get, b"c", 0, 1) is None
    assert read_parts(kv, b"c") == []


@pytest.mark.parametrize("size", SIZES)
def test_values_of_one_row_are_read_as_they_are(size: int) -> None:
    """As schema 1 of `blocks/` has them, however long."""
    content = bytes(range(251)) * (size // 251 + 1)
    content = content[:size]
    kv = MemoryKv()
    kv.write([(b"a", content), (b"b", b"another value")], sync=False)

    assert read_parts(kv, b"a") == [(b"a", content)]
    for start in {0, size // 2, max(0, size - 1)}:
        assert read_piece(kv.get, b"a", start, size - start) == content[start:]
    assert read_piece(kv.get, b"a", 0, size + 1) is None


def long_payment(model: Model, outputs: int, witness: int = 0) -> Tx:
    """Spends the newest coinbase; with a witness of so many bytes, to as many outputs of long scripts."""
    spent = TxIn(outpoint(model.changes[-1].block.txs[0].txid, 0), b"", 0, (bytes(witness),))
    return make_tx(2, (spent,), (TxOut(5, LONG_SCRIPT),) * outputs, 0)


def long_chain() -> Model:
    """A body of many parts, and an undo of many parts."""
    model = Model()
    model.mine()
    fan = long_payment(model, 12, witness=PART_SIZE)
    small = make_tx(2, (TxIn(outpoint(fan.txid, 0), b"", 0, ()),), (TxOut(5, b"\x51"),), 0)
    model.mine(fan, small)
    spends = [TxIn(outpoint(fan.txid, index), b"", 0, ()) for index in range(1, 12)]
    model.mine(
        make_tx(2, tuple(spends[:5]), (TxOut(25, b"\x51"),), 0),
        make_tx(2, tuple(spends[5:]), (TxOut(30, b"\x51"),), 0),
    )
    return model


def test_long_blocks_and_undo_come_back_whole(opener: Callable[[], Ledger]) -> None:
    store, model = opener(), long_chain()
    commit(store, [], model.changes)

    assert max(change.block.size for change in model.changes) > 4 * PART_SIZE
    assert max(len(encode_coins(change.undo)) for change in model.changes) > 3 * PART_SIZE
    assert_agrees(store, model)
    assert [raw for _, raw in store.headers()] == [change.block.header.raw for change in model.changes]
    store.close()
    assert_agrees(opener(), model)


def location(store: Ledger, height: int, position: int, model: Model) -> tuple[TxLocation, BlockHash]:
    block = model.changes[height - 1].block
    place = store.tx_location(block.txs[position].txid)
    assert place is not None
    return place, block.hash


def test_a_lost_part_takes_only_what_is_in_it_and_is_no_absence(opener: Callable[[], Ledger]) -> None:
    store, model = opener(), long_chain()
    commit(store, [], model.changes)
    body = block_key(BODY, 2, model.changes[1].block.hash)
    undo = block_key(UNDO, 3, model.changes[2].block.hash)
    store._blocks_kv.write([(body + b"\x00\x01", None), (undo + b"\x00\x03", None)], sync=False)
    fan, fan_block = location(store, 2, 1, model)
    small, small_block = location(store, 2, 2, model)
    first, last_block = location(store, 3, 1, model)
    last, _ = location(store, 3, 2, model)

    _, fan_tx, small_tx = model.changes[1].block.txs
    _, first_tx, last_tx = model.changes[2].block.txs
    with pytest.raises(Damaged, match="at height 2"):
        store.tx_at(fan_tx.txid, fan, fan_block)
    assert store.tx_at(small_tx.txid, small, small_block)[0] == small_tx
    assert store.tx_at(first_tx.txid, first, last_block) == (first_tx, model.changes[2].undo[:5])
    with pytest.raises(Damaged, match="at height 3"):  # its coins are not here
        store.tx_at(last_tx.txid, last, last_block)


def test_a_place_that_holds_another_transaction_is_damage(opener: Callable[[], Ledger]) -> None:
    store, model = opener(), long_chain()
    commit(store, [], model.changes)
    first, last_block = location(store, 3, 1, model)
    with pytest.raises(Damaged, match="is not where it should be"):
        store.tx_at(model.changes[2].block.txs[2].txid, first, last_block)


def test_a_changed_part_of_an_undo_is_damage_and_noted(opener: Callable[[], Ledger]) -> None:
    store, model = opener(), long_chain()
    commit(store, [], model.changes)
    noted: list[str] = []
    store._on_damaged_blocks = noted.append
    key = block_key(UNDO, 3, model.changes[2].block.hash) + b"\x00\x01"
    part = store._blocks_kv.get(key)
    assert part is not None
    store._blocks_kv.write([(key, part[:-1] + b"\x00")], sync=False)
    first, block_hash = location(store, 3, 1, model)

    with pytest.raises(Damaged):
        store.undo(3, block_hash)
    with pytest.raises(Damaged):
        store.tx_at(model.changes[2].block.txs[1].txid, first, block_hash)
    assert len(noted) == 2
    assert "at height 3 fails its checksum" in noted[0]


@pytest.mark.parametrize("number", [b"", b"\x00\x01", b"\x00\x02"])
def test_what_has_lost_a_part_before_its_end_is_damage(opener: Callable[[], Ledger], number: bytes) -> None:
    """Neither shorter, under the header that its hash asks for, nor absent."""
    store, model = opener(), long_chain()
    commit(store, [], model.changes)
    body = block_key(BODY, 2, model.changes[1].block.hash)
    undo = block_key(UNDO, 3, model.changes[2].block.hash)
    store._blocks_kv.write([(body + number, None), (undo + number, None)], sync=False)

    with pytest.raises(Damaged, match=r"the body of block .* at height 2 is lost"):
        store.block(2, model.changes[1].block.hash)
    with pytest.raises(Damaged, match=r"the undo of block .* at height 3 is lost"):
        store.undo(3, model.changes[2].block.hash)


def test_an_undo_that_has_lost_its_end_is_damage_and_noted(opener: Callable[[], Ledger]) -> None:
    """A shorter one would leave coins out when the block leaves the best chain."""
    store, model = opener(), long_chain()
    commit(store, [], model.changes)
    noted: list[str] = []
    store._on_damaged_blocks = noted.append
    undo = block_key(UNDO, 3, model.changes[2].block.hash)
    last = max(key for key, _ in scan_prefix(store._blocks_kv, undo))
    store._blocks_kv.write([(last, None)], sync=False)

    with pytest.raises(Damaged):
        store.undo(3, model.changes[2].block.hash)
    assert len(noted) == 1
    assert "at height 3 is cut off" in noted[0]


def test_a_row_written_again_in_parts_is_not_read_half_and_half() -> None:
    content = bytes(range(251)) * 400
    kv = Rewritten(content)
    assert b"".join(part for _, part in read_parts(kv, b"a")) == content
    assert len(read_parts(kv.kv, b"a")) > 1


class Rewritten:
    """A database in which the first read finds one long row, and any later one its parts."""

    def __init__(self, content: bytes) -> None:
        self.kv = MemoryKv()
        self.kv.write([(b"a", content)], sync=False)
        self._content = content

    def get(self, key: bytes) -> bytes | None:
        found = self.kv.get(key)
        self._rewrite()
        return found

    def get_many(self, keys: Collection[bytes]) -> dict[bytes, bytes]:
        found = self.kv.get_many(keys)
        self._rewrite()
        return found

    def scan(self, start: bytes, stop: bytes, *, reverse: bool = False) -> Iterator[Row]:
        rows = list(self.kv.scan(start, stop, reverse=reverse))
        self._rewrite()
        return iter(rows)

    def close(self) -> None:
        self.kv.close()

    def _rewrite(self) -> None:
        self.kv.write(in_parts(b"a", self._content), sync=False)


@pytest.mark.parametrize("prefix", [BODY, UNDO])
@pytest.mark.parametrize("number", [b"", b"\x00\x01", b"\x00\x03"])
def test_a_repair_drops_what_has_lost_a_part(tmp_path: Path, prefix: bytes, number: bytes) -> None:
    path, model = tmp_path / "net", long_chain()
    store = open_store(path, NETWORK)
    commit(store, [], model.changes)
    at = 2 if prefix == BODY else 3
    store._blocks_kv.write([(block_key(prefix, at, model.changes[at - 1].block.hash) + number, None)], sync=True)
    store.close()
    (path / "blocks.damaged").write_text("found while running\n")
    store = open_store(path, NETWORK)

    broken = block_key(prefix, at, model.changes[at - 1].block.hash)
    left = {key for key, _ in scan_prefix(store._blocks_kv, prefix)}
    assert not any(key.startswith(broken) for key in left)
    others = [change for change in model.changes if change.height != at]
    assert all(block_key(prefix, change.height, change.block.hash) in left for change in others)
    kept = [height for height, _ in store.headers()]
    assert kept == ([1, 3] if prefix == BODY else [1, 2, 3])
    store.close()


def test_blocks_of_schema_1_are_read_and_become_schema_2(tmp_path: Path) -> None:
    path, model = tmp_path / "net", long_chain()
    store = open_store(path, NETWORK)
    commit(store, [], model.changes)
    rows = dict(store._blocks_kv.scan(b"", b"\xff"))
    store.close()
    kv = LevelDb(path / "blocks", pytest.fail)
    kv.write([(key, None) for key in rows if key[:1] in (BODY, UNDO)], sync=False)
    for change in model.changes:
        undo_key = block_key(UNDO, change.height, change.block.hash)
        body_key = block_key(BODY, change.height, change.block.hash)
        kv.write([(body_key, change.block.raw), (undo_key, seal(undo_key, encode_coins(change.undo)))], sync=False)
    kv.write([(META, encode_meta(1, NETWORK))], sync=True)
    kv.close()

    inspected = open_store(path, NETWORK, inspect=True)
    assert_agrees(inspected, model)
    assert inspected._blocks_kv.get(META) == encode_meta(1, NETWORK)
    inspected.close()
    store = open_store(path, NETWORK)
    commit(store, [], [model.mine(long_payment(model, 5))])
    assert_agrees(store, model)
    assert store._blocks_kv.get(META) == encode_meta(BLOCKS_SCHEMA, NETWORK)
    store.close()


def test_an_undo_of_no_coins_is_not_a_missing_one(opener: Callable[[], Ledger]) -> None:
    store, model = opener(), Model()
    commit(store, [], [model.mine()])
    assert store.undo(1, model.changes[0].block.hash) == ()
    assert store.undo(1, BlockHash(bytes(32))) is None
