"""Transactions that are not in the mempool, and may be in a block all the same."""

from collections import OrderedDict

from chain.tx import Tx

SPARE_MAX, SPARE_BYTES_MAX = 500, 2_000_000
"""Transactions kept for this that are not in the mempool; beyond, the oldest goes."""


class ExtraTxs:
    """Transactions that are not in the mempool, and may be in a block all the same."""

    def __init__(self) -> None:
        self._txs: OrderedDict[bytes, Tx] = OrderedDict()
        self._size = 0

    def add(self, tx: Tx) -> None:
        """Keep it for a while."""
        if tx.wtxid in self._txs:
            return
        self._txs[tx.wtxid] = tx
        self._size += tx.size
        while len(self._txs) > SPARE_MAX or self._size > SPARE_BYTES_MAX:
            self._size -= self._txs.popitem(last=False)[1].size

    def all(self) -> tuple[Tx, ...]:
        """All extra transactions, as they are now."""
        return tuple(self._txs.values())
