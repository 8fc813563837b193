"""The node as a value machine: chainstate, mempool and peers composed, without sockets, threads or clock.

A call of `Node` returns a `Step`: a reply, and effects for the runtime. After each call it connects what can be
connected and sends the signatures out to be verified; their verdict comes back through `Node.handle`. Readers get a
`NodeView` (view), one consistent picture without the lock.

Reading order: config, view, event_publisher (events as effects), tip_log (a line for each new tip), tx_processing
(transactions' way into the mempool), node.
"""
