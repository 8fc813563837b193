"""Unconfirmed transactions between peers: announced in batches, asked for once, delivered.

    announcer                        we
      Inv(wtxids)         ->
                          <-  Want(those new to us, asked of nobody else)
      Txs                 ->
                          <-  Want(more of what it announced)

What to want is `Fetch`'s part; here is what each peer is told and sent.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

from chain.hashes import Txid, Wtxid
from chain.tx import Tx
from node.mempool import Mempool
from node.peers.bounded import Recent
from node.peers.fetch import Deliver, Fetch
from node.peers.messages import INV_MAX, TXS_BYTES_MAX, WANT_MAX, GetTxs, Inv, Txs, Want
from node.peers.requests import Requests
from node.ports import Effect, Link, PeerId

QUEUE_MAX = 5_000
"""Transactions to be announced to one peer; beyond, the oldest is not announced to it."""
KNOWN_MAX = 10_000
"""Transactions that a peer is known to have; beyond, the oldest is forgotten."""
TOLD_MAX = 5_000
"""Transactions that a peer was told of and may want; beyond, the oldest is not delivered."""
INV_S = 20.0
"""Deadline of an announcement."""
DELIVERY_S = 30.0
"""Deadline of a delivery."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast transactions spread."""

    outbound_s: float
    """Mean time between announcements to a peer that we chose."""
    inbound_s: float
    """The same for one that chose us. Random times keep it from seeing where a payment starts."""
    ttl_s: float
    """How long a peer may take to deliver before another is asked."""
    parent_s: float
    """How long an unknown parent may still be announced before it is asked for."""


ORDINARY = Pace(2.0, 5.0, 60.0, 2.0)
LOCAL = Pace(0.05, 0.1, 5.0, 0.5)
"""Where all nodes may be one person's, waiting protects nobody."""


def pace_for(allow_local: bool) -> Pace:
    """How fast transactions spread on such a network."""
    return LOCAL if allow_local else ORDINARY


@dataclass(slots=True)
class _Peer:
    """What one peer has, and is to be told."""

    mean_s: float
    """Between announcements to it."""
    flush_at: float
    """When the next is due."""
    queue: dict[Wtxid, None] = field(default_factory=dict)
    """To be announced, oldest first."""
    known: Recent[Wtxid] = field(default_factory=lambda: Recent(KNOWN_MAX))
    """What it announced or was told of."""
    told: Recent[Wtxid] = field(default_factory=lambda: Recent(TOLD_MAX))
    """What it was told of and has not been sent: it may want each once."""
    busy: bool = False
    """An Inv, or a delivery, is under way: the next Inv waits."""

    def enqueue(self, wtxid: Wtxid) -> None:
        """Tell it of this one, unless it has it."""
        if wtxid in self.known:
            return
        self.queue[wtxid] = None
        if len(self.queue) > QUEUE_MAX:
            del self.queue[next(iter(self.queue))]


