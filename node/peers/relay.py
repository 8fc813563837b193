"""Unconfirmed transactions between peers: announced in batches, asked for once, delivered.

    announcer                        we
      Inv(wtxids)         ->
                          <-  Want(those new to us, asked of nobody else)
      Txs                 ->
                          <-  Want(more of what it announced)

Every announcement is remembered, so that when a peer does not deliver within `ttl_s` another
that announced the same is asked (GetTxs): nobody can keep a transaction from us by promising it.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

from chain.hashes import Txid, Wtxid
from chain.tx import Tx
from node.mempool import Mempool
from node.peers.bounded import Recent
from node.peers.messages import INV_MAX, TXS_BYTES_MAX, WANT_MAX, GetTxs, Inv, Txs, Want
from node.peers.requests import Requests
from node.ports import Effect, Failed, Link, PeerId

IN_FLIGHT_MAX = 100
"""Transactions asked of one peer at once."""
OFFERS_MAX = 5_000
"""Announced transactions of one peer that we still lack; more are not remembered."""
QUEUE_MAX = 5_000
"""Transactions to be announced to one peer; beyond, the oldest is not announced to it."""
KNOWN_MAX = 10_000
"""Transactions that a peer is known to have; beyond, the oldest is forgotten."""
TOLD_MAX = 5_000
"""Transactions that a peer was told of and may want; beyond, the oldest is not delivered."""
PARENTS_MAX = 100
"""Unknown parents to be asked of one peer; more are not asked for."""
REJECTED_MAX = 50_000
"""Refused transactions that are not fetched again before the tip changes."""
CONFIRMED_MAX = 50_000
"""Transactions of recent blocks that are not fetched again."""
HANDED_S = 60.0
"""A transaction on which the mempool has said nothing for so long may be fetched again."""
REQUEST_S = 20.0
"""Deadline of an announcement or request."""
DELIVERY_S = 30.0
"""Deadline of a delivery."""
REST_S = 1.0
"""A peer whose answer failed is asked for no transaction for so long."""
ASK_EVERY_S = 0.5
"""Between two looks for what nobody was asked for, where nothing else causes one."""


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


@dataclass(slots=True)
class _Peer:
    """What goes on with one peer."""

    mean_s: float
    """Between announcements to it."""
    flush_at: float = 0.0
    """When the next is due."""
    queue: dict[Wtxid, None] = field(default_factory=dict)
    """To be announced, oldest first."""
    known: Recent[Wtxid] = field(default_factory=lambda: Recent(KNOWN_MAX))
    """What it announced or was told of."""
    told: Recent[Wtxid] = field(default_factory=lambda: Recent(TOLD_MAX))
    """What it was told of and has not been sent: it may want each once."""
    offers: dict[Wtxid, None] = field(default_factory=dict)
    """What it announced and we lack."""
    in_flight: dict[Wtxid, None] = field(default_factory=dict)
    """What it has to deliver."""
    parents: dict[Txid, float] = field(default_factory=dict)
    """Unknown parents of what it delivered, and when to ask for them."""
    announcing: bool = False
    """An Inv is under way: the next waits."""
    asking: bool = False
    """A GetTxs is under way."""
    rest_until: float = 0.0
    """No GetTxs before."""


class Relay:
    """Who has which transaction, who is to deliver it, who is to be told."""

    def __init__(
        self,
        mempool: Mempool,
        requests: Requests,
        link_of: Callable[[PeerId], Link | None],
        is_paused: Callable[[], bool],
        deliver: Callable[[PeerId, Sequence[Tx], float], Sequence[Effect]],
        rng: random.Random,
        pace: Pace,
    ) -> None:
        """`deliver` takes transactions that were asked for; for each `accepted`, `rejected` or
        `orphaned` is to be called in the end. While `is_paused`, nothing is fetched."""
        self._mempool = mempool
        self._requests = requests
        self._link_of = link_of
        self._is_paused = is_paused
        self._deliver = deliver
        self._rng = rng
        self._pace = pace
        self._peers: dict[PeerId, _Peer] = {}
        self._in_flight: dict[Wtxid, tuple[PeerId, float]] = {}
        """Who is to deliver, and until when; the oldest first."""
        self._handed: dict[Wtxid, float] = {}
        """With the mempool, and until when it may take; the oldest first."""
        self._rejected: Recent[Wtxid] = Recent(REJECTED_MAX)
        self._confirmed: Recent[Wtxid] = Recent(CONFIRMED_MAX)
        self._ask_at = 0.0

    # --- peers come and go ---------------------------------------------------------------

    def joined(self, peer: PeerId, outbound: bool, now: float) -> None:
        """A peer may speak to us."""
        if peer not in self._peers:
            mean_s = self._pace.outbound_s if outbound else self._pace.inbound_s
            self._peers[peer] = _Peer(mean_s, now + self._rng.expovariate(1 / mean_s))

    def linked(self, peer: PeerId, outbound: bool, now: float) -> None:
        """We can speak to it: it will be told of all that we have."""
        self.joined(peer, outbound, now)
        for entry in self._mempool.view().entries.values():
            self._enqueue(self._peers[peer], entry.tx.wtxid)

    def left(self, peer: PeerId, now: float) -> list[Effect]:
        """A peer is gone: others that announced the same are asked."""
        gone = self._peers.pop(peer, None)
        if gone is None:
            return []
        for wtxid in gone.in_flight:
            self._in_flight.pop(wtxid, None)
        return self._ask_all(now) if gone.in_flight else []

    # --- receiving -----------------------------------------------------------------------

    def on_inv(self, peer: PeerId, inv: Inv, now: float) -> Want:
        """A peer has these; the answer is what it shall deliver."""
        state = self._peers[peer]
        for wtxid in inv.wtxids:
            state.known.add(wtxid)
            state.queue.pop(wtxid, None)
            if len(state.offers) < OFFERS_MAX and not self._is_settled(wtxid, now):
                state.offers[wtxid] = None
        return Want(self._choose(peer, now))

    def on_txs(self, peer: PeerId, message: Txs, now: float) -> tuple[Want, list[Effect]]:
        """A peer delivers; the answer is what it shall deliver next."""
        state = self._peers[peer]
        effects = self._take(peer, [tx for tx in message.txs if tx.wtxid in state.known], now)
        return Want(self._choose(peer, now) if peer in self._peers else ()), effects

    def serve(self, request: GetTxs) -> Txs:
        """What a peer asks for, as far as it is here and fits into one message."""
        entries = [self._mempool.by_wtxid(wtxid) for wtxid in request.wtxids]
        entries += [self._mempool.get(txid) for txid in request.txids]
        return Txs(next(_batches([entry.tx for entry in entries if entry]), ()))

    def _is_settled(self, wtxid: Wtxid, now: float) -> bool:
        """True if there is no point in fetching it."""
        return (
            self._mempool.by_wtxid(wtxid) is not None
            or self._handed.get(wtxid, now) > now
            or wtxid in self._rejected
            or wtxid in self._confirmed
        )

    def _choose(self, peer: PeerId, now: float) -> tuple[Wtxid, ...]:
        """Transactions to ask of this peer now, marked as asked."""
        state = self._peers[peer]
        if self._is_paused():
            return ()
        chosen: list[Wtxid] = []
        for wtxid in list(state.offers):
            if len(state.in_flight) >= IN_FLIGHT_MAX:
                break
            if self._is_settled(wtxid, now):
                del state.offers[wtxid]
            elif wtxid not in self._in_flight:
                self._in_flight[wtxid] = (peer, now + self._pace.ttl_s)
                state.in_flight[wtxid] = None
                chosen.append(wtxid)
        return tuple(chosen)

    def _take(self, peer: PeerId, txs: Iterable[Tx], now: float) -> list[Effect]:
        """Hand to the mempool what is new."""
        fresh = []
        for tx in txs:
            self._release(tx.wtxid)
            if not self._is_settled(tx.wtxid, now):
                self._handed.pop(tx.wtxid, None)
                self._handed[tx.wtxid] = now + HANDED_S
                fresh.append(tx)
            self._withdraw(tx.wtxid)
        return list(self._deliver(peer, fresh, now)) if fresh else []

    def _release(self, wtxid: Wtxid) -> None:
        """Nobody owes it any longer."""
        owner = self._in_flight.pop(wtxid, None)
        if owner and (state := self._peers.get(owner[0])):
            state.in_flight.pop(wtxid, None)

    def _withdraw(self, wtxid: Wtxid) -> None:
        """It is wanted of nobody any longer."""
        for state in self._peers.values():
            state.offers.pop(wtxid, None)

    # --- what became of it ---------------------------------------------------------------

    def accepted(self, tx: Tx) -> None:
        """It is in the mempool: every peer that does not have it will be told."""
        self._settle(tx.wtxid)
        for state in self._peers.values():
            self._enqueue(state, tx.wtxid)

    def rejected(self, wtxid: Wtxid) -> None:
        """It was refused: not fetched again before the tip changes."""
        self._settle(wtxid)
        self._rejected.add(wtxid)

    def orphaned(self, tx: Tx, missing: Iterable[Txid], peer: PeerId | None, now: float) -> None:
        """It waits for parents: ask whoever brought it."""
        self._settle(tx.wtxid)
        self._handed[tx.wtxid] = now + HANDED_S
        if peer is not None and (state := self._peers.get(peer)):
            for txid in islice(missing, PARENTS_MAX - len(state.parents)):
                state.parents.setdefault(txid, now + self._pace.parent_s)

    def on_tip(self, confirmed: Iterable[Wtxid], extends: bool) -> None:
        """The tip has changed: `confirmed` is in its new blocks; `extends` is false in a reorganisation."""
        self._rejected.clear()
        if not extends:
            self._confirmed.clear()
        for wtxid in confirmed:
            self._settle(wtxid)
            self._confirmed.add(wtxid)

    def _settle(self, wtxid: Wtxid) -> None:
        self._handed.pop(wtxid, None)
        self._release(wtxid)
        self._withdraw(wtxid)

    # --- asking --------------------------------------------------------------------------

    def _ask_all(self, now: float) -> list[Effect]:
        return [effect for peer in list(self._peers) for effect in self._ask(peer, now)]

    def _ask(self, peer: PeerId, now: float) -> list[Effect]:
        """Ask a peer for what it announced and nobody delivers, and for parents."""
        state, link = self._peers[peer], self._link_of(peer)
        if link is None or state.asking or now < state.rest_until or not (state.offers or state.parents):
            return []
        wtxids = self._choose(peer, now)
        due = [txid for txid, ask_at in state.parents.items() if ask_at <= now]
        txids = tuple(txid for txid in due if self._mempool.get(txid) is None)[: WANT_MAX - len(wtxids)]
        for txid in due:
            del state.parents[txid]
        if not wtxids and not txids:
            return []
        state.asking = True
        then = partial(self._on_answer, peer, frozenset(wtxids), frozenset(txids))
        return [self._requests.send(link, GetTxs(wtxids, txids), now, REQUEST_S, then)]

    def _on_answer(
        self, peer: PeerId, wtxids: frozenset[Wtxid], txids: frozenset[Txid], reply: Any, now: float
    ) -> list[Effect]:
        state = self._peers.get(peer)
        if state is None:
            return []
        state.asking = False
        if isinstance(reply, Failed):
            state.rest_until = now + REST_S
        brought = [tx for tx in reply.txs if tx.wtxid in wtxids or tx.txid in txids] if isinstance(reply, Txs) else []
        for wtxid in wtxids:
            if self._in_flight.get(wtxid, (None,))[0] == peer:
                self._release(wtxid)
                if not brought and not isinstance(reply, Failed):
                    state.offers.pop(wtxid, None)  # it has none of these any longer
        effects = self._take(peer, brought, now)
        return effects + self._ask_all(now)

    # --- announcing and delivering -------------------------------------------------------

    def _enqueue(self, state: _Peer, wtxid: Wtxid) -> None:
        if wtxid in state.known:
            return
        state.queue[wtxid] = None
        if len(state.queue) > QUEUE_MAX:
            del state.queue[next(iter(state.queue))]

    def _announce(self, peer: PeerId, now: float) -> list[Effect]:
        """Tell a peer of a batch from its queue."""
        state, link = self._peers[peer], self._link_of(peer)
        if link is None or state.announcing:
            return []
        batch: list[Wtxid] = []
        for wtxid in list(islice(state.queue, INV_MAX)):
            del state.queue[wtxid]
            if wtxid not in state.known and self._mempool.by_wtxid(wtxid):
                batch.append(wtxid)
        if not batch:
            return []
        state.announcing = True
        then = partial(self._on_want, peer, tuple(batch))
        return [self._requests.send(link, Inv(tuple(batch)), now, REQUEST_S, then)]

    def _on_want(self, peer: PeerId, told: tuple[Wtxid, ...], reply: Any, now: float) -> list[Effect]:
        """The answer to Inv or Txs; `told` is what the peer knows of by now."""
        state = self._peers.get(peer)
        if state is None:
            return []
        state.announcing = False
        if not isinstance(reply, Want):
            for wtxid in told:
                self._enqueue(state, wtxid)
            return []
        for wtxid in told:
            state.known.add(wtxid)
            state.told.add(wtxid)
        return self._send(peer, [wtxid for wtxid in reply.wtxids if wtxid in state.told], now)

    def _send(self, peer: PeerId, wtxids: list[Wtxid], now: float) -> list[Effect]:
        """Deliver what a peer wants."""
        state, link = self._peers[peer], self._link_of(peer)
        for wtxid in wtxids:
            state.told.discard(wtxid)
        entries = [entry for wtxid in wtxids if (entry := self._mempool.by_wtxid(wtxid))]
        if link is None or not entries:
            return []
        then = partial(self._on_want, peer, ())
        batches = _batches([entry.tx for entry in entries])
        state.announcing = True  # until the delivery is answered
        return [self._requests.send(link, Txs(batch), now, DELIVERY_S, then) for batch in batches]

    # --- time ----------------------------------------------------------------------------

    def tick(self, now: float) -> list[Effect]:
        """Announce what is due, and ask others for what was not delivered."""
        effects: list[Effect] = []
        for peer, state in list(self._peers.items()):
            if state.flush_at <= now:
                state.flush_at = now + self._rng.expovariate(1 / state.mean_s)
                effects += self._announce(peer, now)
        if self._expire(now) or now >= self._ask_at:
            self._ask_at = now + ASK_EVERY_S
            effects += self._ask_all(now)
        return effects

    def _expire(self, now: float) -> bool:
        """Forget what took too long; True if something is free to be asked of others."""
        freed = False
        for wtxid, (peer, until) in list(self._in_flight.items()):
            if until > now:
                break
            self._release(wtxid)
            freed = True
            if state := self._peers.get(peer):
                state.offers.pop(wtxid, None)  # it broke its promise
        for wtxid, until in list(self._handed.items()):
            if until > now:
                break
            del self._handed[wtxid]
        return freed


def _batches(txs: Sequence[Tx]) -> Iterable[tuple[Tx, ...]]:
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


def pace_for(allow_local: bool) -> Pace:
    """How fast transactions spread on such a network."""
    return LOCAL if allow_local else ORDINARY
