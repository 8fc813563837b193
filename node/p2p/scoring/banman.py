"""Peers that broke the rules not long ago, by id and by address: refused for a while, then forgotten.

A rolling filter of two generations: what is added goes into the newer; when that is full, or as
old as anything in it has to get, the older one is forgotten whole. Nothing is ever searched for
what to forget, and whoever floods it pushes out what is oldest, half of all at once.
"""

import math
from typing import Generic, TypeVar

from node.interface.endpoint import PeerId
from node.p2p.addrman.net_address import parse_host, site

DISCOURAGED_S = 600.0
"""Seconds for which a peer is discouraged."""
IDS_MAX, HOSTS_MAX = 10_000, 10_000
"""Members of a generation. Apart, as ids cost nothing: making up ids clears no address."""

K = TypeVar("K")


class RollingSet(Generic[K]):
    """A set that forgets: bounded in number and in time."""

    def __init__(self, most: int, lasts_s: float) -> None:
        """`most` and `lasts_s` are of each generation."""
        self._most = most
        self._lasts_s = lasts_s
        self._newer: dict[K, float] = {}
        """Time until which each is to stay."""
        self._older: dict[K, float] = {}
        self._began = -math.inf

    def __len__(self) -> int:
        return len(self._newer) + len(self._older)

    def add(self, member: K, now: float) -> None:
        """Put it in, for its whole time."""
        if len(self._newer) >= self._most or now - self._began >= self._lasts_s:
            self._older, self._newer, self._began = self._newer, {}, now
        self._newer[member] = now + self._lasts_s

    def has(self, member: K, now: float) -> bool:
        """True if it is in."""
        until = max(self._newer.get(member, now), self._older.get(member, now))
        return now < until


class BanMan:
    """Ids and addresses of those that broke the rules."""

    def __init__(self, allow_local: bool) -> None:
        """`allow_local`: many nodes share an address, so only ids count."""
        self._allow_local = allow_local
        self._ids: RollingSet[PeerId] = RollingSet(IDS_MAX, DISCOURAGED_S)
        self._sites: RollingSet[bytes] = RollingSet(HOSTS_MAX, DISCOURAGED_S)

    def add(self, peer: PeerId, host: str, now: float) -> None:
        """A node, seen at `host`, broke the rules."""
        self._ids.add(peer, now)
        if (key := self._site(host)) is not None:
            self._sites.add(key, now)

    def has_id(self, peer: PeerId, now: float) -> bool:
        """True if this node is to be refused."""
        return self._ids.has(peer, now)

    def has_host(self, host: str, now: float) -> bool:
        """True if whoever comes from, or listens at, this address is to be refused."""
        key = self._site(host)
        return key is not None and self._sites.has(key, now)

    def _site(self, host: str) -> bytes | None:
        """The site that an address counts as; None if it tells nothing of who is there."""
        address = parse_host(host)
        if address is None or self._allow_local or address.is_loopback:
            return None
        return site(host)
