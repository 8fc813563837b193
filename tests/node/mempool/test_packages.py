"""Packages in the pool: each rule with a neighbour on the other side of it; the pool stays what it is defined to be.

The transactions of these tests are of 110 vB for an input and an output.
"""

from collections.abc import Sequence

import pytest

from chain.errors import Reject
from chain.tx import Tx, TxOut, make_tx
from node.mempool.entry import Removal
from node.mempool.package_prechecks import (
    PACKAGE_TXS_MAX,
    MemberRefused,
    PackageRefused,
    PackageRule,
    check_package,
    is_child_with_parents,
)
from node.mempool.policy import Policy, Refused
from node.mempool.prechecks import Staged
from tests.node.mempool.mempool_lab import NOW, PoolLab, made, script

SIZE = 110


def stage(lab: PoolLab, *txs: Tx, together: bool = True) -> list[Staged] | MemberRefused:
    return lab.pool.stage_package(txs, lab.coins.get, lab.context, NOW, together=together)


def add(lab: PoolLab, *txs: Tx) -> list[Removal]:
    """Let a package in; why others had to leave."""
    staged = stage(lab, *txs)
    assert not isinstance(staged, MemberRefused), staged
    removed = [gone for one in staged for gone in lab.pool.add(one, NOW).removed]
    removed += lab.pool.trim(NOW).removed
    return [gone.reason for gone in removed]


def refusal(lab: PoolLab, *txs: Tx, together: bool = True) -> tuple[Tx, str]:
    """Who of them is refused, and for what."""
    refused = stage(lab, *txs, together=together)
    assert isinstance(refused, MemberRefused)
    return refused.tx, str(refused.error.code)


def rule(lab: PoolLab, *txs: Tx) -> tuple[str, str]:
    """For what they are refused together."""
    with pytest.raises(PackageRefused) as caught:
        stage(lab, *txs)
    return str(caught.value.code), caught.value.detail


# by itself


def family(lab: PoolLab, parents: int = 2) -> list[Tx]:
    parents_made = [lab.pay(lab.fund()) for _ in range(parents)]
    return [*parents_made, lab.pay(*(made(parent) for parent in parents_made))]


def broken(txs: Sequence[Tx]) -> PackageRule:
    with pytest.raises(PackageRefused) as caught:
        check_package(txs)
    assert isinstance(caught.value.code, PackageRule)
    return caught.value.code


def test_what_a_package_is() -> None:
    lab = PoolLab()
    first, second, child = family(lab)
    check_package([first, second, child])
    check_package([child])
    assert broken([child, first, second]) is PackageRule.NOT_SORTED
    assert broken([first, first]) is PackageRule.DUPLICATES
    assert broken([first, child, first]) is PackageRule.DUPLICATES
    point = lab.fund()
    assert broken([lab.pay(point, fee=1), lab.pay(point, fee=2)]) is PackageRule.CONFLICT
    many = [lab.pay(lab.fund()) for _ in range(PACKAGE_TXS_MAX + 1)]
    check_package(many[1:])
    assert broken(many) is PackageRule.TOO_MANY


