"""The explorer's pages on a chain of many blocks, in which one address is in every payment."""

import http.client
import statistics
from collections.abc import Iterator
from contextlib import closing
from time import perf_counter

from tests.bench.busy import busy_chain
from tests.bench.rows import Bench, Row
from tests.functional.cluster import Cluster

PER_BLOCK = 10
"""Payments in a block."""


def measure(bench: Bench) -> Iterator[Row]:
    """How long a page takes once it was asked for before."""
    txs = bench.size(100_000, 2_000)
    cluster = Cluster(bench.folder)
    try:
        node = cluster.add()
        bench.say(f"pages, {txs // PER_BLOCK:,} blocks with {txs:,} payments of one address")
        chain = busy_chain(node.datadir / cluster.network_name, txs, PER_BLOCK)
        cluster.start(0)
        middle = chain.txids[len(chain.txids) // 2]
        tip = cluster.get(0, "/blocks/tip/hash")
        pages = {
            "overview": "",
            "block": f"block/{cluster.get(0, f'/block-height/{txs // PER_BLOCK // 2}')}",
            "block of 1,000": f"block/{tip}?start=975",
            "transaction": f"tx/{middle}",
            "address": f"address/{chain.address}",
            "address, from the middle": f"address/{chain.address}?after={middle}",
            "mempool": "mempool",
            "forks": "forks",
            "charts of 1,000 blocks": "charts?blocks=1000",
            "peers": "peers",
            "search for nothing": "search?q=ffffffff",
        }
        for name, path in pages.items():
            runs = {name: lambda path=path: median_ms(node.api_port, f"/explorer/{path}", bench.size(100, 20))}
            taken = bench.in_turns(runs, bench.size(5, 1))[name]
            yield Row(f"page: {name}", "ms", taken, bar=50, better="less")
    finally:
        cluster.close()


def median_ms(port: int, path: str, number: int) -> float:
    """Milliseconds until a page is here, over one connection."""
    taken = []
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        for _ in range(number):
            start = perf_counter()
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            taken.append(perf_counter() - start)
            assert answer.status in (200, 404), path
    return 1000 * statistics.median(taken)
