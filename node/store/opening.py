"""Opening a store: whose is it, is it whole, and what to do if not.

`blocks/` is repaired in place, and what it lost peers send again. `ledger/` is thrown away: an
ordinary start then connects the stored blocks from genesis. Nothing is served from a ledger
whose digest does not match its tip, or whose blocks are not all here.

The digest is computed again unless a record vouches for it. That is written when the store is
closed and when the digest was found right, and goes with the next commit, in its batch: so as
long as it is there, nothing was written since. What decays on the disk meanwhile, LevelDB's
checksums find when it is read.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from chain.coins import Coin
from chain.params import GENESIS
from chain.tx import OutPoint
from node.ports import StoreError, Tip
from node.store.directory import BLOCKS, LEDGER, Directory
from node.store.headers import StoredHeaders
from node.store.kv import Damaged, Kv, Reads
from node.store.ledger import Ledger
from node.store.leveldb import LevelDb, repair
from node.store.memory import MemoryDisk
from node.store.reader import coins_of
from node.store.salvage import salvage
from node.store.schema import (
    BLOCKS_SCHEMA,
    LEDGER_SCHEMA,
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

EMPTY_TIP = Tip(GENESIS.hash, 0, 0)
"""A fresh ledger's: genesis, without a coin."""
OLDEST_BLOCKS_SCHEMA = 1
"""That is still read."""
COINS_PER_LINE = 1_000_000
"""Between two lines of progress in the log; some seconds."""


class _Found(NamedTuple):
    """What a whole ledger says of itself."""

    tip: Tip
    has_index: bool
    vouched: bool
    """It is on record that its coins match the digest."""


def open_store(
    path: Path, network_id: bytes, *, index: bool | None = None, reindex: bool = False, inspect: bool = False
) -> Ledger:
    """The store in a network's data directory, made if it is not there, repaired if it must be.

    `index`: whether there are indexes; None takes what is there, and has them if nothing is.
    `reindex` throws `ledger/` away first. With `inspect` nothing is made, repaired, thrown away
    or taken for granted. Raises StoreError: Locked (names the pid), Damaged (with `inspect`, or
    beyond repair), another network, schema or index choice, and what the system refuses.
    """
    with ExitStack() as stack:
        directory = Directory(path, create=not inspect)
        stack.callback(directory.release)
        blocks, headers, why = _open_blocks(directory, network_id, inspect)
        stack.callback(blocks.close)
        if reindex:
            why = "reindex"
        ledger, found, why = _open_ledger(directory, headers, network_id, index, inspect, why)
        stack.pop_all()
    return Ledger(
        blocks,
        ledger,
        found.tip,
        found.has_index,
        directory.reporter(BLOCKS),
        directory.release,
        headers=headers,
        vouched=found.vouched,
        read_only=inspect,
        rebuilding=why,
    )


def open_memory(disk: MemoryDisk, network_id: bytes, *, index: bool = True) -> Ledger:
    """The store on a disk in memory. Raises StoreError as `open_store` does."""
    _claim(disk.blocks, network_id, "this memory disk", adopt=False, inspect=False)
    headers = StoredHeaders(disk.blocks)
    found = _check_ledger(disk.ledger, headers, network_id, index, False, "its ledger")
    found = found or _start_ledger(disk.ledger, network_id, index)
    return Ledger(
        disk.blocks,
        disk.ledger,
        found.tip,
        found.has_index,
        log.error,
        lambda: None,
        headers=headers,
        vouched=found.vouched,
    )


# --- blocks/ -------------------------------------------------------------------------------


def _open_blocks(directory: Directory, network_id: bytes, inspect: bool) -> tuple[LevelDb, StoredHeaders, str | None]:
    """The blocks, their headers, and why they had to be repaired, if they had to."""
    why = directory.reported(BLOCKS)
    if why is None:
        try:
            return *_open_readable(directory, network_id, inspect), None
        except Damaged as damage:
            why = str(damage)
            directory.reporter(BLOCKS)(why)
    if inspect:
        raise Damaged(f"{directory.blocks} is damaged ({why}): start the node to have it repaired")
    log.warning("repairing %s", directory.blocks)
    repair(directory.blocks)
    blocks = LevelDb(directory.blocks, directory.reporter(BLOCKS))
    with _closed_on_error(blocks):
        _claim(blocks, network_id, str(directory.path), adopt=True, inspect=False)
        kept, dropped = salvage(blocks)
        log.warning("repaired %s: %d blocks kept, %d broken ones dropped; peers send what is missing",
                    directory.blocks, kept, dropped)  # fmt: skip
        headers = StoredHeaders(blocks)
        directory.discard_ledger()  # it may stand on blocks and undo that are gone
        directory.repaired(BLOCKS)
    return blocks, headers, "its blocks had to be repaired"


