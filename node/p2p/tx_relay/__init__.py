"""Unconfirmed transactions between peers: announced in batches, asked for once, delivered.

An announcement: `TxAnnounce` takes its short txids, `TxRequest` decides which peer is asked for each and whom next
if that one does not deliver; what comes is offered to the mempool; what the mempool has accepted is announced at
random times, so that nobody sees where it started.

Reading order: context, tx_request, tx_announce.
"""
