"""What a repaired `blocks/` still holds. LevelDB's repair keeps log records unchecked, so each
block is held against its own hash, merkle root and witness commitment."""

from collections.abc import Iterator
from itertools import groupby

from chain.block import HEADER_SIZE, Block, decode_block
from chain.check import check_body
from chain.errors import Invalid
from node.store.kv import Edit, Kv, scan_prefix
from node.store.schema import (
    BLOCK_KEY_SIZE,
    BODY,
    HEADER,
    UNDO,
    block_key,
    decode_coins,
    split_block_key,
    unseal,
)

EDITS_MAX = 1_000
"""In one write."""


def salvage(blocks: Kv) -> tuple[int, int]:
    """Drop what is broken, and headers without a body; the numbers of blocks kept and dropped."""
    spent_counts: dict[bytes, int] = {}
    """How many coins each whole block spends."""
    lost = 0
    edits: list[Edit] = []
    for key, keys, raw in _values(blocks, BODY):
        height, block_hash = split_block_key(key)
        block = _whole_block(raw)
        if block is not None and block.hash == block_hash:
            spent_counts[key[1:]] = sum(len(tx.inputs) for tx in block.txs[1:])
            edits.append((block_key(HEADER, height, block_hash), raw[:HEADER_SIZE]))
        else:
            lost += 1
            edits += [(part, None) for part in keys]
        if len(edits) >= EDITS_MAX:
            blocks.write(edits, sync=False)
            edits.clear()
    edits += _orphans(blocks, spent_counts)
    blocks.write(edits, sync=True)
    return len(spent_counts), lost


def _values(blocks: Kv, prefix: bytes) -> Iterator[tuple[bytes, list[bytes], bytes]]:
    """For each value its key, the keys of its parts, and the parts in one."""
    for key, rows in groupby(scan_prefix(blocks, prefix), lambda row: row[0][:BLOCK_KEY_SIZE]):
        keys, parts = zip(*rows, strict=True)
        yield key, list(keys), b"".join(parts)


def _whole_block(raw: bytes) -> Block | None:
    try:
        block = decode_block(raw)
        check_body(block)
    except Invalid:
        return None
    return block


def _orphans(blocks: Kv, spent_counts: dict[bytes, int]) -> Iterator[Edit]:
    """Headers and undo whose block is gone, and undo that is not whole."""
    for key, _ in scan_prefix(blocks, HEADER):
        if key[1:] not in spent_counts:
            yield key, None
    for key, rows in groupby(scan_prefix(blocks, UNDO), lambda row: row[0][:BLOCK_KEY_SIZE]):
        records = list(rows)
        parts = [unseal(part, record) for part, record in records]
        content = b"".join(part for part in parts if part is not None)
        coins = decode_coins(content)
        if None in parts or coins is None or len(coins) != spent_counts.get(key[1:]):
            yield from ((part, None) for part, _ in records)
