"""Questions to nodes that are not peers: greeted as a visitor, asked, left again.

And the other side of it: visitors here get an answer, and are no peers.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass

from node.interface.disconnect_reason import DisconnectReason
from node.interface.effects import Failed, PeerReply
from node.interface.endpoint import Endpoint, Link, PeerId
from node.interface.messages import Bye, Neighbour, Reason, Refusal, Request
from node.p2p.addrman.dial_budget import DialBudget, Rate
from node.p2p.addrman.net_address import is_dialable
from node.p2p.connections.handshake import Met
from node.p2p.connections.pending_requests import Then
from node.p2p.discovery.base import DiscoveryContext

VISITS_MAX = 4
"""Probes under way at once: those of one search, and a test."""
QUESTION_S, BYE_S = 10.0, 5.0
"""Deadlines of the question and of the farewell."""
VISIT_S = 35.0
"""After this a visit is over, whatever became of it: both halves of a handshake and the question."""
REST_S, REST_LOCAL_S = 600.0, 5.0
"""An endpoint where nobody of that id answered is not visited again for so long."""
RESTING_MAX = 1_000
"""Endpoints that are not asked again soon; beyond, the oldest is forgotten."""
BY_TARGET, BY_TARGET_LOCAL = Rate(4, 1 / 120), Rate(40, 4.0)
"""Probes to one address."""
IN_TOTAL, IN_TOTAL_LOCAL = Rate(64, 0.5), Rate(200, 20.0)
"""All visits."""
LINGER_S = 5.0
"""After a visit its connections are closed so much later: a visit often ends in becoming peers."""
VISITORS_MAX = 32
"""Visitors here at once; with one more the oldest goes."""
VISITOR_S = 30.0
"""Longest stay of a visitor."""


@dataclass(slots=True, eq=False)
class _Probe:
    neighbour: Neighbour
    request: Request
    then: Then
    until: float


class Probes:
    """Probes to other nodes."""

    def __init__(self, context: DiscoveryContext) -> None:
        local = context.allow_local
        self._context = context
        self._rest_s = REST_LOCAL_S if local else REST_S
        by_target, in_total = (BY_TARGET_LOCAL, IN_TOTAL_LOCAL) if local else (BY_TARGET, IN_TOTAL)
        self._budget = DialBudget(by_target, by_target, in_total, local)
        self._under_way: list[_Probe] = []
        self._resting: OrderedDict[Endpoint, float] = OrderedDict()
        self._leaving: dict[PeerId, float] = {}
        """Nodes visited, with the time from which the connections may be closed."""

    @property
    def has_room(self) -> bool:
        """True if another visit may begin."""
        return len(self._under_way) < VISITS_MAX

    def ask(self, neighbour: Neighbour, request: Request, now: float, then: Then) -> bool:
        """Visit a node and ask it; `then` gets the answer or Failed, always. False: it cannot be visited now."""
        endpoint = neighbour.endpoint
        is_allowed = is_dialable(endpoint, self._context.allow_local) and self._resting.get(endpoint, now) <= now
        if not (is_allowed and self.has_room and self._budget.spend(None, endpoint.host, now)):
            return False
        visit = _Probe(neighbour, request, then, now + VISIT_S)
        self._under_way.append(visit)

        def outcome(met: Met | Failed | Refusal, now: float) -> None:
            self._on_outcome(visit, met, now)

        self._context.greet(endpoint, neighbour.id, now, outcome)
        return True

    def tick(self, now: float) -> None:
        """Give up what has taken too long, close what is no longer used."""
        lost = [visit for visit in self._under_way if now > visit.until]
        for visit in lost:
            self._end(visit, Failed("the visit took too long"), now)
        for peer, at in list(self._leaving.items()):
            if at <= now and not self._context.is_busy(peer):
                del self._leaving[peer]
                if not self._context.is_peer(peer):
                    self._context.close(peer, DisconnectReason.VISIT_OVER)

    def _on_outcome(self, visit: _Probe, met: Met | Failed | Refusal, now: float) -> None:
        """Take the end of a greeting: it proves the endpoint, or nobody is there."""
        if not isinstance(met, Met):
            # Where we have met ourselves there will never be anybody else.
            rest_s = math.inf if met == Refusal(Reason.SELF) else self._rest_s
            self._resting[visit.neighbour.endpoint] = now + rest_s
            self._resting.move_to_end(visit.neighbour.endpoint)
            if len(self._resting) > RESTING_MAX:
                self._resting.popitem(last=False)
            self._end(visit, met, now)
            return

        def then(reply: PeerReply, now: float) -> None:
            self._end(visit, reply, now)
            self._leave(met.link, now)

        self._leaving[met.link.peer] = now + LINGER_S
        self._context.has_met(visit.neighbour.id, visit.neighbour.endpoint, now)
        self._context.ask(met.link, visit.request, now, QUESTION_S, then)

    def _end(self, visit: _Probe, reply: PeerReply, now: float) -> None:
        if visit not in self._under_way:
            return  # it was given up before
        self._under_way.remove(visit)
        visit.then(reply, now)

    def _leave(self, link: Link, now: float) -> None:
        """Say goodbye, unless we have become peers meanwhile."""
        if self._context.link(link.peer):
            return
        self._leaving[link.peer] = now + LINGER_S
        self._context.ask(link, Bye(), now, BYE_S, lambda reply, now: None)


class ProbedBy:
    """Probes of this node by others."""

    def __init__(self) -> None:
        self._here: OrderedDict[PeerId, float] = OrderedDict()
        """Visitors, each with the time at which it has to go."""

    def __contains__(self, peer: PeerId) -> bool:
        return peer in self._here

    def came(self, peer: PeerId, now: float) -> list[PeerId]:
        """A visitor has confirmed its greeting. Returns who has to go instead."""
        self._here[peer] = now + VISITOR_S
        self._here.move_to_end(peer)
        return list(self._here)[: max(0, len(self._here) - VISITORS_MAX)]

    def went(self, peer: PeerId) -> None:
        """Forget a visitor that is gone, or a peer from now on."""
        self._here.pop(peer, None)

    def overdue(self, now: float) -> list[PeerId]:
        """The visitors that have stayed too long."""
        return [peer for peer, until in self._here.items() if until < now]
