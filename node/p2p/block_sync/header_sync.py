"""Headers first: the peers' chains, asked of several at once.

Headers are judged by the chainstate; bodies are `BlockDownload`'s part, our own announcements `HeaderAnnounce`'s. A
peer that is asked from a locator answers with what follows on its own best chain; while full batches come, more is
asked. What has too little work to be kept is ignored, or proves itself in a walk first (headers_presync.py).
"""

from collections.abc import Iterable, Sequence
from functools import partial

from chain.block import Header
from chain.blocktree import BlockNode, between, is_on, locator
from chain.errors import Invalid, Reject, Rejected
from chain.hashes import BlockHash
from node.interface.effects import Failed, PeerReply
from node.interface.endpoint import PeerId
from node.interface.messages import HEADERS_MAX, Announce, GetHeaders, Headers, Reason, Refusal
from node.p2p.block_sync.block_download import CHOKED_REST_S, BlockDownload
from node.p2p.block_sync.compact_reconstruct import CompactReconstruct
from node.p2p.block_sync.context import BlockSyncContext
from node.p2p.block_sync.header_announce import RETRY_S, HeaderAnnounce
from node.p2p.block_sync.header_peers import HeaderPeer, HeaderPeers, HeadersRequest
from node.p2p.block_sync.headers_presync import GivenUp, HeadersAdmission, HeadersPresync
from node.p2p.block_sync.unclaimed_headers import UnclaimedHeaders

HEADERS_S = 20.0
"""Deadline of a request for headers."""
POLL_S = 30.0
"""A peer from which no header came for so long is asked: announcements can get lost."""
WALKS_MAX = 2
"""Peers from which long runs of headers are fetched at once; the others wait for their turn."""
HEADERS_AHEAD_MAX = 50_000
"""With so many headers of a peer above our tip, no more are asked for until blocks have come."""
HEADERS_ALL_MAX, HEADERS_LEAST = 100_000, 1_024
"""With so many headers of all peers whose blocks are not here, each peer's may be only as far above our tip as
the second: as many as blocks are fetched ahead, so that nobody keeps us from the others' chain."""
BLAMELESS = frozenset({Reject.DUPLICATE_INVALID, Reject.BAD_PREV})
"""Headers on a branch that this node has ruled out, perhaps only by its operator's word."""


