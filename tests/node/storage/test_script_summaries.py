"""Summaries bound what has to be read of a script's history; the answers are those of all of it."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from chain.hashes import BlockHash, sha256
from chain.tx import OutPoint, outpoint
from node.storage import script_summaries
from node.storage.kv import Reads, Row, scan_prefix
from node.storage.ledger import Ledger
from node.storage.memory import MemoryDisk
from node.storage.recovery import open_memory, open_store
from node.storage.schema import COINS_LIST, HISTORY, HISTORY_KEY_SIZE, SUMMARIZED, SUMMARY_SUFFIX
from tests.node.storage.branches import NETWORK, SCRIPTS, Model, assert_agrees, commit, pay, wander

ALICE, BOB = SCRIPTS[1], SCRIPTS[2]


class Counting:
    """A ledger whose reads are counted."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self.scanned = self.looked_up = 0

    def scan(self, start: bytes, stop: bytes, *, reverse: bool = False) -> Iterator[Row]:
        for row in self._reads.scan(start, stop, reverse=reverse):
            self.scanned += 1
            yield row

    def get(self, key: bytes) -> bytes | None:
        self.looked_up += 1
        return self._reads.get(key)

    def get_many(self, keys: list[bytes]) -> dict[bytes, bytes]:
        self.looked_up += len(keys)
        return self._reads.get_many(keys)

    def close(self) -> None:
        self._reads.close()


