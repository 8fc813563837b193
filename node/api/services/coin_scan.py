"""A search of the whole coin set for some scripts: one at a time, seen and ended from other connections."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from threading import Lock

from chain.coins import Coin
from chain.tx import OutPoint, outpoint_index, outpoint_txid

LOOK_EVERY = 1_000
"""Coins between two looks at whether to go on."""
FOUND_MAX = 100_000
"""Coins that one search may find; more end it."""


class TooMany(Exception):
    """More than FOUND_MAX coins."""


@dataclass(slots=True)
class Found:
    """The result of a search."""

    coins: list[tuple[OutPoint, Coin]] = field(default_factory=list)
    """Coins found, by transaction id, then by number."""
    seen: int = 0
    """Coins looked at."""
    whole: bool = True
    """False if somebody ended it before."""


class CoinScan:
    """The search that runs, if any does."""

    def __init__(self) -> None:
        self._busy = Lock()
        self._progress: int | None = None
        self._wanted = True

    def begin(self) -> bool:
        """Take the turn; False if another search has it. Whoever has it ends it."""
        if not self._busy.acquire(blocking=False):
            return False
        self._wanted, self._progress = True, 0
        return True

    def end(self) -> None:
        """Give the turn back."""
        self._progress = None
        self._busy.release()

    @property
    def progress(self) -> int | None:
        """Percent done; None if no search runs."""
        return self._progress

    def abort(self) -> bool:
        """End the search that runs; False if none does."""
        if self._progress is None:
            return False
        self._wanted = False
        return True

    def run(
        self, coins: Iterable[tuple[OutPoint, Coin]], scripts: Collection[bytes], check: Callable[[], None]
    ) -> Found:
        """Coins of these scripts, out of all in the order of their outpoints' bytes.

        `check` is called now and then and may raise. Raises TooMany.
        """
        found = Found()
        for point, coin in coins:
            if found.seen % LOOK_EVERY == 0:
                check()
                if not self._wanted:
                    found.whole = False
                    break
                self._progress = round(int.from_bytes(point[:2], "big") * 100 / 65536)
            found.seen += 1
            if coin.script in scripts:
                if len(found.coins) >= FOUND_MAX:
                    raise TooMany
                found.coins.append((point, coin))
        found.coins.sort(key=lambda row: (outpoint_txid(row[0]), outpoint_index(row[0])))
        return found
