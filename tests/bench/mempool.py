"""Payments into the mempool, and blocks whose payments are there already.

Accepted in one thread, beside the curve library alone; brought by a peer in batches, decoding
included, to a node in this process and from one real node to another; then mined, beside Bitcoin
Core's engine, which sees them for the first time.
"""

import random
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

from chain.block import Block, decode_block
from chain.connect import context_after
from chain.keys import default_engine
from chain.params import REGTEST
from chain.tx import Tx, decode_tx
from node.core.node import Node
from node.interface.checked_block import examine
from node.interface.effects import Effect, Verified, Verify
from node.interface.messages import (
    INV_MAX,
    PROTOCOL_VERSION,
    SERVES_BLOCKS,
    WANT_MAX,
    Confirm,
    Facts,
    Hello,
    Inv,
    Ok,
    Txs,
    Want,
    Welcome,
)
from node.mempool.mempool import Mempool
from node.mempool.persist import encode_dump
from node.p2p.connections.identity import HandshakeSide, NodeIdentity, handshake_digest, peer_id
from node.p2p.tx_relay.tx_announce import QUEUE_MAX
from node.p2p.wire.codec import decode_request, encode, route_name
from node.p2p.wire.short_txid import Name, names_at
from node.storage.recovery import open_store
from tests.bench.anchors import kernel_rate, raw_verify_s
from tests.bench.connect import PEER, STALL_S, LocalNode
from tests.bench.rows import Bench, Row
from tests.bench.workload import Chain, payments_chain
from tests.functional.cluster import Cluster, RealNode

T = TypeVar("T")

HOST = "127.0.0.1"
MEMPOOL_FILE = "mempool.dat"
LOOK_S = 0.01
"""Between two looks at how full a mempool is."""


# one thread


class BareNode:
    """The core and a real store, with nothing beside them: no lock, threads or processes."""

    def __init__(self, folder: Path) -> None:
        self._engine = default_engine()
        self.store = open_store(folder, REGTEST.network_id, index=False)
        rng = random.Random(1)
        self.core = Node(REGTEST, self.store, NodeIdentity(bytes(31) + b"\x01", self._engine, rng), rng)
        self.checks: list[bytes] = []
        """Every signature that was verified."""
        self._carry(self.core.start(time.time()).effects)

    def close(self) -> None:
        self.store.close()

    def connect(self, raws: Sequence[bytes]) -> None:
        """Make these blocks the chain."""
        for raw in raws:
            self.core._peers.block_sync.blocks.process_block(PEER, examine(decode_block(raw), REGTEST), time.time())
            self._carry(self.core.tick(time.time()).effects)

    def accept(self, raws: Sequence[bytes]) -> None:
        """Bring encoded transactions into the mempool, in batches as peers send them."""
        for batch in batched(raws, WANT_MAX):
            self.core._txs.take_txs(PEER, [decode_tx(raw) for raw in batch], time.time())
            self._carry(self.core.tick(time.time()).effects)

    def _carry(self, effects: Sequence[Effect]) -> None:
        todo = list(effects)
        for effect in todo:
            if isinstance(effect, Verify):
                checks = b"".join(effect.checks)
                self.checks.append(checks)
                failure = self._engine.first_failure(checks)
                todo += self.core.handle(None, Verified(effect.token, failure), time.time()).effects


def accept_rates(chain: Chain) -> tuple[float, float]:
    """Transactions a second into a bare node's mempool, and the curve library's checks a second."""
    with tempfile.TemporaryDirectory(prefix="groat-bench-") as folder, closing(BareNode(Path(folder))) as node:
        node.connect(chain.base)
        node.checks.clear()
        raws = [tx.raw for tx in payments_of(chain)]
        start = perf_counter()
        node.accept(raws)
        taken = perf_counter() - start
        assert len(node.core.view().pool) == len(raws)
        return len(raws) / taken, len(raws) / raw_verify_s(b"".join(node.checks))


# a peer's batches


class ScriptedPeer:
    """Greets a node in this process and pushes payments to it, as bytes."""

    def __init__(self, node: LocalNode) -> None:
        self._node = node
        rng = random.Random(2)
        identity = NodeIdentity(bytes(31) + b"\x02", default_engine(), rng)
        tip = node.runtime.view.tip
        facts = Facts(
            PROTOCOL_VERSION,
            identity.public_key,
            REGTEST.network_id,
            rng.randbytes(8),
            None,
            SERVES_BLOCKS,
            "bench",
            tip.height,
            tip.chainwork,
            tip.hash,
        )
        hello = Hello(facts, rng.randbytes(32))
        welcome = node.call(lambda core, now: core.greet(hello, HOST, now))
        assert isinstance(welcome, Welcome), welcome
        ids = identity.id, peer_id(welcome.facts.public_key)
        digest = handshake_digest(REGTEST.network_id, HandshakeSide.DIALLER, ids, (hello.challenge, welcome.challenge))
        self._id, self._salt = identity.id, welcome.facts.instance
        reply = self._ask(Confirm(welcome.token, identity.prove(digest)))
        assert isinstance(reply, Ok), reply

    def push(self, txs: Sequence[Tx]) -> None:
        """Announce all, and deliver as they are wanted."""
        for batch in batched(txs, INV_MAX):
            held = dict(zip(names_at(self._salt, [tx.wtxid for tx in batch]), batch, strict=True))
            want = self._ask(Inv(tuple(held)))
            while want.names:
                assert isinstance(want, Want), want
                want = self._ask(Txs(tuple(held.pop(Name(name)) for name in want.names)))

    def _ask(self, request: Any) -> Any:
        name = route_name(request)
        decoded = decode_request(name, encode(request))
        return self._node.call(lambda core, now: core.handle(self._id, decoded, now))


