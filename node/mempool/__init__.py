"""The mempool's parts; `node/mempool/mempool.py` puts them together.

Reading order is import order: entry, relations, scripts, view, worst, graph, inputs, replacement, eviction, staging,
trial, packages, tipchange; orphans and dump stand by themselves. Pure: no I/O, clock, threads or randomness.
"""
