"""Coins that were made or asked for lately, so that those spent soon need no look into the database."""

from collections.abc import Collection

from chain.coins import Coin, CoinsDelta
from chain.tx import OutPoint

COIN_CACHE_BYTES = 32 * 1024 * 1024
"""Limit of the cached coins' memory. Beyond, those that were not added to lately go, all at once."""
COIN_OVERHEAD = 220
"""Bytes that an entry takes beside the encoded coin: outpoint, objects' heads, its share of the table."""


class CoinsCache:
    """Coins that are in the ledger; it may know of fewer, and never of others.

    Two generations: the young one is added to until it takes a third of the limit, and then takes
    the place of the old one. What is found in the old one stays there: it is about to be spent.
    """

    __slots__ = ("_counted", "_old", "_third", "_young")

    def __init__(self, limit_bytes: int = COIN_CACHE_BYTES) -> None:
        self._third = limit_bytes // 3
        self._young: dict[OutPoint, Coin] = {}
        self._old: dict[OutPoint, Coin] = {}
        self._counted = 0
        """Bytes of the young coins; what was spent since is still counted."""

    def get(self, point: OutPoint) -> Coin | None:
        """The coin, or None if it is not here."""
        return self._young.get(point) or self._old.get(point)

    def add(self, point: OutPoint, coin: Coin) -> None:
        """Remember a coin that was found in the ledger."""
        self._young[point] = coin
        self._count((coin,))

    def apply(self, delta: CoinsDelta) -> None:
        """The ledger has changed."""
        young, old = self._young, self._old
        for point in delta.spent:
            if young.pop(point, None) is None:
                old.pop(point, None)
        young.update(delta.created)
        self._count(delta.created.values())

    def _count(self, added: Collection[Coin]) -> None:
        self._counted += _size(added)
        if self._counted <= self._third:
            return
        self._counted = _size(self._young.values())
        if self._counted <= self._third // 2:
            return  # mostly spent again; any more, and counting would soon be all that is done here
        # A single change may be larger than everything: it would have to go at once.
        self._old = self._young if self._counted <= 2 * self._third else {}
        self._young, self._counted = {}, 0


def _size(coins: Collection[Coin]) -> int:
    return sum(map(len, coins)) + COIN_OVERHEAD * len(coins)
