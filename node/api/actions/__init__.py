"""What REST, JSON-RPC and the explorer do to the node in common: submit a transaction or a package, name a peer."""
