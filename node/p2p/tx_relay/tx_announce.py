"""Unconfirmed transactions between peers: announced in batches, asked for once, delivered.

    announcer                        we
      Inv(names)          ->
                          <-  Want(those new to us, asked of nobody else)
      Txs                 ->
                          <-  Want(more of what it announced)

What to want is `TxRequest`'s part; here is what each peer is told and sent.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from chain.hashes import Wtxid
from chain.tx import Tx
from node.interface.bounded import BoundedSet
from node.interface.effects import PeerReply
from node.interface.endpoint import PeerId
from node.interface.messages import INV_MAX, TXS_BYTES_MAX, WANT_MAX, GetTxs, Inv, Txs, Want
from node.p2p.tx_relay.context import TxRelayContext
from node.p2p.tx_relay.tx_request import TxRequest
from node.p2p.wire.short_txid import Name, ShortTxids, names_at

QUEUE_MAX = 5_000
"""Transactions to be announced to one peer; beyond, the oldest is not announced to it."""
KNOWN_MAX = 10_000
"""Transactions, known here, that a peer is known to have; beyond, the oldest is forgotten."""
TOLD_MAX = 5_000
"""Transactions that a peer was told of and may want; beyond, the oldest is not delivered."""
INV_S = 20.0
"""Deadline of an announcement."""
DELIVERY_S = 30.0
"""Deadline of a delivery."""


@dataclass(frozen=True, slots=True)
class AnnouncePace:
    """Times by which transactions spread."""

    outbound_s: float
    """Mean time between announcements to a peer that we chose."""
    inbound_s: float
    """The same for one that chose us. Random times keep it from seeing where a payment starts."""
    ttl_s: float
    """Seconds that a peer may take to deliver before another is asked."""
    parent_s: float
    """Seconds in which an unknown parent may still be announced before it is asked for."""


ORDINARY = AnnouncePace(2.0, 5.0, 60.0, 2.0)
LOCAL = AnnouncePace(0.05, 0.1, 5.0, 0.5)
"""The pace where one person may run all nodes: waiting protects nobody."""


def pace_for(allow_local: bool) -> AnnouncePace:
    """The pace of such a network."""
    return LOCAL if allow_local else ORDINARY


@dataclass(slots=True)
class _RelayPeer:
    """A peer: what it has, and what it is to be told."""

    mean_s: float
    """Between announcements to it."""
    flush_at: float
    """Time of the next announcement."""
    salt: bytes
    """The key of transactions' names there."""
    queue: dict[Name, Wtxid] = field(default_factory=dict)
    """To be announced, oldest first, by our own names."""
    known: BoundedSet[Name] = field(default_factory=lambda: BoundedSet(KNOWN_MAX))
    """Known transactions that it announced or was told of, by our own names."""
    told: dict[Name, Wtxid] = field(default_factory=dict)
    """Transactions that it was told of, oldest first, by its names."""
    owed: BoundedSet[Name] = field(default_factory=lambda: BoundedSet(TOLD_MAX))
    """Those of them that it has not been sent: it may want each once."""
    busy: bool = False
    """An Inv, or a delivery, is under way: the next Inv waits."""

    def enqueue(self, name: Name, wtxid: Wtxid) -> None:
        """Tell it of this one, unless it has it."""
        if name in self.known:
            return
        self.queue[name] = wtxid
        if len(self.queue) > QUEUE_MAX:
            del self.queue[next(iter(self.queue))]

    def tell(self, wtxids: Sequence[Wtxid]) -> tuple[Name, ...]:
        """Note what a peer is told of; returns the names there."""
        names = names_at(self.salt, wtxids)
        self.told.update(zip(names, wtxids, strict=True))
        while len(self.told) > TOLD_MAX:
            del self.told[next(iter(self.told))]
        return names


