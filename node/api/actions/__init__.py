"""Actions common to REST, JSON-RPC and the explorer: submit a transaction or a package, describe a peer.

core_errors: Core's error codes and words. submit_tx, submit_package: a transaction's and a package's way to the
core. peer_json: one peer as JSON.
"""
