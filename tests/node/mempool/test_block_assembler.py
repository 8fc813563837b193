"""What goes into a block: by hand for the cases that have a name, then against the plain method."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.blocktemplate import build_block
from chain.blocktree import BlockTree
from chain.check import MAX_SIGOPS_COST, MAX_WEIGHT, legacy_sigops_cost
from chain.connect import witness_sigops_cost
from chain.errors import Rejected
from chain.hashes import Txid
from chain.params import REGTEST
from chain.scripttype import p2pkh_script
from chain.tx import Tx, TxOut
from node.mempool.block_assembler import NEARLY_FULL_WEIGHT, RESERVED_SIGOPS, RESERVED_WEIGHT, select_for_block
from node.mempool.entry import MempoolEntry
from tests.node.mempool.mempool_lab import PoolLab, made, outputs_of

SIZE = 110
"""Virtual bytes of one input and one output."""


def chosen(lab: PoolLab, weight: int = MAX_WEIGHT - RESERVED_WEIGHT, sigops: int = MAX_SIGOPS_COST) -> list[Txid]:
    """What is chosen for so much room, in order."""
    return [entry.txid for entry in select_for_block(lab.pool.view(), weight + RESERVED_WEIGHT, sigops)]


def lab_with(*fees: int) -> tuple[PoolLab, list[Tx]]:
    """Independent payments."""
    lab = PoolLab()
    txs = [lab.pay(lab.fund(), fee=fee) for fee in fees]
    for tx in txs:
        lab.add(tx)
    return lab, txs


def test_nothing_from_nothing() -> None:
    assert chosen(PoolLab()) == []


def test_the_best_paid_first_of_equals_the_oldest() -> None:
    lab, txs = lab_with(200, 900, 500, 900)
    assert chosen(lab) == [txs[i].txid for i in (1, 3, 2, 0)]


def test_a_child_pays_for_its_parent() -> None:
    """Parent and child 20 sat/vB together, the other 10."""
    lab, (other,) = lab_with(10 * SIZE)
    parent = lab.pay(lab.fund(), fee=SIZE)
    child = lab.pay(made(parent), fee=39 * SIZE)
    for tx in (parent, child):
        lab.add(tx)
    assert chosen(lab) == [parent.txid, child.txid, other.txid]


def test_a_poor_child_gains_nothing_from_a_rich_parent() -> None:
    """25 sat/vB together, but the child alone pays 1, and the other 10."""
    lab, (other,) = lab_with(10 * SIZE)
    parent = lab.pay(lab.fund(), fee=49 * SIZE)
    child = lab.pay(made(parent), fee=SIZE)
    for tx in (parent, child):
        lab.add(tx)
    assert chosen(lab) == [parent.txid, other.txid, child.txid]


def test_a_parent_is_paid_for_once() -> None:
    """The first child has paid for it: so the second is worth its own 12 sat/vB, or 8, beside the
    other's 10. With the parent it would have been 7 or 5."""
    for rate in (12, 8):
        lab, (other,) = lab_with(10 * SIZE)
        parent = lab.pay(lab.fund(), fee=150, outputs=2)
        rich, poor = lab.pay(made(parent, 0), fee=40 * SIZE), lab.pay(made(parent, 1), fee=rate * SIZE)
        for tx in (parent, rich, poor):
            lab.add(tx)
        last = [poor.txid, other.txid] if rate > 10 else [other.txid, poor.txid]
        assert chosen(lab) == [parent.txid, rich.txid, *last]


def test_a_package_that_does_not_fit_leaves_room_for_others() -> None:
    lab, txs = lab_with(1000, 900, 800)
    large = lab.pay(lab.fund(), fee=1_000 * SIZE, outputs=20)
    lab.add(large)
    assert chosen(lab, weight=3 * txs[0].weight) == [tx.txid for tx in txs]
    assert chosen(lab, weight=3 * txs[0].weight - 1) == [tx.txid for tx in txs[:2]]
    assert chosen(lab, weight=large.weight)[0] == large.txid


