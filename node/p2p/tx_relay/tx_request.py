"""Unconfirmed transactions to be had: who announced which, who is to deliver it, what is not wanted.

Every announcement is remembered, so that when a peer does not deliver in time another that
announced the same is asked: nobody can keep a transaction from us by promising it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from chain.hashes import Txid, Wtxid
from chain.tx import Tx
from node.interface.bounded import BoundedSet
from node.interface.effects import Failed, PeerReply
from node.interface.endpoint import PeerId
from node.interface.messages import WANT_MAX, GetTxs, Txs
from node.p2p.scoring.peer_score import PeerEvent
from node.p2p.tx_relay.context import TxRelayContext
from node.p2p.wire.short_txid import Name, ShortTxids

IN_FLIGHT_MAX = 100
"""Transactions asked of one peer at once."""
OFFERS_MAX = 5_000
"""Announced transactions of one peer that we still lack; more are not remembered."""
OFFERS_ALL_MAX, OFFERS_LEAST = 50_000, 500
"""With more than the first of all peers together, a peer has no more than the second of its own remembered:
names that mean nothing must not fill memory, nor leave honest peers unheard."""
LATE_MAX = 500
"""Short txids of one peer that it was asked for and may still deliver, although its time was over."""
PARENTS_MAX = 100
"""Unknown parents to be asked of one peer; more are not asked for."""
REJECTED_MAX = 50_000
"""Refused transactions that are not fetched again before the tip changes."""
CONFIRMED_MAX = 50_000
"""Transactions of recent blocks that are not fetched again."""
HANDED_S = 60.0
"""A transaction on which the mempool has said nothing for so long may be fetched again."""
REQUEST_S = 20.0
"""Deadline of a request."""
REST_S = 1.0
"""A peer whose answer failed is asked nothing for so long."""
ASK_EVERY_S = 0.5
"""Seconds between two looks for what nobody was asked for, where nothing else causes one."""


@dataclass(slots=True)
class _TxSource:
    """A peer as a source of transactions."""

    offers: dict[Name, None] = field(default_factory=dict)
    """Short txids that it announced and we lack, oldest first."""
    in_flight: dict[Name, None] = field(default_factory=dict)
    """Short txids that it has to deliver."""
    late: BoundedSet[Name] = field(default_factory=lambda: BoundedSet(LATE_MAX))
    """Short txids that it did not deliver in time, and that are taken if they come after all."""
    parents: dict[Txid, float] = field(default_factory=dict)
    """Unknown parents of what it delivered, and when to ask for them; the oldest first."""
    asking: bool = False
    """A GetTxs is under way."""
    rest_until: float = 0.0
    """Time before which no GetTxs is sent."""


class TxRequest:
    """All transactions under way."""

    def __init__(
        self,
        context: TxRelayContext,
        names: ShortTxids,
        ttl_s: float,
        parent_s: float,
        *,
        has: Callable[[PeerId, Name], None],
    ) -> None:
        """A peer may take `ttl_s` to deliver; a parent may still be announced for `parent_s` before it is asked
        for. `has` takes note that a peer has something that is known here by now."""
        self._mempool = context.mempool
        self._requests = context.requests
        self._connections = context.connections
        self._scoring = context.scoring
        self._is_paused = context.is_paused
        self._take_txs = context.take_txs
        self._names = names
        self._ttl_s = ttl_s
        self._parent_s = parent_s
        self._has = has
        self._offered = 0
        """Offers of all peers."""
        self._sources: dict[PeerId, _TxSource] = {}
        self._in_flight: dict[Name, tuple[PeerId, float]] = {}
        """The peer that is to deliver, and the deadline, by name; the oldest first."""
        self._handed: dict[Name, float] = {}
        """With the mempool, and until when it may take; the oldest first."""
        self._rejected: BoundedSet[Name] = BoundedSet(REJECTED_MAX)
        self._confirmed: BoundedSet[Name] = BoundedSet(CONFIRMED_MAX)
        self._ask_at = 0.0

    def joined(self, peer: PeerId) -> None:
        """A peer may announce."""
        self._sources.setdefault(peer, _TxSource())

    def left(self, peer: PeerId, now: float) -> None:
        """A peer is gone: others that announced the same are asked."""
        gone = self._sources.pop(peer, None)
        if gone is None:
            return
        self._offered -= len(gone.offers)
        if not gone.in_flight:
            return
        for name in gone.in_flight:
            self._in_flight.pop(name, None)
        self._ask_all(now)

    def offer(self, peer: PeerId, names: Iterable[Name], now: float) -> None:
        """A peer has these."""
        offers = self._sources[peer].offers
        for name in names:
            if self._is_settled(name, now):
                self._has(peer, name)
            elif name not in offers and self._has_room(offers):
                offers[name] = None
                self._offered += 1

    def _has_room(self, offers: dict[Name, None]) -> bool:
        most = OFFERS_MAX if self._offered < OFFERS_ALL_MAX else OFFERS_LEAST
        return len(offers) < most

    def has_offered(self, peer: PeerId, name: Name) -> bool:
        """True if a delivery of this by this peer is no surprise."""
        source = self._sources.get(peer)
        return source is not None and (name in source.offers or name in source.late)

    def _withdraw(self, source: _TxSource, name: Name) -> bool:
        """Forget that a peer has announced it; False if it had not."""
        if name not in source.offers:
            return False
        del source.offers[name]
        self._offered -= 1
        return True

    def choose(self, peer: PeerId, now: float) -> tuple[Name, ...]:
        """The names to ask of this peer now, of all that it announced; marked as asked."""
        source = self._sources.get(peer)
        if source is None or self._is_paused():
            return ()
        chosen: list[Name] = []
        for name in list(source.offers):
            if len(source.in_flight) >= IN_FLIGHT_MAX:
                break
            if self._is_settled(name, now):
                self._withdraw(source, name)
                self._has(peer, name)
            elif name not in self._in_flight:
                self._in_flight[name] = (peer, now + self._ttl_s)
                source.in_flight[name] = None
                chosen.append(name)
        return tuple(chosen)

    def take(self, peer: PeerId, txs: Iterable[Tx], now: float) -> None:
        """A peer brought what it was asked for, or had announced: hand on what is new."""
        fresh = []
        for tx in txs:
            name = self._names.of(tx.wtxid)
            settled = self._is_settled(name, now)
            self._settle(name)
            if not settled:
                self._handed[name] = now + HANDED_S
                fresh.append(tx)
        if fresh:
            self._take_txs(peer, fresh, now)

    def _is_settled(self, name: Name, now: float) -> bool:
        """True if there is no point in fetching it."""
        return (
            self._names.is_held(name)
            or self._handed.get(name, now) > now
            or name in self._rejected
            or name in self._confirmed
        )

    def settled(self, name: Name) -> None:
        """Note that the mempool has its verdict on a transaction, or that it is in a block."""
        self._handed.pop(name, None)
        self._settle(name)

    def rejected(self, wtxid: Wtxid) -> None:
        """Forget a refused transaction: it is not fetched again before the tip changes."""
        name = self._names.of(wtxid)
        self.settled(name)
        self._rejected.add(name)

    def orphaned(self, tx: Tx, missing: Iterable[Txid], peer: PeerId, now: float) -> None:
        """Ask `peer`, which brought an orphan, for the parents that it waits for."""
        name = self._names.of(tx.wtxid)
        self.settled(name)
        self._handed[name] = now + HANDED_S
        if source := self._sources.get(peer):
            for txid in islice(missing, PARENTS_MAX - len(source.parents)):
                source.parents.setdefault(txid, now + self._parent_s)

    def on_tip(self, confirmed: Iterable[Wtxid], extends: bool) -> None:
        """The tip has changed: `confirmed` is in its new blocks; `extends` is false in a reorganisation."""
        self._rejected.clear()
        if not extends:
            self._confirmed.clear()
        is_busy = bool(self._handed or self._in_flight or any(source.offers for source in self._sources.values()))
        if self._is_paused() and not is_busy:
            return  # while catching up nothing is announced, and naming them all would take its time
        settled = tuple(map(self._names.of, confirmed))
        if is_busy:
            for name in settled:
                self.settled(name)
        self._confirmed.update(settled)

    def _settle(self, name: Name) -> None:
        """Ask nobody for a transaction any longer."""
        self._release(name)
        for peer, source in self._sources.items():
            if self._withdraw(source, name):
                self._has(peer, name)

    def _release(self, name: Name) -> None:
        """Free the peer that was to deliver a transaction."""
        owner = self._in_flight.pop(name, None)
        if owner and (source := self._sources.get(owner[0])):
            source.in_flight.pop(name, None)

    def tick(self, now: float) -> None:
        """Ask others for what was not delivered, and for parents."""
        freed = self._expire(now)
        if not freed and now < self._ask_at:
            return
        self._ask_at = now + ASK_EVERY_S
        self._ask_all(now)

    def _expire(self, now: float) -> bool:
        """Forget what took too long; True if something is free to be asked of others."""
        freed = False
        for name, (peer, until) in list(self._in_flight.items()):
            if until > now:
                break
            self._release(name)
            freed = True
            source = self._sources.get(peer)
            # While our question is under way it may be that which is lost: the peer stays one to be asked.
            if source and not source.asking:
                self._withdraw(source, name)
                source.late.add(name)
                self._scoring.note(peer, PeerEvent.BROKEN_PROMISE, now)
        for name, handed_until in list(self._handed.items()):
            if handed_until > now:
                break
            del self._handed[name]
        return freed

    def ask(self, peer: PeerId, now: float) -> None:
        """Ask one peer now."""
        if peer in self._sources:
            self._ask(peer, now)

    def _ask_all(self, now: float) -> None:
        for peer in list(self._sources):
            self._ask(peer, now)

    def _ask(self, peer: PeerId, now: float) -> None:
        """Ask a peer for what it announced and nobody delivers, and for parents."""
        source, link = self._sources[peer], self._connections.link(peer)
        if link is None or source.asking or now < source.rest_until or not (source.offers or source.parents):
            return
        names = self.choose(peer, now)
        txids = self._choose_parents(source, WANT_MAX - len(names), now)
        if not names and not txids:
            return
        source.asking = True
        then = partial(self._on_answer, peer, frozenset(names), frozenset(txids))
        self._requests.send(link, GetTxs(names, txids), now, REQUEST_S, then)

    def _choose_parents(self, source: _TxSource, most: int, now: float) -> tuple[Txid, ...]:
        chosen: list[Txid] = []
        for txid, ask_at in list(source.parents.items()):
            if ask_at > now or len(chosen) >= most:
                break
            del source.parents[txid]
            if self._mempool.get(txid) is None:
                chosen.append(txid)
        return tuple(chosen)

    def _on_answer(
        self, peer: PeerId, names: frozenset[Name], txids: frozenset[Txid], reply: PeerReply, now: float
    ) -> None:
        source = self._sources.get(peer)
        if source is None:
            return
        source.asking = False
        failed = isinstance(reply, Failed)
        txs = reply.txs if isinstance(reply, Txs) else ()
        brought = [tx for tx in txs if self._names.of(tx.wtxid) in names or tx.txid in txids]
        if failed:
            source.rest_until = now + REST_S
        for name in names:
            if self._in_flight.get(name, (None,))[0] == peer:
                self._release(name)
                if not brought and not failed:
                    self._withdraw(source, name)  # it has none of these any longer
        self.take(peer, brought, now)
        self._ask_all(now)