class HeaderSync:
    """The headers of all peers, and through `BlockDownload` the bodies."""

    def __init__(
        self,
        context: BlockSyncContext,
        peers: HeaderPeers,
        download: BlockDownload,
        announce: HeaderAnnounce,
        compact: CompactReconstruct,
        *,
        secret: bytes,
        minimum_work: int = 0,
    ) -> None:
        """`secret` is what no peer can guess, `minimum_work` what the best chain is known to have at least."""
        self._chain = context.chain
        self._requests = context.requests
        self._connections = context.connections
        self._services = context.services
        self._peers = peers
        self._download = download
        self._announce = announce
        self._compact = compact
        self._admission = HeadersAdmission(context.chain, minimum_work, secret, lambda: context.services.top)
        self._walking: set[PeerId] = set()
        self._unclaimed_headers = UnclaimedHeaders(context.chain)

    def linked(self, peer: PeerId, tip: BlockHash, now: float) -> None:
        """A peer can be asked; `tip` is what it said in the handshake."""
        state = self._peers.add(peer)
        state.claimed = tip
        self._download.linked(peer)
        self._ask(peer, now)
        self._announce.announce(peer, now)

    def left(self, peer: PeerId, now: float) -> None:
        """A peer is gone: others take over what was asked of it."""
        self._peers.left(peer)
        self._walking.discard(peer)
        self._admission.end(peer)
        self._download.left(peer)
        self._next_walk(now)
        self._download.pump(now)

    def serve(self, request: GetHeaders) -> Headers:
        """Our best chain's headers after the first hash of the locator that is on it."""
        tip, tree = self._services.top, self._chain.tree
        known = (tree.get(block_hash) for block_hash in request.locator)
        start = next((entry for entry in known if entry and is_on(entry, tip)), tree.genesis)
        top = tip.ancestor(min(tip.height, start.height + HEADERS_MAX))
        stop = tree.get(request.stop)
        if stop and start.height < stop.height and is_on(stop, top):
            top = stop
        return Headers(tuple(entry.header for entry in between(start, top)))

    def on_announce(self, peer: PeerId, announce: Announce, now: float) -> None:
        """A peer has new blocks: fetch them from it at once, or its headers where a parent is unknown."""
        last = self.meet(peer, announce.headers, now)
        if last is None:
            return
        is_coming = last.hash in self._download.in_flight()
        if not is_coming:
            self._compact.on_announced(peer, last, now)
        self._download.pump(now)

    def meet(self, peer: PeerId, headers: Sequence[Header], now: float) -> BlockNode | None:
        """Take a peer's announcement of headers: the place of the last one, if there is one for it."""
        state = self._peers.add(peer)
        last, fault = self._enter(state, headers, now)
        if isinstance(fault, HeadersPresync):
            return None  # if it leads to a branch worth having, that comes when we ask
        if fault is None:
            state.heard = now
            return last
        if fault.code == Reject.PREV_NOT_FOUND:
            state.claimed = headers[-1].hash
            self._ask(peer, now)
        else:
            self._judge(peer, fault, now)
        return None

    def _ask(self, peer: PeerId, now: float, after: BlockNode | None = None) -> None:
        """Ask for the headers behind `after`, or behind the best that we know."""
        state, link = self._peers[peer], self._connections.link(peer)
        if link is None or not self._services.has_headers(peer):
            return
        if state.request.is_under_way:
            state.request = HeadersRequest.ASKING_AGAIN
            return
        best = self._chain.tree.best_header
        start = after if after is not None and not is_on(after, best) else best
        state.request, state.heard = HeadersRequest.ASKING, now
        walk = self._admission.walk(peer)
        request = GetHeaders(walk.locator() if walk else tuple(locator(start)))
        self._requests.send(link, request, now, HEADERS_S, partial(self._on_headers, peer))

    def _on_headers(self, peer: PeerId, reply: PeerReply, now: float) -> None:
        state = self._peers.get(peer)
        if state is None:
            return
        is_again, state.request = state.request is HeadersRequest.ASKING_AGAIN, HeadersRequest.IDLE
        self._walking.discard(peer)
        if isinstance(reply, Headers):
            state.heard = now
            is_full = len(reply.headers) == HEADERS_MAX
            if self._admission.walk(peer):
                self._prove(peer, state, reply.headers, is_full, now)
            else:
                self._enter_batch(peer, state, reply.headers, is_full, now)
        else:
            self._admission.end(peer)
            if reply == Refusal(Reason.CHOKED):
                state.heard = now - POLL_S + CHOKED_REST_S  # no fault: it is asked again, a little later
            elif isinstance(reply, Failed):
                state.heard = now - POLL_S + RETRY_S  # lost on the way, perhaps with what nobody else will tell
        if is_again and not state.request.is_under_way and peer in self._peers:
            self._ask(peer, now)
        self._next_walk(now)
        self._download.pump(now)

    def _enter_batch(
        self, peer: PeerId, state: HeaderPeer, headers: Sequence[Header], is_full: bool, now: float
    ) -> None:
        """Take a peer's answer with headers; asks for more if there are more."""
        last, fault = self._enter(state, headers, now)
        if isinstance(fault, HeadersPresync):
            if not is_full or self._admission.begin(peer, fault, now) is None:
                return  # if this is all that it has, nobody needs it
            self._prove(peer, state, fault.headers, is_full, now)
            return
        if fault is not None:
            self._judge(peer, fault, now)
            return
        if last is not None and is_full:
            self._walk(peer, last, now)

    def _prove(self, peer: PeerId, state: HeaderPeer, headers: Sequence[Header], is_full: bool, now: float) -> None:
        """The next headers of a branch that has to show its work before it is kept."""
        walk = self._admission.walk(peer)
        assert walk is not None
        try:
            proved = walk.take(headers, is_full, now)
        except GivenUp:
            self._admission.end(peer)
            return
        except Rejected as fault:
            self._admission.end(peer)
            self._judge(peer, fault, now)
            return
        if walk.is_over:
            self._admission.end(peer)
        last, refused = self._submit(state, proved, now)
        if refused is not None:
            self._admission.end(peer)
            self._judge(peer, refused, now)
            return
        if not walk.is_over:
            self._ask(peer, now)
            return
        if last is not None and is_full:
            self._walk(peer, last, now)

    def _enter(
        self, state: HeaderPeer, headers: Sequence[Header], now: float
    ) -> tuple[BlockNode | None, Rejected | HeadersPresync | None]:
        """Put headers into the tree, up to the first that is not accepted; none if they have too little work,
        or are too far above the tip."""
        self._sweep(now)
        if headers and self._is_far_ahead(self._chain.tree.get(headers[0].prev_hash)):
            state.claimed = headers[-1].hash
            return None, None
        try:
            low = self._admission.judge(headers, now)
        except Rejected as fault:
            return None, fault
        last, refused = self._submit(state, headers[: len(headers) - len(low.headers)] if low else headers, now)
        return last, refused or low

    def _submit(
        self, state: HeaderPeer, headers: Iterable[Header], now: float
    ) -> tuple[BlockNode | None, Rejected | None]:
        last = None
        try:
            for header in headers:
                is_new = self._chain.tree.get(header.hash) is None
                last = self._chain.submit_header(header, now)
                if is_new:
                    self._unclaimed_headers.add(last)
        except Rejected as fault:
            return last, fault
        finally:
            if last is not None:
                state.has(last)
        return last, None

    def _sweep(self, now: float) -> None:
        """Forget headers that no peer is known to have any longer, if it is time for it."""
        if self._unclaimed_headers.is_due(now):
            branches = [best for peer in self._peers if (best := self._peers.best_of(peer))]
            self._unclaimed_headers.sweep(self._services.top, branches, now)

    def _judge(self, peer: PeerId, fault: Rejected, now: float) -> None:
        if not isinstance(fault, Invalid) or fault.code in BLAMELESS:
            return
        self._connections.punish(peer, f"sent an invalid header: {fault}", now)

    def _walk(self, peer: PeerId, last: BlockNode, now: float) -> None:
        """A full batch came: ask for the next, if it is this peer's turn."""
        if len(self._walking) >= WALKS_MAX or self._is_far_ahead(last):
            self._peers[peer].request = HeadersRequest.WAITING
            return
        self._walking.add(peer)
        self._ask(peer, now, last)

    def _is_far_ahead(self, last: BlockNode | None) -> bool:
        """True if it is for the bodies to come first: else whoever makes headers fills our memory with them."""
        most = HEADERS_AHEAD_MAX if len(self._unclaimed_headers) < HEADERS_ALL_MAX else HEADERS_LEAST
        return last is not None and last.height - self._services.top.height >= most

    def _next_walk(self, now: float) -> None:
        """Let peers that wait take places that have become free."""
        for peer, state in self._peers.items():
            is_waiting = state.request is HeadersRequest.WAITING
            if not is_waiting or len(self._walking) >= WALKS_MAX or self._is_far_ahead(state.best):
                continue
            if self._connections.link(peer):
                self._walking.add(peer)
                self._ask(peer, now, state.best)

    def on_tip(self, now: float) -> None:
        """Our tip has changed: tell every peer that does not know it, and go on."""
        for peer in self._peers:
            self._announce.announce(peer, now)
        self._next_walk(now)
        self._download.pump(now)

    def tick(self, now: float) -> None:
        """Repeat what failed, ask who was silent, move on what stalls."""
        self._sweep(now)
        for peer, state in self._peers.items():
            self._announce.announce(peer, now)
            if not state.request.is_under_way and now - state.heard >= POLL_S:
                self._ask(peer, now)
        self._download.tick(now)
