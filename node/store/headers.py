"""The stored headers: what a start reads of `blocks/`."""

import logging
from collections.abc import Iterator

from chain.block import HEADER_SIZE
from chain.hashes import sha256d, to_hex
from chain.params import GENESIS
from node.ports import Tip
from node.store.kv import Reads, scan_prefix
from node.store.schema import HEADER, split_block_key

log = logging.getLogger("groat.store")

_PLACE_SIZE = 36
"""Height and hash in front of each header, as in its key."""
_RECORD_SIZE = _PLACE_SIZE + HEADER_SIZE


class StoredHeaders:
    """The header of every stored body, read once and in one piece, as a start asks for it twice."""

    def __init__(self, blocks: Reads) -> None:
        """Those that do not fit their hash are left out. Raises Damaged where one cannot be read."""
        self._records = bytearray()
        for key, raw in scan_prefix(blocks, HEADER):
            if sha256d(raw) == key[5:]:
                self._records += key[1:] + raw
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
            middle = start + _PLACE_SIZE
            yield int.from_bytes(records[start : start + 4], "big"), bytes(records[middle : start + _RECORD_SIZE])

    def reach(self, tip: Tip) -> bool:
        """True if every block from the tip down to genesis is stored."""
        records, wanted = self._records, tip.height.to_bytes(4, "big") + tip.hash
        for start in range(len(records) - _RECORD_SIZE, -1, -_RECORD_SIZE):
            middle = start + _PLACE_SIZE
            if records[start:middle] == wanted:
                height = int.from_bytes(wanted[:4], "big")
                wanted = (height - 1).to_bytes(4, "big") + bytes(records[middle + 4 : middle + 36])
        return wanted == bytes(4) + GENESIS.hash
