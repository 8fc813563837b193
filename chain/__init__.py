"""Pure consensus: no I/O, clock, randomness, threads or logging below this package.

`_sha256d.c` is an optional part, for speed alone.

Reading order is import order: frozen, errors, ripemd160, _sha256d, hashes, base58, codec, tx, block,
target, params, pow, headerfacts, keys, bip32, scripttype, address, coins, script, check, blocktree, connect,
validate, headertrail, blocktemplate.
"""
