"""Answers of the node's two listeners: the API's (`app.py`) and the peers' (`p2p.py`, `p2p_gate.py`).

A request of the API: `http` reads it, with limits before bytes; `app.py` checks host, origin and credentials
(`routing/auth.py`) and finds its route (`routing/dispatcher.py`); the handler reads one `NodeView` through its `Call`
(`context.py`) or asks the core for a change through the runtime; it returns a `Response`.

Packages in reading order: http (the server), routing, encoding (JSON, asm, merkleblock), query (look-ups),
services (state beyond one request), actions (what REST and JSON-RPC have in common), rest, rpc, docs (OpenAPI),
explorer (web pages). `chainless.py` is for nodes that follow no chain.
"""
