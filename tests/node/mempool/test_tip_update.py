"""The pool when the best chain grows, and when it changes its mind."""

from collections.abc import Sequence

import pytest

from chain.hashes import Txid
from chain.tx import Tx, TxOut
from node.mempool.change import MempoolChange
from node.mempool.entry import Removal, Removed
from node.mempool.policy import EXPIRY_S
from tests.node.mempool.mempool_lab import PoolLab, made, script


def gone(removed: Sequence[Removed]) -> list[tuple[Txid, Removal]]:
    return [(one.entry.txid, one.reason) for one in removed]


def mined(change: MempoolChange) -> list[tuple[int, list[Txid]]]:
    return [(block.height, [entry.txid for entry in block.entries]) for block in change.confirmed]


def ids(txs: Sequence[Tx]) -> set[Txid]:
    return {tx.txid for tx in txs}


# growing


def test_mined_ones_leave_and_their_children_stay() -> None:
    lab = PoolLab()
    chain = lab.chained(lab.fund(), 5)
    other = lab.chained(lab.fund(), 1)
    change = lab.mine(*chain[:2], *other)
    assert mined(change) == [(lab.height, [chain[0].txid, chain[1].txid, other[0].txid])]
    assert (change.removed, change.added) == ((), ())
    assert lab.txids() == ids(chain[2:])
    assert lab.pool.get(chain[2].txid).parents == ()  # type: ignore[union-attr]
    lab.check()


def test_what_a_block_spends_makes_conflicts() -> None:
    """Neither the rival nor its descendants can be mined any more."""
    lab = PoolLab()
    point = lab.fund()
    chain = lab.chained(point, 3)
    stays = lab.chained(lab.fund(), 1)
    change = lab.mine(lab.pay(point, fee=7))
    assert mined(change) == [(lab.height, [])]
    assert gone(change.removed) == [(tx.txid, Removal.CONFLICT) for tx in chain]
    assert lab.txids() == ids(stays)
    lab.check()


def test_mined_with_another_witness_is_mined() -> None:
    lab = PoolLab()
    point, to = lab.fund(), [TxOut(900_000, script(0))]
    here = lab.pay(point, to=to)
    lab.add(here)
    change = lab.mine(lab.pay(point, to=to, witness=(b"\x31" * 72, b"\x02" * 33)))
    assert mined(change) == [(lab.height, [here.txid])]
    assert (change.removed, lab.txids()) == ((), set())
    lab.check()


def test_several_blocks_at_once() -> None:
    lab = PoolLab()
    point = lab.fund()
    chain, rival = lab.chained(lab.fund(), 4), lab.chained(point, 1)
    change = lab.move(0, chain[:1], chain[1:3], [lab.pay(point, fee=3)])
    assert mined(change) == [
        (lab.height - 2, [chain[0].txid]),
        (lab.height - 1, [chain[1].txid, chain[2].txid]),
        (lab.height, []),
    ]
    assert gone(change.removed) == [(rival[0].txid, Removal.CONFLICT)]
    assert lab.txids() == {chain[3].txid}
    lab.check()


def test_an_empty_pool_takes_blocks() -> None:
    lab = PoolLab()
    change = lab.mine(lab.pay(lab.fund()))
    assert mined(change) == [(lab.height, [])]
    lab.check()


# changing its mind


def test_undone_ones_come_back_before_their_children() -> None:
    r"""
    ::

        fork --- a, b --- c      d, e are in the pool; a to e spend each other in a row
            \--- o
    """
    lab = PoolLab()
    chain = lab.chained(lab.fund(), 5)
    lab.mine(*chain[:2])
    lab.mine(chain[2])
    lab.now += 77
    change = lab.move(2, [])
    assert [entry.txid for entry in change.added] == [tx.txid for tx in chain[:3]]
    assert change.removed == ()
    view = lab.pool.view()
    assert list(view.entries) == [tx.txid for tx in chain]
    assert [entry.time for entry in view.entries.values()] == [lab.now] * 3 + [lab.now - 77] * 2
    assert list(change.added) == list(view.entries.values())[:3]
    assert view.entries[chain[0].txid].descendants.count == view.entries[chain[4].txid].ancestors.count == 5
    lab.check()
    lab.chained(made(chain[4]), 1)  # the numbers go on from where they were
    lab.mine()
    lab.check()


