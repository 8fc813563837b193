"""Budgets for dials that other nodes ask for.

Whoever greets us says where it listens, and whoever is asked for nodes names them: without a limit
anybody could have us, and thousands like us, connect to a third party (reflection).
"""

from typing import NamedTuple

from node.p2p.addrman.net_address import parse_host, site
from node.p2p.addrman.token_bucket import TokenBuckets

KEYS_MAX = 1_000
"""Sources, and targets, whose use is remembered; beyond, who was quiet the longest is forgotten."""


class Rate(NamedTuple):
    """A burst, and an amount a second."""

    burst: float
    per_second: float

    def allowances(self, most: int = KEYS_MAX) -> TokenBuckets[bytes]:
        """Buckets of this size, for at most so many owners."""
        return TokenBuckets(self.per_second, self.burst, most)


BACK_BY_SOURCE, BACK_BY_TARGET = Rate(8, 1 / 30), Rate(2, 1 / 300)
"""Dial-backs that one address may ask for, and those to one address that others ask for."""
BACK_IN_TOTAL, BACK_IN_TOTAL_LOCAL = Rate(64, 1.0), Rate(256, 20.0)
"""All dial-backs, on ordinary networks and where `allow_local` holds."""


def is_loopback(host: str) -> bool:
    """True for 127.0.0.0/8 and ::1."""
    address = parse_host(host)
    return address is not None and address.is_loopback


class DialBudget:
    """Dials that others ask for: by asker, by the site dialled if that is another one, and
    all together."""

    def __init__(self, by_source: Rate, by_target: Rate, in_total: Rate, allow_local: bool) -> None:
        self._by_source, self._by_target = by_source.allowances(), by_target.allowances()
        self._in_total = in_total.allowances(1)
        self._allow_local = allow_local

    def spend(self, source: str | None, target: str, now: float) -> bool:
        """Spend a dial to the address `target` because `source` (None: no one address) said so. False:
        not now. Where `allow_local` holds, loopback has no owners, and counts in the total only."""
        # In this order: who asks too often uses up nobody's share but its own.
        if source is not None and not self._is_nobody(source) and not self._by_source.take(site(source), 1, now):
            return False
        is_third = not self._is_nobody(target) and (source is None or site(source) != site(target))
        if is_third and not self._by_target.take(site(target), 1, now):
            return False
        return bool(self._in_total.take(b"", 1, now))

    def _is_nobody(self, host: str) -> bool:
        return self._allow_local and is_loopback(host)


def dial_backs(allow_local: bool) -> DialBudget:
    """The budget of dials to who greeted us. Each is a few attempts (see outbound.py)."""
    in_total = BACK_IN_TOTAL_LOCAL if allow_local else BACK_IN_TOTAL
    return DialBudget(BACK_BY_SOURCE, BACK_BY_TARGET, in_total, allow_local)
