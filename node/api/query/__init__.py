"""Reads of a `NodeView`: blocks, transactions, spenders (queries), and their JSON as Esplora's (esplora_json)."""
