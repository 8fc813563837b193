"""Bounds of a search in a script's history: now and then its totals, and a list of its coins.

Both are made once in about `ENTRIES_PER_SUMMARY` entries of a script's history: scripts that are
used a few times mostly have none and cost nothing. What is asked of a script is then a walk from
its newest block down to a summary.

A summary stands beside the newest row of the script's history and goes with that row's block;
those below do not depend on it. It is written with the commit that follows, because what is to be
summed up can then simply be read: so the newest one may be missing, as after a stop.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from chain.coins import Coin
from chain.hashes import BlockHash, Txid
from chain.tx import OutPoint
from node.storage.kv import Reads, end_of
from node.storage.schema import (
    COIN,
    COINS_LIST,
    HISTORY,
    HISTORY_ENTRY_SIZE,
    HISTORY_KEY_SIZE,
    NO_OUTPUT,
    OUTPOINT_SIZE,
    SUMMARIZED,
    SUMMARY_SUFFIX,
    SUMMARY_VALUE,
    SUMS_SIZE,
    decode_sums,
)

ENTRIES_PER_SUMMARY = 512
"""Entries of a script's history for each summary, on average: a third of a millisecond to walk.
At most 2^16, a power of two."""
TXS_PER_LIST = 512
"""A list is not made before so many transactions since the last one: each of them costs a look
at what became of its coins."""
COINS_PER_TX_LISTED = 4
"""Nor before there are no more coins than this for each of those transactions: so lists take no
more than 144 bytes a transaction."""
POINTS_AT_ONCE = 256
"""Coins looked up together."""


class ScriptTotals(NamedTuple):
    """Totals of what all blocks up to some height did to a script."""

    sums: int
    """See schema.py."""
    height: int = 0
    """Height of the newest of these blocks; 0: there is none."""
    list_height: int = 0
    """Height of the script's latest list; 0: there is none."""
    list_tx_count: int = 0
    """Transactions up to there."""

    @property
    def coins_count(self) -> int:
        """Coins that the script has."""
        stats = decode_sums(self.sums)
        return stats.funded_count - stats.spent_count


def due_sizes(block_hash: BlockHash) -> list[int]:
    """Scripts whose history row of this block is longer than this are to be given a summary:
    looked up by the first byte of the script's hash.

    The block's hash draws the lot, because nobody who pays knows it beforehand: by the height
    alone a script could be paid so that it is always passed over, and its history grows without end.
    """
    phase = int.from_bytes(block_hash[:2], "big")  # the zeros of the work are at the other end
    return [SUMS_SIZE + HISTORY_ENTRY_SIZE * (first + phase & ENTRIES_PER_SUMMARY - 1) for first in range(256)]


def put_summaries(
    put: Callable[[bytes, bytes], object], ledger: Reads, height: int, script_hashes: Iterable[bytes]
) -> None:
    """Put what the ledger, whose tip is at `height`, says of these scripts."""
    for script_hash in script_hashes:
        totals = read_totals(ledger, script_hash, height)
        tx_count = decode_sums(totals.sums).tx_count
        place = script_hash + _number(totals.height)
        if tx_count - totals.list_tx_count >= max(TXS_PER_LIST, totals.coins_count / COINS_PER_TX_LISTED):
            coins = read_coins(ledger, script_hash, totals, height)
            put(COINS_LIST + place, b"".join([point for point, _ in coins]))
            totals = totals._replace(list_height=totals.height, list_tx_count=tx_count)
        sums = totals.sums.to_bytes(SUMS_SIZE, "big")
        put(HISTORY + place + SUMMARY_SUFFIX, SUMMARY_VALUE.pack(sums, totals.list_height, totals.list_tx_count))
        put(SUMMARIZED + _number(totals.height) + script_hash, b"")


def delete_summaries(delete: Callable[[bytes], object], ledger: Reads, above: int) -> None:
    """Delete all that stand beside rows of blocks above this height."""
    for key, _ in ledger.scan(SUMMARIZED + _number(above + 1), end_of(SUMMARIZED)):
        place = key[5:] + key[1:5]
        delete(key)
        delete(HISTORY + place + SUMMARY_SUFFIX)
        delete(COINS_LIST + place)


def read_totals(ledger: Reads, script_hash: bytes, height: int) -> ScriptTotals:
    """A script's totals up to a height."""
    sums = newest = 0
    prefix = HISTORY + script_hash
    for key, row in ledger.scan(prefix, prefix + _number(height + 1), reverse=True):
        newest = newest or int.from_bytes(key[33:HISTORY_KEY_SIZE], "big")
        if len(key) > HISTORY_KEY_SIZE:
            summed, list_height, list_tx_count = SUMMARY_VALUE.unpack(row)
            return ScriptTotals(sums + int.from_bytes(summed, "big"), newest, list_height, list_tx_count)
        sums += int.from_bytes(row[:SUMS_SIZE], "big")
    return ScriptTotals(sums, newest)


def read_coins(ledger: Reads, script_hash: bytes, totals: ScriptTotals, height: int) -> Iterator[tuple[OutPoint, Coin]]:
    """A script's coins, the newest first. `totals` and `height` are those where the ledger stands."""
    wanted = totals.coins_count
    if not wanted:
        return
    points = _points(ledger, script_hash, totals.list_height, height)
    while chunk := [COIN + point for point in islice(points, POINTS_AT_ONCE)]:
        coins = ledger.get_many(chunk)
        for key in chunk:
            if key in coins:
                yield OutPoint(key[1:]), Coin(coins[key])
                wanted -= 1
                if not wanted:
                    return


def _points(ledger: Reads, script_hash: bytes, list_height: int, top: int) -> Iterator[bytes]:
    """Outpoints among which are all coins of the script: those made since the list, then the list."""
    prefix = HISTORY + script_hash
    for key, row in ledger.scan(prefix + _number(list_height + 1), prefix + _number(top + 1), reverse=True):
        if len(key) == HISTORY_KEY_SIZE:
            for entry in entries_backwards(row):
                if not entry.endswith(NO_OUTPUT):
                    yield entry[4:]
    if list_height:
        points = ledger.get(COINS_LIST + script_hash + _number(list_height)) or b""
        for start in range(0, len(points), OUTPOINT_SIZE):
            yield points[start : start + OUTPOINT_SIZE]


def transactions_backwards(row: bytes, below: int | None = None) -> Iterator[tuple[int, Txid]]:
    """Position and id of each transaction that a history row names, the last first; only of
    positions `below` that one, if it is given."""
    last = None
    for entry in entries_backwards(row, below):
        position = int.from_bytes(entry[:4], "big")
        if position != last:
            yield position, Txid(entry[4:36])
            last = position


def entries_backwards(row: bytes, below: int | None = None) -> Iterator[bytes]:
    """The entries of a history row, the last first; only of positions `below` that one, if it is given."""
    first, end = 0, (len(row) - SUMS_SIZE) // HISTORY_ENTRY_SIZE
    while below is not None and first < end:
        middle = (first + end) // 2
        start = SUMS_SIZE + middle * HISTORY_ENTRY_SIZE
        if int.from_bytes(row[start : start + 4], "big") < below:
            first = middle + 1
        else:
            end = middle
    for start in range(SUMS_SIZE + (end - 1) * HISTORY_ENTRY_SIZE, SUMS_SIZE - 1, -HISTORY_ENTRY_SIZE):
        yield row[start : start + HISTORY_ENTRY_SIZE]


def _number(height: int) -> bytes:
    return height.to_bytes(4, "big")
