"""A real node in this process (core, runtime, store in memory) behind real HTTP on free ports."""

import base64
import http.client
import json
import random
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from chain.block import Block
from chain.keys import default_engine
from chain.params import REGTEST, Params
from chain.tx import Tx
from node.api.app import ApiApp
from node.api.http.listener import Listener
from node.api.http.site import Site
from node.api.p2p import P2pApp, p2p_body_cap
from node.api.p2p_gate import P2pGate
from node.api.services.request_metrics import RequestMetrics
from node.blockfilter.filter_index import FilterIndex
from node.config import Config
from node.core.config import NodeConfig
from node.core.node import Node
from node.core.submission import Submission
from node.interface.checked_block import examine
from node.interface.effects import Dial, Failed, Send
from node.interface.endpoint import Endpoint, PeerId
from node.p2p.connections.identity import NodeIdentity
from node.runtime.runtime import Runtime, Solver
from node.storage.filters import FilterRows
from node.storage.memory import MemoryDisk, MemoryKv
from node.storage.recovery import open_memory
from node.workers.verifier_pool import VerifierPool

ENGINE = default_engine()
USER, PASSWORD = "__cookie__", "c0ffee" * 10
WAIT_S = 20.0
ANYWHERE = Endpoint("127.0.0.1", 0)


class NoCarrier:
    """A network that reaches nobody."""

    def send(self, effect: Send) -> Failed | None:
        return Failed("no network")

    def dial(self, effect: Dial) -> Failed | None:
        return Failed("no network")

    def close(self, peer: PeerId) -> None:
        pass


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def type(self) -> str:
        return self.headers["content-type"]

    def json(self) -> Any:
        return json.loads(self.body)


class Desk:
    """One node with its two listeners. `close` ends it."""

    def __init__(
        self,
        folder: Path,
        *,
        index: bool = True,
        admit: bool = True,
        params: Params = REGTEST,
        solver: Solver | None = None,
        **settings: Any,
    ) -> None:
        """`settings` are a Config's; with `admit` false the node stays as it is while starting."""
        self.config = Config(params, folder, (ANYWHERE,), ANYWHERE, index=index, **settings)
        self.config.folder.mkdir(parents=True)
        self.config.cookie.write_text(f"{USER}:{PASSWORD}\n")
        self.store = open_memory(MemoryDisk(), params.network_id, index=index)
        rng = random.Random(7)
        identity = NodeIdentity(rng.randbytes(32), ENGINE, rng)
        self.runtime = Runtime(VerifierPool(ENGINE, 0, time.monotonic), solver)
        options = NodeConfig(coinbase_tag=self.config.coinbase_tag)
        self.node = Node(params, self.store, identity, rng, options, self.runtime.wall)
        self.runtime.open(self.node, NoCarrier())
        if admit:
            self.runtime.admit()
        tallies = RequestMetrics()
        self.filters = FilterIndex(lambda: FilterRows(MemoryKv(), params.network_id)) if index else None
        if self.filters and admit:
            self.filters.open(self.runtime.view)
        app = self.app = ApiApp(self.runtime, self.config, tallies=tallies, filters=self.filters)
        p2p = P2pApp(self.runtime, tallies.refusals)
        self.api = Listener(Site("api", tallies.api.timed(app), app.body_cap, 8, app.quick), [ANYWHERE])
        gate = P2pGate(self.runtime, params.allow_local, tallies.refusals)
        self.p2p = Listener(Site("p2p", tallies.p2p.timed(p2p), p2p_body_cap(), 8, gate=gate), [ANYWHERE])
        self._threads = [Thread(target=listener.run) for listener in (self.api, self.p2p)]
        for thread in self._threads:
            thread.start()

    @property
    def port(self) -> int:
        """Of the API."""
        return self.api.endpoints[0].port

    def close(self) -> None:
        """End everything."""
        self.api.stop()
        self.p2p.stop()
        self.runtime.close()
        self.runtime.join(5)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()
        self.store.close()

    # feeding it

    def give(self, blocks: Iterable[Block]) -> None:
        """Submit blocks and wait for their verdicts."""
        for block in blocks:
            submission = Submission(examine(block, self.config.params))
            self.runtime.call(lambda node, now, it=submission: node.submit_block(it, now))

    def pool(self, *txs: Tx) -> None:
        """Submit transactions and wait for their verdicts."""
        for tx in txs:
            self.runtime.call(lambda node, now, it=tx: node.submit_tx(it, now))

    def make_filters(self) -> None:
        """What the daemon's keeper does in the background: a filter for every block."""
        while self.filters and not self.filters.is_level(self.runtime.view):
            self.filters.make_next(self.runtime.view)

    # asking it

    def request(
        self, method: str, path: str, body: bytes | str | None = None, *, p2p: bool = False, **headers: str
    ) -> Reply:
        """Any request; content_type="..." is a header."""
        port = self.p2p.endpoints[0].port if p2p else self.port
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)) as connection:
            connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
            reply = connection.getresponse()
            return Reply(reply.status, {name.lower(): text for name, text in reply.getheaders()}, reply.read())

    def get(self, path: str, **headers: str) -> Reply:
        return self.request("GET", path, **headers)

    def post_rpc(self, body: bytes | str, user: str = USER, password: str = PASSWORD, **headers: str) -> Reply:
        """A raw JSON-RPC request."""
        credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
        return self.request("POST", "/", body, authorization=f"Basic {credentials}", **headers)

    def rpc(self, method: str, *params: Any, **named: Any) -> Any:
        """The result of a call that succeeds."""
        envelope = self.post_rpc(json.dumps({"method": method, "params": named or params, "id": 1})).json()
        assert envelope["error"] is None, envelope["error"]
        return envelope["result"]

    def rpc_error(self, method: str, *params: Any, **named: Any) -> tuple[int, str]:
        """Code and message of a call that fails."""
        envelope = self.post_rpc(json.dumps({"method": method, "params": named or params, "id": 1})).json()
        assert envelope["result"] is None
        return envelope["error"]["code"], envelope["error"]["message"]
