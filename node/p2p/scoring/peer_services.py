"""Terms of requests: what each peer may be asked for, and callbacks for how it answered."""

from collections.abc import Callable
from dataclasses import dataclass

from chain.blocktree import Entry
from node.interface.effects import PeerId
from node.p2p.scoring.peer_score import Deed


def _all(*_: object) -> bool:
    return True


def _nobody(peer: PeerId, deed: Deed, now: float) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Terms:
    """As the peers' services say; without any, everything of everybody."""

    takes_bodies: bool = True
    """False: only headers are wanted, and told of."""
    has_headers: Callable[[PeerId], bool] = _all
    """True if a peer says that it has those that we lack."""
    has_block: Callable[[PeerId, Entry], bool] = _all
    """True if a peer says that it has this block, if it is on its branch."""
    note: Callable[[PeerId, Deed, float], None] = _nobody
    """Told what a peer did."""


EVERYTHING = Terms()
