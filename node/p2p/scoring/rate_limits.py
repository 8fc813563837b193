"""Limits on each kind of message that one peer may send: the table, and the buckets that hold peers to it.

The numbers are for ordinary networks. For transactions they are nearly twice what a node was measured
to deliver at its fastest (8,100 a second in batches of 100); the others are reckoned from what a node
asks for, with room to spare. Where `allow_local` holds, all nodes may be one person's and blocks take
no time to find: there each peer has `LOCAL_TIMES` as much.

What comes with a session counts for the peer, whatever connections it uses. All else counts for the
address it came from, where an IPv6 address is its /64: greetings, which are of nobody yet, blocks,
which anybody may ask for, and what is refused for having no session. Nobody's own machine is counted
so where `allow_local` holds: there a whole network has one address.
"""

import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from node.interface.endpoint import PeerId
from node.interface.messages import ANNOUNCED_MAX, BLOCK_TXS_MAX, BLOCKS_MAX, INV_MAX, LOCATOR_MAX, PUSHED_MAX, WANT_MAX
from node.p2p.addrman.net_address import parse_host, site

PEERS = 125
"""Peers of one node: 117 inbound, 8 outbound; what the table's sums are made with."""
LOCAL_TIMES = 10
"""Factor on the table's messages and bytes where `allow_local` holds."""
BURST_S = 10.0
"""Seconds of unused allowance that add up at most, never less than one message of any size."""
PEERS_MAX, HOSTS_MAX = 1_000, 4_096
"""Peers and addresses counted; beyond, the one that sent nothing for longest is forgotten."""
SOURCE_BYTES = 3_000
"""Memory of the buckets of one peer or address, about."""
IN_FLIGHT = 8
"""Messages that an honest peer may have sent before it hears that it sends too much. More of one
kind, before the time that it was told to wait is over, are spam."""
RETRY_MAX_S = 60
"""The longest that anybody is told to wait."""
REFUSED_A_MINUTE = 600
"""Requests of one address that are answered with a refusal of whatever sort for its rate; after that
its new connections are closed unheard until there is room again."""


class RateVerdict(NamedTuple):
    """Verdict on one request."""

    wait_s: int = 0
    """0: it may come in; else the seconds to wait."""
    is_spam: bool = False
    """True if the request came although its sender had been told to wait."""


WELCOME = RateVerdict()


class Limit(NamedTuple):
    """The limit of one route, for one peer."""

    messages: int
    """A minute."""
    bytes: int
    """Bytes of bodies, a minute."""
    items: int
    """Most items in one message that is a list; 1 if it is not."""
    held: int
    """Bytes of memory, about, that what one peer sent may take here when it is answered."""
    held_most: int = 1 << 62
    """Limit of what all peers together hold, where there is one."""

    @property
    def held_by_all(self) -> int:
        """The limit of PEERS peers together."""
        return min(PEERS * self.held, self.held_most)


LIMITS: dict[str, Limit] = {
    "hello": Limit(60, 24_000, 1, 2_000, 512_000),
    "confirm": Limit(60, 12_000, 1, 3_000),
    "headers": Limit(1_200, 2_000_000, LOCATOR_MAX, 0),
    "blocks": Limit(6_000, 3_000_000, BLOCKS_MAX, 0),
    "block": Limit(6_000, 0, 1, 0),
    "announce": Limit(600, 600_000, ANNOUNCED_MAX, 10_000),
    "inv": Limit(1_200, 6_000_000, INV_MAX, 2_600_000),
    "txs": Limit(9_000, 400_000_000, WANT_MAX, 1_500_000),
    "gettxs": Limit(1_200, 8_000_000, 2 * WANT_MAX, 0),
    "addresses": Limit(60, 1_000, 1, 0),
    "poll": Limit(1_200, 30_000, 1, 40_000),
    "push": Limit(600, 300_000_000, BLOCKS_MAX, 24_000_000, 48_000_000),
    "compact": Limit(600, 60_000_000, BLOCK_TXS_MAX, 3_000_000, 18_000_000),
    "getcompact": Limit(600, 60_000, 1, 0),
    "blocktxs": Limit(600, 10_000_000, BLOCK_TXS_MAX, 0),
    "prefer": Limit(120, 1_000, 1, 0),
    "findnode": Limit(300, 10_000, 1, 1_000),
    "newaddress": Limit(300, 60_000, PUSHED_MAX, 2_000),
    "bye": Limit(60, 1_000, 1, 0),
}
"""Limits by the route's name; "block" is GET /p2p/block/<hash>. `held`: of an announcement, the headers that
have work enough to be kept; of an inv, the ids remembered as offered and as known; of transactions,
the orphans' share; of compact blocks, the reconstructions under way; of pushed blocks, those being unpacked."""
NAMELESS = Limit(6_000, 8_000_000, 1, 0)
"""All requests without a session from one address together, those for nothing that there is among them."""
GREETINGS = Limit(6_000, 3_000_000, 1, 0)
"""Greetings of all addresses together: each costs two signatures."""
OPEN = frozenset({"hello", "confirm", "blocks", "block"})
"""Routes that need no session."""
GREETING = frozenset({"hello", "confirm"})

K = TypeVar("K", PeerId, bytes)


def memory_bound() -> int:
    """Bytes that what peers sent may take at most when all places are taken: the table's sum, and the buckets."""
    return sum(limit.held_by_all for limit in LIMITS.values()) + (PEERS_MAX + HOSTS_MAX) * SOURCE_BYTES


class _TokenBucket:
    """The rest of one limit."""

    __slots__ = ("at", "bytes", "messages")

    def __init__(self, messages: float, bytes_: float, at: float) -> None:
        self.messages = messages
        self.bytes = bytes_
        self.at = at


