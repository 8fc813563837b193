"""The chain that each peer is known to have, for operators: what it announced, what it was sent, and what it asked for.

What to fetch from a peer is decided by what it announced alone: a peer that was sent our blocks has nothing
that we lack.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from chain.blocktree import BlockNode, BlockTree, is_on
from chain.hashes import BlockHash
from node.interface.endpoint import PeerId


@dataclass(slots=True)
class _Known:
    headers: BlockNode | None = None
    blocks: BlockNode | None = None


class KnownBlocks:
    """The best header, and the best block, that each peer is known to have."""

    def __init__(self, tree: BlockTree, announced: Callable[[PeerId], BlockNode | None]) -> None:
        """`announced` is the best header that a peer has told of."""
        self._tree = tree
        self._announced = announced
        self._peers: dict[PeerId, _Known] = {}

    def headers_of(self, peer: PeerId) -> BlockNode | None:
        """The best header that it has."""
        known = self._peers.get(peer)
        return _better(self._announced(peer), known.headers if known else None)

    def blocks_of(self, peer: PeerId) -> BlockNode | None:
        """The best block that it has."""
        known = self._peers.get(peer)
        return _better(self._announced(peer), known.blocks if known else None)

    def asked_from(self, peer: PeerId, locator: Iterable[BlockHash]) -> None:
        """Note that a peer asked for what follows on these: the first is the best header that it has."""
        entry = next((found for block_hash in locator if (found := self._tree.get(block_hash))), None)
        if entry is not None:
            self._has_headers(peer, entry)

    def sent_headers(self, peer: PeerId, last: BlockHash) -> None:
        """Note that a peer was sent headers up to this one."""
        if entry := self._tree.get(last):
            self._has_headers(peer, entry)

    def sent_blocks(self, peer: PeerId, hashes: Iterable[BlockHash]) -> None:
        """Note that a peer was sent these blocks."""
        for entry in filter(None, map(self._tree.get, hashes)):
            self._has_headers(peer, entry)
            self._has_block(peer, entry)

    def told(self, peer: PeerId, entry: BlockNode) -> None:
        """Note that a peer confirmed an announced block: if that follows on what it has, it has or fetches it."""
        before = self.headers_of(peer)
        if before is not None and entry.parent is not None and is_on(entry.parent, before) and not is_on(entry, before):
            self._has_headers(peer, entry)
            self._has_block(peer, entry)

    def left(self, peer: PeerId) -> None:
        """Forget a peer that is gone."""
        self._peers.pop(peer, None)

    def _has_headers(self, peer: PeerId, entry: BlockNode) -> None:
        known = self._peers.setdefault(peer, _Known())
        known.headers = _better(known.headers, entry)

    def _has_block(self, peer: PeerId, entry: BlockNode) -> None:
        known = self._peers.setdefault(peer, _Known())
        known.blocks = _better(known.blocks, entry)


def _better(one: BlockNode | None, other: BlockNode | None) -> BlockNode | None:
    """The block with more work, of those that are not ruled out."""
    if one is None or one.invalid:
        return other
    return other if other is not None and not other.invalid and other.chainwork > one.chainwork else one
