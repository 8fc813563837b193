"""The address book (Core's addrman): endpoints heard of, tried, proved; built to resist an eclipse.

Nothing in it is trusted but what a handshake of our own has proved. Whoever has few network
groups gets little room (see addrman_buckets.py) and is chosen seldom: choices are by group first. An
endpoint that works keeps its place: before another takes it, it is tested.
"""

import math
import random
from collections.abc import Collection, Iterable

from node.interface.endpoint import Endpoint
from node.interface.messages import ADDRESSES_MAX
from node.interface.wall_clock import WallClock
from node.p2p.addrman import addrman_file
from node.p2p.addrman.addrman_buckets import (
    BUCKET_SIZE,
    PROVED_FAILURES,
    PROVED_S,
    REFERENCES_MAX,
    AddrInfo,
    Placing,
    Table,
    make_entry,
)
from node.p2p.addrman.addrman_file import ANCHORS_MAX, SECRET_SIZE, Saved
from node.p2p.addrman.net_address import is_dialable, network_group
from node.p2p.addrman.token_bucket import TokenBuckets

FAILURES_MAX = 8
"""Failures in a row after which an endpoint that never answered is forgotten."""
RETRY_S, RETRY_MAX_S = 5.0, 600.0
"""A failed endpoint rests this long, doubling up to the second."""
SELF_MAX = 16
"""Endpoints remembered as our own."""
TELL_RATE, TELL_BURST = 0.1, 1_000.0
"""Endpoints that one network group may tell us: so many a second, and so many at once; the rest is not heard."""
SOURCES_MAX = 1_024
"""Groups whose telling is counted; beyond, the one that told longest ago is forgotten."""
SHARE_PERCENT = 23
"""Percent of the proved endpoints told in a reply: nobody shall read all of the book."""
REPLY_S, REPLY_LOCAL_S = 86_400.0, 1.0
"""Seconds that a reply stays the same for all who ask, on ordinary networks and where `allow_local` holds."""
REPLY_GROWTH = 2
"""Factor of growth in what there is to tell at which a reply is drawn anew: that of a young node would be of no use."""
LOOKED_AT_MAX = 256
"""Network groups looked at in one choice."""
NEAR_SAMPLE = 64
"""Tried endpoints of which the nearest is chosen: the very nearest could be the same one everywhere."""
SLOWER_SHARE = 0.25
"""Weight of a round-trip time above the one known; a lower one counts at once, as delays are noise."""
COLLISIONS_MAX = 10
"""Endpoints that wait for a tried one's place; beyond, they stay among the new."""
ALIVE_S = 4 * 3_600.0
"""A tried endpoint that answered in this time keeps its place."""
TEST_S = 2_400.0
"""A collision that nobody could test in this time is dropped."""


