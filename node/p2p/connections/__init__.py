"""Connections with peers: identities, handshake, sessions, outbound connections, requests that wait for an answer.

A peer: either it greets us or `outbound.py` dials it; `handshake.py` proves both identities; `ConnectionManager`
keeps its session and token, has `inbound.py` make room for it by an eviction if all places are taken, and ends it.

Reading order: peer, identity, pending_requests, handshake, outbound, inbound, connection_manager, peer_services (what
each peer offers).
"""
