"""THE lock, the threads, the clock and the sockets to peers: everything that the core is kept free of.

A call: `Runtime.call` takes the lock, calls the core with the time, publishes a new `NodeView` if the tip has moved,
lets go of the lock and carries the effects out: requests go to a queue a peer (request_sender, request_queues)
and out by http_client, signatures to the verifiers, events to their followers; a caller whose reply is
`Park` waits (parking).

Reading order: protocols, traffic_counters, http_client, request_queues, request_sender, parking, runtime.
"""
