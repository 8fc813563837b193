"""Transactions' way into the mempool, and what becomes of them: orphans, estimates, relay and followers.

a caller's     submit_tx / submit_package  --.
                                              >--  MempoolAccept.offer  --  signatures, outside  --  on_verified
a peer's       take_txs  --------------------'              |                                             |
                                                            '------------------  _judged  ----------------'
                                                    (relay, orphans, scores, estimates, events)
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from chain.check import check_tx
from chain.coins import CoinLookup
from chain.connect import context_after
from chain.errors import Invalid
from chain.hashes import Txid, Wtxid
from chain.tx import Tx
from node.chainstate.chainstate import Chainstate
from node.chainstate.tip_change import TipChange
from node.core.event_publisher import EventPublisher
from node.interface.counters import TX
from node.interface.effects import Park, Publish, Verified
from node.interface.endpoint import PeerId
from node.interface.outbox import Outbox
from node.interface.storage import Store
from node.mempool.accept import AcceptResult, MempoolAccept, Offer
from node.mempool.accept_package import Outcome, PackageAccept
from node.mempool.change import MempoolChange
from node.mempool.fee_estimator import FeeEstimator
from node.mempool.inputs import MissingInputs
from node.mempool.mempool import Mempool
from node.mempool.orphanage import Orphanage
from node.mempool.policy import Policy
from node.mempool.tip_update import coins_at_new_tip
from node.p2p.net_processing import PeerManager
from node.p2p.scoring.peer_score import PeerEvent

VERDICT_WAIT_S = 60.0
"""Seconds that a caller waits for the verdict on its transaction or block."""
EXPIRE_EVERY_S = 60.0
"""Seconds between two looks for what has waited too long."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Accepted:
    """The mempool's verdict on a transaction that it would take."""

    txid: Txid
    wtxid: Wtxid
    fee: int
    """Satoshis."""
    vsize: int
    """Virtual bytes."""


