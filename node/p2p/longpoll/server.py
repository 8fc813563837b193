"""Long polls by peers that we cannot reach: held until there is something to tell, one for each peer.

What a Poll brings may be lost on its way: it counts as told when the peer's next Poll says that it
has arrived, else it is told again.
"""

from dataclasses import dataclass

from chain.hashes import Wtxid
from node.interface.effects import Park, Publish
from node.interface.endpoint import PeerId
from node.interface.messages import News, Poll
from node.interface.outbox import Outbox
from node.p2p.block_sync.header_announce import HeaderAnnounce
from node.p2p.connections.connection_manager import ConnectionManager
from node.p2p.longpoll.pushed_blocks import PushedBlocks
from node.p2p.tx_relay.tx_announce import TxAnnounce

HELD_S = 25.0
"""A Poll is answered after so long in any case: sooner than proxies and NAT tables forget it."""
SLACK_S = 0.5
"""The caller is woken so much later than that, so that clocks cannot disagree about who is first."""
OPEN_MAX = 40
"""Polls held at once, each of which holds a thread: fewer than the runtime has seats for peers'
waiting requests. One more is answered at once; its sender comes again from time to time."""
NOTHING = News((), ())


@dataclass(slots=True)
class _Caller:
    """A peer that polls."""

    number: int = 0
    """The highest of its polls."""
    open: Poll | None = None
    """The poll that is held."""
    until: float = 0.0
    """Time when that is answered in any case."""
    told_in: int = 0
    """The number of the last Poll that brought something of which we do not know that it arrived."""
    wtxids: tuple[Wtxid, ...] = ()
    """The transactions that the last answer brought."""


class LongpollServer:
    """All peers that poll."""

    def __init__(
        self,
        outbox: Outbox,
        connections: ConnectionManager,
        headers: HeaderAnnounce,
        txs: TxAnnounce,
        pushed: PushedBlocks,
    ) -> None:
        """A poll brings what `headers` and `txs` announce, and names the blocks to be `pushed`."""
        self._outbox = outbox
        self._connections = connections
        self._headers = headers
        self._txs = txs
        self._pushed = pushed
        self._callers: dict[PeerId, _Caller] = {}

    def on_poll(self, peer: PeerId, poll: Poll, now: float) -> News | Park:
        """The answer to a Poll, or to wait; asked again with the very same `poll` after that."""
        if self._connections.link(peer):
            return NOTHING  # it is told without asking
        caller = self._callers.get(peer)
        if caller is None:
            caller = self._callers[peer] = _Caller()
            self._headers.polled(peer, self._connections[peer].facts.tip)
            self._txs.polled(peer)
        if poll is not caller.open:
            if poll.number <= caller.number:
                return NOTHING  # a newer one has taken its place
            self._open(peer, caller, poll, now)
        news = self._gather(peer, caller, now)
        if news == NOTHING and now < caller.until:
            return Park(_topic(peer), caller.until + SLACK_S)
        caller.open = None
        return news

    def _open(self, peer: PeerId, caller: _Caller, poll: Poll, now: float) -> None:
        """A new Poll; the one before ends, and what that or an earlier one brought has arrived or not."""
        if caller.open:
            self._ring(peer)
        caller.open = None
        held = sum(1 for other in self._callers.values() if other.open)
        caller.number, caller.open = poll.number, poll
        caller.until = now + HELD_S if held < OPEN_MAX else now
        if caller.told_in and poll.received == caller.told_in:
            self._headers.news_arrived(peer)
            self._txs.news_arrived(peer, caller.wtxids)
        elif caller.told_in:
            self._lost(peer, caller)
        caller.told_in, caller.wtxids = 0, ()

    def _lost(self, peer: PeerId, caller: _Caller) -> None:
        self._headers.news_lost(peer)
        self._txs.news_lost(peer, caller.wtxids)

    def _gather(self, peer: PeerId, caller: _Caller, now: float) -> News:
        """Gather the news for a peer."""
        news = News(self._headers.take_news(peer), self._txs.take_news(peer, now), self._pushed.take(peer, now))
        if news != NOTHING:
            caller.told_in, caller.wtxids = caller.number, news.wtxids
        return news

    def _ring(self, peer: PeerId) -> None:
        """Have whoever waits for a peer ask again."""
        self._outbox.add(Publish(_topic(peer)))

    def linked(self, peer: PeerId) -> None:
        """We can send to a peer now: of what it may not have heard it is told that way."""
        caller = self._callers.get(peer)
        if caller and caller.told_in:
            self._lost(peer, caller)
        self.left(peer)

    def left(self, peer: PeerId) -> None:
        """A peer is gone; whoever still asks for it is sent away."""
        self._pushed.left(peer)
        caller = self._callers.pop(peer, None)
        if caller and caller.open:
            self._ring(peer)

    def on_tip(self) -> None:
        """The tip has changed: whoever does not know it is told."""
        for peer, caller in self._callers.items():
            if caller.open and self._headers.has_news(peer):
                self._ring(peer)

    def tick(self, now: float) -> None:
        """Answer where transactions are due, or blocks to be named."""
        for peer, caller in self._callers.items():
            if caller.open and (self._txs.is_news_due(peer, now) or self._pushed.is_due(peer, now)):
                self._ring(peer)


def _topic(peer: PeerId) -> str:
    return f"poll:{peer.hex()}"
