"""Whom to greet, and when: endpoints to keep, endpoints tried, endpoints to dial back."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from node.peers.addresses import AddressBook
from node.ports import Endpoint, PeerId

OUTBOUND_MAX = 8
"""Peers that we chose ourselves, the static ones counted; the book fills what they leave."""
BACKOFF_S, BACKOFF_MAX_S = 1.0, 30.0
"""Wait after a failure, doubling up to the second, each time a quarter more or less."""
JITTER = 0.25
DIAL_BACK_TRIES = 3
"""Failures after which a peer that greeted us counts as one that cannot be dialled."""
TARGETS_MAX = 256
"""Endpoints being greeted or kept; beyond, only the operator's are added."""


class Kind(Enum):
    """Why an endpoint is dialled, and so when to give it up."""

    STATIC = "static"
    """The operator said so: never given up."""
    LEARNED = "learned"
    """From the address book: one failure and another is tried."""
    BACK = "back"
    """It greeted us and says it listens there: so that we can push to it too."""


@dataclass(slots=True, eq=False)
class Target:
    """An endpoint on the list."""

    endpoint: Endpoint
    kind: Kind
    peer: PeerId | None = None
    """Who answers there; for BACK, who has to."""
    failures: int = 0
    """In a row."""
    next_dial: float = 0.0
    dialling: bool = False
    linked: bool = False
    trouble: str = ""
    """Why the last attempt failed."""


class Dialler:
    """The list of endpoints to be linked with."""

    def __init__(self, rng: random.Random, book: AddressBook) -> None:
        self._rng = rng
        self._book = book
        self._targets: dict[Endpoint, Target] = {}

    def targets(self) -> Iterable[Target]:
        """All of them."""
        return self._targets.values()

    def keep(self, endpoint: Endpoint) -> bool:
        """Stay linked with an endpoint for good. False if it is kept already."""
        target = self._targets.get(endpoint)
        if target and target.kind is Kind.STATIC:
            return False
        if target:
            target.kind = Kind.STATIC
        else:
            self._targets[endpoint] = Target(endpoint, Kind.STATIC)
        return True

    def release(self, endpoint: Endpoint) -> bool:
        """Keep an endpoint no longer. False if it was not kept."""
        target = self._targets.get(endpoint)
        if target is None or target.kind is not Kind.STATIC:
            return False
        del self._targets[endpoint]
        return True

    def back(self, endpoint: Endpoint, peer: PeerId) -> None:
        """Dial a peer that greeted us, at the endpoint it told."""
        if endpoint not in self._targets and len(self._targets) < TARGETS_MAX:
            self._targets[endpoint] = Target(endpoint, Kind.BACK, peer)

    def due(self, now: float, outbound: int, busy: Iterable[Endpoint]) -> list[Target]:
        """Who is to be greeted now. `outbound` counts the peers we chose, `busy` are endpoints of
        peers that the book need not offer."""
        self._take_from_book(now, outbound, {*busy, *self._targets})
        return [t for t in self._targets.values() if not t.linked and not t.dialling and t.next_dial <= now]

    def _take_from_book(self, now: float, outbound: int, exclude: set[Endpoint]) -> None:
        trying = sum(1 for t in self._targets.values() if t.kind is Kind.LEARNED and not t.linked)
        while outbound + trying < OUTBOUND_MAX and len(self._targets) < TARGETS_MAX:
            endpoint = self._book.select(exclude, now)
            if endpoint is None:
                return
            exclude.add(endpoint)
            self._targets[endpoint] = Target(endpoint, Kind.LEARNED)
            trying += 1

    def has_room(self, outbound: int) -> bool:
        """True if the book could fill a place."""
        return outbound < OUTBOUND_MAX

    def linked(self, target: Target, peer: PeerId, now: float) -> None:
        """The greeting worked out."""
        target.linked, target.peer, target.failures, target.trouble = True, peer, 0, ""
        self._book.proved(target.endpoint, now)

    def failed(self, target: Target, trouble: str, now: float) -> None:
        """It did not: wait, or give it up."""
        target.linked, target.trouble = False, trouble
        delay = min(BACKOFF_MAX_S, BACKOFF_S * 2 ** min(target.failures, 16))
        target.failures += 1
        target.next_dial = now + delay * self._rng.uniform(1 - JITTER, 1 + JITTER)
        self._book.failed(target.endpoint, now)
        given_up = target.kind is Kind.LEARNED or (target.kind is Kind.BACK and target.failures >= DIAL_BACK_TRIES)
        if given_up:
            self._targets.pop(target.endpoint, None)

    def is_self(self, target: Target) -> None:
        """We listen there ourselves."""
        self._targets.pop(target.endpoint, None)
        self._book.is_ours(target.endpoint)

    def lost(self, peer: PeerId, now: float, wait_s: float = BACKOFF_S) -> None:
        """A peer is gone: static endpoints are greeted again in `wait_s`, the others leave the list."""
        for target in [target for target in self._targets.values() if target.peer == peer]:
            if target.kind is Kind.STATIC:
                target.linked = False
                target.next_dial = now + wait_s * self._rng.uniform(1 - JITTER, 1 + JITTER)
            else:
                del self._targets[target.endpoint]
