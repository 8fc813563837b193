"""Fee estimates from made-up traffic."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.coins import Coin
from chain.tx import TxOut
from node.mempool.entry import MempoolEntry, MempoolTotals
from node.mempool.fee_estimator import (
    ENOUGH,
    FADING,
    NO_ESTIMATES,
    TARGET_MAX,
    TARGETS,
    FeeEstimate,
    FeeEstimator,
    FeeView,
)
from tests.node.mempool.mempool_lab import PoolLab, script

LAB = PoolLab()


def entry(rate: float, height: int, ancestors: int = 1, descendants: int = 1) -> MempoolEntry:
    """A transaction of 100 vB, as far as the estimator looks."""
    vsize = 100
    return MempoolEntry(
        tx=LAB.pay(LAB.fund()),
        fee=round(rate * vsize),
        vsize=vsize,
        weight=4 * vsize,
        sigops=1,
        usage=1,
        time=0.0,
        height=height,
        sequence=0,
        spent=(Coin.make(1, False, TxOut(1, script(1))),),
        waits=False,
        parents=(),
        ancestors=MempoolTotals(ancestors, vsize, 0),
        descendants=MempoolTotals(descendants, vsize, 0),
    )


class Traffic:
    """Blocks come; of each rate so many enter a block, and wait so many blocks."""

    def __init__(self, *flows: tuple[float, int, int]) -> None:
        self.estimator = FeeEstimator()
        self.flows = flows
        self.height = 0
        self.pending: dict[int, list[MempoolEntry]] = {}

    def run(self, blocks: int) -> FeeEstimator:
        for _ in range(blocks):
            for rate, count, wait in self.flows:
                for _ in range(count):
                    one = entry(rate, self.height)
                    self.estimator.entered(one)
                    self.pending.setdefault(self.height + wait, []).append(one)
            self.height += 1
            self.estimator.connected(self.height, self.pending.pop(self.height, ()))
        return self.estimator


def test_no_traffic_no_estimate() -> None:
    estimator = FeeEstimator()
    assert estimator.view() is NO_ESTIMATES
    estimator.connected(1, ())
    assert {estimator.estimate(target) for target in (1, 6, 2000)} == {None}


def test_a_few_are_not_enough() -> None:
    few = Traffic((5.0, 1, 1))
    assert few.run(int(ENOUGH) - 1).estimate(1) is None
    assert few.run(4).estimate(1) == pytest.approx(5.0)


def test_who_pays_more_waits_less() -> None:
    """20 sat/vB are mined at once, 5 after three blocks, 2 after ten."""
    estimator = Traffic((20.0, 3, 1), (5.0, 3, 3), (2.0, 3, 10)).run(40)
    rates = {target: estimator.estimate(target) for target in (1, 2, 3, 9, 10, 25, 144, TARGET_MAX)}
    assert rates == pytest.approx({1: 20, 2: 20, 3: 5, 9: 5, 10: 2, 25: 2, 144: 2, TARGET_MAX: 2})


def test_a_target_between_two_counts_as_the_shorter() -> None:
    estimator = Traffic((20.0, 3, 1), (5.0, 3, 30)).run(80)
    assert estimator.estimate(143) == estimator.estimate(25) == pytest.approx(20)
    assert estimator.estimate(144) == estimator.estimate(500) == pytest.approx(5)
    assert estimator.estimate(0) == estimator.estimate(1)


def test_what_is_not_known_of_a_short_wait_costs_no_less_than_a_longer_one() -> None:
    """Of 14 that pay 3 sat/vB, 11 are mined in one block, which is too few, and 3 in two."""
    estimator = FeeEstimator()
    paying = [entry(3.0, 100) for _ in range(14)]
    for one in paying:
        estimator.entered(one)
    estimator.connected(101, paying[:11])
    estimator.connected(102, paying[11:])
    view = estimator.view()
    assert [view.estimate(target) for target in (1, 2, 3)] == [None, pytest.approx(3), pytest.approx(3)]
    assert view.nearest(1) == view.nearest(2) == FeeEstimate(2, pytest.approx(3))
    assert view.nearest(3) == FeeEstimate(3, pytest.approx(3))
    assert view.nearest(30) == FeeEstimate(30, pytest.approx(3))
    assert NO_ESTIMATES.nearest(1) is None


@given(st.lists(st.none() | st.floats(1, 1000), min_size=len(TARGETS), max_size=len(TARGETS)))
def test_no_rate_is_below_that_of_a_longer_wait(rates: list[float | None]) -> None:
    known = sorted((rate for rate in rates if rate is not None), reverse=True)
    descending = iter(known)
    view = FeeView(tuple(None if rate is None else next(descending) for rate in rates))
    told = [nearest.rate if (nearest := view.nearest(target)) else 0.0 for target in range(1, TARGET_MAX + 2)]
    assert told == sorted(told, reverse=True)


def test_an_estimate_is_the_mean_of_its_group() -> None:
    """Rates of one bucket, and of several that are joined for want of traffic."""
    estimator = Traffic((10.0, 4, 1), (10.4, 4, 1)).run(20)
    assert estimator.estimate(1) == pytest.approx(10.2)
    sparse = FeeEstimator()
    for height, rate in enumerate([30.0, 25.0, 20.0, 15.0] * 3):
        one = entry(rate, height)
        sparse.entered(one)
        sparse.connected(height + 1, [one])
    joined = sparse.estimate(1)
    assert joined is not None
    assert 15 < joined < 30


def test_those_who_wait_count_against_their_rate() -> None:
    """None of the cheap ones that were mined waited long: they were lucky."""
    estimator = Traffic((20.0, 3, 1), (3.0, 3, 1), (3.0, 3, 10**6)).run(30)
    assert estimator.estimate(2) == pytest.approx(20)
    assert estimator.estimate(25) == pytest.approx(20)
    assert estimator.estimate(1008) == pytest.approx(3)  # nobody has waited that long yet


def test_those_who_left_count_against_their_rate() -> None:
    estimator = FeeEstimator()
    gone = []
    for height in range(40):
        dear, cheap, unlucky = entry(20, height), entry(3, height), entry(3, height)
        for one in (dear, cheap, unlucky):
            estimator.entered(one)
        gone.append(unlucky)
        estimator.connected(height + 1, [dear, cheap])
        if len(gone) > 5:
            estimator.left(gone.pop(0))
    assert estimator.estimate(5) == pytest.approx(20)
    assert estimator.estimate(25) == pytest.approx(3)


def test_leaving_before_a_block_means_nothing() -> None:
    """A replaced one, say: it missed no block."""
    estimator = FeeEstimator()
    for height in range(20):
        one, replaced = entry(4, height), entry(4, height)
        estimator.entered(replaced)
        estimator.left(replaced)
        estimator.entered(one)
        estimator.connected(height + 1, [one])
    assert estimator.estimate(1) == pytest.approx(4)


def test_relatives_teach_nothing() -> None:
    """A child's place depends on its parent, a parent's on its child."""
    estimator = FeeEstimator()
    for height in range(60):
        child, parent = entry(50, height, ancestors=2), entry(1, height)
        for one in (child, parent):
            estimator.entered(one)
        with_child = entry(1, height, descendants=2)
        with_child.tx = parent.tx  # type: ignore[misc]  # as it is when it is mined
        estimator.connected(height + 1, [with_child, child])
    assert estimator.estimate(25) is None
    assert not estimator._followed
    assert not any(bucket.waiting for bucket in estimator._buckets)


def test_strangers_and_repeats_are_ignored() -> None:
    estimator = FeeEstimator()
    for height in range(30):
        estimator.connected(height + 1, [entry(9, height)])
        estimator.left(entry(9, height))
    assert estimator.estimate(1) is None


def test_times_change() -> None:
    """What was enough in the past is not, once most of what is remembered says so."""
    traffic = Traffic((5.0, 5, 1), (40.0, 5, 1))
    assert traffic.run(150).estimate(1) == pytest.approx(5)
    traffic.flows = ((5.0, 5, 30), (40.0, 5, 1))
    assert traffic.run(150).estimate(1) == pytest.approx(40)


def test_old_observations_fade() -> None:
    """To half their weight in 144 blocks, so that twenty are not enough any more after 150."""
    traffic = Traffic((5.0, 20, 1))
    assert traffic.run(1).estimate(1) is not None
    traffic.flows = ()
    assert traffic.run(140).estimate(1) is not None
    assert traffic.run(10).estimate(1) is None
    assert pytest.approx(0.5) == FADING**144


def test_weights_do_not_overflow() -> None:
    """They grow by half a percent a block, and are made small again in time."""
    traffic = Traffic((5.0, 1, 1))
    traffic.run(40)
    before = traffic.estimator.estimate(1)
    traffic.estimator._weight *= 1e100
    for bucket in traffic.estimator._buckets:
        bucket.scale(1e100)
    assert traffic.run(1).estimate(1) == pytest.approx(before)
    assert traffic.estimator._weight == 1.0


def test_longer_never_costs_more() -> None:
    rng = Random(3)
    traffic = Traffic(*((rng.uniform(1, 60), rng.randrange(1, 4), rng.randrange(1, 30)) for _ in range(12)))
    rates = [rate for rate in traffic.run(80).view().rates if rate is not None]
    assert len(rates) > 3
    assert rates == sorted(rates, reverse=True)
    assert len(traffic.estimator.view().rates) == len(TARGETS)


def test_what_is_enough_for_a_short_wait_is_for_a_longer_one() -> None:
    """Nine were mined at once, one was not: ten to judge one block by, nine for two."""
    estimator = FeeEstimator()
    txs = [entry(5, 0) for _ in range(10)]
    for one in txs:
        estimator.entered(one)
    estimator.connected(1, txs[:9])
    assert estimator.estimate(1) == estimator.estimate(2) == estimator.estimate(TARGET_MAX) == pytest.approx(5)


def test_a_pool_s_own_entries() -> None:
    """The whole way: pool, blocks, estimate."""
    lab, estimator = PoolLab(), FeeEstimator()
    for _ in range(15):
        one = lab.add(lab.pay(lab.fund(), fee=110 * 7)).entry
        estimator.entered(one)
        change = lab.mine(one.tx)
        for block in change.confirmed:
            estimator.connected(block.height, block.entries)
    assert estimator.estimate(1) == pytest.approx(7)
