"""Options of the peer-to-peer layer."""

from dataclasses import dataclass, field

from node.interface.endpoint import Endpoint
from node.p2p.discovery.config import DiscoveryConfig
from node.p2p.scoring.choking import BULK_BYTES_S
from node.p2p.scoring.service_flags import Role


@dataclass(frozen=True, slots=True)
class PeerManagerConfig:
    """The choices of whoever runs the node."""

    listen: Endpoint | None = None
    """Where peers are told that they can dial us: an empty host means the address that the other side sees.
    None: nowhere."""
    agent: str = "groat"
    """Our software, as peers are told."""
    minimum_work: int = 0
    """Branches with less work than this are not kept."""
    role: Role = Role.FULL
    """What this node does for others."""
    mines: bool = False
    """Peers are told that it looks for blocks."""
    bulk_bytes_s: int = BULK_BYTES_S
    """Old blocks and long runs of headers go out at this rate before they are rationed."""
    discovery: DiscoveryConfig = field(default_factory=DiscoveryConfig)
    """The ways of finding nodes."""

    @property
    def local_services(self) -> int:
        """The services that we advertise."""
        return 0 if self.discovery.only_introduces else self.role.services(mines=self.mines)
