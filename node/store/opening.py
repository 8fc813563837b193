"""Opening a store: whose is it, is it whole, and what to do if not.

`blocks/` is repaired in place, and what it lost peers send again. `ledger/` is thrown away: an
ordinary start then connects the stored blocks from genesis. Nothing is served from a ledger
whose digest does not match its tip, or whose blocks are not all here.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from chain.hashes import BlockHash
from chain.params import GENESIS
from node.ports import StoreError, Tip
from node.store.directory import BLOCKS, LEDGER, Directory
from node.store.kv import Damaged, Kv, Reads
from node.store.ledger import Ledger, stored_headers
from node.store.leveldb import LevelDb, repair
from node.store.memory import MemoryDisk
from node.store.reader import coins_of
from node.store.salvage import salvage
from node.store.schema import (
    BLOCKS_SCHEMA,
    LEDGER_SCHEMA,
    META,
    TIP,
    coins_digest,
    decode_meta,
    decode_tip,
    encode_meta,
    encode_tip,
)

log = logging.getLogger("groat.store")

EMPTY_TIP = Tip(GENESIS.hash, 0, 0)
"""A fresh ledger's: genesis, without a coin."""


def open_store(
    path: Path, network_id: bytes, *, index: bool | None = None, reindex: bool = False, inspect: bool = False
) -> Ledger:
    """The store in a network's data directory, made if it is not there, repaired if it must be.

    `index`: whether there are indexes; None takes what is there, and has them if nothing is.
    `reindex` throws `ledger/` away first. With `inspect` nothing is made, repaired or thrown
    away. Raises StoreError: Locked (names the pid), Damaged (with `inspect`, or beyond
    repair), another network, schema or index choice, and what the system refuses.
    """
    with ExitStack() as stack:
        directory = Directory(path, create=not inspect)
        stack.callback(directory.release)
        blocks, why = _open_blocks(directory, network_id, inspect)
        stack.callback(blocks.close)
        if reindex:
            why = "reindex"
        ledger, tip, has_index, why = _open_ledger(directory, blocks, network_id, index, inspect, why)
        stack.pop_all()
    return Ledger(blocks, ledger, tip, has_index, directory.reporter(BLOCKS), directory.release, why)


def open_memory(disk: MemoryDisk, network_id: bytes, *, index: bool = True) -> Ledger:
    """The store on a disk in memory. Raises StoreError as `open_store` does."""
    _claim(disk.blocks, network_id, "this memory disk", adopt=False)
    found = _check_ledger(disk.ledger, disk.blocks, network_id, index, "its ledger")
    tip, has_index = found or _start_ledger(disk.ledger, network_id, index)
    return Ledger(disk.blocks, disk.ledger, tip, has_index, log.error, lambda: None)


# --- blocks/ -------------------------------------------------------------------------------


def _open_blocks(directory: Directory, network_id: bytes, inspect: bool) -> tuple[LevelDb, str | None]:
    """The blocks, and why they had to be repaired, if they had to."""
    why = directory.reported(BLOCKS)
    if why is None:
        try:
            return _open_readable(directory, network_id, adopt=False), None
        except Damaged as damage:
            why = str(damage)
            directory.reporter(BLOCKS)(why)
    if inspect:
        raise Damaged(f"{directory.blocks} is damaged ({why}): start the node to have it repaired")
    log.warning("repairing %s", directory.blocks)
    repair(directory.blocks)
    blocks = _open_readable(directory, network_id, adopt=True)
    with _closed_on_error(blocks):
        kept, dropped = salvage(blocks)
        log.warning("repaired %s: %d blocks kept, %d broken ones dropped; peers send what is missing",
                    directory.blocks, kept, dropped)  # fmt: skip
        directory.discard_ledger()  # it may stand on blocks and undo that are gone
        directory.repaired(BLOCKS)
    return blocks, "its blocks had to be repaired"


def _open_readable(directory: Directory, network_id: bytes, *, adopt: bool) -> LevelDb:
    """Open this network's blocks and read all headers: the start needs every one."""
    blocks = LevelDb(directory.blocks, directory.reporter(BLOCKS))
    with _closed_on_error(blocks):
        _claim(blocks, network_id, str(directory.path), adopt=adopt)
        for _ in stored_headers(blocks):
            pass
    return blocks


@contextmanager
def _closed_on_error(kv: Kv) -> Iterator[None]:
    try:
        yield
    except StoreError:
        kv.close()
        raise


