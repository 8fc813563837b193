"""Opening a store: whose is it, is it whole, and what to do if not.

`blocks/` is repaired in place: each block that is still whole stays, what is lost is named, and peers send it again.
`ledger/` is thrown away: an ordinary start then connects the stored blocks from genesis. Nothing is served from a
ledger whose digest does not match its tip, or whose blocks, undo and commits are not all here.

The digest is computed again unless a record vouches for it. That is written when the store is
closed and when the digest was found right, and goes with the next commit, in its batch: so as
long as it is there, nothing was written since. What decays on the disk meanwhile, LevelDB's
checksums find when it is read; what it drops without a word (see schema.py), each start finds out.

An inspection works on a scratch copy of what LevelDB writes to (see scratch_copy.py): it leaves everything
as it is, may read what it may not write, and reads every row.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from chain.block import HEADER_SIZE
from node.interface.storage import Damaged, StoreError
from node.storage.data_dir import BLOCKS, LEDGER, DataDir
from node.storage.headers import StoredHeaders
from node.storage.kv import Kv, Reads, scan_prefix
from node.storage.ledger import Ledger
from node.storage.ledger_check import EMPTY_TIP, LedgerState, check_ledger, is_empty, start_ledger
from node.storage.leveldb import LevelDb, explain, repair
from node.storage.memory import MemoryDisk
from node.storage.salvage import note_lost, recover_tables, salvage, tell_lost_beside
from node.storage.schema import (
    BLOCKS_SCHEMA,
    CHAIN,
    CONNECTED,
    HEADER,
    LEFT,
    META,
    decode_meta,
    encode_meta,
)
from node.storage.scratch_copy import ScratchCopy

log = logging.getLogger("groat.store")

OLDEST_BLOCKS_SCHEMA = 1
"""The oldest schema of `blocks/` that is still read."""
UNDO_TOLD_SCHEMA = 3
"""The schema of `blocks/` from which on headers tell of undo."""


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
        directory = DataDir(path, create=not inspect)
        stack.callback(directory.release)
        if inspect:
            scratch = ScratchCopy(path)
            stack.callback(scratch.remove)
            directory.blocks, directory.ledger = scratch.path / BLOCKS, scratch.path / LEDGER
        blocks, headers, why = _open_blocks(directory, network_id, inspect)
        stack.callback(blocks.close)
        if reindex:
            why = "reindex"
        ledger, found, why = _open_ledger(directory, blocks, headers, network_id, index, inspect, why)
        release = stack.pop_all()
    return Ledger(
        blocks,
        ledger,
        found.tip,
        found.has_index,
        directory.reporter(BLOCKS),
        directory.reporter(LEDGER),
        release.close,
        headers=headers,
        commits=found.commits,
        vouched=found.vouched,
        read_only=inspect,
        rebuilding=why,
    )


def open_memory(disk: MemoryDisk, network_id: bytes, *, index: bool = True) -> Ledger:
    """The store on a disk in memory. Raises StoreError as `open_store` does."""
    _claim(disk.blocks, network_id, "this memory disk", adopt=False, inspect=False)
    headers = StoredHeaders(disk.blocks)
    found = check_ledger(disk.ledger, headers, network_id, index, False, "its ledger")
    found = found or start_ledger(disk.ledger, headers, network_id, index)
    return Ledger(
        disk.blocks,
        disk.ledger,
        found.tip,
        found.has_index,
        log.error,
        log.error,
        lambda: None,
        headers=headers,
        commits=found.commits,
        vouched=found.vouched,
    )


def _open_blocks(directory: DataDir, network_id: bytes, inspect: bool) -> tuple[LevelDb, StoredHeaders, str | None]:
    """The blocks, their headers, and why they had to be repaired, if they had to."""
    why = directory.reported(BLOCKS)
    if why is None:
        try:
            return *_open_readable(directory, network_id, inspect), None
        except Damaged as damage:
            why = str(damage)
            directory.reporter(BLOCKS)(why)
    if inspect:
        raise Damaged(f"{directory.path / BLOCKS} is damaged ({why}): start the node to have it repaired")
    log.warning("repairing %s", directory.blocks)
    tables = repair(directory.blocks)
    blocks = LevelDb(directory.blocks, directory.reporter(BLOCKS))
    with _closed_on_error(blocks):
        if _is_ledger_ours(directory, network_id):  # the blocks' record may be what is damaged
            blocks.write([(META, encode_meta(BLOCKS_SCHEMA, network_id))], sync=True)
        _claim(blocks, network_id, str(directory.path), adopt=True, inspect=False)
        _repair_blocks(directory, blocks, tables)
        headers = StoredHeaders(blocks)
        _discard_ledger(directory, blocks, headers)  # it may stand on blocks and undo that are gone
        directory.repaired(BLOCKS)
    return blocks, headers, "its blocks had to be repaired"


def _repair_blocks(directory: DataDir, blocks: Kv, tables: list[Path]) -> None:
    """Keep all that is still what its hash says; the log says what is not."""
    stored, connected = _headers_and_undo(blocks)
    try:
        recovered = recover_tables(blocks, tables)
    except OSError as error:
        raise explain(directory.blocks, str(error)) from error
    if recovered:
        log.warning("%d rows were read out of tables whose index is lost", recovered)
    kept, dropped = salvage(blocks)
    log.warning("repaired %s: %d blocks kept, %d broken ones dropped", directory.blocks, kept, dropped)
    stored_now, connected_now = _headers_and_undo(blocks)
    note_lost(blocks, stored - stored_now)
    # The best chain's undo is made again.
    tell_lost_beside((connected & stored_now) - connected_now - _chain_of(directory)[0])


def _headers_and_undo(blocks: Kv) -> tuple[set[bytes], set[bytes]]:
    """Height and hash of each block with a header, and of each whose header tells of undo."""
    records = {key[1:]: raw for key, raw in scan_prefix(blocks, HEADER)}
    return set(records), {place for place, raw in records.items() if raw[HEADER_SIZE:] == CONNECTED}


def _open_readable(directory: DataDir, network_id: bytes, inspect: bool) -> tuple[LevelDb, StoredHeaders]:
    """Open this network's blocks and read all headers: the start needs every one."""
    blocks = LevelDb(directory.blocks, directory.reporter(BLOCKS), create=not inspect, known_as=directory.path / BLOCKS)
    with _closed_on_error(blocks):
        if inspect:
            read_all(blocks)
        schema = _claim(blocks, network_id, str(directory.path), adopt=False, inspect=inspect)
        headers = StoredHeaders(blocks, tell_undo=schema >= UNDO_TOLD_SCHEMA)
        if schema < BLOCKS_SCHEMA and not inspect:
            _upgrade(blocks, headers, network_id)
    return blocks, headers


