"""Entering the pool, and what its readers see."""

from collections.abc import Callable

import pytest

from chain.coins import Coin
from chain.errors import Invalid, Rejected, Unready
from chain.hashes import Txid, sha256
from chain.scripttype import ScriptType
from chain.tx import OutPoint, TxOut, outpoint
from node.interface.storage import ScriptStats
from node.mempool.entry import MEMPOOL_HEIGHT, MempoolEntry, MempoolTotals, Removal
from node.mempool.inputs import MissingInputs
from node.mempool.mempool import Mempool
from node.mempool.persist import DUMP_TXS_MAX, encode_dump, load_dump
from node.mempool.policy import EXPIRY_S
from node.mempool.prechecks import Staged
from tests.chainlab import ENGINE, Owned, lock, made_by, pay
from tests.node.mempool.mempool_lab import START_HEIGHT, PoolLab, contents, made, outputs_of, script, script_contents


def txids_of(entries: list[MempoolEntry]) -> list[Txid]:
    return [entry.txid for entry in entries]


def test_an_entry_says_all_about_its_transaction() -> None:
    lab = PoolLab()
    parent_point, point = lab.fund(), lab.fund()
    parent = lab.pay(parent_point, fee=300)
    lab.add(parent)
    lab.now += 5
    child = lab.pay(made(parent), point, fee=700)
    added = lab.add(child)
    assert added.removed == ()
    assert added.entry == MempoolEntry(
        tx=child,
        fee=700,
        vsize=child.vsize,
        weight=child.weight,
        sigops=2,
        usage=added.entry.usage,
        time=lab.now,
        height=START_HEIGHT,
        sequence=1,
        spent=(Coin.make(START_HEIGHT + 1, False, parent.outputs[0]), lab.coins[point]),
        waits=False,
        parents=(parent.txid,),
        ancestors=MempoolTotals(2, parent.vsize + child.vsize, 1000),
        descendants=MempoolTotals(1, child.vsize, 700),
    )
    assert lab.pool.get(parent.txid).descendants == MempoolTotals(2, parent.vsize + child.vsize, 1000)  # type: ignore[union-attr]
    assert lab.pool.get(child.txid) is lab.pool.by_wtxid(child.wtxid) is added.entry
    assert lab.pool.by_wtxid(parent.txid) is None  # type: ignore[arg-type]
    assert len(lab.pool) == 2
    assert child.txid in lab.pool
    lab.check()


def test_staging_changes_nothing() -> None:
    lab = PoolLab()
    point = lab.fund()
    lab.add(lab.pay(point))
    before = lab.pool.dump()
    staged = lab.stage(lab.pay(point, fee=5000))
    assert lab.stage(staged.tx) == staged
    assert lab.pool.restage(staged, lab.coins.get, lab.context, lab.now) == staged
    assert lab.pool.dump() == before
    lab.check()


def test_staging_again_sees_what_has_changed() -> None:
    lab = PoolLab()
    point = lab.fund()
    staged = lab.stage(lab.pay(point))
    lab.mine(lab.pay(point))
    with pytest.raises(MissingInputs):
        lab.pool.restage(staged, lab.coins.get, lab.context, lab.now)


def restaged(lab: PoolLab, staged: Staged) -> Staged | str:
    """What a second staging says, or why not; a fresh one says the same."""

    def outcome(ask: Callable[[], Staged]) -> Staged | str:
        try:
            return ask()
        except Rejected as error:
            return str(error)

    again = outcome(lambda: lab.pool.restage(staged, lab.coins.get, lab.context, lab.now))
    assert again == outcome(lambda: lab.stage(staged.tx))
    return again


def test_staging_again_is_spared_where_nothing_that_matters_has_changed() -> None:
    """Others come and go; nobody asks for a coin."""
    lab = PoolLab()
    replaced = lab.fund()
    lab.add(lab.pay(replaced))
    staged = lab.stage(lab.pay(lab.fund()))
    lab.chained(lab.fund(), 3)
    lab.add(lab.pay(replaced, fee=5000))
    lab.now += 30

    def lookup(point: OutPoint) -> Coin | None:
        raise AssertionError("asked for a coin")

    assert lab.pool.restage(staged, lookup, lab.context, lab.now) is staged
    assert restaged(lab, staged) is staged


