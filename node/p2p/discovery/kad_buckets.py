"""Kademlia's table: nodes whose endpoint a handshake has proved, many of those close to us, few far away.

The distance of two ids is their exclusive or, as a number (Maymounkov and Mazieres, 2002). Bucket n
holds nodes at distances from 2^n to 2^(n+1) - 1. Ids cost nothing, addresses do: what keeps a
table from being filled by one owner is the limit per subnet, as in Ethereum's discovery.
"""

import ipaddress
import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from node.interface.endpoint import Endpoint, PeerId
from node.interface.messages import NEIGHBOURS_MAX, Neighbour
from node.p2p.addrman.dial_budget import is_loopback

K = NEIGHBOURS_MAX
"""Nodes of a bucket, and of an answer."""
ID_BITS = 160
WAITING_MAX = 4
"""Nodes that wait for a place in a full bucket; beyond, the oldest is forgotten."""
SUBNET_IN_BUCKET, SUBNET_IN_TABLE = 2, 10
"""Nodes of one subnet in a bucket (those that wait counted) and in all buckets."""
FAILURES_MAX = 2
"""Failures in a row after which a node leaves the table, wanted or not."""
IPV4_SUBNET, IPV6_SUBNET = 24, 48
"""Bits of an address that one owner is taken to have."""


def distance(one: bytes, other: bytes) -> int:
    """The XOR distance of two ids."""
    return int.from_bytes(one, "big") ^ int.from_bytes(other, "big")


def subnet(endpoint: Endpoint, allow_local: bool) -> str | None:
    """The network that one owner is taken to have; None for loopback where `allow_local` holds."""
    if allow_local and is_loopback(endpoint.host):
        return None
    try:
        address = ipaddress.ip_address(endpoint.host)
    except ValueError:
        return endpoint.host
    bits = IPV4_SUBNET if address.version == 4 else IPV6_SUBNET
    return str(ipaddress.ip_network((address, bits), strict=False))


@dataclass(slots=True, eq=False)
class Contact:
    """A node in the table."""

    id: PeerId
    endpoint: Endpoint
    subnet: str | None
    seen: float
    """Time of its last answer."""
    tested: float = 0.0
    """Time of the last request for a sign of life."""
    failures: int = 0
    """Failures in a row since the node was seen."""

    @property
    def looked_at(self) -> float:
        """Time when it was last seen or tested."""
        return max(self.seen, self.tested)

    @property
    def neighbour(self) -> Neighbour:
        """The node as others are told of it."""
        return Neighbour(self.id, self.endpoint)


@dataclass(slots=True)
class _KadBucket:
    contacts: list[Contact] = field(default_factory=list)
    waiting: list[Contact] = field(default_factory=list)
    """Proved, but without a place. The newest last."""
    refreshed: float = -math.inf

    def all(self) -> Iterator[Contact]:
        yield from self.contacts
        yield from self.waiting