@pytest.fixture(params=["leveldb", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    is_disk = request.param == "leveldb"
    opened = open_store(tmp_path / "net", NETWORK) if is_disk else open_memory(MemoryDisk(), NETWORK)
    yield opened
    opened.close()


@pytest.fixture
def rare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small enough to be met, large enough to leave most scripts without."""
    monkeypatch.setattr(script_summaries, "ENTRIES_PER_SUMMARY", 16)
    monkeypatch.setattr(script_summaries, "TXS_PER_LIST", 8)
    monkeypatch.setattr(script_summaries, "POINTS_AT_ONCE", 4)


def summary_rows(store: Ledger) -> list[bytes]:
    """The keys of all rows that are there for summaries."""
    beside = [key for key, _ in scan_prefix(store._ledger, HISTORY) if len(key) > HISTORY_KEY_SIZE]
    others = [key for prefix in (SUMMARIZED, COINS_LIST) for key, _ in scan_prefix(store._ledger, prefix)]
    return beside + others


@pytest.mark.parametrize("entries", [1, 4])
@pytest.mark.parametrize("txs", [1, 3, 10])
@pytest.mark.parametrize("seed", range(2))
def test_any_walk_with_many_summaries(
    store: Ledger, seed: int, txs: int, entries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script_summaries, "ENTRIES_PER_SUMMARY", entries)
    monkeypatch.setattr(script_summaries, "TXS_PER_LIST", txs)
    monkeypatch.setattr(script_summaries, "POINTS_AT_ONCE", 3)
    model, rng = Model(), random.Random(seed)
    kinds = set()
    for _ in range(12):
        wander(model, store, rng, 3)
        assert_agrees(store, model)
        kinds |= {key[:1] for key in summary_rows(store)}
    assert kinds >= {HISTORY, SUMMARIZED}
    assert txs > 3 or COINS_LIST in kinds
    while model.changes:
        left = [model.leave() for _ in range(min(model.height, rng.randrange(1, 9)))]
        commit(store, left, [])
        assert_agrees(store, model)
    assert summary_rows(store) == [], "back at genesis, nothing is left of them"


def test_a_summary_says_what_the_blocks_below_it_say(store: Ledger, rare: None) -> None:
    model = Model()
    for _ in range(60):
        commit(store, [], [model.mine(script=ALICE)])
    totals = script_summaries.read_totals(store._ledger, sha256(ALICE), model.height)
    for key, _ in scan_prefix(store._ledger, HISTORY + sha256(ALICE)):
        if key.endswith(SUMMARY_SUFFIX) and len(key) > HISTORY_KEY_SIZE:
            height = int.from_bytes(key[33:37], "big")
            below = script_summaries.read_totals(store._ledger, sha256(ALICE), height)
            assert (below.height, below.coins_count) == (height, height)
    assert totals.coins_count == 60


def moving(model: Model, store: Ledger, blocks: int) -> None:
    """Coins of Alice's that rest, below many blocks in which another one moves."""
    fund = pay([outpoint(model.mine().block.txs[0].txid, 0)], *[(10, ALICE)] * 5)
    model.mine(fund)
    commit(store, [], model.changes)
    moves = outpoint(fund.txid, 0)
    for _ in range(blocks):
        tx = pay([moves], (10, ALICE))
        moves = outpoint(tx.txid, 0)
        commit(store, [], [model.mine(tx, script=BOB)])


def test_a_long_history_is_not_walked_to_its_end(store: Ledger, rare: None) -> None:
    model = Model()
    moving(model, store, 300)
    counting = Counting(store._ledger)
    store._ledger = counting  # type: ignore[assignment]
    name = sha256(ALICE)

    assert store.stats(name).tx_count == 301
    assert counting.scanned <= 8 * 16
    counting.scanned = 0
    assert len(store.utxos(name, 100)) == 5
    assert counting.scanned <= 8 * 16
    assert counting.looked_up <= 8 * 16
    assert_agrees(store, model)


def test_coins_come_newest_first_across_a_list(store: Ledger, rare: None) -> None:
    model = Model()
    for _ in range(80):
        commit(store, [], [model.mine(script=ALICE)])
    newest_first = [outpoint(change.block.txs[0].txid, 0) for change in reversed(model.changes)]

    assert any(key.startswith(COINS_LIST) for key in summary_rows(store))
    for limit in (0, 1, 5, 40, 80, 100):
        assert [point for point, _ in store.utxos(sha256(ALICE), limit)] == newest_first[:limit]


def test_lists_are_rare_where_coins_are_many(store: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each would repeat all of them."""
    monkeypatch.setattr(script_summaries, "ENTRIES_PER_SUMMARY", 1)
    monkeypatch.setattr(script_summaries, "TXS_PER_LIST", 1)
    model = Model()
    fund = pay([outpoint(model.mine().block.txs[0].txid, 0)], *[(10, ALICE)] * 120)
    model.mine(fund)
    commit(store, [], model.changes)
    for number in range(100):
        tx = pay([outpoint(fund.txid, number)], (10, ALICE))
        commit(store, [], [model.mine(tx, script=BOB)])

    lists = [row for key, row in scan_prefix(store._ledger, COINS_LIST + sha256(ALICE))]
    assert 1 <= len(lists) <= 100 * script_summaries.COINS_PER_TX_LISTED // 120 + 1
    assert_agrees(store, model)


@pytest.mark.parametrize("entries", [1, 8, 100])
def test_one_in_so_many_entries_has_a_summary(entries: int) -> None:
    """Whatever the script's hash, and however many entries a block brings it."""
    rng, blocks = random.Random(entries), 20 * script_summaries.ENTRIES_PER_SUMMARY
    row_size = script_summaries.SUMS_SIZE + entries * script_summaries.HISTORY_ENTRY_SIZE
    due = [0] * 256
    for _ in range(blocks):
        sizes = script_summaries.due_sizes(BlockHash(rng.randbytes(28) + bytes(4)))
        for first in range(256):
            due[first] += row_size > sizes[first]
    expected = blocks * entries / script_summaries.ENTRIES_PER_SUMMARY
    assert all(0.1 * expected < count < 2.5 * expected for count in due)


def test_who_pays_a_script_cannot_have_it_passed_over(store: Ledger, rare: None) -> None:
    """Two chains that pay the same scripts at the same heights summarise at different ones."""
    met = set()
    for salt in range(4):
        model = Model()
        for _ in range(60):
            commit(store, [], [model.mine(script=ALICE, salt=salt)])
        met.add(frozenset(key[1:5] for key, _ in scan_prefix(store._ledger, SUMMARIZED)))
        commit(store, model.changes[::-1], [])
    assert len(met) > 1


def test_after_a_stop_the_newest_summary_may_be_missing(rare: None) -> None:
    """It would have come with the next commit."""
    disk, model = MemoryDisk(), Model()
    for _ in range(100):
        store = open_memory(disk, NETWORK)
        commit(store, [], [model.mine(script=ALICE)])
        disk.crash()
    store = open_memory(disk, NETWORK)
    assert summary_rows(store) == []
    assert_agrees(store, model)


def test_snapshots_keep_their_answers(store: Ledger, rare: None) -> None:
    model = Model()
    moving(model, store, 40)
    snapshot = store.snapshot()
    stats, coins = store.stats(sha256(ALICE)), store.utxos(sha256(ALICE), 10)
    left = [model.leave() for _ in range(30)]
    commit(store, left, [])
    for _ in range(50):
        commit(store, [], [model.mine(script=ALICE, salt=1)])

    assert snapshot.stats(sha256(ALICE)) == stats
    assert snapshot.utxos(sha256(ALICE), 10) == coins
    assert_agrees(store, model)
    snapshot.close()


def test_a_point_of_a_list_that_was_spent_since_is_no_coin(store: Ledger, rare: None) -> None:
    model = Model()
    for _ in range(80):
        commit(store, [], [model.mine(script=ALICE)])
    spent: list[OutPoint] = [outpoint(change.block.txs[0].txid, 0) for change in model.changes[:50]]
    commit(store, [], [model.mine(pay(spent, (1, BOB)), script=BOB)])

    assert len(store.utxos(sha256(ALICE), 100)) == 30
    assert_agrees(store, model)
