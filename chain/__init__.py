"""Pure consensus: no I/O, clock, randomness, threads or logging below this package.

Reading order is import order: value, errors, ripemd160, hashes, codec, tx, block,
compact, params, pow, keys, address, coins, script, check, tree, connect, template.
"""
