"""Token buckets for what each source may say, of a bounded number of sources."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class TokenBuckets(Generic[K]):
    """A token bucket a source. Of more than `most` sources the one that spoke longest ago is
    forgotten, and may spend a whole burst when it comes again."""

    def __init__(self, rate: float, burst: float, most: int) -> None:
        """`rate`: tokens a second; `burst`: tokens at most, and at first."""
        self._rate = rate
        self._burst = burst
        self._most = most
        self._left: OrderedDict[K, tuple[float, float]] = OrderedDict()
        """Tokens, and when they were counted; who spoke last comes last."""

    def take(self, source: K, wanted: int, now: float) -> int:
        """Spend up to `wanted` tokens; how many there were."""
        tokens, counted = self._left.pop(source, (self._burst, now))
        tokens = min(self._burst, tokens + (now - counted) * self._rate)
        granted = min(wanted, int(tokens))
        self._left[source] = tokens - granted, now
        if len(self._left) > self._most:
            self._left.popitem(last=False)
        return granted

    def __len__(self) -> int:
        return len(self._left)