def test_staging_again_sees_a_rival() -> None:
    lab = PoolLab()
    point = lab.fund()
    staged = lab.stage(lab.pay(point, fee=2000))
    rival = lab.pay(point, fee=1000)
    lab.add(rival)
    again = restaged(lab, staged)
    assert isinstance(again, Staged)
    assert again.replaced == {rival.txid}
    better = lab.pay(point, fee=50_000)
    lab.add(better)
    assert str(restaged(lab, staged)).startswith("insufficient fee")


def test_staging_again_sees_that_it_is_here() -> None:
    lab = PoolLab()
    tx = lab.pay(lab.fund())
    staged = lab.stage(tx)
    lab.add(tx)
    assert restaged(lab, staged) == "txn-already-in-mempool"


def test_staging_again_sees_that_its_parent_or_rival_has_left() -> None:
    lab = PoolLab()
    point, other = lab.fund(), lab.fund()
    parent, rival = lab.pay(point), lab.pay(other)
    for tx in (parent, rival):
        lab.add(tx)
    child, replacement = lab.stage(lab.pay(made(parent))), lab.stage(lab.pay(other, fee=3000))
    assert replacement.replaced == {rival.txid}
    for taken in (point, other):
        lab.add(lab.pay(taken, fee=2000))
    assert str(restaged(lab, child)).startswith("bad-txns-inputs-missingorspent")
    again = restaged(lab, replacement)
    assert isinstance(again, Staged)
    assert again.replaced != {rival.txid}


def test_staging_again_spares_who_need_not_go_any_more() -> None:
    """Its rival has expired; or room has been made for it."""
    lab = PoolLab()
    point = lab.fund()
    lab.add(lab.pay(point, fee=2000))
    replacement = lab.stage(lab.pay(point, fee=5000))
    lab.pool.usage_max_bytes = lab.pool.view().usage
    newcomer = lab.stage(lab.pay(lab.fund(), fee=5000))
    assert newcomer.evicted
    lab.pool.expire(lab.now + EXPIRY_S + 1)
    for staged in (replacement, newcomer):
        again = restaged(lab, staged)
        assert isinstance(again, Staged)
        assert (again.replaced, again.evicted) == (frozenset(), ())


def test_staging_again_sees_a_new_tip() -> None:
    """A branch that is lower: the lock time is not over yet."""
    lab = PoolLab()
    lab.move(0, [], [])
    staged = lab.stage(lab.pay(lab.fund(), lock_time=lab.height))
    lab.mine()
    assert isinstance(restaged(lab, staged), Staged)
    lab.move(2)
    assert str(restaged(lab, staged)).startswith("non-final")


def test_staging_again_sees_that_the_pool_has_filled_up() -> None:
    lab = PoolLab()
    lab.add(lab.pay(lab.fund(), fee=500))
    staged = lab.stage(lab.pay(lab.fund(), fee=400))
    lab.pool.usage_max_bytes = lab.pool.view().usage
    assert restaged(lab, staged) == "mempool full"
    lab.add(lab.pay(lab.fund(), fee=5000))  # which pushes one out, and so raises the floor
    lab.pool.usage_max_bytes *= 2
    assert str(restaged(lab, staged)).startswith("mempool min fee not met")


@pytest.mark.parametrize("kind", [ScriptType.P2WPKH, ScriptType.P2PKH, ScriptType.P2TR])
def test_the_checks_are_the_signatures_of_the_transaction(kind: ScriptType) -> None:
    """Of coins of the chain and of the pool alike."""
    lab = PoolLab()
    point = lab.fund(lock=lock(kind))
    parent = pay([Owned(point, lab.coins[point])], [TxOut(900_000, lock(kind, 1))])
    child = pay([made_by(parent)])
    for tx in (parent, child):
        staged = lab.stage(tx)
        assert ENGINE.first_failure(b"".join(staged.checks())) is None
        lab.pool.add(staged, lab.now)
    lab.check()


