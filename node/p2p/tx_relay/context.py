"""The node's parts that transaction relay works with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chain.tx import Tx
from node.interface.endpoint import PeerId
from node.mempool.mempool import Mempool
from node.p2p.connections.connection_manager import ConnectionManager
from node.p2p.connections.pending_requests import PendingRequests
from node.p2p.scoring.peer_scoring import PeerScoring

TakeTxs = Callable[[PeerId, Sequence[Tx], float], None]
"""Takes transactions that a peer brought because it was asked to; for each, what became of it is to be told in the
end: `TxAnnounce.accepted`, `TxRequest.rejected` or `TxRequest.orphaned`."""


@dataclass(frozen=True, slots=True)
class TxRelayContext:
    """The owners of what transactions are asked of, offered to and judged by."""

    mempool: Mempool
    requests: PendingRequests
    connections: ConnectionManager
    scoring: PeerScoring
    is_paused: Callable[[], bool]
    """While it is true nothing is fetched."""
    take_txs: TakeTxs
