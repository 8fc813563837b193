"""Basic block filters (BIP157, BIP158), made in the background.

A block: the thread of filter_builder waits until the node is idle, filter_index makes the filter of the next block
of the best chain (gcs) and its filter header, and stores both (`node/storage/filters.py`).

Reading order is import order: siphash, gcs (one block's filter), filter_index, filter_builder.
"""
