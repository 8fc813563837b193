"""Hashing headers on one core: each loop of the miner, beside OpenSSL's SHA-256 at its full speed.

A header's hash is two blocks of SHA-256 once the first is remembered. OpenSSL, fed one long
buffer, says how fast this processor does two blocks with code that others have tuned; no call, no
nonce and no comparison in between. Processor time is what counts here, not the clock on the wall:
a core is compared with a core.
"""

from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from time import thread_time

from node.mining.hash_loop import LOOPS, Loop
from tests.bench.rows import Bench, Row

BLOCKS_BYTES = 128
"""Two blocks: what a hash of a header takes."""
BUFFER = bytes(1 << 20)
ANCHOR = "OpenSSL, two blocks a hash"
HASHLIB_BAR = 1.2
"""Million hashes a second and core."""
NATIVE_BAR = 0.7
"""Of the anchor, which stands for cpuminer: no package index has that."""
CPUMINER = "cpuminer, measured apart from this run on the machine of docs/performance.md: 14.0 MH/s a core"


def rate(hashes_a_turn: int, turn: Callable[[], object], seconds: float) -> float:
    """Million hashes a second of processor time."""
    turns = 0
    start = thread_time()
    while (taken := thread_time() - start) < seconds:
        turn()
        turns += 1
    return turns * hashes_a_turn / taken / 1e6


def loop_rate(loop: Loop, seconds: float) -> float:
    """Of a loop that finds nothing, called as the miner calls it."""
    return rate(loop.batch, lambda: loop.scan(bytes(80), 0, 0, loop.batch), seconds)


def openssl_rate(seconds: float) -> float:
    """Of the anchor."""
    return rate(len(BUFFER) // BLOCKS_BYTES, lambda: sha256(BUFFER).digest(), seconds)


def measure(bench: Bench) -> Iterator[Row]:
    """All loops that there are; the first is the one that miners use."""
    seconds = bench.size(10, 2) / 10
    runs = {loop.name: partial(loop_rate, loop, seconds) for loop in LOOPS}
    found = bench.in_turns({**runs, ANCHOR: partial(openssl_rate, seconds)}, bench.size(7, 3))
    anchor = found[ANCHOR]
    for loop in LOOPS[:-1]:
        bar = NATIVE_BAR if loop is LOOPS[0] else None
        yield Row(f"hashing, {loop.name}", "MH/s", found[loop.name], ANCHOR, anchor, bar, note=CPUMINER)
    yield Row("hashing, hashlib", "MH/s", found["hashlib"], bar=HASHLIB_BAR)