def test_ones_in_both_branches_stay_mined() -> None:
    lab = PoolLab()
    chain = lab.chained(lab.fund(), 3)
    lab.mine(*chain[:2])
    change = lab.move(1, [chain[0]])
    assert [entry.txid for entry in change.added] == [chain[1].txid]
    assert lab.txids() == ids(chain[1:])
    lab.check()


def test_a_rival_on_the_new_branch_takes_a_family_with_it() -> None:
    lab = PoolLab()
    point = lab.fund()
    chain = lab.chained(point, 4)
    lab.mine(*chain[:2])
    change = lab.move(1, [lab.pay(point, fee=5)], [])
    assert change.added == ()
    assert gone(change.removed) == [(tx.txid, Removal.REORG) for tx in chain[2:]]
    assert lab.txids() == set()
    lab.check()


def test_coins_of_a_lost_coinbase_are_lost() -> None:
    lab = PoolLab()
    lab.move(0, *[[]] * 100)
    chain = lab.chained(made(lab.chain[0][0].txs[0]), 2)
    change = lab.move(100, *[[]] * 101)
    assert gone(change.removed) == [(tx.txid, Removal.REORG) for tx in chain]
    lab.check()


def test_a_coinbase_is_young_again_on_a_lower_branch() -> None:
    lab = PoolLab()
    lab.move(0, [], [], [])
    point = lab.fund(height=lab.height - 99, coinbase=True)
    chain = lab.chained(point, 2)
    assert lab.move(1, []).removed == ()
    change = lab.move(1)
    assert gone(change.removed) == [(tx.txid, Removal.REORG) for tx in chain]
    lab.check()


@pytest.mark.parametrize("by_time", [False, True])
def test_a_lock_time_is_not_over_on_a_lower_branch(by_time: bool) -> None:
    lab = PoolLab()
    lab.move(0, [], [])
    lock_time = lab.context.parent_median_time - 1 if by_time else lab.height
    locked, free = lab.pay(lab.fund(), lock_time=lock_time), lab.pay(lab.fund())
    child = lab.pay(made(locked))
    for tx in (locked, free, child):
        lab.add(tx)
    assert lab.move(1, []).removed == ()
    change = lab.move(1)
    assert gone(change.removed) == [(locked.txid, Removal.REORG), (child.txid, Removal.REORG)]
    assert lab.txids() == {free.txid}
    lab.check()


def test_a_relative_lock_counts_from_where_the_coin_is_now() -> None:
    """The coin is mined one block later on the new branch, and the branch is no longer."""
    lab = PoolLab()
    parent = lab.pay(lab.fund())
    lab.move(0, [parent], [])
    waits = lab.pay(made(parent), sequence=2)
    free = lab.pay(lab.fund())
    for tx in (waits, free):
        lab.add(tx)
    change = lab.move(2, [], [parent])
    assert gone(change.removed) == [(waits.txid, Removal.REORG)]
    assert lab.txids() == {free.txid}
    lab.check()
    lab.mine()
    lab.add(waits)
    assert lab.move(1, [], []).removed == ()


def test_what_was_never_standard_does_not_come_back() -> None:
    lab = PoolLab()
    odd = lab.pay(lab.fund(), version=3)
    lab.mine(odd)
    child = lab.pay(made(odd))
    lab.add(child)
    change = lab.move(1, [])
    assert change.added == ()
    assert gone(change.removed) == [(child.txid, Removal.REORG)]
    lab.check()


def test_what_paid_nothing_comes_back() -> None:
    lab = PoolLab()
    free = lab.pay(lab.fund(), fee=0)
    lab.mine(free)
    assert [entry.txid for entry in lab.move(1, []).added] == [free.txid]
    lab.check()


