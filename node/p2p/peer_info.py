"""One peer as operators see it."""

from collections.abc import Callable
from dataclasses import dataclass

from chain.blocktree import fork_point
from node.chainstate.chainstate import Chainstate
from node.interface.endpoint import Endpoint, PeerId
from node.p2p.block_sync.block_sync import BlockSync
from node.p2p.connections.connection_manager import ConnectionManager
from node.p2p.connections.peer import Peer
from node.p2p.scoring.peer_score import Grade
from node.p2p.scoring.peer_scoring import PeerScoring
from node.p2p.scoring.service_flags import Role, role_of


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """One peer, as operators see it."""

    number: int
    """Counts up from 1 in the order of arrival."""
    id: PeerId
    endpoint: Endpoint | None
    """The endpoint where it listens; None if nowhere."""
    host: str
    """The address it was seen at."""
    outbound: bool
    """We greeted first."""
    static: bool
    """The operator wants it kept."""
    agent: str
    version: int
    services: int
    since: float
    """Unix time of the handshake."""
    heard: float
    """Unix time of its last message."""
    round_trip_s: float | None
    starting_height: int
    """Height of its tip at the handshake."""
    synced_headers: int
    """Height of the best header it is known to have, from what it announced, asked for and was sent; -1 if none."""
    synced_blocks: int
    """Height of the last block that both have; -1 if not known."""
    in_flight: tuple[int, ...]
    """Heights of the blocks being fetched from it."""
    role: Role
    """The role that its services come to."""
    score: float
    """Points for what it did, fading; see peer_score.py."""
    why: tuple[tuple[str, float], ...]
    """The score's reasons and points, the weightiest first."""
    grade: Grade
    """The grade that the score comes to."""
    choked: bool
    """True if the peer would be refused old blocks and long runs of headers just now."""
    bytes_sent: int
    """Bytes of messages to it in this session, HTTP's own left out."""
    bytes_received: int
    first_blocks: int
    """Valid blocks that it was the first to deliver in this session."""
    first_txs: int
    """Valid transactions that it was the first to deliver in this session."""
    last_block: float
    """Unix time of the last of these; 0 for never."""
    last_tx: float
    least_round_trip_s: float | None
    """The least round-trip time of all requests; None before the first answer."""
    clock_ahead_s: float | None
    """The peer's clock less ours at the handshake, in seconds; None if it did not say."""
    blocks_only: bool
    """Neither transactions nor addresses go between us."""
    discovered_by: str
    """The way it was discovered: operator, itself (it greeted us), bootstrap, or which way of finding nodes
    was the first to name it; address book if that was before the last restart."""

    @property
    def connection_type(self) -> str:
        """The kind of connection, in Bitcoin Core's words."""
        if self.static:
            return "manual"
        if not self.outbound:
            return "inbound"
        return "block-relay-only" if self.blocks_only else "outbound-full-relay"


def describe_peer(
    connections: ConnectionManager,
    sync: BlockSync,
    chain: Chainstate,
    scoring: PeerScoring,
    found_by: Callable[[Endpoint], str],
    now: float,
    peer: Peer,
) -> PeerInfo:
    """All that is known of a peer. `found_by` tells which way of finding nodes first named an endpoint."""
    best, has, tip, tree = sync.known.headers_of(peer.id), sync.known.blocks_of(peer.id), chain.tip, chain.tree
    common = fork_point(has, tip) if has else None
    flying = (h for h, owner in sync.download.in_flight().items() if owner == peer.id)
    is_static, tally = connections.outbound.is_static(peer.id), scoring.tally(peer.id)
    wall = chain.time.wall
    chosen_by = found_by(peer.endpoint) if peer.outbound and peer.endpoint else "itself"
    return PeerInfo(
        number=peer.number,
        id=peer.id,
        endpoint=peer.endpoint,
        host=peer.host,
        outbound=peer.outbound,
        static=is_static,
        agent=peer.facts.agent,
        version=peer.facts.version,
        services=peer.facts.services,
        since=wall.at(peer.since),
        heard=wall.at(peer.heard),
        round_trip_s=peer.round_trip_s,
        starting_height=peer.facts.height,
        synced_headers=best.height if best else -1,
        synced_blocks=common.height if common else -1,
        in_flight=tuple(entry.height for block_hash in flying if (entry := tree.get(block_hash))),
        role=role_of(peer.facts.services),
        score=round(scoring.scores.score(peer.id, now), 2),
        why=scoring.scores.why(peer.id, now),
        grade=scoring.scores.grade(peer.id, now),
        choked=scoring.is_choked(peer.id),
        bytes_sent=tally.bytes_sent,
        bytes_received=tally.bytes_received,
        first_blocks=tally.first_blocks,
        first_txs=tally.first_txs,
        last_block=0.0 if tally.last_block is None else wall.at(tally.last_block),
        last_tx=0.0 if tally.last_tx is None else wall.at(tally.last_tx),
        least_round_trip_s=peer.least_round_trip_s,
        clock_ahead_s=peer.clock_ahead_s,
        blocks_only=peer.blocks_only,
        discovered_by="operator" if is_static else chosen_by,
    )
