"""What bounds the pool: chains, memory, the floor that a full pool raises, age."""

import gc
import tracemalloc

import pytest

from chain.coins import Coin
from chain.tx import decode_tx
from node.mempool.entry import Removal, memory_usage
from node.mempool.eviction import FLOOR_HALF_LIFE_S, Eviction, FeeFloor
from node.mempool.eviction_order import WorstFirst
from node.mempool.mempool import Mempool
from node.mempool.policy import EXPIRY_S, INCREMENTAL_FEE_SAT_KVB, MAX_CHAIN_VSIZE, MIN_RELAY_FEE_SAT_KVB
from tests.node.mempool.mempool_lab import PoolLab, made


def detail(lab: PoolLab, *points: bytes, fee: int = 5000) -> str | None:
    """Why another child of these is too much, or None."""
    refused = lab.refusal(lab.pay(*points, fee=fee))  # type: ignore[arg-type]
    assert refused is None or refused.code == "too-long-mempool-chain"
    return None if refused is None else refused.detail


# chains


def test_a_chain_of_25_and_not_of_26() -> None:
    lab = PoolLab()
    chain = lab.chained(lab.fund(), 24)
    assert detail(lab, made(chain[-1])) is None
    lab.add(lab.pay(made(chain[-1]), outputs=2))
    last = lab.pool.view().newest(1)[0]
    assert last.ancestors.count == 25
    assert detail(lab, made(last.tx)) == "too many unconfirmed ancestors [limit: 25]"
    lab.check()


def test_a_family_of_25_and_not_of_26() -> None:
    lab = PoolLab()
    root = lab.pay(lab.fund(), outputs=30, fee=2000)
    lab.add(root)
    for index in range(24):
        assert detail(lab, made(root, index)) is None
        lab.add(lab.pay(made(root, index)))
    refused = detail(lab, made(root, 24))
    assert refused is not None
    assert refused.startswith("too many descendants for tx ")
    lab.check()


def test_24_parents_and_not_25() -> None:
    lab = PoolLab()
    parents = [made(lab.chained(lab.fund(), 1)[0]) for _ in range(25)]
    assert detail(lab, *parents[:24], fee=50_000) is None
    assert detail(lab, *parents, fee=50_000) == "too many unconfirmed parents [limit: 24]"


def test_two_families_do_not_add_up_to_one() -> None:
    """A child of two chains of 12 has 25 ancestors with itself; of 12 and 13, 26."""
    lab = PoolLab()
    one, other = (made(lab.chained(lab.fund(), 12)[-1]) for _ in range(2))
    assert detail(lab, one, other) is None
    thirteenth = lab.chained(other, 1)[0]
    assert detail(lab, one, made(thirteenth)) == "too many unconfirmed ancestors [limit: 25]"


@pytest.mark.parametrize("over", [0, 1])
def test_101_000_vb_of_ancestors_and_no_more(over: int) -> None:
    lab = PoolLab()
    parent = lab.big(lab.fund(10**8), vsize=90_000, fee=10**6)
    lab.add(parent)
    coin = made(parent, len(parent.outputs) - 1)
    bare = lab.pay(coin, fee=10**6, witness=(b"",)).vsize
    fill = 4 * (MAX_CHAIN_VSIZE + over - parent.vsize - bare) - 4
    child = lab.pay(coin, fee=10**6, witness=(bytes(fill),))
    assert parent.vsize + child.vsize == MAX_CHAIN_VSIZE + over
    refused = lab.refusal(child)
    assert (refused is not None) == bool(over)
    assert refused is None or refused.detail == "exceeds ancestor size limit [limit: 101000]"


@pytest.mark.parametrize("over", [0, 1])
def test_101_000_vb_of_descendants_and_no_more(over: int) -> None:
    """Two children that are no ancestors of each other."""
    lab = PoolLab()
    root = lab.pay(lab.fund(10**9), outputs=2)
    sibling = lab.big(made(root, 0), vsize=60_000, fee=10**6)
    for tx in (root, sibling):
        lab.add(tx)
    bare = lab.pay(made(root, 1), fee=10**6, witness=(b"",)).vsize
    fill = 4 * (MAX_CHAIN_VSIZE + over - root.vsize - sibling.vsize - bare) - 4
    child = lab.pay(made(root, 1), fee=10**6, witness=(bytes(fill),))
    assert root.vsize + sibling.vsize + child.vsize == MAX_CHAIN_VSIZE + over
    refused = lab.refusal(child)
    assert (refused is not None) == bool(over)
    assert refused is None or refused.detail.startswith("exceeds descendant size limit for tx ")


