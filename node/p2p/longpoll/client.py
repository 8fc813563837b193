"""Long polls of peers that cannot reach us: one Poll is kept open to each of them.

Who is behind a NAT need not know it: a peer that we greeted and that has not greeted us back after
a moment cannot announce anything to us, for whatever reason, and so is asked.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from chain.hashes import BlockHash
from node.chainstate.chainstate import Chainstate
from node.interface.effects import PeerReply
from node.interface.endpoint import PeerId
from node.interface.messages import Blocks, GetBlocks, News, Poll
from node.p2p.connections.connection_manager import ConnectionManager
from node.p2p.connections.pending_requests import PendingRequests
from node.p2p.longpoll.server import HELD_S, NOTHING
from node.p2p.scoring.block_serving import pack

DIAL_BACK_S = 3.0
"""Time for a peer to dial back; one that was told of no listener is polled at once."""
TRAVEL_S = 10.0
"""A Poll may take so much longer than it is held."""
LEAST_S = 0.1
"""Seconds between two polls of a peer, however much it has to say."""
SHORT_S = 5.0
"""The same after one that was sent away early with nothing: the peer holds as many as it can."""
RETRY_S = 2.0
"""The wait after one that failed."""
PUSH_S = 60.0
"""Deadline of a push of blocks."""

Take = Callable[[PeerId, News, float], None]
"""Takes what a peer has told us."""


@dataclass(slots=True)
class _Asked:
    """A peer that we have a link with."""

    next_at: float
    """Time before which no Poll is sent."""
    received: int = 0
    """The number of the last Poll that brought an answer."""
    is_open: bool = False
    is_pushing: bool = False
    named: tuple[BlockHash, ...] = ()
    """The blocks it wants pushed after that: its next wish may overtake the answer to our push."""


class LongpollClient:
    """All peers to be polled."""

    def __init__(
        self,
        requests: PendingRequests,
        connections: ConnectionManager,
        chain: Chainstate,
        take: Take,
        is_listed: bool,
    ) -> None:
        """`is_listed` if peers are told where to dial us."""
        self._requests = requests
        self._connections = connections
        self._chain = chain
        self._take = take
        self._patience_s = DIAL_BACK_S if is_listed else 0.0
        self._peers: dict[PeerId, _Asked] = {}
        self._last_number = 0

    def linked(self, peer: PeerId, now: float) -> None:
        """Poll a peer from now on, unless it reaches us by itself."""
        self._peers[peer] = _Asked(now + self._patience_s)

    def left(self, peer: PeerId) -> None:
        """Forget a peer that is gone."""
        self._peers.pop(peer, None)

    def tick(self, now: float) -> None:
        """Open what polls are due."""
        for peer in self._peers:
            self._poll(peer, now)

    def _poll(self, peer: PeerId, now: float) -> None:
        state, link = self._peers[peer], self._connections.link(peer)
        if state.is_open or now < state.next_at or link is None or self._connections.reaches_us(peer):
            return
        self._last_number += 1
        state.is_open, state.next_at = True, now + LEAST_S
        then = partial(self._on_news, peer, state, self._last_number, now)
        request = Poll(self._last_number, state.received)
        self._requests.send(link, request, now, HELD_S + TRAVEL_S, then)

    def _on_news(self, peer: PeerId, state: _Asked, number: int, asked: float, reply: PeerReply, now: float) -> None:
        """The answer, or none; and the next Poll."""
        state.is_open = False
        if self._peers.get(peer) is not state:
            return  # it left and came back meanwhile
        if not isinstance(reply, News):
            state.next_at = now + RETRY_S
            return
        state.received = number
        if reply == NOTHING:
            state.next_at = max(state.next_at, asked + SHORT_S)
        self._poll(peer, now)
        self._push(peer, state, reply.blocks, now)
        self._take(peer, reply, now)

    def _push(self, peer: PeerId, state: _Asked, hashes: tuple[BlockHash, ...], now: float) -> None:
        """Push blocks that the peer lacks, of those that we have; one message at a time."""
        link = self._connections.link(peer)
        if state.is_pushing:
            state.named = hashes or state.named
            return
        if not hashes or link is None:
            return
        raws = tuple(raw for raw in pack(GetBlocks(hashes), self._chain.raw_block).raws if raw)
        if not raws:
            return
        state.is_pushing = True
        self._requests.send(link, Blocks(raws), now, PUSH_S, partial(self._on_pushed, peer, state))

    def _on_pushed(self, peer: PeerId, state: _Asked, reply: PeerReply, now: float) -> None:
        named, state.named, state.is_pushing = state.named, (), False
        if self._peers.get(peer) is state:
            self._push(peer, state, named, now)
