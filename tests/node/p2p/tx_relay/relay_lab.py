"""Transactions between one real `TxAnnounce` and scripted peers, in virtual time."""

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from chain.hashes import Txid, Wtxid, sha256
from chain.tx import Tx
from node.interface.effects import Failed, Send
from node.interface.endpoint import Endpoint, Link, PeerId
from node.interface.messages import GetTxs, Inv, Txs, Want
from node.interface.outbox import Outbox
from node.p2p.connections.pending_requests import PendingRequests
from node.p2p.tx_relay.context import TxRelayContext
from node.p2p.tx_relay.tx_announce import LOCAL, AnnouncePace, TxAnnounce
from node.p2p.wire.short_txid import Name, names_at
from tests.node.mempool.mempool_lab import PoolLab
from tests.node.p2p.doubles import FakeConnections, FakeScoring, facts

TICK_S = 0.1
SALT = b"the lab."
"""What names are keyed with at the node."""


def name_here(tx: Tx) -> Name:
    """What the node calls it."""
    return names_at(SALT, [tx.wtxid])[0]


class FakePeer:
    """A peer that has transactions, and delivers what it is asked for."""

    def __init__(self, number: int, txs: Sequence[Tx] = ()) -> None:
        self.id = PeerId(sha256(b"peer %d" % number)[:20])
        self.link: Link | None = Link(self.id, Endpoint("10.0.0.1", number + 1), bytes(16))
        self.txs = list(txs)
        self.told: list[Wtxid] = []
        """What it was told of, in order."""
        self.got: list[Tx] = []
        """What it was sent."""
        self.wants = 100
        """How many of what it is told it wants at once."""
        self.asked: list[GetTxs] = []
        self.salt = self.id[:8]
        """What transactions' names are keyed with here."""
        self.lab: RelayLab

    def answer(self, request: Any) -> Any:
        """A reply, Failed, or None for silence until the deadline."""
        match request:
            case Inv():
                held = [entry.tx.wtxid for entry in self.lab.pool.pool.view().entries.values()]
                by_name = dict(zip(names_at(self.salt, held), held, strict=True))
                self.told += [by_name[Name(name)] for name in request.names]
                return self.want()
            case Txs():
                self.got += request.txs
                return self.want()
            case GetTxs():
                self.asked.append(request)
                return self.serve(request)
        raise AssertionError(request)

    def want(self) -> Any:
        have = {tx.wtxid for tx in [*self.got, *self.txs]}
        return Want(names_at(self.salt, [wtxid for wtxid in self.told if wtxid not in have][: self.wants]))

    def serve(self, request: GetTxs) -> Any:
        return Txs(tuple(tx for tx in self.txs if name_here(tx) in request.names or tx.txid in request.txids))


class RelayLab:
    """The relay of a node whose mempool takes everything, at once."""

    def __init__(self, pace: AnnouncePace = LOCAL, seed: int = 1) -> None:
        self.pool = PoolLab()
        self.outbox = Outbox()
        self.requests = PendingRequests(self.outbox)
        self.peers: dict[PeerId, FakePeer] = {}
        self.paused = False
        self.delivered: Counter[Wtxid] = Counter()
        """How often each came to the mempool."""
        self.sources: dict[Wtxid, PeerId] = {}
        self.judge: Callable[[PeerId, Tx], None] = self.accept
        """What the mempool makes of a delivery."""
        connections: Any = FakeConnections(self.link_of, facts=lambda peer: facts(self.peers[peer].salt))
        self.scoring: Any = FakeScoring()
        self.relay = TxAnnounce(
            TxRelayContext(self.pool.pool, self.requests, connections, self.scoring, lambda: self.paused, self.deliver),
            random.Random(seed),
            pace,
            salt=SALT,
        )
        self.sent: list[Send] = []
        self.announced: dict[bytes, Wtxid] = {}
        """By their names here."""
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()

    @property
    def now(self) -> float:
        return self.pool.now

    def link_of(self, peer: PeerId) -> Link | None:
        found = self.peers.get(peer)
        return found.link if found else None

    def make(self, count: int = 1) -> list[Tx]:
        """Payments that nobody has yet."""
        return [self.pool.pay(self.pool.fund()) for _ in range(count)]

    def deliver(self, peer: PeerId, txs: Sequence[Tx], now: float) -> None:
        for tx in txs:
            self.delivered[tx.wtxid] += 1
            self.sources[tx.wtxid] = peer
            self.judge(peer, tx)

    def accept(self, peer: PeerId | None, tx: Tx) -> None:
        self.pool.add(tx)
        self.relay.accepted(tx)

    def submit(self, *txs: Tx) -> None:
        """Our own."""
        for tx in txs:
            self.accept(None, tx)

    def has(self, *txs: Tx) -> bool:
        return all(tx.txid in self.pool.pool for tx in txs)

    def add(self, peer: FakePeer, outbound: bool = True) -> FakePeer:
        self.peers[peer.id] = peer
        peer.lab = self
        self.relay.joined(peer.id, outbound, self.now)
        if peer.link:
            self.relay.linked(peer.id, outbound, self.now)
        return peer

    def leave(self, peer: FakePeer) -> None:
        del self.peers[peer.id]
        self.requests.forget(peer.id)
        self.relay.left(peer.id, self.now)
        self.carry()

    def announce(self, peer: FakePeer, *txs: Tx) -> tuple[Wtxid, ...]:
        """What the node wants of these."""
        self.announced.update((name_here(tx), tx.wtxid) for tx in txs)
        return self.wanted(self.relay.on_inv(peer.id, Inv(tuple(map(name_here, txs))), self.now))

    def push(self, peer: FakePeer, *txs: Tx) -> tuple[Wtxid, ...]:
        """A delivery; what the node wants next."""
        want = self.relay.on_txs(peer.id, Txs(txs), self.now)
        self.carry()
        return self.wanted(want)

    def wanted(self, want: Want) -> tuple[Wtxid, ...]:
        """What the node wants, of what was announced to it."""
        return tuple(self.announced[name] for name in want.names)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end - 1e-6:
            tick = self.now + TICK_S
            while self._events and self._events[0][0] <= tick:
                self.pool.now, _, event = heapq.heappop(self._events)
                event()
            self.pool.now = tick
            self.relay.tick(self.now)
            self.carry()

    def carry(self) -> None:
        """Do what has to be done."""
        for effect in self.outbox.take():
            assert isinstance(effect, Send)
            self.sent.append(effect)
            reply = self.peers[effect.link.peer].answer(effect.message)
            at = effect.deadline if reply is None else self.now + 0.02
            heapq.heappush(self._events, (at, next(self._number), self._answering(effect.request_id, reply)))

    def _answering(self, request_id: int, reply: Any) -> Callable[[], None]:
        def event() -> None:
            pending = self.requests.take(request_id)
            if pending is not None:
                pending.then(Failed("timed out") if reply is None else reply, self.now)
                self.carry()

        return event


def txids(txs: Sequence[Tx]) -> list[Txid]:
    """Their ids."""
    return [tx.txid for tx in txs]


def wtxids(txs: Sequence[Tx]) -> list[Wtxid]:
    """Their witness ids."""
    return [tx.wtxid for tx in txs]
