"""Addresses by hearsay: asked of peers, and passed on unasked when they are news.

Only what this node has proved itself is told, so a forged address ends with whom it was told to.
How much is told, and how much is believed of one source, is the address book's part.
"""

from node.interface.bounded import BoundedSet
from node.interface.effects import PeerReply
from node.interface.endpoint import Endpoint, PeerId
from node.interface.messages import PUSHED_MAX, Addresses, AnnounceAddress, GetAddresses, Ok, Reply, Request
from node.p2p.addrman.dial_budget import Rate
from node.p2p.addrman.net_address import is_dialable
from node.p2p.discovery.base import DiscoveryContext, NoDiscovery

ADDRESSES_S = 20.0
"""Deadline of a request about addresses."""
ASK_EVERY_S, ASK_EVERY_LOCAL_S = 60.0, 5.0
"""Seconds between two requests for addresses while we want more peers, on ordinary networks and where
`allow_local` holds."""
FANOUT = 3
"""Peers that hear of a newly proved endpoint from us."""
PUSH_EVERY_S, PUSH_EVERY_LOCAL_S = 30.0, 0.5
"""Seconds between two rounds of telling news; all news of one round go to the same peers."""
TOLD_MAX = 1_000
"""Endpoints remembered as told; what is forgotten is told again when it is proved again."""
ACCEPTED, ACCEPTED_LOCAL = Rate(10, 0.1), Rate(100, 10)
"""Unasked endpoints taken from one peer; more are ignored."""
TELLERS_MAX = 256
"""Peers whose telling is counted; beyond, who told nothing for longest is forgotten."""


class Gossip(NoDiscovery):
    """Asks, answers, passes on."""

    def __init__(self, context: DiscoveryContext) -> None:
        local = context.allow_local
        self._context = context
        self._ask_every_s = ASK_EVERY_LOCAL_S if local else ASK_EVERY_S
        self._push_every_s = PUSH_EVERY_LOCAL_S if local else PUSH_EVERY_S
        self._accepted = (ACCEPTED_LOCAL if local else ACCEPTED).allowances(TELLERS_MAX)
        self._ask_at = 0.0
        self._push_at = 0.0
        self._told: BoundedSet[Endpoint] = BoundedSet(TOLD_MAX)
        self._news: list[tuple[PeerId, Endpoint]] = []

    def linked(self, peer: PeerId, endpoint: Endpoint, now: float) -> None:
        """A new peer is the first to be asked."""
        self._ask(peer, now)

    def proved(self, peer: PeerId, endpoint: Endpoint, now: float) -> None:
        """News, if it was not told lately. What does not fit into one message waits for no other."""
        is_news = endpoint not in self._told and all(endpoint != other for _, other in self._news)
        if is_news and is_dialable(endpoint, self._context.allow_local):
            self._news = [*self._news, (peer, endpoint)][-PUSHED_MAX:]

    def serve(self, peer: PeerId, request: Request, now: float) -> Reply | None:
        """Tell who asks, and hear who tells."""
        if isinstance(request, GetAddresses):
            return Addresses(self._context.sample(peer, now))
        if isinstance(request, AnnounceAddress):
            self._hear(peer, request.endpoints, now)
            return Ok()
        return None

    def tick(self, now: float) -> None:
        """Tell the news; ask somebody while we want more peers."""
        self._push(now)
        self._ask_somebody(now)

    def _ask_somebody(self, now: float) -> None:
        if now < self._ask_at or not self._context.wants_more() or not (links := self._context.links()):
            return
        self._ask_at = now + self._ask_every_s
        self._ask(self._context.rng.choice(links).peer, now)

    def _ask(self, peer: PeerId, now: float) -> None:
        link = self._context.link(peer)
        if link is None:
            return

        def then(reply: PeerReply, now: float) -> None:
            if isinstance(reply, Addresses):
                self._context.heard(reply.endpoints, link.endpoint, now)

        self._context.ask(link, GetAddresses(), now, ADDRESSES_S, then)

    def _hear(self, peer: PeerId, endpoints: tuple[Endpoint, ...], now: float) -> None:
        """Take endpoints told unasked: as many as the teller may tell."""
        taken = endpoints[: self._accepted.take(peer, len(endpoints), now)]
        self._context.heard(taken, self._context.endpoint(peer), now)

    def _push(self, now: float) -> None:
        """Tell a few peers what was proved since the last round."""
        if not self._news or now < self._push_at:
            return
        self._push_at = now + self._push_every_s
        news, self._news = self._news, []
        self._told.update(endpoint for _, endpoint in news)
        links = self._context.links()
        chosen = self._context.rng.sample(links, min(FANOUT, len(links)))
        for link in chosen:
            endpoints = tuple(dict.fromkeys(endpoint for peer, endpoint in news if peer != link.peer))
            if endpoints:
                message = AnnounceAddress(endpoints)
                self._context.ask(link, message, now, ADDRESSES_S, lambda reply, now: None)