def test_what_does_not_fit_never_will() -> None:
    """The child with both parents is the best, and a weight unit too large. The parents go in for
    themselves; that makes the child's package smaller, and the room as much."""
    lab = PoolLab()
    parents = [lab.pay(lab.fund(), fee=fee) for fee in (SIZE, 5 * SIZE)]
    child = lab.pay(made(parents[0]), made(parents[1]), fee=100 * SIZE)
    for tx in (*parents, child):
        lab.add(tx)
    room = sum(tx.weight for tx in (*parents, child)) - 1
    assert chosen(lab, weight=room) == [parents[1].txid, parents[0].txid]
    assert chosen(lab, weight=room + 1) == [parents[0].txid, parents[1].txid, child.txid]


@pytest.mark.parametrize(("rate", "first"), [(6.7, "family"), (6.2, "other")])
def test_a_child_is_never_worth_more_than_it_pays(rate: float, first: str) -> None:
    r"""Neither parent is worth its poor grandparent's fee alone; with the child they are.

    ::

        1 --- 9.4 --- rate       the other pays 6.4 sat/vB
         \--- 9.4 ---/
    """
    lab = PoolLab()
    size = lab.pay(lab.fund(), outputs=2).vsize
    root = lab.pay(lab.fund(), fee=size, outputs=2)
    left, right = (lab.pay(made(root, index), fee=int(9.4 * size), outputs=2) for index in (0, 1))
    child = lab.pay(made(left), made(right))
    child = lab.pay(made(left), made(right), fee=int(rate * child.vsize))
    other = lab.pay(lab.fund(), fee=int(6.4 * SIZE))
    for tx in (root, left, right, child, other):
        lab.add(tx)
    family = [root.txid, left.txid, right.txid, child.txid]
    package = lab.pool.get(child.txid).ancestors  # type: ignore[union-attr]
    assert 6.4 < package.fee / package.vsize < 6.7
    picked = chosen(lab)
    assert picked[0] == (other.txid if first == "other" else root.txid)
    assert [txid for txid in picked if txid != other.txid] == family


def test_signature_operations_are_limited_too() -> None:
    lab = PoolLab()
    costly = lab.pay(lab.fund(), fee=90 * SIZE, to=[TxOut(10_000, p2pkh_script(bytes(20)))] * 10)
    cheap = lab.pay(lab.fund(), fee=SIZE)
    for tx in (costly, cheap):
        lab.add(tx)
    assert [entry.sigops for entry in lab.pool.view().entries.values()] == [41, 1]
    assert chosen(lab, sigops=RESERVED_SIGOPS + 42) == [costly.txid, cheap.txid]
    assert chosen(lab, sigops=RESERVED_SIGOPS + 41) == [costly.txid]
    assert chosen(lab, sigops=RESERVED_SIGOPS + 40) == [cheap.txid]


def test_entries_count_signature_operations_as_blocks_do() -> None:
    lab = random_lab(Random(5), 60)
    for entry in lab.pool.view().entries.values():
        assert entry.sigops == legacy_sigops_cost((entry.tx,)) + witness_sigops_cost(entry.spent)


def test_a_nearly_full_block_gives_up() -> None:
    """A thousand in a row that do not fit are enough; what is below them is not looked at."""
    lab = PoolLab()
    first = lab.pay(lab.fund(), fee=900 * SIZE)
    last = lab.pay(lab.fund(), fee=SIZE)
    for tx in (first, *(lab.pay(lab.fund(), fee=9000 + n, outputs=3) for n in range(1001)), last):
        lab.add(tx)
    room = first.weight + last.weight
    assert room < NEARLY_FULL_WEIGHT
    assert chosen(lab, weight=room) == [first.txid]


def test_failures_count_in_a_row() -> None:
    """Six hundred, one that fits, six hundred more: the last is still looked at."""
    lab = PoolLab()
    fits = [lab.pay(lab.fund(), fee=fee) for fee in (900 * SIZE, 20 * SIZE, SIZE)]
    large = [lab.pay(lab.fund(), fee=fee, outputs=10) for fee in [100 * SIZE] * 600 + [20 * SIZE] * 600]
    assert 3 * fits[0].weight < large[0].weight
    for tx in (*fits, *large):
        lab.add(tx)
    assert chosen(lab, weight=3 * fits[0].weight) == [tx.txid for tx in fits]


