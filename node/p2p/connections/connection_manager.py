"""Connections with peers: their identities, arrival and departure, links to send by and tokens to be asked with.

A link is our right to send to a peer (the token that its welcome gave us); a session is a
peer's right to speak to us (a token that we gave). A peer has one or both.
"""

import logging
import random
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

from node.interface.disconnect_reason import DisconnectReason
from node.interface.effects import Close, Failed
from node.interface.endpoint import Endpoint, Link, PeerId
from node.interface.messages import (
    BLOCKS_ONLY,
    SERVES_HEADERS,
    Confirm,
    Facts,
    Hello,
    Ok,
    Reason,
    Refusal,
    Welcome,
)
from node.interface.outbox import Outbox
from node.p2p.addrman.addrman import AddrMan
from node.p2p.addrman.dial_budget import dial_backs
from node.p2p.addrman.net_address import is_dialable
from node.p2p.connections.handshake import Handshake, Met
from node.p2p.connections.identity import NodeIdentity, peer_id
from node.p2p.connections.inbound import InboundSlots
from node.p2p.connections.outbound import BACKOFF_MAX_S, BACKOFF_S, ConnectionType, OutboundConnections, Place, Target
from node.p2p.connections.peer import Peer, is_visit
from node.p2p.connections.pending_requests import PendingRequests
from node.p2p.scoring.peer_scoring import PeerScoring
from node.p2p.scoring.service_flags import Role, role_of

log = logging.getLogger("groat.peers")

LINK_FAILURES_MAX = 3
"""Failed requests in a row after which a peer is dropped (and greeted again, if it is to be kept)."""
IDLE_S = 120.0
"""A peer that we cannot ask and that says nothing for so long is dropped."""
BLAMELESS = frozenset({Reason.CHOKED, Reason.NOT_SERVED})
"""Refusals of a single request, by a peer that goes on being one."""
TOKENS_MAX = 2
"""Sessions of one peer: the newest, and the one that its last requests may still name."""


class ConnectionEvents(Protocol):
    """Callbacks for links made and ended."""

    def linked(self, peer: PeerId, now: float) -> None:
        """Told that we can send to a peer now."""
        ...

    def left(self, peer: PeerId, now: float) -> None:
        """Told that a peer is gone, and all requests to it."""
        ...


