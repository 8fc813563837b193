"""Where other nodes may be found: endpoints heard of, tried, proved.

Small on purpose: one bounded table. Nothing in it is trusted but what a handshake has proved.
"""

import ipaddress
import random
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from node.peers.messages import ADDRESSES_MAX
from node.ports import Endpoint

BOOK_MAX = 2_000
"""Endpoints remembered; beyond, one that never answered makes room, and if all did the new is ignored."""
FAILURES_MAX = 8
"""Failures in a row after which an endpoint is forgotten."""
RETRY_S, RETRY_MAX_S = 5.0, 600.0
"""A failed endpoint rests this long, doubling up to the second."""
SELF_MAX = 16
"""Endpoints remembered as our own."""


def normalise_host(host: str) -> str:
    """An IP address in its one form (IPv4 never inside IPv6); anything else as it is."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return str(getattr(address, "ipv4_mapped", None) or address)


def advertised(listen: Endpoint) -> Endpoint:
    """How to tell others of a listener: one on all addresses, or on a name, is where it is seen."""
    try:
        address = ipaddress.ip_address(listen.host)
    except ValueError:
        return Endpoint("", listen.port)
    return Endpoint("" if address.is_unspecified else normalise_host(listen.host), listen.port)


def is_dialable(endpoint: Endpoint, allow_local: bool) -> bool:
    """True if an endpoint that somebody told us may be dialled: a public IP address, and where
    the network allows it also a private or loopback one. Names never: whoever answers for them
    could send us anywhere."""
    try:
        address = ipaddress.ip_address(endpoint.host)
    except ValueError:
        return False
    if address.is_multicast or address.is_unspecified or not 0 < endpoint.port < 0x10000:
        return False
    if allow_local:
        return True
    if isinstance(address, ipaddress.IPv6Address) and (address.ipv4_mapped or address.sixtofour or address.teredo):
        return False  # an IPv4 address in disguise, which might be a private one
    return address.is_global and not address.is_reserved


@dataclass(slots=True)
class _Known:
    """What we know of an endpoint."""

    proved: float | None = None
    """When a handshake last succeeded there."""
    failures: int = 0
    """In a row."""
    rest_until: float = 0.0


class AddressBook:
    """Endpoints to dial and to tell others."""

    def __init__(self, rng: random.Random, allow_local: bool) -> None:
        self._rng = rng
        self._allow_local = allow_local
        self._known: dict[Endpoint, _Known] = {}
        self._own: list[Endpoint] = []

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, endpoint: object) -> bool:
        return endpoint in self._known

    def add(self, endpoints: Iterable[Endpoint]) -> None:
        """Remember what somebody told us."""
        for endpoint in endpoints:
            if endpoint not in self._known and endpoint not in self._own and is_dialable(endpoint, self._allow_local):
                self._make_room()
                if len(self._known) < BOOK_MAX:
                    self._known[endpoint] = _Known()

    def proved(self, endpoint: Endpoint, now: float) -> None:
        """A handshake succeeded there."""
        self.add((endpoint,))
        if known := self._known.get(endpoint):
            known.proved, known.failures, known.rest_until = now, 0, 0.0

    def failed(self, endpoint: Endpoint, now: float) -> None:
        """Nobody useful answered there."""
        known = self._known.get(endpoint)
        if known is None:
            return
        known.failures += 1
        known.rest_until = now + min(RETRY_MAX_S, RETRY_S * 2 ** (known.failures - 1))
        if known.failures >= FAILURES_MAX:
            del self._known[endpoint]

    def is_ours(self, endpoint: Endpoint) -> None:
        """We ourselves answered there."""
        self._known.pop(endpoint, None)
        self._own = [*self._own, endpoint][-SELF_MAX:]

    def select(self, exclude: Collection[Endpoint], now: float) -> Endpoint | None:
        """One to dial: any that rests not and is not in `exclude`, at random."""
        ready = [e for e, known in self._known.items() if known.rest_until <= now and e not in exclude]
        return self._rng.choice(ready) if ready else None

    def sample(self, exclude: Collection[Endpoint] = ()) -> tuple[Endpoint, ...]:
        """What to tell a peer that asks: a random choice, of those that a handshake has proved."""
        proved = [e for e, known in self._known.items() if known.proved is not None and e not in exclude]
        return tuple(self._rng.sample(proved, min(ADDRESSES_MAX, len(proved))))

    def _make_room(self) -> None:
        if len(self._known) < BOOK_MAX:
            return
        unproved = [endpoint for endpoint, known in self._known.items() if known.proved is None]
        if unproved:
            del self._known[max(unproved, key=lambda endpoint: self._known[endpoint].failures)]
