"""Peers: who they are, how they come and go, whom we can send to and who may speak to us.

A link is our right to send to a peer (the token that its welcome gave us); a session is a
peer's right to speak to us (a token that we gave). A peer has one or both.
"""

import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from node.peers.addresses import AddressBook, is_dialable
from node.peers.dialler import BACKOFF_MAX_S, BACKOFF_S, Dialler, Kind, Target
from node.peers.greeter import Greeter, Met
from node.peers.handshake import Identity, peer_id
from node.peers.messages import Addresses, Confirm, Facts, GetAddresses, Hello, Ok, Reason, Refusal, Welcome
from node.peers.requests import Requests
from node.ports import Close, Effect, Endpoint, Failed, Link, PeerId

log = logging.getLogger("groat.peers")

INBOUND_MAX = 117
"""Peers that greeted us; more are refused."""
ADDRESSES_S = 20.0
"""Deadline of a request for addresses."""
LINK_FAILURES_MAX = 3
"""Failed requests in a row after which a peer is dropped (and greeted again, if it is to be kept)."""
IDLE_S = 120.0
"""A peer that we cannot ask and that says nothing for so long is dropped."""
DISCOURAGED_S = 600.0
"""A peer that broke the rules is refused for so long."""
DISCOURAGED_MAX = 1_000
"""Such peers remembered; beyond, the oldest is forgotten."""
ASK_EVERY_S, ASK_EVERY_LOCAL_S = 60.0, 5.0
"""Between two requests for addresses, on ordinary networks and where `allow_local` holds."""
TOKENS_MAX = 2
"""Sessions of one peer: the newest, and the one that its last requests may still name."""


@dataclass(slots=True)
class Peer:
    """A node whose identity is proved."""

    id: PeerId
    number: int
    """Counts up from 1 in the order of arrival: what operators name a peer by."""
    facts: Facts
    """As it said in its last handshake."""
    host: str
    """The address it was seen at."""
    outbound: bool
    """We greeted first."""
    since: float
    heard: float
    """When anything last came from it."""
    link: Link | None = None
    tokens: tuple[bytes, ...] = ()
    """Newest first."""
    failures: int = 0
    """Failed requests in a row."""
    round_trip_s: float | None = None
    """Of the last small request."""

    @property
    def endpoint(self) -> Endpoint | None:
        """Where it was reached, or says it listens."""
        if self.link:
            return self.link.endpoint
        listen = self.facts.listen
        return Endpoint(listen.host or self.host, listen.port) if listen else None


class Events(Protocol):
    """Who is told about links."""

    def linked(self, peer: PeerId, now: float) -> list[Effect]:
        """We can send to this peer now."""
        ...

    def left(self, peer: PeerId, now: float) -> list[Effect]:
        """This peer is gone, and all requests to it."""
        ...


