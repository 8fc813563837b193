"""Every JSON-RPC method."""

from node.api.rpc import (
    blockchain,
    coins,
    control,
    create,
    descriptors,
    filters,
    generate,
    indexes,
    mempool,
    mining,
    network,
    proofs,
    rawtx,
    scan,
    scripts,
    stats,
    template,
    waitfor,
    zmq,
)
from node.api.rpc.method import Method

METHODS: tuple[Method, ...] = control.with_help(
    (
        *blockchain.METHODS,
        *coins.METHODS,
        *control.METHODS,
        *create.METHODS,
        *descriptors.METHODS,
        *indexes.METHODS,
        *filters.METHODS,
        *generate.METHODS,
        *mempool.METHODS,
        *mining.METHODS,
        *network.METHODS,
        *proofs.METHODS,
        *rawtx.METHODS,
        *scan.METHODS,
        *scripts.METHODS,
        *stats.METHODS,
        *zmq.METHODS,
        *template.METHODS,
        *waitfor.METHODS,
    )
)
"""Methods by topic; names are unique."""
