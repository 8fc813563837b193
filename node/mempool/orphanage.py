"""Transactions whose parents are not known yet, kept for a while in case these come.

Every peer has a share of its own, counted and weighed; who fills it loses what it brought first,
and nobody else loses anything. One transaction may be in several shares: it stays until it is in
none. So the whole is bounded by the number of shares times what one may hold.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from chain.hashes import Txid, Wtxid
from chain.tx import Tx
from node.interface.endpoint import PeerId

ORPHANS_PER_PEER = 100
"""Transactions in one share; the oldest goes."""
ORPHAN_WEIGHT_PER_PEER = 404_000
"""Weight units in one share (Core's reservation): the largest standard transaction fits."""
ORPHAN_PEERS_MAX = 200
"""Shares; beyond it, what a further peer brings is not kept."""
ORPHAN_LIFE_S = 20 * 60
"""Seconds in which the parents have to come."""


@dataclass(slots=True)
class Orphan:
    """A transaction that waits for parents."""

    tx: Tx
    missing: tuple[Txid, ...]
    """Transactions that would make the coins that are missing."""
    expires: float
    """By the clock that timers go by."""
    peers: set[PeerId]
    """Peers whose shares hold it, or held it when it was taken out."""


@dataclass(slots=True)
class _OrphanShare:
    wtxids: dict[Wtxid, None] = field(default_factory=dict)
    """The oldest first."""
    weight: int = 0


class Orphanage:
    """The orphanage: all shares, and the parents waited for. Keyed by witness txid: nobody can put a transaction with
    spoilt witnesses in the place of the real one."""

    def __init__(self) -> None:
        self._orphans: dict[Wtxid, Orphan] = {}
        self._shares: dict[PeerId, _OrphanShare] = {}
        self._waiting: dict[Txid, dict[Wtxid, None]] = {}
        """Missing parent -> orphans, the oldest first."""

    def __len__(self) -> int:
        return len(self._orphans)

    def __contains__(self, wtxid: Wtxid) -> bool:
        return wtxid in self._orphans

    def get(self, wtxid: Wtxid) -> Orphan | None:
        """The orphan with this witness txid."""
        return self._orphans.get(wtxid)

    def add(self, peer: PeerId, tx: Tx, missing: tuple[Txid, ...], now: float) -> bool:
        """Keep `tx`, which this peer sent, until one of `missing` comes; False if it is not kept.

        `tx` is standard, so one of them fits into a share. Makes room in the peer's own share. With
        none missing there is nothing to wait for.
        """
        if not missing:
            return False
        share = self._shares.get(peer)
        if share is None:
            if len(self._shares) >= ORPHAN_PEERS_MAX:
                return False
            share = self._shares[peer] = _OrphanShare()
        if tx.wtxid in share.wtxids:
            return True
        while share.wtxids and (
            len(share.wtxids) >= ORPHANS_PER_PEER or share.weight + tx.weight > ORPHAN_WEIGHT_PER_PEER
        ):
            self._release(peer, next(iter(share.wtxids)))
        # The last of a share takes the share with it.
        share = self._shares.setdefault(peer, share)
        share.wtxids[tx.wtxid] = None
        share.weight += tx.weight
        orphan = self._orphans.get(tx.wtxid)
        if orphan is None:
            orphan = self._orphans[tx.wtxid] = Orphan(tx, missing, now + ORPHAN_LIFE_S, set())
            for parent in missing:
                self._waiting.setdefault(parent, {})[tx.wtxid] = None
        orphan.peers.add(peer)
        return True

    def take_children(self, txids: Iterable[Txid]) -> list[Orphan]:
        """Take out what waits for one of these, which have arrived: try each again. One that lacks
        another parent still comes back by `add`."""
        taken: dict[Wtxid, Orphan] = {}
        for txid in txids:
            for wtxid in tuple(self._waiting.get(txid, ())):
                orphan = taken[wtxid] = self._orphans[wtxid]
                peers = orphan.peers.copy()
                self._drop(wtxid)
                orphan.peers = peers
        return list(taken.values())

    def forget(self, peer: PeerId) -> None:
        """The peer has gone: give up its share."""
        share = self._shares.get(peer)
        if share is not None:
            for wtxid in tuple(share.wtxids):
                self._release(peer, wtxid)

    def expire(self, now: float) -> None:
        """Give up those whose parents did not come in time."""
        for wtxid in [wtxid for wtxid, orphan in self._orphans.items() if orphan.expires <= now]:
            self._drop(wtxid)

    def _drop(self, wtxid: Wtxid) -> None:
        for peer in tuple(self._orphans[wtxid].peers):
            self._release(peer, wtxid)

    def _release(self, peer: PeerId, wtxid: Wtxid) -> None:
        """Take an orphan out of one share, and out of everything if that was the last."""
        orphan, share = self._orphans[wtxid], self._shares[peer]
        del share.wtxids[wtxid]
        share.weight -= orphan.tx.weight
        if not share.wtxids:
            del self._shares[peer]
        orphan.peers.discard(peer)
        if orphan.peers:
            return
        del self._orphans[wtxid]
        for parent in orphan.missing:
            waiting = self._waiting[parent]
            del waiting[wtxid]
            if not waiting:
                del self._waiting[parent]
