"""The node's parts that all of block sync works with."""

from dataclasses import dataclass

from node.chainstate.chainstate import Chainstate
from node.p2p.block_sync.pending_jobs import PendingJobs
from node.p2p.connections.connection_manager import ConnectionManager
from node.p2p.connections.peer_services import PeerServices
from node.p2p.connections.pending_requests import PendingRequests
from node.p2p.scoring.peer_scoring import PeerScoring


@dataclass(frozen=True, slots=True)
class BlockSyncContext:
    """The owners of what headers and blocks are asked of, judged by and credited to."""

    chain: Chainstate
    requests: PendingRequests
    jobs: PendingJobs
    connections: ConnectionManager
    services: PeerServices
    scoring: PeerScoring
