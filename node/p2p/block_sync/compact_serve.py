"""Compact blocks for peers: the forms of the last blocks, and who gets new ones unasked."""

import random
from collections import OrderedDict

from chain.block import Block
from chain.blocktree import BlockNode, is_on
from chain.hashes import BlockHash
from node.chainstate.chainstate import Chainstate
from node.interface.endpoint import PeerId
from node.interface.messages import SALT_SIZE, BlockTxs, CompactBlock, GetBlockTxs, GetCompact, Ok
from node.p2p.block_sync.compact_block import shorten

DEPTH_MAX = 10
"""Blocks below the tip that are served in parts; older ones have to be asked for whole."""
FORMS_MAX = 4
"""Blocks kept with their forms: connected not long ago, or about to be."""


class CompactServe:
    """The serving of compact blocks and their transactions to peers."""

    def __init__(self, chain: Chainstate, rng: random.Random) -> None:
        self._chain = chain
        self._rng = rng
        self._forms: OrderedDict[BlockHash, tuple[Block, CompactBlock | None]] = OrderedDict()
        self._wants: set[PeerId] = set()
        """Peers that want blocks pushed: as in BIP152 it is for them to ask no more than a few. A push has the
        bytes that they would ask for otherwise, a round trip and a half later."""

    def salt(self) -> bytes:
        """Salt for the form of one block."""
        return self._rng.randbytes(SALT_SIZE)

    def prefer(self, peer: PeerId, pushed: bool) -> None:
        """A peer wants blocks pushed, or no longer."""
        if pushed:
            self._wants.add(peer)
        else:
            self._wants.discard(peer)

    def left(self, peer: PeerId) -> None:
        """A peer is gone."""
        self._wants.discard(peer)

    def pushed_to(self, peer: PeerId, entry: BlockNode) -> CompactBlock | None:
        """The compact block that this peer gets in the place of an announcement, if any."""
        return self.form_of(entry) if peer in self._wants else None

    def put(self, block: Block, form: CompactBlock | None) -> None:
        """A block is here, perhaps not connected yet."""
        self._forms[block.hash] = block, form
        if len(self._forms) > FORMS_MAX:
            self._forms.popitem(last=False)

    def form_of(self, entry: BlockNode) -> CompactBlock | None:
        """A recent block's form, or None if it has to be sent whole. One salt for all who get it."""
        if entry.hash not in self._forms:
            block = self._block(entry)
            if block is None:
                return None
            self.put(block, shorten(block, self.salt()))
        return self._forms[entry.hash][1]

    def serve(self, request: GetCompact) -> CompactBlock | Ok:
        """A peer asks for a block in this form."""
        entry = self._chain.tree.get(request.hash)
        return (entry and self.form_of(entry)) or Ok()

    def serve_txs(self, request: GetBlockTxs) -> BlockTxs | Ok:
        """A peer asks for what it lacks of a block."""
        entry = self._chain.tree.get(request.hash)
        block = self._block(entry) if entry else None
        if block is None or request.positions[-1] >= len(block.txs):
            return Ok()
        return BlockTxs(tuple(block.txs[position] for position in request.positions))

    def _block(self, entry: BlockNode) -> Block | None:
        """A block that is new, or among the last of our chain."""
        if held := self._forms.get(entry.hash):
            return held[0]
        tip = self._chain.tip
        if tip.height - entry.height > DEPTH_MAX or not is_on(entry, tip):
            return None
        change = self._chain.recent.change(entry.hash)
        return change.block if change else None
