"""What the chainstate tells of its moves."""

from dataclasses import dataclass
from typing import NamedTuple

from chain.blocktree import BlockNode
from node.interface.storage import LedgerChange


@dataclass(frozen=True, slots=True)
class TipChange:
    """The best chain moved, and the ledger with it."""

    old: BlockNode
    new: BlockNode
    disconnected: tuple[LedgerChange, ...]
    """Tip first."""
    connected: tuple[LedgerChange, ...]
    """Lowest first."""


class StoredBlock(NamedTuple):
    """A body that is new here."""

    entry: BlockNode
    source: str
    """How the log says where it came from; "" where it says nothing."""
