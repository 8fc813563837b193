"""The stored headers: what a start reads of `blocks/`, and what it can tell from them."""

import logging
from collections.abc import Collection, Iterable, Iterator

from chain.block import HEADER_SIZE
from chain.hashes import BlockHash, sha256d, to_hex
from chain.params import GENESIS
from node.interface.storage import StoredTip
from node.storage.kv import Reads, scan_prefix
from node.storage.schema import BLOCK_KEY_SIZE, CONNECTED, HEADER, UNDO, split_block_key

log = logging.getLogger("groat.store")

_PLACE_SIZE = 36
"""Height and hash in front of each header, as in its key."""
_FLAG = _PLACE_SIZE + HEADER_SIZE
"""Offset in a record of the mark that the block has undo."""
_RECORD_SIZE = _FLAG + 1


class StoredHeaders:
    """The header of every stored body, read once and in one piece, as a start asks for it twice."""

    def __init__(self, blocks: Reads, *, tell_undo: bool = True) -> None:
        """Read the stored headers, without those that do not fit their hash. Without `tell_undo` no header tells of
        undo, as before schema 3. Raises Damaged where one cannot be read."""
        self._records = bytearray()
        connected: Collection[bytes] = () if tell_undo else _undo_places(blocks)
        for key, record in scan_prefix(blocks, HEADER):
            raw = record[:HEADER_SIZE]
            if sha256d(raw) == key[5:]:
                has_undo = record[HEADER_SIZE:] == CONNECTED or key[1:] in connected
                self._records += key[1:] + raw + (b"\x01" if has_undo else b"\x00")
            else:
                height, block_hash = split_block_key(key)
                log.error(
                    "stored header of block %s at height %d is not what its hash says", to_hex(block_hash), height
                )

    def __bool__(self) -> bool:
        return bool(self._records)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """(height, 80 bytes), heights ascending."""
        records = self._records
        for start in range(0, len(records), _RECORD_SIZE):
            yield int.from_bytes(records[start : start + 4], "big"), bytes(records[start + _PLACE_SIZE : start + _FLAG])

    def places(self) -> set[bytes]:
        """Height and hash of each, as in its key."""
        records = self._records
        return {bytes(records[start : start + _PLACE_SIZE]) for start in range(0, len(records), _RECORD_SIZE)}

    def connected(self) -> Iterator[tuple[bytes, bytes]]:
        """Height and hash, and the 80 bytes, of each that has undo."""
        records = self._records
        for start in range(0, len(records), _RECORD_SIZE):
            if records[start + _FLAG]:
                middle = start + _PLACE_SIZE
                yield bytes(records[start:middle]), bytes(records[middle : start + _FLAG])

    def flaw(self, tip: StoredTip, chain: Iterable[bytes]) -> str | None:
        """Description of what is missing under a ledger with this tip, or None: a body, undo, or one of its commits,
        of which `chain` names the block at each height from 1 on."""
        records, wanted = self._records, tip.height.to_bytes(4, "big") + tip.hash
        way: list[bytes] = []
        without_undo = None
        for start in range(len(records) - _RECORD_SIZE, -1, -_RECORD_SIZE):
            middle = start + _PLACE_SIZE
            if records[start:middle] == wanted:
                if not records[start + _FLAG]:
                    without_undo = wanted
                way.append(wanted[4:])
                wanted = (int.from_bytes(wanted[:4], "big") - 1).to_bytes(4, "big")
                wanted += bytes(records[middle + 4 : middle + 36])
        if wanted != bytes(4) + GENESIS.hash:
            return f"blocks below its tip are missing, the highest is {_name(wanted)}"
        if without_undo:
            return f"undo below its tip is missing, the lowest is that of {_name(without_undo)}"
        if list(chain) != way[::-1]:
            return "commits below its tip are missing"
        return None


def _undo_places(blocks: Reads) -> set[bytes]:
    return {key[1:BLOCK_KEY_SIZE] for key, _ in scan_prefix(blocks, UNDO)}


def _name(place: bytes) -> str:
    return f"block {to_hex(BlockHash(place[4:]))} at height {int.from_bytes(place[:4], 'big')}"
