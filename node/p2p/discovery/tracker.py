"""The centralised model: one node that introduces others to each other, and does nothing else.

It takes no part in the chain, dials nobody but those that come to it (to prove where they listen),
tells everyone of the others, and ends the link again. Nodes come with `--bootstrap`, and need to know
nothing of it: to them it is a peer that has addresses and no blocks.
"""

from collections import OrderedDict

from node.interface.disconnect_reason import DisconnectReason
from node.interface.endpoint import Endpoint, PeerId
from node.interface.messages import (
    ADDRESSES_MAX,
    Addresses,
    Announce,
    AnnounceAddress,
    Blocks,
    CompactBlock,
    FindNode,
    GetAddresses,
    GetBlockTxs,
    GetCompact,
    GetHeaders,
    GetTxs,
    Headers,
    Inv,
    Neighbour,
    News,
    Nodes,
    Ok,
    Poll,
    Prefer,
    Reply,
    Request,
    Txs,
    Want,
)
from node.p2p.addrman.net_address import is_dialable
from node.p2p.discovery.base import DiscoveryContext, NoDiscovery
from node.p2p.discovery.kad_buckets import K, distance

TRACKED_MAX = 2_000
"""Nodes remembered; beyond, who came first is forgotten."""
TRACKED_S = 3_600.0
"""Seconds that an endpoint is kept: who wants to be found comes again."""
STAY_S, STAY_LOCAL_S = 60.0, 5.0
"""Seconds that a link is kept, on ordinary networks and where `allow_local` holds."""


class Tracker(NoDiscovery):
    """Knows who came, and tells who asks."""

    def __init__(self, context: DiscoveryContext) -> None:
        self._context = context
        self._stay_s = STAY_LOCAL_S if context.allow_local else STAY_S
        self._met: OrderedDict[PeerId, tuple[Endpoint, float]] = OrderedDict()
        self._until: dict[PeerId, float] = {}

    def linked(self, peer: PeerId, endpoint: Endpoint, now: float) -> None:
        """Keep a peer for a while."""
        self._until[peer] = now + self._stay_s

    def left(self, peer: PeerId, now: float) -> None:
        """Note that a peer is gone; its endpoint is remembered."""
        self._until.pop(peer, None)

    def proved(self, peer: PeerId, endpoint: Endpoint, now: float) -> None:
        """Remember a node to tell others of."""
        if is_dialable(endpoint, self._context.allow_local):
            self._met[peer] = endpoint, now + TRACKED_S
            self._met.move_to_end(peer)
            if len(self._met) > TRACKED_MAX:
                self._met.popitem(last=False)

    def serve(self, peer: PeerId, request: Request, now: float) -> Reply | None:
        """Introduce; all that concerns the chain has the answer of somebody who has none."""
        match request:
            case GetAddresses():
                others = self._others(peer, now)
                chosen = self._context.rng.sample(others, min(ADDRESSES_MAX, len(others)))
                return Addresses(tuple(dict.fromkeys(neighbour.endpoint for neighbour in chosen)))
            case FindNode(target):
                ranked = sorted(self._others(peer, now), key=lambda neighbour: distance(neighbour.id, target))
                return Nodes(tuple(ranked[:K]))
            case AnnounceAddress() | Announce() | Blocks() | CompactBlock() | GetCompact() | GetBlockTxs() | Prefer():
                return Ok()
            case Poll():
                return News((), ())
            case GetHeaders():
                return Headers(())
            case Inv() | Txs():
                return Want(())
            case GetTxs():
                return Txs(())
        return None

    def tick(self, now: float) -> None:
        """Let go who has been here for long enough."""
        over = [peer for peer, until in self._until.items() if until <= now]
        for peer in over:
            self._context.drop(peer, DisconnectReason.INTRODUCED, now)

    def _others(self, peer: PeerId, now: float) -> list[Neighbour]:
        """All that came lately, but for one."""
        while self._met and next(iter(self._met.values()))[1] < now:
            self._met.popitem(last=False)
        return [Neighbour(node, endpoint) for node, (endpoint, _) in self._met.items() if node != peer]
