"""Every route of the API but JSON-RPC."""

from node.api.rest import blocks, description, events, filters, mempool, metrics, network, peers, scripts, txs
from node.api.routing.route import Route

CHAIN_ROUTES: tuple[Route, ...] = (
    *blocks.ROUTES,
    *txs.ROUTES,
    *scripts.ROUTES,
    *mempool.ROUTES,
    *filters.ROUTES,
)
"""Routes about the chain and the mempool on it."""
ROUTES: tuple[Route, ...] = (
    *CHAIN_ROUTES,
    *network.ROUTES,
    *peers.ROUTES,
    *events.ROUTES,
    *metrics.ROUTES,
    *description.ROUTES,
)
"""Every route of the API but JSON-RPC's `POST /`."""