class _Rate(NamedTuple):
    """A limit as a bucket works with it."""

    messages_s: float
    bytes_s: float
    messages_most: float
    bytes_most: float

    @staticmethod
    def of(limit: Limit, times: int, longest: int) -> "_Rate":
        """`longest` is the bytes of the longest message, which must fit in."""
        messages, size = limit.messages * times / 60, limit.bytes * times / 60
        return _Rate(messages, size, max(1.0, messages * BURST_S), max(float(longest), size * BURST_S))

    def take(self, bucket: _TokenBucket, size: int, now: float) -> float:
        """Take one message of so many bytes: 0.0, or the seconds after which there is room for it."""
        passed = now - bucket.at
        bucket.at = now
        bucket.messages = min(self.messages_most, bucket.messages + passed * self.messages_s)
        bucket.bytes = min(self.bytes_most, bucket.bytes + passed * self.bytes_s)
        lacking = 1 - bucket.messages
        if lacking > 0:
            return lacking / self.messages_s
        if size > bucket.bytes and size:
            return (min(size, self.bytes_most) - bucket.bytes) / self.bytes_s
        bucket.messages -= 1
        bucket.bytes -= size
        return 0.0


class RateLimits:
    """Counts of messages and bytes by sender. For one thread."""

    def __init__(self, allow_local: bool, longest: Mapping[str, int]) -> None:
        """`longest` tells the bytes of each route's longest message."""
        times = LOCAL_TIMES if allow_local else 1
        self._allow_local = allow_local
        self._rates = {name: _Rate.of(limit, times, longest.get(name, 0)) for name, limit in LIMITS.items()}
        self._rates[""] = _Rate.of(NAMELESS, times, max(longest.values(), default=0))
        self._greetings = _Rate.of(GREETINGS, times, longest.get("hello", 0))
        self._refusals = _Rate.of(Limit(REFUSED_A_MINUTE, 0, 1, 0), times, 0)
        self._all_greetings = _TokenBucket(math.inf, math.inf, 0.0)
        self._peers: OrderedDict[PeerId, dict[str, _TokenBucket]] = OrderedDict()
        self._hosts: OrderedDict[bytes, dict[str, _TokenBucket]] = OrderedDict()
        self._told: OrderedDict[tuple[PeerId, str], tuple[float, int]] = OrderedDict()
        """Until when a peer was told to wait with a kind of message, and how many came since."""

    def of_peer(self, peer: PeerId, route: str, size: int, now: float) -> RateVerdict:
        """A message that names a session."""
        wait_s = self._take(self._source(self._peers, peer, PEERS_MAX), route, size, now)
        if not wait_s:
            return WELCOME
        until, count = self._told.pop((peer, route), (0.0, 0))
        told = _retry_s(wait_s)
        if now >= until:
            until, count = now + told, 0
        self._told[peer, route] = until, count + 1
        if len(self._told) > PEERS_MAX:
            self._told.popitem(last=False)
        return RateVerdict(told, count >= IN_FLIGHT)

    def of_host(self, host: str, route: str, size: int, now: float) -> RateVerdict:
        """A request without a session. `route` is empty for what is not to be had without one."""
        key = self.owner(host)
        if key is None:
            return WELCOME
        buckets = self._source(self._hosts, key, HOSTS_MAX)
        wait_s = self._take(buckets, "", size, now)
        if not wait_s and route:
            wait_s = self._take(buckets, route, size, now)
        if not wait_s and route in GREETING:
            wait_s = self._greetings.take(self._all_greetings, size, now)
        return RateVerdict(_retry_s(wait_s)) if wait_s else WELCOME

    def refused(self, host: str, now: float) -> None:
        """A request from there was refused for its rate."""
        if (key := self.owner(host)) is not None:
            self._take_from(self._source(self._hosts, key, HOSTS_MAX), "refused", self._refusals, 0, now)

    def is_shut(self, host: str, now: float) -> bool:
        """True while an address has been refused so often that it is not even heard."""
        key = self.owner(host)
        bucket = self._hosts.get(key, {}).get("refused") if key is not None else None
        if bucket is None:
            return False
        return bucket.messages + (now - bucket.at) * self._refusals.messages_s < 1

    def owner(self, host: str) -> bytes | None:
        """The owner of an address; None: the operator's own, that is not counted."""
        address = parse_host(host)
        if self._allow_local and address is not None and address.is_loopback:
            return None
        return site(host)

    def __len__(self) -> int:
        return len(self._peers) + len(self._hosts)

    def _take(self, buckets: dict[str, _TokenBucket], route: str, size: int, now: float) -> float:
        return self._take_from(buckets, route, self._rates[route], size, now)

    @staticmethod
    def _take_from(buckets: dict[str, _TokenBucket], name: str, rate: _Rate, size: int, now: float) -> float:
        bucket = buckets.get(name)
        if bucket is None:
            bucket = buckets[name] = _TokenBucket(rate.messages_most, rate.bytes_most, now)
        return rate.take(bucket, size, now)

    @staticmethod
    def _source(sources: "OrderedDict[K, dict[str, _TokenBucket]]", key: K, most: int) -> dict[str, _TokenBucket]:
        """The buckets of one source, the last to be forgotten from now on."""
        buckets = sources.get(key)
        if buckets is None:
            buckets = sources[key] = {}
            if len(sources) > most:
                sources.popitem(last=False)
        else:
            sources.move_to_end(key)
        return buckets


def _retry_s(wait_s: float) -> int:
    return max(1, min(RETRY_MAX_S, math.ceil(wait_s)))