def test_a_view_that_others_change_meanwhile_is_no_matter() -> None:
    """Selection works on its own copy."""
    lab, txs = lab_with(300, 200)
    view = lab.pool.view()
    picked = select_for_block(view)
    lab.mine(txs[0])
    assert [entry.txid for entry in select_for_block(view)] == [entry.txid for entry in picked]


@pytest.mark.parametrize("extra", [0, 1])
def test_a_block_never_exceeds_its_weight(extra: int) -> None:
    """A coinbase with a long script, extra nonce and commitment fits into what is reserved."""
    lab = PoolLab()
    for _ in range(11 + extra):
        lab.add(lab.big(lab.fund(10**8), vsize=90_000, fee=10**6))
    entries = select_for_block(lab.pool.view())
    block = build_block(
        BlockTree(REGTEST).genesis,
        [entry.tx for entry in entries],
        sum(entry.fee for entry in entries),
        b"\x51" * 1000,
        0,
        REGTEST,
        2**64 - 1,
    )
    assert len(entries) == 11
    assert MAX_WEIGHT - 100_000 < block.weight < MAX_WEIGHT


# against the plain method


def plainly(lab: PoolLab, weight: int, sigops: int) -> list[Txid]:
    """Core's package selection with everything weighed again for every choice."""
    entries = lab.pool.view().entries
    taken: list[Txid] = []
    tried: set[tuple[Txid, int]] = set()
    while True:
        best: tuple[float, int, Txid, list[MempoolEntry]] | None = None
        for txid, entry in entries.items():
            package = [a for a in lab.pool.view().ancestors(entry) if a.txid not in taken] + [entry]
            if txid in taken or (txid, len(package)) in tried:
                continue
            rate = sum(member.fee for member in package) / sum(member.vsize for member in package)
            rank = (-min(rate, entry.fee_rate), entry.sequence, txid, package)
            if best is None or rank[:2] < best[:2]:
                best = rank
        if best is None:
            return taken
        package = best[3]
        if sum(m.weight for m in package) > weight or sum(m.sigops for m in package) > sigops:
            tried.add((best[2], len(package)))
            continue
        weight -= sum(member.weight for member in package)
        sigops -= sum(member.sigops for member in package)
        taken += [member.txid for member in package]


def random_lab(rng: Random, count: int) -> PoolLab:
    """Families and loners of all sizes and rates."""
    lab = PoolLab()
    points = [lab.fund(10**8) for _ in range(count // 3 + 1)]
    for _ in range(count):
        spent = [points.pop(rng.randrange(len(points))) for _ in range(min(len(points), rng.choice([1, 1, 1, 2, 3])))]
        if not spent:
            break
        outputs = rng.choice([1, 1, 2, 2, 3, 8])
        tx = lab.pay(*spent, outputs=outputs)
        tx = lab.pay(*spent, outputs=outputs, fee=int(tx.vsize * rng.choice([1.2, 5, 5, rng.uniform(1, 90)])))
        try:
            lab.add(tx)
        except Rejected:
            continue
        points += outputs_of(tx)
    return lab


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40), st.floats(0.1, 1.1), st.floats(0.3, 1.1))
def test_the_same_choice_as_the_plain_method(seed: int, count: int, share: float, sigops_share: float) -> None:
    lab = random_lab(Random(seed), count)
    entries = lab.pool.view().entries.values()
    weight = int(share * sum(entry.weight for entry in entries))
    sigops = int(sigops_share * sum(entry.sigops for entry in entries))
    picked = chosen(lab, weight, sigops + RESERVED_SIGOPS)
    assert picked == plainly(lab, weight, sigops)
    for position, txid in enumerate(picked):
        assert set(lab.pool.view().entries[txid].parents) <= set(picked[:position])