# memory


def full_lab(*fees: int) -> PoolLab:
    """A pool that is full of independent payments."""
    lab = PoolLab()
    for fee in fees:
        lab.add(lab.pay(lab.fund(), fee=fee))
    lab.pool.usage_max_bytes = lab.pool.view().usage
    return lab


def fees_of(lab: PoolLab) -> list[int]:
    return sorted(entry.fee for entry in lab.pool.view().entries.values())


def test_the_worst_paid_leaves_a_full_pool() -> None:
    lab = full_lab(1000, 500, 2000)
    added = lab.add(lab.pay(lab.fund(), fee=1500))
    assert [(one.entry.fee, one.reason) for one in added.removed] == [(500, Removal.EVICTED)]
    assert fees_of(lab) == [1000, 1500, 2000]
    lab.check()


def test_nobody_leaves_for_somebody_who_pays_no_more() -> None:
    lab = full_lab(1000, 500)
    assert str(lab.refusal(lab.pay(lab.fund(), fee=500))) == "mempool full"
    assert lab.refusal(lab.pay(lab.fund(), fee=501)) is None
    assert fees_of(lab) == [500, 1000]


def test_nobody_leaves_for_a_large_one_that_does_not_fit_anyway() -> None:
    lab = full_lab(1000, 5000, 500)
    large = lab.pay(lab.fund(), fee=0, outputs=8).vsize
    assert str(lab.refusal(lab.pay(lab.fund(), fee=20 * large, outputs=8))) == "mempool full"
    added = lab.add(lab.pay(lab.fund(), fee=20 * large))
    assert len(added.removed) == 1
    lab.check()


def test_a_replacement_uses_the_room_of_what_it_replaces() -> None:
    lab = full_lab(1000, 500)
    rival = lab.pool.view().newest(2)[1]
    added = lab.add(lab.pay(rival.tx.inputs[0].outpoint, fee=1110))
    assert [(one.entry.fee, one.reason) for one in added.removed] == [(1000, Removal.REPLACED)]
    assert fees_of(lab) == [500, 1110]
    lab.check()


def test_a_larger_replacement_needs_more_room_than_that() -> None:
    """What it replaces, though worth least, does not count twice."""
    lab = full_lab(1000, 500, 400)
    rival = lab.pool.view().newest(1)[0]
    added = lab.add(lab.pay(rival.tx.inputs[0].outpoint, fee=20_000, outputs=3))
    assert [(one.entry.fee, one.reason) for one in added.removed] == [
        (400, Removal.REPLACED),
        (500, Removal.EVICTED),
    ]
    lab.check()


def test_a_parent_is_worth_what_its_child_pays() -> None:
    """The cheapest stays for the sake of its child; the next cheapest goes."""
    lab = PoolLab()
    parent = lab.pay(lab.fund(), fee=200)
    for tx in (parent, lab.pay(made(parent), fee=5000), lab.pay(lab.fund(), fee=400)):
        lab.add(tx)
    lab.pool.usage_max_bytes = lab.pool.view().usage
    assert [one.entry.fee for one in lab.add(lab.pay(lab.fund(), fee=1500)).removed] == [400]
    assert fees_of(lab) == [200, 1500, 5000]
    lab.check()


def test_children_go_with_their_parent() -> None:
    """Together they pay 3.2 sat/vB, the child alone 4.5, the other 4."""
    lab = PoolLab()
    parent = lab.pay(lab.fund(), fee=200)
    child = lab.pay(made(parent), fee=500)
    for tx in (parent, child, lab.pay(lab.fund(), fee=440)):
        lab.add(tx)
    lab.pool.usage_max_bytes = lab.pool.view().usage
    added = lab.add(lab.pay(lab.fund(), fee=1000))
    assert [one.entry.txid for one in added.removed] == [parent.txid, child.txid]
    assert fees_of(lab) == [440, 1000]
    assert lab.pool.min_fee_sat_kvb(lab.now) == pytest.approx(700 / 220 * 1000 + INCREMENTAL_FEE_SAT_KVB)
    lab.check()


