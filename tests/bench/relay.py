"""A block from node to node: eight real processes in a line, each linked with its neighbours only.

Its payments are in every mempool before. The network is regtest but for `allow_local`, which is
off, so that no node learns of others than those it is told of and the line stays a line.
"""

import json
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from http.client import HTTPConnection
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

from chain.block import decode_block
from chain.hashes import BlockHash, sha256
from chain.keys import default_engine
from chain.params import REGTEST, Asert, Params
from chain.tx import Tx
from node.interface.endpoint import Endpoint
from node.interface.messages import (
    INV_MAX,
    PROTOCOL_VERSION,
    RELAYS,
    SALT_SIZE,
    Confirm,
    Facts,
    Hello,
    Inv,
    Reply,
    Request,
    Txs,
    Want,
    Welcome,
)
from node.p2p.block_sync.compact_block import shorten
from node.p2p.connections.identity import HandshakeSide, NodeIdentity, handshake_digest, peer_id
from node.p2p.wire.codec import ROUTES, SESSION_HEADER, decode_reply, encode, route_name
from node.p2p.wire.short_txid import Name, names_at
from node.runtime.http_client import Client
from tests.bench.rows import Bench, Row
from tests.bench.workload import payments_chain
from tests.functional.cluster import Cluster

NODES = 8
PER_BLOCK = 2_000
"""Payments."""
NEVER = 2**31 - 1
"""A height that no chain here reaches."""
LINE = Params("line", REGTEST.pow_limit_bits, 150, 7200, False, Asert(10, 150, NEVER, REGTEST.pow_limit_bits, None))
"""Regtest's rules; peers are told of by the operator alone."""
LOOK_S = 0.004
"""Between two questions to the node that the block should reach next."""
PATIENCE_S = 60.0
CALM_S = 1.0
"""From the last payment's arrival to the block: announcements have come to rest."""
NO_ID = BlockHash(bytes(32))


class Pusher:
    """Greets a node as a peer does, and brings it payments."""

    def __init__(self, where: Endpoint, number: int) -> None:
        self._where, self._client, self._token = where, Client(), b""
        rng, secret = random.Random(number), sha256(b"pusher %d" % number)
        identity = NodeIdentity(secret, default_engine(), rng)
        facts = Facts(
            PROTOCOL_VERSION, identity.public_key, LINE.network_id, rng.randbytes(8), None, RELAYS, "bench", 0, 0, NO_ID
        )
        hello = Hello(facts, rng.randbytes(32))
        welcome = self._ask(hello)
        assert isinstance(welcome, Welcome), welcome
        ids, challenges = (identity.id, peer_id(welcome.facts.public_key)), (hello.challenge, welcome.challenge)
        digest = handshake_digest(LINE.network_id, HandshakeSide.DIALLER, ids, challenges)
        self._ask(Confirm(welcome.token, identity.prove(digest)))
        self._token, self._salt = welcome.token, welcome.facts.instance

    def close(self) -> None:
        self._client.close()

    def push(self, txs: Sequence[Tx]) -> None:
        """Announce them, and deliver those that are wanted."""
        for start in range(0, len(txs), INV_MAX):
            batch = txs[start : start + INV_MAX]
            held = dict(zip(names_at(self._salt, [tx.wtxid for tx in batch]), batch, strict=True))
            want = self._ask(Inv(tuple(held)))
            while isinstance(want, Want) and want.names:
                want = self._ask(Txs(tuple(held[Name(name)] for name in want.names)))

    def _ask(self, request: Request) -> Reply:
        name = route_name(request)
        session = {SESSION_HEADER: self._token.hex()} if self._token else {}
        received = self._client.post(
            self._where, f"/p2p/{name}", encode(request), session, PATIENCE_S, ROUTES[name].reply_max
        )
        return decode_reply(name, received.body)


class Arrivals(NamedTuple):
    """Seconds from a block's submission to each node's having it as its tip, along the line."""

    times_s: tuple[float, ...]

    @property
    def hop_ms(self) -> float:
        """The median over neighbours."""
        return 1000 * median(later - sooner for sooner, later in pairwise(self.times_s))

    @property
    def all_ms(self) -> float:
        """Until the last."""
        return 1000 * self.times_s[-1]


