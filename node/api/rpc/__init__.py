"""JSON-RPC as Bitcoin Core's: the envelope, how a method is declared, and the methods by topic.

A request: `server.py` reads a call or a batch within `limits.py`, finds the method in `table.py`, reads its parameters
(`method.py`, `args.py`), calls it and wraps what it returns in one of the two forms of `envelope.py`. Methods are in
blockchain, mempool, rawtx, mining, generate, network, control and others, as in Core's `help`.
"""
