"""Readers that take no lock, beside a writer that never waits for them."""

import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from chain.tx import Tx
from node.mempool.policy import EXPIRY_S
from node.mempool.view import MempoolView
from tests.node.mempool.mempool_lab import PoolLab, contents, made

TIPS, TIPS_MAX = 60, 1_000
"""At least, and at most where the readers seldom have their turn."""
LOOKS = TIPS / 4
"""At views whose tip is over."""
READERS = 3


@pytest.fixture
def _nervous() -> Iterator[None]:
    """Threads take turns after a few steps of the interpreter."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class Readers:
    """Threads that hold what is published against what a view promises."""

    def __init__(self, view: MempoolView) -> None:
        self.view = view
        """The latest; as the runtime publishes it, only when the tip has changed."""
        self.failures: list[BaseException] = []
        self.looks = 0
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(READERS)]

    def __enter__(self) -> "Readers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        try:
            before = self.view
            while not self._over.is_set():
                # The newest, and the one before, which is over as soon as the tip has moved.
                view = self.view
                self._look(view)
                self._look(before)
                before = view
        except BaseException as failure:  # noqa: BLE001 - told by the test
            self.failures.append(failure)

    def _look(self, view: MempoolView) -> None:
        entries = view.entries
        seen = set()
        for entry in entries.values():
            assert seen.issuperset(entry.parents), "a child without its parents, or before them"
            seen.add(entry.txid)
        sequences = [entry.sequence for entry in entries.values()]
        assert sequences == sorted(sequences)
        if view.past is not None:
            # It is over: whatever happens from now on, it shows the same.
            first = contents(view)
            assert len(first[0]) == len(view)
            for _ in range(3):
                assert contents(view) == first
            self.looks += 1


@pytest.mark.usefixtures("_nervous")
def test_a_view_is_whole_and_stays_as_it_was() -> None:
    rng = Random(5)
    lab = PoolLab()
    with Readers(lab.pool.view()) as readers:
        for tip in range(TIPS_MAX):
            point = lab.fund()
            chain = lab.chained(point, 5)
            alone = [lab.pay(lab.fund(), fee=rng.randrange(1000, 2000)) for _ in range(10)]
            for tx in alone:
                lab.add(tx)
            lab.add(lab.pay(alone[0].inputs[0].outpoint, fee=5000))
            held = readers.view
            lab.move(rng.choice([0, 0, 0, min(2, len(lab.chain))]), [*chain[:3], *alone[2:8]], [])
            readers.view = lab.pool.view()
            lab.add(lab.pay(made(chain[4])))
            lab.add(lab.pay(alone[9].inputs[0].outpoint, fee=9000))
            if rng.random() < 0.5:
                del held
            if readers.failures or (tip >= TIPS and readers.looks > LOOKS):
                break
    assert not readers.failures, readers.failures
    assert readers.looks > LOOKS
    lab.check()


class Watched(dict[Any, Any]):
    """A dictionary of the pool: after each single change, the view of the last tip is as it was."""

    def __init__(self, given: dict[Any, Any], check: Callable[[], None]) -> None:
        super().__init__(given)
        self._check = check

    def __setitem__(self, key: Any, what: Any) -> None:
        super().__setitem__(key, what)
        self._check()

    def __delitem__(self, key: Any) -> None:
        super().__delitem__(key)
        self._check()


def test_at_each_single_step_the_past_is_whole() -> None:
    """What is there is noted before it is changed: a reader may come in between."""
    lab = PoolLab()
    chain = lab.chained(lab.fund(), 6)
    point = lab.fund()
    lab.add(lab.pay(point))
    old = lab.pool.view()
    then = contents(old)

    def check() -> None:
        assert contents(old) == then

    graph = lab.pool._graph
    graph.entries = old._entries = Watched(graph.entries, check)
    graph.spenders = old._spenders = Watched(graph.spenders, check)
    lab.mine(*chain[:2])
    lab.chained(made(chain[5]), 2)
    lab.add(lab.pay(point, fee=5000))
    lab.pool.expire(lab.now + EXPIRY_S + 1)
    assert len(lab.pool) == 0
    check()


class Interrupted(dict[Any, Any]):
    """Notes of the past; right after a reader has looked into them, the writer changes something."""

    def __init__(self, step: Callable[[], object]) -> None:
        super().__init__()
        self._steps = [step]

    def get(self, key: Any, default: Any = None) -> Any:
        found = super().get(key, default)
        self._interrupt()
        return found

    def copy(self) -> dict[Any, Any]:
        found = super().copy()
        self._interrupt()
        return found

    def _interrupt(self) -> None:
        if self._steps:
            self._steps.pop()()


@pytest.mark.parametrize(
    "look",
    [
        lambda view, tx: view.entry(tx.txid),
        lambda view, tx: view.tx_spending(tx.inputs[0].outpoint),
        lambda view, tx: view.entries,
        lambda view, tx: view.coin(made(tx)),
    ],
)
def test_a_reader_looks_into_the_notes_last(look: Callable[[MempoolView, Tx], Any]) -> None:
    """What is noted after it has looked, it has found where it was."""
    lab = PoolLab()
    tx = lab.pay(lab.fund())
    lab.add(tx)
    old = lab.pool.view()
    then = look(old, tx)
    lab.mine()
    assert old.past is not None
    old.past.entries = Interrupted(lambda: lab.pool.expire(lab.now + EXPIRY_S + 1))
    old.past.spenders = Interrupted(lambda: lab.pool.expire(lab.now + EXPIRY_S + 1))
    assert look(old, tx) == then
    assert len(lab.pool) == 0
    assert look(old, tx) == then


def test_nothing_is_noted_for_nobody() -> None:
    """A view that nobody holds is gone with its notes; one that somebody holds keeps what it shows."""
    lab = PoolLab()
    chains = [lab.chained(lab.fund(), 3) for _ in range(4)]
    gone = weakref.ref(lab.pool.view())
    lab.mine(*chains[0])
    assert gone() is None
    held = lab.pool.view()
    for chain in chains[1:3]:
        lab.mine(*chain)
    assert len(held.entries) == 9
    later = weakref.ref(held.past.later)  # type: ignore[union-attr]
    assert later() is not None
    del held
    gc.collect()
    assert later() is None
    lab.mine(*chains[3])
    assert lab.txids() == set()


def test_a_view_long_gone_by_shows_what_it_showed() -> None:
    """Over many tips, one of them a reorganisation; the notes of each are its own."""
    lab = PoolLab()
    held: list[tuple[MempoolView, object]] = []
    chain = lab.chained(lab.fund(), 12)
    for step in range(6):
        held.append((lab.pool.view(), contents(lab.pool.view())))
        if step == 4:
            lab.move(2, [])
        else:
            lab.mine(*[tx for tx in chain if tx.txid in lab.pool][:2])
        for view, then in held:
            assert contents(view) == then
        lab.chained(lab.fund(), 2)
    del view, held[1:]
    assert contents(held[0][0]) == held[0][1]


def test_what_changed_in_two_tips_is_as_the_older_notes_tell() -> None:
    """The reader is through with the notes of its own tip when the writer changes an entry in the next tip and,
    after one more, again."""
    lab = PoolLab()
    tx = lab.pay(lab.fund())
    lab.add(tx)
    old = lab.pool.view()
    then = old.entry(tx.txid)
    lab.mine()
    assert old.past is not None

    def step() -> None:
        lab.add(lab.pay(made(tx)))  # another entry for it: with a descendant
        lab.mine()
        lab.pool.expire(lab.now + EXPIRY_S + 1)

    old.past.entries = Interrupted(step)
    assert old.entry(tx.txid) == then
    assert len(lab.pool) == 0
