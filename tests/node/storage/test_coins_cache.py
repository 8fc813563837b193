"""The cache of coins: what it knows is in the ledger, and it stays within its limit."""

import random
import sys

import pytest

from chain.coins import Coin, CoinsDelta
from chain.tx import OutPoint
from node.interface.storage import StoreError
from node.storage.coins_cache import COIN_OVERHEAD, CoinsCache
from node.storage.memory import MemoryDisk
from node.storage.recovery import open_memory
from tests.node.storage.branches import NETWORK, SCRIPTS, Model, assert_agrees, commit, pay, wander


def point(number: int) -> OutPoint:
    return OutPoint(number.to_bytes(36, "big"))


def coin(number: int, size: int = 34) -> Coin:
    return Coin(number.to_bytes(size, "big"))


@pytest.mark.parametrize("limit", [0, 2_000, 20_000, 10**9])
@pytest.mark.parametrize("seed", range(3))
def test_it_never_knows_of_a_coin_that_is_not_there(seed: int, limit: int) -> None:
    rng, cache = random.Random(seed), CoinsCache(limit)
    ledger: dict[OutPoint, Coin] = {}
    for step in range(300):
        spent = {p: ledger.pop(p) for p in rng.sample(sorted(ledger), min(len(ledger), rng.randrange(8)))}
        created = {point(rng.randrange(50)): coin(step * 100 + i) for i in range(rng.randrange(8))}
        # Of what is there already a delta makes a new coin only where it has spent the old one.
        created = {p: c for p, c in created.items() if p not in ledger}
        ledger.update(created)
        cache.apply(CoinsDelta(created, spent))
        for number in rng.sample(range(50), 5):
            p = point(number)
            if cache.get(p) is None and p in ledger:
                cache.add(p, ledger[p])
        for number in range(50):
            assert cache.get(point(number)) in (None, ledger.get(point(number)))
    if limit == 10**9:
        assert all(cache.get(p) == c for p, c in ledger.items()), "nothing had to go"


@pytest.mark.parametrize("size", [12, 34, 10_012])
@pytest.mark.parametrize("at_once", [1, 7, 1_000, 20_000])
def test_it_stays_within_its_limit(size: int, at_once: int) -> None:
    limit = 1_000_000
    cache = CoinsCache(limit)
    for start in range(0, 40_000, at_once):
        created = {point(number): coin(number, size) for number in range(start, start + at_once)}
        spent = {point(start - 1): coin(start - 1, size)} if start else {}
        cache.apply(CoinsDelta(created, spent))
        held = len(cache._young) + len(cache._old)
        assert held * (size + COIN_OVERHEAD) <= limit
        assert at_once * (size + COIN_OVERHEAD) > limit // 3 or cache.get(point(start + at_once - 1))


def test_the_overhead_is_what_python_takes() -> None:
    table: dict[OutPoint, Coin] = {}
    for number in range(100_000):
        table[point(number)] = coin(number)
    each = sys.getsizeof(table) / len(table) + sys.getsizeof(point(1)) + sys.getsizeof(coin(1)) - len(coin(1))
    assert each <= COIN_OVERHEAD


def test_coins_that_were_asked_for_are_at_hand() -> None:
    disk, model = MemoryDisk(), Model()
    wander(model, open_memory(disk, NETWORK), random.Random(1), 10)
    store = open_memory(disk, NETWORK)
    unknown = OutPoint(bytes(36))
    store.load_coins([*model.coins, unknown])
    disk.ledger.rows.clear()

    assert model.coins
    assert all(store.coin(p) == c for p, c in model.coins.items())
    assert store.coin(unknown) is None


def test_a_ledger_with_a_small_cache_answers_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.storage.ledger.CoinsCache", lambda: CoinsCache(3_000))
    rng = random.Random(3)
    store, model = open_memory(MemoryDisk(), NETWORK), Model()
    for _ in range(10):
        wander(model, store, rng, 3)
        assert_agrees(store, model)
        for p, c in model.coins.items():
            assert store.coin(p) == c
            assert store.coin(p) == c, "now from the cache"


def test_a_commit_that_fails_leaves_the_coins_as_they_were() -> None:
    disk, model = MemoryDisk(), Model()
    store = open_memory(disk, NETWORK)
    commit(store, [], [model.mine()])
    before = dict(model.coins)
    change = model.mine(pay(list(before), (1, SCRIPTS[1])))
    disk.ledger.writes_until_failure = 0
    with pytest.raises(StoreError, match="told to fail"):
        commit(store, [], [change])

    assert {p: store.coin(p) for p in before} == before
    assert not any(store.coin(p) for p in model.coins)
