"""Connecting blocks, beside Bitcoin Core's engine on the same blocks.

From a block's bytes to its synced commit: decoding, every rule, signatures, undo, digest, on a
real LevelDB, through the same runtime and verifier processes as in a node.
"""

import gc
import random
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

from chain.block import decode_block
from chain.keys import default_engine
from chain.params import REGTEST
from chain.tree import Entry
from node.chainstate import examine
from node.daemon import GC_THRESHOLD, SWITCH_INTERVAL_S
from node.node import Node
from node.peers.handshake import Identity
from node.ports import Dial, Failed, PeerId, Send, Step
from node.runtime import TIP, Runtime
from node.store.opening import open_store
from node.verifying import VerifierPool, verifier_processes
from tests.bench.anchors import kernel_connect_s
from tests.bench.rows import Bench, Row
from tests.bench.workload import Chain, payments_chain

AHEAD_MAX = 16
"""Blocks given to the node beyond its tip, as a download does."""
STALL_S = 120.0
"""A chain that does not come forward for so long is a failure."""
PEER = PeerId(bytes(20))


class _NoPeers:
    """Nobody to send to."""

    def send(self, effect: Send) -> Failed | None:
        return Failed("nobody")

    def dial(self, effect: Dial) -> Failed | None:
        return Failed("nobody")

    def close(self, peer: PeerId) -> None:
        pass


class LocalNode:
    """A node without listeners: core, runtime, verifiers and a real store."""

    def __init__(self, folder: Path, *, index: bool) -> None:
        engine = default_engine()
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        gc.set_threshold(GC_THRESHOLD)
        with ExitStack() as stack:
            self.store = open_store(folder, REGTEST.network_id, index=index)
            stack.callback(self.store.close)
            verifiers = VerifierPool(engine, verifier_processes(), monotonic)
            stack.callback(verifiers.stop)
            self.runtime = Runtime(verifiers)
            rng = random.Random(1)
            self.core = Node(REGTEST, self.store, Identity(bytes(31) + b"\x01", engine, rng), rng)
            self._moved = threading.Event()
            self.runtime.subscribe(TIP, self._moved.set)
            self.runtime.open(self.core, _NoPeers())
            assert self.runtime.await_core(STALL_S)
            self.runtime.admit()
            stack.callback(self.runtime.join, 5.0)
            stack.callback(self.runtime.close)
            self._stack = stack.pop_all()

    def __enter__(self) -> "LocalNode":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def height(self) -> int:
        """Of the committed tip."""
        return self.runtime.view.tip.height

    def call(self, fn: Any) -> Any:
        """Call the core."""
        return self.runtime.call(fn, None)

    def connect(self, raws: Sequence[bytes]) -> None:
        """Give the node these blocks, as a download does, and wait until the last is its tip."""
        goal = self.height
        for raw in raws:
            goal += 1
            body = examine(decode_block(raw), REGTEST)
            self.await_height(goal - AHEAD_MAX)
            self.call(lambda node, now, body=body: Step(None, tuple(node.take_block(PEER, body, now))))
        self.await_height(goal)

    def await_height(self, height: int) -> Entry:
        """Wait until the tip is that high."""
        while True:
            self._moved.clear()
            tip = self.runtime.view.tip
            if tip.height >= height:
                return tip
            assert self._moved.wait(STALL_S), f"no progress at height {tip.height}"


def connect_s(chain: Chain, *, index: bool) -> float:
    """Seconds that a fresh node takes for the chain's payments, base left out."""
    with tempfile.TemporaryDirectory(prefix="groat-bench-") as folder, LocalNode(Path(folder), index=index) as node:
        node.connect(chain.base)
        start = perf_counter()
        node.connect(chain.payments)
        return perf_counter() - start


def measure(bench: Bench) -> Iterator[Row]:
    """Nothing cached, with and without indexes."""
    chain = payments_chain(bench.cache, bench.size(50, 8), 1_000)
    found = bench.in_turns(
        {
            "groat": lambda: chain.txs_count / connect_s(chain, index=False),
            "Core's kernel, two threads": lambda: chain.txs_count / kernel_connect_s(chain),
            "groat with indexes": lambda: chain.txs_count / connect_s(chain, index=True),
            "Core's kernel, one thread": lambda: chain.txs_count / kernel_connect_s(chain, 0),
        },
        bench.size(5, 2),
    )
    ours, kernel, indexed, kernel_one = found.values()
    yield Row("connect, nothing cached, no index", "tx/s", ours, "Core's kernel, two threads", kernel, 0.60)
    yield Row("connect, nothing cached, no index", "tx/s", ours, "Core's kernel, one thread", kernel_one)
    yield Row("connect, with indexes", "tx/s", indexed, "without indexes", ours, 0.75)
