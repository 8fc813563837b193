"""Eviction of an inbound peer for a newcomer when all places are taken, as in Bitcoin Core.

An attacker can have any number of addresses and be as quick as it likes in one respect; whoever
is good in any of several is safe, and of the others goes the youngest of the network group that
has most. (SelectNodeToEvict in Bitcoin Core's eviction.cpp.)
"""

import hashlib
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass

from node.interface.endpoint import PeerId
from node.p2p.scoring.peer_score import CHOKE, PREFER

PROTECTED_GROUPS = 4
"""Peers kept by network group, in an order that nobody outside can tell."""
PROTECTED_NEAR = 8
"""Number of peers protected for their low round-trip time."""
PROTECTED_TXS = 4
"""Number of peers protected for the last new valid transactions."""
PROTECTED_BLOCKS = 4
"""Number of peers protected for the last new valid blocks."""
PROTECTED_GOOD = 4
"""Preferred ones, the best first: what else they did well over hours."""
PROTECTED_OLD = 0.5
"""Share of the rest: those that are here longest."""


@dataclass(frozen=True, slots=True)
class EvictionCandidate:
    """A peer that greeted us."""

    id: PeerId
    group: Hashable
    """The peer's network group."""
    since: float
    """Time of its handshake."""
    round_trip_s: float | None
    """The least measured; None if none was."""
    last_block: float
    """Time when it last brought a valid block first; 0 for never."""
    last_tx: float
    """Time when it last brought a valid transaction first; 0 for never."""
    score: float


def choose_victim(candidates: Collection[EvictionCandidate], salt: bytes) -> PeerId | None:
    """The peer to evict; None if everybody is protected. `salt` is our secret.

    A bad record makes one the first to go among those that are not protected.
    """
    left = sorted(candidates, key=lambda peer: (peer.since, peer.id))
    left = _without(left, PROTECTED_GROUPS, lambda peer: _keyed(peer.group, salt))
    left = _without(left, PROTECTED_NEAR, _nearness, lambda peer: peer.round_trip_s is not None)
    left = _without(left, PROTECTED_TXS, lambda peer: peer.last_tx, lambda peer: peer.last_tx > 0)
    left = _without(left, PROTECTED_BLOCKS, lambda peer: peer.last_block, lambda peer: peer.last_block > 0)
    left = _without(left, PROTECTED_GOOD, lambda peer: peer.score, lambda peer: peer.score >= PREFER)
    left = _without(left, int(len(left) * PROTECTED_OLD), lambda peer: -peer.since)
    left = [peer for peer in left if peer.score <= CHOKE] or left
    return _youngest_of_largest_group(left).id if left else None


def _without(
    peers: list[EvictionCandidate],
    count: int,
    merit: Callable[[EvictionCandidate], float],
    deserves: Callable[[EvictionCandidate], bool] = lambda peer: True,
) -> list[EvictionCandidate]:
    """The candidates left when the `count` with most merit are safe."""
    best = {peer.id for peer in sorted(filter(deserves, peers), key=merit, reverse=True)[:count]}
    return [peer for peer in peers if peer.id not in best]


def _nearness(peer: EvictionCandidate) -> float:
    assert peer.round_trip_s is not None
    return -peer.round_trip_s


def _keyed(group: Hashable, salt: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(repr(group).encode(), key=salt, digest_size=8).digest(), "big")


def _youngest_of_largest_group(peers: list[EvictionCandidate]) -> EvictionCandidate:
    """The largest group's youngest peer; of groups of one size, that with the youngest member."""
    groups: dict[Hashable, list[EvictionCandidate]] = {}
    for peer in peers:
        groups.setdefault(peer.group, []).append(peer)
    largest = max(groups.values(), key=lambda members: (len(members), max(peer.since for peer in members)))
    return max(largest, key=lambda peer: (peer.since, peer.id))
