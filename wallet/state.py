"""What the wallet remembers between commands, as values and as JSON. Pure.

All of it can be found again from the words and the chain, but for one thing: payments that no
node has any more. So those are kept whole until they are buried.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from chain.errors import Rejected
from chain.hashes import BlockHash, Txid, from_hex, to_hex
from chain.params import COINBASE_MATURITY
from chain.tx import MAX_MONEY, OutPoint, Tx, decode_tx, outpoint, outpoint_index, outpoint_txid
from wallet.derivation import CHANGE, INDEX_MAX, RECEIVE, KeyPath
from wallet.errors import DamagedFile
from wallet.fields import Fields

BURIED_DEPTH = 6
"""Confirmations after which a payment or an emptied address is taken for settled."""
PENDING_KEEP_BLOCKS = 2_016
"""How long a payment that can no longer confirm is kept: some fork might bring its coins back."""
PENDING_MAX = 20_000
ADDRESSES_MAX = 10_000_000
"""More of either is no file of ours; `send` stops before."""
SNAPSHOT_COINS_MAX = 20_000
"""With more coins than this the snapshot is not written down, and every payment looks anew."""
HEIGHT_MAX = 2**31 - 1
INDEX_DIGITS_MAX = 9
RAW_MAX = 100_000
"""Bytes of the largest transaction that nodes relay."""


class Fate(StrEnum):
    """What became of a payment of ours."""

    SENT = "sent"
    """Signed and handed over; the last look at the chain does not show it yet."""
    SEEN = "seen"
    """The last look at the chain shows it, in a block or waiting."""
    LOST = "lost"
    """Its coins are gone: something else spent them. Counts for nothing unless that changes."""


@dataclass(frozen=True, slots=True)
class OwnCoin:
    """An unspent output of ours."""

    outpoint: OutPoint
    value: int
    """Satoshis."""
    path: KeyPath
    """The key that spends it."""
    height: int | None
    """Of its block; None while unconfirmed."""
    is_coinbase: bool = False
    own: bool = False
    """Unconfirmed, and made by a payment of ours: nobody else can take it back."""

    def confirmations(self, tip_height: int) -> int:
        """Blocks from its own to the tip, both counted; 0 while unconfirmed."""
        return 0 if self.height is None else max(1, tip_height - self.height + 1)

    def is_mature(self, tip_height: int) -> bool:
        """True if the next block may spend it."""
        return not self.is_coinbase or self.confirmations(tip_height) >= COINBASE_MATURITY


@dataclass(frozen=True)
class Pending:
    """A payment of ours that is not buried yet."""

    raw: bytes
    """The signed transaction."""
    fee: int
    """Satoshis."""
    inputs: tuple[tuple[int, KeyPath], ...]
    """Value and key of each coin it spends, in its inputs' order."""
    outputs: tuple[tuple[int, KeyPath], ...]
    """Index and key of each output that comes back to us."""
    sent_height: int
    """The tip's height when it was made."""
    fate: Fate = Fate.SENT
    height: int | None = None
    """Of its block at the last look at the chain; None while unconfirmed."""

    @cached_property
    def tx(self) -> Tx:
        """The transaction."""
        return decode_tx(self.raw)

    @property
    def txid(self) -> Txid:
        """Its id."""
        return self.tx.txid


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the chain said about the wallet when the tip was this block."""

    tip: BlockHash
    height: int
    coins: tuple[OwnCoin, ...]


@dataclass(frozen=True, slots=True)
class State:
    """Everything that changes. Values are replaced, never altered."""

    receive_next: int = 1
    """Receiving addresses handed out so far; the first one counts from the start."""
    change_next: int = 0
    """Change addresses used so far."""
    pending: tuple[Pending, ...] = ()
    """Oldest first, so that a payment comes after those whose change it spends."""
    snapshot: Snapshot | None = None
    settled: frozenset[KeyPath] = field(default_factory=frozenset)
    """Addresses used, emptied, and quiet since: a payment need not ask for their coins again."""


# --- JSON ------------------------------------------------------------------------------------


def encode_state(state: State) -> dict[str, Any]:
    """The state as JSON holds it: lists rather than objects where there may be thousands."""
    return {
        "receive_next": state.receive_next,
        "change_next": state.change_next,
        "pending": [
            {
                "raw": pending.raw.hex(),
                "fee": pending.fee,
                "inputs": [[value, path.chain, path.index] for value, path in pending.inputs],
                "outputs": [[index, path.chain, path.index] for index, path in pending.outputs],
                "sent_height": pending.sent_height,
                "fate": pending.fate,
                "height": pending.height,
            }
            for pending in state.pending
        ],
        "snapshot": _encode_snapshot(state.snapshot),
        "settled": {
            "receive": _indexes(state.settled, RECEIVE),
            "change": _indexes(state.settled, CHANGE),
        },
    }


def _encode_snapshot(snapshot: Snapshot | None) -> dict[str, Any] | None:
    if snapshot is None or len(snapshot.coins) > SNAPSHOT_COINS_MAX:
        return None
    rows = [
        [format_outpoint(c.outpoint), c.value, c.path.chain, c.path.index, c.height, int(c.is_coinbase), int(c.own)]
        for c in snapshot.coins
    ]
    return {"tip": to_hex(snapshot.tip), "height": snapshot.height, "coins": rows}


def _indexes(paths: Iterable[KeyPath], chain: int) -> list[int]:
    return sorted(path.index for path in paths if path.chain == chain)


def decode_state(fields: Fields) -> State:
    """The state that JSON holds. Raises DamagedFile."""
    settled = fields.object("settled")
    return State(
        fields.integer("receive_next", 1, ADDRESSES_MAX),
        fields.integer("change_next", 0, ADDRESSES_MAX),
        tuple(_decode_pending(Fields(row, "a payment")) for row in fields.rows("pending", PENDING_MAX)),
        _decode_snapshot(fields.object("snapshot")) if fields.has("snapshot") else None,
        frozenset(
            _path(chain, index)
            for chain, key in ((RECEIVE, "receive"), (CHANGE, "change"))
            for index in settled.rows(key, ADDRESSES_MAX)
        ),
    )


def _decode_pending(fields: Fields) -> Pending:
    height = fields.integer("height", 0, HEIGHT_MAX) if fields.has("height") else None
    fate = fields.text("fate", 8)
    if fate not in set(Fate):
        raise DamagedFile("a payment's fate is unknown")
    pending = Pending(
        fields.content("raw", 60, RAW_MAX),
        fields.integer("fee", 0, MAX_MONEY),
        tuple((_amount(value), _path(*place)) for value, *place in _rows_of(fields.rows("inputs", RAW_MAX), 3)),
        tuple((_amount(index), _path(*place)) for index, *place in _rows_of(fields.rows("outputs", RAW_MAX), 3)),
        fields.integer("sent_height", 0, HEIGHT_MAX),
        Fate(fate),
        height,
    )
    try:
        tx = pending.tx
    except Rejected as error:
        raise DamagedFile("a payment does not decode") from error
    if len(tx.inputs) != len(pending.inputs) or any(index >= len(tx.outputs) for index, _ in pending.outputs):
        raise DamagedFile("a payment's inputs or outputs do not match its transaction")
    return pending


def _decode_snapshot(fields: Fields) -> Snapshot:
    try:
        tip = BlockHash(from_hex(fields.text("tip", 64)))
    except ValueError as error:
        raise DamagedFile("the snapshot's tip is not a hash") from error
    coins = []
    for point, value, chain, index, height, is_coinbase, own in _rows_of(fields.rows("coins", SNAPSHOT_COINS_MAX), 7):
        if height is not None and (type(height) is not int or not 0 <= height <= HEIGHT_MAX):
            raise DamagedFile("a coin's height is wrong")
        try:
            outpoint_bytes = parse_outpoint(point if isinstance(point, str) else "")
        except ValueError as error:
            raise DamagedFile("a coin's outpoint is wrong") from error
        coins.append(OwnCoin(outpoint_bytes, _amount(value), _path(chain, index), height, bool(is_coinbase), bool(own)))
    return Snapshot(tip, fields.integer("height", 0, HEIGHT_MAX), tuple(coins))


def _rows_of(rows: Iterable[Any], width: int) -> Iterable[list[Any]]:
    for row in rows:
        if not isinstance(row, list) or len(row) != width:
            raise DamagedFile("a row has the wrong width")
        yield row


def _path(chain: Any, index: Any) -> KeyPath:
    if (
        type(chain) is not int
        or chain not in (RECEIVE, CHANGE)
        or type(index) is not int
        or not 0 <= index <= INDEX_MAX
    ):
        raise DamagedFile("a key's place is wrong")
    return KeyPath(chain, index)


def _amount(number: Any) -> int:
    if type(number) is not int or not 0 <= number <= MAX_MONEY:
        raise DamagedFile("an amount is wrong")
    return number


# --- outpoints as people write them ----------------------------------------------------------


def format_outpoint(point: OutPoint) -> str:
    """txid:index."""
    return f"{to_hex(outpoint_txid(point))}:{outpoint_index(point)}"


def parse_outpoint(text: str) -> OutPoint:
    """The outpoint of txid:index. Raises ValueError."""
    txid, _, index = text.strip().partition(":")
    try:
        if not (index.isascii() and index.isdecimal() and len(index) <= INDEX_DIGITS_MAX):
            raise ValueError("no index")
        return outpoint(Txid(from_hex(txid)), int(index))
    except ValueError as error:
        raise ValueError(f"{text!r} is not an outpoint: write txid:index") from error