class TxProcessing:
    """Unconfirmed transactions, whoever brings them. Times without a unit in their name are the mempool's
    (`Chainstate.time`), `now` is the caller's."""

    def __init__(
        self,
        outbox: Outbox,
        chain: Chainstate,
        store: Store,
        mempool: Mempool,
        accept: MempoolAccept,
        packages: PackageAccept,
        peers: PeerManager,
        events: EventPublisher,
    ) -> None:
        self._outbox = outbox
        self._chain = chain
        self._store = store
        self._mempool = mempool
        self._accept = accept
        self._packages = packages
        self._peers = peers
        self._events = events
        self._orphans = Orphanage()
        self.fees = FeeEstimator()
        """What fees confirm how soon."""
        self._awaited: set[Wtxid] = set()
        """Transactions whose signatures are out and for whose verdict a local caller waits."""
        self._expire_at = 0.0

    def submit_tx(self, tx: Tx, now: float, max_fee_rate: float | None, time: float | None) -> Txid | Park:
        """Take a local caller's transaction. Raises Rejected."""
        check_tx(tx)
        if self._mempool.by_wtxid(tx.wtxid) is not None:
            return tx.txid
        return self._offer(Offer(tx, None, True, max_fee_rate, time), tx.txid, now)

    def test_accept(self, tx: Tx, now: float, max_fee_rate: float | None) -> Accepted | Park:
        """The mempool's verdict on a transaction. Raises Rejected."""
        check_tx(tx)
        staged = self._mempool.stage(tx, self._store.coin, context_after(self._chain.tip), self._chain.time.at(now))
        accepted = Accepted(tx.txid, tx.wtxid, staged.fee, staged.vsize)
        return self._offer(Offer(tx, None, False, max_fee_rate), accepted, now)

    def submit_package(self, txs: Sequence[Tx], now: float, max_fee_rate: float | None) -> Outcome | Park:
        """Take a child with its parents into the mempool, as far as they may enter."""
        return self._judge_package(txs, now, lambda time: self._packages.take(txs, time, max_fee_rate))

    def test_package(self, txs: Sequence[Tx], now: float) -> Outcome | Park:
        """The mempool's verdicts on these transactions, one after the other."""
        return self._judge_package(txs, now, lambda time: self._packages.try_each(txs, time))

    def take_txs(self, peer: PeerId, txs: Sequence[Tx], now: float) -> None:
        """Take transactions that a peer was asked for: nobody waits for a verdict, orphans are kept."""
        self._take_offers([Offer(tx, peer) for tx in txs], now)

    def on_verified(self, verified: Verified, now: float) -> bool:
        """Go on with transactions whose signatures have been checked; False if these were a block's."""
        if self._accept.owns(verified.token):
            verdicts, verify = self._accept.settle(verified.token, verified.failure, self._chain.time.at(now))
            self._judged(verdicts, now)
            if verify:
                self._outbox.add(verify)
            known = [verdict.offer.tx for verdict in verdicts if verdict.offer.tx.wtxid in self._awaited]
            self._awaited.difference_update([tx.wtxid for tx in known])
            for tx in known:
                self._outbox.add(Publish(_tx_topic(tx)))
            return True
        if self._packages.owns(verified.token):
            self._packages.settle(verified.token, verified.failure)
            self._outbox.add(Publish(_package_topic(verified.token)))
            return True
        return False

    def follow(self, change: TipChange, now: float) -> None:
        """Bring the mempool to the new tip; what its blocks have freed is tried again in `on_connected`."""
        undone = [tx for left in reversed(change.disconnected) for tx in left.block.txs]
        blocks = [connected.block for connected in change.connected]
        lookup: CoinLookup = self._store.coin
        if undone:
            lookup = coins_at_new_tip(lookup, change.disconnected, change.connected)
        time = self._chain.time.at(now)
        self._changed(self._mempool.on_tip_change(undone, blocks, lookup, context_after(change.new), time))

    def on_connected(self, change: TipChange, now: float) -> None:
        """Try again what waited for parents that are in the new blocks."""
        self._retry_orphans((tx.txid for one in change.connected for tx in one.block.txs), now)

    def tick(self, now: float) -> None:
        """Forget what has waited too long."""
        if now < self._expire_at:
            return
        self._expire_at = now + EXPIRE_EVERY_S
        self._orphans.expire(now)
        self.expire(now)

    def expire(self, now: float) -> None:
        """Drop what has been in the mempool for too long."""
        self._changed(self._mempool.expire(self._chain.time.at(now)))

    def _offer(self, offer: Offer, reply: T, now: float) -> T | Park:
        [verdict], verify = self._accept.offer([offer], self._chain.time.at(now))
        if verdict.error:
            if offer.add:
                self._chain.counts.rejected(TX, verdict.error.code)
            raise verdict.error
        self._judged([verdict], now)
        if verify:
            self._outbox.add(verify)
        if verdict.added or self._accept.is_verified(offer.tx.wtxid):
            return reply
        self._awaited.add(offer.tx.wtxid)
        return Park(_tx_topic(offer.tx), now + VERDICT_WAIT_S)

    def _judge_package(self, txs: Sequence[Tx], now: float, judge: Callable[[float], Outcome]) -> Outcome | Park:
        verify = self._packages.verify(txs)
        if verify is not None:
            self._outbox.add(verify)
            return Park(_package_topic(verify.token), now + VERDICT_WAIT_S)
        outcome = judge(self._chain.time.at(now))
        for verdict in outcome.verdicts:
            if verdict.error:
                self._chain.counts.rejected(TX, verdict.error.code)
        self._judged(outcome.verdicts, now, outcome.trimmed)
        for verify in outcome.out:
            self._outbox.add(verify)
        return outcome

    def _take_offers(self, offers: Sequence[Offer], now: float) -> None:
        sound = []
        for offer in offers:
            try:
                check_tx(offer.tx)
            except Invalid as error:
                self._chain.counts.rejected(TX, error.code)
                self._peers.tx_request.rejected(offer.tx.wtxid)
                if offer.source is not None:
                    self._peers.scoring.note(offer.source, PeerEvent.INVALID_TX, now)
                continue
            sound.append(offer)
        verdicts, verify = self._accept.offer(sound, self._chain.time.at(now))
        self._judged(verdicts, now)
        if verify:
            self._outbox.add(verify)

    def _judged(self, verdicts: Iterable[AcceptResult], now: float, trimmed: MempoolChange | None = None) -> None:
        """Tell everyone concerned what became of transactions, and whom they drove out in the end."""
        arrived: list[Txid] = []
        for verdict in verdicts:
            tx, peer = verdict.offer.tx, verdict.offer.source
            if verdict.added is not None:
                self.fees.entered(verdict.added.entry)
                if peer is not None:
                    self._peers.scoring.took_tx(peer, tx.size, now)
                self._changed(verdict.added)
                arrived.append(tx.txid)
            elif verdict.error is not None and peer is not None:
                self._not_taken(verdict, peer, now)
        if trimmed is not None:
            self._changed(trimmed)
        self._retry_orphans(arrived, now)

    def _not_taken(self, verdict: AcceptResult, peer: PeerId, now: float) -> None:
        """A peer's transaction is not in the mempool: perhaps it is an orphan, perhaps the peer is to blame."""
        tx, error = verdict.offer.tx, verdict.error
        assert error is not None
        self._peers.block_sync.compact.extra_txs.add(tx)
        if isinstance(error, MissingInputs) and error.parents:
            if self._orphans.add(peer, tx, error.parents, now):
                self._peers.tx_request.orphaned(tx, error.parents, peer, now)
            return
        self._chain.counts.rejected(TX, error.code)
        self._peers.tx_request.rejected(tx.wtxid)
        if error.code is Policy.SCRIPT_VERIFY:
            self._peers.scoring.note(peer, PeerEvent.INVALID_TX, now)

    def _retry_orphans(self, parents: Iterable[Txid], now: float) -> None:
        """Try again the orphans that waited for these."""
        orphans = self._orphans.take_children(parents) if len(self._orphans) else []
        if not orphans:
            return
        self._take_offers([Offer(orphan.tx, next(iter(orphan.peers), None)) for orphan in orphans], now)

    def _changed(self, change: MempoolChange) -> None:
        """The mempool has changed: so do estimates, relay and followers."""
        for block in change.confirmed:
            self.fees.connected(block.height, block.entries)
        for gone in change.removed:
            self.fees.left(gone.entry)
            self._peers.block_sync.compact.extra_txs.add(gone.entry.tx)
        for entry in change.added:
            self._peers.tx_announce.accepted(entry.tx)
        self._events.pool_changed(change)


def _package_topic(token: int) -> str:
    return f"package:{token}"


def _tx_topic(tx: Tx) -> str:
    return f"tx:{tx.wtxid.hex()}"
