"""The storage that the core calls: `LedgerView` and `Store`, and what they take and give."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from chain.block import Block
from chain.coins import Coin, CoinsDelta
from chain.hashes import BlockHash, Txid
from chain.tx import OutPoint, Tx


class StoreError(Exception):
    """The environment's fault (disk full, permission, corruption): stop, never reject on it."""


class Damaged(StoreError):
    """Stored bytes are not what was written, or not there although they were written. Noted where it is
    found, so that the next start repairs or rebuilds them; never the same as "there is no such thing"."""


@dataclass(frozen=True, slots=True)
class StoredTip:
    """The ledger's state in three facts."""

    hash: BlockHash
    height: int
    digest: int
    """Sum modulo 2^512 of blake2b-512(outpoint || encoded coin) over all coins."""


@dataclass(frozen=True, slots=True)
class LedgerChange:
    """A block as it enters or leaves the best chain."""

    block: Block
    height: int
    undo: tuple[Coin, ...]
    """The coins that its inputs spend, in order, the coinbase's input left out."""


class TxLocation(NamedTuple):
    """The location of a transaction of the best chain."""

    height: int
    position: int
    offset: int
    """Offset in the block's bytes."""
    size: int
    undo_offset: int
    """Offset of the coins that it spent, in the block's undo."""
    undo_size: int


class Spender(NamedTuple):
    """The spender of a coin, in the best chain."""

    txid: Txid
    input_index: int
    height: int


class HistoryRow(NamedTuple):
    """One transaction of a script's history."""

    height: int
    position: int
    txid: Txid


class ScriptStats(NamedTuple):
    """A script's sums over the best chain; amounts in satoshis."""

    tx_count: int
    funded_count: int
    funded_sum: int
    spent_count: int
    spent_sum: int


@dataclass(frozen=True, slots=True)
class LostBlocks:
    """Stored blocks that a repair could not keep, and that peers have to send again."""

    count: int
    low: int
    """Height of the lowest."""
    high: int
    """Height of the highest."""


class LedgerView(Protocol):
    """Consistent reads: of the store now, or of a snapshot for ever. None means that there is no such
    thing; what is there and cannot be read raises Damaged."""

    has_index: bool
    """False with --no-index: tx_location, spender, history, utxos and stats raise LookupError."""

    def tip(self) -> StoredTip: ...
    def coin(self, point: OutPoint) -> Coin | None: ...
    def coins(self) -> Iterator[tuple[OutPoint, Coin]]: ...
    def block(self, height: int, block_hash: BlockHash) -> bytes | None:
        """The body, or None if it was never stored."""
        ...

    def undo(self, height: int, block_hash: BlockHash) -> tuple[Coin, ...] | None:
        """The coins that the block spent, or None if it was never connected."""
        ...

    def was_connected(self, height: int, block_hash: BlockHash) -> bool:
        """True if the block has undo: it is, or once was, in the best chain."""
        ...

    def undo_sizes(self, top: int) -> Iterator[tuple[int, BlockHash, int]]:
        """(height, hash, bytes of the coins spent) of connected blocks of any branch, from height `top` down; a large
        block comes several times."""
        ...

    def tx_location(self, txid: Txid) -> TxLocation | None: ...
    def tx_at(self, txid: Txid, place: TxLocation, block_hash: BlockHash) -> tuple[Tx, tuple[Coin, ...]]:
        """A transaction of the best chain and the coins it spent, without reading the whole block."""
        ...

    def spender(self, point: OutPoint) -> Spender | None: ...
    def history(self, script_hash: bytes, before: tuple[int, int] | None, limit: int) -> list[HistoryRow]:
        """Newest first, strictly below `before` = (height, position)."""
        ...

    def condemn_ledger(self, reason: str) -> Damaged:
        """The error to raise where rows of the ledger contradict each other; the next start builds it anew."""
        ...

    def utxos(self, script_hash: bytes, limit: int) -> list[tuple[OutPoint, Coin]]: ...
    def stats(self, script_hash: bytes) -> ScriptStats: ...
    def close(self) -> None: ...


class Store(LedgerView, Protocol):
    """Block bodies and the ledger. Raises StoreError for what the environment does."""

    def headers(self) -> Iterator[tuple[int, bytes]]:
        """(height, 80 bytes) of every stored body, genesis left out, heights ascending."""
        ...

    def lost(self) -> LostBlocks | None:
        """Blocks that repairs could not keep, until the best chain is as high again."""
        ...

    def marks(self) -> dict[BlockHash, str]:
        """Blocks not to build on: "invalid" (found so) or "operator" (invalidateblock)."""
        ...

    def set_mark(self, block_hash: BlockHash, mark: str | None) -> None: ...
    def put_block(self, height: int, block_hash: BlockHash, raw: bytes, *, sync: bool) -> None: ...
    def drop_block(self, height: int, block_hash: BlockHash) -> None:
        """Forget a stored body that was never connected, its header and its mark."""
        ...

    def load_coins(self, points: Iterable[OutPoint]) -> None:
        """Have these at hand, as far as they are there, because `coin` is about to be asked for them."""
        ...

    def commit(
        self,
        height: int,
        block_hash: BlockHash,
        delta: CoinsDelta,
        disconnected: Sequence[LedgerChange],
        connected: Sequence[LedgerChange],
    ) -> None:
        """Undo of the connected blocks, then one atomic synced batch: the coins (deletes first,
        then puts), the index rows, the tip and its digest. Nothing is acknowledged before."""
        ...

    def snapshot(self) -> LedgerView: ...