class TxAnnounce:
    """The transactions that each peer has, and those it is to be told of. A peer has to join before it is handled."""

    def __init__(self, context: TxRelayContext, rng: random.Random, pace: AnnouncePace, *, salt: bytes) -> None:
        """`salt` is what we say that names are keyed with here."""
        self._mempool = context.mempool
        self._requests = context.requests
        self._connections = context.connections
        self._rng = rng
        self._pace = pace
        self._peers: dict[PeerId, _RelayPeer] = {}
        self._names = ShortTxids(salt, context.mempool)
        self.tx_request = TxRequest(context, self._names, pace.ttl_s, pace.parent_s, has=self._note_has)
        """What is asked for of what peers announce."""

    def joined(self, peer: PeerId, outbound: bool, now: float) -> None:
        """A peer may speak to us."""
        if peer not in self._peers:
            mean_s = self._pace.outbound_s if outbound else self._pace.inbound_s
            salt = self._connections[peer].facts.instance
            self._peers[peer] = _RelayPeer(mean_s, now + self._rng.expovariate(1 / mean_s), salt)
            self.tx_request.joined(peer)

    def linked(self, peer: PeerId, outbound: bool, now: float) -> None:
        """We can speak to it: it will be told of all that we have."""
        self.joined(peer, outbound, now)
        self.polled(peer)

    def left(self, peer: PeerId, now: float) -> None:
        """A peer is gone: others that announced the same are asked."""
        self._peers.pop(peer, None)
        self.tx_request.left(peer, now)

    def on_inv(self, peer: PeerId, inv: Inv, now: float) -> Want:
        """A peer has these; the answer is what it shall deliver."""
        state = self._peers[peer]
        names = tuple(map(Name, inv.names))
        for name in names:
            state.queue.pop(name, None)
        self.tx_request.offer(peer, names, now)
        return Want(self.tx_request.choose(peer, now))

    def on_news(self, peer: PeerId, wtxids: Iterable[Wtxid], now: float) -> None:
        """A peer that cannot reach us has these: it is asked at once for what we lack."""
        state = self._peers[peer]
        names = tuple(map(self._names.of, wtxids))
        for name in names:
            state.queue.pop(name, None)
        self.tx_request.offer(peer, names, now)
        self.tx_request.ask(peer, now)

    def on_txs(self, peer: PeerId, message: Txs, now: float) -> Want:
        """A peer delivers; the answer is what it shall deliver next. What it never announced is ignored."""
        announced = [tx for tx in message.txs if self._has_announced(peer, self._names.of(tx.wtxid))]
        self.tx_request.take(peer, announced, now)
        return Want(self.tx_request.choose(peer, now))

    def _has_announced(self, peer: PeerId, name: Name) -> bool:
        return name in self._peers[peer].known or self.tx_request.has_offered(peer, name)

    def _note_has(self, peer: PeerId, name: Name) -> None:
        """A peer has announced something that is known here."""
        if state := self._peers.get(peer):
            state.known.add(name)

    def serve(self, peer: PeerId, request: GetTxs) -> Txs:
        """Transactions that a peer asks for, as far as it was told of it, or names it by txid, it is here and fits
        into one message."""
        state = self._peers.get(peer)
        told = state.told if state else {}
        wtxids = [told[name] for given in request.names if (name := Name(given)) in told]
        entries = [self._mempool.by_wtxid(wtxid) for wtxid in wtxids]
        entries += [self._mempool.get(txid) for txid in request.txids]
        return Txs(next(_batches([entry.tx for entry in entries if entry]), ()))

    def accepted(self, tx: Tx) -> None:
        """Tell every peer of a transaction that is in the mempool now, unless it has it."""
        name = self._names.of(tx.wtxid)
        self._names.hold(name, tx.wtxid)
        self.tx_request.settled(name)
        for state in self._peers.values():
            state.enqueue(name, tx.wtxid)

    def tick(self, now: float) -> None:
        """Announce what is due, and ask others for what was not delivered."""
        for peer, state in self._peers.items():
            self._announce_due(peer, state, now)
        self.tx_request.tick(now)

    def _announce_due(self, peer: PeerId, state: _RelayPeer, now: float) -> None:
        """Tell a peer of a batch from its queue, if the time has come and nothing else is under way."""
        link = self._connections.link(peer)
        if link is None or state.busy or state.flush_at > now or not (batch := self._take_batch(state, now)):
            return
        state.busy = True
        then = partial(self._on_want, peer, batch)
        self._requests.send(link, Inv(state.tell(batch)), now, INV_S, then)

    def _take_batch(self, state: _RelayPeer, now: float) -> tuple[Wtxid, ...]:
        """The next of a peer's queue that are still in the mempool, and a time for those after."""
        state.flush_at = now + self._rng.expovariate(1 / state.mean_s)
        batch: list[Wtxid] = []
        for name, wtxid in list(islice(state.queue.items(), INV_MAX)):
            del state.queue[name]
            if self._mempool.has_wtxid(wtxid):
                batch.append(wtxid)
        return tuple(batch)

    def polled(self, peer: PeerId) -> None:
        """A peer asks for our news from now on: it will be told of all that we have, if it has joined."""
        if state := self._peers.get(peer):
            for name, wtxid in self._names.pool():
                state.enqueue(name, wtxid)

    def is_news_due(self, peer: PeerId, now: float) -> bool:
        """True if it is time to tell it of something."""
        state = self._peers.get(peer)
        return state is not None and bool(state.queue) and not state.busy and state.flush_at <= now

    def take_news(self, peer: PeerId, now: float) -> tuple[Wtxid, ...]:
        """The names of the next Inv, to be sent now; `news_arrived` or `news_lost` comes after."""
        if not self.is_news_due(peer, now):
            return ()
        batch = self._take_batch(self._peers[peer], now)
        self._peers[peer].tell(batch)
        return batch

    def news_arrived(self, peer: PeerId, wtxids: Iterable[Wtxid]) -> None:
        """Note that the last news of a peer have arrived."""
        if state := self._peers.get(peer):
            state.known.update(map(self._names.of, wtxids))

    def news_lost(self, peer: PeerId, wtxids: Iterable[Wtxid]) -> None:
        """Tell a peer once more of what did not arrive."""
        if state := self._peers.get(peer):
            for wtxid in wtxids:
                state.enqueue(self._names.of(wtxid), wtxid)

    def _on_want(self, peer: PeerId, told: tuple[Wtxid, ...], reply: PeerReply, now: float) -> None:
        """The answer to an Inv, which told it of `told`, or to a delivery."""
        state = self._peers.get(peer)
        if state is None:
            return
        state.busy = False
        if not isinstance(reply, Want):
            for wtxid in told:
                state.enqueue(self._names.of(wtxid), wtxid)
            return
        state.known.update(map(self._names.of, told))
        state.owed.update(names_at(state.salt, told))
        self._send(peer, state, [name for given in reply.names if (name := Name(given)) in state.owed], now)
        self._announce_due(peer, state, now)

    def _send(self, peer: PeerId, state: _RelayPeer, names: list[Name], now: float) -> None:
        """Deliver what a peer wants."""
        link = self._connections.link(peer)
        wtxids = [state.told[name] for name in names if name in state.told]
        entries = [entry for wtxid in wtxids if (entry := self._mempool.by_wtxid(wtxid))]
        for name in names:
            state.owed.discard(name)
        if link is None or not entries:
            return
        state.busy = True
        for batch in _batches([entry.tx for entry in entries]):
            self._requests.send(link, Txs(batch), now, DELIVERY_S, partial(self._on_delivered, peer, batch))

    def _on_delivered(self, peer: PeerId, batch: Sequence[Tx], reply: PeerReply, now: float) -> None:
        """Announce once more what was lost: the peer may not be able to ask for it."""
        state, lost = self._peers.get(peer), () if isinstance(reply, Want) else tuple(tx.wtxid for tx in batch)
        if state:
            for wtxid in lost:
                state.known.discard(self._names.of(wtxid))
        self._on_want(peer, lost, reply, now)


def _batches(txs: Sequence[Tx]) -> Iterator[tuple[Tx, ...]]:
    """Transactions in messages of lawful size."""
    batch: list[Tx] = []
    size = 0
    for tx in txs:
        if batch and (len(batch) >= WANT_MAX or size + tx.size > TXS_BYTES_MAX):
            yield tuple(batch)
            batch, size = [], 0
        batch.append(tx)
        size += tx.size
    if batch:
        yield tuple(batch)