def pushed_rate(chain: Chain) -> float:
    """Transactions a second into the mempool of a node in this process, from a scripted peer."""
    with tempfile.TemporaryDirectory(prefix="groat-bench-") as folder, LocalNode(Path(folder), index=False) as node:
        node.connect(chain.base)
        peer, txs = ScriptedPeer(node), payments_of(chain)
        start = perf_counter()
        peer.push(txs)
        await_pool(node, len(txs))
        return len(txs) / (perf_counter() - start)


def await_pool(node: LocalNode, count: int) -> None:
    """Wait until so many are in the node's mempool."""
    deadline = perf_counter() + STALL_S
    while len(node.runtime.view.pool) < count:
        assert perf_counter() < deadline, "transactions are missing"
        time.sleep(LOOK_S)


def relayed_rate(chain: Chain, txs: Sequence[Tx]) -> float:
    """Transactions a second that one real node takes from another, over HTTP.

    Counted from the first look that finds any there to the last, so that greeting is left out.
    """
    with tempfile.TemporaryDirectory(prefix="groat-bench-") as folder, closing(Cluster(Path(folder))) as cluster:
        giver = cluster.add("--no-index")
        taker = cluster.add("--no-index", peers=[giver.index])
        folders = [giver.datadir / REGTEST.name, taker.datadir / REGTEST.name]
        folders[0].mkdir()
        with closing(BareNode(folders[0])) as node:
            node.connect(chain.base)
        shutil.copytree(*folders)
        saved = encode_dump((tx, time.time()) for tx in txs)
        (folders[0] / MEMPOOL_FILE).write_bytes(saved)
        cluster.start(giver.index)
        cluster.wait_for(lambda: pool_size(cluster, giver) == len(txs), "the saved payments", STALL_S)
        cluster.start(taker.index)
        first = last = 0
        since = perf_counter()
        while last < len(txs):
            time.sleep(LOOK_S)
            last = pool_size(cluster, taker)
            if not first:
                first, since = last, perf_counter()
            assert perf_counter() - since < STALL_S, f"{last} of {len(txs)} payments have come"
        return (last - first) / (perf_counter() - since)


def pool_size(cluster: Cluster, node: RealNode) -> int:
    """How many transactions are in a real node's mempool."""
    return int(cluster.rpc(node.index, "getmempoolinfo")["size"])


# mined


def connect_known_rate(chain: Chain) -> float:
    """Transactions a second of blocks that hold what is in the mempool."""
    with tempfile.TemporaryDirectory(prefix="groat-bench-") as folder, LocalNode(Path(folder), index=False) as node:
        node.connect(chain.base)
        txs = payments_of(chain)
        ScriptedPeer(node).push(txs)
        await_pool(node, len(txs))
        start = perf_counter()
        node.connect(chain.payments)
        taken = perf_counter() - start
        assert not node.runtime.view.pool
        return len(txs) / taken


def tip_change_ms(chain: Chain, confirmed: int) -> float:
    """Milliseconds that a block with so many of them costs a mempool that holds all payments."""
    with tempfile.TemporaryDirectory(prefix="groat-bench-") as folder, closing(BareNode(Path(folder))) as node:
        node.connect(chain.base)
        lookup, context = node.store.coin, context_after(node.core.view().tip)
        pool = Mempool()
        txs = payments_of(chain)
        for tx in txs:
            pool.add(pool.stage(tx, lookup, context, time.time()), time.time())
        coinbase = decode_block(chain.payments[0])
        mined = [coinbase.txs[0], *random.Random(1).sample(txs, confirmed)]
        block = Block(coinbase.header, tuple(mined), b"")
        view = pool.view()
        start = perf_counter()
        pool.on_tip_change((), [block], lookup, context, time.time())
        taken = perf_counter() - start
        assert len(pool) == len(view) - confirmed
        return taken * 1000


def payments_of(chain: Chain) -> list[Tx]:
    """All payments of the chain."""
    return [tx for raw in chain.payments for tx in decode_block(raw).txs[1:]]


def batched(things: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """So many at a time."""
    return (things[start : start + size] for start in range(0, len(things), size))


def measure(bench: Bench) -> Iterator[Row]:
    """Into the mempool and out of it."""
    chain = payments_chain(bench.cache, bench.size(50, 8), 1_000)
    few = payments_of(chain)[: bench.size(QUEUE_MAX, 2_000)]
    rates: list[tuple[float, float]] = []

    def accept() -> float:
        rates.append(accept_rates(chain))
        return rates[-1][0]

    found = bench.in_turns(
        {
            "accept": accept,
            "raw": lambda: rates[-1][1],
            "pushed": lambda: pushed_rate(chain),
            "relayed": lambda: relayed_rate(chain, few),
            "known": lambda: connect_known_rate(chain),
            "kernel": lambda: kernel_rate(chain),
            "tip": lambda: tip_change_ms(chain, 10),
        },
        bench.size(5, 1),
    )
    size = f"{chain.txs_count:,}"
    yield Row("mempool accept, one thread", "tx/s", found["accept"], bar=10_000)
    yield Row("mempool accept, one thread", "tx/s", found["accept"], "libsecp256k1, checks alone", found["raw"], 0.25)
    yield Row("mempool accept, a peer's batches, in process", "tx/s", found["pushed"], bar=6_000)
    yield Row("mempool accept, from node to node", "tx/s", found["relayed"], bar=6_000)
    yield Row("connect, all in the mempool", "tx/s", found["known"], "Core's kernel, uncached", found["kernel"], 1.2)
    yield Row(f"new tip, 10 of {size} in the mempool mined", "ms", found["tip"], better="less")