def test_the_weight_of_a_package() -> None:
    lab = PoolLab()
    small = lab.pay(lab.fund())
    left = 404_000 - small.weight
    data = TxOut(0, b"\x6a" + bytes((left - 240) // 4))
    fitting = make_tx(2, small.inputs[:1], (data,), 0)
    while fitting.weight > left:
        data = TxOut(0, data.script[:-1])
        fitting = make_tx(2, fitting.inputs, (data,), 0)
    other = lab.pay(lab.fund())
    check_package([other, make_tx(2, fitting.inputs, (data,), 0)])
    longer = make_tx(2, fitting.inputs, (TxOut(0, data.script + bytes(2)),), 0)
    assert broken([other, longer]) is PackageRule.TOO_LARGE
    check_package([longer])  # one by itself is for others to judge


def test_a_child_with_its_parents() -> None:
    lab = PoolLab()
    first, second, child = family(lab)
    stranger = lab.pay(lab.fund())
    assert is_child_with_parents([child])
    assert is_child_with_parents([first, child])
    assert is_child_with_parents([second, first, child])
    assert not is_child_with_parents([first, stranger, child])
    assert not is_child_with_parents([child, first])
    grandchild = lab.pay(made(child))
    assert not is_child_with_parents([first, second, child, grandchild])
    both = lab.pay(lab.fund(), outputs=2)
    middle = lab.pay(made(both))
    assert not is_child_with_parents([both, middle, lab.pay(made(both, 1), made(middle))])


# paying for parents


@pytest.mark.parametrize("parent_fee", [0, 1, SIZE - 1])
def test_a_child_pays_for_its_parent(parent_fee: int) -> None:
    lab = PoolLab()
    parent = lab.pay(lab.fund(), fee=parent_fee)
    assert refusal(lab, parent, together=False) == (parent, "min relay fee not met")
    for short, fee in ((True, 2 * SIZE - parent_fee - 1), (False, 2 * SIZE - parent_fee)):
        child = lab.pay(made(parent), fee=fee)
        if short:
            assert refusal(lab, parent, child) == (child, "min relay fee not met")
            assert lab.txids() == set()
        else:
            assert add(lab, parent, child) == []
            assert lab.txids() == {parent.txid, child.txid}
    lab.check()
    entry = lab.pool.get(parent.txid)
    assert entry is not None
    assert (entry.descendants.count, entry.descendants.fee) == (2, 2 * SIZE)


def test_a_child_pays_for_all_of_its_parents() -> None:
    lab = PoolLab()
    parents = [lab.pay(lab.fund(), fee=0) for _ in range(24)]
    child = lab.pay(*(made(parent) for parent in parents), fee=10_000)
    assert add(lab, *parents, child) == []
    assert len(lab.txids()) == 25
    lab.check()
    lab.mine(*parents, child)
    assert lab.txids() == set()
    lab.check()


def test_what_is_wrong_with_one_is_said_of_that_one() -> None:
    lab = PoolLab()
    parent = lab.pay(lab.fund(), fee=0)
    dust = lab.pay(made(parent), fee=5_000, to=[TxOut(1, script(1))])
    assert refusal(lab, parent, dust) == (dust, "dust")
    stranger = lab.pay(made(lab.pay(lab.fund())), made(parent))
    assert refusal(lab, parent, stranger) == (stranger, str(Reject.INPUTS_MISSING_OR_SPENT))
    child = lab.pay(made(parent), fee=5_000)
    nothing = make_tx(2, child.inputs, (), 0)
    assert refusal(lab, parent, nothing) == (nothing, str(Reject.VOUT_EMPTY))
    add(lab, parent, child)
    assert refusal(lab, parent, child) == (parent, str(Policy.ALREADY_IN_MEMPOOL))


def test_chains_stay_within_their_limits() -> None:
    """24 ancestors in the pool leave room for a child, but not for a child and its child."""
    lab = PoolLab()
    chain = lab.chained(lab.fund(), 24)
    parent = lab.pay(made(chain[-1]), fee=0)
    child = lab.pay(made(parent), fee=5_000)
    code, detail = rule(lab, parent, child)
    assert (code, detail) == ("package-mempool-limits", "too many unconfirmed ancestors [limit: 25]")
    lab = PoolLab()
    root = lab.pay(lab.fund(), outputs=30, fee=2_000)
    lab.add(root)
    for index in range(23):
        lab.add(lab.pay(made(root, index)))
    parent = lab.pay(made(root, 23), fee=0)
    code, detail = rule(lab, parent, lab.pay(made(parent), fee=5_000))
    assert code == "package-mempool-limits"
    assert detail.startswith("too many descendants for tx")


# replacing


def test_a_package_takes_the_coins_of_those_that_wait() -> None:
    """Core's package RBF: a parent and a child as if they were one."""
    lab = PoolLab()
    point = lab.fund()
    old = [lab.pay(point, fee=500)]
    old.append(lab.pay(made(old[0]), fee=1_500))
    for tx in old:
        lab.add(tx)
    parent = lab.pay(point, fee=0)
    relay = 2 * SIZE
    for fee, words in (
        (1_999, "rejecting replacement, less fees than conflicting txs; 1999 < 2000"),
        (2_000 + relay - 1, f"rejecting replacement, not enough additional fees to relay; {relay - 1} < {relay}"),
    ):
        assert rule(lab, parent, lab.pay(made(parent), fee=fee)) == ("package RBF failed", words)
    child = lab.pay(made(parent), fee=2_000 + relay)
    assert add(lab, parent, child) == [Removal.REPLACED] * 2
    assert lab.txids() == {parent.txid, child.txid}
    assert not lab.txids() & {tx.txid for tx in old}
    lab.check()


def test_both_may_meet_the_same_rival() -> None:
    lab = PoolLab()
    one, other = lab.fund(), lab.fund()
    old = lab.pay(one, other, fee=1_000)
    lab.add(old)
    parent = lab.pay(one, fee=0)
    child = lab.pay(made(parent), other, fee=5_000)
    assert add(lab, parent, child) == [Removal.REPLACED]
    assert lab.txids() == {parent.txid, child.txid}
    lab.check()


def test_packages_that_may_not_replace() -> None:
    lab = PoolLab()
    point = lab.fund()
    lab.chained(point, 1, fee=1_000)
    parent, other = lab.pay(point, fee=0), lab.pay(lab.fund(), fee=0)
    both = lab.pay(made(parent), made(other), fee=9_000)
    assert rule(lab, parent, other, both) == ("package RBF failed", "package must be 1-parent-1-child")
    waiting = lab.pay(lab.fund())
    lab.add(waiting)
    late = lab.pay(point, made(waiting), fee=0)
    assert rule(lab, late, lab.pay(made(late), fee=9_000)) == (
        "package RBF failed",
        "new transaction cannot have mempool ancestors",
    )
    rich = lab.pay(point, fee=9_000)
    assert rule(lab, rich, lab.pay(made(rich), fee=1_000)) == (
        "package RBF failed",
        "package feerate is less than or equal to parent feerate",
    )
    lab.check()


# a full pool


def test_a_full_pool_makes_room_for_what_pays_more() -> None:
    lab = PoolLab(usage_max_bytes=20_000)
    cheap = [lab.pay(lab.fund(), fee=200 + n) for n in range(8)]
    for tx in cheap:
        lab.add(tx)
    parent = lab.pay(lab.fund(), fee=0)
    child = lab.pay(made(parent), fee=50_000)
    reasons = add(lab, parent, child)
    assert reasons
    assert set(reasons) == {Removal.EVICTED}
    assert {parent.txid, child.txid} <= lab.txids()
    lab.check()
    assert lab.pool.min_fee_sat_kvb(NOW) > 1_000
    poor = lab.pay(lab.fund(), fee=0)
    assert refusal(lab, poor, lab.pay(made(poor), fee=230))[1] == "mempool min fee not met"


# one after the other, only tried


def test_a_list_is_tried_as_a_chain() -> None:
    lab = PoolLab()
    point = lab.fund()
    txs = []
    for _ in range(25):
        txs.append(lab.pay(point))
        point = made(txs[-1])
    staged = stage(lab, *txs, together=False)
    assert not isinstance(staged, MemberRefused)
    assert [one.ancestors for one in staged] == [frozenset(tx.txid for tx in txs[:n]) for n in range(25)]
    assert lab.txids() == set()
    taken = lab.fund()
    lab.add(lab.pay(taken))
    rival = lab.pay(taken, fee=9_000)
    assert refusal(lab, txs[0], rival, together=False) == (rival, "bip125-replacement-disallowed")
    poor = lab.pay(made(txs[0]), fee=SIZE - 1)
    assert refusal(lab, txs[0], poor, lab.pay(made(poor)), together=False) == (poor, "min relay fee not met")
    lab.check()


def test_the_rules_are_refusals_that_cost_nobody_anything() -> None:
    assert issubclass(PackageRefused, Refused)
