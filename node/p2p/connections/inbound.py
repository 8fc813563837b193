"""Places for peers that greet us: who gets one, and who makes room for another.

Nothing is known of a greeter before its handshake is over, so it is asked twice: the first answer keeps the costly
part from those who would be refused, the second one counts.
"""

from collections.abc import Mapping

from node.interface.endpoint import Endpoint, PeerId
from node.interface.messages import Facts, Reason
from node.p2p.addrman.addrman import AddrMan
from node.p2p.connections.identity import peer_id
from node.p2p.connections.outbound import OutboundConnections
from node.p2p.connections.peer import Peer, is_visit
from node.p2p.scoring.banman import RollingSet
from node.p2p.scoring.eviction import EvictionCandidate, choose_victim
from node.p2p.scoring.peer_score import Grade
from node.p2p.scoring.peer_scoring import PeerScoring

INBOUND_MAX = 117
"""Peers that greeted us; for one more, another has to make room."""
EVICTED_S, EVICTED_MAX = 60.0, 1_000
"""Seconds in which an evicted peer takes nobody else's place; so many are remembered at least."""


class InboundSlots:
    """The places of peers that greeted us."""

    def __init__(
        self,
        peers: Mapping[PeerId, Peer],
        outbound: OutboundConnections,
        addrman: AddrMan,
        scoring: PeerScoring,
        salt: bytes,
    ) -> None:
        """`peers` are all there are, live; `salt` is our secret, by which nobody can tell who is safe."""
        self._peers = peers
        self._outbound = outbound
        self._addrman = addrman
        self._scoring = scoring
        self._salt = salt
        self._evicted: RollingSet[PeerId] = RollingSet(EVICTED_MAX, EVICTED_S)

    def refusal(self, facts: Facts, host: str, now: float) -> Reason | None:
        """The reason to send a newcomer away, if there is one."""
        them = peer_id(facts.public_key)
        if self.is_unwelcome(them, now) or self._scoring.discouraged.has_host(host, now):
            return Reason.DISCOURAGED
        if not self._is_full_for(facts):
            return None
        # Else those without a place would push each other out again and again.
        return Reason.BUSY if self._evicted.has(them, now) or self._victim(now) is None else None

    def is_unwelcome(self, peer: PeerId, now: float) -> bool:
        """True for one that broke the rules, or whose score has not recovered from what it was dropped for."""
        return self._scoring.discouraged.has_id(peer, now) or (self._scoring.scores.grade(peer, now) is Grade.DROP)

    def evict_for(self, facts: Facts, now: float) -> PeerId | None:
        """The peer to be dropped for a newcomer that has proved who it is; None if there is a place left."""
        if not self._is_full_for(facts) or not (victim := self._victim(now)):
            return None
        self._evicted.add(victim, now)
        return victim

    def _is_full_for(self, facts: Facts) -> bool:
        """True if there is no place left for this newcomer. Visitors take none (probes.py limits them)."""
        known = self._peers.get(peer_id(facts.public_key))
        if is_visit(facts) or (known and not known.is_visitor):
            return False
        return sum(1 for peer in self._peers.values() if not peer.outbound and not peer.is_visitor) >= INBOUND_MAX

    def _victim(self, now: float) -> PeerId | None:
        """The peer to evict for a newcomer; None if all are to be kept."""
        candidates = []
        for peer in self._peers.values():
            if peer.outbound or peer.is_visitor or self._outbound.is_static(peer.id):
                continue
            # By the address it comes from: where it says that it listens it may be lying.
            listen = peer.facts.listen
            group = self._addrman.group(Endpoint(peer.host, listen.port if listen else 0))
            tally, score = self._scoring.tally(peer.id), self._scoring.scores.score(peer.id, now)
            times = tally.last_block or 0.0, tally.last_tx or 0.0
            candidates.append(EvictionCandidate(peer.id, group, peer.since, peer.least_round_trip_s, *times, score))
        return choose_victim(candidates, self._salt)