def test_a_wrong_signature_shows_in_the_checks() -> None:
    lab = PoolLab()
    point = lab.fund(lock=lock())
    coin = lab.coins[point]
    for_another_amount = Coin.make(10, False, TxOut(coin.value + 1, coin.script))
    staged = lab.stage(pay([Owned(point, for_another_amount)]))
    assert ENGINE.first_failure(b"".join(staged.checks())) == 0


# inputs


def test_missing_parents_are_named() -> None:
    lab = PoolLab()
    parents = [lab.pay(lab.fund()) for _ in range(2)]
    lab.add(parents[0])
    unknown = lab.pay(lab.fund())
    tx = lab.pay(made(parents[0]), made(parents[1]), lab.fund(), made(unknown))
    refused = lab.refusal(tx)
    assert isinstance(refused, MissingInputs)
    assert isinstance(refused, Unready)
    assert refused.code == "bad-txns-inputs-missingorspent"
    assert refused.parents == (parents[1].txid, unknown.txid)


def test_an_output_that_its_parent_does_not_have_never_comes() -> None:
    lab = PoolLab()
    parent = lab.pay(lab.fund())
    lab.add(parent)
    lab.values[made(parent, 1)] = 5000
    refused = lab.refusal(lab.pay(made(parent, 1)))
    assert isinstance(refused, MissingInputs)
    assert refused.parents == ()


def test_coins_of_the_pool_over_those_of_the_chain() -> None:
    lab = PoolLab()
    point = lab.fund()
    tx = lab.pay(point, outputs=2)
    lab.add(tx)
    lookup = lab.pool.over(lab.coins.get)
    assert lookup(point) == lab.coins[point]
    assert lookup(made(tx, 1)) == Coin.make(MEMPOOL_HEIGHT, False, tx.outputs[1])
    assert lookup(made(tx, 2)) is None
    assert lookup(outpoint(Txid(bytes(32)), 0)) is None
    assert (lab.pool.spender(point), lab.pool.spender(made(tx))) == (tx.txid, None)


def test_a_bad_amount_is_not_taken_for_policy() -> None:
    lab = PoolLab()
    refused = lab.refusal(lab.pay(lab.fund(5000), to=[TxOut(5001, script(0))]))
    assert isinstance(refused, Invalid)


# readers


def family(lab: PoolLab) -> list[MempoolEntry]:
    r"""Four of the pool.

    ::

        0 --- 1 --- 3
         \--- 2 ---/
    """
    root = lab.pay(lab.fund(), outputs=2)
    left, right = lab.pay(made(root, 0)), lab.pay(made(root, 1), outputs=2)
    last = lab.pay(made(left), made(right, 1))
    return [lab.add(tx).entry for tx in (root, left, right, last)]


def test_relatives() -> None:
    lab = PoolLab()
    txids = txids_of(family(lab))
    view = lab.pool.view()
    root, left, right, last = (view.entries[txid] for txid in txids)
    assert view.children(root) == [left, right]
    assert view.children(right) == [last]
    assert sorted(txids_of(view.parents(last))) == sorted([left.txid, right.txid])
    assert view.descendants(root) == [left, right, last]
    assert view.ancestors(last) == [root, left, right]
    assert (view.ancestors(root), view.descendants(last), view.parents(root)) == ([], [], [])
    assert last.ancestors.count == root.descendants.count == 4
    lab.check()


def test_newest_first() -> None:
    lab = PoolLab()
    txids = txids_of(family(lab))
    view = lab.pool.view()
    assert txids_of(view.newest(2)) == [txids[3], txids[2]]
    assert txids_of(view.newest(10)) == txids[::-1]
    assert view.newest(0) == []


