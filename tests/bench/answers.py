"""How long every answer of the API takes, over a long chain with many payments.

A real node, asked over HTTP: each REST route and each JSON-RPC method that reads, with blocks,
transactions and addresses drawn by lot from the whole chain, and with unconfirmed payments in the
mempool. What walks the whole coin set is left out: it runs beside the
others, on a snapshot.
"""

import base64
import http.client
import json
import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from chain.address import encode_address
from chain.block import Block, decode_block
from chain.hashes import sha256, to_hex
from node.api.rest.table import ROUTES
from node.api.routing.route import ParamType, Route
from node.api.rpc.table import METHODS
from node.descriptors.checksum import descriptor_checksum
from node.storage.schema import BLOCKS_SCHEMA, LEDGER_SCHEMA
from tests.bench.connect import LocalNode
from tests.bench.rows import Bench, Row
from tests.bench.workload import Chain, payments_chain
from tests.functional.cluster import Cluster

PER_BLOCK = 10
"""Payments."""
WAITING_BLOCKS = 20
"""The last ones are not connected: their payments wait in the mempool."""
BAR_MS = 50.0
FILTERS = "basic block filter index"
PATIENCE_S = 300.0
NOT_ASKED = {"/tx", "/broadcast", "/txs/package", "/v1/events"}
"""Routes that change something, or never end."""
SEED = 10

Question = tuple[str, str, bytes | None]
"""Method, path, body."""
Ask = Callable[[], Question]
"""Draws the next request of its kind."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a request may be about."""

    block: Block
    height: int
    txid: str
    """Of a payment in that block."""
    hex: str
    address: str
    script: bytes
    waiting: str
    """Id of a payment in the mempool."""


class Draw:
    """Draws what the next request is about."""

    def __init__(self, chain: Chain, connected: int) -> None:
        self._rng = random.Random(SEED)
        self._chain = chain
        self._connected = connected
        self._waiting = [to_hex(tx.txid) for raw in chain.payments[connected:] for tx in decode_block(raw).txs[1:]]

    def sample(self) -> Sample:
        number = self._rng.randrange(self._connected)
        block = decode_block(self._chain.payments[number])
        tx = self._rng.choice(block.txs[1:])
        script = self._rng.choice(tx.outputs).script
        address = encode_address(script)
        assert address
        height = len(self._chain.base) + number + 1
        return Sample(block, height, to_hex(tx.txid), tx.raw.hex(), address, script, self._rng.choice(self._waiting))


def measure(bench: Bench) -> Iterator[Row]:
    """The slowest of each kind, by its median."""
    blocks = bench.size(10_000, 200)
    chain = payments_chain(bench.cache, blocks + WAITING_BLOCKS, PER_BLOCK)
    bench.say(f"a chain of {blocks:,} blocks with {blocks * PER_BLOCK:,} payments")
    cluster = Cluster(bench.folder)
    try:
        node = cluster.add()
        shutil.copytree(_stored(bench.cache, chain, blocks), node.datadir / cluster.network_name)
        cluster.start(0)
        for raw in chain.payments[blocks:]:
            for tx in decode_block(raw).txs[1:]:
                cluster.request(0, "POST", "/api/tx", tx.raw.hex())
        bench.say("its block filters are made")
        cluster.wait_for(lambda: cluster.rpc(0, "getindexinfo", FILTERS)[FILTERS]["synced"], "the filters", PATIENCE_S)
        draw = Draw(chain, blocks)
        with closing(Client(node.api_port, cluster.nodes[0].datadir / cluster.network_name / ".cookie")) as client:
            for what, asks in (("REST", rest(draw)), ("JSON-RPC", calls(draw))):
                yield _row(bench, client, what, asks, blocks)
    finally:
        cluster.close()


