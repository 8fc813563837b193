"""Is a ledger whole: what it says of itself, held against the stored blocks and its own coins.

Its digest is computed again unless a record vouches for it: `recovery.py` says when there is one.
"""

import logging
from collections.abc import Iterator
from typing import NamedTuple

from chain.coins import Coin
from chain.params import GENESIS
from chain.tx import OutPoint
from node.interface.storage import Damaged, StoredTip, StoreError
from node.storage.headers import StoredHeaders
from node.storage.kv import Kv, Reads, scan_prefix
from node.storage.reader import coins_of
from node.storage.salvage import tell_lost_beside
from node.storage.schema import (
    CHAIN,
    COMMIT,
    LEDGER_SCHEMA,
    LEFT,
    META,
    TIP,
    VOUCHED,
    coins_digest,
    decode_meta,
    decode_tip,
    encode_meta,
    encode_tip,
)

log = logging.getLogger("groat.store")

EMPTY_TIP = StoredTip(GENESIS.hash, 0, 0)
"""A fresh ledger's: genesis, without a coin."""
COINS_PER_LINE = 1_000_000
"""Between two lines of progress in the log; some seconds."""


class LedgerState(NamedTuple):
    """A whole ledger's record of itself."""

    tip: StoredTip
    has_index: bool
    commits: int
    """Number of the last one."""
    vouched: bool
    """True if it is on record that the coins match the digest."""


def start_ledger(ledger: Kv, headers: StoredHeaders, network_id: bytes, index: bool) -> LedgerState:
    """Give an empty ledger its first records."""
    meta = encode_meta(LEDGER_SCHEMA, network_id, bytes((index,)))
    left = [(LEFT + place, b"") for place, _ in headers.connected()]
    ledger.write([(META, meta), (TIP, encode_tip(EMPTY_TIP)), *left], sync=True)
    return LedgerState(EMPTY_TIP, index, 0, vouched=False)


def check_ledger(
    ledger: Kv, headers: StoredHeaders, network_id: bytes, index: bool | None, inspect: bool, where: str
) -> LedgerState | None:
    """Read the ledger's record of itself; None if it is empty. Raises Damaged unless tip, digest and blocks
    agree, and StoreError if it is whole but not what was asked for."""
    meta, record = ledger.get(META), ledger.get(TIP)
    if meta is None and record is None and is_empty(ledger):
        return None
    tip = decode_tip(record) if record else None
    if meta is None or record is None or tip is None:
        raise Damaged(f"{where} is damaged (no tip)")
    has_index = _check_meta(meta, network_id, index, where)
    numbers = [int.from_bytes(key[1:], "big") for key, _ in scan_prefix(ledger, COMMIT)]
    commits = numbers[-1] if numbers else 0
    flaw = headers.flaw(tip, (block_hash for _, block_hash in scan_prefix(ledger, CHAIN)))
    if flaw is None and numbers and len(numbers) != commits - numbers[0] + 1:
        flaw = "commits are missing"
    if flaw:
        raise Damaged(f"{where} is damaged ({flaw})")
    _check_left(ledger, headers, inspect, where)
    vouched = ledger.get(VOUCHED) == record
    if inspect or not vouched:
        if coins_digest(_with_progress(coins_of(ledger))) != tip.digest:
            raise Damaged(f"{where} is damaged (its coins do not match the digest of its tip)")
        if not inspect:
            ledger.write([(VOUCHED, record)], sync=True)
    return LedgerState(tip, has_index, commits, vouched=True)


def _check_left(ledger: Kv, headers: StoredHeaders, inspect: bool, where: str) -> None:
    """Name blocks that have left the best chain and are lost, and forget them. Raises Damaged with `inspect`."""
    lost = {key[1:] for key, _ in scan_prefix(ledger, LEFT)}
    if lost:
        lost.difference_update(place for place, _ in headers.connected())
    if lost and inspect:
        raise Damaged(f"{where} names blocks beside its chain that are lost ({len(lost)} or their undo)")
    if lost:
        tell_lost_beside(lost)
        ledger.write([(LEFT + place, None) for place in lost], sync=True)


def _check_meta(meta: bytes, network_id: bytes, index: bool | None, where: str) -> bool:
    """Check that the ledger is ours; True if it is indexed."""
    schema, network, extra = decode_meta(meta)
    has_index = extra == b"\x01"
    if schema > LEDGER_SCHEMA:
        raise StoreError(f"{where} has schema {schema} and this version reads {LEDGER_SCHEMA}: run groatd reindex")
    if network != network_id:
        raise Damaged(f"{where} is damaged (another network's)")
    if index is not None and index != has_index:
        made, start = ("with", "without") if has_index else ("without", "with")
        raise StoreError(f"{where} was made {made} its indexes: start {start} --no-index, or run groatd reindex")
    if schema < LEDGER_SCHEMA:
        raise Damaged(f"{where} was made by an earlier version (a start builds it anew)")
    return has_index


def _with_progress(coins: Iterator[tuple[OutPoint, Coin]]) -> Iterator[tuple[OutPoint, Coin]]:
    """The coins; each so many of them are worth a line in the log."""
    for number, coin in enumerate(coins):
        if number % COINS_PER_LINE == 0 and number:
            log.info("checking the coins of the ledger, as after every unclean stop: %d so far", number)
        yield coin


def is_empty(rows: Reads) -> bool:
    """True if there is no row at all."""
    return next(rows.scan(b"", b"\xff"), None) is None