def _claim(blocks: Kv, network_id: bytes, where: str, *, adopt: bool) -> None:
    """Raise StoreError unless the blocks are this network's; empty ones become it, and with
    `adopt` those that lost the record that says so."""
    record = blocks.get(META)
    if record is None:
        if not adopt and not _is_empty(blocks):
            raise StoreError(f"{where} holds something else: choose another --datadir")
        blocks.write([(META, encode_meta(BLOCKS_SCHEMA, network_id))], sync=True)
        return
    schema, network, _ = decode_meta(record)
    if schema != BLOCKS_SCHEMA:
        raise StoreError(
            f"{where} has schema {schema} and this version reads {BLOCKS_SCHEMA}:"
            " use the version that made it, or another --datadir"
        )
    if network != network_id:
        raise StoreError(
            f"{where} belongs to network {network.hex()[:8]} and this is {network_id.hex()[:8]}:"
            " use the network file it was made with, or another --datadir"
        )


def _is_empty(rows: Reads) -> bool:
    return next(rows.scan(b"", b"\xff"), None) is None


# --- ledger/ -------------------------------------------------------------------------------


def _open_ledger(
    directory: Directory, blocks: Reads, network_id: bytes, index: bool | None, inspect: bool, why: str | None
) -> tuple[LevelDb, Tip, bool, str | None]:
    """The ledger, its tip, whether it is indexed, and why it is a new one, if it is.

    `why` is a reason to throw the old one away, if there is one already.
    """
    why = why or directory.reported(LEDGER)
    if why is None:
        try:
            opened = _open_whole(directory, blocks, network_id, index, inspect)
            if opened[1] == EMPTY_TIP and not inspect and next(stored_headers(blocks), None):
                log.warning("building %s from the stored blocks: it is empty", directory.ledger)
            return *opened, None
        except Damaged as damage:
            if inspect:
                raise
            why = str(damage)
    if inspect:
        raise Damaged(f"{directory.ledger} is damaged ({why}): start the node to have it rebuilt")
    log.warning("building %s anew from the stored blocks: %s", directory.ledger, why)
    directory.discard_ledger()
    return *_open_whole(directory, blocks, network_id, index, inspect), why


def _open_whole(
    directory: Directory, blocks: Reads, network_id: bytes, index: bool | None, inspect: bool
) -> tuple[LevelDb, Tip, bool]:
    """Open `ledger/` and check it; an empty one is given its first records."""
    ledger = LevelDb(directory.ledger, directory.reporter(LEDGER))
    with _closed_on_error(ledger):
        found = _check_ledger(ledger, blocks, network_id, index, str(directory.ledger))
        if found is None and inspect:
            raise Damaged(f"{directory.ledger} is empty: start the node to have it built")
        tip, has_index = found or _start_ledger(ledger, network_id, index is not False)
    return ledger, tip, has_index


def _start_ledger(ledger: Kv, network_id: bytes, index: bool) -> tuple[Tip, bool]:
    meta = encode_meta(LEDGER_SCHEMA, network_id, bytes((index,)))
    ledger.write([(META, meta), (TIP, encode_tip(EMPTY_TIP))], sync=True)
    return EMPTY_TIP, index


def _check_ledger(
    ledger: Reads, blocks: Reads, network_id: bytes, index: bool | None, where: str
) -> tuple[Tip, bool] | None:
    """Its tip and whether it is indexed; None if it is empty. Raises Damaged unless tip, digest
    and blocks agree, and StoreError if it is whole but not what was asked for."""
    meta, record = ledger.get(META), ledger.get(TIP)
    if meta is None and record is None and _is_empty(ledger):
        return None
    tip = decode_tip(record) if record else None
    if meta is None or tip is None:
        raise Damaged(f"{where} is damaged (no tip)")
    schema, network, extra = decode_meta(meta)
    has_index = extra == b"\x01"
    if schema != LEDGER_SCHEMA:
        raise StoreError(f"{where} has schema {schema} and this version reads {LEDGER_SCHEMA}: run groatd reindex")
    if network != network_id:
        raise Damaged(f"{where} is damaged (another network's)")
    if index is not None and index != has_index:
        made, start = ("with", "without") if has_index else ("without", "with")
        raise StoreError(f"{where} was made {made} its indexes: start {start} --no-index, or run groatd reindex")
    if not _stands_on_blocks(tip, blocks):
        raise Damaged(f"{where} is damaged (blocks below its tip are missing)")
    if coins_digest(coins_of(ledger)) != tip.digest:
        raise Damaged(f"{where} is damaged (its coins do not match the digest of its tip)")
    return tip, has_index


def _stands_on_blocks(tip: Tip, blocks: Reads) -> bool:
    """True if every block from the tip down to genesis is stored."""
    wanted, height = tip.hash, tip.height
    for stored_height, block_hash, raw in stored_headers(blocks, reverse=True):
        if stored_height == height and block_hash == wanted:
            wanted, height = BlockHash(raw[4:36]), height - 1
    return height == 0 and wanted == GENESIS.hash
