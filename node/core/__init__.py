"""The node as a value machine: chainstate, mempool and peers composed, without sockets, threads or clock."""
