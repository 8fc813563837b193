"""Making blocks: put a candidate together, look for its nonce."""

import hashlib
from collections.abc import Sequence

from chain.block import COMMITMENT_PREFIX, Block, Header, commitment_hash, make_block, make_header, merkle_root
from chain.blocktree import BlockNode
from chain.codec import varbytes
from chain.connect import height_push, subsidy
from chain.params import Params
from chain.pow import next_bits
from chain.target import target_from_bits
from chain.tx import NULL_OUTPOINT, SEQUENCE_FINAL, Tx, TxIn, TxOut, make_tx

VERSION = 0x2000_0000
"""Version of the blocks made here: BIP9's top bits, no signal."""
NONCES = 1 << 32
TAG_MAX = 60
"""Bytes of a miner's name in its coinbases: one push, and the script stays below its 100 bytes."""
TIME_MAX = (1 << 32) - 1
"""The last second that a header can say, in the year 2106."""


def build_block(
    parent: BlockNode,
    txs: Sequence[Tx],
    fees: int,
    script: bytes,
    now: int,
    params: Params,
    extra_nonce: int = 0,
    tag: bytes = b"",
) -> Block:
    """An unsolved block on top of `parent` that pays subsidy and `fees` to `script`.

    Its time is `now`, or the first second that the rules allow. `extra_nonce` (0 to 2^64-1)
    makes the coinbase, and so the block, differ from others with the same content; `tag` is the miner's
    name in it (see TAG_MAX). Raises ValueError at the end of time.
    """
    height = parent.height + 1
    coinbase = build_coinbase(height, subsidy(height, params) + fees, script, txs, extra_nonce, tag)
    everything = (coinbase, *txs)
    root = merkle_root([tx.txid for tx in everything])[0]
    return make_block(next_header(parent, now, params, root), everything)


def next_header(parent: BlockNode, now: int, params: Params, root: bytes = bytes(32)) -> Header:
    """The unsolved header of a block made `now` on top of `parent`. Raises ValueError at the end of time."""
    return make_header(VERSION, parent.hash, root, time_after(parent, now), next_bits(parent, params), 0)


def time_after(parent: BlockNode, now: int) -> int:
    """The time of a block made `now` on top of `parent`: later only where the rules demand it.

    Raises ValueError at the end of time.
    """
    time = max(min(now, TIME_MAX), parent.median_time + 1)
    if time > TIME_MAX:
        raise ValueError("no header can be later than the blocks before")
    return time


def build_coinbase(
    height: int, amount: int, script: bytes, txs: Sequence[Tx], extra_nonce: int, tag: bytes = b""
) -> Tx:
    """The first transaction: it makes `amount` satoshis and commits to the witnesses."""
    reserved = bytes(32)
    spent = TxIn(
        NULL_OUTPOINT,
        height_push(height) + varbytes(extra_nonce.to_bytes(8, "little")) + (varbytes(tag) if tag else b""),
        SEQUENCE_FINAL,
        (reserved,),
    )
    outputs = (TxOut(amount, script), TxOut(0, commitment_script(txs, reserved)))
    return make_tx(2, (spent,), outputs, 0)


def commitment_script(txs: Sequence[Tx], reserved: bytes) -> bytes:
    """The scriptPubKey with which a coinbase commits to the witnesses of all that follow it; `reserved`
    is the one item of its own witness (BIP141)."""
    # The coinbase itself counts as zero in the witness tree, so any stand-in will do.
    blank = make_tx(2, (TxIn(NULL_OUTPOINT, b"", SEQUENCE_FINAL, (reserved,)),), (), 0)
    return COMMITMENT_PREFIX + commitment_hash((blank, *txs), reserved)


def with_nonce(header: Header, nonce: int) -> Header:
    """A header with another nonce."""
    return make_header(header.version, header.prev_hash, header.merkle_root, header.time, header.bits, nonce)


def solve(header: Header, most_hashes: int) -> Header | None:
    """The header with the first nonce that meets its target, after at most `most_hashes` tries."""
    target = target_from_bits(header.bits)
    top_byte = target >> 248
    fixed = hashlib.sha256(header.raw[:76])
    for nonce in range(min(most_hashes, NONCES)):
        inner = fixed.copy()
        inner.update(nonce.to_bytes(4, "little"))
        digest = hashlib.sha256(inner.digest()).digest()
        # The top byte alone rules out most of them.
        if digest[31] <= top_byte and int.from_bytes(digest, "little") <= target:
            return with_nonce(header, nonce)
    return None