class Sessions:
    """All peers, and the handshakes under way."""

    def __init__(
        self,
        identity: Identity,
        describe: Callable[[], Facts],
        requests: Requests,
        book: AddressBook,
        events: Events,
        rng: random.Random,
        allow_local: bool,
    ) -> None:
        """`describe` gives what we say of ourselves, as it is now."""
        self._greeter = Greeter(identity, describe, requests)
        self._requests = requests
        self._book = book
        self._events = events
        self._rng = rng
        self._allow_local = allow_local
        self._ask_at = 0.0
        self._dialler = Dialler(rng, book)
        self._peers: dict[PeerId, Peer] = {}
        self._by_token: dict[bytes, PeerId] = {}
        self._discouraged: dict[PeerId, float] = {}
        self._last_number = 0

    # --- who is there ------------------------------------------------------------------

    def peer_of(self, token: bytes) -> PeerId | None:
        """Whose session this token is, if it is one."""
        return self._by_token.get(token)

    def get(self, peer: PeerId) -> Peer | None:
        """A peer that has not left."""
        return self._peers.get(peer)

    def link(self, peer: PeerId) -> Link | None:
        """How to send to a peer, if we can."""
        found = self._peers.get(peer)
        return found.link if found else None

    def peers(self) -> Iterable[Peer]:
        """All of them, in order of arrival."""
        return self._peers.values()

    def is_static(self, peer: Peer) -> bool:
        """True if the operator wants this peer kept."""
        return any(t.kind is Kind.STATIC and t.peer == peer.id for t in self._dialler.targets())

    # --- being greeted -----------------------------------------------------------------

    def on_hello(self, hello: Hello, host: str, now: float) -> Welcome | Refusal:
        """Answer a greeting that came from `host`. Nothing is known of the greeter before its Confirm."""
        if reason := self._no_room(hello.facts, now):
            return Refusal(reason)
        return self._greeter.welcome(hello, host, now)

    def on_confirm(self, confirm: Confirm, now: float) -> tuple[Ok | Refusal, list[Effect]]:
        """Open a session, and dial back a greeter that listens somewhere."""
        greeting = self._greeter.check(confirm, now)
        if isinstance(greeting, Refusal):
            return greeting, []
        if reason := self._no_room(greeting.facts, now):
            return Refusal(reason), []
        peer, effects = self._meet(greeting.facts, greeting.host, False, now)
        for token in peer.tokens[TOKENS_MAX - 1 :]:
            del self._by_token[token]
        peer.tokens = (confirm.token, *peer.tokens[: TOKENS_MAX - 1])
        self._by_token[confirm.token] = peer.id
        if not peer.link and (endpoint := peer.endpoint) and is_dialable(endpoint, self._allow_local):
            self._dialler.back(endpoint, peer.id)
        return Ok(), effects + self._dial_due(now)

    def _no_room(self, facts: Facts, now: float) -> Reason | None:
        them = peer_id(facts.public_key)
        if self._discouraged.get(them, now) > now:
            return Reason.DISCOURAGED
        inbound = sum(1 for peer in self._peers.values() if not peer.outbound)
        return Reason.BUSY if inbound >= INBOUND_MAX and them not in self._peers else None

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
        peer.facts, peer.host, peer.heard = facts, host, now
        return peer, effects

    # --- greeting ----------------------------------------------------------------------

    def keep(self, endpoint: Endpoint, now: float) -> tuple[bool, list[Effect]]:
        """Stay linked with an endpoint for good. False if it is kept already."""
        return self._dialler.keep(endpoint), self._dial_due(now)

    def release(self, endpoint: Endpoint, now: float) -> tuple[bool, list[Effect]]:
        """Keep an endpoint no longer, and drop who is there. False if it was not kept."""
        if not self._dialler.release(endpoint):
            return False, []
        gone = [peer.id for peer in self._peers.values() if peer.endpoint == endpoint]
        return True, [effect for peer in gone for effect in self.drop(peer, "the operator said so", now)]

    def tick(self, now: float) -> list[Effect]:
        """Greet who is due, ask for addresses, drop who fell silent."""
        silent = [p.id for p in self._peers.values() if not p.link and now - p.heard > IDLE_S]
        effects = [effect for peer in silent for effect in self.drop(peer, "it fell silent", now)]
        return effects + self._ask_addresses(now) + self._dial_due(now)

    def _ask_addresses(self, now: float) -> list[Effect]:
        """While there are fewer peers of our choice than there could be: ask one for more addresses."""
        links = [peer.link for peer in self._peers.values() if peer.link]
        if now < self._ask_at or not links or not self._dialler.has_room(self._outbound()):
            return []
        self._ask_at = now + (ASK_EVERY_LOCAL_S if self._allow_local else ASK_EVERY_S)
        link = self._rng.choice(links)
        return [self._requests.send(link, GetAddresses(), now, ADDRESSES_S, self._on_addresses)]

    def _on_addresses(self, reply: Any, now: float) -> list[Effect]:
        if isinstance(reply, Addresses):
            self._book.add(reply.endpoints)
        return []

    def _outbound(self) -> int:
        return sum(1 for peer in self._peers.values() if peer.outbound)

    def _dial_due(self, now: float) -> list[Effect]:
        busy = [peer.endpoint for peer in self._peers.values() if peer.endpoint]
        return [self._dial(target, now) for target in self._dialler.due(now, self._outbound(), busy)]

    def _dial(self, target: Target, now: float) -> Effect:
        target.dialling = True
        expected = target.peer if target.kind is Kind.BACK else None
        return self._greeter.greet(target.endpoint, expected, now, partial(self._on_outcome, target))

    def _on_outcome(self, target: Target, outcome: Met | Failed | Refusal, now: float) -> list[Effect]:
        """Our greeting has made a link, or not."""
        target.dialling = False
        if not isinstance(outcome, Met):
            return self._fail(target, outcome, now)
        facts, link = outcome.facts, outcome.link
        peer, effects = self._meet(facts, target.endpoint.host, target.kind is not Kind.BACK, now)
        peer.link, peer.failures = link, 0
        self._dialler.linked(target, peer.id, now)
        log.info("linked with %s at %s, height %d", peer.id.hex(), link.endpoint, facts.height)
        return effects + self._events.linked(peer.id, now)

    def _fail(self, target: Target, reply: Failed | Refusal, now: float) -> list[Effect]:
        if reply == Refusal(Reason.SELF):
            self._dialler.is_self(target)
            return []
        trouble = reply.reason.name.lower() if isinstance(reply, Refusal) else reply.reason
        if target.kind is Kind.STATIC and trouble != target.trouble:
            log.info("no link with %s: %s", target.endpoint, trouble)
        self._dialler.failed(target, trouble, now)
        return []

    # --- staying, and leaving ----------------------------------------------------------

    def on_request(self, peer: PeerId, now: float) -> None:
        """A request came from this peer."""
        if found := self._peers.get(peer):
            found.heard = now

    def on_reply(self, peer: PeerId, reply: object, round_trip_s: float, now: float) -> list[Effect]:
        """A request to this peer brought `reply`; drops a peer that broke the rules or does not answer."""
        found = self._peers.get(peer)
        if found is None:
            return []
        if isinstance(reply, Refusal):
            return self.drop(peer, f"it refused: {reply.reason.name.lower()}", now)
        if not isinstance(reply, Failed):
            found.failures, found.heard, found.round_trip_s = 0, now, round_trip_s
            return []
        if reply.offence:
            return self.punish(peer, reply.reason, now)
        found.failures += 1
        if found.failures >= LINK_FAILURES_MAX:
            return self.drop(peer, f"it does not answer: {reply.reason}", now)
        return []

    def punish(self, peer: PeerId, reason: str, now: float) -> list[Effect]:
        """Drop a peer for a provable offence, and refuse it for a while."""
        self._discouraged[peer] = now + DISCOURAGED_S
        if len(self._discouraged) > DISCOURAGED_MAX:
            del self._discouraged[next(iter(self._discouraged))]
        return self.drop(peer, f"it broke the rules: {reason}", now, BACKOFF_MAX_S)

    def drop(self, peer: PeerId, reason: str, now: float, wait_s: float = BACKOFF_S) -> list[Effect]:
        """End a peer's link and sessions. A static one is greeted again after `wait_s`."""
        gone = self._peers.pop(peer, None)
        if gone is None:
            return []
        for token in gone.tokens:
            del self._by_token[token]
        self._requests.forget(peer)
        self._dialler.lost(peer, now, wait_s)
        log.info("dropped %s at %s: %s", peer.hex(), gone.endpoint or gone.host, reason)
        return [Close(peer, reason), *self._events.left(peer, now)]
