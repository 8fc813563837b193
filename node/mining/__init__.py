"""Mining: the nonce search in processes of their own, the pool of them, and the loop that gives them work.

A block: `supervisor.py` takes a template from the core and gives its header to the miner processes (miner_pool), each
of which tries its own part of the nonces; the first solution is submitted as any other block.

Reading order: hash_loop (`_hashloop.c` or hashlib), miner_process, miner_pool, supervisor.
"""
