"""The mempool's parts; `node/mempool.py` puts them together.

Reading order is import order: entry, view, graph, replacement, staging, eviction, tipchange;
orphans and dump stand by themselves. Pure: no I/O, clock, threads or randomness.
"""
