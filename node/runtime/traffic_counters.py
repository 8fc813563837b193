"""Traffic by peer and route: bytes of the bodies of messages, HTTP's own lines left out.

Counting must cost the threads that carry messages next to nothing, and no lock: each appends one
note, and one thread adds them up from time to time.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from node.interface.endpoint import PeerId

NOTES_MAX = 65_536
"""Messages not added up yet; beyond, the oldest are not counted."""
PEERS_MAX = 512
"""Peers counted, several times as many as there can be at once; beyond, the oldest is forgotten."""
ID_SIZE = 20
"""Bytes of a peer's id; a session's token is shorter."""


class Volume(NamedTuple):
    """Messages and bytes carried."""

    messages: int = 0
    """Requests, each with its reply."""
    sent: int = 0
    """Bytes."""
    received: int = 0
    """Bytes."""

    def plus(self, sent: int, received: int) -> "Volume":
        """Count one more message."""
        return Volume(self.messages + 1, self.sent + sent, self.received + received)


NONE = Volume()


class TrafficCounters:
    """Sums by peer and by route. `settle` is for one thread; the rest is for any."""

    def __init__(self) -> None:
        self._notes: deque[tuple[bytes | None, str, int, int, bool]] = deque(maxlen=NOTES_MAX)
        self._peers: dict[PeerId, Volume] = {}
        self._routes: dict[tuple[str, bool], Volume] = {}

    def note(self, who: bytes | None, route: str, sent: int, received: int, ours: bool = False) -> None:
        """A message was carried: to or from a peer, named by its id or a token that we gave it, or
        somebody else (None). `route` is one of ours, never what a stranger made up; `ours` if we asked."""
        self._notes.append((who, route, sent, received, ours))

    def settle(self, peer_of: Callable[[bytes], PeerId | None]) -> None:
        """Add up what was noted. `peer_of` tells whose session a token is."""
        for _ in range(len(self._notes)):
            who, route, sent, received, ours = self._notes.popleft()
            self._routes[route, ours] = self._routes.get((route, ours), NONE).plus(sent, received)
            peer = PeerId(who) if who and len(who) == ID_SIZE else peer_of(who) if who else None
            if peer:
                self._peers[peer] = self._peers.get(peer, NONE).plus(sent, received)
                if len(self._peers) > PEERS_MAX:
                    self._peers.pop(next(iter(self._peers)), None)

    def forget(self, peer: PeerId) -> None:
        """A peer is gone; if it comes back it begins anew."""
        self._peers.pop(peer, None)

    def of(self, peer: PeerId) -> Volume:
        """Traffic with a peer since it came, up to the last `settle`."""
        return self._peers.get(peer, NONE)

    def exchanges(self) -> dict[tuple[str, bool], Volume]:
        """Traffic with all peers since the start, by route and by whether we were the ones to ask."""
        return self._routes.copy()

    def routes(self) -> dict[str, Volume]:
        """Traffic by route alone."""
        found: dict[str, Volume] = {}
        for (route, _), volume in self.exchanges().items():
            before = found.get(route, NONE)
            found[route] = Volume(*(one + other for one, other in zip(before, volume, strict=True)))
        return found
