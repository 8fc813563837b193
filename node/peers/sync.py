"""Which chain the peers have: headers first, asked of several at once, and announcements both ways.

Headers are judged by the chainstate; bodies are `Download`'s part. A peer that is asked from a
locator answers with what follows on its own best chain; while full batches come, more is asked.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from chain.block import Header
from chain.errors import Invalid, Reject, Rejected
from chain.hashes import BlockHash
from chain.tree import Entry, locator
from node.chainstate import Chainstate
from node.peers.branches import between, is_on
from node.peers.download import Accept, Download, Punish
from node.peers.messages import ANNOUNCED_MAX, HEADERS_MAX, Announce, GetHeaders, Headers
from node.peers.requests import Requests
from node.ports import Effect, Failed, Link, PeerId

HEADERS_S = 20.0
"""Deadline of a request for headers."""
ANNOUNCE_S = 10.0
"""Deadline of an announcement."""
POLL_S = 30.0
"""A peer from which no header came for so long is asked: announcements can get lost."""
RETRY_S = 2.0
"""A failed announcement is repeated after so long."""
WALKS_MAX = 2
"""Peers from which long runs of headers are fetched at once; the others wait for their turn."""
BEHIND_BLOCKS = 24
"""With so many blocks still to connect, the node is catching up,"""
PROGRESS_S, PROGRESS_BLOCKS = 5.0, 5
"""if it really comes forward, so many blocks in such a time: headers alone, whose bodies nobody
delivers, must not keep it from transactions."""
BLAMELESS = frozenset({Reject.DUPLICATE_INVALID, Reject.BAD_PREV})
"""Headers on a branch that this node has ruled out, perhaps only by its operator's word."""


@dataclass(slots=True)
class _Peer:
    """What we know of a peer's chain, and it of ours."""

    best: Entry | None = None
    """The header with most work that it is known to have."""
    claimed: BlockHash | None = None
    """The tip that it told of, as long as we do not know this header."""
    told: Entry | None = None
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
    """When it was last asked for headers, or sent some."""
    quiet_until: float = 0.0
    """No announcement before."""

    def has(self, entry: Entry) -> None:
        """The peer has this header."""
        if self.best is None or self.best.invalid or entry.chainwork > self.best.chainwork:
            self.best = entry


