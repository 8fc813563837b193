"""Terms of requests: what each peer may be asked for, and callbacks for how it answered."""

from collections.abc import Callable
from dataclasses import dataclass

from chain.blocktree import BlockNode
from node.interface.endpoint import PeerId
from node.p2p.scoring.peer_score import PeerEvent


def _all(*_: object) -> bool:
    return True


def _nobody(peer: PeerId, deed: PeerEvent, now: float) -> None:
    pass


@dataclass(frozen=True, slots=True)
class PeerServices:
    """Services that peers offer; without any known, everything of everybody."""

    takes_bodies: bool = True
    """False: only headers are wanted, and told of."""
    has_headers: Callable[[PeerId], bool] = _all
    """True if a peer says that it has those that we lack."""
    has_block: Callable[[PeerId, BlockNode], bool] = _all
    """True if a peer says that it has this block, if it is on its branch."""
    note: Callable[[PeerId, PeerEvent, float], None] = _nobody
    """Told what a peer did."""


EVERYTHING = PeerServices()
