"""A peer as the API tells of it; what JSON-RPC adds in Core's words is in rpc/network.py."""

from node.api.context import Call
from node.api.encoding.json_codec import Shape
from node.interface.messages import BLOCKS_ONLY, MINES, RELAYS, SERVES_BLOCKS, SERVES_HEADERS, SERVES_RECENT
from node.p2p.peer_info import PeerInfo

SERVICE_NAMES = (
    (SERVES_BLOCKS, "NETWORK"),
    (SERVES_RECENT, "NETWORK_LIMITED"),
    (RELAYS, "RELAY"),
    (SERVES_HEADERS, "HEADERS"),
    (MINES, "MINER"),
    (BLOCKS_ONLY, "BLOCKS_ONLY"),
)
"""Bits of the services, in Core's words where Core has the bit."""


def all_peers(call: Call) -> tuple[PeerInfo, ...]:
    """All peers, in order of arrival."""
    return call.change(lambda core, now: core.peers(now))


def full_shape(call: Call, peer: PeerInfo) -> Shape:
    """Everything about a peer; docs/api.md says what each is."""
    carried = call.runtime.traffic.of(peer.id)
    return {
        "number": peer.number,
        "id": peer.id.hex(),
        "endpoint": str(peer.endpoint) if peer.endpoint else None,
        "address": peer.host,
        "direction": "out" if peer.outbound else "in",
        "connection_type": connection_type(peer),
        "discovered_by": peer.discovered_by,
        "agent": peer.agent,
        "version": peer.version,
        "role": peer.role.value,
        "services": service_names(peer.services),
        "round_trip_ms": _ms(peer.round_trip_s),
        "least_round_trip_ms": _ms(peer.least_round_trip_s),
        "clock_ahead_s": None if peer.clock_ahead_s is None else round(peer.clock_ahead_s, 3),
        "score": peer.score,
        "grade": peer.grade.value,
        "why": [{"reason": words, "points": points} for words, points in peer.why],
        "choked": peer.choked,
        "bytes_sent": carried.sent,
        "bytes_received": carried.received,
        "first_blocks": peer.first_blocks,
        "first_transactions": peer.first_txs,
        "last_block": int(peer.last_block) or None,
        "last_transaction": int(peer.last_tx) or None,
        "since": int(peer.since),
        "heard": int(peer.heard),
        "starting_height": peer.starting_height,
        "synced_headers": peer.synced_headers,
        "synced_blocks": peer.synced_blocks,
        "in_flight": list(peer.in_flight),
    }


def connection_type(peer: PeerInfo) -> str:
    """The kind of a connection. Feelers and visitors are not peers, so neither is ever seen here."""
    if peer.static:
        return "static"
    if not peer.outbound:
        return "inbound"
    return "block-only" if peer.blocks_only else "full"


def service_names(services: int) -> list[str]:
    """The services that a node offers, by name."""
    return [name for bit, name in SERVICE_NAMES if services & bit]


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
