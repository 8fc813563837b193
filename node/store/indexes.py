"""The index rows that a block brings and, when it leaves the best chain, takes with it.

Pure functions of a block, its height and the coins it spent: see schema.py for the rows.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from chain.block import tx_offsets
from chain.coins import is_unspendable
from chain.hashes import sha256
from node.ports import Change
from node.store.kv import Edit, Row
from node.store.schema import (
    FUNDED_ONE,
    FUNDED_SHIFT,
    HISTORY,
    LOCATION,
    LOCATION_VALUE,
    SPENDER,
    SPENDER_VALUE,
    SPENT_ONE,
    SUMS_SIZE,
)


def index_edits(disconnected: Iterable[Change], connected: Iterable[Change]) -> Iterator[Edit]:
    """The edits of a step of the best chain, to be applied in this order: a transaction that is
    mined again on the new branch loses its old rows before it gets its new ones."""
    for change in disconnected:
        for key, _ in block_rows(change):
            yield key, None
    for change in connected:
        yield from block_rows(change)


def block_rows(change: Change) -> Iterator[Row]:
    """Where the block's transactions are, what they spend, and whose history they are."""
    return chain(_location_rows(change), _spender_rows(change), _history_rows(change))


def _location_rows(change: Change) -> Iterator[Row]:
    height, pack = change.height, LOCATION_VALUE.pack
    for position, (tx, offset) in enumerate(zip(change.block.txs, tx_offsets(change.block), strict=True)):
        yield LOCATION + tx.txid, pack(height, position, offset, len(tx.raw))


def _spender_rows(change: Change) -> Iterator[Row]:
    height, pack = change.height, SPENDER_VALUE.pack
    for tx in change.block.txs[1:]:
        for index, spent in enumerate(tx.inputs):
            yield SPENDER + spent.outpoint, pack(tx.txid, index, height)


def _history_rows(change: Change) -> Iterator[Row]:
    """One row for each script, however often the block pays or spends it."""
    height = change.height.to_bytes(4, "big")
    for script, row in _touched_scripts(change).items():
        row[0] = row[0].to_bytes(SUMS_SIZE, "big")
        yield HISTORY + sha256(script) + height, b"".join(row)


def _touched_scripts(change: Change) -> dict[bytes, list[Any]]:
    """For each script its sums, followed by the entries of its transactions in block order. One
    that touches the script several times is listed once. Unspendable outputs are nobody's."""
    scripts: dict[bytes, list[Any]] = {}
    undo = iter(change.undo)
    for position, tx in enumerate(change.block.txs):
        entry = position.to_bytes(4, "big") + tx.txid
        moves = [(output.script, FUNDED_ONE + (output.value << FUNDED_SHIFT)) for output in tx.outputs]
        if position:
            moves += [(coin.script, SPENT_ONE + coin.value) for _, coin in zip(tx.inputs, undo, strict=False)]
        for script, amount in moves:
            touched = scripts.get(script)
            if touched is None:
                if not is_unspendable(script):
                    scripts[script] = [amount, entry]
            else:
                touched[0] += amount
                if touched[-1] is not entry:
                    touched.append(entry)
    return scripts