class AddrMan:
    """Endpoints to dial and to tell others."""

    def __init__(self, rng: random.Random, allow_local: bool, wall: WallClock | None = None) -> None:
        """Times in it are monotonic, as all timers'; `wall` makes Unix time of them for the file."""
        self._wall = wall or WallClock()
        self._rng = rng
        self.allow_local = allow_local
        """Loopback and private addresses may be dialled on this network."""
        self._clear(rng.randbytes(SECRET_SIZE))
        self._own: list[Endpoint] = []
        self._allowances: TokenBuckets[bytes] = TokenBuckets(TELL_RATE, TELL_BURST, SOURCES_MAX)
        self._reply: tuple[Endpoint, ...] = ()
        self._reply_until, self._reply_of = 0.0, 0

    def _clear(self, secret: bytes) -> None:
        self._secret = secret
        self._placing = Placing(secret)
        self._entries: dict[Endpoint, AddrInfo] = {}
        self._new, self._tried = Table(), Table()
        self._collisions: dict[Endpoint, float] = {}
        """Endpoints that were met and whose place among the tried is taken, and since when."""
        self.anchors: tuple[Endpoint, ...] = ()
        """Endpoints to dial first after a restart, at most ANCHORS_MAX."""

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, endpoint: object) -> bool:
        return endpoint in self._entries

    def group(self, endpoint: Endpoint) -> bytes:
        """The network group of an endpoint, on this network."""
        return network_group(endpoint, self.allow_local)

    def add(self, endpoints: Iterable[Endpoint], source: Endpoint | None, now: float) -> int:
        """Remember what the node at `source` told us, as far as it may tell so much; None is the
        operator, who may tell anything. Returns how many were new."""
        offered = list(dict.fromkeys(endpoints))
        if source is not None:
            granted = self._allowances.take(self.group(source), len(offered), now)
            offered = offered if granted == len(offered) else self._rng.sample(offered, granted)
        known = len(self._entries)
        for endpoint in offered:
            if endpoint not in self._own and is_dialable(endpoint, self.allow_local):
                self._hear(endpoint, self.group(source or endpoint), now)
        return len(self._entries) - known

    def _hear(self, endpoint: Endpoint, source: bytes, now: float) -> None:
        entry = self._entries.get(endpoint)
        if entry is None:
            entry = make_entry(endpoint, source, now, self.allow_local)
        else:
            entry.heard = max(entry.heard, now)
            # Each place makes the next one half as likely, so that nobody gets all by repeating it.
            references = len(entry.places)
            if entry.tried or references >= REFERENCES_MAX or self._rng.randrange(1 << references):
                return
        place = self._placing.among_new(entry, source)
        holder = self._new.at(place)
        if holder is entry:
            return
        if holder and not holder.is_terrible(now) and (entry.places or len(holder.places) == 1):
            return
        self._put_new(entry, place)

    def _put_new(self, entry: AddrInfo, place: int) -> None:
        """Give it a place among the new, whoever stands there."""
        if (holder := self._new.at(place)) is not None:
            self._new.take(holder, place)
            if not holder.places:
                self._forget(holder)
        self._new.put(entry, place)
        self._entries[entry.endpoint] = entry

    def proved(self, endpoint: Endpoint, now: float, round_trip_s: float | None = None, *, chosen: bool = True) -> None:
        """A handshake succeeded there. Only one that we had `chosen` to dial becomes a tried one:
        who greets us and is dialled back shall not fill that table at its own pace."""
        if endpoint not in self._entries:
            self.add((endpoint,), None, now)
        entry = self._entries.get(endpoint)
        if entry is None and chosen and endpoint not in self._own and is_dialable(endpoint, self.allow_local):
            entry = make_entry(endpoint, self.group(endpoint), now, self.allow_local)
        if entry is None:
            return
        entry.heard = entry.proved = now
        entry.failures, entry.rest_until = 0, 0.0
        if round_trip_s is not None:
            entry.round_trip_s = _smoothed(entry.round_trip_s, round_trip_s)
        if chosen and not entry.tried:
            self._promote(entry, now)

    def _promote(self, entry: AddrInfo, now: float) -> None:
        """Among the tried with it, if its place is free; else it has to wait for a test."""
        place = self._placing.among_tried(entry)
        holder = self._tried.at(place)
        if holder is None or holder.is_terrible(now):
            self._move(entry, place)
        elif entry.endpoint in self._entries and len(self._collisions) < COLLISIONS_MAX:
            self._collisions.setdefault(entry.endpoint, now)

    def _move(self, entry: AddrInfo, place: int) -> None:
        """Give it a place among the tried; who stands there is among the new again."""
        self._new.remove(entry)
        if (holder := self._tried.at(place)) is not None:
            self._tried.remove(holder)
            holder.tried = False
            self._put_new(holder, self._placing.among_new(holder, holder.source))
        entry.tried = True
        self._tried.put(entry, place)
        self._entries[entry.endpoint] = entry
        self._collisions.pop(entry.endpoint, None)

    def failed(self, endpoint: Endpoint, now: float, *, counts: bool = True) -> None:
        """Note that nobody useful answered there. Where that may be our own fault, because nobody at all
        answers us, it shall not count: else a day without a network would empty the book."""
        entry = self._entries.get(endpoint)
        if entry is None:
            return
        entry.rest_until = now + min(RETRY_MAX_S, RETRY_S * 2 ** min(entry.failures, 16))
        if not counts:
            return
        entry.failures += 1
        entry.attempted = now
        stale = entry.proved is None or now - entry.proved > PROVED_S
        if stale and entry.failures >= (FAILURES_MAX if entry.proved is None else PROVED_FAILURES):
            self._forget(entry)

    def blame(self, endpoint: Endpoint) -> None:
        """Note that the node at an endpoint broke the rules."""
        if entry := self._entries.get(endpoint):
            self._forget(entry)
        self.anchors = tuple(anchor for anchor in self.anchors if anchor != endpoint)

    def is_ours(self, endpoint: Endpoint) -> None:
        """We ourselves answered there."""
        self.blame(endpoint)
        self._own = [*self._own, endpoint][-SELF_MAX:]

    def _forget(self, entry: AddrInfo) -> None:
        (self._tried if entry.tried else self._new).remove(entry)
        self._entries.pop(entry.endpoint, None)
        self._collisions.pop(entry.endpoint, None)

    def select(self, exclude: Collection[Endpoint], now: float, groups: Collection[bytes] = ()) -> Endpoint | None:
        """An endpoint to dial that does not rest and is not in `exclude`, nor its network group in
        `groups`: of the tried or of the new, as a coin falls, and there of any group alike."""
        tables = [self._tried, self._new]
        if self._rng.getrandbits(1):
            tables.reverse()
        for table in tables:
            if found := self._pick(table, exclude, groups, now):
                return found
        return None

    def _pick(
        self, table: Table, exclude: Collection[Endpoint], groups: Collection[bytes], now: float
    ) -> Endpoint | None:
        left = [group for group in table.groups if group not in groups]
        for _ in range(min(LOOKED_AT_MAX, len(left))):
            index = self._rng.randrange(len(left))
            left[index], left[-1] = left[-1], left[index]
            entries = [entry for entry in table.groups[left.pop()].values() if not _is_resting(entry, now)]
            ready = [entry.endpoint for entry in entries if entry.endpoint not in exclude]
            if ready:
                return self._rng.choice(ready)
        return None

    def nearest(self, exclude: Collection[Endpoint], now: float, groups: Collection[bytes] = ()) -> Endpoint | None:
        """The tried one with the lowest round-trip time of a few: none that rests or failed
        lately, none in `exclude`, and no network group in `groups`."""
        found = [
            (entry.round_trip_s, entry.endpoint)
            for entry in self._some_tried()
            if entry.round_trip_s is not None
            and not entry.failures
            and not _is_resting(entry, now)
            and entry.endpoint not in exclude
            and entry.group not in groups
        ]
        return min(found)[1] if found else None

    def feeler(self, exclude: Collection[Endpoint], now: float) -> Endpoint | None:
        """An endpoint whose answer would tell us most: a tried one whose place another wants; else, as a
        coin falls, a new one, or the tried one that we have not heard for longest."""
        if held := self._contested(exclude, now):
            return held
        ready = [e for e in self._some_tried() if not _is_resting(e, now) and e.endpoint not in exclude]
        tried = min(ready, key=_proved).endpoint if ready else None
        fresh = self._pick(self._new, exclude, (), now)
        return (fresh or tried) if self._rng.getrandbits(1) else (tried or fresh)

    def round_trip_s(self, endpoint: Endpoint) -> float | None:
        """Round-trip time measured to an endpoint; None if it was not."""
        entry = self._entries.get(endpoint)
        return entry.round_trip_s if entry else None

    def _some_tried(self) -> list[AddrInfo]:
        tried = list(self._tried.entries())
        return tried if len(tried) <= NEAR_SAMPLE else self._rng.sample(tried, NEAR_SAMPLE)

    def _contested(self, exclude: Collection[Endpoint], now: float) -> Endpoint | None:
        """A tried endpoint that has to be tested, after those whose test is over have been settled."""
        test = None
        for endpoint, since in list(self._collisions.items()):
            entry = self._entries.get(endpoint)
            if entry is None:
                continue  # it has just made room for another
            place = self._placing.among_tried(entry)
            holder = self._tried.at(place)
            if holder is None or (holder.failures and holder.attempted >= since):
                self._move(entry, place)
            elif holder.endpoint in exclude or now - _proved(holder) < ALIVE_S or now - since > TEST_S:
                del self._collisions[endpoint]
            elif test is None and not _is_resting(holder, now):
                test = holder.endpoint
        return test

    def sample(self, now: float, exclude: Collection[Endpoint] = ()) -> tuple[Endpoint, ...]:
        """The endpoints told to a peer that asks, without those in `exclude`: a random choice, the same for
        all who ask for a day, of those that a handshake has proved."""
        proved = [e.endpoint for e in self._entries.values() if e.proved is not None and not e.is_terrible(now)]
        if now >= self._reply_until or len(proved) >= REPLY_GROWTH * self._reply_of:
            share = len(proved) if self.allow_local else max(1, len(proved) * SHARE_PERCENT // 100)
            self._reply = tuple(self._rng.sample(proved, min(ADDRESSES_MAX, share, len(proved))))
            self._reply_until = now + (REPLY_LOCAL_S if self.allow_local else REPLY_S)
            self._reply_of = max(1, len(proved))
        return tuple(endpoint for endpoint in self._reply if endpoint not in exclude)

    def dump(self) -> bytes:
        """The book as bytes to save."""
        book = Saved(self._secret, self.anchors[:ANCHORS_MAX], tuple(self._entries.values()))
        return addrman_file.encode(book, self._wall)

    def load(self, saved: bytes) -> None:
        """Be the book that `dump` gave. Raises Invalid(MALFORMED), and is as it was then."""
        book = addrman_file.decode(saved, self.allow_local, self._wall)
        self._clear(book.secret)
        self.anchors = tuple(anchor for anchor in book.anchors if is_dialable(anchor, self.allow_local))
        for entry in book.entries:
            if is_dialable(entry.endpoint, self.allow_local):
                self._restore(entry)

    def _restore(self, entry: AddrInfo) -> None:
        """Give an entry its old places, as far as they are free."""
        wanted, entry.places = entry.places, []
        table, slots = self._new, [self._placing.in_new_bucket(entry, place // BUCKET_SIZE) for place in wanted]
        if entry.tried:
            table, slots = self._tried, [self._placing.among_tried(entry)]
        for place in slots:
            if table.at(place) is None:
                table.put(entry, place)
                self._entries[entry.endpoint] = entry


def _proved(entry: AddrInfo) -> float:
    """Time of the last successful handshake there, long ago if there was none."""
    return -math.inf if entry.proved is None else entry.proved


def _is_resting(entry: AddrInfo, now: float) -> bool:
    """True if it is not to be dialled yet."""
    return now < entry.rest_until


def _smoothed(before_s: float | None, measured_s: float) -> float:
    """The round-trip time to remember after a measurement."""
    if before_s is None or measured_s <= before_s:
        return measured_s
    return before_s + SLOWER_SHARE * (measured_s - before_s)
