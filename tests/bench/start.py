"""From a process's start to its first answer, and what it holds in memory.

Real nodes, asked over HTTP as a user asks them: with an empty chain, with a long one, and while
full blocks come in. The floor beside them is Python with the libraries that a node stands on.
"""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

from chain.block import make_block
from chain.blocktemplate import build_block, solve
from chain.blocktree import BlockTree
from chain.coins import DeltaBuilder
from chain.connect import connect_block, context_after
from chain.params import REGTEST
from chain.scripttype import p2wpkh_script
from node.chainstate.block_cache import CONNECTED_BYTES_MAX, WAITING_BYTES_MAX
from node.interface.storage import LedgerChange
from node.storage.coins_cache import COIN_CACHE_BYTES
from node.storage.leveldb import CACHE_BYTES, WRITE_BUFFER_BYTES
from node.storage.recovery import open_store
from node.storage.schema import BLOCKS_SCHEMA, LEDGER_SCHEMA
from tests.bench.connect import LocalNode
from tests.bench.rows import Bench, Row
from tests.bench.workload import SPACING_S, START_TIME, Chain, payments_chain
from tests.functional.cluster import Cluster, ClusterError

FLOOR = "import flask, requests, plyvel"
STEP_BLOCKS = 1_000
"""Blocks of the long chain in one commit."""
LOOK_S = 0.01
"""Between two questions to a node that is starting: each takes it a millisecond."""
SYNC_LOOK_S = 0.1
PATIENCE_S = 300.0
IDLE_S = 0.5
"""From the first answer to when memory is looked at."""
MB = 1_000_000
DECODED_FACTOR = 7
"""Bytes in memory of each byte of a decoded block."""
DECODED_BYTES = DECODED_FACTOR * (WAITING_BYTES_MAX + CONNECTED_BYTES_MAX)
CACHES_BYTES = 2 * (CACHE_BYTES + 2 * WRITE_BUFFER_BYTES) + COIN_CACHE_BYTES + DECODED_BYTES
"""What the node may hold for its own speed: two databases, coins, blocks before and after they are connected."""


# what is started


