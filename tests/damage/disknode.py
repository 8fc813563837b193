"""A node on a real data directory in this process, asked without sockets."""

import base64
import json
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from chain.block import Block
from chain.errors import Rejected
from chain.keys import default_engine
from chain.params import REGTEST
from node.api.app import ApiApp
from node.api.explorer import wsgi
from node.api.explorer.home import TXS_SHOWN
from node.api.explorer.payments import PaymentBlocks
from node.api.explorer.site import _make_site
from node.api.http.message import Request, Response
from node.api.p2p import P2pApp
from node.blockfilter.filter_index import FilterIndex, FiltersBroken
from node.config import Config
from node.core.node import Node
from node.core.submission import Submission
from node.interface.checked_block import examine
from node.interface.effects import Dial, Failed, Send
from node.interface.endpoint import Endpoint, PeerId
from node.interface.storage import StoreError
from node.p2p.connections.identity import NodeIdentity
from node.runtime.runtime import NotReady, Runtime
from node.storage.filters import open_filters
from node.storage.recovery import open_store
from node.workers.verifier_pool import VerifierPool
from tests.chainlab import NOW

ENGINE = default_engine()
ANYWHERE = Endpoint("127.0.0.1", 18443)
LOGIN = "__cookie__:" + "c0ffee" * 10
READY_S = 60.0
PAGES = _make_site()
"""For all nodes: to make them takes longer than all questions."""


class NoCarrier:
    """A network that reaches nobody."""

    def send(self, effect: Send) -> Failed | None:
        return Failed("no network")

    def dial(self, effect: Dial) -> Failed | None:
        return Failed("no network")

    def close(self, peer: PeerId) -> None:
        pass


@dataclass(frozen=True)
class Question:
    """Something to ask: a path, a JSON-RPC call, or a peer's message."""

    path: str
    body: bytes = b""
    """Not empty: a POST."""
    p2p: bool = False
    block: bytes = b""
    """Hash of the block that it is about, if it is."""
    of_all: bool = False
    """The answer tells of all blocks that are known, not of the best chain alone."""

    def __str__(self) -> str:
        return f"{self.path} {self.body[:200]!r}" if self.body else self.path


def rpc(method: str, *params: object, block: bytes = b"", of_all: bool = False) -> Question:
    """A JSON-RPC call."""
    body = json.dumps({"method": method, "params": params, "id": 1}).encode()
    return Question("/", body, block=block, of_all=of_all)


class DiskNode:
    """The node. Raises StoreError where a process would end at its start."""

    def __init__(self, datadir: Path) -> None:
        self.config = Config(REGTEST, datadir, (ANYWHERE,), ANYWHERE)
        self.config.folder.mkdir(parents=True, exist_ok=True)
        self.config.cookie.write_text(LOGIN)
        self.store = open_store(self.config.folder, REGTEST.network_id, index=True)
        rng = random.Random(7)
        self.runtime = Runtime(VerifierPool(ENGINE, 0, time.monotonic), unix=lambda: float(NOW))
        self.filters = FilterIndex(lambda: open_filters(self.config.folder, REGTEST.network_id))
        try:
            identity = NodeIdentity(rng.randbytes(32), ENGINE, rng)
            core = Node(REGTEST, self.store, identity, rng, wall=self.runtime.wall)
            self.runtime.open(core, NoCarrier())
            assert self.runtime.await_core(READY_S)
            if self.runtime.fault:
                raise StoreError(self.runtime.fault)
            self.runtime.admit()
            self.filters.open(self.runtime.view)
        except BaseException:
            self.close()
            raise
        app = ApiApp(self.runtime, self.config, filters=self.filters)
        payments = PaymentBlocks(TXS_SHOWN)
        app._explorer._pages = lambda asked, call: wsgi.ask(PAGES, asked, "/explorer", call=call, payments=payments)
        self._apps = app, P2pApp(self.runtime)

    def close(self) -> None:
        """As the process' end."""
        self.runtime.close()
        self.runtime.join(5)
        self.filters.close()
        self.store.close()

    @property
    def tip(self) -> bytes:
        return self.runtime.view.tip.hash

    def give(self, blocks: Iterable[Block]) -> None:
        """Have it take in these blocks, as if a peer had sent them. What it finds broken meanwhile is its fault."""
        for block in blocks:
            submission = Submission(examine(block, REGTEST))
            try:
                self.runtime.call(lambda node, now, it=submission: node.submit_block(it, now))
            except Rejected:
                continue
            except NotReady:
                assert self.runtime.fault
                return

    def make_filters(self) -> None:
        """What the daemon does in the background: a filter for every block, or a word why there are none."""
        try:
            while not self.filters.is_level(self.runtime.view):
                self.filters.make_next(self.runtime.view)
        except FiltersBroken:
            pass  # whoever asks is told
        except StoreError as error:
            self.runtime.fail(error)
        except NotReady:
            assert self.runtime.fault

    def ask(self, question: Question) -> Response:
        """The answer."""
        headers = {"HOST": str(ANYWHERE), "AUTHORIZATION": f"Basic {base64.b64encode(LOGIN.encode()).decode()}"}
        path, _, query = question.path.partition("?")
        method = "POST" if question.body else "GET"
        request = Request(method, path, question.path, query, headers, "127.0.0.1", lambda: question.body)
        return self._apps[question.p2p](request)
