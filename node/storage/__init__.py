"""Blocks, ledger and filters on disk, behind the ports of node/interface/effects.py.

`kv.py` is the small key-value port below everything, `leveldb.py` and `memory.py` are its two sides; `schema.py`
says what lies where. `ledger.py` writes and `reader.py` reads, `opening.py` opens, checks and mends
(`directory.py`, `headers.py`, `salvage.py`). `indexes.py`, `summaries.py`, `parts.py` and `coincache.py` are
what they work with; `filters.py` is a database of its own.
"""