class Relay:
    """Who has which transaction, and who is to be told. A peer has to join before it is handled."""

    def __init__(
        self,
        mempool: Mempool,
        requests: Requests,
        link_of: Callable[[PeerId], Link | None],
        is_paused: Callable[[], bool],
        deliver: Deliver,
        rng: random.Random,
        pace: Pace,
    ) -> None:
        """`deliver` takes transactions that were asked for; for each `accepted`, `rejected` or
        `orphaned` is to be called in the end. While `is_paused`, nothing is fetched."""
        self._mempool = mempool
        self._requests = requests
        self._link_of = link_of
        self._rng = rng
        self._pace = pace
        self._peers: dict[PeerId, _Peer] = {}
        self._fetch = Fetch(mempool, requests, link_of, is_paused, deliver, pace.ttl_s, pace.parent_s)

    # --- peers come and go ---------------------------------------------------------------

    def joined(self, peer: PeerId, outbound: bool, now: float) -> None:
        """A peer may speak to us."""
        if peer not in self._peers:
            mean_s = self._pace.outbound_s if outbound else self._pace.inbound_s
            self._peers[peer] = _Peer(mean_s, now + self._rng.expovariate(1 / mean_s))
            self._fetch.joined(peer)

    def linked(self, peer: PeerId, outbound: bool, now: float) -> None:
        """We can speak to it: it will be told of all that we have."""
        self.joined(peer, outbound, now)
        for entry in self._mempool.view().entries.values():
            self._peers[peer].enqueue(entry.tx.wtxid)

    def left(self, peer: PeerId, now: float) -> list[Effect]:
        """A peer is gone: others that announced the same are asked."""
        self._peers.pop(peer, None)
        return self._fetch.left(peer, now)

    # --- what peers say ------------------------------------------------------------------

    def on_inv(self, peer: PeerId, inv: Inv, now: float) -> Want:
        """A peer has these; the answer is what it shall deliver."""
        state = self._peers[peer]
        for wtxid in inv.wtxids:
            state.known.add(wtxid)
            state.queue.pop(wtxid, None)
        self._fetch.offer(peer, inv.wtxids, now)
        return Want(self._fetch.choose(peer, now))

    def on_txs(self, peer: PeerId, message: Txs, now: float) -> tuple[Want, list[Effect]]:
        """A peer delivers; the answer is what it shall deliver next. What it never announced is ignored."""
        known = self._peers[peer].known
        effects = self._fetch.take(peer, [tx for tx in message.txs if tx.wtxid in known], now)
        return Want(self._fetch.choose(peer, now)), effects

    def serve(self, request: GetTxs) -> Txs:
        """What a peer asks for, as far as it is here and fits into one message."""
        entries = [self._mempool.by_wtxid(wtxid) for wtxid in request.wtxids]
        entries += [self._mempool.get(txid) for txid in request.txids]
        return Txs(next(_batches([entry.tx for entry in entries if entry]), ()))

    # --- what became of it ---------------------------------------------------------------

    def accepted(self, tx: Tx) -> None:
        """It is in the mempool: every peer that does not have it will be told."""
        self._fetch.accepted(tx.wtxid)
        for state in self._peers.values():
            state.enqueue(tx.wtxid)

    def rejected(self, wtxid: Wtxid) -> None:
        """It was refused: not fetched again before the tip changes."""
        self._fetch.rejected(wtxid)

    def orphaned(self, tx: Tx, missing: Iterable[Txid], peer: PeerId | None, now: float) -> None:
        """It waits for parents: `peer`, which brought it, is asked for them."""
        self._fetch.orphaned(tx.wtxid, missing, peer, now)

    def on_tip(self, confirmed: Iterable[Wtxid], extends: bool) -> None:
        """The tip has changed: `confirmed` is in its new blocks; `extends` is false if old ones left."""
        self._fetch.on_tip(confirmed, extends)

    # --- announcing and delivering -------------------------------------------------------

    def tick(self, now: float) -> list[Effect]:
        """Announce what is due, and ask others for what was not delivered."""
        effects: list[Effect] = []
        for peer, state in self._peers.items():
            effects += self._announce_due(peer, state, now)
        return effects + self._fetch.tick(now)

    def _announce_due(self, peer: PeerId, state: _Peer, now: float) -> list[Effect]:
        """Tell a peer of a batch from its queue, if the time has come and nothing else is under way."""
        if state.busy or state.flush_at > now:
            return []
        state.flush_at = now + self._rng.expovariate(1 / state.mean_s)
        return self._announce(peer, state, now)

    def _announce(self, peer: PeerId, state: _Peer, now: float) -> list[Effect]:
        link = self._link_of(peer)
        if link is None:
            return []
        batch: list[Wtxid] = []
        for wtxid in list(islice(state.queue, INV_MAX)):
            del state.queue[wtxid]
            if self._mempool.has_wtxid(wtxid):
                batch.append(wtxid)
        if not batch:
            return []
        state.busy = True
        then = partial(self._on_want, peer, tuple(batch))
        return [self._requests.send(link, Inv(tuple(batch)), now, INV_S, then)]

    def _on_want(self, peer: PeerId, told: tuple[Wtxid, ...], reply: Any, now: float) -> list[Effect]:
        """The answer to an Inv, which told it of `told`, or to a delivery."""
        state = self._peers.get(peer)
        if state is None:
            return []
        state.busy = False
        if not isinstance(reply, Want):
            for wtxid in told:
                state.enqueue(wtxid)
            return []
        for wtxid in told:
            state.known.add(wtxid)
            state.told.add(wtxid)
        effects = self._send(peer, state, [wtxid for wtxid in reply.wtxids if wtxid in state.told], now)
        return effects or self._announce_due(peer, state, now)

    def _send(self, peer: PeerId, state: _Peer, wtxids: list[Wtxid], now: float) -> list[Effect]:
        """Deliver what a peer wants."""
        link = self._link_of(peer)
        entries = [entry for wtxid in wtxids if (entry := self._mempool.by_wtxid(wtxid))]
        for wtxid in wtxids:
            state.told.discard(wtxid)
        if link is None or not entries:
            return []
        state.busy = True
        then = partial(self._on_want, peer, ())
        batches = _batches([entry.tx for entry in entries])
        return [self._requests.send(link, Txs(batch), now, DELIVERY_S, then) for batch in batches]


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
