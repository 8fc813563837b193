"""Headers first: the peers' chains, asked of several at once, and announcements both ways.

Headers are judged by the chainstate; bodies are `BlockDownload`'s part. A peer that is asked from a
locator answers with what follows on its own best chain; while full batches come, more is asked.
What has too little work to be kept is ignored, or proves itself in a walk first (headers_presync.py).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Protocol

from chain.block import Header
from chain.blocktree import BlockNode, between, fork_point, is_on, locator
from chain.errors import Invalid, Reject, Rejected
from chain.hashes import BlockHash
from node.chainstate.chainstate import Chainstate
from node.interface.effects import Effect, Failed
from node.interface.endpoint import Link, PeerId
from node.interface.messages import (
    ANNOUNCED_MAX,
    BLOCKS_MAX,
    HEADERS_MAX,
    Announce,
    CompactBlock,
    GetHeaders,
    Headers,
    Reason,
    Refusal,
)
from node.p2p.block_sync.block_download import CHOKED_REST_S, Accept, BlockDownload, Punish
from node.p2p.block_sync.headers_presync import GivenUp, HeadersAdmission, HeadersPresync
from node.p2p.block_sync.initial_block_download import InitialBlockDownload
from node.p2p.block_sync.known_blocks import KnownBlocks
from node.p2p.block_sync.unclaimed_headers import UnclaimedHeaders
from node.p2p.connections.pending_requests import PendingRequests
from node.p2p.scoring.peer_services import EVERYTHING, PeerServices

HEADERS_S = 20.0
"""Deadline of a request for headers."""
ANNOUNCE_S = 10.0
"""Deadline of an announcement."""
POLL_S = 30.0
"""A peer from which no header came for so long is asked: announcements can get lost."""
RETRY_S = 2.0
"""A failed announcement, or request for headers, is repeated after so long."""
WALKS_MAX = 2
"""Peers from which long runs of headers are fetched at once; the others wait for their turn."""
HEADERS_AHEAD_MAX = 50_000
"""With so many headers of a peer above our tip, no more are asked for until blocks have come."""
HEADERS_ALL_MAX, HEADERS_LEAST = 100_000, 1_024
"""With so many headers of all peers whose blocks are not here, each peer's may be only as far above our tip as
the second: as many as blocks are fetched ahead, so that nobody keeps us from the others' chain."""
BEHIND_BLOCKS = 24
"""With so many blocks still to connect, the node is catching up,"""
PROGRESS_S, PROGRESS_BLOCKS = 5.0, 5
"""if peers deliver so many in such a time: headers alone, whose blocks nobody delivers, must not keep it
from transactions."""
BLAMELESS = frozenset({Reject.DUPLICATE_INVALID, Reject.BAD_PREV})
"""Headers on a branch that this node has ruled out, perhaps only by its operator's word."""


@dataclass(slots=True)
class _HeaderPeer:
    """A peer's chain as far as it is known here, and ours as far as the peer knows it."""

    best: BlockNode | None = None
    """The header with most work that it is known to have."""
    claimed: BlockHash | None = None
    """The tip that it told of, as long as we do not know this header."""
    told: BlockNode | None = None
    """The tip that we last told it of."""
    asking: bool = False
    """A request for headers is under way."""
    again: bool = False
    """Ask once more after that."""
    waiting: bool = False
    """Has more headers, and waits for its turn."""
    announcing: bool = False
    """An announcement is under way."""
    heard: float = 0.0
    """Time of the last request for its headers, or of the last that it sent."""
    quiet_until: float = 0.0
    """Time before which nothing is announced."""

    def has(self, entry: BlockNode) -> None:
        """The peer has this header."""
        if self.best is None or self.best.invalid or entry.chainwork > self.best.chainwork:
            self.best = entry


class CompactSync(Protocol):
    """Compact block relay, as far as headers and bodies have to know of it."""

    def holds(self, entry: BlockNode) -> bool:
        """True if this block shall not be fetched whole now."""
        ...

    def on_announced(self, peer: PeerId, entry: BlockNode, now: float) -> list[Effect]:
        """A peer has told us of a header: its block may be asked for."""
        ...

    def push(self, peer: PeerId, entry: BlockNode) -> CompactBlock | None:
        """The compact block that this peer gets in the place of an announcement, if any."""
        ...


