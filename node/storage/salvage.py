"""The rest of a repaired `blocks/` that is still whole. LevelDB's repair keeps log records unchecked, so each
block is held against its own hash, merkle root and witness commitment."""

import logging
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from chain.block import HEADER_SIZE, Block, decode_block
from chain.check import check_body
from chain.errors import Invalid
from node.interface.storage import LostBlocks
from node.storage.kv import Edit, Kv, scan_prefix
from node.storage.schema import (
    BLOCK_KEY_SIZE,
    BODY,
    CONNECTED,
    HEADER,
    LOST,
    LOST_VALUE,
    MARK,
    UNDO,
    block_key,
    decode_coins,
    split_block_key,
    unseal,
)
from node.storage.table_salvage import rows_of

log = logging.getLogger("groat.store")

EDITS_MAX = 1_000
"""Changes in one write."""
NAMED_MAX = 20
"""Lost blocks that the log names one by one."""
MARK_KEY_SIZE = 33
MARKS = (b"invalid", b"operator")


def recover_tables(blocks: Kv, tables: Iterable[Path]) -> int:
    """Put back what is in tables that LevelDB gave up, as far as it is not there; how many rows.
    Raises OSError."""
    recovered = 0
    for table in tables:
        edits: dict[bytes, bytes] = {}
        for key, row in rows_of(table.read_bytes()):
            if _is_ours(key, row) and key not in edits and blocks.get(key) is None:
                edits[key] = row
        blocks.write(edits.items(), sync=True)
        recovered += len(edits)
    return recovered


def salvage(blocks: Kv) -> tuple[int, int]:
    """Drop what is broken, and headers without a body; the numbers of blocks kept and dropped."""
    spent_counts: dict[bytes, int] = {}
    """Number of coins that each whole block spends."""
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
    blocks.write(edits, sync=False)
    blocks.write(_of_headers(blocks, spent_counts), sync=False)
    blocks.write(_of_undo(blocks, spent_counts), sync=True)
    return len(spent_counts), lost


def note_lost(blocks: Kv, lost: Iterable[bytes]) -> None:
    """Say which blocks, by height and hash, are gone, and remember it until the chain is as high again."""
    places = sorted(lost)
    if not places:
        return
    heights = [int.from_bytes(place[:4], "big") for place in places]
    for height, place in list(zip(heights, places, strict=True))[:NAMED_MAX]:
        log.error("lost block %s at height %d", place[:3:-1].hex(), height)
    log.error("%d blocks are lost, from height %d to %d: peers send them again", len(places), heights[0], heights[-1])
    facts = LostBlocks(len(places), heights[0], heights[-1])
    if (before := blocks.get(LOST)) is not None:
        earlier = LostBlocks(*LOST_VALUE.unpack(before))
        facts = LostBlocks(max(facts.count, earlier.count), min(facts.low, earlier.low), max(facts.high, earlier.high))
    blocks.write([(LOST, LOST_VALUE.pack(facts.count, facts.low, facts.high))], sync=True)


def tell_lost_beside(places: Iterable[bytes]) -> None:
    """Say which blocks beside the best chain, by height and hash, are gone, or known without the coins that they
    spent, as if they had never been connected: nothing has them made again."""
    for place in sorted(places)[:NAMED_MAX]:
        height = int.from_bytes(place[:4], "big")
        log.error("lost block %s at height %d beside the best chain, or its undo", place[:3:-1].hex(), height)


def _is_ours(key: bytes, row: bytes) -> bool:
    """True for rows that may be what their keys say; those of the table's index are not."""
    if key[:1] == MARK:
        return len(key) == MARK_KEY_SIZE and row in MARKS
    return key[:1] in (BODY, UNDO) and len(key) >= BLOCK_KEY_SIZE


def _values(blocks: Kv, prefix: bytes) -> Iterator[tuple[bytes, list[bytes], bytes]]:
    """The values found: each one's key, the keys of its parts, and the parts in one."""
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


def _of_headers(blocks: Kv, spent_counts: dict[bytes, int]) -> Iterator[Edit]:
    """Headers whose block is gone."""
    for key, _ in scan_prefix(blocks, HEADER):
        if key[1:] not in spent_counts:
            yield key, None


def _of_undo(blocks: Kv, spent_counts: dict[bytes, int]) -> Iterator[Edit]:
    """Undo that is not whole, or whose block is gone, goes; headers tell of the rest."""
    for key, rows in groupby(scan_prefix(blocks, UNDO), lambda row: row[0][:BLOCK_KEY_SIZE]):
        records = list(rows)
        parts = [unseal(part, record) for part, record in records]
        coins = decode_coins(b"".join([part for part in parts if part is not None]))
        if None in parts or coins is None or len(coins) != spent_counts.get(key[1:]):
            yield from ((part, None) for part, _ in records)
            continue
        header = block_key(HEADER, *split_block_key(key))
        raw = blocks.get(header)
        assert raw is not None
        yield header, raw[:HEADER_SIZE] + CONNECTED
