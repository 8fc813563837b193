"""Outbound connections: endpoints to keep, endpoints tried, endpoints to dial back, and when each is due.

Eight outbound peers relay all: half are near (a low round-trip time, a clean record; one that comes
to have a bad one makes room), half come from any network group alike, so that nearness never becomes
an eclipse; two more give and get blocks only, so that who watches transactions spread does not see
them. No two peers that we chose share a network group.
"""

import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from node.interface.endpoint import Endpoint, PeerId
from node.p2p.addrman.addrman import AddrMan
from node.p2p.addrman.addrman_file import ANCHORS_MAX
from node.p2p.connections.handshake import ANOTHER

OUTBOUND_MAX = 8
"""Peers that relay all and that we chose ourselves, the static ones counted; the book fills what they leave."""
NEAR_MAX = 4
"""Outbound peers chosen for nearness: at most half of what the static ones leave."""
BLOCKS_ONLY_MAX = 2
"""Peers for blocks only, once all other places are taken."""
FEELER_S, FEELER_LOCAL_S = 120.0, 10.0
"""Mean time between two greetings that only find out who is there, on ordinary networks and where `allow_local`
holds."""
REVIEW_S, REVIEW_LOCAL_S = 300.0, 30.0
"""Seconds between two looks for a nearer peer than the farthest of the near."""
NEARER_SHARE, NEARER_S = 0.6, 0.01
"""It has to be nearer by this factor and by so many seconds: links are not given up for noise."""
BACKOFF_S, BACKOFF_MAX_S = 1.0, 30.0
"""Wait after a failure, doubling up to the second, each time a quarter more or less."""
JITTER = 0.25
DIAL_BACK_TRIES = 3
"""Failures after which a peer that greeted us counts as one that cannot be dialled."""
TARGETS_MAX = 256
"""Endpoints being greeted or kept; beyond, nobody is dialled back."""


class ConnectionType(Enum):
    """The reason for dialling an endpoint, and so when to give it up."""

    STATIC = "static"
    """The operator said so: never given up."""
    LEARNED = "learned"
    """An endpoint from the address book: one failure and another is tried."""
    BACK = "back"
    """An endpoint where a peer that greeted us says it listens: so that we can push to it too."""
    FEELER = "feeler"
    """An endpoint from the address book, to find out who is there: no session is made."""


class Place(Enum):
    """The outbound place that a learned endpoint is wanted for."""

    NEAR = "near"
    """A peer chosen for its low round-trip time."""
    RANDOM = "random"
    """A peer chosen for its network group, which is as good as any."""
    BLOCKS_ONLY = "blocks only"
    """A peer for blocks, and nothing else."""


@dataclass(slots=True, eq=False)
class Target:
    """An endpoint on the list."""

    endpoint: Endpoint
    kind: ConnectionType
    peer: PeerId | None = None
    """The peer that answers there; for BACK, the one that has to."""
    failures: int = 0
    """Number in a row."""
    next_dial: float = 0.0
    dialling: bool = False
    linked: bool = False
    trouble: str = ""
    """The reason that the last attempt failed."""
    place: Place | None = None
    """The place wanted for a learned endpoint."""
    round_trip_s: float | None = None
    """The handshake's round-trip time."""
    replaces: "Target | None" = None
    """The target that makes room once this one is linked."""
    named: bool = False
    """The operator named it, to begin with."""


