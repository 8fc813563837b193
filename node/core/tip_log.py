"""One line in the log for each new tip: height, hash, how many transactions, and where it came from."""

import logging
import math

from chain.hashes import BlockHash, to_hex
from node.chainstate.tip_change import TipChange

log = logging.getLogger("groat.chain")

SOURCES_MAX = 1_024
"""Blocks whose origin is remembered until they are connected."""
CATCHING_UP_S = 10.0
"""Seconds between two lines while the node is catching up."""


class TipLog:
    """Tells operators how the chain goes on. What one peer sends never makes more than logs.py allows."""

    def __init__(self) -> None:
        self._sources: dict[BlockHash, str] = {}
        self._told = -math.inf

    def came(self, block_hash: BlockHash, source: str) -> None:
        """A block is new here; `source` is how it came, as it is to stand in the line."""
        self._sources[block_hash] = source
        if len(self._sources) > SOURCES_MAX:
            del self._sources[next(iter(self._sources))]

    def moved(self, change: TipChange, best_height: int, is_catching_up: bool, now: float) -> None:
        """Log a new tip. While blocks up to `best_height` come in, not each is told."""
        sources = [self._sources.pop(connected.block.hash, None) for connected in change.connected]
        if is_catching_up and now - self._told < CATCHING_UP_S:
            return
        self._told = now
        new = change.new
        parts = [to_hex(new.hash)]
        if change.connected:
            parts.append(_count(len(change.connected[-1].block.txs), "transaction"))
        if len(change.connected) > 1:
            parts.append(_count(len(change.connected), "block"))
        if change.disconnected:
            parts.append(f"in the place of {_count(len(change.disconnected), 'block')}")
        if sources and sources[-1]:
            parts.append(sources[-1])
        if is_catching_up:
            parts.append(f"catching up with height {best_height}")
        log.info("new tip at height %d: %s", new.height, ", ".join(parts))


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
