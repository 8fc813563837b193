"""Peers' chains as far as they are known here, and ours as far as the peers know it."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from chain.blocktree import BlockNode, BlockTree
from chain.hashes import BlockHash
from node.interface.endpoint import PeerId


class HeadersRequest(Enum):
    """The state of asking one peer for its headers.

           asked               there is something new
     IDLE ---------> ASKING ----------------------------> ASKING_AGAIN
      ^               | | ^ ^                                  |
      '--- answered --' | | '------ answered, asked anew ------'
                        | |
    answered with a     | |  its turn has come,
    full batch          v |  or there is something new
                      WAITING
    """

    IDLE = "idle"
    """Nothing is under way."""
    ASKING = "asking"
    """A request is under way."""
    ASKING_AGAIN = "asking again"
    """A request is under way, and when it is answered another is to follow: there is something new."""
    WAITING = "waiting"
    """It has more headers, and waits for its turn: long runs come from a few peers at once."""

    @property
    def is_under_way(self) -> bool:
        """True if an answer is to come."""
        return self in (HeadersRequest.ASKING, HeadersRequest.ASKING_AGAIN)


@dataclass(slots=True)
class HeaderPeer:
    """One peer's chain, and what it was told of ours."""

    best: BlockNode | None = None
    """The header with most work that it is known to have."""
    claimed: BlockHash | None = None
    """The tip that it told of, as long as we do not know this header."""
    told: BlockNode | None = None
    """The tip that we last told it of."""
    request: HeadersRequest = HeadersRequest.IDLE
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


class HeaderPeers:
    """All peers with which headers are exchanged, in order of arrival."""

    def __init__(self, tree: BlockTree) -> None:
        self._tree = tree
        self._peers: dict[PeerId, HeaderPeer] = {}

    def __iter__(self) -> Iterator[PeerId]:
        return iter(self._peers)

    def __contains__(self, peer: PeerId) -> bool:
        return peer in self._peers

    def __getitem__(self, peer: PeerId) -> HeaderPeer:
        return self._peers[peer]

    def items(self) -> Iterator[tuple[PeerId, HeaderPeer]]:
        """Peers with their states; they may come and go meanwhile."""
        return iter(list(self._peers.items()))

    def get(self, peer: PeerId) -> HeaderPeer | None:
        """A peer that has not left."""
        return self._peers.get(peer)

    def add(self, peer: PeerId) -> HeaderPeer:
        """A peer, perhaps a new one."""
        return self._peers.setdefault(peer, HeaderPeer())

    def left(self, peer: PeerId) -> None:
        """Forget a peer that is gone."""
        self._peers.pop(peer, None)

    def best_of(self, peer: PeerId) -> BlockNode | None:
        """The header with most work that a peer is known to have."""
        state = self._peers.get(peer)
        if state is None:
            return None
        # Whoever brought the header that it claims, it can be asked for the block from then on.
        if state.claimed and (entry := self._tree.get(state.claimed)):
            state.claimed = None
            state.has(entry)
        return state.best