def _open_readable(directory: Directory, network_id: bytes, inspect: bool) -> tuple[LevelDb, StoredHeaders]:
    """Open this network's blocks and read all headers: the start needs every one."""
    blocks = LevelDb(directory.blocks, directory.reporter(BLOCKS), create=not inspect)
    with _closed_on_error(blocks):
        _claim(blocks, network_id, str(directory.path), adopt=False, inspect=inspect)
        headers = StoredHeaders(blocks)
    return blocks, headers


@contextmanager
def _closed_on_error(kv: Kv) -> Iterator[None]:
    try:
        yield
    except StoreError:
        kv.close()
        raise


def _claim(blocks: Kv, network_id: bytes, where: str, *, adopt: bool, inspect: bool) -> None:
    """Raise StoreError unless the blocks are this network's; empty ones become it, and with
    `adopt` those that lost the record that says so. From here on they are of our schema."""
    record = blocks.get(META)
    ours = encode_meta(BLOCKS_SCHEMA, network_id)
    if record is None:
        if not adopt and not _is_empty(blocks):
            raise StoreError(f"{where} holds something else: choose another --datadir")
    else:
        schema, network, _ = decode_meta(record)
        if not OLDEST_BLOCKS_SCHEMA <= schema <= BLOCKS_SCHEMA:
            raise StoreError(
                f"{where} has schema {schema} and this version reads {BLOCKS_SCHEMA}:"
                " use the version that made it, or another --datadir"
            )
        if network != network_id:
            raise StoreError(
                f"{where} belongs to network {network.hex()[:8]} and this is {network_id.hex()[:8]}:"
                " use the network file it was made with, or another --datadir"
            )
    if record != ours and not inspect:
        blocks.write([(META, ours)], sync=True)


def _is_empty(rows: Reads) -> bool:
    return next(rows.scan(b"", b"\xff"), None) is None


# --- ledger/ -------------------------------------------------------------------------------


def _open_ledger(
    directory: Directory,
    headers: StoredHeaders,
    network_id: bytes,
    index: bool | None,
    inspect: bool,
    why: str | None,
) -> tuple[LevelDb, _Found, str | None]:
    """The ledger, what it says, and why it is a new one, if it is.

    `why` is a reason to throw the old one away, if there is one already.
    """
    why = why or directory.reported(LEDGER)
    if why is None:
        try:
            ledger, found = _open_whole(directory, headers, network_id, index, inspect)
            if found.tip == EMPTY_TIP and not inspect and headers:
                log.warning("building %s from the stored blocks: it is empty", directory.ledger)
            return ledger, found, None
        except Damaged as damage:
            if inspect:
                raise
            why = str(damage)
    if inspect:
        raise Damaged(f"{directory.ledger} is damaged ({why}): start the node to have it rebuilt")
    log.warning("building %s anew from the stored blocks: %s", directory.ledger, why)
    directory.discard_ledger()
    return *_open_whole(directory, headers, network_id, index, inspect), why


def _open_whole(
    directory: Directory, headers: StoredHeaders, network_id: bytes, index: bool | None, inspect: bool
) -> tuple[LevelDb, _Found]:
    """Open `ledger/` and check it; an empty one is given its first records."""
    ledger = LevelDb(directory.ledger, directory.reporter(LEDGER), create=not inspect)
    with _closed_on_error(ledger):
        found = _check_ledger(ledger, headers, network_id, index, inspect, str(directory.ledger))
        if found is None and inspect:
            raise Damaged(f"{directory.ledger} is empty: start the node to have it built")
        found = found or _start_ledger(ledger, network_id, index is not False)
    return ledger, found


def _start_ledger(ledger: Kv, network_id: bytes, index: bool) -> _Found:
    meta = encode_meta(LEDGER_SCHEMA, network_id, bytes((index,)))
    ledger.write([(META, meta), (TIP, encode_tip(EMPTY_TIP))], sync=True)
    return _Found(EMPTY_TIP, index, vouched=False)


def _check_ledger(
    ledger: Kv, headers: StoredHeaders, network_id: bytes, index: bool | None, inspect: bool, where: str
) -> _Found | None:
    """What it says of itself; None if it is empty. Raises Damaged unless tip, digest and blocks
    agree, and StoreError if it is whole but not what was asked for."""
    meta, record = ledger.get(META), ledger.get(TIP)
    if meta is None and record is None and _is_empty(ledger):
        return None
    tip = decode_tip(record) if record else None
    if meta is None or record is None or tip is None:
        raise Damaged(f"{where} is damaged (no tip)")
    has_index = _check_meta(meta, network_id, index, where)
    if not headers.reach(tip):
        raise Damaged(f"{where} is damaged (blocks below its tip are missing)")
    vouched = ledger.get(VOUCHED) == record
    if inspect or not vouched:
        if coins_digest(_with_progress(coins_of(ledger))) != tip.digest:
            raise Damaged(f"{where} is damaged (its coins do not match the digest of its tip)")
        if not inspect:
            ledger.write([(VOUCHED, record)], sync=True)
    return _Found(tip, has_index, vouched=True)


def _check_meta(meta: bytes, network_id: bytes, index: bool | None, where: str) -> bool:
    """Whether the ledger is indexed, if it is ours."""
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
