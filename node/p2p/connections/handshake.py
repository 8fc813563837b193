"""The handshake, both sides of it: who greets us is who it says, and so is who answers us.

Knows nothing of how many peers there may be or who is wanted: that is the sessions' part.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from node.interface.effects import Failed, PeerReply
from node.interface.endpoint import Endpoint, Link, PeerId
from node.interface.messages import (
    PROTOCOL_VERSION_LEAST,
    TOKEN_SIZE,
    VISITOR,
    Confirm,
    Facts,
    Hello,
    Ok,
    Reason,
    Refusal,
    Welcome,
)
from node.p2p.addrman.net_address import normalise_host
from node.p2p.connections.identity import HandshakeSide, NodeIdentity, handshake_digest, peer_id
from node.p2p.connections.pending_requests import PendingRequests

GREETINGS_MAX = 256
"""Welcomes that were not confirmed; beyond, the oldest is void."""
HANDSHAKE_S = 10.0
"""Time for each half of the handshake."""
ANOTHER = "another node answers there"
"""The failure of a greeting that was meant for a certain node."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """A node that greeted us; proved once its Confirm has been checked."""

    facts: Facts
    host: str
    """The address it came from."""
    digest: bytes
    """The hash that it has to sign."""
    until: float
    """Time after which it is void."""


@dataclass(frozen=True, slots=True)
class Met:
    """A node that we greeted, proved, and the link with it."""

    facts: Facts
    link: Link
    round_trip_s: float
    """Round-trip time of one request that nothing else waited behind, connecting included."""


Outcome = Callable[[Met | Failed | Refusal, float], None]
"""Callback for the end of a greeting."""
GoesOn = Callable[[Met, bytes, Outcome, float], None]
"""Callback for a good welcome; the bytes are what we have to sign to open the session."""


class Handshake:
    """Handshakes under way."""

    def __init__(
        self,
        identity: NodeIdentity,
        describe: Callable[[float], Facts],
        requests: PendingRequests,
        hang_up: Callable[[PeerId], None] = lambda peer: None,
    ) -> None:
        """`describe` gives what we say of ourselves at a time; `hang_up` ends the connections with
        a node whose Confirm came to nothing."""
        self._hang_up = hang_up
        self._identity = identity
        self._describe = describe
        self._requests = requests
        self._greetings: dict[bytes, Greeting] = {}
        """Greetings by the token of the session that each is to open; the oldest first."""

    def objection(self, facts: Facts, now: float) -> Reason | None:
        """The reason not to talk to a node with these facts, if there is one."""
        if facts.version < PROTOCOL_VERSION_LEAST:
            return Reason.VERSION
        if facts.network_id != self._describe(now).network_id:
            return Reason.WRONG_NETWORK
        return Reason.SELF if facts.public_key == self._identity.public_key else None

    def welcome(self, hello: Hello, host: str, now: float) -> Welcome | Refusal:
        """Answer a greeting. Nothing is known of the greeter before its Confirm."""
        if reason := self.objection(hello.facts, now):
            return Refusal(reason)
        facts, challenge = self._describe(now), self._identity.unguessable("challenge", 32)
        token = self._identity.unguessable("token", TOKEN_SIZE)
        ids, challenges = (peer_id(hello.facts.public_key), self._identity.id), (hello.challenge, challenge)
        theirs, ours = (handshake_digest(facts.network_id, side, ids, challenges) for side in HandshakeSide)
        self._greetings[token] = Greeting(hello.facts, normalise_host(host), theirs, now + HANDSHAKE_S)
        if len(self._greetings) > GREETINGS_MAX:
            del self._greetings[next(iter(self._greetings))]
        return Welcome(facts, challenge, token, self._identity.prove(ours))

    def check(self, confirm: Confirm, now: float) -> Greeting | Refusal:
        """The greeting that a Confirm proves. A wrong proof voids it."""
        greeting = self._greetings.pop(confirm.token, None)
        if greeting is None or greeting.until < now:
            return Refusal(Reason.NO_SESSION)
        if not self._identity.is_proof(greeting.facts.public_key, confirm.proof, greeting.digest):
            return Refusal(Reason.BAD_PROOF)
        return greeting

    def greet(
        self, endpoint: Endpoint, expected: PeerId | None, now: float, outcome: Outcome, *, extra_services: int = 0
    ) -> None:
        """Greet whoever listens there; if `expected` is given, it must be that node."""
        facts = self._describe(now)
        facts = replace(facts, services=facts.services | extra_services)
        self._greet(endpoint, expected, facts, now, self._confirm, outcome)

    def feel(self, endpoint: Endpoint, now: float, outcome: Outcome) -> None:
        """Find out who listens there: its welcome proves it, and no session is opened."""
        facts = replace(self._describe(now), listen=None, services=VISITOR)

        def goes_on(met: Met, ours: bytes, outcome: Outcome, now: float) -> None:
            outcome(met, now)

        self._greet(endpoint, None, facts, now, goes_on, outcome)

    def visit(self, endpoint: Endpoint, expected: PeerId, now: float, outcome: Outcome) -> None:
        """Greet the node `expected` as somebody who is not to be dialled back, nor to be a peer."""
        facts = replace(self._describe(now), listen=None, services=VISITOR)
        self._greet(endpoint, expected, facts, now, self._confirm, outcome)

    def _greet(
        self,
        endpoint: Endpoint,
        expected: PeerId | None,
        facts: Facts,
        now: float,
        goes_on: GoesOn,
        outcome: Outcome,
    ) -> None:
        challenge = self._identity.unguessable("challenge", 32)
        then = partial(self._on_welcome, endpoint, expected, challenge, now, goes_on, outcome)
        self._requests.dial(endpoint, Hello(facts, challenge), now, HANDSHAKE_S, then)

    def _on_welcome(
        self,
        endpoint: Endpoint,
        expected: PeerId | None,
        challenge: bytes,
        sent: float,
        goes_on: GoesOn,
        outcome: Outcome,
        reply: PeerReply,
        now: float,
    ) -> None:
        if not isinstance(reply, Welcome):
            outcome(_failure(reply), now)
            return
        facts = reply.facts
        if reason := self.objection(facts, now):
            outcome(Refusal(reason), now)
            return
        them = peer_id(facts.public_key)
        if expected not in (None, them):
            outcome(Failed(ANOTHER), now)
            return
        ids, challenges = (self._identity.id, them), (challenge, reply.challenge)
        ours, theirs = (handshake_digest(facts.network_id, side, ids, challenges) for side in HandshakeSide)
        if not self._identity.is_proof(facts.public_key, reply.proof, theirs):
            outcome(Refusal(Reason.BAD_PROOF), now)
            return
        goes_on(Met(facts, Link(them, endpoint, reply.token), now - sent), ours, outcome, now)

    def _confirm(self, met: Met, ours: bytes, outcome: Outcome, now: float) -> None:
        confirm = Confirm(met.link.token, self._identity.prove(ours))
        then = partial(self._on_confirmed, met, now, outcome)
        self._requests.send(met.link, confirm, now, HANDSHAKE_S, then)

    def _on_confirmed(self, met: Met, sent: float, outcome: Outcome, reply: PeerReply, now: float) -> None:
        # Of the two requests the second is measured: the first may have waited behind other greetings.
        if not isinstance(reply, Ok):
            outcome(_failure(reply), now)
            self._hang_up(met.link.peer)
            return
        outcome(replace(met, round_trip_s=now - sent), now)


def _failure(reply: PeerReply) -> Failed | Refusal:
    assert isinstance(reply, Failed | Refusal), "a route has one kind of reply, and refusals"
    return reply
