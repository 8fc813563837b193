"""Peers: their protocol and what they are trusted with, without sockets, clock or threads.

`net_processing.py` (`PeerManager`) puts it together. A request: `PeerManager.handle` finds the peer's session, holds
it to `scoring` (roles, choking), and gives it to the package that the message belongs to; what comes back is a reply
and effects. (Rate limits are charged at the listener, before a body is read: `node/api/p2p_gate.py`.) The answer to a
request of ours comes back through `PeerManager.on_answer`, which calls whoever waits for it
(`connections/pending_requests.py`).

Packages in reading order: wire (messages and bytes), addrman (known endpoints), scoring (scores, bans, eviction,
limits), connections (handshake, sessions, outbound), discovery (ways of finding nodes), block_sync (headers, blocks,
compact blocks), tx_relay (transactions), longpoll (peers that nobody can dial). `peer_info.py` is one peer as
operators see it.
"""
