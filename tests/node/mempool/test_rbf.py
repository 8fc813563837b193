"""Replacement: each rule with a neighbour on the other side of it.

The rivals of these tests are of 110 vB, so that a fee of 1,100 is a rate of 10.
"""

import pytest

from node.mempool.entry import Removal
from tests.node.mempool.mempool_lab import PoolLab, made

SIZE = 110
"""Virtual bytes of one input and one output."""


def code(lab: PoolLab, *points: bytes, fee: int, outputs: int = 1) -> str | None:
    """What refuses such a replacement, or None."""
    refused = lab.refusal(lab.pay(*points, fee=fee, outputs=outputs))  # type: ignore[arg-type]
    return None if refused is None else str(refused.code)


@pytest.mark.parametrize("sequence", [0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD])
def test_signalling_does_not_matter(sequence: int) -> None:
    lab = PoolLab()
    point = lab.fund()
    old = lab.pay(point, fee=1100, sequence=sequence)
    lab.add(old)
    added = lab.add(lab.pay(point, fee=1210))
    assert [(one.entry.txid, one.reason) for one in added.removed] == [(old.txid, Removal.REPLACED)]
    assert lab.txids() == {added.entry.txid}
    lab.check()


def test_it_pays_for_its_own_relay() -> None:
    """Rule 4: one satoshi a byte on top of what goes."""
    lab = PoolLab()
    point = lab.fund()
    lab.add(lab.pay(point, fee=1100))
    assert code(lab, point, fee=1100 + SIZE - 1) == "insufficient fee"
    assert code(lab, point, fee=1100 + SIZE) is None


def test_it_pays_for_all_that_goes() -> None:
    """Rule 3: not only for the one whose coin it takes."""
    lab = PoolLab()
    point = lab.fund()
    chain = lab.chained(point, 3, fee=1100)
    assert code(lab, point, fee=3300 - 1) == "insufficient fee"
    assert code(lab, point, fee=3300 + SIZE - 1) == "insufficient fee"
    assert code(lab, point, fee=3300 + SIZE) is None
    assert code(lab, made(chain[0]), fee=2200 + SIZE) is None  # the first stays
    refused = lab.refusal(lab.pay(point, fee=3299))
    assert refused is not None
    assert refused.detail == "rejecting replacement, less fees than conflicting txs; 3299 < 3300"


def test_its_rate_is_better_than_each_rival_s() -> None:
    """More satoshis in all, and yet a miner would rather have the old one."""
    lab = PoolLab()
    point = lab.fund()
    rival = lab.pay(point, fee=1100)
    lab.add(rival)
    large = lab.pay(point, fee=0, outputs=10).vsize
    assert code(lab, point, fee=10 * large, outputs=10) == "insufficient fee"
    assert code(lab, point, fee=10 * large + 1, outputs=10) is None


def test_its_rate_is_held_against_direct_rivals_alone() -> None:
    lab = PoolLab()
    point = lab.fund()
    chain = lab.chained(point, 1, fee=1100)
    lab.add(lab.pay(made(chain[0]), fee=11_000))  # a rate of 100
    large = lab.pay(point, fee=0, outputs=20).vsize
    fee = 12_100 + large
    assert fee < 100 * large
    assert code(lab, point, fee=fee, outputs=20) is None


def test_all_rivals_count() -> None:
    lab = PoolLab()
    points = [lab.fund() for _ in range(3)]
    for point in points:
        lab.add(lab.pay(point, fee=1100))
    size = lab.pay(*points).vsize
    assert code(lab, *points, fee=3300 + size - 1) == "insufficient fee"
    added = lab.add(lab.pay(*points, fee=3300 + size))
    assert len(added.removed) == 3
    lab.check()


def test_a_common_descendant_is_paid_for_once() -> None:
    """And counted twice against the limit, as in Core: cheap, and never too few."""
    lab = PoolLab()
    points = [lab.fund(), lab.fund()]
    rivals = [lab.pay(point, fee=1100) for point in points]
    both = lab.pay(*map(made, rivals), fee=2200)
    for tx in (*rivals, both):
        lab.add(tx)
    size = lab.pay(*points).vsize
    assert code(lab, *points, fee=4400 + size - 1) == "insufficient fee"
    assert code(lab, *points, fee=4400 + size) is None


def test_no_new_unconfirmed_inputs() -> None:
    """Rule 2. An unconfirmed coin that its rival spends too is no new one."""
    lab = PoolLab()
    parent = lab.pay(lab.fund(), outputs=3)
    point = lab.fund()
    stranger = lab.pay(lab.fund())
    for tx in (parent, stranger, lab.pay(point, made(parent, 0), fee=2000)):
        lab.add(tx)
    assert code(lab, point, made(stranger), fee=10_000) == "replacement-adds-unconfirmed"
    assert code(lab, point, made(parent, 0), fee=10_000) is None
    assert code(lab, point, made(parent, 1), fee=10_000) is None  # another coin of the same parent
    assert code(lab, point, lab.fund(), fee=10_000) is None  # a new confirmed one


def test_its_own_rival_is_no_parent() -> None:
    lab = PoolLab()
    point = lab.fund()
    chain = lab.chained(point, 3)
    for tx in chain:
        assert code(lab, point, made(tx), fee=50_000) == "bad-txns-spends-conflicting-tx"


def test_what_leaves_makes_room_in_the_chain() -> None:
    """The 25th of a chain can be replaced by one more like it."""
    lab = PoolLab()
    chain = lab.chained(lab.fund(), 25, fee=1100)
    assert code(lab, made(chain[24]), fee=5000) == "too-long-mempool-chain"
    last = chain[24].inputs[0].outpoint
    added = lab.add(lab.pay(last, fee=1210))
    assert [one.entry.txid for one in added.removed] == [chain[24].txid]
    lab.check()


def test_the_room_is_that_of_its_own_chain() -> None:
    """Replacing elsewhere frees nothing here."""
    lab = PoolLab()
    root = lab.pay(lab.fund(), outputs=26)
    lab.add(root)
    for index in range(24):
        lab.add(lab.pay(made(root, index), fee=1000))
    rival, point = lab.fund(), made(root, 24)
    lab.add(lab.pay(rival, fee=1100))
    assert code(lab, point, fee=5000) == "too-long-mempool-chain"
    # Rule 2 would be in the way of a new unconfirmed input: so one coin of the root is given up.
    assert code(lab, made(root, 0), made(root, 25), fee=5000) is None
    assert code(lab, rival, made(root, 25), fee=5000) == "replacement-adds-unconfirmed"
