"""The two tables of the address book: who may stand where, whatever anybody tells us.

As Bitcoin Core's addrman (addrman_impl.h): the bucket of an endpoint follows, by a keyed hash,
from its network group and, for one that was only heard of, from the group of who told. So all
that one group can say fills at most 64 of 1,024 buckets, and all endpoints of one group at most
8 of the 256 for the tried; the key is secret, so nobody can aim at anybody's place.
"""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from node.interface.endpoint import Endpoint
from node.p2p.addrman.net_address import network_group, parse_host

NEW_BUCKETS = 1_024
"""Buckets for endpoints heard of."""
TRIED_BUCKETS = 256
"""Buckets for endpoints where we ourselves have met somebody."""
BUCKET_SIZE = 64
"""Places of a bucket."""
NEW_BUCKETS_PER_SOURCE = 64
"""Buckets that the word of one network group can reach."""
TRIED_BUCKETS_PER_GROUP = 8
"""Buckets that the endpoints of one network group can reach."""
REFERENCES_MAX = 8
"""Places of one endpoint among the new: it is heard of more often, so it is found more often."""
ENTRIES_MAX = (NEW_BUCKETS + TRIED_BUCKETS) * BUCKET_SIZE
"""Endpoints remembered: what the places allow."""

HORIZON_S = 30 * 86_400.0
"""Seconds after which an endpoint not heard of is out of date."""
FUTURE_S = 600.0
"""Heard of so far in the future: our clock was wrong then."""
FRESH_S = 60.0
"""An endpoint tried in this time is not judged yet."""
UNPROVED_FAILURES = 3
"""Failures in a row of one that never answered, after which it makes room for any other."""
PROVED_FAILURES, PROVED_S = 10, 7 * 86_400.0
"""Failures in a row of one that answered, but not in this time, after which it makes room for any other."""


@dataclass(slots=True, eq=False)
class AddrInfo:
    """An endpoint and what is known of it."""

    endpoint: Endpoint
    group: bytes
    """The endpoint's network group."""
    source: bytes
    """The group of who told of it first."""
    key: bytes
    """The endpoint as bytes."""
    heard: float
    """Time when it was last told of, or somebody met there."""
    proved: float | None = None
    """Time of the last successful handshake there."""
    attempted: float = -math.inf
    """Time of the last failed one; -inf for never."""
    failures: int = 0
    """Number in a row."""
    rest_until: float = 0.0
    """Time before which it is not dialled."""
    round_trip_s: float | None = None
    """Round-trip time of a handshake's request, connecting included; None if none was measured."""
    tried: bool = False
    """Stands in the tried table."""
    places: list[int] = field(default_factory=list)
    """Places of the endpoint: one among the tried, or up to REFERENCES_MAX among the new."""

    def is_terrible(self, now: float) -> bool:
        """True if any other may take its place (Core's IsTerrible)."""
        if now - self.attempted <= FRESH_S:
            return False
        if self.heard > now + FUTURE_S or now - self.heard > HORIZON_S:
            return True
        if self.proved is None:
            return self.failures >= UNPROVED_FAILURES
        return self.failures >= PROVED_FAILURES and now - self.proved > PROVED_S


def endpoint_key(endpoint: Endpoint) -> bytes:
    """An endpoint as bytes."""
    address = parse_host(endpoint.host)
    host = address.packed if address else endpoint.host.encode()
    return host + endpoint.port.to_bytes(2, "little")


def make_entry(endpoint: Endpoint, source: bytes, now: float, allow_local: bool) -> AddrInfo:
    """An endpoint that we hear of for the first time; it stands nowhere yet."""
    return AddrInfo(endpoint, network_group(endpoint, allow_local), source, endpoint_key(endpoint), now)


class Placing:
    """The places that an endpoint may take. A place is bucket times BUCKET_SIZE plus position."""

    def __init__(self, secret: bytes) -> None:
        """`secret`: 32 bytes, drawn once."""
        self._secret = secret

    def among_new(self, entry: AddrInfo, source: bytes) -> int:
        """The place of an endpoint that the group `source` has told of."""
        reach = self._hash(b"reach", entry.group, source) % NEW_BUCKETS_PER_SOURCE
        return self.in_new_bucket(entry, self._hash(b"new", source, bytes((reach,))) % NEW_BUCKETS)

    def in_new_bucket(self, entry: AddrInfo, bucket: int) -> int:
        """Place of an endpoint in one bucket of the new."""
        return bucket * BUCKET_SIZE + self._hash(b"place", bucket.to_bytes(2, "little"), entry.key) % BUCKET_SIZE

    def among_tried(self, entry: AddrInfo) -> int:
        """Place of an endpoint among the tried."""
        reach = self._hash(b"own reach", entry.key) % TRIED_BUCKETS_PER_GROUP
        bucket = self._hash(b"tried", entry.group, bytes((reach,))) % TRIED_BUCKETS
        return bucket * BUCKET_SIZE + self._hash(b"tried place", bytes((bucket,)), entry.key) % BUCKET_SIZE

    def _hash(self, *parts: bytes) -> int:
        """A keyed hash over the parts, no two lists of which look the same."""
        joined = b"".join([bytes((len(part),)) + part for part in parts])
        return int.from_bytes(hashlib.blake2b(joined, digest_size=8, key=self._secret).digest(), "little")


class Table:
    """Places and who stands there, and the same entries by network group."""

    def __init__(self) -> None:
        self._places: dict[int, AddrInfo] = {}
        self.groups: dict[bytes, dict[Endpoint, AddrInfo]] = {}
        """Entries by network group, each once, whatever number of places it has."""

    def at(self, place: int) -> AddrInfo | None:
        """The entry at a place."""
        return self._places.get(place)

    def entries(self) -> Iterable[AddrInfo]:
        """All, each once."""
        return (entry for group in self.groups.values() for entry in group.values())

    def put(self, entry: AddrInfo, place: int) -> None:
        """Give a free place to an entry."""
        self._places[place] = entry
        entry.places.append(place)
        self.groups.setdefault(entry.group, {})[entry.endpoint] = entry

    def take(self, entry: AddrInfo, place: int) -> None:
        """Take one of its places from an entry."""
        del self._places[place]
        entry.places.remove(place)
        if not entry.places:
            group = self.groups[entry.group]
            del group[entry.endpoint]
            if not group:
                del self.groups[entry.group]

    def remove(self, entry: AddrInfo) -> None:
        """Take all places from an entry."""
        for place in list(entry.places):
            self.take(entry, place)

    def __len__(self) -> int:
        return sum(len(group) for group in self.groups.values())