class HeaderSync:
    """Headers and announcements of all peers, and through `download` the bodies."""

    def __init__(
        self,
        chain: Chainstate,
        requests: PendingRequests,
        link_of: Callable[[PeerId], Link | None],
        accept: Accept,
        punish: Punish,
        *,
        secret: bytes,
        minimum_work: int = 0,
        terms: PeerServices = EVERYTHING,
        can_ask: Callable[[PeerId], bool] = lambda peer: True,
    ) -> None:
        """`link_of` is how to send to a peer, `accept` takes bodies, `punish` drops a peer. `secret`
        is what no peer can guess, `minimum_work` what the best chain is known to have at least.
        `can_ask` is false of a peer that has no link with us."""
        self._can_ask = can_ask
        self._chain = chain
        self._requests = requests
        self._link_of = link_of
        self._punish = punish
        self._peers: dict[PeerId, _HeaderPeer] = {}
        self._compact: CompactSync | None = None
        self._terms = terms
        self._gate = HeadersAdmission(chain, minimum_work, secret, lambda: self.top)
        self._walking: set[PeerId] = set()
        self._promises = UnclaimedHeaders(chain)
        self._ticked = 0.0
        self.known = KnownBlocks(chain.tree, self.best_of)
        """The chains that peers are known to have."""
        self.catch_up = InitialBlockDownload()
        """The state of catching up: blocks of a longer chain come in."""
        self.download = BlockDownload(chain, requests, link_of, self.best_of, accept, punish, terms)

    def use(self, compact: CompactSync) -> None:
        """Fetch and announce new blocks in their compact form."""
        self._compact = compact
        self.download.is_held = compact.holds

    @property
    def behind(self) -> bool:
        """True while the node is catching up: not the time for unconfirmed transactions."""
        is_behind = self._chain.tree.best_header.height - self._chain.tip.height > BEHIND_BLOCKS
        return is_behind and self.catch_up.is_under_way(self._ticked, PROGRESS_BLOCKS, PROGRESS_S)

    def delivered(self, entry: BlockNode, now: float) -> None:
        """A peer has brought this block."""
        if is_on(entry, self._chain.tree.best_header):
            self.catch_up.delivered(now)

    @property
    def top(self) -> BlockNode:
        """The end of the chain that we tell of: the tip, or where no bodies are taken the best header."""
        return self._chain.tip if self._terms.takes_bodies else self._chain.tree.best_header

    def best_of(self, peer: PeerId) -> BlockNode | None:
        """The header with most work that a peer is known to have."""
        state = self._peers.get(peer)
        if state is None:
            return None
        # Whoever brought the header that it claims, it can be asked for the block from then on.
        if state.claimed and (entry := self._chain.tree.get(state.claimed)):
            state.claimed = None
            state.has(entry)
        return state.best

    # --- peers come and go ---------------------------------------------------------------

    def linked(self, peer: PeerId, tip: BlockHash, now: float) -> list[Effect]:
        """A peer can be asked; `tip` is what it said in the handshake."""
        state = self._peers.setdefault(peer, _HeaderPeer())
        state.claimed = tip
        self.download.linked(peer)
        return self._ask(peer, now) + self._announce(peer, now)

    def left(self, peer: PeerId, now: float) -> list[Effect]:
        """A peer is gone: others take over what was asked of it."""
        self._peers.pop(peer, None)
        self.known.left(peer)
        self._walking.discard(peer)
        self._gate.end(peer)
        self.download.left(peer)
        return self._next_walk(now) + self.download.pump(now)

    # --- headers -------------------------------------------------------------------------

    def serve(self, request: GetHeaders) -> Headers:
        """Our best chain's headers after the first hash of the locator that is on it."""
        tip, tree = self.top, self._chain.tree
        known = (tree.get(block_hash) for block_hash in request.locator)
        start = next((entry for entry in known if entry and is_on(entry, tip)), tree.genesis)
        top = tip.ancestor(min(tip.height, start.height + HEADERS_MAX))
        stop = tree.get(request.stop)
        if stop and start.height < stop.height and is_on(stop, top):
            top = stop
        return Headers(tuple(entry.header for entry in between(start, top)))

    def on_announce(self, peer: PeerId, announce: Announce, now: float) -> list[Effect]:
        """A peer has new blocks: fetch them from it at once, or its headers where a parent is unknown."""
        last, effects = self.meet(peer, announce.headers, now)
        if last is None:
            return effects
        is_coming = last.hash in self.download.in_flight()
        asked = self._compact.on_announced(peer, last, now) if self._compact and not is_coming else []
        return asked + self.download.pump(now)

    def meet(self, peer: PeerId, headers: Sequence[Header], now: float) -> tuple[BlockNode | None, list[Effect]]:
        """Take a peer's announcement of headers: the place of the last one, or what follows if there is none for it."""
        state = self._peers.setdefault(peer, _HeaderPeer())
        last, fault = self._enter(state, headers, now)
        if isinstance(fault, HeadersPresync):
            return None, []  # if it leads to a branch worth having, that comes when we ask
        if fault is None:
            state.heard = now
            return last, []
        if fault.code == Reject.PREV_NOT_FOUND:
            state.claimed = headers[-1].hash
            return None, self._ask(peer, now)
        return None, self._judge(peer, fault, now)

    def _ask(self, peer: PeerId, now: float, after: BlockNode | None = None) -> list[Effect]:
        """Ask for the headers behind `after`, or behind the best that we know."""
        state, link = self._peers[peer], self._link_of(peer)
        if link is None or not self._terms.has_headers(peer):
            return []
        if state.asking:
            state.again = True
            return []
        best = self._chain.tree.best_header
        start = after if after is not None and not is_on(after, best) else best
        state.asking, state.again, state.waiting, state.heard = True, False, False, now
        walk = self._gate.walk(peer)
        request = GetHeaders(walk.locator() if walk else tuple(locator(start)))
        return [self._requests.send(link, request, now, HEADERS_S, partial(self._on_headers, peer))]

    def _on_headers(self, peer: PeerId, reply: Any, now: float) -> list[Effect]:
        state = self._peers.get(peer)
        if state is None:
            return []
        state.asking = False
        self._walking.discard(peer)
        effects: list[Effect] = []
        if isinstance(reply, Headers):
            state.heard = now
            is_full = len(reply.headers) == HEADERS_MAX
            if self._gate.walk(peer):
                effects = self._prove(peer, state, reply.headers, is_full, now)
            else:
                effects = self._enter_batch(peer, state, reply.headers, is_full, now)
        else:
            self._gate.end(peer)
            if reply == Refusal(Reason.CHOKED):
                state.heard = now - POLL_S + CHOKED_REST_S  # no fault: it is asked again, a little later
            elif isinstance(reply, Failed):
                state.heard = now - POLL_S + RETRY_S  # lost on the way, perhaps with what nobody else will tell
        if state.again and peer in self._peers:
            effects += self._ask(peer, now)
        return effects + self._next_walk(now) + self.download.pump(now)

    def _enter_batch(
        self, peer: PeerId, state: _HeaderPeer, headers: Sequence[Header], is_full: bool, now: float
    ) -> list[Effect]:
        """Take a peer's answer with headers; asks for more if there are more."""
        last, fault = self._enter(state, headers, now)
        if isinstance(fault, HeadersPresync):
            if not is_full or self._gate.begin(peer, fault, now) is None:
                return []  # if this is all that it has, nobody needs it
            return self._prove(peer, state, fault.headers, is_full, now)
        if fault is not None:
            return self._judge(peer, fault, now)
        return self._walk(peer, last, now) if last is not None and is_full else []

    def _prove(
        self, peer: PeerId, state: _HeaderPeer, headers: Sequence[Header], is_full: bool, now: float
    ) -> list[Effect]:
        """The next headers of a branch that has to show its work before it is kept."""
        walk = self._gate.walk(peer)
        assert walk is not None
        try:
            proved = walk.take(headers, is_full, now)
        except GivenUp:
            self._gate.end(peer)
            return []
        except Rejected as fault:
            self._gate.end(peer)
            return self._judge(peer, fault, now)
        if walk.is_over:
            self._gate.end(peer)
        last, refused = self._submit(state, proved, now)
        if refused is not None:
            self._gate.end(peer)
            return self._judge(peer, refused, now)
        if not walk.is_over:
            return self._ask(peer, now)
        return self._walk(peer, last, now) if last is not None and is_full else []

    def _enter(
        self, state: _HeaderPeer, headers: Sequence[Header], now: float
    ) -> tuple[BlockNode | None, Rejected | HeadersPresync | None]:
        """Put headers into the tree, up to the first that is not accepted; none if they have too little work,
        or are too far above the tip."""
        self._sweep(now)
        if headers and self._is_far_ahead(self._chain.tree.get(headers[0].prev_hash)):
            state.claimed = headers[-1].hash
            return None, None
        try:
            low = self._gate.judge(headers, now)
        except Rejected as fault:
            return None, fault
        last, refused = self._submit(state, headers[: len(headers) - len(low.headers)] if low else headers, now)
        return last, refused or low

    def _submit(
        self, state: _HeaderPeer, headers: Iterable[Header], now: float
    ) -> tuple[BlockNode | None, Rejected | None]:
        last = None
        try:
            for header in headers:
                is_new = self._chain.tree.get(header.hash) is None
                last = self._chain.submit_header(header, int(now))
                if is_new:
                    self._promises.add(last)
        except Rejected as fault:
            return last, fault
        finally:
            if last is not None:
                state.has(last)
        return last, None

    def _sweep(self, now: float) -> None:
        """Forget headers that no peer is known to have any longer, if it is time for it."""
        if self._promises.is_due(now):
            branches = [best for peer in self._peers if (best := self.best_of(peer))]
            self._promises.sweep(self.top, branches, now)

    def _judge(self, peer: PeerId, fault: Rejected, now: float) -> list[Effect]:
        if not isinstance(fault, Invalid) or fault.code in BLAMELESS:
            return []
        return self._punish(peer, f"sent an invalid header: {fault}", now)

    def _walk(self, peer: PeerId, last: BlockNode, now: float) -> list[Effect]:
        """A full batch came: ask for the next, if it is this peer's turn."""
        if len(self._walking) >= WALKS_MAX or self._is_far_ahead(last):
            self._peers[peer].waiting = True
            return []
        self._walking.add(peer)
        return self._ask(peer, now, last)

    def _is_far_ahead(self, last: BlockNode | None) -> bool:
        """True if it is for the bodies to come first: else whoever makes headers fills our memory with them."""
        most = HEADERS_AHEAD_MAX if len(self._promises) < HEADERS_ALL_MAX else HEADERS_LEAST
        return last is not None and last.height - self.top.height >= most

    def _next_walk(self, now: float) -> list[Effect]:
        """Let peers that wait take places that have become free."""
        effects: list[Effect] = []
        for peer, state in self._peers.items():
            if not state.waiting or len(self._walking) >= WALKS_MAX or self._is_far_ahead(state.best):
                continue
            if self._link_of(peer):
                self._walking.add(peer)
                effects += self._ask(peer, now, state.best)
        return effects

    # --- announcements -------------------------------------------------------------------

    def on_tip(self, now: float) -> list[Effect]:
        """Our tip has changed: tell every peer that does not know it."""
        announced = [effect for peer in self._peers for effect in self._announce(peer, now)]
        return announced + self._next_walk(now) + self.download.pump(now)

    def pass_on(self, entry: BlockNode, now: float) -> list[Effect]:
        """Push a block that is not connected yet to those who want it so."""
        return [effect for peer in self._peers for effect in self._announce(peer, now, entry)]

    def _announce(self, peer: PeerId, now: float, early: BlockNode | None = None) -> list[Effect]:
        """Tell a peer of our tip, or push a block `early`, if it can be told now and does not know it."""
        state, link, tip = self._peers[peer], self._link_of(peer), early or self._next_stop(peer)
        if link is None or state.announcing or now < state.quiet_until or not (headers := self._unknown_to(peer, tip)):
            return []
        # Whoever has not the block before it gets headers to ask from.
        follows = tip.parent and _is_on_any(tip.parent, self._branches(peer))
        pushed = self._compact.push(peer, tip) if self._compact and follows else None
        if pushed is None and early:
            return []
        state.announcing, state.told = True, tip
        request, then = pushed or Announce(headers), partial(self._on_announced, peer)
        return [self._requests.send(link, request, now, ANNOUNCE_S, then)]

    def _next_stop(self, peer: PeerId) -> BlockNode:
        """Our tip; for one that cannot ask for what is before it, the end of the next few headers."""
        top, branches = self.top, self._branches(peer)
        if self._can_ask(peer) or self.best_of(peer) is None or _is_on_any(top, branches):
            return top
        known = max(fork_point(top, branch).height for branch in branches)
        return top.ancestor(min(top.height, known + ANNOUNCED_MAX))

    def _branches(self, peer: PeerId) -> list[BlockNode]:
        """The branches a peer knows: each of these entries and all before it."""
        known = (self.best_of(peer), self._peers[peer].told, self._chain.tree.genesis)
        return [branch for branch in known if branch]

    def _unknown_to(self, peer: PeerId, top: BlockNode | None = None) -> tuple[Header, ...]:
        """The headers up to our tip, or to `top`, that a peer lacks, or the last one if these are many."""
        tip, branches = top or self.top, self._branches(peer)
        if _is_on_any(tip, branches):
            return ()
        headers, entry = [tip.header], tip.parent
        while len(headers) < ANNOUNCED_MAX and entry is not None and not _is_on_any(entry, branches):
            headers.append(entry.header)
            entry = entry.parent
        if entry is not None and not _is_on_any(entry, branches):
            headers = headers[:1]  # it will ask for the others
        return tuple(reversed(headers))

    def _on_announced(self, peer: PeerId, reply: Any, now: float) -> list[Effect]:
        state = self._peers.get(peer)
        if state is None:
            return []
        state.announcing = False
        if isinstance(reply, Failed):
            state.told, state.quiet_until = None, now + RETRY_S
        elif state.told:
            self._note_told(peer, state.told)
        return self._announce(peer, now)

    def _note_told(self, peer: PeerId, told: BlockNode) -> None:
        """A peer has heard of our chain up to `told`, from the last few headers."""
        few = min(told.height, ANNOUNCED_MAX)
        for entry in between(told.ancestor(told.height - few), told):
            self.known.told(peer, entry)

    # --- peers that poll -----------------------------------------------------------------

    def polled(self, peer: PeerId, tip: BlockHash) -> None:
        """A peer asks for our news; `tip` is what it said in the handshake."""
        if peer not in self._peers:
            self._peers[peer] = _HeaderPeer(claimed=tip)

    def has_news(self, peer: PeerId) -> bool:
        """True if there is something to tell it."""
        return bool(self._unknown_to(peer))

    def take_news(self, peer: PeerId) -> tuple[Header, ...]:
        """The headers of the next announcement, to be sent now."""
        headers = self._unknown_to(peer)
        self._peers[peer].told = self.top
        return headers

    def only_with(self, peer: PeerId) -> tuple[BlockNode, ...]:
        """The lowest blocks of a peer's branch that we lack and cannot ask anybody for."""
        best = self.best_of(peer)
        if best is None or best.has_body or not self._terms.takes_bodies or self._link_of(peer):
            return ()
        others = [(other, theirs) for other in self._peers if self._link_of(other) and (theirs := self.best_of(other))]

        def is_askable(entry: BlockNode) -> bool:
            return any(is_on(entry, theirs) and self._terms.has_block(other, entry) for other, theirs in others)

        return tuple(islice((entry for entry in self.download.missing(best) if not is_askable(entry)), BLOCKS_MAX))

    def news_arrived(self, peer: PeerId) -> None:
        """Note that the last announcement to a peer has arrived."""
        if (state := self._peers.get(peer)) and state.told:
            self._note_told(peer, state.told)

    def news_lost(self, peer: PeerId) -> None:
        """Note that the last announcement to a peer did not arrive."""
        self._peers[peer].told = None

    # --- time ----------------------------------------------------------------------------

    def tick(self, now: float) -> list[Effect]:
        """Repeat what failed, ask who was silent, move on what stalls."""
        self._ticked = now
        self._sweep(now)
        effects: list[Effect] = []
        for peer, state in list(self._peers.items()):
            effects += self._announce(peer, now)
            if not state.asking and now - state.heard >= POLL_S:
                effects += self._ask(peer, now)
        return effects + self.download.tick(now)


def _is_on_any(entry: BlockNode, branches: Iterable[BlockNode]) -> bool:
    return any(is_on(entry, branch) for branch in branches)
