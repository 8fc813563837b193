"""The digest of a ledger's coins, added up anew."""

from node.interface.storage import LedgerView
from node.storage.schema import coins_digest


def recompute_digest(reader: LedgerView) -> int:
    """The digest over the coins as they are: what `reader.tip().digest` has to be."""
    return coins_digest(reader.coins())
