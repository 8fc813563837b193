"""JSON-RPC as Bitcoin Core's: the envelope, how a method is declared, and the methods by topic."""
