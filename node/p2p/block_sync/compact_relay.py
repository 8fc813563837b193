"""Compact block relay put together: what peers say about compact blocks, and what follows for headers."""

import random
from collections.abc import Callable, Sequence
from typing import Any

from chain.blocktree import BlockNode
from chain.tx import Tx
from node.chainstate.chainstate import Chainstate
from node.interface.effects import Effect
from node.interface.endpoint import Link, PeerId
from node.interface.messages import CompactBlock, GetBlockTxs, GetCompact, Ok, Prefer
from node.mempool.mempool import Mempool
from node.p2p.block_sync.block_download import Accept, Punish
from node.p2p.block_sync.compact_block import Rebuilt
from node.p2p.block_sync.compact_reconstruct import CompactReconstruct
from node.p2p.block_sync.compact_serve import CompactServe
from node.p2p.block_sync.header_sync import HeaderSync
from node.p2p.block_sync.high_bandwidth_peers import HighBandwidthPeers
from node.p2p.connections.pending_requests import PendingRequests
from node.p2p.scoring.peer_services import PeerServices


class CompactRelay:
    """New blocks between nodes that have most of their transactions."""

    def __init__(
        self,
        chain: Chainstate,
        mempool: Mempool,
        requests: PendingRequests,
        sync: HeaderSync,
        link_of: Callable[[PeerId], Link | None],
        is_outbound: Callable[[PeerId], bool],
        accept: Accept,
        punish: Punish,
        terms: PeerServices,
        rng: random.Random,
    ) -> None:
        """`accept` takes bodies, `punish` drops a peer, `is_outbound` tells whether we chose it, `terms`
        what it may be asked for."""
        self._chain = chain
        self._sync = sync
        self._serve = CompactServe(chain, rng)
        self._pushers = HighBandwidthPeers(requests, link_of, is_outbound)
        self._fetch = CompactReconstruct(
            chain,
            mempool,
            requests,
            link_of,
            self._pushers,
            accept,
            self._on_rebuilt,
            self._fetch_whole,
            punish,
            terms,
            self._serve.salt,
        )
        sync.use(self)

    # --- requests of peers -----------------------------------------------------------------

    def handle(
        self, peer: PeerId, request: CompactBlock | GetCompact | GetBlockTxs | Prefer, now: float
    ) -> tuple[Any, list[Effect]]:
        """Answer a request."""
        match request:
            case CompactBlock():
                return Ok(), self._on_pushed(peer, request, now)
            case GetCompact():
                return self._serve.serve(request), []
            case GetBlockTxs():
                return self._serve.serve_txs(request), []
            case Prefer():
                self._serve.prefer(peer, request.pushed)
                return Ok(), []

    def _on_pushed(self, peer: PeerId, compact: CompactBlock, now: float) -> list[Effect]:
        """A header that is not accepted ends it here: the costly part is only for proof of work that connects."""
        entry, effects = self._sync.meet(peer, (compact.header,), now)
        if entry is None:
            return effects
        self._sync.download.shown_early(peer, entry)
        return self._fetch.on_pushed(peer, entry, compact, now) + self._sync.download.pump(now)

    # --- what the node tells ---------------------------------------------------------------

    def on_computed(self, job: int, outcome: Any, now: float) -> list[Effect]:
        """Take the outcome of a job of the relay."""
        return self._fetch.on_computed(job, outcome, now)

    def brought(self, peer: PeerId, entry: BlockNode) -> None:
        """A peer was the first to bring a whole block."""
        self._pushers.brought_by(peer, entry)

    def on_tip(self, now: float) -> list[Effect]:
        """There is a new tip."""
        return self._pushers.on_tip(self._chain.tip, now)

    def keep_spare(self, tx: Tx) -> None:
        """A transaction that is not in the mempool, and may be in a block all the same."""
        self._fetch.spare.add(tx)

    def tick(self, now: float) -> list[Effect]:
        """Do what is due by now."""
        return self._fetch.tick(now)

    def left(self, peer: PeerId) -> None:
        """A peer is gone."""
        self._fetch.left(peer)
        self._pushers.left(peer)
        self._serve.left(peer)

    # --- what `HeaderSync` asks ------------------------------------------------------------------

    def holds(self, entry: BlockNode) -> bool:
        """True if this block shall not be fetched whole now."""
        return self._fetch.holds(entry.hash)

    def on_announced(self, peer: PeerId, entry: BlockNode, now: float) -> list[Effect]:
        """A peer has told us of a header."""
        return self._fetch.on_announced(peer, entry, now)

    def push(self, peer: PeerId, entry: BlockNode) -> CompactBlock | None:
        """The compact block that this peer gets in the place of an announcement, if any."""
        return self._serve.form_of(entry) if self._serve.is_pushed_to(peer) else None

    # --- what became of a block ------------------------------------------------------------

    def _on_rebuilt(self, peer: PeerId, entry: BlockNode, rebuilt: Rebuilt, now: float) -> list[Effect]:
        """Pass it on before it is connected, if its parent is."""
        self._sync.download.rebuilt(peer, entry, rebuilt.body.block.size)
        self._serve.put(rebuilt.body.block, rebuilt.form)
        return self._sync.pass_on(entry, now) if entry.parent is self._chain.tip else []

    def _fetch_whole(self, slow: Sequence[PeerId], now: float) -> list[Effect]:
        for peer in slow:
            self._sync.download.rest(peer, now)
        return self._sync.download.pump(now)