class OutboundConnections:
    """The list of endpoints to be linked with."""

    def __init__(
        self,
        rng: random.Random,
        addrman: AddrMan,
        is_poor: Callable[[PeerId, float], bool] = lambda peer, now: False,
    ) -> None:
        """`is_poor` tells whether a peer has a bad record."""
        self._rng = rng
        self._is_poor = is_poor
        self._addrman = addrman
        self._feeler_s = FEELER_LOCAL_S if addrman.allow_local else FEELER_S
        self._review_s = REVIEW_LOCAL_S if addrman.allow_local else REVIEW_S
        self._targets: dict[Endpoint, Target] = {}
        self.seeks = True
        """False: the book is asked for nobody."""
        self._begun = False
        """The anchors have been dialled."""
        self._feel_at = self._review_at = 0.0

    def targets(self) -> Iterable[Target]:
        """All targets."""
        return self._targets.values()

    def is_static(self, peer: PeerId) -> bool:
        """True if the operator wants this peer kept."""
        return any(t.kind is ConnectionType.STATIC and t.peer == peer for t in self._targets.values())

    def keep(self, endpoint: Endpoint) -> bool:
        """Stay linked with an endpoint for good. False if it is kept already."""
        target = self._targets.get(endpoint)
        if target and target.kind is ConnectionType.STATIC:
            return False
        if target and target.kind is not ConnectionType.FEELER:
            target.kind, target.place, target.replaces = ConnectionType.STATIC, None, None
        else:
            self._targets[endpoint] = Target(endpoint, ConnectionType.STATIC)
        return True

    def release(self, endpoint: Endpoint) -> bool:
        """Keep an endpoint no longer. False if it was not kept."""
        target = self._targets.get(endpoint)
        if target is None or target.kind is not ConnectionType.STATIC:
            return False
        del self._targets[endpoint]
        return True

    def back(self, endpoint: Endpoint, peer: PeerId, now: float, *, is_own: bool = True) -> Target | None:
        """Have a peer that greeted us dialled at the endpoint it told; `is_own` if it came from that host.
        If another is linked or waited for there, only a greeting can show who is right: then what
        is to be dialled at once, beside the list."""
        there = self._targets.get(endpoint)
        if there is None or there.kind is ConnectionType.FEELER:
            if there or len(self._targets) < TARGETS_MAX:
                self._targets[endpoint] = Target(endpoint, ConnectionType.BACK, peer)
        elif there.linked:
            return Target(endpoint, ConnectionType.BACK, peer)
        elif there.kind is ConnectionType.STATIC:
            there.next_dial = now  # it is up: what is left of a wait is in vain
        elif there.kind is ConnectionType.BACK and there.peer != peer:
            if not is_own:
                return Target(endpoint, ConnectionType.BACK, peer)
            there.peer, there.failures, there.next_dial = peer, 0, now
        return None

    def holder(self, endpoint: Endpoint) -> PeerId | None:
        """The peer taken to be at an endpoint, if we are linked with it there."""
        target = self._targets.get(endpoint)
        return target.peer if target and target.linked else None

    def holds(self, target: Target) -> bool:
        """True if a target is on the list."""
        return self._targets.get(target.endpoint) is target

    def once(self, endpoint: Endpoint) -> None:
        """Dial an endpoint as if the book had offered it, if no outbound peer is in its group."""
        if endpoint not in self._targets and self._addrman.group(endpoint) not in self._groups():
            self._targets[endpoint] = Target(endpoint, ConnectionType.LEARNED, place=Place.RANDOM, named=True)

    def is_about_to_greet(self, endpoint: Endpoint, peer: PeerId) -> bool:
        """True if an endpoint where this peer says it is will be greeted without a further word."""
        target = self._targets.get(endpoint)
        if target is None or target.linked:
            return False
        return {
            ConnectionType.STATIC: target.dialling,
            ConnectionType.LEARNED: True,
            ConnectionType.BACK: target.peer == peer,
            ConnectionType.FEELER: False,
        }[target.kind]

    def due(self, now: float, busy: Iterable[Endpoint]) -> list[Target]:
        """The endpoints to be greeted now. `busy` are endpoints of peers that the book need not offer."""
        if self.seeks:
            self._seek({*busy, *self._targets}, now)
        return [t for t in self._targets.values() if not t.linked and not t.dialling and t.next_dial <= now]

    def _seek(self, exclude: set[Endpoint], now: float) -> None:
        if not self._begun:
            self._begin(exclude, now)
        self._fill(exclude, now)
        self._review(exclude, now)
        self._feel(exclude, now)

    def has_room(self) -> bool:
        """True if the book could fill a place."""
        return self.seeks and self._relaying() < OUTBOUND_MAX

    def _begin(self, exclude: set[Endpoint], now: float) -> None:
        """The peers for blocks only of last time come first: who has cut us off since then, or
        made us start again, has not chosen these."""
        self._begun = True
        self._feel_at, self._review_at = self._after(self._feeler_s, now), self._after(self._review_s, now)
        for endpoint in self._addrman.anchors[:BLOCKS_ONLY_MAX]:
            if endpoint not in exclude and self._addrman.group(endpoint) not in self._groups():
                self._want(endpoint, Place.BLOCKS_ONLY, exclude)

    def _fill(self, exclude: set[Endpoint], now: float) -> None:
        """Find somebody for every free place: near ones first, then from any group; so are those
        filled for which nobody is known to be near."""
        free = self._free_places()
        for _ in range(free.count(Place.NEAR)):
            endpoint = self._addrman.nearest(exclude, now, self._groups())
            if endpoint is None:
                break
            self._want(endpoint, Place.NEAR, exclude)
            free.remove(Place.NEAR)
        for place in free:
            endpoint = self._addrman.select(exclude, now, self._groups())
            if endpoint is None:
                return
            self._want(endpoint, place, exclude)

    def _free_places(self) -> list[Place]:
        taken = Counter(target.place for target in self._learned())
        full = max(
            0, OUTBOUND_MAX - sum(1 for t in self._targets.values() if t.kind is ConnectionType.STATIC and t.linked)
        )
        near = min(NEAR_MAX, full // 2)
        only = BLOCKS_ONLY_MAX if self._relaying() >= OUTBOUND_MAX else 0
        wanted = {Place.RANDOM: full - near, Place.NEAR: near, Place.BLOCKS_ONLY: only}
        return [place for place, number in wanted.items() for _ in range(number - taken[place])]

    def _review(self, exclude: set[Endpoint], now: float) -> None:
        """Replace a near peer that has a bad record; else the farthest of them, by one that is clearly
        nearer."""
        if now < self._review_at:
            return
        self._review_at = self._after(self._review_s, now)
        near = [t for t in self._learned() if t.place is Place.NEAR and t.linked and t.round_trip_s is not None]
        if not near or Place.NEAR in self._free_places() or any(t.replaces for t in self._learned()):
            return
        poor = [target for target in near if target.peer and self._is_poor(target.peer, now)]
        worst = max(poor or near, key=lambda target: target.round_trip_s or 0.0)
        others = self._groups() - {self._addrman.group(worst.endpoint)}
        endpoint = self._addrman.nearest(exclude, now, others)
        if endpoint is None:
            return
        if poor:
            self._addrman.failed(worst.endpoint, now)  # or it would be the nearest again
        elif not is_clearly_nearer(self._addrman.round_trip_s(endpoint), worst.round_trip_s):
            return
        self._want(endpoint, Place.NEAR, exclude).replaces = worst

    def _feel(self, exclude: Collection[Endpoint], now: float) -> None:
        """Now and then greet somebody just to know who is there."""
        if now < self._feel_at:
            return
        self._feel_at = self._after(self._feeler_s, now)
        if endpoint := self._addrman.feeler(exclude, now):
            self._targets[endpoint] = Target(endpoint, ConnectionType.FEELER)

    def _want(self, endpoint: Endpoint, place: Place, exclude: set[Endpoint]) -> Target:
        exclude.add(endpoint)
        target = self._targets[endpoint] = Target(endpoint, ConnectionType.LEARNED, place=place)
        return target

    def _learned(self) -> Iterator[Target]:
        return (target for target in self._targets.values() if target.kind is ConnectionType.LEARNED)

    def _relaying(self) -> int:
        """Linked peers that relay all."""
        kinds = (ConnectionType.LEARNED, ConnectionType.STATIC)
        return sum(
            1 for t in self._targets.values() if t.linked and t.kind in kinds and t.place is not Place.BLOCKS_ONLY
        )

    def _groups(self) -> set[bytes]:
        """Network groups that an outbound peer is in, or will be."""
        return {
            self._addrman.group(target.endpoint)
            for target in self._targets.values()
            if target.kind is ConnectionType.LEARNED or (target.kind is ConnectionType.STATIC and target.linked)
        }

    def _after(self, seconds: float, now: float) -> float:
        """About so much later: nobody shall know when."""
        return now + seconds * self._rng.uniform(0.5, 1.5)

    def linked(
        self, target: Target, peer: PeerId, now: float, round_trip_s: float | None = None, *, known: bool = False
    ) -> PeerId | None:
        """The greeting worked out; who is to make room, if anybody. If the peer was `known`, this
        is a second way to it, and the place is still free."""
        if target.kind is ConnectionType.BACK:
            target = self._targets.setdefault(target.endpoint, target)
        target.linked, target.peer, target.failures, target.trouble = True, peer, 0, ""
        target.round_trip_s = round_trip_s
        self._addrman.proved(target.endpoint, now, round_trip_s, chosen=target.kind is not ConnectionType.BACK)
        if known and target.kind is ConnectionType.LEARNED:
            target.kind, target.place, target.replaces = ConnectionType.BACK, None, None
        if target.place is Place.BLOCKS_ONLY:
            ours = [t.endpoint for t in self._learned() if t.place is Place.BLOCKS_ONLY and t.linked]
            self._addrman.anchors = tuple(dict.fromkeys([*ours, *self._addrman.anchors]))[:ANCHORS_MAX]
        replaced, target.replaces = target.replaces, None
        return replaced.peer if replaced and self.holds(replaced) and replaced.peer != peer else None

    def felt(self, target: Target, now: float, round_trip_s: float | None) -> None:
        """A feeler was answered as it should be."""
        if self._targets.get(target.endpoint) is target:  # the operator may want it kept by now
            del self._targets[target.endpoint]
        self._addrman.proved(target.endpoint, now, round_trip_s)

    def failed(self, target: Target, trouble: str, now: float) -> None:
        """Note that a dial failed: wait, or give the target up."""
        target.linked, target.trouble = False, trouble
        delay = min(BACKOFF_MAX_S, BACKOFF_S * 2 ** min(target.failures, 16))
        target.failures += 1
        target.next_dial = now + delay * self._rng.uniform(1 - JITTER, 1 + JITTER)
        if trouble != ANOTHER:  # else whoever names an honest node's address as its own would spoil its record
            self._addrman.failed(target.endpoint, now, counts=any(other.linked for other in self._targets.values()))
        given_up = target.kind in (ConnectionType.LEARNED, ConnectionType.FEELER) or (
            target.kind is ConnectionType.BACK and target.failures >= DIAL_BACK_TRIES
        )
        if given_up and self._targets.get(target.endpoint) is target:
            del self._targets[target.endpoint]

    def is_self(self, target: Target) -> None:
        """We listen there ourselves, says who answered: not to be believed where another has proved to be."""
        if self.holds(target):
            del self._targets[target.endpoint]
        elif self.holder(target.endpoint):
            return
        self._addrman.is_ours(target.endpoint)

    def lost(self, peer: PeerId, now: float, wait_s: float = BACKOFF_S) -> None:
        """A peer is gone: static endpoints are greeted again in `wait_s`, the others leave the list."""
        for target in [target for target in self._targets.values() if target.peer == peer]:
            if target.kind is ConnectionType.STATIC:
                target.linked = False
                target.next_dial = now + wait_s * self._rng.uniform(1 - JITTER, 1 + JITTER)
            else:
                del self._targets[target.endpoint]


def is_clearly_nearer(candidate_s: float | None, present_s: float | None) -> bool:
    """True if a peer of the first round-trip time is worth giving up one of the second."""
    if candidate_s is None or present_s is None:
        return False
    return candidate_s < NEARER_SHARE * present_s and present_s - candidate_s >= NEARER_S
