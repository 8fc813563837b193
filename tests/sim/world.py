"""Many real nodes in one process, in virtual time, from one seed.

The world is the runtime of all of them: it carries their effects over a network with latency and
partitions, as the very bytes that would travel, and brings back what these came to. Every event
stands on one heap; every choice is drawn from one `random.Random`: the same seed gives the same
run, which `trace` tells.
"""

import heapq
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from chain.block import Block, make_block
from chain.blocktemplate import solve
from chain.blocktree import BlockNode
from chain.errors import Invalid
from chain.hashes import sha256
from chain.keys import Check, default_engine
from chain.params import REGTEST, Params
from chain.tx import Tx
from node.core.config import NodeConfig
from node.core.node import Node
from node.core.submission import Submission
from node.interface.checked_block import examine
from node.interface.effects import (
    Answer,
    Close,
    Compute,
    Computed,
    Dial,
    Effect,
    Failed,
    Park,
    Publish,
    Resume,
    Send,
    Step,
    Verified,
    Verify,
)
from node.interface.endpoint import Endpoint, PeerId
from node.interface.messages import Hello, Refusal
from node.interface.wall_clock import WallClock
from node.p2p.block_sync.unpack import prepare
from node.p2p.config import PeerManagerConfig
from node.p2p.connections.identity import NodeIdentity
from node.p2p.discovery.config import DiscoveryConfig
from node.p2p.wire.codec import decode_reply, decode_request, encode, route_name
from node.storage.memory import MemoryDisk
from node.storage.recovery import open_memory
from tests.chainlab import NOW, lock

START = float(NOW)
TICK_S = 0.1
VERIFY_S = 0.002
COMPUTE_S = 0.001
REFUSED_S = 0.001
"""How soon a machine says that nobody listens there."""
SOLVE_MAX = 1 << 24
PORT = 18444
ENGINE = default_engine()

R = TypeVar("R")


@dataclass(frozen=True)
class Faults:
    """What the network does to requests."""

    latency_s: tuple[float, float] = (0.005, 0.05)
    """One way, drawn anew for each message; so messages overtake each other."""
    loss: float = 0.0
    """Share of requests whose answer never comes: half of them have been delivered."""


@dataclass
class SimNode:
    """One node, its disk, and its place in the network."""

    index: int
    endpoint: Endpoint
    secret: bytes
    disk: MemoryDisk
    peers: tuple[Endpoint, ...]
    listens: bool
    walled: bool = False
    """Nobody can reach it, whatever it says."""
    finding: DiscoveryConfig | None = None
    """How it finds others."""
    settings: dict[str, Any] = field(default_factory=dict)
    """More of a Node's options."""
    dialled: list[Endpoint] = field(default_factory=list)
    """All that it has ever greeted or tried to."""
    core: Node | None = None
    """None while it is down."""
    life: int = 0
    """Counts starts: what an earlier life asked for is not answered."""
    group: int = 0
    """Nodes of different groups cannot reach each other."""
    published: list[Publish] = field(default_factory=list)
    closed: list[tuple[PeerId, str]] = field(default_factory=list)
    """Peers that it dropped, and why."""
    requests: Counter[str] = field(default_factory=Counter)
    """How many of its requests reached somebody, by route."""
    parked: "list[_Parked]" = field(default_factory=list)
    """Requests of peers that wait for something, the oldest first."""

    @property
    def node(self) -> Node:
        """The core, of a node that is up."""
        assert self.core is not None, f"node {self.index} is down"
        return self.core

    @property
    def tip(self) -> BlockNode:
        """The end of its committed chain."""
        return self.node.view().tip

    @property
    def txids(self) -> set[bytes]:
        """What is in its mempool."""
        return set(self.node.view().pool.entries)


@dataclass
class _Parked:
    """A request of a peer that the core has parked."""

    topic: str
    ask: Callable[[], None]
    """Asks the core again, or tells the sender that the node is down."""


