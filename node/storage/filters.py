"""Block filters on disk: `filters/`, beside the ledger and apart from it.

| key                              | value                                                    |
|----------------------------------|----------------------------------------------------------|
| `m`                              | schema version (4), network id (32)                      |
| `f` height (4) block hash (32)   | the block's basic filter, encoded                        |
| `h` height (4) block hash (32)   | its filter header (32)                                   |
| `t`                              | the block (height, hash) up to which there are filters,  |
|                                  | for it and every block before it                         |

Derived from `blocks/`, and named by the hashes of blocks: a reorganisation changes no row, so
this shares no batch with the ledger. Nothing is synced: rows that a power cut takes are the last
ones, and are made again. What is damaged, of another network or of another schema is thrown away.
"""

import logging
from pathlib import Path

from chain.hashes import BlockHash
from node.interface.storage import Damaged, StoreError
from node.storage.data_dir import discard
from node.storage.kv import Kv, OnDamage
from node.storage.leveldb import LevelDb, explain
from node.storage.schema import META, TIP, block_key, encode_meta, split_block_key

log = logging.getLogger("groat.store")

FILTERS = "filters"
FILTERS_SCHEMA = 1
"""Any other has the filters made anew."""
WRITE_BUFFER_BYTES = 256 * 1024
CACHE_BYTES = 256 * 1024
"""Little of both: filters are written once, and read in long rows by few."""
FILTER = b"f"
FILTER_HEADER = b"h"
_HEIGHT = 4


class FilterRows:
    """The rows. From any thread: two that make the same filter write the same bytes."""

    def __init__(self, kv: Kv, network_id: bytes, condemn: OnDamage = log.error) -> None:
        """Claims an empty database. `condemn` has it made anew at the next start. Raises Damaged if it
        holds anything else than this network's filters."""
        self._kv = kv
        self.condemn = condemn
        record, ours = kv.get(META), encode_meta(FILTERS_SCHEMA, network_id)
        if record is None and next(kv.scan(b"", b"\xff"), None) is None:
            kv.write([(META, ours)], sync=False)
        elif record != ours:
            raise Damaged("they are not this network's, or not of this version's schema")

    def reached(self) -> tuple[int, BlockHash] | None:
        """The last block written, as height and hash."""
        record = self._kv.get(TIP)
        return None if record is None else split_block_key(TIP + record)

    def filter(self, height: int, block_hash: BlockHash) -> bytes | None:
        """A block's filter."""
        return self._kv.get(block_key(FILTER, height, block_hash))

    def header(self, height: int, block_hash: BlockHash) -> bytes | None:
        """A block's filter header."""
        return self._kv.get(block_key(FILTER_HEADER, height, block_hash))

    def headers(self, start: int, stop: int) -> dict[BlockHash, bytes]:
        """The filter headers of all blocks at these heights, of every branch, the stop left out."""
        first = FILTER_HEADER + start.to_bytes(_HEIGHT, "big")
        rows = self._kv.scan(first, FILTER_HEADER + stop.to_bytes(_HEIGHT, "big"))
        return {split_block_key(key)[1]: header for key, header in rows}

    def put(self, height: int, block_hash: BlockHash, encoded: bytes, header: bytes) -> None:
        """Write both, together."""
        batch = self._kv.batch(sync=False)
        batch.put(block_key(FILTER, height, block_hash), encoded)
        batch.put(block_key(FILTER_HEADER, height, block_hash), header)
        batch.put(TIP, block_key(b"", height, block_hash))
        batch.write()

    def close(self) -> None:
        """Give up the database. Nobody may be reading any more."""
        self._kv.close()


def open_filters(folder: Path, network_id: bytes) -> FilterRows:
    """The filters in a network's data directory, which the caller owns; made anew if there are none
    that can be used. Raises StoreError for what the system refuses."""
    path = folder / FILTERS
    note = folder / f"{FILTERS}.damaged"
    report = _reporter(path, note)
    try:
        if note.exists():
            raise Damaged(note.read_text(errors="replace").strip())
        return _open(path, network_id, report)
    except Damaged as damage:
        log.warning("making the filters of all blocks anew: %s", damage)
        discard_filters(folder)
        return _open(path, network_id, report)
    except OSError as error:
        raise explain(path, str(error)) from error


def discard_filters(folder: Path) -> None:
    """Throw them away; a node that needs them makes them anew. Raises StoreError."""
    try:
        discard(folder / FILTERS)
        (folder / f"{FILTERS}.damaged").unlink(missing_ok=True)
    except OSError as error:
        raise explain(folder / FILTERS, str(error)) from error


def _open(path: Path, network_id: bytes, report: OnDamage) -> FilterRows:
    kv = LevelDb(path, report, write_buffer_bytes=WRITE_BUFFER_BYTES, cache_bytes=CACHE_BYTES)
    try:
        return FilterRows(kv, network_id, report)
    except StoreError:
        kv.close()
        raise


def _reporter(path: Path, note: Path) -> OnDamage:
    """A callback for when the filters are found broken: leaves a note for the next start."""

    def report(reason: str) -> None:
        if note.exists():
            return
        log.error("%s is damaged (%s): it is made anew when the node starts", path, reason)
        try:
            note.write_text(reason + "\n")
        except OSError as error:
            log.error("cannot leave a note of that for the next start: %s", error)

    return report