class Line:
    """Nodes that each know but their neighbours."""

    def __init__(self, folder: Path, base: Sequence[bytes]) -> None:
        folder.mkdir()
        network = folder / "line.toml"
        network.write_text("".join(f"{key} = {json.dumps(setting)}\n" for key, setting in LINE.to_mapping().items()))
        self._cluster = Cluster(folder, str(network), LINE.name)
        nodes = [self._cluster.add("--no-index") for _ in range(NODES)]
        for one, other in pairwise(nodes):
            one.options += ["--peer", other.p2p]
            other.options += ["--peer", one.p2p]
        self._lookers = [HTTPConnection("127.0.0.1", node.api_port, timeout=PATIENCE_S) for node in nodes]
        self._height = 0
        try:
            self._cluster.start()
            for raw in base:
                self._submit(raw)
            self._cluster.wait_for(lambda: self._height_of(NODES - 1) == self._height, "the base", PATIENCE_S)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop them all."""
        for looker in self._lookers:
            looker.close()
        self._cluster.close()

    def fill(self, txs: Sequence[Tx], turn: int) -> None:
        """Bring these payments into every mempool."""
        for number, node in enumerate(self._cluster.nodes):
            with closing(Pusher(Endpoint("127.0.0.1", node.p2p_port), turn * NODES + number)) as pusher:
                pusher.push(txs)
        for node in self._cluster.nodes:
            self._cluster.wait_for(partial(self._has, node.index, len(txs)), "the payments", PATIENCE_S)
        time.sleep(CALM_S)

    def relay(self, raw: bytes) -> Arrivals:
        """Submit a block at one end, and wait until it has come to the other."""
        for looker in self._lookers:
            looker.close()  # a node hangs up on who says nothing for a minute
            looker.connect()
        with ThreadPoolExecutor(1) as pool:
            times, start = [], time.perf_counter()
            submitted = pool.submit(self._submit, raw)
            goal = self._height + 1
            for index in range(NODES):
                while self._height_of(index) < goal:
                    assert time.perf_counter() < start + PATIENCE_S, f"the block does not reach node {index}"
                    time.sleep(LOOK_S)
                times.append(time.perf_counter() - start)
            submitted.result()
        return Arrivals(tuple(times))

    def _submit(self, raw: bytes) -> None:
        assert self._cluster.rpc(0, "submitblock", raw.hex()) is None
        self._height += 1

    def _height_of(self, index: int) -> int:
        # Kept alive: a look has to cost the node as little as it can.
        self._lookers[index].request("GET", "/blocks/tip/height")
        return int(self._lookers[index].getresponse().read())

    def _has(self, index: int, txs_count: int) -> bool:
        return int(self._cluster.get_json(index, "/mempool")["count"]) == txs_count


def measure(bench: Bench) -> Iterator[Row]:
    """Blocks from the first node of a line to the last, in their compact form."""
    rounds = bench.size(7, 1)
    chain = payments_chain(bench.cache, rounds, PER_BLOCK)
    bench.say(f"{NODES} nodes start")
    found: list[Arrivals] = []
    with closing(Line(bench.folder / "line", chain.base)) as line:
        for turn, raw in enumerate(chain.payments):
            bench.say(f"block {turn + 1} of {rounds}")
            line.fill(decode_block(raw).txs[1:], turn)
            found.append(line.relay(raw))
    what = f"a block of {PER_BLOCK:,} known payments"
    hops, all_of_them = [arrivals.hop_ms for arrivals in found], [arrivals.all_ms for arrivals in found]
    yield Row(f"{what}, a hop", "ms", tuple(hops), bar=60, better="less", note="compact blocks; median of each line")
    name = f"{what}, all {NODES} nodes of a line, from submission"
    yield Row(name, "ms", tuple(all_of_them), bar=600, better="less")
    shares = tuple(map(_compact_share, chain.payments))
    yield Row(f"{what}, its compact form", "% of its bytes", shares, bar=5, better="less")


def _compact_share(raw: bytes) -> float:
    """What a block's compact form is of its bytes, in percent."""
    form = shorten(decode_block(raw), bytes(SALT_SIZE))
    assert form is not None
    return 100 * len(encode(form)) / len(raw)
