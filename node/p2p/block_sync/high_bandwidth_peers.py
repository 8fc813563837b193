"""Peers that are asked to push new blocks to us: the last ones that brought a new best block first."""

from collections import OrderedDict
from functools import partial

from chain.blocktree import BlockNode
from chain.hashes import BlockHash
from node.interface.effects import Failed, PeerReply
from node.interface.endpoint import Link, PeerId
from node.interface.messages import Prefer
from node.p2p.block_sync.context import BlockSyncContext

PUSHERS_MAX = 3
"""Peers that we send Prefer, so that they push to us: the last that brought a new best block first."""
BROUGHT_MAX = 64
"""Blocks not connected yet of which we remember who brought them."""
PREFER_S = 20.0
"""Deadline of telling them."""


class HighBandwidthPeers:
    """Peers that we asked for pushes, and the use that each was of."""

    def __init__(self, context: BlockSyncContext) -> None:
        self._requests = context.requests
        self._connections = context.connections
        self._high_bandwidth: list[PeerId] = []
        """The last that was of use at the end."""
        self._bringers: OrderedDict[BlockHash, PeerId] = OrderedDict()

    def __contains__(self, peer: object) -> bool:
        return peer in self._high_bandwidth

    def left(self, peer: PeerId) -> None:
        """A peer is gone."""
        if peer in self._high_bandwidth:
            self._high_bandwidth.remove(peer)

    def brought_by(self, peer: PeerId, entry: BlockNode) -> None:
        """Note that a peer was the first to bring a block."""
        self._bringers.setdefault(entry.hash, peer)
        if len(self._bringers) > BROUGHT_MAX:
            self._bringers.popitem(last=False)

    def on_tip(self, tip: BlockNode, now: float) -> None:
        """A block is the new tip, so it is valid: whoever brought it shall push the next ones."""
        peer = self._bringers.pop(tip.hash, None)
        link = self._connections.link(peer) if peer else None
        if peer is None or link is None:
            return
        if peer in self._high_bandwidth:
            self._high_bandwidth.remove(peer)
            self._high_bandwidth.append(peer)
            return
        self._high_bandwidth.append(peer)
        self._prefer(link, True, now)
        if len(self._high_bandwidth) > PUSHERS_MAX:
            self._dismiss(self._superfluous(), now)

    def _superfluous(self) -> PeerId:
        """The peer that was of use the longest ago; of peers that we chose one stays."""
        chosen = [peer for peer in self._high_bandwidth if self._connections.is_outbound(peer)]
        return next(peer for peer in self._high_bandwidth if chosen != [peer])

    def _dismiss(self, peer: PeerId, now: float) -> None:
        self._high_bandwidth.remove(peer)
        if link := self._connections.link(peer):
            self._prefer(link, False, now)

    def _prefer(self, link: Link, pushed: bool, now: float) -> None:
        then = partial(self._on_preferred, link.peer, pushed)
        self._requests.send(link, Prefer(pushed), now, PREFER_S, then)

    def _on_preferred(self, peer: PeerId, pushed: bool, reply: PeerReply, now: float) -> None:
        if isinstance(reply, Failed) and pushed and peer in self._high_bandwidth:
            self._high_bandwidth.remove(peer)  # its next block makes us ask again
