"""The index by script: what it finds, for which view, and that it forgets."""

import pytest

from chain.coins import Coin
from chain.hashes import sha256
from chain.tx import TxOut
from node.mempool import script_index
from node.mempool.entry import Removal
from node.mempool.script_index import ScriptIndex
from tests.node.mempool.mempool_lab import PoolLab, made, script, script_contents

SLACK = 300
OWNER = script(10**9)
OWNER_HASH = sha256(OWNER)


@pytest.fixture(autouse=True)
def _little_slack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script_index, "STALE_SLACK", SLACK)


def to_owner(lab: PoolLab, *, value: int = 900_000, fee_more: int = 0) -> list[TxOut]:
    """One output to the owner and one to somebody else."""
    return [TxOut(value, OWNER), TxOut(50_000 - fee_more, script(lab.serial()))]


def test_all_of_one_script_are_found_newest_first() -> None:
    lab = PoolLab()
    txs = [lab.pay(lab.fund(), to=to_owner(lab)) for _ in range(4)]
    for tx in txs:
        lab.add(tx)
    view = lab.pool.view()
    assert [entry.tx for entry in view.script_entries(OWNER_HASH)] == txs[::-1]
    assert [entry.tx for entry in view.script_entries(OWNER_HASH, 2)] == txs[:1:-1]
    assert view.script_stats(OWNER_HASH).tx_count == 4
    assert len(view.script_coins(OWNER_HASH)) == 4
    lab.check()


def test_one_that_pays_and_spends_a_script_is_found_once() -> None:
    lab = PoolLab()
    point = lab.fund(lock=OWNER)
    lab.add(lab.pay(point, to=[TxOut(400_000, OWNER), TxOut(500_000, OWNER)]))
    view = lab.pool.view()
    stats = view.script_stats(OWNER_HASH)
    assert (stats.tx_count, stats.funded_sum, stats.spent_sum) == (1, 900_000, 1_000_000)
    assert view.scripts.find(OWNER_HASH) == tuple(view.entries)
    lab.check()


def test_one_that_comes_back_is_found_once() -> None:
    """Alone on its script, and among others."""
    lab = PoolLab()
    alone = lab.pay(lab.fund())
    txs = [lab.pay(lab.fund(), to=to_owner(lab)) for _ in range(3)]
    for _ in range(3):
        for tx in (alone, *txs):
            lab.add(tx)
        lab.check()
        lab.mine(alone, *txs)
        assert script_contents(lab.pool.view()) == {}
        lab.move(1)
        assert lab.txids() == {tx.txid for tx in (alone, *txs)}
        assert len(lab.pool.view().script_entries(OWNER_HASH)) == 3
        lab.mine()
        lab.pool.expire(lab.now + 10**9)
        lab.check()


def test_what_has_left_is_not_found() -> None:
    lab = PoolLab()
    point = lab.fund()
    lab.add(lab.pay(point, to=to_owner(lab)))
    stays = lab.pay(lab.fund(), to=to_owner(lab))
    lab.add(stays)
    removed = lab.add(lab.pay(point, fee=70_000)).removed
    assert [one.reason for one in removed] == [Removal.REPLACED]
    view = lab.pool.view()
    assert [entry.tx for entry in view.script_entries(OWNER_HASH)] == [stays]
    assert [point for point, _ in view.script_coins(OWNER_HASH)] == [made(stays)]


def test_a_view_of_an_old_tip_finds_what_it_had() -> None:
    """Whatever comes and goes later, and however often the index is made anew."""
    lab = PoolLab()
    txs = [lab.pay(lab.fund(), to=to_owner(lab)) for _ in range(5)]
    for tx in txs:
        lab.add(tx)
    old = lab.pool.view()
    lab.mine(*txs[:3])
    had = script_contents(old)
    assert had[OWNER_HASH] == {tx.txid for tx in txs}
    index = lab.pool.view().scripts
    for _ in range(2 * SLACK):
        lab.add(lab.pay(lab.fund(), to=to_owner(lab)))
        lab.mine(*(entry.tx for entry in lab.pool.view().newest(1)))
    assert lab.pool.view().scripts is not index
    assert script_contents(old) == had
    assert len(lab.pool.view().script_entries(OWNER_HASH)) == 2
    lab.check()


def test_it_forgets_what_has_left() -> None:
    """Thousands that all pay the same script come and go within one tip: few are remembered."""
    lab = PoolLab()
    point = lab.fund(100_000_000)
    fee = 1_000
    for _ in range(3 * SLACK):
        lab.add(lab.pay(point, to=[TxOut(90_000_000 - fee, OWNER)], fee=fee))
        fee += 500
        lab.check_script_index()
    index = lab.pool.view().scripts
    assert len(index._rows) < SLACK + 10
    assert len(index.find(OWNER_HASH)) < SLACK + 10
    assert len(lab.pool.view().script_entries(OWNER_HASH)) == 1


def test_an_index_by_itself() -> None:
    lab = PoolLab()
    txs = [lab.pay(lab.fund(), to=[TxOut(900_000, OWNER)]) for _ in range(3)]
    spent = (Coin.make(1, False, TxOut(1, script(0))),)
    index = ScriptIndex()
    assert index.find(OWNER_HASH) == ()
    for tx in txs:
        index.add(tx, (*spent, *spent))
    assert [len(held) for held in index._rows.values()] == [3, 3]
    assert index.find(OWNER_HASH) == index.find(sha256(script(0))) == tuple(tx.txid for tx in txs)
    swept = index.swept({txs[1].txid})
    assert swept.find(OWNER_HASH) == (txs[1].txid,)
    assert index.swept(()).find(OWNER_HASH) == ()
    assert len(index.find(OWNER_HASH)) == 3