def test_a_child_that_pays_less_goes_alone() -> None:
    lab = PoolLab()
    chain = lab.chained(lab.fund(), 1, fee=300)
    child = lab.pay(made(chain[0]), fee=200)
    for tx in (child, lab.pay(lab.fund(), fee=440)):
        lab.add(tx)
    lab.pool.usage_max_bytes = lab.pool.view().usage
    assert [one.entry.txid for one in lab.add(lab.pay(lab.fund(), fee=1000)).removed] == [child.txid]
    lab.check()


def test_a_child_does_not_push_out_its_own_parent() -> None:
    lab = PoolLab()
    parent = lab.pay(lab.fund(), fee=200)
    for tx in (parent, lab.pay(lab.fund(), fee=400), lab.pay(lab.fund(), fee=3000)):
        lab.add(tx)
    lab.pool.usage_max_bytes = lab.pool.view().usage
    added = lab.add(lab.pay(made(parent), fee=2000))
    assert [one.entry.fee for one in added.removed] == [400]
    lab.check()


def test_worth_is_kept_up_to_date_while_the_pool_is_full() -> None:
    """Thousands of arrivals at the limit: who goes is always who is worth least."""
    lab = full_lab(*range(500, 560))
    for step in range(300):
        worst = min(lab.pool.view().entries.values(), key=lambda entry: (entry.fee_rate, -entry.sequence))
        added = lab.add(lab.pay(lab.fund(), fee=1000 + 137 * step % 501 + 120 * step))
        assert [one.entry.txid for one in added.removed] == [worst.txid]
    lab.check()


def test_usage_is_real_memory() -> None:
    """Within a third, and rather too high than too low."""
    lab = PoolLab()
    shapes = [(1, 2, 300), (2, 1, 300), (12, 2, 60), (1, 40, 60)]
    raws = [
        lab.pay(*(lab.fund() for _ in range(inputs)), outputs=outputs, fee=100_000).raw
        for inputs, outputs, count in shapes
        for _ in range(count)
    ]
    pool = Mempool()

    def enter(raw: bytes) -> None:
        staged = pool.stage(decode_tx(raw), lambda point: Coin(lab.coins[point]), lab.context, lab.now)
        pool.add(staged, lab.now)

    gc.collect()
    tracemalloc.start()
    try:
        for raw in raws:
            enter(bytes(bytearray(raw)))
        gc.collect()
        real = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert real < pool.view().usage < 1.35 * real


def test_usage_counts_what_the_index_has_not_forgotten_yet() -> None:
    """As much as is in the pool may have left it and still be noted."""
    lab = PoolLab()
    points = [lab.fund() for _ in range(2_000)]
    raws = [[lab.pay(point, outputs=2, fee=fee).raw for fee in (1000, 3000)] for point in points]
    pool = Mempool()
    gc.collect()
    tracemalloc.start()
    try:
        for raw in (raw for pair in raws for raw in pair):
            staged = pool.stage(
                decode_tx(bytes(bytearray(raw))), lambda point: Coin(lab.coins[point]), lab.context, lab.now
            )
            pool.add(staged, lab.now)
        del staged, raw
        gc.collect()
        real = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    view = pool.view()
    assert view.scripts._stale > 0.8 * view.scripts._live
    assert real < view.usage


# the floor


def test_an_eviction_raises_the_floor_above_what_left() -> None:
    lab = full_lab(1100, 220)
    assert lab.pool.min_fee_sat_kvb(lab.now) == lab.pool.view().floor_sat_kvb == MIN_RELAY_FEE_SAT_KVB
    lab.add(lab.pay(lab.fund(), fee=2000))  # 220 satoshis for 110 vB leave
    floor = 2000 + INCREMENTAL_FEE_SAT_KVB
    assert lab.pool.min_fee_sat_kvb(lab.now) == lab.pool.view().floor_sat_kvb == floor
    assert str(lab.refusal(lab.pay(lab.fund(), fee=329))) == "mempool min fee not met: 329 < 330"


def test_the_floor_falls_by_half_in_twelve_hours_once_a_block_has_come() -> None:
    lab = full_lab(11_000, 9900, 8800)
    lab.add(lab.pay(lab.fund(), fee=20_000))
    floor = 80_000 + INCREMENTAL_FEE_SAT_KVB
    lab.now += FLOOR_HALF_LIFE_S
    assert lab.pool.min_fee_sat_kvb(lab.now) == floor
    lab.mine()
    lab.now += FLOOR_HALF_LIFE_S
    lab.mine()
    assert lab.pool.min_fee_sat_kvb(lab.now) == pytest.approx(floor / 2)
    assert lab.pool.view().floor_sat_kvb == pytest.approx(floor / 2)
    lab.now += FLOOR_HALF_LIFE_S
    assert lab.pool.min_fee_sat_kvb(lab.now) == pytest.approx(floor / 4)
    lab.now += 10 * FLOOR_HALF_LIFE_S
    assert lab.pool.min_fee_sat_kvb(lab.now) == MIN_RELAY_FEE_SAT_KVB


