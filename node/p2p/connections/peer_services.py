"""Services: what each peer has to offer, by what it said of itself, and what passes between it and us."""

from chain.blocktree import BlockNode
from node.chainstate.chainstate import Chainstate
from node.interface.endpoint import PeerId
from node.interface.messages import RELAYS, SERVES_HEADERS
from node.p2p.connections.connection_manager import ConnectionManager
from node.p2p.scoring.service_flags import RECENT_BLOCKS, Role, offers, should_have


class PeerServices:
    """Services of peers; of one that is not known, everything."""

    def __init__(self, connections: ConnectionManager, chain: Chainstate, role: Role) -> None:
        """`role` is our own."""
        self._connections = connections
        self._chain = chain
        self.takes_bodies = role is not Role.LIGHT
        """False: only headers are wanted, and told of."""

    @property
    def top(self) -> BlockNode:
        """The end of the chain that we tell of: the tip, or where no bodies are taken the best header."""
        return self._chain.tip if self.takes_bodies else self._chain.tree.best_header

    def has_headers(self, peer: PeerId) -> bool:
        """True if a peer gives as many headers as we may lack of its chain."""
        found = self._connections.get(peer)
        if found is None or offers(found.facts.services, SERVES_HEADERS):
            return True
        return found.facts.height - self._chain.tree.best_header.height <= RECENT_BLOCKS

    def has_block(self, peer: PeerId, best: BlockNode | None, entry: BlockNode) -> bool:
        """True if a peer whose best header is `best` says that it has this block of its branch."""
        found = self._connections.get(peer)
        return found is None or should_have(found.facts.services, best, entry)

    def relays_with(self, peer: PeerId) -> bool:
        """True if both of us take part in relaying transactions."""
        found = self._connections.get(peer)
        if not self.takes_bodies or found is None or found.blocks_only:
            return False
        return offers(found.facts.services, RELAYS)

    def is_for_blocks_only(self, peer: PeerId) -> bool:
        """True if neither transactions nor addresses go between us."""
        found = self._connections.get(peer)
        return found is not None and found.blocks_only