def _stored(cache: Path, chain: Chain, blocks: int) -> Path:
    """The folder of a network that has so many blocks of payments, made if it is not there."""
    path = cache / f"answers-{BLOCKS_SCHEMA}-{LEDGER_SCHEMA}-{blocks}x{PER_BLOCK}"
    if not path.exists():
        partial = path.with_name(path.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        with LocalNode(partial, index=True) as node:
            node.connect(chain.base)
            node.connect(chain.payments[:blocks])
        partial.rename(path)
    return path


def _row(bench: Bench, client: "Client", what: str, asks: Mapping[str, Ask], blocks: int) -> Row:
    rounds = bench.size(21, 3)
    taken = {name: [client.ms(name, *ask()) for _ in range(rounds)] for name, ask in asks.items()}
    slowest = sorted(taken, key=lambda name: -median(taken[name]))
    for name in slowest[:3]:
        bench.say(f"{what}: {name}: {median(taken[name]):.1f} ms")
    name = f"{what}: slowest of {len(asks)} answers, {blocks:,} blocks"
    return Row(name, "ms", tuple(taken[slowest[0]]), bar=BAR_MS, better="less", note=slowest[0])


class Client:
    """One connection, kept alive."""

    def __init__(self, port: int, cookie: Path) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        self._login = "Basic " + base64.b64encode(cookie.read_bytes().strip()).decode()

    def close(self) -> None:
        self._connection.close()

    def ms(self, name: str, method: str, path: str, body: bytes | None) -> float:
        """Milliseconds until the whole answer is here."""
        headers = {"Authorization": self._login} if body else {}
        start = perf_counter()
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        taken = perf_counter() - start
        assert answer.status == 200, f"{name} {path} {body!r}: {answer.status} {content[:200]!r}"
        return 1_000 * taken


# what is asked


def rest(draw: Draw) -> dict[str, Ask]:
    """Every route that reads."""
    return {route.path: _route(route, draw) for route in ROUTES if route.path not in NOT_ASKED}


def _route(route: Route, draw: Draw) -> Ask:
    def ask() -> Question:
        sample = draw.sample()
        path = "/".join(
            _value(route.params[part[1:]], part[1:], sample) if part[:1] == ":" else part
            for part in route.path.split("/")
        )
        return route.method, "/api" + path, None

    return ask


def _value(kind: ParamType, name: str, sample: Sample) -> str:
    if name in ("index", "start") and kind is not ParamType.LENIENT_NUMBER:
        return "0"
    return {
        ParamType.BLOCK_HASH: to_hex(sample.block.hash),
        ParamType.TXID: sample.txid,
        ParamType.NUMBER: str(sample.height),
        ParamType.INDEX: "0",
        ParamType.ADDRESS: sample.address,
        ParamType.SCRIPT_HASH: sha256(sample.script).hex(),
        ParamType.LENIENT_NUMBER: "0",
        ParamType.LENIENT_TXID: sample.txid,
    }[kind]


CALLS: Mapping[str, Callable[[Sample], list[Any]]] = {
    "createrawtransaction": lambda sample: [[{"txid": sample.txid, "vout": 0}], [{sample.address: 0.0001}]],
    "decoderawtransaction": lambda sample: [sample.hex],
    "decodescript": lambda sample: [sample.script.hex()],
    "deriveaddresses": lambda sample: [f"{RANGED}#{descriptor_checksum(RANGED)}", [0, 19]],
    "estimatesmartfee": lambda sample: [6],
    "getblock": lambda sample: [to_hex(sample.block.hash), 3],
    "getblockfilter": lambda sample: [to_hex(sample.block.hash)],
    "getblockhash": lambda sample: [sample.height],
    "getblockheader": lambda sample: [to_hex(sample.block.hash)],
    "getblockstats": lambda sample: [sample.height],
    "getblocktemplate": lambda sample: [{"rules": ["segwit"]}],
    "getdescriptorinfo": lambda sample: [RANGED],
    "getmempoolancestors": lambda sample: [sample.waiting, True],
    "getmempooldescendants": lambda sample: [sample.waiting, True],
    "getmempoolentry": lambda sample: [sample.waiting],
    "getrawmempool": lambda sample: [True],
    "getrawtransaction": lambda sample: [sample.txid, 2],
    "gettxout": lambda sample: [sample.txid, 0],
    "gettxoutproof": lambda sample: [[sample.txid]],
    "gettxspendingprevout": lambda sample: [[{"txid": sample.txid, "vout": 0}]],
    "testmempoolaccept": lambda sample: [[sample.hex]],
    "validateaddress": lambda sample: [sample.address],
}
"""Parameters by method."""
PLAIN = frozenset(
    (
        "getbestblockhash", "getblockchaininfo", "getblockcount", "getchaintips", "getchaintxstats",
        "getconnectioncount", "getdifficulty", "getgenerate", "getindexinfo", "getmempoolinfo", "getmininginfo",
        "getnetworkhashps", "getnetworkinfo", "getpeerinfo", "getrpcinfo", "getzmqnotifications", "help", "uptime",
    )
)  # fmt: skip
"""Methods asked without parameters."""
NOT_CALLED = frozenset(
    (
        "addnode", "disconnectnode", "generateblock", "generatetoaddress", "generatetodescriptor", "gettxoutsetinfo",
        "invalidateblock", "preciousblock", "reconsiderblock", "scantxoutset", "sendrawtransaction", "setgenerate",
        "setmocktime", "stop", "submitblock", "submitpackage", "verifytxoutproof", "waitforblock", "waitforblockheight",
        "waitfornewblock",
    )
)  # fmt: skip
"""Methods that change something, wait, or walk through the coin set."""
RANGED = (
    "wpkh(tpubD6NzVbkrYhZ4WaWSyoBvQwbpLkojyoTZPRsgXELWz3Popb3qkjcJyJUGLnL4qHHoQvao8ESaAstxYSnhyswJ76uZPStJRJCTKvosUCJZL5B"
    "/0/*)"
)
"""Of BIP389's examples, on a test network."""


def calls(draw: Draw) -> dict[str, Ask]:
    """Methods that read."""

    def ask_of(method: str, params: Callable[[Sample], list[Any]]) -> Ask:
        def ask() -> Question:
            return "POST", "/", json.dumps({"method": method, "params": params(draw.sample()), "id": 1}).encode()

        return ask

    table = {**CALLS, **dict.fromkeys(PLAIN, lambda sample: [])}
    names = {method.name for method in METHODS}
    assert names == {*table, *NOT_CALLED}, sorted(names ^ {*table, *NOT_CALLED})
    return {method: ask_of(method, params) for method, params in table.items()}
