"""Headers and blocks from scripted peers, in virtual time, into a real chainstate."""

import heapq
import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any

from chain.block import Block, Header
from chain.blocktree import BlockNode
from chain.hashes import BlockHash, sha256
from chain.params import GENESIS, REGTEST
from node.chainstate.chainstate import Chainstate
from node.interface.checked_block import examine
from node.interface.effects import Effect, Failed, Send
from node.interface.endpoint import Endpoint, Link, PeerId
from node.interface.messages import Announce, Blocks, GetBlocks, GetHeaders, Headers, Ok
from node.interface.outbox import Outbox
from node.mempool.mempool import Mempool
from node.p2p.block_sync.block_sync import BlockSync
from node.p2p.block_sync.context import BlockSyncContext
from node.p2p.block_sync.pending_jobs import PendingJobs
from node.p2p.block_sync.unpack import prepare
from node.p2p.connections.peer_services import PeerServices
from node.p2p.connections.pending_requests import PendingRequests
from node.p2p.scoring.service_flags import Role
from node.storage.memory import MemoryDisk
from node.storage.recovery import open_memory
from tests.chainlab import ENGINE, NOW, Lab
from tests.node.p2p.doubles import FakeConnections, FakeScoring

TICK_S = 0.1
START = float(NOW)


def chain(count: int, base: Lab | None = None, extra_nonce: int = 0) -> Lab:
    """So many blocks, on those of `base` if there is one."""
    lab = base.copy() if base else Lab()
    for _ in range(count):
        lab.mine(extra_nonce=extra_nonce)
    return lab


class FakePeer:
    """A peer with a chain of its own. Subclasses misbehave by answering otherwise."""

    delay_s = 0.05
    lab: "SyncLab"

    def __init__(self, number: int, blocks: Sequence[Block]) -> None:
        self.id = PeerId(sha256(b"peer %d" % number)[:20])
        self.link = Link(self.id, Endpoint("10.0.0.1", number + 1), bytes(16))
        self.blocks = list(blocks)
        self.asked: list[Any] = []
        """Requests, in order."""

    @property
    def tip(self) -> BlockHash:
        return self.blocks[-1].hash if self.blocks else GENESIS.hash

    @property
    def heights(self) -> list[int]:
        """Of the blocks it was asked for."""
        order = {block.hash: height for height, block in enumerate(self.blocks, 1)}
        return [order.get(block_hash, 0) for block_hash in self.hashes]

    @property
    def hashes(self) -> list[BlockHash]:
        """The blocks it was asked for, in order."""
        return [block_hash for request in self.asked if isinstance(request, GetBlocks) for block_hash in request.hashes]

    def answer(self, request: Any) -> Any:
        """A reply, Failed, or None for silence until the deadline."""
        self.asked.append(request)
        match request:
            case GetHeaders():
                return self.headers(request)
            case GetBlocks():
                return self.answer_blocks(request)
            case Announce():
                return Ok()
        raise AssertionError(request)

    def headers(self, request: GetHeaders) -> Any:
        known = set(request.locator)
        start = max((n for n, block in enumerate(self.blocks, 1) if block.hash in known), default=0)
        return Headers(tuple(block.header for block in self.blocks[start : start + self.lab.headers_max]))

    def answer_blocks(self, request: GetBlocks) -> Any:
        """Those up to the first for which there is silence; a failure is one of the whole request."""
        raws: list[bytes] = []
        for raw in map(self.block, request.hashes):
            if isinstance(raw, Failed):
                return raw
            if raw is None:
                break
            raws.append(raw)
        return Blocks(tuple(raws)) if raws else None

    def block(self, block_hash: BlockHash) -> bytes | Failed | None:
        """A block, nothing (b"") if it is not here, None for silence."""
        return next((block.raw for block in self.blocks if block.hash == block_hash), b"")


class Stalling(FakePeer):
    """Tells of blocks and never delivers one."""

    def block(self, block_hash: BlockHash) -> bytes | Failed | None:
        return None


class Garbling(FakePeer):
    """Sends another block than asked for."""

    def block(self, block_hash: BlockHash) -> bytes | Failed | None:
        return self.blocks[0].raw if block_hash != self.blocks[0].hash else self.blocks[1].raw


class Noisy(FakePeer):
    """Sends what is no block."""

    def block(self, block_hash: BlockHash) -> bytes | Failed | None:
        return b"noise"


class Failing(FakePeer):
    """Cannot be reached for blocks."""

    def block(self, block_hash: BlockHash) -> bytes | Failed | None:
        return Failed("connection lost")


class _NoCompact:
    """Compact blocks are asked of nobody."""

    def on_announced(self, peer: PeerId, entry: BlockNode, now: float) -> None:
        pass


