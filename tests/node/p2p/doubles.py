"""Stand-ins for the parts of a node that talk with peers."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from chain.hashes import BlockHash
from node.interface.endpoint import Endpoint, Link, PeerId
from node.interface.messages import PROTOCOL_VERSION, SERVES_BLOCKS, Facts
from node.p2p.connections.peer import Peer


def facts(instance: bytes = bytes(8), tip: BlockHash = BlockHash(bytes(32)), services: int = SERVES_BLOCKS) -> Facts:  # noqa: B008
    """What a peer says of itself."""
    listen = Endpoint("", 18444)
    return Facts(PROTOCOL_VERSION, bytes(33), bytes(32), instance, listen, services, "double", 0, 0, tip)


@dataclass
class FakeConnections:
    """Peers as the lab says, in the place of `ConnectionManager`."""

    link: Callable[[PeerId], Link | None]
    punish: Callable[[PeerId, str, float], None] = lambda peer, offence, now: None
    is_outbound: Callable[[PeerId], bool] = lambda peer: False
    reaches_us: Callable[[PeerId], bool] = lambda peer: True
    facts: Callable[[PeerId], Facts] = lambda peer: facts()
    gone: set[PeerId] = field(default_factory=set)

    def get(self, peer: PeerId) -> Peer | None:
        return None if peer in self.gone else self[peer]

    def __getitem__(self, peer: PeerId) -> Peer:
        outbound = self.is_outbound(peer)
        return Peer(peer, 1, self.facts(peer), "10.0.0.1", outbound, 0.0, 0.0, self.link(peer), has_spoken=True)

    def peers(self) -> Iterable[Peer]:
        return ()

    def where(self, peer: PeerId) -> str:
        return peer.hex()


class FakeScoring:
    """Takes note of what peers are said to have done, in the place of `PeerScoring`."""

    def __init__(self) -> None:
        self.deeds: list[tuple[PeerId, Any]] = []

    def note(self, peer: PeerId, deed: Any, now: float, times: float = 1.0) -> None:
        self.deeds.append((peer, deed))

    def took_block(self, peer: PeerId, block_hash: BlockHash, size: int) -> None:
        pass
