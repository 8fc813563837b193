"""Connections with peers: identities, handshake, sessions, outbound connections, requests that wait for an answer.

A peer: either it greets us or `outbound.py` dials it; `handshake.py` proves both identities; `ConnectionManager`
keeps its session and token, makes room for it by an eviction if all places are taken, and ends it.

Reading order: identity, pending_requests, handshake, outbound, connection_manager.
"""