class ConnectionManager:
    """All peers, and the handshakes under way."""

    def __init__(
        self,
        outbox: Outbox,
        identity: NodeIdentity,
        describe: Callable[[float], Facts],
        requests: PendingRequests,
        addrman: AddrMan,
        events: ConnectionEvents,
        rng: random.Random,
        scoring: PeerScoring,
    ) -> None:
        """`describe` gives what we say of ourselves at a time."""
        self._outbox = outbox
        self._scoring = scoring
        salt = rng.randbytes(16)
        self._describe = describe
        self.handshake = Handshake(identity, describe, requests, self._hang_up)
        """Greetings under way, both ways."""
        self._requests = requests
        self._addrman = addrman
        self._events = events
        self._allow_local = addrman.allow_local
        self._dial_backs = dial_backs(addrman.allow_local)
        self.outbound = OutboundConnections(rng, addrman, scoring.is_poor)
        """Endpoints to be linked with."""
        self._peers: dict[PeerId, Peer] = {}
        self._inbound = InboundSlots(self._peers, self.outbound, addrman, scoring, salt)
        self._by_token: dict[bytes, PeerId] = {}
        self._last_number = 0
        self._troubles: dict[Endpoint, str] = {}
        """Failures of the last greeting, by endpoint that the operator named; as many as these."""

    def peer_of(self, token: bytes) -> PeerId | None:
        """The peer of a session token, if there is one."""
        return self._by_token.get(token)

    def get(self, peer: PeerId) -> Peer | None:
        """A peer that has not left."""
        return self._peers.get(peer)

    def __getitem__(self, peer: PeerId) -> Peer:
        return self._peers[peer]

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

    def is_outbound(self, peer: PeerId) -> bool:
        """True if we chose this peer."""
        found = self._peers.get(peer)
        return found is not None and found.outbound

    def where(self, peer: PeerId) -> str:
        """The location of a peer, for the log."""
        found = self._peers.get(peer)
        return str(found.endpoint or found.host) if found else "a peer that has left"

    def on_hello(self, hello: Hello, host: str, now: float) -> Welcome | Refusal:
        """Answer a greeting that came from `host`. Nothing is known of the greeter before its Confirm."""
        if reason := self._inbound.refusal(hello.facts, host, now):
            return Refusal(reason)
        return self.handshake.welcome(hello, host, now)

    def on_confirm(self, confirm: Confirm, now: float) -> Ok | Refusal:
        """Open a session, and dial back a greeter that listens somewhere."""
        greeting = self.handshake.check(confirm, now)
        if isinstance(greeting, Refusal):
            return greeting
        if reason := self._inbound.refusal(greeting.facts, greeting.host, now):
            return Refusal(reason)
        if victim := self._inbound.evict_for(greeting.facts, now):
            self.drop(victim, DisconnectReason.EVICTED, now)
        known = peer_id(greeting.facts.public_key) in self._peers
        peer = self._meet(greeting.facts, greeting.host, False, now)
        if not known:
            peer.blocks_only = bool(greeting.facts.services & BLOCKS_ONLY)
        for token in peer.tokens[TOKENS_MAX - 1 :]:
            del self._by_token[token]
        peer.tokens = (confirm.token, *peer.tokens[: TOKENS_MAX - 1])
        self._by_token[confirm.token] = peer.id
        self._dial_back(peer, now)
        self._dial_due(now)
        return Ok()

    def _dial_back(self, peer: Peer, now: float) -> None:
        """Dial who greeted us, unless somebody has us dial others too often."""
        endpoint = peer.endpoint
        if peer.link or not endpoint or not is_dialable(endpoint, self._allow_local):
            return
        if self.outbound.is_about_to_greet(endpoint, peer.id) or self._scoring.discouraged.has_host(endpoint.host, now):
            return
        if not self._dial_backs.spend(peer.host, endpoint.host, now):
            return
        disputed = self.outbound.back(endpoint, peer.id, now, is_own=endpoint.host == peer.host)
        if disputed:
            self._dial(disputed, now)

    def _meet(self, facts: Facts, host: str, outbound: bool, now: float) -> Peer:
        """The peer that has proved to be who these facts say."""
        them = peer_id(facts.public_key)
        peer = self._peers.get(them)
        if peer and peer.facts.instance != facts.instance:
            self.drop(them, DisconnectReason.RESTARTED, now)
            peer = None
        if peer is None:
            self._last_number += 1
            peer = Peer(them, self._last_number, facts, host, outbound, now, now)
            self._peers[them] = peer
            self._scoring.met(them)
        if peer.is_visitor and not is_visit(facts):
            peer.outbound, peer.since = outbound, now
        if peer.is_visitor or not is_visit(facts):  # what a peer said of itself stays
            peer.facts = facts
        peer.outbound = peer.outbound or outbound  # its dial-back may have been quicker than our greeting
        peer.host, peer.heard = host, now
        peer.clock_ahead_s = facts.time - self._describe(now).time if facts.time else None
        return peer

    def keep(self, endpoint: Endpoint, now: float) -> bool:
        """Stay linked with an endpoint for good. False if it is kept already."""
        is_new = self.outbound.keep(endpoint)
        self._dial_due(now)
        return is_new

    def release(self, endpoint: Endpoint, now: float) -> bool:
        """Keep an endpoint no longer, and drop who is there. False if it was not kept."""
        if not self.outbound.release(endpoint):
            return False
        self._troubles.pop(endpoint, None)
        for peer in [peer.id for peer in self._peers.values() if peer.endpoint == endpoint]:
            self.drop(peer, DisconnectReason.OPERATOR, now)
        return True

    def tick(self, now: float) -> None:
        """Greet who is due, ask for addresses, drop who fell silent or cannot be borne any longer."""
        silent = [p.id for p in self._peers.values() if not p.link and now - p.heard > IDLE_S]
        for peer in silent:
            self.drop(peer, DisconnectReason.SILENT, now)
        for peer in self._scoring.unbearable(now):
            [(words, points), *_] = self._scoring.scores.why(peer, now)
            why = f"it {words} ({points:g})"
            self.drop(peer, DisconnectReason.LOW_SCORE, now, BACKOFF_MAX_S, detail=why)
        self._dial_due(now)

    def _dial_due(self, now: float) -> None:
        busy = [peer.endpoint for peer in self._peers.values() if peer.endpoint]
        for target in self.outbound.due(now, busy):
            if target.kind is not ConnectionType.STATIC and self._scoring.discouraged.has_host(
                target.endpoint.host, now
            ):
                self._fail(target, Refusal(Reason.DISCOURAGED), now)
            else:
                self._dial(target, now)

    def _dial(self, target: Target, now: float) -> None:
        target.dialling = True
        if target.kind is ConnectionType.FEELER:
            self.handshake.feel(target.endpoint, now, partial(self._on_felt, target))
            return
        expected = target.peer if target.kind is ConnectionType.BACK else None
        extra = BLOCKS_ONLY if target.place is Place.BLOCKS_ONLY else 0
        then = partial(self._on_outcome, target)
        self.handshake.greet(target.endpoint, expected, now, then, extra_services=extra)

    def _on_felt(self, target: Target, outcome: Met | Failed | Refusal, now: float) -> None:
        """A feeler has come back."""
        target.dialling = False
        if not isinstance(outcome, Met):
            self._fail(target, outcome, now)
            return
        self.outbound.felt(target, now, outcome.round_trip_s)

    def _on_outcome(self, target: Target, outcome: Met | Failed | Refusal, now: float) -> None:
        """Our greeting has made a link, or not."""
        target.dialling = False
        if not isinstance(outcome, Met):
            self._fail(target, outcome, now)
            return
        facts, link = outcome.facts, outcome.link
        if target.kind is not ConnectionType.STATIC and self._inbound.is_unwelcome(link.peer, now):
            self._fail(target, Refusal(Reason.DISCOURAGED), now)
            self._hang_up(link.peer)
            return
        if target.kind is ConnectionType.LEARNED and self._is_idle(facts, now):
            self._fail(target, Refusal(Reason.NOT_SERVED), now)
            self._hang_up(link.peer)
            return
        if target.kind is not ConnectionType.BACK and not self.outbound.holds(target):
            self._hang_up(link.peer)
            return  # meanwhile the operator has released it
        known = link.peer in self._peers
        peer = self._meet(facts, target.endpoint.host, target.kind is not ConnectionType.BACK, now)
        peer.link, peer.failures = link, 0
        self._drop_others(link, now)
        if not known:
            peer.blocks_only = target.place is Place.BLOCKS_ONLY
        if replaced := self.outbound.linked(target, peer.id, now, outcome.round_trip_s, known=known):
            self.drop(replaced, DisconnectReason.NEARER, now)
        self._troubles.pop(target.endpoint, None)
        log.info("linked with %s at %s, height %d", peer.id.hex(), link.endpoint, facts.height)
        self._events.linked(peer.id, now)

    def _drop_others(self, link: Link, now: float) -> None:
        """Drop the peers taken to be at an endpoint where another has proved to be: its place may have
        been taken by a node with a new identity, which does not know its tokens."""
        there = {p.id: None for p in self._peers.values() if p.link and p.link.endpoint == link.endpoint}
        if holder := self.outbound.holder(link.endpoint):
            there[holder] = None  # it may have a second address
        others = [peer for peer in there if peer != link.peer]
        for peer in others:
            self.drop(peer, DisconnectReason.REPLACED, now)

    def _hang_up(self, peer: PeerId) -> None:
        """Close the connections of a handshake that made no peer: ids cost nothing, and each holds threads."""
        if peer in self._peers or self._requests.has(peer):
            return  # another handshake is under way
        self._outbox.add(Close(peer, DisconnectReason.HANDSHAKE))

    def _is_idle(self, facts: Facts, now: float) -> bool:
        """True for a light node, unless we are light too: it would fill one of our few places for nothing."""
        return (
            role_of(facts.services) is Role.LIGHT
            and bool(facts.services & SERVES_HEADERS)
            and (role_of(self._describe(now).services) is not Role.LIGHT)
        )

    def _fail(self, target: Target, reply: Failed | Refusal, now: float) -> None:
        if reply == Refusal(Reason.SELF):
            self.outbound.is_self(target)
            return
        trouble = reply.reason.name.lower() if isinstance(reply, Refusal) else reply.reason
        is_operators = target.kind is ConnectionType.STATIC or target.named
        if is_operators and trouble != self._troubles.get(target.endpoint):
            self._troubles[target.endpoint] = trouble
            log.info("no link with %s: %s", target.endpoint, trouble)
        self.outbound.failed(target, trouble, now)

    def on_request(self, peer: PeerId, now: float) -> None:
        """A request came from this peer."""
        if found := self._peers.get(peer):
            found.heard, found.has_spoken = now, True

    def on_reply(self, peer: PeerId, reply: object, round_trip_s: float | None, now: float) -> None:
        """A request to this peer brought `reply`; drops a peer that broke the rules or does not answer.
        `round_trip_s` is None where the peer was free to take its time."""
        found = self._peers.get(peer)
        if found is None:
            return
        if isinstance(reply, Refusal) and reply.reason not in BLAMELESS:
            self.drop(peer, DisconnectReason.REFUSED, now, detail=reply.reason.name.lower())
            return
        if not isinstance(reply, Failed):
            found.failures, found.heard = 0, now
            if round_trip_s is not None:
                found.round_trip_s = round_trip_s
                found.least_round_trip_s = min(found.least_round_trip_s or round_trip_s, round_trip_s)
            return
        if reply.offence:
            self.punish(peer, reply.reason, now)
            return
        if reply.retry_s:
            return  # it is there, and we were too fast
        found.failures += 1
        if found.failures >= LINK_FAILURES_MAX:
            self.drop(peer, DisconnectReason.UNRESPONSIVE, now, detail=reply.reason)
            return

    def punish(self, peer: PeerId, offence: str, now: float) -> None:
        """Drop a peer for a provable offence, and refuse it and its address for a while."""
        found = self._peers.get(peer)
        self._scoring.offended(peer, found.host if found else "", now)
        if found and found.link:
            self._addrman.blame(found.link.endpoint)
        self.drop(peer, DisconnectReason.OFFENCE, now, BACKOFF_MAX_S, detail=offence)

    def drop(
        self, peer: PeerId, reason: DisconnectReason, now: float, wait_s: float = BACKOFF_S, *, detail: str = ""
    ) -> None:
        """End a peer's link and sessions. A static one is greeted again after `wait_s`."""
        gone = self._peers.pop(peer, None)
        if gone is None:
            return
        for token in gone.tokens:
            del self._by_token[token]
        self._requests.forget(peer)
        self._scoring.left(peer)
        self.outbound.lost(peer, now, wait_s)
        level = logging.DEBUG if gone.is_visitor else logging.INFO
        close = Close(peer, reason, detail)
        log.log(level, "dropped %s at %s: %s", peer.hex(), gone.endpoint or gone.host, close.why)
        self._outbox.add(close)
        self._events.left(peer, now)
        # Who says that it is where this one was could not be told from it, or was dialled in vain.
        for other in [other for other in self._peers.values() if other.endpoint == gone.endpoint]:
            self._dial_back(other, now)
