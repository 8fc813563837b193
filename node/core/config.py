"""Options of the core."""

from dataclasses import dataclass, field

from node.interface.endpoint import Endpoint
from node.p2p.config import PeerManagerConfig


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """The choices of whoever runs the node."""

    p2p: PeerManagerConfig = field(default_factory=PeerManagerConfig)
    peers: tuple[Endpoint, ...] = ()
    """Nodes to greet and to stay linked with."""
    coinbase_tag: bytes = b""
    """The miner's name in the blocks that it makes."""
