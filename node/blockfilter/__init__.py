"""Basic block filters (BIP157, BIP158), made in the background.

Reading order is import order: siphash, gcs (one block's filter), index (those of the best chain, over
`node/storage/filters.py`), keeper (the thread that makes them).
"""
