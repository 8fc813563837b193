"""Headers whose blocks are not here: kept for as long as they are on the best branch of a peer.

A header costs us some 500 bytes, and its maker nothing where the difficulty is low. Each peer has one
best branch, whose length is limited; what nobody has any longer (its sender is gone, or tells of another
branch now) nobody will deliver either. It is forgotten, and comes again with whoever has it.
"""

import math
from collections.abc import Iterable

from chain.blocktree import BlockNode
from chain.hashes import BlockHash
from node.chainstate.chainstate import Chainstate

UNCLAIMED_MAX = 4_096
"""Headers on no peer's best branch; with more, all of them are forgotten at once."""
UNCLAIMED_S = 60.0
"""Each is forgotten after so long: time for a peer to come back."""
SWEEP_EVERY_S = 10.0
"""Seconds between two looks for them."""


class UnclaimedHeaders:
    """The headers that peers have shown and no block has followed. Call only under the lock."""

    def __init__(self, chain: Chainstate) -> None:
        self._chain = chain
        self._headers: dict[BlockHash, BlockNode] = {}
        """Parents first."""
        self._unclaimed: dict[BlockHash, float] = {}
        """Headers that were on no peer's branch at the last look, and since when."""
        self._claimed = 0
        self._swept = -math.inf

    def __len__(self) -> int:
        return len(self._headers)

    def add(self, entry: BlockNode) -> None:
        """A peer has shown a header that is new here."""
        self._headers[entry.hash] = entry

    def is_due(self, now: float) -> bool:
        """True if it is time for `sweep`."""
        is_full = len(self._headers) - self._claimed >= UNCLAIMED_MAX
        return is_full or now - self._swept >= SWEEP_EVERY_S

    def sweep(self, followed: BlockNode, branches: Iterable[BlockNode], now: float) -> None:
        """Forget what is on none of these branches, and has not been for a while or is too much. What is on the
        branch that is `followed` is no promise any more: where no bodies are taken, that is the best header's."""
        tree, self._swept = self._chain.tree, now
        # What has been ruled out stays: it would have to be judged again.
        waiting = {
            name: entry
            for name, entry in self._headers.items()
            if not entry.has_body and not entry.invalid and tree.get(name) is entry
        }
        entry: BlockNode | None = followed
        while entry is not None and entry.hash in waiting:
            del waiting[entry.hash]
            entry = entry.parent
        claimed: set[BlockHash] = set()
        for branch in branches:
            entry = branch
            while entry is not None and entry.hash in waiting and entry.hash not in claimed:
                claimed.add(entry.hash)
                entry = entry.parent
        since = {name: self._unclaimed.get(name, now) for name in waiting if name not in claimed}
        is_full = len(since) >= UNCLAIMED_MAX
        gone = {name for name, first in since.items() if is_full or now - first >= UNCLAIMED_S}
        self._chain.forget([waiting[name] for name in reversed(waiting) if name in gone])
        self._headers = {name: entry for name, entry in waiting.items() if tree.get(name) is entry}
        self._unclaimed = {name: first for name, first in since.items() if name in self._headers}
        self._claimed = len(claimed)
