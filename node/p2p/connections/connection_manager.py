"""Connections with peers: their identities, arrival and departure, links to send by and tokens to be asked with.

A link is our right to send to a peer (the token that its welcome gave us); a session is a
peer's right to speak to us (a token that we gave). A peer has one or both.
"""

import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from node.interface.effects import Close, Effect, Failed
from node.interface.endpoint import Endpoint, Link, PeerId
from node.interface.messages import (
    BLOCKS_ONLY,
    SERVES_HEADERS,
    VISITOR,
    Confirm,
    Facts,
    Hello,
    Ok,
    Reason,
    Refusal,
    Welcome,
)
from node.p2p.addrman.addrman import AddrMan
from node.p2p.addrman.dial_budget import dial_backs
from node.p2p.addrman.net_address import is_dialable
from node.p2p.connections.handshake import Handshake, Met, Outcome
from node.p2p.connections.identity import NodeIdentity, peer_id
from node.p2p.connections.outbound import BACKOFF_MAX_S, BACKOFF_S, ConnectionType, OutboundConnections, Place, Target
from node.p2p.connections.pending_requests import PendingRequests
from node.p2p.scoring.banman import RollingSet
from node.p2p.scoring.eviction import EvictionCandidate, choose_victim
from node.p2p.scoring.peer_score import Grade
from node.p2p.scoring.peer_scoring import PeerScoring
from node.p2p.scoring.service_flags import Role, role_of

log = logging.getLogger("groat.peers")

INBOUND_MAX = 117
"""Peers that greeted us; for one more, another has to make room."""
LINK_FAILURES_MAX = 3
"""Failed requests in a row after which a peer is dropped (and greeted again, if it is to be kept)."""
IDLE_S = 120.0
"""A peer that we cannot ask and that says nothing for so long is dropped."""
EVICTED_S, EVICTED_MAX = 60.0, 1_000
"""Seconds in which an evicted peer takes nobody else's place; so many are remembered at least."""
BLAMELESS = frozenset({Reason.CHOKED, Reason.NOT_SERVED})
"""Refusals of a single request, by a peer that goes on being one."""
TOKENS_MAX = 2
"""Sessions of one peer: the newest, and the one that its last requests may still name."""


@dataclass(slots=True)
class Peer:
    """A node whose identity is proved."""

    id: PeerId
    number: int
    """Counts up from 1 in the order of arrival: what operators name a peer by."""
    facts: Facts
    """The peer's facts, as it said in its last handshake."""
    host: str
    """The address it was seen at."""
    outbound: bool
    """We greeted first."""
    since: float
    heard: float
    """Time of its last message."""
    link: Link | None = None
    tokens: tuple[bytes, ...] = ()
    """Newest first."""
    has_spoken: bool = False
    """The peer has sent a request in a session, and so knows that it has one."""
    failures: int = 0
    """Failed requests in a row."""
    round_trip_s: float | None = None
    """Round-trip time of the last small request."""
    least_round_trip_s: float | None = None
    """Least round-trip time of all requests: eviction goes by it."""
    clock_ahead_s: float | None = None
    """Seconds by which its clock was ahead of our own at the handshake; None if it did not say."""
    blocks_only: bool = False
    """Neither transactions nor addresses go either way: it, or we, asked for that."""

    @property
    def is_visitor(self) -> bool:
        """True if the node came to ask something, and is not a peer."""
        return _is_visit(self.facts)

    @property
    def endpoint(self) -> Endpoint | None:
        """The endpoint where it was reached, or says that it listens."""
        if self.link:
            return self.link.endpoint
        listen = self.facts.listen
        return Endpoint(listen.host or self.host, listen.port) if listen else None


def _is_visit(facts: Facts) -> bool:
    return bool(facts.services & VISITOR)


class ConnectionEvents(Protocol):
    """Callbacks for links made and ended."""

    def linked(self, peer: PeerId, now: float) -> list[Effect]:
        """We can send to this peer now."""
        ...

    def left(self, peer: PeerId, now: float) -> list[Effect]:
        """This peer is gone, and all requests to it."""
        ...