def test_histogram_bins_close_after_50_000_vb() -> None:
    lab = PoolLab()
    assert lab.pool.view().fee_histogram() == []
    cheap = lab.pay(lab.fund(), fee=220)
    large = [lab.big(lab.fund(10**8), vsize=30_000, fee=fee) for fee in (300_000, 299_000, 60_000)]
    for tx in (cheap, *large):
        lab.add(tx)
    rates = [round(lab.pool.view().entries[tx.txid].fee_rate, 2) for tx in (large[1], cheap)]
    sizes = [large[0].vsize + large[1].vsize, large[2].vsize + cheap.vsize]
    assert lab.pool.view().fee_histogram() == list(zip(rates, sizes, strict=True))


def test_equal_rates_share_a_bin() -> None:
    lab = PoolLab()
    txs = [lab.big(lab.fund(10**8), vsize=30_000, fee=300_000) for _ in range(3)]
    for tx in txs:
        lab.add(tx)
    assert [size for _, size in lab.pool.view().fee_histogram()] == [sum(tx.vsize for tx in txs)]


def test_a_script_in_the_pool() -> None:
    lab = PoolLab()
    mine = script(10**6)
    funding = lab.pay(lab.fund(lock=mine), to=[TxOut(300_000, mine), TxOut(200_000, mine), TxOut(400_000, script(1))])
    spending = lab.pay(made(funding, 0), outputs=1)
    for tx in (funding, spending, lab.pay(lab.fund())):
        lab.add(tx)
    view, script_hash = lab.pool.view(), sha256(mine)
    assert view.script_stats(script_hash) == ScriptStats(2, 2, 500_000, 2, 1_300_000)
    assert txids_of(view.script_entries(script_hash)) == [spending.txid, funding.txid]
    assert txids_of(view.script_entries(script_hash, 1)) == [spending.txid]
    assert view.script_coins(script_hash) == [(made(funding, 1), Coin.make(MEMPOOL_HEIGHT, False, funding.outputs[1]))]
    nobody = bytes(32)
    assert view.script_stats(nobody) == ScriptStats(0, 0, 0, 0, 0)
    assert view.script_entries(nobody) == []
    assert view.script_coins(nobody) == []


def test_a_view_is_live_until_the_tip_changes_and_then_still() -> None:
    lab = PoolLab()
    stays, goes = lab.pay(lab.fund()), lab.pay(lab.fund())
    to_same = [TxOut(900_000, stays.outputs[0].script)]
    lab.add(stays)
    view = lab.pool.view()
    lab.add(goes)
    assert set(view.entries) == {stays.txid, goes.txid}

    lab.mine(goes)
    held = contents(view)
    assert set(view.entries) == {stays.txid, goes.txid}
    lab.add(lab.pay(lab.fund(), to=to_same))  # the same script as `stays`
    lab.add(lab.pay(made(stays), fee=5000))  # and a child, so that its sums change
    lab.add(lab.pay(stays.inputs[0].outpoint, fee=50_000))  # and then its end
    assert contents(view) == held
    assert view.tx_spending(stays.inputs[0].outpoint) == stays
    assert lab.pool.view() is not view
    assert stays.txid not in lab.pool.view().entries
    lab.check()


class WatchedEntries(dict[Txid, MempoolEntry]):
    """Checks, at each single change, what a reader without a lock relies on."""

    lab: PoolLab

    def check(self) -> None:
        assert all(parent in self for entry in self.values() for parent in entry.parents)
        assert self.keys() >= {tx.txid for tx in self.lab.pool._graph.spenders.values()}

    def __setitem__(self, txid: Txid, entry: MempoolEntry) -> None:
        super().__setitem__(txid, entry)
        self.check()

    def __delitem__(self, txid: Txid) -> None:
        super().__delitem__(txid)
        self.check()