@pytest.mark.parametrize(("kept", "speed"), [(3, 1), (1, 2), (0, 4)])
def test_an_emptier_pool_forgets_sooner(kept: int, speed: int) -> None:
    lab = full_lab(11_000, 9900, 8800)
    lab.add(lab.pay(lab.fund(), fee=20_000))
    entries = list(lab.pool.view().entries.values())
    lab.mine(*(entry.tx for entry in entries[kept:]))
    lab.now += FLOOR_HALF_LIFE_S
    assert lab.pool.min_fee_sat_kvb(lab.now) == pytest.approx(81_000 * 0.5**speed)


def test_another_eviction_stops_the_fall() -> None:
    lab = full_lab(11_000, 9900, 8800)
    lab.add(lab.pay(lab.fund(), fee=20_000))
    lab.mine()
    lab.add(lab.pay(lab.fund(), fee=20_000))  # 9,900 for 110 vB leave
    lab.now += 100 * FLOOR_HALF_LIFE_S
    assert lab.pool.min_fee_sat_kvb(lab.now) == pytest.approx(90_000 + INCREMENTAL_FEE_SAT_KVB)


def test_a_lesser_eviction_leaves_the_floor_falling() -> None:
    """As when a transaction comes back out of a block, pays less than the floor and has to go."""
    floor = FeeFloor()
    floor.evicted(Eviction(frozenset(), 80.0))
    floor.on_block(0)
    assert floor.rate_sat_kvb(FLOOR_HALF_LIFE_S, 1.0) == pytest.approx(40_500)
    floor.evicted(Eviction(frozenset(), 3.0))
    assert floor.rate_sat_kvb(2 * FLOOR_HALF_LIFE_S, 1.0) == pytest.approx(20_250)


def test_the_heap_of_a_full_pool_is_bounded() -> None:
    """However often an entry changes."""
    lab = full_lab(1000)
    (entry,) = lab.pool.view().newest(1)
    worst = WorstFirst()
    assert worst.pop({entry.txid: entry}) is entry
    for _ in range(5000):
        worst.note(entry, 1)
        assert len(worst._heap or ()) < 2000
    assert worst.pop({entry.txid: entry}) is entry


# age


def test_old_ones_expire_with_their_children() -> None:
    lab = PoolLab()
    parent, other = lab.pay(lab.fund()), lab.pay(lab.fund())
    lab.add(parent)
    lab.now += 10
    child = lab.pay(made(parent))
    for tx in (other, child):
        lab.add(tx)
    lab.now += EXPIRY_S - 10
    assert lab.pool.expire(lab.now).removed == ()
    removed = lab.pool.expire(lab.now + 1).removed
    assert [(one.entry.txid, one.reason) for one in removed] == [
        (parent.txid, Removal.EXPIRED),
        (child.txid, Removal.EXPIRED),
    ]
    assert lab.txids() == {other.txid}
    lab.check()


def test_old_ones_expire_with_a_block() -> None:
    lab = PoolLab()
    lab.chained(lab.fund(), 2)
    lab.now += EXPIRY_S + 1
    assert [one.reason for one in lab.mine().removed] == [Removal.EXPIRED] * 2
    assert lab.txids() == set()


def test_a_loaded_one_keeps_its_age() -> None:
    lab = PoolLab()
    tx = lab.pay(lab.fund())
    lab.pool.add(lab.stage(tx), lab.now, lab.now - EXPIRY_S - 1)
    assert len(lab.pool.expire(lab.now).removed) == 1


def test_usage_grows_with_every_part() -> None:
    lab = PoolLab()
    points = [lab.fund() for _ in range(3)]
    sizes = [
        memory_usage(tx)
        for tx in (lab.pay(points[0]), lab.pay(*points), lab.pay(*points, outputs=3), lab.pay(*points, outputs=4))
    ]
    assert sizes == sorted(set(sizes))
