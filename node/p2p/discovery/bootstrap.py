"""The first way into a network: endpoints that the operator names, dialled to begin with.

Unlike a peer that is to be kept, such a node is one like any other once it has answered. It is
dialled again while we are alone, and now and then while we could do with more peers: two networks
that grew apart from one list of such endpoints meet there.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from node.interface.endpoint import Endpoint, PeerId
from node.p2p.discovery.base import DiscoveryContext, NoDiscovery

FIRST_S, MOST_S, MOST_LOCAL_S = 1.0, 600.0, 10.0
"""Wait after the first attempt, doubling up to the second, or to the third where `allow_local` holds."""
ALONE_S, ALONE_LOCAL_S = 30.0, 3.0
"""Wait before an endpoint that has answered once is dialled again because we are alone."""
MEET_S, MEET_LOCAL_S = 1800.0, 60.0
"""The same because there is room for more peers."""


@dataclass(slots=True)
class _Seed:
    """An endpoint to begin with."""

    next_try: float = 0.0
    tries: int = 0
    """Since it last answered."""
    answered: bool = False
    """Ever."""


class Bootstrap(NoDiscovery):
    """Dials what the operator named."""

    def __init__(self, endpoints: Iterable[Endpoint], context: DiscoveryContext) -> None:
        self._context = context
        self._seeds = {endpoint: _Seed() for endpoint in endpoints}

    def linked(self, peer: PeerId, endpoint: Endpoint, now: float) -> None:
        """Note a link, perhaps with one of the nodes to begin with."""
        if seed := self._seeds.get(endpoint):
            seed.answered, seed.tries = True, 0
            seed.next_try = now + (MEET_LOCAL_S if self._context.allow_local else MEET_S)

    def left(self, peer: PeerId, now: float) -> None:
        """Dial bootstrap nodes again when no peer is left, soon but not at once: it may have had a reason."""
        if any(link.peer != peer for link in self._context.links()):
            return
        wait_s = ALONE_LOCAL_S if self._context.allow_local else ALONE_S
        for seed in self._seeds.values():
            seed.next_try = min(seed.next_try, now + wait_s)

    def tick(self, now: float) -> None:
        """Dial who is due: all that never answered, the others while there is room."""
        for endpoint, seed in self._seeds.items():
            if now < seed.next_try or (seed.answered and not self._context.wants_more()):
                continue
            most_s = MOST_LOCAL_S if self._context.allow_local else MOST_S
            seed.next_try = now + min(most_s, FIRST_S * 2 ** min(seed.tries, 16)) * self._context.rng.uniform(
                0.75, 1.25
            )
            seed.tries += 1
            if not any(link.endpoint == endpoint for link in self._context.links()):
                self._context.try_once(endpoint)