class RoutingTable:
    """All buckets."""

    def __init__(self, own: PeerId, allow_local: bool) -> None:
        self._own = own
        self._allow_local = allow_local
        self._buckets = [_KadBucket() for _ in range(ID_BITS)]

    def __len__(self) -> int:
        return sum(len(bucket.contacts) for bucket in self._buckets)

    def __iter__(self) -> Iterator[Contact]:
        """The contacts that have a place."""
        return (contact for bucket in self._buckets for contact in bucket.contacts)

    def get(self, node: PeerId) -> Contact | None:
        """The node of this id, if it has a place."""
        if node == self._own:
            return None
        return next((contact for contact in self._bucket(node).contacts if contact.id == node), None)

    def proved(self, node: PeerId, endpoint: Endpoint, now: float) -> bool:
        """A handshake found this node there. True if it is new and has a place now."""
        if node == self._own:
            return False
        known = self.get(node)
        if known and known.endpoint == endpoint:
            self._seen(known, now)
            return False
        # One listener is one node: whoever was known by this id or at this endpoint has moved or gone.
        self._forget(node, endpoint)
        contact = Contact(node, endpoint, subnet(endpoint, self._allow_local), now)
        bucket = self._bucket(node)
        if not self._has_room_for(contact, bucket):
            return False
        if len(bucket.contacts) < K:
            bucket.contacts.append(contact)
            return True
        bucket.waiting = [*bucket.waiting, contact][-WAITING_MAX:]
        return False

    def answered(self, node: PeerId, now: float) -> None:
        """The node is alive."""
        if contact := self.get(node):
            self._seen(contact, now)

    def failed(self, node: PeerId) -> bool:
        """The node did not answer. True if it left the table: another waits for its place, or it
        has failed before."""
        contact = self.get(node)
        if contact is None:
            return False
        contact.failures += 1
        bucket = self._bucket(node)
        if contact.failures < FAILURES_MAX and not bucket.waiting:
            return False
        bucket.contacts.remove(contact)
        self._promote(bucket)
        return True

    def closest(self, target: bytes, count: int = K, exclude: Iterable[PeerId] = ()) -> list[Contact]:
        """The nodes closest to an id, the closest first."""
        left_out = set(exclude)
        known = [contact for contact in self if contact.id not in left_out]
        return sorted(known, key=lambda contact: distance(contact.id, target))[:count]

    def to_test(self, now: float, at_rest_s: float) -> Contact | None:
        """The contacts to ask for a sign of life: those that hold a place that others wait for, or have not been
        seen for `at_rest_s`; of these the one not looked at for the longest time. It counts as tested."""
        asked = [
            contact
            for bucket in self._buckets
            for contact in bucket.contacts
            if now - contact.looked_at >= at_rest_s or (bucket.waiting and contact.looked_at < bucket.waiting[-1].seen)
        ]
        chosen = min(asked, key=lambda contact: contact.looked_at, default=None)
        if chosen:
            chosen.tested = now
        return chosen

    def stale_target(self, now: float, after_s: float, rng: random.Random) -> bytes | None:
        """An id in the bucket that was not refreshed for longest, if `after_s` have passed; from the
        closest bucket in use to the farthest, as nobody is closer. It counts as refreshed."""
        in_use = [number for number, bucket in enumerate(self._buckets) if bucket.contacts]
        if not in_use:
            return None
        number = min(range(in_use[0], ID_BITS), key=lambda number: self._buckets[number].refreshed)
        if now - self._buckets[number].refreshed < after_s:
            return None
        self._buckets[number].refreshed = now
        offset = (1 << number) | rng.getrandbits(number)
        return (int.from_bytes(self._own, "big") ^ offset).to_bytes(ID_BITS // 8, "big")

    def _bucket(self, node: PeerId) -> _KadBucket:
        return self._buckets[distance(self._own, node).bit_length() - 1]

    def _has_room_for(self, contact: Contact, bucket: _KadBucket) -> bool:
        if contact.subnet is None:
            return True
        in_bucket = sum(other.subnet == contact.subnet for other in bucket.all())
        in_table = sum(other.subnet == contact.subnet for other in self)
        return in_bucket < SUBNET_IN_BUCKET and in_table < SUBNET_IN_TABLE

    def _seen(self, contact: Contact, now: float) -> None:
        contact.seen, contact.failures = now, 0

    def _forget(self, node: PeerId, endpoint: Endpoint) -> None:
        for bucket in self._buckets:
            for held in (bucket.contacts, bucket.waiting):
                held[:] = [other for other in held if other.id != node and other.endpoint != endpoint]
            self._promote(bucket)

    def _promote(self, bucket: _KadBucket) -> None:
        """Give free places to those that wait, the newest first."""
        while bucket.waiting and len(bucket.contacts) < K:
            contact = bucket.waiting.pop()
            if self._has_room_for(contact, bucket):
                bucket.contacts.append(contact)
