"""The block index of the last run, from the store (LoadBlockIndex in Bitcoin Core)."""

from dataclasses import dataclass

from chain.block import decode_header
from chain.blocktree import BlockNode, BlockTree
from chain.hashes import BlockHash
from node.interface.storage import Store, StoreError

INVALID_MARK, OPERATOR_MARK = "invalid", "operator"
"""Marks of blocks in the store: ruled out by a rule, or by the operator."""


@dataclass(frozen=True, slots=True)
class LoadedIndex:
    """What a start finds beside the tree."""

    tip: BlockNode
    """The ledger's tip."""
    ruled_out: frozenset[BlockHash]
    """Blocks that the operator has marked."""
    detached: frozenset[BlockHash]
    """Stored bodies above one that is lost."""


def load_block_index(tree: BlockTree, store: Store) -> LoadedIndex:
    """Fill the tree with the headers of the stored bodies. Raises StoreError."""
    marks = store.marks()
    detached = set()
    for _, raw in store.headers():
        header = decode_header(raw)
        if header.prev_hash in tree.entries:
            entry = tree.add(header, invalid=header.hash in marks)
            entry.has_body = entry.has_chain = True  # as its parent's, or that would not be here
        else:
            detached.add(header.hash)
    tip = tree.get(store.tip().hash)
    if tip is None:
        raise StoreError("the ledger's tip has no stored block: run groatd reindex")
    if tip.chainwork == tree.best_header.chainwork and not tip.invalid:
        tree.best_header = tip
    ruled_out = frozenset(block_hash for block_hash, mark in marks.items() if mark == OPERATOR_MARK)
    return LoadedIndex(tip, ruled_out, frozenset(detached))
