"""Reads of the chain and the mempool, and Esplora's JSON of what they find."""
