"""Bodies that peers deliver: to the chainstate, and what the peer that was first gets for it."""

from chain.blocktree import is_on
from node.interface.checked_block import CheckedBlock
from node.interface.endpoint import PeerId
from node.p2p.block_sync.context import BlockSyncContext
from node.p2p.block_sync.high_bandwidth_peers import HighBandwidthPeers
from node.p2p.block_sync.initial_block_download import InitialBlockDownload


class BlockProcessing:
    """The way of a delivered body into the chainstate (ProcessBlock in Bitcoin Core)."""

    def __init__(
        self, context: BlockSyncContext, high_bandwidth: HighBandwidthPeers, catch_up: InitialBlockDownload
    ) -> None:
        self._chain = context.chain
        self._connections = context.connections
        self._scoring = context.scoring
        self._high_bandwidth = high_bandwidth
        self._catch_up = catch_up

    def process_block(self, peer: PeerId, body: CheckedBlock, now: float) -> None:
        """Store a body that a peer was asked for; credit the peer, once the block turns out valid. Raises Rejected.

        It is connected when all that came with it is stored, by whoever called the core.
        """
        chain, block = self._chain, body.block
        entry = chain.tree.get(block.hash)
        is_first = entry is None or not entry.has_body
        chain.submit_block(body, now, sync=False, source=f"from {self._connections.where(peer)}")
        if not is_first or (entry := chain.tree.get(block.hash)) is None:
            return
        self._high_bandwidth.brought_by(peer, entry)
        if is_on(entry, chain.tree.best_header):
            self._catch_up.delivered(now)
        self._scoring.took_block(peer, block.hash, block.size)