def test_each_single_step_leaves_a_pool_that_readers_can_use() -> None:
    """No child without its parents, no pointer to an entry that is not there."""
    lab = PoolLab()
    lab.pool._graph.entries = lab.pool.view()._entries = watched = WatchedEntries()
    watched.lab = lab
    point = lab.fund()
    lab.chained(point, 5)
    family(lab)
    lab.add(lab.pay(point, fee=50_000))
    lab.pool.usage_max_bytes = lab.pool.view().usage
    lab.add(lab.pay(lab.fund(), fee=90_000))
    lab.pool.expire(lab.now + EXPIRY_S + 1)
    assert len(lab.pool) == 0


def test_removed_ones_are_told_parents_first() -> None:
    lab = PoolLab()
    point = lab.fund()
    chain = lab.chained(point, 4)
    removed = lab.add(lab.pay(point, fee=100_000)).removed
    assert [(one.entry.txid, one.reason) for one in removed] == [(tx.txid, Removal.REPLACED) for tx in chain]


# saved and loaded


def test_a_saved_pool_comes_back() -> None:
    lab = PoolLab()
    family(lab)
    lab.now += 100.75
    lab.chained(lab.fund(), 3)
    lab.mine(lab.pay(lab.fund()))
    saved = lab.pool.dump()

    old, lab.pool = lab.pool, Mempool()
    for tx, time in load_dump(saved):
        lab.pool.add(lab.stage(tx), lab.now + 50, time)
    lab.check()
    assert list(lab.pool.view().entries) == list(old.view().entries)
    assert [e.time for e in lab.pool.view().newest(9)] == [int(e.time) for e in old.view().newest(9)]
    assert lab.pool.dump() == saved


def test_what_was_here_is_not_asked_for_its_fee_and_shares_the_room_with_who_came_first() -> None:
    lab = PoolLab()
    parent = lab.pay(lab.fund(), fee=0)
    child = lab.pay(made(parent), fee=9_000)
    poor = lab.pay(lab.fund(), fee=200)
    usage = sum(lab.stage_saved(tx).usage for tx in (parent, poor))
    lab.pool = Mempool(usage_max_bytes=usage)
    lab.add(poor)
    with pytest.raises(Rejected) as refused:
        lab.stage(parent)
    assert refused.value.code == "min relay fee not met"
    for tx in (parent, child):
        lab.pool.add(lab.stage_saved(tx), lab.now)
    assert [(one.entry.txid, one.reason) for one in lab.pool.expire(lab.now).removed] == [(poor.txid, Removal.EVICTED)]
    lab.check()
    assert list(lab.pool.view().entries) == [parent.txid, child.txid]


def test_an_empty_pool_has_a_dump() -> None:
    assert Mempool().dump() == b"\x01" + bytes(4)
    assert load_dump(Mempool().dump()) == []


def test_a_broken_dump_is_refused() -> None:
    lab = PoolLab()
    lab.chained(lab.fund(), 2)
    saved = lab.pool.dump()
    broken = [saved[:size] for size in range(len(saved))]
    broken += [saved + b"\x00", b"\x02" + saved[1:], b"\x01" + (DUMP_TXS_MAX + 1).to_bytes(4, "little")]
    broken.append(b"\x01" + (1).to_bytes(4, "little") + bytes(8) + b"\xfe" + (400_001).to_bytes(4, "little"))
    for dump in broken:
        with pytest.raises(Invalid) as refused:
            load_dump(dump)
        assert refused.value.code == "malformed"


def test_a_dump_has_a_limit() -> None:
    lab = PoolLab()
    tx = lab.pay(lab.fund())
    dump = encode_dump((tx, 0.0) for _ in range(DUMP_TXS_MAX + 3))
    assert dump[:5] == b"\x01" + DUMP_TXS_MAX.to_bytes(4, "little")


def test_outputs_of_a_family_are_all_accounted_for() -> None:
    """What is in the pool and not spent in it is what `script_coins` gives, script by script."""
    lab = PoolLab()
    entries = family(lab)
    view = lab.pool.view()
    unspent = {point for entry in entries for point in outputs_of(entry.tx) if view.spender(point) is None}
    found = {point for script_hash in script_contents(view) for point, _ in view.script_coins(script_hash)}
    assert found == unspent
