"""Every JSON-RPC method."""

from node.api import (
    rpc_blockchain,
    rpc_coins,
    rpc_control,
    rpc_create,
    rpc_descriptors,
    rpc_filters,
    rpc_generate,
    rpc_indexes,
    rpc_mempool,
    rpc_mining,
    rpc_network,
    rpc_proofs,
    rpc_rawtx,
    rpc_scan,
    rpc_scripts,
    rpc_stats,
    rpc_template,
    rpc_waiting,
    rpc_zmq,
)
from node.api.rpc_method import Method

METHODS: tuple[Method, ...] = rpc_control.with_help(
    (
        *rpc_blockchain.METHODS,
        *rpc_coins.METHODS,
        *rpc_control.METHODS,
        *rpc_create.METHODS,
        *rpc_descriptors.METHODS,
        *rpc_indexes.METHODS,
        *rpc_filters.METHODS,
        *rpc_generate.METHODS,
        *rpc_mempool.METHODS,
        *rpc_mining.METHODS,
        *rpc_network.METHODS,
        *rpc_proofs.METHODS,
        *rpc_rawtx.METHODS,
        *rpc_scan.METHODS,
        *rpc_scripts.METHODS,
        *rpc_stats.METHODS,
        *rpc_zmq.METHODS,
        *rpc_template.METHODS,
        *rpc_waiting.METHODS,
    )
)
"""By topic; names are unique."""
