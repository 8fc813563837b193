"""Announcements of our chain: to each peer the headers that it lacks, or the new block in its compact form."""

from collections.abc import Iterable
from functools import partial

from chain.block import Header
from chain.blocktree import BlockNode, between, fork_point, is_on
from chain.hashes import BlockHash
from node.interface.effects import Failed, PeerReply
from node.interface.endpoint import PeerId
from node.interface.messages import ANNOUNCED_MAX, Announce
from node.p2p.block_sync.compact_serve import CompactServe
from node.p2p.block_sync.context import BlockSyncContext
from node.p2p.block_sync.header_peers import HeaderPeers
from node.p2p.block_sync.known_blocks import KnownBlocks

ANNOUNCE_S = 10.0
"""Deadline of an announcement."""
RETRY_S = 2.0
"""A failed announcement, or request for headers, is repeated after so long."""


class HeaderAnnounce:
    """Announcements to all peers, those among them that poll for news."""

    def __init__(self, context: BlockSyncContext, peers: HeaderPeers, known: KnownBlocks, serve: CompactServe) -> None:
        self._requests = context.requests
        self._connections = context.connections
        self._services = context.services
        self._genesis = context.chain.tree.genesis
        self._peers = peers
        self._known = known
        self._serve = serve

    def pass_on(self, entry: BlockNode, now: float) -> None:
        """Push a block that is not connected yet to those who want it so."""
        for peer in self._peers:
            self.announce(peer, now, entry)

    def announce(self, peer: PeerId, now: float, early: BlockNode | None = None) -> None:
        """Tell a peer of our tip, or push a block `early`, if it can be told now and does not know it."""
        state, link, tip = self._peers[peer], self._connections.link(peer), early or self._next_stop(peer)
        if link is None or state.announcing or now < state.quiet_until or not (headers := self._unknown_to(peer, tip)):
            return
        # Whoever has not the block before it gets headers to ask from.
        follows = tip.parent and _is_on_any(tip.parent, self._branches(peer))
        pushed = self._serve.pushed_to(peer, tip) if follows else None
        if pushed is None and early:
            return
        state.announcing, state.told = True, tip
        request, then = pushed or Announce(headers), partial(self._on_announced, peer)
        self._requests.send(link, request, now, ANNOUNCE_S, then)

    def _next_stop(self, peer: PeerId) -> BlockNode:
        """Our tip; for one that cannot ask for what is before it, the end of the next few headers."""
        top, branches = self._services.top, self._branches(peer)
        if self._connections.reaches_us(peer) or self._peers.best_of(peer) is None or _is_on_any(top, branches):
            return top
        known = max(fork_point(top, branch).height for branch in branches)
        return top.ancestor(min(top.height, known + ANNOUNCED_MAX))

    def _branches(self, peer: PeerId) -> list[BlockNode]:
        """The branches a peer knows: each of these entries and all before it."""
        known = (self._peers.best_of(peer), self._peers[peer].told, self._genesis)
        return [branch for branch in known if branch]

    def _unknown_to(self, peer: PeerId, top: BlockNode | None = None) -> tuple[Header, ...]:
        """The headers up to our tip, or to `top`, that a peer lacks, or the last one if these are many."""
        tip, branches = top or self._services.top, self._branches(peer)
        if _is_on_any(tip, branches):
            return ()
        headers, entry = [tip.header], tip.parent
        while len(headers) < ANNOUNCED_MAX and entry is not None and not _is_on_any(entry, branches):
            headers.append(entry.header)
            entry = entry.parent
        if entry is not None and not _is_on_any(entry, branches):
            headers = headers[:1]  # it will ask for the others
        return tuple(reversed(headers))

    def _on_announced(self, peer: PeerId, reply: PeerReply, now: float) -> None:
        state = self._peers.get(peer)
        if state is None:
            return
        state.announcing = False
        if isinstance(reply, Failed):
            state.told, state.quiet_until = None, now + RETRY_S
        elif state.told:
            self._note_told(peer, state.told)
        self.announce(peer, now)

    def _note_told(self, peer: PeerId, told: BlockNode) -> None:
        """A peer has heard of our chain up to `told`, from the last few headers."""
        few = min(told.height, ANNOUNCED_MAX)
        for entry in between(told.ancestor(told.height - few), told):
            self._known.told(peer, entry)

    def polled(self, peer: PeerId, tip: BlockHash) -> None:
        """A peer asks for our news; `tip` is what it said in the handshake."""
        if peer not in self._peers:
            self._peers.add(peer).claimed = tip

    def has_news(self, peer: PeerId) -> bool:
        """True if there is something to tell it."""
        return bool(self._unknown_to(peer))

    def take_news(self, peer: PeerId) -> tuple[Header, ...]:
        """The headers of the next announcement, to be sent now."""
        headers = self._unknown_to(peer)
        self._peers[peer].told = self._services.top
        return headers

    def news_arrived(self, peer: PeerId) -> None:
        """Note that the last announcement to a peer has arrived."""
        if (state := self._peers.get(peer)) and state.told:
            self._note_told(peer, state.told)

    def news_lost(self, peer: PeerId) -> None:
        """Note that the last announcement to a peer did not arrive."""
        self._peers[peer].told = None


def _is_on_any(entry: BlockNode, branches: Iterable[BlockNode]) -> bool:
    return any(is_on(entry, branch) for branch in branches)
