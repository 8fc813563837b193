"""Roles of a node: the services that an operator can choose, and what each tells its peers.

|        | blocks             | headers            | relays transactions and blocks |
|--------|--------------------|--------------------|--------------------------------|
| full   | all                | all                | yes                            |
| pruned | the newest 288     | all                | yes                            |
| relay  | the newest 16      | 288 in one answer  | yes                            |
| light  | none, takes none   | all                | no                             |
"""

from enum import Enum

from chain.blocktree import BlockNode
from node.interface.messages import MINES, RELAYS, SERVES_BLOCKS, SERVES_HEADERS, SERVES_RECENT

RECENT_BLOCKS = 288
"""The newest, of which a pruned node has the bodies (as BIP159); what is deeper is bulk."""
RELAYED_BLOCKS = 16
"""The newest, that whoever relays blocks has: enough for whoever has missed a few."""
MARGIN_BLOCKS = 2
"""Blocks that a peer's tip may have moved on since it last told us: so many less are asked for."""


class Role(Enum):
    """Role of a node, chosen by its operator."""

    FULL = "full"
    PRUNED = "pruned"
    RELAY = "relay"
    LIGHT = "light"

    def services(self, *, mines: bool = False) -> int:
        """The bits of the handshake that say so."""
        return _SERVICES[self] | (MINES if mines else 0)

    @property
    def depth(self) -> int | None:
        """Number of the newest blocks it serves; None for all."""
        return _DEPTHS[self]


_SERVICES = {
    Role.FULL: SERVES_BLOCKS,
    Role.PRUNED: SERVES_RECENT | RELAYS | SERVES_HEADERS,
    Role.RELAY: RELAYS,
    Role.LIGHT: SERVES_HEADERS,
}
_DEPTHS = {Role.FULL: None, Role.PRUNED: RECENT_BLOCKS, Role.RELAY: RELAYED_BLOCKS, Role.LIGHT: 0}


def offers(services: int, bit: int) -> bool:
    """True if a node with these services does what `bit` says: who has every block does everything."""
    return bool(services & (bit | SERVES_BLOCKS))


def role_of(services: int) -> Role:
    """The role that these services come to."""
    if services & SERVES_BLOCKS:
        return Role.FULL
    if services & SERVES_RECENT:
        return Role.PRUNED
    return Role.RELAY if services & RELAYS else Role.LIGHT


def should_have(services: int, best: BlockNode | None, entry: BlockNode) -> bool:
    """True if a node with these services, whose best header is `best`, says that it has this block."""
    depth = role_of(services).depth
    if depth is None:
        return True
    return best is not None and best.height - entry.height < depth - MARGIN_BLOCKS