class Sync:
    """Headers and announcements of all peers, and through `download` the bodies."""

    def __init__(
        self,
        chain: Chainstate,
        requests: Requests,
        link_of: Callable[[PeerId], Link | None],
        accept: Accept,
        punish: Punish,
    ) -> None:
        """`link_of` is how to send to a peer, `accept` takes bodies, `punish` drops a peer."""
        self._chain = chain
        self._requests = requests
        self._link_of = link_of
        self._punish = punish
        self._peers: dict[PeerId, _Peer] = {}
        self._walking: set[PeerId] = set()
        self._mark_at, self._mark_height, self._progress = 0.0, chain.tip.height, 0
        self.download = Download(chain, requests, link_of, self.best_of, accept, punish)

    @property
    def behind(self) -> bool:
        """True while the node is catching up: not the time for unconfirmed transactions."""
        tip = self._chain.tip
        progress = max(self._progress, tip.height - self._mark_height)
        return self._chain.tree.best_header.height - tip.height > BEHIND_BLOCKS and progress >= PROGRESS_BLOCKS

    def best_of(self, peer: PeerId) -> Entry | None:
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
        state = self._peers.setdefault(peer, _Peer())
        state.claimed = tip
        self.download.linked(peer)
        return self._ask(peer, now) + self._announce(peer, now)

    def left(self, peer: PeerId, now: float) -> list[Effect]:
        """A peer is gone: others take over what was asked of it."""
        self._peers.pop(peer, None)
        self._walking.discard(peer)
        self.download.left(peer)
        return self._next_walk(now) + self.download.pump(now)

    # --- headers -------------------------------------------------------------------------

    def serve(self, request: GetHeaders) -> Headers:
        """Our best chain's headers after the first hash of the locator that is on it."""
        tip, tree = self._chain.tip, self._chain.tree
        known = (tree.get(block_hash) for block_hash in request.locator)
        start = next((entry for entry in known if entry and is_on(entry, tip)), tree.genesis)
        top = tip.ancestor(min(tip.height, start.height + HEADERS_MAX))
        stop = tree.get(request.stop)
        if stop and start.height < stop.height and is_on(stop, top):
            top = stop
        return Headers(tuple(entry.header for entry in between(start, top)))

    def on_announce(self, peer: PeerId, announce: Announce, now: float) -> list[Effect]:
        """A peer has new blocks: fetch them from it at once, or its headers where a parent is unknown."""
        state = self._peers.setdefault(peer, _Peer())
        _, fault = self._enter(state, announce.headers, now)
        if fault is None:
            state.heard = now
            return self.download.pump(now)
        if fault.code == Reject.PREV_NOT_FOUND:
            state.claimed = announce.headers[-1].hash
            return self._ask(peer, now)
        return self._judge(peer, fault, now)

    def _ask(self, peer: PeerId, now: float, after: Entry | None = None) -> list[Effect]:
        """Ask for the headers behind `after`, or behind the best that we know."""
        state, link = self._peers[peer], self._link_of(peer)
        if link is None:
            return []
        if state.asking:
            state.again = True
            return []
        best = self._chain.tree.best_header
        start = after if after is not None and not is_on(after, best) else best
        state.asking, state.again, state.waiting, state.heard = True, False, False, now
        request = GetHeaders(tuple(locator(start)))
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
            last, fault = self._enter(state, reply.headers, now)
            if fault is not None:
                effects = self._judge(peer, fault, now)
            elif last is not None and len(reply.headers) == HEADERS_MAX:
                effects = self._walk(peer, last, now)
        if state.again and peer in self._peers:
            effects += self._ask(peer, now)
        return effects + self._next_walk(now) + self.download.pump(now)

    def _enter(self, state: _Peer, headers: Iterable[Header], now: float) -> tuple[Entry | None, Rejected | None]:
        """Put headers into the tree, up to the first that is not accepted."""
        last = None
        try:
            for header in headers:
                last = self._chain.submit_header(header, int(now))
        except Rejected as fault:
            return last, fault
        finally:
            if last is not None:
                state.has(last)
        return last, None

    def _judge(self, peer: PeerId, fault: Rejected, now: float) -> list[Effect]:
        if not isinstance(fault, Invalid) or fault.code in BLAMELESS:
            return []
        return self._punish(peer, f"sent an invalid header: {fault}", now)

    def _walk(self, peer: PeerId, last: Entry, now: float) -> list[Effect]:
        """A full batch came: ask for the next, if it is this peer's turn."""
        if len(self._walking) >= WALKS_MAX:
            self._peers[peer].waiting = True
            return []
        self._walking.add(peer)
        return self._ask(peer, now, last)

    def _next_walk(self, now: float) -> list[Effect]:
        """Let peers that wait take places that have become free."""
        effects: list[Effect] = []
        for peer, state in self._peers.items():
            if state.waiting and len(self._walking) < WALKS_MAX and self._link_of(peer):
                self._walking.add(peer)
                effects += self._ask(peer, now, state.best)
        return effects

    # --- announcements -------------------------------------------------------------------

    def on_tip(self, now: float) -> list[Effect]:
        """Our tip has changed: tell every peer that does not know it."""
        announced = [effect for peer in self._peers for effect in self._announce(peer, now)]
        return announced + self.download.pump(now)

    def _announce(self, peer: PeerId, now: float) -> list[Effect]:
        """Tell a peer of our tip: the headers that it lacks, or the last one if these are many."""
        state, link, tip = self._peers[peer], self._link_of(peer), self._chain.tip
        branches = [branch for branch in (self.best_of(peer), state.told, self._chain.tree.genesis) if branch]
        if link is None or state.announcing or now < state.quiet_until or _is_on_any(tip, branches):
            return []
        headers, entry = [tip.header], tip.parent
        while len(headers) < ANNOUNCED_MAX and entry is not None and not _is_on_any(entry, branches):
            headers.append(entry.header)
            entry = entry.parent
        if entry is not None and not _is_on_any(entry, branches):
            headers = headers[:1]  # it will ask for the others
        state.announcing, state.told = True, tip
        request = Announce(tuple(reversed(headers)))
        return [self._requests.send(link, request, now, ANNOUNCE_S, partial(self._on_announced, peer))]

    def _on_announced(self, peer: PeerId, reply: Any, now: float) -> list[Effect]:
        state = self._peers.get(peer)
        if state is None:
            return []
        state.announcing = False
        if isinstance(reply, Failed):
            state.told, state.quiet_until = None, now + RETRY_S
        return self._announce(peer, now)

    # --- time ----------------------------------------------------------------------------

    def tick(self, now: float) -> list[Effect]:
        """Repeat what failed, ask who was silent, move on what stalls."""
        if now >= self._mark_at + PROGRESS_S:
            height = self._chain.tip.height
            self._mark_at, self._mark_height, self._progress = now, height, height - self._mark_height
        effects: list[Effect] = []
        for peer, state in list(self._peers.items()):
            effects += self._announce(peer, now)
            if not state.asking and now - state.heard >= POLL_S:
                effects += self._ask(peer, now)
        return effects + self.download.tick(now)


def _is_on_any(entry: Entry, branches: Iterable[Entry]) -> bool:
    return any(is_on(entry, branch) for branch in branches)
