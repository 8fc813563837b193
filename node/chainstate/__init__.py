"""The single writer: which blocks there are, which chain is the best, what the ledger holds.

A block: `examine` checks it without the lock, `Chainstate.submit_block` gives it a place in the tree and stores
the body, `Chainstate.advance` connects it as part of a `ChainUpdate` and returns the signatures to verify,
`Chainstate.verified` commits. A reorganisation of any depth is one `ChainUpdate`, so one atomic write.

Reading order: block_cache (decoded blocks in memory), stale_blocks (blocks beside the best chain, and their
limit), reorg (`ChainUpdate`, `ConnectBatch`), chainstate. No I/O but the `Store`'s, no clock, threads or randomness.
"""