class World:
    """All nodes, the network between them, and time."""

    def __init__(self, seed: int, params: Params = REGTEST, faults: Faults | None = None) -> None:
        self.params = params
        self.now = START
        """Monotonic: what the timers of all nodes go by."""
        self.wall = WallClock()
        """Unix time, at first the same."""
        self.rng = random.Random(seed)
        self.faults = faults or Faults()
        self.nodes: list[SimNode] = []
        self.trace = sha256(b"trace")
        """A hash over all that has happened."""
        self.sent: Counter[str] = Counter()
        """Bytes that travelled, by route; answers apart."""
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._event_number = 0
        self._by_endpoint: dict[Endpoint, SimNode] = {}
        self._verdicts: dict[Check, bool] = {}

    def add(
        self,
        peers: Iterable[SimNode] = (),
        *,
        listens: bool = True,
        walled: bool = False,
        finding: DiscoveryConfig | None = None,
        host: str | None = None,
        **settings: Any,
    ) -> SimNode:
        """A new node that keeps links with `peers`; it starts at once. Peers are told where to
        dial it if it `listens`; nobody can if it is `walled`. `host` is its address, if it matters,
        `settings` are more of a PeerManagerConfig's."""
        index = len(self.nodes)
        endpoint = Endpoint(host or f"10.0.{index // 250}.{index % 250 + 1}", PORT)
        secret = sha256(b"node %d" % index)
        node = SimNode(index, endpoint, secret, MemoryDisk(), tuple(peer.endpoint for peer in peers), listens, walled)
        node.finding, node.settings = finding, settings
        self.nodes.append(node)
        self._by_endpoint[endpoint] = node
        self.start(node)
        return node

    def add_stranger(self, make: Callable[[SimNode], Any]) -> SimNode:
        """A place in the network for something that is called like a Node and is none."""
        index = len(self.nodes)
        node = SimNode(index, Endpoint(f"10.{100 + index}.0.1", PORT), b"", MemoryDisk(), (), True)
        self.nodes.append(node)
        self._by_endpoint[node.endpoint] = node
        node.core, node.life = make(node), 1
        self._tick(node, node.life)
        return node

    def move(self, node: SimNode, endpoint: Endpoint) -> None:
        """From now on it stands at another address."""
        self._by_endpoint.pop(node.endpoint, None)
        node.endpoint = endpoint
        self._by_endpoint[endpoint] = node

    def start(self, node: SimNode) -> None:
        """Start a node that is down, on what its disk holds."""
        assert node.core is None
        store = open_memory(node.disk, self.params.network_id)
        rng = random.Random(self.rng.getrandbits(64))
        identity = NodeIdentity(node.secret, ENGINE, rng)
        listen = Endpoint("", node.endpoint.port) if node.listens else None
        node.core = Node(
            self.params,
            store,
            identity,
            rng,
            NodeConfig(
                PeerManagerConfig(
                    listen=listen, agent="sim", discovery=node.finding or DiscoveryConfig(), **node.settings
                ),
                node.peers,
            ),
            self.wall,
        )
        node.life += 1
        self._perform(node, lambda core: core.start(self.now))
        self._tick(node, node.life)

    def kill(self, node: SimNode) -> None:
        """A power cut: what was not synced is gone."""
        node.core = None
        node.disk.crash()
        self._wake(node, None)

    def partition(self, *groups: Iterable[SimNode]) -> None:
        """Cut the network: who is in no group is with the first."""
        for number, group in enumerate(groups):
            for node in group:
                node.group = number

    def heal(self) -> None:
        """One network again."""
        self.partition(self.nodes)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self._run_until(self.now + seconds)

    def until(self, condition: Callable[[], bool], within_s: float) -> float:
        """Let time pass until `condition` holds; how long that took. Fails after `within_s`."""
        start = self.now
        while not condition():
            assert self.now < start + within_s, f"not within {within_s} s"
            self._run_until(min(self.now + TICK_S / 2, start + within_s))
        return self.now - start

    def set_clock(self, step_s: float) -> None:
        """Set the wall clocks of all nodes, back if it is negative. Time itself goes on."""
        self.wall.ahead_s += step_s

    def _run_until(self, end: float) -> None:
        while self._events and self._events[0][0] <= end:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = end

    def _at(self, time: float, event: Callable[[], None]) -> None:
        self._event_number += 1
        heapq.heappush(self._events, (time, self._event_number, event))

    def _tick(self, node: SimNode, life: int) -> None:
        def tick() -> None:
            if node.core is not None and node.life == life:
                self._perform(node, lambda core: core.tick(self.now))
                self._at(self.now + TICK_S, tick)

        self._at(self.now + self.rng.random() * TICK_S, tick)

    def call(self, node: SimNode, fn: Callable[[Node, float], Step[R]], within_s: float = 90.0) -> R:
        """A local call; where its reply is to wait, time passes."""
        start = self.now
        while True:
            reply = self._perform(node, lambda core: fn(core, self.now))
            if not isinstance(reply, Park):
                return reply
            assert self.now < start + within_s, f"no reply on {reply.topic}"
            self._wait(node, reply.topic, within_s)

    def _wait(self, node: SimNode, topic: str, within_s: float) -> None:
        seen = len(node.published)
        self.until(lambda: any(event.topic == topic for event in node.published[seen:]), within_s)

    def mine(self, node: SimNode) -> Block:
        """A block found by a node."""
        script = lock(number=node.index)
        candidate = self.call(node, lambda core, now: core.template(script, now))
        header = solve(candidate.header, SOLVE_MAX)
        assert header is not None
        block = make_block(header, candidate.txs)
        self.give(node, block)
        return block

    def give(self, node: SimNode, block: Block) -> str | None:
        """A block submitted to a node."""
        submission = Submission(examine(block, self.params))
        return self.call(node, lambda core, now: core.submit_block(submission, now))

    def submit(self, node: SimNode, tx: Tx) -> None:
        """A payment submitted to a node."""
        self.call(node, lambda core, now: core.submit_tx(tx, now))

    @property
    def up(self) -> list[SimNode]:
        """The nodes that are not down."""
        return [node for node in self.nodes if node.core is not None]

    def agree(self, nodes: Sequence[SimNode] | None = None) -> bool:
        """True if all stand on one tip."""
        return len({node.tip.hash for node in nodes or self.up}) == 1

    def have(self, txids: Iterable[bytes], nodes: Sequence[SimNode] | None = None) -> bool:
        """True if all have these transactions in their mempools."""
        wanted = set(txids)
        return all(wanted <= node.txids for node in nodes or self.up)

    def _perform(self, node: SimNode, fn: Callable[[Node], Step[R]]) -> R | Park:
        step = fn(node.node)
        for effect in step.effects:
            self._carry(node, effect)
        return step.reply

    def _carry(self, node: SimNode, effect: Effect) -> None:
        match effect:
            case Send(link, message, request_id, deadline):
                self._request(node, link.peer, link.endpoint, link.token, message, request_id, deadline)
            case Dial(endpoint, message, request_id, deadline):
                node.dialled.append(endpoint)
                self._request(node, None, endpoint, None, message, request_id, deadline)
            case Verify(token, checks):
                failure = next((i for i, check in enumerate(checks) if not self._is_right(check)), None)
                self._later(node, VERIFY_S, lambda core: core.handle(None, Verified(token, failure), self.now))
            case Publish():
                node.published.append(effect)
                self._wake(node, effect.topic)
            case Compute(job, run):
                outcome = run()
                self._later(node, COMPUTE_S, lambda core: core.handle(None, Computed(job, outcome), self.now))
            case Resume():
                self._later(node, 0.0, lambda core: core.handle(None, effect, self.now))
            case Close():
                node.closed.append((effect.peer, effect.why))
                self._note(b"close", node, effect.why.encode())

    def _is_right(self, check: Check) -> bool:
        if check not in self._verdicts:
            self._verdicts[check] = ENGINE.verify(check)
        return self._verdicts[check]

    def _later(self, node: SimNode, delay_s: float, fn: Callable[[Node], Step[Any]]) -> None:
        """Call a core after a while, unless it has died by then."""
        life = node.life

        def event() -> None:
            if node.core is not None and node.life == life:
                self._perform(node, fn)

        self._at(self.now + delay_s, event)

    def _latency(self) -> float:
        return self.rng.uniform(*self.faults.latency_s)

    def _request(
        self,
        node: SimNode,
        peer: PeerId | None,
        endpoint: Endpoint,
        token: bytes | None,
        message: Any,
        request_id: int,
        deadline: float,
    ) -> None:
        """A request on its way: the answer, or the failure, comes back by the deadline."""
        name, body = route_name(message), encode(message)
        life = node.life
        lost = self.rng.random() < self.faults.loss
        target = self._by_endpoint.get(endpoint)

        def answer(outcome: Any, at: float) -> None:
            in_time = outcome if at <= deadline else Failed("timed out")

            def event() -> None:
                if node.core is not None and node.life == life:
                    self._perform(node, lambda core: core.handle(peer, Answer(request_id, in_time), self.now))

            self._at(max(self.now, min(at, deadline)), event)

        def arrive() -> None:
            if target is None or (target.core is None and target.group == node.group):
                return answer(Failed("refused the connection"), self.now + REFUSED_S)
            unreachable = target.group != node.group or target.walled
            if unreachable or target.core is None or (lost and self.rng.random() < 0.5):
                return answer(Failed("timed out"), deadline)
            self._note(name.encode(), node, target.endpoint.host.encode())
            node.requests[name] += 1
            self.sent[name] += len(body)

            def replied(reply: bytes | None) -> None:
                self.sent[f"{name} answers"] += len(reply or b"")
                if lost or target.group != node.group:
                    answer(Failed("timed out"), deadline)
                elif reply is None:
                    answer(Failed("connection lost"), self.now + REFUSED_S)
                else:
                    answer(self._decoded(name, reply), self.now + self._latency())

            return self._serve(target, node, decode_request(name, body), token, replied)

        self._at(self.now + self._latency(), arrive)

    def _decoded(self, name: str, reply: bytes) -> Any:
        """A reply as its asker gets it."""
        try:
            return prepare(decode_reply(name, reply), self.params)
        except Invalid as error:
            return Failed(str(error), offence=True)

    def _serve(
        self,
        target: SimNode,
        sender: SimNode,
        request: Any,
        token: bytes | None,
        then: Callable[[bytes | None], None],
    ) -> None:
        """Gives `then` the reply as soon as there is one; None: the node went down, or has nothing to say."""
        life, host, patience = target.life, sender.endpoint.host, float("inf")

        def ask() -> None:
            nonlocal patience
            if target.core is None or target.life != life:
                return then(None)
            if isinstance(request, Hello):
                reply = self._perform(target, lambda core: core.greet(request, host, self.now))
            else:
                peer = target.node.peer_of(token) if token else None
                reply = self._perform(target, lambda core: core.handle(peer, request, self.now))
            if isinstance(reply, Park):
                patience = min(patience, reply.deadline)
                return self._park(target, _Parked(reply.topic, ask), patience) if self.now < patience else then(None)
            if isinstance(reply, Refusal):
                self._note(b"refused", target, reply.reason.name.encode())
            return then(encode(reply))

        ask()

    def _park(self, node: SimNode, request: "_Parked", until: float) -> None:
        """Ask again when something is published on the topic, or the time is over."""
        node.parked.append(request)
        self._at(until, lambda: self._unpark(node, request))

    def _wake(self, node: SimNode, topic: str | None) -> None:
        """Wake who waits for a topic; None: everybody."""
        for request in node.parked:
            if topic in (None, request.topic):
                self._at(self.now, partial(self._unpark, node, request))

    def _unpark(self, node: SimNode, request: "_Parked") -> None:
        if any(parked is request for parked in node.parked):
            node.parked = [parked for parked in node.parked if parked is not request]
            request.ask()

    def _note(self, what: bytes, node: SimNode, detail: bytes) -> None:
        self.trace = sha256(self.trace + b"%r %d " % (self.now, node.index) + what + b" " + detail)
