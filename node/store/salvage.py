"""What a repaired `blocks/` still holds. LevelDB's repair keeps log records unchecked, so each
block is held against its own hash, merkle root and witness commitment."""

from collections.abc import Iterator

from chain.block import HEADER_SIZE, decode_block
from chain.check import check_body
from chain.errors import Invalid
from chain.hashes import BlockHash
from node.store.kv import Edit, Kv, scan_prefix
from node.store.schema import BODY, HEADER, UNDO, block_key, decode_undo, split_block_key

EDITS_MAX = 1_000
"""In one write."""


def salvage(blocks: Kv) -> tuple[int, int]:
    """Drop what is broken, and headers without a body; the numbers of blocks kept and dropped."""
    whole: set[bytes] = set()
    lost = 0
    edits: list[Edit] = []
    for key, raw in scan_prefix(blocks, BODY):
        height, block_hash = split_block_key(key)
        if _is_whole(raw, block_hash):
            whole.add(key[1:])
            edits.append((block_key(HEADER, height, block_hash), raw[:HEADER_SIZE]))
        else:
            lost += 1
            edits.append((key, None))
        if len(edits) >= EDITS_MAX:
            blocks.write(edits, sync=False)
            edits.clear()
    edits += _orphans(blocks, whole)
    blocks.write(edits, sync=True)
    return len(whole), lost


def _is_whole(raw: bytes, block_hash: BlockHash) -> bool:
    try:
        block = decode_block(raw)
        check_body(block)
    except Invalid:
        return False
    return block.hash == block_hash


def _orphans(blocks: Kv, whole: set[bytes]) -> Iterator[Edit]:
    """Headers and undo whose block is gone, and undo that fails its checksum."""
    for key, _ in scan_prefix(blocks, HEADER):
        if key[1:] not in whole:
            yield key, None
    for key, record in scan_prefix(blocks, UNDO):
        if key[1:] not in whole or decode_undo(key, record) is None:
            yield key, None
