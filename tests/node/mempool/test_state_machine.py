"""The pool under random payments, replacements, blocks and reorgs, against its definition.

After every step all sums and indexes are recomputed from scratch, and every view that was handed
out before a change of the tip is held against what it was then.
"""

import re
from functools import reduce
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chain.coins import Coin
from chain.errors import Rejected
from chain.hashes import Txid
from chain.tx import OutPoint, Tx
from node.mempool.change import MempoolChange
from node.mempool.entry import NOTHING, MempoolEntry, MempoolTotals
from node.mempool.policy import EXPIRY_S
from node.mempool.prechecks import Staged
from node.mempool.view import MempoolView
from tests.node.mempool.mempool_lab import REPLACEABLE, PoolLab, contents, outputs_of

SEQUENCES = st.sampled_from([REPLACEABLE, REPLACEABLE, REPLACEABLE, 0xFFFFFFFF, 0, 1, 2])


class PoolMachine(RuleBasedStateMachine):
    """Few coins, so that payments meet; little memory, so that some have to leave."""

    def __init__(self) -> None:
        super().__init__()
        self.lab = PoolLab()
        self.known: list[Tx] = []
        self.staged: list[Staged] = []
        self.followed: dict[Txid, MempoolEntry] = {}
        """The entries, as somebody knows them who was told of every change and of nothing else."""
        self.changes = 0
        self.old_views: list[tuple[MempoolView, tuple[Any, ...]]] = []

    @initialize(coins=st.integers(2, 8), usage_max_bytes=st.sampled_from([30_000, 60_000, 300_000_000]))
    def start(self, coins: int, usage_max_bytes: int) -> None:
        self.lab.pool.usage_max_bytes = usage_max_bytes
        for _ in range(coins):
            self.lab.fund(10_000_000)

    def points(self) -> list[OutPoint]:
        """What a payment could spend: coins of the chain and of the pool, spent there or not."""
        entries = self.lab.pool.view().entries.values()
        mine = [point for point in self.lab.coins if self.lab.values[point] > 300_000]
        return mine + [p for entry in entries for p in outputs_of(entry.tx) if self.lab.values[p] > 300_000]

    def follow(self, change: MempoolChange) -> MempoolChange:
        """Do what the change says: nobody leaves who is not here, nobody enters twice or before a parent."""
        assert change.before == self.changes
        self.changes += len(change)
        for entry in (entry for block in change.confirmed for entry in block.entries):
            del self.followed[entry.txid]
        for gone in change.removed:
            del self.followed[gone.entry.txid]
        for entry in change.added:
            assert entry.txid not in self.followed
            assert set(entry.parents) <= set(self.followed)
            self.followed[entry.txid] = entry
        return change

    # payments

    @rule(
        data=st.data(),
        fee=st.integers(0, 300) | st.integers(300, 20_000) | st.integers(20_000, 200_000),
        outputs=st.integers(1, 4),
        sequence=SEQUENCES,
        lock=st.integers(-3, 1),
    )
    def pay(self, data: st.DataObject, fee: int, outputs: int, sequence: int, lock: int) -> None:
        points = self.points()
        if not points:
            return
        chosen = data.draw(st.lists(st.sampled_from(points), min_size=1, max_size=3, unique=True))
        tx = self.lab.pay(
            *chosen, fee=fee, outputs=outputs, sequence=sequence, lock_time=max(self.lab.height + lock, 0)
        )
        before = set(self.lab.pool.view().entries)
        try:
            added = self.follow(self.lab.add(tx))
        except Rejected:
            assert set(self.lab.pool.view().entries) == before
            return
        removed = {one.entry.txid for one in added.removed}
        assert removed <= before
        assert set(self.lab.pool.view().entries) == (before - removed) | {tx.txid}
        self.known.append(tx)

    @rule(seed=st.integers(0, 2**32), count=st.integers(5, 25), chains=st.booleans())
    def pay_many(self, seed: int, count: int, chains: bool) -> None:
        """A burst; `chains` for mostly spending what came last."""
        rng = Random(seed)
        for _ in range(count):
            points = self.points()
            if not points:
                return
            if chains:
                points = points[-4:]
            chosen = rng.sample(points, min(len(points), rng.choice([1, 1, 2])))
            vsize = 42 + 68 * len(chosen)
            tx = self.lab.pay(*chosen, fee=int(vsize * rng.uniform(1.5, 40)), outputs=rng.choice([1, 2, 3]))
            try:
                self.follow(self.lab.add(tx))
                self.known.append(tx)
            except Rejected:
                continue

    @rule(data=st.data())
    def pay_again(self, data: st.DataObject) -> None:
        """What was replaced, evicted, lost or mined is offered once more."""
        if self.known:
            try:
                self.follow(self.lab.add(data.draw(st.sampled_from(self.known))))
            except Rejected:
                pass

    @rule(data=st.data(), fee=st.integers(100, 20_000))
    def stage(self, data: st.DataObject, fee: int) -> None:
        """The signatures of one are out for a while."""
        if points := self.points():
            chosen = data.draw(st.lists(st.sampled_from(points), min_size=1, max_size=2, unique=True))
            try:
                self.staged.append(self.lab.stage(self.lab.pay(*chosen, fee=fee)))
            except Rejected:
                pass

    @precondition(lambda self: self.staged)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        """They are back: the second staging says what a first one would."""
        staged = self.staged.pop(data.draw(st.integers(0, len(self.staged) - 1)))
        try:
            fresh = self.lab.stage(staged.tx)
        except Rejected as error:
            with pytest.raises(type(error), match=f"^{re.escape(str(error))}$"):
                self.restage(staged)
            return
        again = self.restage(staged)
        assert again == fresh
        self.follow(self.lab.pool.add(again, self.lab.now))
        self.known.append(staged.tx)

    def restage(self, staged: Staged) -> Staged:
        return self.lab.pool.restage(staged, self.lab.coins.get, self.lab.context, self.lab.now)

    # time

    @rule(seconds=st.sampled_from([60.0, 3600.0, EXPIRY_S / 2]))
    def wait(self, seconds: float) -> None:
        self.lab.now += seconds
        old = {t for t, entry in self.lab.pool.view().entries.items() if entry.time < self.lab.now - EXPIRY_S}
        assert old <= {one.entry.txid for one in self.follow(self.lab.pool.expire(self.lab.now)).removed}

    @rule(share=st.floats(0.2, 1.0))
    def trim(self, share: float) -> None:
        """A package has taken more than there was."""
        pool = self.lab.pool
        most, pool.usage_max_bytes = pool.usage_max_bytes, int(pool.view().usage * share) + 1
        self.follow(pool.trim(self.lab.now))
        assert pool.view().usage <= pool.usage_max_bytes
        pool.usage_max_bytes = most

    # the chain

    @rule(data=st.data(), leave=st.integers(0, 3), blocks=st.integers(0, 3))
    def move(self, data: st.DataObject, leave: int, blocks: int) -> None:
        """To a branch that takes some of what the old one had, some of the pool, and rivals."""
        leave = min(leave, len(self.lab.chain))
        if not leave and not blocks:
            return
        coins = dict(self.lab.coins)
        left: list[Tx] = []
        for block, delta in self.lab.chain[len(self.lab.chain) - leave :][::-1]:
            left = [*block.txs[1:], *left]
            for point in delta.created:
                del coins[point]
            coins.update(delta.spent)
        candidates = left + [entry.tx for entry in self.lab.pool.view().entries.values()]
        bodies = [self.body(data, candidates, coins) for _ in range(blocks)]
        self.old_views.append((self.lab.pool.view(), contents(self.lab.pool.view())))
        before = set(self.lab.pool.view().entries)
        change = self.follow(self.lab.move(leave, *bodies))
        after = set(self.lab.pool.view().entries)
        mined = {entry.txid for block in change.confirmed for entry in block.entries}
        assert mined == before & {tx.txid for body in bodies for tx in body}
        removed = {one.entry.txid for one in change.removed}
        returned = {entry.txid for entry in change.added}
        assert after == (before - mined - removed) | returned
        assert not returned & (before | removed)

    def body(self, data: st.DataObject, candidates: list[Tx], coins: dict[OutPoint, Coin]) -> list[Tx]:
        """A block's transactions, each spending what is there; `coins` are those after it."""
        body = []
        for tx in candidates:
            what = data.draw(st.sampled_from(["leave", "take", "rival"]))
            if what == "leave" or any(spent.outpoint not in coins for spent in tx.inputs):
                continue
            if what == "rival":
                tx = self.lab.pay(tx.inputs[0].outpoint, fee=1)
            for spent in tx.inputs:
                del coins[spent.outpoint]
            for point, output in zip(outputs_of(tx), tx.outputs, strict=True):
                coins[point] = Coin.make(0, False, output)
            body.append(tx)
        return body

    # what holds

    @invariant()
    def all_is_what_it_should_be(self) -> None:
        self.lab.check()

    @invariant()
    def the_changes_are_all_there_was(self) -> None:
        view = self.lab.pool.view()
        assert view.changes == self.changes
        assert set(view.entries) == set(self.followed)
        own = [entry.own for entry in self.followed.values()]
        assert view.totals == reduce(MempoolTotals.plus, own, NOTHING)

    @precondition(lambda self: self.old_views)
    @invariant()
    def old_views_are_still(self) -> None:
        for view, then in self.old_views[-3:]:
            assert contents(view) == then


@pytest.mark.timeout(240)
class TestPool(PoolMachine.TestCase):  # type: ignore[misc,valid-type]
    settings = settings(max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
