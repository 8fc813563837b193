"""Connecting blocks, beside Bitcoin Core's engine on the same blocks.

From a block's bytes to its synced commit: decoding, every rule, signatures, undo, digest, on a
real LevelDB, through the same runtime and verifier processes as in a node.
"""

import gc
import random
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from chain.block import decode_block
from chain.blocktree import BlockNode
from chain.hashes import BlockHash
from chain.keys import default_engine
from chain.params import REGTEST
from node.core.node import Node
from node.daemon import GC_THRESHOLD, SWITCH_INTERVAL_S
from node.interface.checked_block import CheckedBlock, examine
from node.interface.effects import Dial, Failed, Send, Step
from node.interface.endpoint import PeerId
from node.p2p.connections.identity import NodeIdentity
from node.runtime.event_hub import TIP
from node.runtime.runtime import Runtime
from node.storage.recovery import open_store
from node.workers.verifier_pool import VerifierPool, verifier_processes
from tests.bench.anchors import kernel_rate
from tests.bench.rows import Bench, Row, seconds
from tests.bench.workload import Chain, payments_chain

AHEAD_MAX = 8
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


def _take(body: CheckedBlock, node: Node, now: float) -> Step[None]:
    """Hand over a block, and connect it."""
    node._peers.block_sync.blocks.process_block(PEER, body, now)
    return node.tick(now)


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
            identity = NodeIdentity(bytes(31) + b"\x01", engine, rng)
            self.core = Node(REGTEST, self.store, identity, rng, wall=self.runtime.wall)
            self._moved = threading.Event()
            self.runtime.events.subscribe(TIP, self._moved.set)
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
        """Give the node blocks on its tip and wait until the last is the new one."""
        goal = self.height
        for raw in raws:
            goal += 1
            self.await_height(goal - AHEAD_MAX)
            self.give((raw,))
        self.await_height(goal)

    def give(self, raws: Sequence[bytes]) -> None:
        """Give the node blocks as a download does."""
        for raw in raws:
            view = self.runtime.view
            body = examine(decode_block(raw, view.tx_spending), REGTEST, view.pool.wtxids)
            self.call(partial(_take, body))

    def await_height(self, height: int) -> None:
        """Wait until the tip is that high."""
        self._await(lambda tip: tip.height >= height)

    def await_tip(self, block_hash: BlockHash) -> None:
        """Wait until this is the tip."""
        self._await(lambda tip: tip.hash == block_hash)

    def _await(self, is_reached: Callable[[BlockNode], bool]) -> None:
        while True:
            self._moved.clear()
            if is_reached(self.runtime.view.tip):
                return
            assert self._moved.wait(STALL_S), f"no progress at height {self.height}"


def connect_rate(chain: Chain, *, index: bool) -> float:
    """Payments a second that a fresh node connects; the first block of them is there to warm up."""
    with tempfile.TemporaryDirectory(prefix="groat-bench-") as folder, LocalNode(Path(folder), index=index) as node:
        node.connect((*chain.base, chain.payments[0]))
        return chain.rate(seconds(lambda: node.connect(chain.payments[1:])))


def measure(bench: Bench) -> Iterator[Row]:
    """Nothing cached, with and without indexes."""
    chain = payments_chain(bench.cache, bench.size(50, 8), 1_000)
    found = bench.in_turns(
        {
            "groat": lambda: connect_rate(chain, index=False),
            "Core's kernel, two threads": lambda: kernel_rate(chain),
            "groat with indexes": lambda: connect_rate(chain, index=True),
            "Core's kernel, one thread": lambda: kernel_rate(chain, 0),
        },
        bench.size(5, 1),
    )
    ours, kernel, indexed, kernel_one = found.values()
    yield Row("connect, nothing cached, no index", "tx/s", ours, "Core's kernel, two threads", kernel, 0.60)
    yield Row("connect, nothing cached, no index", "tx/s", ours, "Core's kernel, one thread", kernel_one)
    yield Row("connect, with indexes", "tx/s", indexed, "without indexes", ours, 0.75)
