"""The index rows that blocks bring and, when they leave the best chain, take with them.

But for the summaries they are functions of a block, its height and the coins it spent: see
schema.py for the rows, and script_summaries.py.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from chain.block import tx_offsets
from chain.coins import is_unspendable
from chain.hashes import sha256
from node.interface.storage import LedgerChange
from node.storage.kv import Batch, Reads
from node.storage.schema import (
    COIN_HEAD_SIZE,
    FUNDED_ONE,
    FUNDED_SHIFT,
    HISTORY,
    LOCATION,
    LOCATION_VALUE,
    NO_OUTPUT,
    SPENDER,
    SPENDER_VALUE,
    SPENT_ONE,
    SUMS_SIZE,
    TX_ONE,
)
from node.storage.script_summaries import delete_summaries, due_sizes, put_summaries

Put = Callable[[bytes, bytes], object]


class Index:
    """Writes the index, one step of the best chain after the other."""

    def __init__(self, ledger: Reads) -> None:
        self._ledger = ledger
        self._due: set[bytes] = set()
        """Scripts to be given a summary of where the last step has led."""

    def write(
        self, batch: Batch, height: int, disconnected: Sequence[LedgerChange], connected: Sequence[LedgerChange]
    ) -> None:
        """The edits of a step from the tip at `height`."""
        due, self._due = self._due, set()
        if disconnected:
            delete_summaries(batch.delete, self._ledger, height - len(disconnected))
            self._reorganise(batch, disconnected, connected)
            return
        put_summaries(batch.put, self._ledger, height, due)
        for change in connected:
            self._due.update(_put_block(batch.put, change))

    def _reorganise(
        self, batch: Batch, disconnected: Sequence[LedgerChange], connected: Sequence[LedgerChange]
    ) -> None:
        """Write the index rows of a move. Both branches often hold the same payments: these are not written."""
        old: dict[bytes, bytes] = {}
        for change in disconnected:
            _put_block(old.__setitem__, change)
        new: dict[bytes, bytes] = {}
        for change in connected:
            self._due.update(_put_block(new.__setitem__, change))
        for key in old:
            if key not in new:
                batch.delete(key)
        for key, row in new.items():
            if old.get(key) != row:
                batch.put(key, row)


def _put_block(put: Put, change: LedgerChange) -> list[bytes]:
    """Write a block's index rows: its transactions' places, their spends, script histories. Returns
    the scripts that are due for a summary."""
    _put_locations(put, change)
    _put_spenders(put, change)
    return _put_histories(put, change)


def _put_locations(put: Put, change: LedgerChange) -> None:
    height, pack = change.height, LOCATION_VALUE.pack
    undo_ends = list(accumulate([COIN_HEAD_SIZE + len(coin) for coin in change.undo], initial=0))
    spent = 0
    for position, (tx, offset) in enumerate(zip(change.block.txs, tx_offsets(change.block), strict=True)):
        undo_start = undo_ends[spent]
        spent += len(tx.inputs) if position else 0
        undo_size = undo_ends[spent] - undo_start
        put(LOCATION + tx.txid, pack(height, position, offset, len(tx.raw), undo_start, undo_size))


def _put_spenders(put: Put, change: LedgerChange) -> None:
    height, pack = change.height, SPENDER_VALUE.pack
    for tx in change.block.txs[1:]:
        for index, spent in enumerate(tx.inputs):
            put(SPENDER + spent.outpoint, pack(tx.txid, index, height))


def _put_histories(put: Put, change: LedgerChange) -> list[bytes]:
    """Put one row for each script, however often the block pays or spends it."""
    height, sizes = change.height.to_bytes(4, "big"), due_sizes(change.block.hash)
    due = []
    for script, row in _touched_scripts(change).items():
        if not is_unspendable(script):  # else its outputs are nobody's
            row[0] = row[0].to_bytes(SUMS_SIZE, "big")
            joined = b"".join(row)
            script_hash = sha256(script)
            put(HISTORY + script_hash + height, joined)
            if len(joined) > sizes[script_hash[0]]:
                due.append(script_hash)
    return due


def _touched_scripts(change: LedgerChange) -> dict[bytes, list[Any]]:
    """Sums of each script, followed by its entries in block order. Long-hand: this is the
    largest part of a commit."""
    scripts: dict[bytes, list[Any]] = {}
    get = scripts.get
    undo = iter(change.undo)
    for position, tx in enumerate(change.block.txs):
        head = position.to_bytes(4, "big") + tx.txid
        for index, output in enumerate(tx.outputs):
            entry = head + index.to_bytes(4, "little")
            amount = FUNDED_ONE + (output.value << FUNDED_SHIFT)
            touched = get(output.script)
            if touched is None:
                scripts[output.script] = [TX_ONE + amount, entry]
            else:
                touched[0] += amount if touched[-1].startswith(head) else TX_ONE + amount
                touched.append(entry)
        for _, coin in zip(tx.inputs if position else (), undo, strict=False):
            script, amount = coin.script, SPENT_ONE + coin.value
            touched = get(script)
            if touched is None:
                scripts[script] = [TX_ONE + amount, head + NO_OUTPUT]
            elif touched[-1].startswith(head):
                touched[0] += amount
            else:
                touched[0] += TX_ONE + amount
                touched.append(head + NO_OUTPUT)
    return scripts
