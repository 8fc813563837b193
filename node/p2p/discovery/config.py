"""The ways of finding nodes that this node uses, together."""

from dataclasses import dataclass, field
from enum import Enum

from node.interface.endpoint import Endpoint, PeerId
from node.interface.messages import Addresses, AnnounceAddress, FindNode, GetAddresses, Nodes, Ok, Reply, Request
from node.p2p.discovery.base import CombinedDiscovery, Discovery, DiscoveryContext, NoDiscovery
from node.p2p.discovery.bootstrap import Bootstrap
from node.p2p.discovery.gossip import Gossip
from node.p2p.discovery.kademlia import Kademlia
from node.p2p.discovery.tracker import Tracker


class DiscoveryMethod(Enum):
    """Ways of finding nodes that an operator can choose."""

    GOSSIP = "gossip"
    KADEMLIA = "kademlia"
    TRACKER = "tracker"


@dataclass(frozen=True, slots=True)
class DiscoveryConfig:
    """The choice of ways to find nodes."""

    ways: frozenset[DiscoveryMethod] = frozenset({DiscoveryMethod.GOSSIP, DiscoveryMethod.KADEMLIA})
    """TRACKER stands alone: such a node introduces others, and does nothing else."""
    bootstrap: tuple[Endpoint, ...] = field(default=())
    """Nodes to begin with."""

    @property
    def only_introduces(self) -> bool:
        """The node is a tracker: it takes no part in the chain."""
        return DiscoveryMethod.TRACKER in self.ways


class Silent(NoDiscovery):
    """The answers of a node that does not take part: it knows nobody."""

    def serve(self, peer: PeerId, request: Request, now: float) -> Reply | None:
        """Nothing to tell."""
        match request:
            case GetAddresses():
                return Addresses(())
            case FindNode():
                return Nodes(())
            case AnnounceAddress():
                return Ok()
        return None


def make_discovery(finding: DiscoveryConfig, context: DiscoveryContext) -> Discovery:
    """All that was chosen, as one."""
    if finding.only_introduces:
        return CombinedDiscovery((Bootstrap(finding.bootstrap, context), Tracker(context)))
    makers = {DiscoveryMethod.GOSSIP: Gossip, DiscoveryMethod.KADEMLIA: Kademlia}
    chosen = [make(context) for way, make in makers.items() if way in finding.ways]
    return CombinedDiscovery((Bootstrap(finding.bootstrap, context), *chosen, Silent()))