def test_a_long_chain_comes_back_up_to_the_limit() -> None:
    lab = PoolLab()
    chain: list[Tx] = []
    for _ in range(10):
        point = made(chain[-1]) if chain else lab.fund()
        chain += lab.chained(point, 4)
        lab.mine(*chain[-4:])
    chain += lab.chained(made(chain[-1]), 3)
    change = lab.move(10)
    assert [entry.txid for entry in change.added] == [tx.txid for tx in chain[:25]]
    assert gone(change.removed) == [(tx.txid, Removal.REORG) for tx in chain[40:]]
    assert lab.txids() == ids(chain[:25])
    lab.check()


def test_children_over_the_limit_leave_when_parents_come_back() -> None:
    """Twenty were mined; of the ten in the pool five can stay."""
    lab = PoolLab()
    chain = lab.chained(lab.fund(), 20)
    lab.mine(*chain)
    chain += lab.chained(made(chain[-1]), 10)
    change = lab.move(1, [])
    assert len(change.added) == 20
    assert gone(change.removed) == [(tx.txid, Removal.REORG) for tx in chain[25:]]
    lab.check()


def test_more_descendants_than_the_limit_may_stand_for_a_while() -> None:
    """They are many, but each has few ancestors. Nothing can join them."""
    lab = PoolLab()
    root = lab.pay(lab.fund(), outputs=41, fee=5000)
    lab.mine(root)
    for index in range(40):
        lab.add(lab.pay(made(root, index)))
    change = lab.move(1, [])
    assert change.removed == ()
    assert lab.pool.get(root.txid).descendants.count == 41  # type: ignore[union-attr]
    assert str(lab.refusal(lab.pay(made(root, 40)))).startswith("too-long-mempool-chain")
    lab.check()
    lab.mine(root)
    lab.add(lab.pay(made(root, 40)))
    lab.check()


def test_what_comes_back_makes_room_for_itself() -> None:
    """The worst leave, be they old or come back."""
    lab = PoolLab()
    undone = [lab.pay(lab.fund(), fee=fee) for fee in (400, 3000)]
    for tx in undone:
        lab.add(tx)
    lab.mine(*undone)
    for fee in (500, 2000):
        lab.add(lab.pay(lab.fund(), fee=fee))
    lab.pool.usage_max_bytes = lab.pool.view().usage
    change = lab.move(1, [])
    assert [(one.entry.fee, one.reason) for one in change.removed] == [(500, Removal.EVICTED)], "400 was never back"
    assert change.added == (lab.pool.get(undone[1].txid),)
    assert sorted(entry.fee for entry in lab.pool.view().entries.values()) == [2000, 3000]
    assert lab.pool.view().floor_sat_kvb > 1000
    lab.check()


def test_what_came_back_expires_too() -> None:
    lab = PoolLab()
    undone = lab.pay(lab.fund())
    lab.mine(undone)
    lab.move(1)
    assert lab.pool.expire(lab.now + EXPIRY_S).removed == ()
    assert gone(lab.pool.expire(lab.now + EXPIRY_S + 1).removed) == [(undone.txid, Removal.EXPIRED)]
    lab.check()


def test_twenty_deep() -> None:
    """Two branches of twenty blocks, some payments in both, one spent differently."""
    lab = PoolLab()
    chains = [lab.chained(lab.fund(), 20) for _ in range(5)]
    contested = lab.fund()
    lab.chained(contested, 1)
    for height in range(20):
        lab.mine(*(chain[height] for chain in chains))
    ours = [[chains[0][height], chains[1][height]] for height in range(20)]
    ours[7].append(lab.pay(contested, fee=9))
    change = lab.move(20, *ours, [])
    assert lab.txids() == {tx.txid for chain in chains[2:] for tx in chain}
    assert len(change.added) == 60
    assert [removed.reason for removed in change.removed] == [Removal.CONFLICT]
    lab.check()