class SyncLab:
    """Headers and blocks on a real chainstate, their peers, and the clock."""

    has_compact = False

    def __init__(self, headers_max: int = 2_000, minimum_work: int = 0) -> None:
        self.now = START
        self.headers_max = headers_max
        self.chain = Chainstate(REGTEST, open_memory(MemoryDisk(), REGTEST.network_id), itertools.count(1).__next__)
        self.outbox = Outbox()
        self.requests = PendingRequests(self.outbox)
        self.peers: dict[PeerId, FakePeer] = {}
        self.punished: list[tuple[PeerId, str]] = []
        self.pool = Mempool()
        self.scoring: Any = FakeScoring()
        self.jobs = PendingJobs(self.outbox)
        connections: Any = FakeConnections(self.link_of, self.punish, self.is_outbound)
        self.services = PeerServices(connections, self.chain, Role.FULL)
        context = BlockSyncContext(self.chain, self.requests, self.jobs, connections, self.services, self.scoring)
        self.parts = BlockSync(context, self.pool, random.Random(1), secret=bytes(32), minimum_work=minimum_work)
        self.sync = self.parts.headers
        if not self.has_compact:
            self.sync._compact = _NoCompact()  # type: ignore[assignment]
        self.accepted: list[BlockHash] = []
        self.connecting = True
        """False: bodies are taken, and wait."""
        self.open: dict[PeerId, int] = {}
        """Blocks that it owes, and the most there were at once."""
        self.most_open: dict[PeerId, int] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()

    def link_of(self, peer: PeerId) -> Link | None:
        found = self.peers.get(peer)
        return found.link if found else None

    def is_outbound(self, peer: PeerId) -> bool:
        return bool(getattr(self.peers.get(peer), "outbound", False))

    def settle(self, before: BlockNode, now: float) -> None:
        """Connect what has come in, as the node does at the end of each step."""
        self.accepted += [entry.hash for entry, source in self.chain.stored if source]
        self.chain.stored.clear()
        while self.connecting and (staged := self.chain.advance()) is not None:
            self.chain.verified(staged.token, ENGINE.first_failure(b"".join(staged.checks)))
        if self.chain.tip is not before:
            self.on_tip(now)

    def on_tip(self, now: float) -> None:
        self.sync.on_tip(now)

    def punish(self, peer: PeerId, reason: str, now: float) -> None:
        self.punished.append((peer, reason))
        self.drop(peer)

    def add(self, peer: FakePeer) -> None:
        peer.lab = self
        self.peers[peer.id] = peer
        self.open[peer.id] = self.most_open[peer.id] = 0
        self.sync.linked(peer.id, peer.tip, self.now)
        self.carry()

    def leave(self, peer: FakePeer) -> None:
        self.drop(peer.id)
        self.carry()

    def drop(self, peer: PeerId) -> None:
        if self.peers.pop(peer, None) is None:
            return
        self.requests.forget(peer)
        self.parts.left(peer, self.now)

    def announce(self, peer: FakePeer, *headers: Header) -> None:
        self.sync.on_announce(peer.id, Announce(headers), self.now)
        self.carry()

    def give(self, *blocks: Block) -> None:
        """Blocks that the node has found or stored itself."""
        for block in blocks:
            self.give_at_once([block])

    def give_at_once(self, blocks: Sequence[Block]) -> None:
        """The same in one step."""
        before = self.chain.tip
        for block in blocks:
            self.chain.submit_block(examine(block, REGTEST), int(self.now), sync=False)
        self.settle(before, self.now)
        self.carry()

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> float:
        """Let time pass; how much, if `until` ended it."""
        start = self.now
        end = start + seconds
        while self.now < end - 1e-6 and not until():
            tick = self.now + TICK_S
            while self._events and self._events[0][0] <= tick:
                self.now, _, event = heapq.heappop(self._events)
                event()
            self.now = tick
            for number in self.requests.overdue(self.now):
                self.answer(number, Failed("no answer"))
            self.settle(self.chain.tip, self.now)
            self.carry()
            self.parts.tick(self.now)
            self.carry()
        return self.now - start

    def synced(self, blocks: Sequence[Block]) -> Callable[[], bool]:
        return lambda: self.chain.tip.hash == blocks[-1].hash

    def carry(self) -> None:
        """Do what has to be done."""
        for effect in self.outbox.take():
            self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> None:
        assert isinstance(effect, Send)
        self._send(effect)

    def _send(self, send: Send) -> None:
        peer = self.peers.get(send.link.peer)
        if peer is None:
            return  # it was dropped in the same step: what is queued for it is forgotten
        reply = peer.answer(send.message)
        at = send.deadline if reply is None else self.now + peer.delay_s
        blocks = len(send.message.hashes) if isinstance(send.message, GetBlocks) else 0
        self.open[peer.id] += blocks
        self.most_open[peer.id] = max(self.most_open[peer.id], self.open[peer.id])

        def event() -> None:
            self.open[peer.id] -= blocks
            self.answer(send.request_id, Failed("timed out") if reply is None else prepare(reply, REGTEST))

        heapq.heappush(self._events, (at, next(self._number), event))

    def answer(self, request_id: int, reply: Any) -> None:
        pending, before = self.requests.take(request_id), self.chain.tip
        if pending is not None:
            pending.then(reply, self.now)
            self.settle(before, self.now)
            self.carry()
