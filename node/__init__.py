"""groatd: a full node. Its packages, from the ground up, and where a change goes are in ARCHITECTURE.md.

Files of this folder alone: the command line (`cli.py`, `config.py`), the node put together
(`daemon.py`), verify and reindex (`ledger_tools.py`), log lines (`logs.py`), secrets (`secret_files.py`).
"""