def _upgrade(blocks: Kv, headers: StoredHeaders, network_id: bytes) -> None:
    """Have headers tell of undo, where an earlier version has written them."""
    blocks.write(((HEADER + place, raw + CONNECTED) for place, raw in headers.connected()), sync=True)
    blocks.write([(META, encode_meta(BLOCKS_SCHEMA, network_id))], sync=True)


def read_all(rows: Reads) -> None:
    """Read every row, so that whatever fails its checksum is found. Raises Damaged."""
    for _ in rows.scan(b"", b"\xff"):
        pass


@contextmanager
def _closed_on_error(kv: Kv) -> Iterator[None]:
    try:
        yield
    except StoreError:
        kv.close()
        raise


def _claim(blocks: Kv, network_id: bytes, where: str, *, adopt: bool, inspect: bool) -> int:
    """The schema of the blocks. Raises StoreError unless they are this network's; empty ones become
    it, and with `adopt` those that lost the record that says so. Raises Damaged where only that is lost."""
    record = blocks.get(META)
    if record is not None:
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
        return schema
    if record is None and not adopt and not is_empty(blocks):
        if StoredHeaders(blocks):
            raise Damaged(f"{where} is damaged (the record of its network is missing)")
        raise StoreError(f"{where} holds something else: choose another --datadir")
    if not inspect:
        blocks.write([(META, encode_meta(BLOCKS_SCHEMA, network_id))], sync=True)
    return BLOCKS_SCHEMA


def _open_ledger(
    directory: DataDir,
    blocks: Kv,
    headers: StoredHeaders,
    network_id: bytes,
    index: bool | None,
    inspect: bool,
    why: str | None,
) -> tuple[LevelDb, LedgerState, str | None]:
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
        raise Damaged(f"{directory.path / LEDGER} is damaged ({why}): start the node to have it rebuilt")
    log.warning("building %s anew from the stored blocks: %s", directory.ledger, why)
    _discard_ledger(directory, blocks, headers)
    return *_open_whole(directory, headers, network_id, index, inspect), why


def _open_whole(
    directory: DataDir, headers: StoredHeaders, network_id: bytes, index: bool | None, inspect: bool
) -> tuple[LevelDb, LedgerState]:
    """Open `ledger/` and check it; an empty one is given its first records."""
    where = directory.path / LEDGER
    ledger = LevelDb(directory.ledger, directory.reporter(LEDGER), create=not inspect, known_as=where)
    with _closed_on_error(ledger):
        if inspect:
            read_all(ledger)
        found = check_ledger(ledger, headers, network_id, index, inspect, str(where))
        if found is None and inspect:
            raise Damaged(f"{where} is empty: start the node to have it built")
        found = found or start_ledger(ledger, headers, network_id, index is not False)
    return ledger, found


def _discard_ledger(directory: DataDir, blocks: Kv, headers: StoredHeaders) -> None:
    """Throw the ledger away; of the blocks that it names, those that are gone are noted."""
    chain, left = _chain_of(directory)
    note_lost(blocks, chain - headers.places())
    tell_lost_beside(left - {place for place, _ in headers.connected()})
    directory.discard_ledger()


def _chain_of(directory: DataDir) -> tuple[set[bytes], set[bytes]]:
    """Height and hash of each block of the ledger's chain, and of those that left it, as far as they can be read."""
    chain: set[bytes] = set()
    left: set[bytes] = set()
    with suppress(StoreError), _peeked(directory) as ledger:
        chain.update(key[1:] + block_hash for key, block_hash in scan_prefix(ledger, CHAIN))
        left.update(key[1:] for key, _ in scan_prefix(ledger, LEFT))
    return chain, left


def _is_ledger_ours(directory: DataDir, network_id: bytes) -> bool:
    """True if the ledger says that it is this network's."""
    with suppress(StoreError), _peeked(directory) as ledger:
        meta = ledger.get(META)
        return meta is not None and decode_meta(meta)[1] == network_id
    return False


@contextmanager
def _peeked(directory: DataDir) -> Iterator[LevelDb]:
    """The ledger, whatever is wrong with it. Raises StoreError."""
    ledger = LevelDb(directory.ledger, lambda reason: None, create=False)
    try:
        yield ledger
    finally:
        ledger.close()