def long_chain(cache: Path, blocks: int) -> Path:
    """The folder of a network with so many blocks of one coinbase each, made if it is not there."""
    path = cache / f"long-{BLOCKS_SCHEMA}-{LEDGER_SCHEMA}-{blocks}"
    if not path.exists():
        partial = path.with_name(path.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        _store_blocks(partial, blocks)
        partial.rename(path)
    return path


def _store_blocks(path: Path, blocks: int) -> None:
    """As a node stores them, without asking again whether they are right."""
    store = open_store(path, REGTEST.network_id, index=True)
    tree = BlockTree(REGTEST)
    tip, script = tree.genesis, p2wpkh_script(bytes(20))
    while tip.height < blocks:
        builder, changes = DeltaBuilder(store.coin), []
        for _ in range(min(STEP_BLOCKS, blocks - tip.height)):
            height = tip.height + 1
            candidate = build_block(tip, (), 0, script, START_TIME + height * SPACING_S, REGTEST)
            header = solve(candidate.header, 1 << 20)
            assert header is not None
            block = make_block(header, candidate.txs)
            connected = connect_block(block, context_after(tip), builder.coin, REGTEST)
            builder.add(connected.delta)
            changes.append(LedgerChange(block, height, connected.undo))
            store.put_block(height, block.hash, block.raw, sync=False)
            tip = tree.add(header)
        store.commit(tip.height, tip.hash, builder.delta, (), changes)
    store.close()


# one node


def first_answer_s(cluster: Cluster, index: int = 0) -> float:
    """Seconds from the start of the node's process to its first answer."""
    start = perf_counter()
    cluster.launch(index)
    while not _answers(cluster, index):
        time.sleep(LOOK_S)
    return perf_counter() - start


def _answers(cluster: Cluster, index: int) -> bool:
    node = cluster.nodes[index]
    if node.process is None or node.process.poll() is not None:
        raise ClusterError(f"node {index} ended\n{node.last_lines()}")
    try:
        return cluster.request(index, "GET", "/api/blocks/tip/height").status == 200
    except OSError:
        return False


def start_s(cluster: Cluster) -> float:
    """Start, first answer, stop: the seconds up to the answer."""
    taken = first_answer_s(cluster)
    cluster.stop(0)
    return taken


def restart_s(cluster: Cluster) -> float:
    """Seconds from the request to stop to the next process's first answer."""
    first_answer_s(cluster)
    start = perf_counter()
    cluster.stop(0)
    first_answer_s(cluster)
    taken = perf_counter() - start
    cluster.stop(0)
    return taken


def idle_mb(cluster: Cluster) -> float:
    """Megabytes of a node that has nothing to do."""
    first_answer_s(cluster)
    time.sleep(IDLE_S)
    held = memory_mb(cluster)
    cluster.stop(0)
    return held


def memory_mb(cluster: Cluster, index: int = 0, most: bool = False) -> float:
    """Megabytes that the node's process holds, or with `most` the most that it ever held."""
    process = cluster.nodes[index].process
    assert process is not None
    return _kib(Path(f"/proc/{process.pid}/status").read_text(), "VmHWM" if most else "VmRSS") * 1024 / MB


def _kib(status: str, field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    assert found, f"no {field}"
    return int(found[1])


# the floor


def floor_s() -> float:
    """Seconds that Python takes to import what a node stands on, and to end."""
    start = perf_counter()
    subprocess.run([sys.executable, "-c", FLOOR], check=True)
    return perf_counter() - start


def floor_mb() -> float:
    """Megabytes of that."""
    program = f"{FLOOR}\nprint(open('/proc/self/status').read())"
    shown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return _kib(shown.stdout, "VmRSS") * 1024 / MB


# while blocks come in


def growth_mb(folder: Path, chain: Chain) -> float:
    """Megabytes by which a node has grown, at most, when it has got this chain from another."""
    cluster = Cluster(folder)
    try:
        source = cluster.add()
        with LocalNode(source.datadir / cluster.network_name, index=True) as node:
            node.connect(chain.base)
            node.connect(chain.payments)
            height = node.height
        first_answer_s(cluster)
        cluster.add(peers=[0])
        first_answer_s(cluster, 1)
        before = memory_mb(cluster, 1)
        deadline = time.monotonic() + PATIENCE_S
        while int(cluster.get(1, "/api/blocks/tip/height")) < height:
            assert time.monotonic() < deadline, "the chain does not come"
            time.sleep(SYNC_LOOK_S)
        return memory_mb(cluster, 1, most=True) - before
    finally:
        cluster.close()
        shutil.rmtree(folder)


# all of it


def measure(bench: Bench) -> Iterator[Row]:
    """Start, restart and memory, with an empty chain and a long one; growth with full blocks."""
    blocks = bench.size(100_000, 2_000)
    bench.say(f"a chain of {blocks:,} blocks")
    long_path = long_chain(bench.cache, blocks)
    empty, long = Cluster(bench.folder / "empty"), Cluster(bench.folder / "long")
    empty.add()
    shutil.copytree(long_path, long.add().datadir / long.network_name)
    try:
        yield from _start_rows(bench, empty, long, f"{blocks:,} blocks")
    finally:
        empty.close()
        long.close()
    chain = payments_chain(bench.cache, bench.size(50, 8), 1_000)
    grown = bench.in_turns({"growth": lambda: growth_mb(bench.folder / "growth", chain)}, bench.size(3, 1))["growth"]
    name = f"memory growth while {chain.txs_count:,} payments are connected"
    yield Row(name, "MB", grown, bar=CACHES_BYTES / MB, better="less", note="the bar is the caches' sum")


def _start_rows(bench: Bench, empty: Cluster, long: Cluster, what: str) -> Iterator[Row]:
    def fresh() -> float:
        shutil.rmtree(empty.nodes[0].datadir / empty.network_name, ignore_errors=True)
        return start_s(empty)

    times: dict[str, Callable[[], float]] = {
        "floor": floor_s,
        "start, empty chain": fresh,
        f"start, {what}": lambda: start_s(long),
        f"restart, {what}": lambda: restart_s(long),
    }
    floor, first, later, again = bench.in_turns(times, bench.size(7, 1)).items()
    yield Row(first[0], "s", first[1], bar=0.60, better="less")
    yield Row(first[0], "s", first[1], f'python -c "{FLOOR}"', floor[1], better="less")
    yield Row(later[0], "s", later[1], bar=2.5, better="less")
    yield Row(again[0], "s", again[1], better="less", note="from the request to stop to the next first answer")
    memory: dict[str, Callable[[], float]] = {
        "floor": floor_mb,
        "memory idle, empty chain": lambda: idle_mb(empty),
        f"memory idle, {what}": lambda: idle_mb(long),
    }
    floor, first, later = bench.in_turns(memory, bench.size(3, 1)).items()
    yield Row(first[0], "MB", first[1], bar=75, better="less")
    yield Row(first[0], "MB", first[1], f'python -c "{FLOOR}"', floor[1], better="less")
    yield Row(later[0], "MB", later[1], better="less")
