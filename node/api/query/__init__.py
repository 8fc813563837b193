"""Reads of a `NodeView`: blocks, transactions, spenders (queries), and their JSON as Esplora's (esplora_json);
would a block be valid on the tip (block_proposal)."""
