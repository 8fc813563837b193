"""Walks on which the store is closed, cut off and refused writes at random: it stands where it last stood."""

import copy
import random

import pytest

from node.interface.storage import StoreError
from node.storage import script_summaries
from node.storage.coins_cache import CoinsCache
from node.storage.ledger import Ledger
from node.storage.memory import MemoryDisk
from node.storage.recovery import open_memory
from node.storage.schema import TIP, VOUCHED
from tests.node.storage.branches import NETWORK, Model, assert_agrees, wander
from tests.node.storage.digest import recompute_digest


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Summaries and turns of the cache are to be met within some blocks."""
    monkeypatch.setattr(script_summaries, "ENTRIES_PER_SUMMARY", 4)
    monkeypatch.setattr(script_summaries, "TXS_PER_LIST", 3)
    monkeypatch.setattr("node.storage.ledger.CoinsCache", lambda: CoinsCache(5_000))


def fork(model: Model) -> Model:
    """What to go back to."""
    kept = copy.copy(model)
    kept.changes, kept.coins = list(model.changes), dict(model.coins)
    return kept


def try_step(model: Model, store: Ledger, disk: MemoryDisk, rng: random.Random) -> Model:
    """One commit of which some write fails, if that comes to it; the chain as it is afterwards."""
    before = fork(model)
    rng.choice((disk.blocks, disk.ledger)).writes_until_failure = rng.randrange(3)
    try:
        wander(model, store, rng, 1)
    except StoreError:
        return before
    finally:
        disk.blocks.writes_until_failure = disk.ledger.writes_until_failure = None
    return model


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_the_answers_are_those_of_the_last_commit(seed: int, index: bool) -> None:
    disk, model, rng = MemoryDisk(), Model(), random.Random(seed)
    store = open_memory(disk, NETWORK, index=index)
    failures = 0
    for _ in range(40):
        what = rng.randrange(6)
        if what == 0:
            store.close()
        elif what == 1:
            disk.crash()
        elif what == 2:
            after = try_step(model, store, disk, rng)
            failures += after is not model
            model = after
            rng.choice((disk.crash, store.close))()
        else:
            wander(model, store, rng, 2)
        if what <= 2:
            vouched = disk.ledger.rows.get(VOUCHED)
            assert vouched in (None, disk.ledger.rows[TIP])
            store = open_memory(disk, NETWORK, index=index)
            assert disk.ledger.rows[VOUCHED] == disk.ledger.rows[TIP]
        assert_agrees(store, model)
        assert recompute_digest(store) == store.tip().digest
    assert failures