class ConnectionManager:
    """All peers, and the handshakes under way."""

    def __init__(
        self,
        identity: NodeIdentity,
        describe: Callable[[], Facts],
        requests: PendingRequests,
        book: AddrMan,
        events: ConnectionEvents,
        rng: random.Random,
        allow_local: bool,
        standing: PeerScoring | None = None,
    ) -> None:
        """`describe` gives what we say of ourselves, as it is now."""
        self._standing = standing or PeerScoring(allow_local)
        self._salt = rng.randbytes(16)
        self._describe = describe
        self._evicted: RollingSet[PeerId] = RollingSet(EVICTED_MAX, EVICTED_S)
        self._greeter = Handshake(identity, describe, requests, self._hang_up)
        self._requests = requests
        self._book = book
        self._events = events
        self._rng = rng
        self._allow_local = allow_local
        self._dial_backs = dial_backs(allow_local)
        self._dialler = OutboundConnections(rng, book, allow_local, self._standing.is_poor)
        self._peers: dict[PeerId, Peer] = {}
        self._by_token: dict[bytes, PeerId] = {}
        self._last_number = 0
        self._troubles: dict[Endpoint, str] = {}
        """Failures of the last greeting, by endpoint that the operator named; as many as these."""

    # --- who is there ------------------------------------------------------------------

    def peer_of(self, token: bytes) -> PeerId | None:
        """The peer of a session token, if there is one."""
        return self._by_token.get(token)

    def get(self, peer: PeerId) -> Peer | None:
        """A peer that has not left."""
        return self._peers.get(peer)

    def reaches_us(self, peer: PeerId) -> bool:
        """True if it has spoken in a session. That it has greeted us is not enough: if our last answer
        was lost, it does not know that it has one."""
        found = self._peers.get(peer)
        return found is not None and found.has_spoken

    def link(self, peer: PeerId) -> Link | None:
        """The link to a peer, if there is one."""
        found = self._peers.get(peer)
        return found.link if found else None

    def peers(self) -> Iterable[Peer]:
        """All peers, in order of arrival."""
        return self._peers.values()

    def is_static(self, peer: Peer) -> bool:
        """True if the operator wants this peer kept."""
        return any(t.kind is ConnectionType.STATIC and t.peer == peer.id for t in self._dialler.targets())

    # --- being greeted -----------------------------------------------------------------

    def on_hello(self, hello: Hello, host: str, now: float) -> Welcome | Refusal:
        """Answer a greeting that came from `host`. Nothing is known of the greeter before its Confirm."""
        if reason := self._no_room(hello.facts, host, now):
            return Refusal(reason)
        return self._greeter.welcome(hello, host, now)

    def on_confirm(self, confirm: Confirm, now: float) -> tuple[Ok | Refusal, list[Effect]]:
        """Open a session, and dial back a greeter that listens somewhere."""
        greeting = self._greeter.check(confirm, now)
        if isinstance(greeting, Refusal):
            return greeting, []
        if reason := self._no_room(greeting.facts, greeting.host, now):
            return Refusal(reason), []
        evicted = self._make_room(greeting.facts, now)
        known = peer_id(greeting.facts.public_key) in self._peers
        peer, effects = self._meet(greeting.facts, greeting.host, False, now)
        if not known:
            peer.blocks_only = bool(greeting.facts.services & BLOCKS_ONLY)
        for token in peer.tokens[TOKENS_MAX - 1 :]:
            del self._by_token[token]
        peer.tokens = (confirm.token, *peer.tokens[: TOKENS_MAX - 1])
        self._by_token[confirm.token] = peer.id
        return Ok(), evicted + effects + self._dial_back(peer, now) + self._dial_due(now)

    def _dial_back(self, peer: Peer, now: float) -> list[Effect]:
        """Dial who greeted us, unless somebody has us dial others too often."""
        endpoint = peer.endpoint
        if peer.link or not endpoint or not is_dialable(endpoint, self._allow_local):
            return []
        if self._dialler.is_about_to_greet(endpoint, peer.id) or self._standing.discouraged.has_host(
            endpoint.host, now
        ):
            return []
        if not self._dial_backs.spend(peer.host, endpoint.host, now):
            return []
        disputed = self._dialler.back(endpoint, peer.id, now, is_own=endpoint.host == peer.host)
        return [self._dial(disputed, now)] if disputed else []

    def _no_room(self, facts: Facts, host: str, now: float) -> Reason | None:
        them = peer_id(facts.public_key)
        if self._is_unwelcome(them, now) or self._standing.discouraged.has_host(host, now):
            return Reason.DISCOURAGED
        if not self._is_full_for(facts):
            return None
        # Else those without a place would push each other out again and again.
        return Reason.BUSY if self._evicted.has(them, now) or self._victim(now) is None else None

    def _is_unwelcome(self, peer: PeerId, now: float) -> bool:
        """True for one that broke the rules, or whose score has not recovered from what it was dropped for."""
        return self._standing.discouraged.has_id(peer, now) or (
            self._standing.reputation.grade(peer, now) is Grade.DROP
        )

    def _is_full_for(self, facts: Facts) -> bool:
        """True if there is no place left for this newcomer. Visitors take none (probes.py limits them)."""
        known = self._peers.get(peer_id(facts.public_key))
        if _is_visit(facts) or (known and not known.is_visitor):
            return False
        return sum(1 for peer in self._peers.values() if not peer.outbound and not peer.is_visitor) >= INBOUND_MAX

    def _make_room(self, facts: Facts, now: float) -> list[Effect]:
        """Drop somebody for a newcomer that has proved who it is, if there is no place left."""
        if not self._is_full_for(facts) or not (victim := self._victim(now)):
            return []
        self._evicted.add(victim, now)
        return self.drop(victim, "it made room for another", now)

    def _victim(self, now: float) -> PeerId | None:
        """The peer to evict for a newcomer; None if all are to be kept."""
        candidates = []
        for peer in self._peers.values():
            if peer.outbound or peer.is_visitor or self.is_static(peer):
                continue
            # By the address it comes from: where it says that it listens it may be lying.
            listen = peer.facts.listen
            group = self._book.group(Endpoint(peer.host, listen.port if listen else 0))
            tally, score = self._standing.tally(peer.id), self._standing.reputation.score(peer.id, now)
            times = tally.last_block, tally.last_tx
            candidates.append(EvictionCandidate(peer.id, group, peer.since, peer.least_round_trip_s, *times, score))
        return choose_victim(candidates, self._salt)

    def _meet(self, facts: Facts, host: str, outbound: bool, now: float) -> tuple[Peer, list[Effect]]:
        """The peer that has proved to be who these facts say."""
        them = peer_id(facts.public_key)
        peer, effects = self._peers.get(them), []
        if peer and peer.facts.instance != facts.instance:
            effects = self.drop(them, "it was restarted", now)
            peer = None
        if peer is None:
            self._last_number += 1
            peer = Peer(them, self._last_number, facts, host, outbound, now, now)
            self._peers[them] = peer
            self._standing.met(them)
        if peer.is_visitor and not _is_visit(facts):
            peer.outbound, peer.since = outbound, now
        if peer.is_visitor or not _is_visit(facts):  # what a peer said of itself stays
            peer.facts = facts
        peer.outbound = peer.outbound or outbound  # its dial-back may have been quicker than our greeting
        peer.host, peer.heard = host, now
        peer.clock_ahead_s = facts.time - now if facts.time else None
        return peer, effects

    # --- greeting ----------------------------------------------------------------------

    def keep(self, endpoint: Endpoint, now: float) -> tuple[bool, list[Effect]]:
        """Stay linked with an endpoint for good. False if it is kept already."""
        return self._dialler.keep(endpoint), self._dial_due(now)

    def release(self, endpoint: Endpoint, now: float) -> tuple[bool, list[Effect]]:
        """Keep an endpoint no longer, and drop who is there. False if it was not kept."""
        if not self._dialler.release(endpoint):
            return False, []
        self._troubles.pop(endpoint, None)
        gone = [peer.id for peer in self._peers.values() if peer.endpoint == endpoint]
        return True, [effect for peer in gone for effect in self.drop(peer, "the operator said so", now)]

    def tick(self, now: float) -> list[Effect]:
        """Greet who is due, ask for addresses, drop who fell silent or cannot be borne any longer."""
        silent = [p.id for p in self._peers.values() if not p.link and now - p.heard > IDLE_S]
        effects = [effect for peer in silent for effect in self.drop(peer, "it fell silent", now)]
        for peer in self._standing.unbearable(now):
            [(words, points), *_] = self._standing.reputation.why(peer, now)
            effects += self.drop(peer, f"its score is too low: it {words} ({points:g})", now, BACKOFF_MAX_S)
        return effects + self._dial_due(now)

    def wants_more(self) -> bool:
        """True while there are fewer peers of our choice than there could be."""
        return self._dialler.has_room()

    def seek_nobody(self) -> None:
        """Choose no peers: greet only who is named, and who greeted us."""
        self._dialler.seeks = False

    def try_once(self, endpoint: Endpoint) -> None:
        """Have an endpoint greeted at the next tick; it is not kept."""
        self._dialler.once(endpoint)

    def visit(self, endpoint: Endpoint, expected: PeerId, now: float, outcome: Outcome) -> Effect:
        """Greet a node only to ask it something; the link that comes of it makes it no peer."""
        return self._greeter.visit(endpoint, expected, now, outcome)

    def _dial_due(self, now: float) -> list[Effect]:
        busy = [peer.endpoint for peer in self._peers.values() if peer.endpoint]
        effects: list[Effect] = []
        for target in self._dialler.due(now, busy):
            if target.kind is not ConnectionType.STATIC and self._standing.discouraged.has_host(
                target.endpoint.host, now
            ):
                effects += self._fail(target, Refusal(Reason.DISCOURAGED), now)
            else:
                effects.append(self._dial(target, now))
        return effects

    def _dial(self, target: Target, now: float) -> Effect:
        target.dialling = True
        if target.kind is ConnectionType.FEELER:
            return self._greeter.feel(target.endpoint, now, partial(self._on_felt, target))
        expected = target.peer if target.kind is ConnectionType.BACK else None
        extra = BLOCKS_ONLY if target.place is Place.BLOCKS_ONLY else 0
        then = partial(self._on_outcome, target)
        return self._greeter.greet(target.endpoint, expected, now, then, extra_services=extra)

    def _on_felt(self, target: Target, outcome: Met | Failed | Refusal, now: float) -> list[Effect]:
        """A feeler has come back."""
        target.dialling = False
        if not isinstance(outcome, Met):
            return self._fail(target, outcome, now)
        self._dialler.felt(target, now, outcome.round_trip_s)
        return []

    def _on_outcome(self, target: Target, outcome: Met | Failed | Refusal, now: float) -> list[Effect]:
        """Our greeting has made a link, or not."""
        target.dialling = False
        if not isinstance(outcome, Met):
            return self._fail(target, outcome, now)
        facts, link = outcome.facts, outcome.link
        if target.kind is not ConnectionType.STATIC and self._is_unwelcome(link.peer, now):
            return [*self._fail(target, Refusal(Reason.DISCOURAGED), now), *self._hang_up(link.peer)]
        if target.kind is ConnectionType.LEARNED and self._is_idle(facts):
            return [*self._fail(target, Refusal(Reason.NOT_SERVED), now), *self._hang_up(link.peer)]
        if target.kind is not ConnectionType.BACK and not self._dialler.holds(target):
            return self._hang_up(link.peer)  # meanwhile the operator has released it
        known = link.peer in self._peers
        peer, effects = self._meet(facts, target.endpoint.host, target.kind is not ConnectionType.BACK, now)
        peer.link, peer.failures = link, 0
        effects += self._drop_others(link, now)
        if not known:
            peer.blocks_only = target.place is Place.BLOCKS_ONLY
        if replaced := self._dialler.linked(target, peer.id, now, outcome.round_trip_s, known=known):
            effects += self.drop(replaced, "a nearer one took its place", now)
        self._troubles.pop(target.endpoint, None)
        log.info("linked with %s at %s, height %d", peer.id.hex(), link.endpoint, facts.height)
        return effects + self._events.linked(peer.id, now)

    def _drop_others(self, link: Link, now: float) -> list[Effect]:
        """Drop the peers taken to be at an endpoint where another has proved to be: its place may have
        been taken by a node with a new identity, which does not know its tokens."""
        there = {p.id: None for p in self._peers.values() if p.link and p.link.endpoint == link.endpoint}
        if holder := self._dialler.holder(link.endpoint):
            there[holder] = None  # it may have a second address
        others = [peer for peer in there if peer != link.peer]
        return [effect for peer in others for effect in self.drop(peer, "another node is at its address", now)]

    def _hang_up(self, peer: PeerId) -> list[Effect]:
        """Close the connections of a handshake that made no peer: ids cost nothing, and each holds threads."""
        if peer in self._peers or self._requests.has(peer):
            return []  # another handshake is under way
        return [Close(peer, "the handshake came to nothing")]

    def _is_idle(self, facts: Facts) -> bool:
        """True for a light node, unless we are light too: it would fill one of our few places for nothing."""
        return (
            role_of(facts.services) is Role.LIGHT
            and bool(facts.services & SERVES_HEADERS)
            and (role_of(self._describe().services) is not Role.LIGHT)
        )

    def _fail(self, target: Target, reply: Failed | Refusal, now: float) -> list[Effect]:
        if reply == Refusal(Reason.SELF):
            self._dialler.is_self(target)
            return []
        trouble = reply.reason.name.lower() if isinstance(reply, Refusal) else reply.reason
        is_operators = target.kind is ConnectionType.STATIC or target.named
        if is_operators and trouble != self._troubles.get(target.endpoint):
            self._troubles[target.endpoint] = trouble
            log.info("no link with %s: %s", target.endpoint, trouble)
        self._dialler.failed(target, trouble, now)
        return []

    # --- staying, and leaving ----------------------------------------------------------

    def on_request(self, peer: PeerId, now: float) -> None:
        """A request came from this peer."""
        if found := self._peers.get(peer):
            found.heard, found.has_spoken = now, True

    def on_reply(self, peer: PeerId, reply: object, round_trip_s: float | None, now: float) -> list[Effect]:
        """A request to this peer brought `reply`; drops a peer that broke the rules or does not answer.
        `round_trip_s` is None where the peer was free to take its time."""
        found = self._peers.get(peer)
        if found is None:
            return []
        if isinstance(reply, Refusal) and reply.reason not in BLAMELESS:
            return self.drop(peer, f"it refused: {reply.reason.name.lower()}", now)
        if not isinstance(reply, Failed):
            found.failures, found.heard = 0, now
            if round_trip_s is not None:
                found.round_trip_s = round_trip_s
                found.least_round_trip_s = min(found.least_round_trip_s or round_trip_s, round_trip_s)
            return []
        if reply.offence:
            return self.punish(peer, reply.reason, now)
        if reply.retry_s:
            return []  # it is there, and we were too fast
        found.failures += 1
        if found.failures >= LINK_FAILURES_MAX:
            return self.drop(peer, f"it does not answer: {reply.reason}", now)
        return []

    def punish(self, peer: PeerId, reason: str, now: float) -> list[Effect]:
        """Drop a peer for a provable offence, and refuse it and its address for a while."""
        found = self._peers.get(peer)
        self._standing.offended(peer, found.host if found else "", now)
        if found and found.link:
            self._book.blame(found.link.endpoint)
        return self.drop(peer, f"it broke the rules: {reason}", now, BACKOFF_MAX_S)

    def drop(self, peer: PeerId, reason: str, now: float, wait_s: float = BACKOFF_S) -> list[Effect]:
        """End a peer's link and sessions. A static one is greeted again after `wait_s`."""
        gone = self._peers.pop(peer, None)
        if gone is None:
            return []
        for token in gone.tokens:
            del self._by_token[token]
        self._requests.forget(peer)
        self._standing.left(peer)
        self._dialler.lost(peer, now, wait_s)
        level = logging.DEBUG if gone.is_visitor else logging.INFO
        log.log(level, "dropped %s at %s: %s", peer.hex(), gone.endpoint or gone.host, reason)
        effects: list[Effect] = [Close(peer, reason), *self._events.left(peer, now)]
        # Who says that it is where this one was could not be told from it, or was dialled in vain.
        for other in [other for other in self._peers.values() if other.endpoint == gone.endpoint]:
            effects += self._dial_back(other, now)
        return effects
