"""Ways of finding nodes, behind one port: gossip, Kademlia, a tracker, bootstrap nodes.

An address: a way asks peers, or probes nodes that are not peers (probes), and gives what they tell to the address
manager, which decides whether it is kept. Which ways a node uses is its `DiscoveryConfig`.

Reading order: base (the port), probes, bootstrap, gossip, kad_buckets, kad_lookup, kademlia, tracker, config (the
ways that a node uses), context (what a way may ask of the rest of the node).
"""
