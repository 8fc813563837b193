"""The shared contract of every Store: on LevelDB, and on the memory that simulations use."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chain.coins import Coin
from chain.hashes import BlockHash, Txid, sha256, sha256d
from chain.params import GENESIS
from chain.tx import OutPoint, outpoint
from node.interface.storage import Damaged, HistoryRow, ScriptStats, StoredTip, StoreError
from node.storage.ledger import Ledger
from node.storage.memory import MemoryDisk
from node.storage.recovery import open_memory, open_store
from tests.node.storage.branches import (
    DATA_SCRIPT,
    NETWORK,
    SCRIPTS,
    Model,
    assert_agrees,
    commit,
    delta_of,
    pay,
    wander,
)
from tests.node.storage.digest import recompute_digest

Opener = Callable[[bool], Ledger]
"""Opens the same store again and again; the argument says whether it has indexes."""
ALICE, BOB = SCRIPTS[1], SCRIPTS[2]


@pytest.fixture(params=["leveldb", "memory"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    disk = MemoryDisk()
    opened: list[Ledger] = []

    def open_it(index: bool = True) -> Ledger:
        if request.param == "leveldb":
            opened.append(open_store(tmp_path / "net", NETWORK, index=index))
        else:
            opened.append(open_memory(disk, NETWORK, index=index))
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture
def store(opener: Opener) -> Ledger:
    return opener(True)


def first_coin(model: Model) -> OutPoint:
    return outpoint(model.changes[0].block.txs[0].txid, 0)


def test_a_fresh_store_stands_on_genesis(store: Ledger) -> None:
    coinbase = GENESIS.txs[0]

    assert store.tip() == StoredTip(GENESIS.hash, 0, 0)
    assert list(store.coins()) == []
    assert list(store.headers()) == []
    assert store.marks() == {}
    assert store.block(0, GENESIS.hash) == GENESIS.raw
    assert store.undo(0, GENESIS.hash) == ()
    assert store.coin(outpoint(coinbase.txid, 0)) is None
    assert store.tx_location(coinbase.txid) is None
    assert store.stats(sha256(coinbase.outputs[0].script)) == ScriptStats(0, 0, 0, 0, 0)


def test_unknown_things_are_none_or_empty(store: Ledger) -> None:
    nowhere = BlockHash(bytes(32))

    assert store.block(0, nowhere) is None
    assert store.undo(0, nowhere) is None
    assert store.block(7, nowhere) is None
    assert store.undo(7, nowhere) is None
    assert store.coin(OutPoint(bytes(36))) is None
    assert store.spender(OutPoint(bytes(36))) is None
    assert store.tx_location(Txid(bytes(32))) is None
    assert store.history(b"\xff" * 32, None, 10) == []
    assert store.utxos(b"\xff" * 32, 10) == []


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_any_walk_leaves_what_the_chain_says(opener: Opener, seed: int, index: bool) -> None:
    store, model, rng = opener(index), Model(), random.Random(seed)
    for _ in range(4):
        wander(model, store, rng, 6)
        assert_agrees(store, model)
        assert recompute_digest(store) == store.tip().digest


def test_everything_is_there_after_closing_and_opening(opener: Opener) -> None:
    store, model = opener(True), Model()
    wander(model, store, random.Random(5), 12)
    store.close()

    assert_agrees(opener(True), model)


def test_going_back_to_genesis_leaves_nothing(store: Ledger) -> None:
    model = Model()
    model.mine(script=ALICE)
    model.mine(pay([first_coin(model)], (10, BOB), (20, ALICE)))
    went = list(model.changes)
    commit(store, [], went)
    commit(store, went[::-1], [])

    assert store.tip() == StoredTip(GENESIS.hash, 0, 0)
    assert list(store.coins()) == []
    for change in went:
        for tx in change.block.txs:
            assert store.tx_location(tx.txid) is None
    assert store.spender(first_coin(model)) is None
    for script in (ALICE, BOB):
        assert store.history(sha256(script), None, 10) == []
        assert store.stats(sha256(script)) == ScriptStats(0, 0, 0, 0, 0)


def test_a_payment_mined_again_at_another_height_keeps_its_coin(store: Ledger) -> None:
    r"""The outpoint is in `spent` and in `created` of the one delta that crosses over::

    1 --- 2 (payment)
     \--- 2' --- 3' (payment)
    """
    model = Model()
    model.mine(script=ALICE)
    payment = pay([first_coin(model)], (10, BOB))
    model.mine(payment)
    commit(store, [], model.changes)
    left = [model.leave()]
    entered = [model.mine(salt=1), model.mine(payment)]
    commit(store, left, entered)

    coin = store.coin(outpoint(payment.txid, 0))
    assert coin == Coin.make(3, False, payment.outputs[0])
    assert_agrees(store, model)
    location, spender = store.tx_location(payment.txid), store.spender(first_coin(model))
    assert location is not None
    assert location.height == 3
    assert spender is not None
    assert spender.height == 3


def test_a_snapshot_sees_its_own_moment_for_ever(store: Ledger) -> None:
    model = Model()
    model.mine(script=ALICE)
    commit(store, [], model.changes)
    before, then = store.snapshot(), list(store.coins())
    spent = first_coin(model)
    change = model.mine(pay([spent], (10, BOB), (20, BOB)))
    commit(store, [], [change])
    after = store.snapshot()

    assert before.tip().height == 1
    assert before.coin(spent) is not None
    assert list(before.coins()) == then
    assert before.spender(spent) is None
    assert before.utxos(sha256(BOB), 9) == []
    assert before.stats(sha256(ALICE)).spent_count == 0
    assert after.tip() == store.tip()
    assert after.coin(spent) is None
    assert len(after.utxos(sha256(BOB), 9)) == 2
    assert before.block(2, change.block.hash) == change.block.raw, "bodies never change under their key"
    before.close()
    before.close()
    assert after.tip().height == 2
    after.close()


def test_a_script_met_twice_in_a_transaction_is_listed_and_counted_once(store: Ledger) -> None:
    model = Model()
    model.mine(script=ALICE)
    payment = pay([first_coin(model)], (10, ALICE), (20, ALICE), (30, BOB), (0, DATA_SCRIPT))
    chained = pay([outpoint(payment.txid, 1)], (15, ALICE))
    model.mine(payment, chained)
    commit(store, [], model.changes)

    assert store.history(sha256(ALICE), None, 10) == [
        HistoryRow(2, 2, chained.txid),
        HistoryRow(2, 1, payment.txid),
        HistoryRow(1, 0, model.changes[0].block.txs[0].txid),
    ]
    assert store.stats(sha256(ALICE)) == ScriptStats(3, 4, 5_000 + 10 + 20 + 15, 2, 5_000 + 20)
    assert store.history(sha256(DATA_SCRIPT), None, 10) == [], "nobody can ever spend it"
    assert store.tx_location(chained.txid) is not None


def test_pages_of_a_history_join_without_gap_or_overlap(store: Ledger) -> None:
    model = Model()
    for _ in range(3):
        model.mine(script=ALICE)
    fan = pay([first_coin(model)], *[(100, ALICE)] * 7)
    model.mine(fan, *(pay([outpoint(fan.txid, i)], (90, ALICE)) for i in range(7)))
    model.mine(script=ALICE)
    commit(store, [], model.changes)
    name = sha256(ALICE)
    whole = store.history(name, None, 100)

    assert len(whole) == 3 + 8 + 1
    for size in (1, 2, 5, 12, 13):
        pages, before = [], None
        while page := store.history(name, before, size):
            pages += page
            before = (page[-1].height, page[-1].position)
        assert pages == whole
    assert store.history(name, None, 0) == []
    assert store.history(name, (1, 0), 5) == []


def test_a_page_stays_while_the_chain_grows(store: Ledger) -> None:
    model = Model()
    model.mine(script=ALICE)
    model.mine(script=ALICE)
    commit(store, [], model.changes)
    [newest] = store.history(sha256(ALICE), None, 1)
    commit(store, [], [model.mine(script=ALICE)])

    page = store.history(sha256(ALICE), (newest.height, newest.position), 9)
    assert [row.height for row in page] == [1]


def test_utxos_stop_at_their_limit(store: Ledger) -> None:
    model = Model()
    model.mine()
    fan = pay([first_coin(model)], *[(100, ALICE)] * 9, (100, BOB))
    model.mine(fan)
    commit(store, [], model.changes)

    assert len(store.utxos(sha256(ALICE), 4)) == 4
    assert len(store.utxos(sha256(ALICE), 100)) == 9
    assert store.utxos(sha256(ALICE), 0) == []


def test_sums_beyond_64_bits_are_exact(store: Ledger) -> None:
    model = Model()
    model.mine(script=ALICE)
    huge = 21_000_000 * 100_000_000
    txs, spent = [], first_coin(model)
    for _ in range(40):
        txs.append(pay([spent], *[(huge, BOB)] * 300))
        spent = outpoint(txs[-1].txid, 0)
    model.mine(*txs)
    commit(store, [], model.changes)

    assert store.stats(sha256(BOB)) == ScriptStats(40, 12_000, 12_000 * huge, 39, 39 * huge)


def test_without_its_index_a_store_says_so(opener: Opener) -> None:
    store, model = opener(False), Model()
    model.mine(script=ALICE)
    commit(store, [], model.changes)

    assert not store.has_index
    assert store.coin(first_coin(model)) is not None
    for ask in (
        lambda: store.tx_location(Txid(bytes(32))),
        lambda: store.spender(first_coin(model)),
        lambda: store.history(bytes(32), None, 1),
        lambda: store.utxos(bytes(32), 1),
        lambda: store.stats(bytes(32)),
    ):
        with pytest.raises(LookupError, match="--no-index"):
            ask()


def test_headers_come_lowest_first_from_every_branch(store: Ledger) -> None:
    model = Model()
    for _ in range(3):
        model.mine()
    stale = model.leave()
    model.mine(salt=1)
    blocks = [*model.changes, stale]
    for change in reversed(blocks):
        store.put_block(change.height, change.block.hash, change.block.raw, sync=False)

    headers = list(store.headers())
    assert [height for height, _ in headers] == [1, 2, 3, 3]
    assert {raw for _, raw in headers} == {change.block.header.raw for change in blocks}
    assert store.undo(3, stale.block.hash) is None, "never connected"


def test_a_body_that_is_not_its_hash_is_damage(store: Ledger) -> None:
    model = Model()
    change = model.mine()
    store.put_block(1, BlockHash(sha256d(b"another")), change.block.raw, sync=True)

    with pytest.raises(Damaged, match="is not what its hash says"):
        store.block(1, BlockHash(sha256d(b"another")))
    assert list(store.headers()) == []


def test_a_body_that_was_never_connected_can_be_dropped(opener: Opener) -> None:
    store, raw = opener(True), GENESIS.raw[:80] + bytes(100_000)
    hashes = [BlockHash(sha256(bytes((number,)))) for number in range(2)]
    for block_hash in hashes:
        store.put_block(1, block_hash, raw, sync=True)
        store.set_mark(block_hash, "invalid")
    store.drop_block(1, hashes[0])
    store.drop_block(1, BlockHash(sha256(b"unknown")))
    assert store.marks() == {hashes[1]: "invalid"}
    rows = store._blocks_kv.scan(b"", b"\xff" * 8)
    assert not any(hashes[0] in key for key, _ in rows)
    assert sum(hashes[1] in key for key, _ in store._blocks_kv.scan(b"", b"\xff" * 8)) == 6


def test_marks_are_kept_and_taken_back(opener: Opener) -> None:
    store = opener(True)
    one, two = BlockHash(b"\x01" * 32), BlockHash(b"\xff" * 32)
    store.set_mark(one, "invalid")
    store.set_mark(two, "operator")
    store.set_mark(one, "operator")
    assert store.marks() == {one: "operator", two: "operator"}
    store.set_mark(two, None)
    store.close()

    assert opener(True).marks() == {one: "operator"}


def test_another_index_choice_is_refused(opener: Opener) -> None:
    opener(True).close()
    with pytest.raises(StoreError, match=r"with its indexes: start without --no-index, or run groatd reindex"):
        opener(False)


def test_a_commit_tells_the_digest_from_the_delta_alone(store: Ledger) -> None:
    """A delta that does not fit the coins shows as a digest that does not."""
    model = Model()
    change = model.mine()
    delta = delta_of(change)
    delta.spent[OutPoint(bytes(36))] = Coin.make(1, False, change.block.txs[0].outputs[0])
    store.put_block(1, change.block.hash, change.block.raw, sync=False)
    store.commit(1, change.block.hash, delta, (), (change,))

    assert recompute_digest(store) != store.tip().digest


def test_a_commit_that_leads_elsewhere_writes_nothing(opener: Opener) -> None:
    """Our own fault, and not the disk's or a peer's: it must never reach the ledger."""
    store, model = opener(True), Model()
    first, second, third = model.mine(), model.mine(), model.mine()
    commit(store, (), (first,))
    delta = delta_of(second)
    elsewhere = [
        (3, third.block.hash, (), (third,)),  # leaves a block out
        (1, first.block.hash, (), (first,)),  # again
        (0, GENESIS.hash, (second,), ()),  # leaves what was never entered
        (3, second.block.hash, (), (second,)),  # another height
        (2, third.block.hash, (), (second,)),  # another tip
    ]
    for height, tip, left, entered in elsewhere:
        with pytest.raises(AssertionError):
            store.commit(height, tip, delta, left, entered)
    store.close()
    store = opener(True)
    assert store.tip().hash == first.block.hash
    assert recompute_digest(store) == store.tip().digest
    commit(store, (), (second, third))
    assert_agrees(store, model)
