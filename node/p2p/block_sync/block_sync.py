"""Headers, blocks and compact blocks put together."""

import random

from node.interface.endpoint import PeerId
from node.interface.messages import CompactBlock
from node.mempool.mempool import Mempool
from node.p2p.block_sync.block_download import BlockDownload
from node.p2p.block_sync.block_processing import BlockProcessing
from node.p2p.block_sync.compact_reconstruct import CompactReconstruct
from node.p2p.block_sync.compact_serve import CompactServe
from node.p2p.block_sync.context import BlockSyncContext
from node.p2p.block_sync.header_announce import HeaderAnnounce
from node.p2p.block_sync.header_peers import HeaderPeers
from node.p2p.block_sync.header_sync import HeaderSync
from node.p2p.block_sync.high_bandwidth_peers import HighBandwidthPeers
from node.p2p.block_sync.initial_block_download import InitialBlockDownload
from node.p2p.block_sync.known_blocks import KnownBlocks

BEHIND_BLOCKS = 24
"""With so many blocks still to connect, the node is catching up,"""
PROGRESS_S, PROGRESS_BLOCKS = 5.0, 5
"""if peers deliver so many in such a time: headers alone, whose blocks nobody delivers, must not keep it
from transactions."""


class BlockSync:
    """The parts, each with its own work; here is what concerns several of them."""

    def __init__(
        self,
        context: BlockSyncContext,
        mempool: Mempool,
        rng: random.Random,
        *,
        secret: bytes,
        minimum_work: int = 0,
    ) -> None:
        """`secret` is what no peer can guess, `minimum_work` what the best chain is known to have at least."""
        self._chain = context.chain
        self._ticked = 0.0
        peers = HeaderPeers(context.chain.tree)
        self.peers = peers
        """The chains of peers, as far as they are known here."""
        self.known = KnownBlocks(context.chain.tree, peers.best_of)
        """The chains that peers are known to have, for operators."""
        self.catch_up = InitialBlockDownload()
        """The state of catching up: blocks of a longer chain come in."""
        self.serve = CompactServe(context.chain, rng)
        self.announce = HeaderAnnounce(context, peers, self.known, self.serve)
        self.high_bandwidth = HighBandwidthPeers(context)
        self.blocks = BlockProcessing(context, self.high_bandwidth, self.catch_up)
        self.download = BlockDownload(context, peers, self.blocks)
        self.compact = CompactReconstruct(
            context, mempool, self.high_bandwidth, self.serve, self.download, self.announce, self.blocks
        )
        self.download.is_held = self.compact.holds
        self.headers = HeaderSync(
            context, peers, self.download, self.announce, self.compact, secret=secret, minimum_work=minimum_work
        )

    def is_behind(self) -> bool:
        """True while the node is catching up: not the time for unconfirmed transactions."""
        is_behind = self._chain.tree.best_header.height - self._chain.tip.height > BEHIND_BLOCKS
        return is_behind and self.catch_up.is_under_way(self._ticked, PROGRESS_BLOCKS, PROGRESS_S)

    def on_pushed(self, peer: PeerId, compact: CompactBlock, now: float) -> None:
        """A peer has pushed a compact block. A header that is not accepted ends it here: the costly part is only
        for proof of work that connects."""
        entry = self.headers.meet(peer, (compact.header,), now)
        if entry is None:
            return
        self.download.shown_early(peer, entry)
        self.compact.on_pushed(peer, entry, compact, now)
        self.download.pump(now)

    def on_tip(self, now: float) -> None:
        """Follow a new tip."""
        self.high_bandwidth.on_tip(self._chain.tip, now)
        self.headers.on_tip(now)

    def left(self, peer: PeerId, now: float) -> None:
        """Forget a peer that is gone: others take over what was asked of it."""
        self.compact.left(peer)
        self.high_bandwidth.left(peer)
        self.serve.left(peer)
        self.known.left(peer)
        self.headers.left(peer, now)

    def tick(self, now: float) -> None:
        """Do what is due by now."""
        self._ticked = now
        self.compact.tick(now)
        self.headers.tick(now)
