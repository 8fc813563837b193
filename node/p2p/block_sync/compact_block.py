"""Compact blocks: a block as short ids of its transactions, and the block again from what is here.

Both are costly for large blocks and need neither lock nor chain: `Rebuild` and `Fill` are jobs for
`ports.Compute`. As BIP152, with blake2b, which hashlib has, in the place of SipHash.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import NamedTuple

from chain.block import Block, make_block
from chain.errors import Invalid
from chain.hashes import Wtxid
from chain.params import Params
from chain.tx import Tx
from node.interface.checked_block import CheckedBlock, examine
from node.interface.messages import COINBASE_BYTES_MAX, SHORT_ID_SIZE, CompactBlock
from node.mempool.view import MempoolView

TAKEN = -1
"""The position of a short id that two transactions here have."""


def short_ids(wtxids: Iterable[bytes], salt: bytes) -> list[bytes]:
    """6 bytes for each: with a salt that the sender draws anew, nobody can prepare two transactions
    that have the same."""
    hashed = partial(blake2b, digest_size=SHORT_ID_SIZE, key=salt)
    return [hashed(wtxid).digest() for wtxid in wtxids]


def shorten(block: Block, salt: bytes) -> CompactBlock | None:
    """The block's compact form, or None where it has to be sent whole."""
    coinbase, *others = block.txs
    if len(coinbase.raw) > COINBASE_BYTES_MAX:
        return None
    return CompactBlock(block.header, salt, coinbase, tuple(short_ids([tx.wtxid for tx in others], salt)))


@dataclass(frozen=True, slots=True)
class PartialBlock:
    """A block some of whose transactions are not here."""

    compact: CompactBlock
    txs: tuple[Tx | None, ...]
    missing: tuple[int, ...]
    """Positions of those that are None."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A block that is its header's."""

    body: CheckedBlock
    form: CompactBlock | None
    """The compact block with our own salt, to be passed on."""


class Unfit(NamedTuple):
    """No block that is the header's: two short ids are equal, or what is here has the short id of
    what is meant. Nobody's fault."""


class Materials(NamedTuple):
    """Inputs of a job besides the message. All of it may be read without the lock."""

    pool: MempoolView
    spare: Sequence[Tx]
    """Orphans, and what left the pool or was refused not long ago."""
    confirmed: Sequence[Block]
    """The last blocks of our chain: another block of the same height holds much the same."""
    params: Params
    salt: bytes
    """Salt of our own form of the block."""


@dataclass(frozen=True, slots=True)
class Rebuild:
    """A compact block's transactions, looked for here."""

    compact: CompactBlock
    given: Materials

    def __call__(self) -> Rebuilt | PartialBlock | Unfit:
        """The block, or what is missing."""
        compact, given = self.compact, self.given
        wanted = {short_id: position for position, short_id in enumerate(compact.short_ids, 1)}
        if len(wanted) != len(compact.short_ids):
            return Unfit()
        txs: list[Tx | None] = [compact.coinbase, *[None] * len(compact.short_ids)]
        _fill_from_pool(txs, wanted, compact.salt, given.pool)
        if None in txs:
            spare = [*given.spare, *(tx for block in given.confirmed for tx in block.txs[1:])]
            ids = short_ids([tx.wtxid for tx in spare], compact.salt)
            for short_id, tx in zip(ids, spare, strict=True):
                _put(txs, wanted, short_id, tx)
        missing = tuple(position for position, tx in enumerate(txs) if tx is None)
        if missing:
            return PartialBlock(compact, tuple(txs), missing)
        return _finish(compact, tuple(tx for tx in txs if tx), given)


@dataclass(frozen=True, slots=True)
class Fill:
    """The missing transactions put into their places: as many as there are."""

    partial: PartialBlock
    txs: tuple[Tx, ...]
    given: Materials

    def __call__(self) -> Rebuilt | Unfit:
        """The block, if that is it."""
        brought = iter(self.txs)
        return _finish(self.partial.compact, tuple([tx or next(brought) for tx in self.partial.txs]), self.given)


def _fill_from_pool(txs: list[Tx | None], wanted: dict[bytes, int], salt: bytes, pool: MempoolView) -> None:
    """Look once through all that waits here, however much of it is in the block."""
    held = list(pool.wtxids.items())
    for short_id, (wtxid, txid) in zip(short_ids([wtxid for wtxid, _ in held], salt), held, strict=True):
        if short_id in wanted and (entry := pool.entry(txid)) and entry.tx.wtxid == wtxid:
            _put(txs, wanted, short_id, entry.tx)


def _put(txs: list[Tx | None], wanted: dict[bytes, int], short_id: bytes, tx: Tx) -> None:
    """Put a transaction in the place of its short id; where two have it, it has to be asked for."""
    position = wanted.get(short_id, TAKEN)
    if position == TAKEN:
        return
    there = txs[position]
    if there is None:
        txs[position] = tx
    elif there.wtxid != tx.wtxid:
        txs[position] = None
        wanted[short_id] = TAKEN


def _finish(compact: CompactBlock, txs: tuple[Tx, ...], given: Materials) -> Rebuilt | Unfit:
    block = make_block(compact.header, txs)
    checked: Collection[Wtxid] = given.pool.wtxids
    try:
        body = examine(block, given.params, checked)
    except Invalid:
        return Unfit()  # its proof of work was looked at before
    return Rebuilt(body, shorten(block, given.salt) if body.fault is None else None)
