"""Blocks, ledger and block filters on disk, behind the `Store` port of `node/interface/storage.py`.

Owns the data directory: the databases `blocks/` (bodies, headers, undo, marks), `ledger/` (coins, indexes, tip) and
`filters/`. The keys and values of the first two are the tables at the top of `schema.py`.

A commit: undo is written to `blocks/`, synced; then one synced batch to `ledger/` changes coins (`ledger.py`),
indexes (`indexes.py`, `script_summaries.py`), tip and digest. Reads (`reader.py`) are of the databases as they are or
of one snapshot. A start (`recovery.py`) takes the directory (`data_dir.py`), reads the headers (`headers.py`), tells
whether anything is lost (`ledger_check.py`), and then repairs `blocks/` (`salvage.py`, `table_salvage.py`) or has the
ledger made anew.

Reading order: kv, memory and leveldb (the two databases behind it), chunks, schema, script_summaries, indexes,
coins_cache, reader, headers, ledger, table_salvage, salvage, data_dir, scratch_copy, ledger_check, recovery;
filters by itself.
"""
