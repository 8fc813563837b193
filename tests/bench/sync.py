"""A new node getting the whole chain from another: two real processes, HTTP between them.

Counted from the start of the new node's process to the answer that shows the last block, so its
imports, the handshake, headers and the blocks of coins before the payments are in it.
"""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from tests.bench.connect import LocalNode, connect_rate
from tests.bench.rows import Bench, Row
from tests.bench.workload import Chain, payments_chain
from tests.functional.cluster import Cluster, ClusterError

LOOK_S = 0.02
"""Between two questions to the node that is syncing: each takes it a millisecond."""
SYNC_S = 120.0
"""A chain that has not come in this time is a failure."""
LINKED = re.compile(r"^(\S+) INFO peers: linked", re.MULTILINE)
"""The line of the log that the handshake leaves."""


class Synced(NamedTuple):
    """How long one fresh sync took."""

    from_start_s: float
    from_handshake_s: float


class Source:
    """A node that has a chain, for others to get it."""

    def __init__(self, folder: Path, chain: Chain) -> None:
        self.chain = chain
        self._height = len(chain.base) + len(chain.payments)
        self._cluster = Cluster(folder)
        source = self._cluster.add("--no-index")
        with LocalNode(source.datadir / self._cluster.network_name, index=False) as node:
            node.connect(chain.base)
            node.connect(chain.payments)
        self._cluster.add("--no-index", peers=[0])
        self._cluster.start(0)

    def close(self) -> None:
        """Stop it."""
        self._cluster.close()

    def sync(self) -> Synced:
        """Have a node with an empty folder get the chain."""
        cluster, fresh = self._cluster, self._cluster.nodes[1]
        shutil.rmtree(fresh.datadir / cluster.network_name, ignore_errors=True)
        fresh.log.unlink(missing_ok=True)
        start = time.time()
        cluster.launch(1)
        while self._height_of_fresh() < self._height:
            if time.time() > start + SYNC_S:
                raise ClusterError(f"the chain does not come\n{fresh.last_lines()}")
            time.sleep(LOOK_S)
        end = time.time()
        linked = LINKED.search(fresh.log.read_text())
        assert linked, "no handshake in the log"
        cluster.stop(1)
        return Synced(end - start, end - datetime.fromisoformat(linked[1]).timestamp())

    def _height_of_fresh(self) -> int:
        try:
            answer = self._cluster.request(1, "GET", "/blocks/tip/height")
        except OSError:
            return -1
        return int(answer.body) if answer.status == 200 else -1


def measure(bench: Bench) -> Iterator[Row]:
    """A short chain in seconds; a long one beside the same blocks connected in process."""
    yield from _short_rows(bench)
    yield from _long_rows(bench)


def _short_rows(bench: Bench) -> Iterator[Row]:
    source = Source(bench.folder / "short", payments_chain(bench.cache, 4, 2_000))
    synced: list[Synced] = []

    def sync_s() -> float:
        synced.append(source.sync())
        return synced[-1].from_start_s

    try:
        bench.in_turns({"112 blocks": sync_s}, bench.size(7, 1))
    finally:
        source.close()
    name = f"fresh sync of 112 blocks, {source.chain.txs_count:,} payments"
    from_start, from_handshake = zip(*synced, strict=True)
    yield Row(f"{name}, from process start", "s", from_start, bar=2.0, better="less", note="bcoin here: 6.6 to 7.4 s")
    yield Row(f"{name}, from handshake", "s", from_handshake, better="less")


def _long_rows(bench: Bench) -> Iterator[Row]:
    chain = payments_chain(bench.cache, bench.size(100, 8), 1_000)
    source = Source(bench.folder / "long", chain)
    runs: dict[str, Callable[[], float]] = {
        "sync": lambda: chain.txs_count / source.sync().from_start_s,
        "connect in process": lambda: connect_rate(chain, index=False),
    }
    try:
        ours, connected = bench.in_turns(runs, bench.size(3, 1)).values()
    finally:
        source.close()
    name = f"fresh sync of {chain.txs_count:,} payments, from process start"
    # A short chain is over before the process's start is made up for.
    yield Row(name, "tx/s", ours, "connected in process", connected, None if bench.quick else 0.5)
