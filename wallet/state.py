"""The wallet's memory between commands, as values and as JSON. Pure.

All of it can be found again from the words and the chain, but for one thing: payments that no
node shows. So those are kept whole until they are long buried (`wallet.delivery.kept`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from chain.errors import Rejected
from chain.hashes import BlockHash, Txid, from_hex, to_hex
from chain.params import COINBASE_MATURITY
from chain.tx import MAX_MONEY, OutPoint, TxOut, outpoint, outpoint_index, outpoint_txid
from wallet.derivation import CHANGE, GAP_LIMIT, INDEX_MAX, RECEIVE, KeyPath
from wallet.errors import DamagedFile
from wallet.fields import Fields
from wallet.payment import Payment, Stage
from wallet.sizes import WEIGHT_MAX

VERSION = 2
"""Version of the wallet file. Version 1 knew no stages: it took a payment for lost on one node's word."""
PAYMENTS_MAX = 20_000
ADDRESSES_MAX = 10_000_000
"""More of either is no file of ours; `send` stops before."""
SNAPSHOT_COINS_MAX = 20_000
"""Coins of a snapshot at most; with more it is not written down, and every payment looks anew."""
HEIGHT_MAX = 2**31 - 1
INDEX_DIGITS_MAX = 9
RAW_MAX = WEIGHT_MAX
"""Bytes of a transaction: the heaviest that nodes relay has no more than its weight units."""
PARENTS_MAX = 25
"""Unconfirmed transactions of others kept with a payment."""
PARENTS_BYTES_MAX = 404_000
"""Bytes of all those together: policy allows a chain of unconfirmed transactions 101,000 virtual bytes."""
REASON_CHARS_MAX = 300
"""Characters of a node's refusal."""


@dataclass(frozen=True, slots=True)
class OwnCoin:
    """An unspent output of ours."""

    outpoint: OutPoint
    value: int
    """Satoshis."""
    path: KeyPath
    """The key that spends it."""
    height: int | None
    """Height of the transaction's block; None while unconfirmed."""
    is_coinbase: bool = False
    own: bool = False
    """Unconfirmed, and made by a payment of ours: nobody else can take it back."""
    proven: bool = False
    """The value was read from the transaction that made it, whose hash was checked."""

    def confirmations(self, tip_height: int) -> int:
        """Blocks from its own to the tip, both counted; 0 while unconfirmed."""
        return 0 if self.height is None else max(1, tip_height - self.height + 1)

    def is_mature(self, tip_height: int) -> bool:
        """True if the next block may spend it."""
        return not self.is_coinbase or self.confirmations(tip_height) >= COINBASE_MATURITY


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The wallet as the chain had it when the tip was this block."""

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
    change_seen: int = 0
    """Change addresses up to the last that the chain showed in use at the last look."""
    payments: tuple[Payment, ...] = ()
    """Oldest first, so that a payment comes after those whose change it spends."""
    snapshot: Snapshot | None = None
    settled: frozenset[KeyPath] = field(default_factory=frozenset)
    """Addresses used, emptied, and quiet since: a payment need not ask for their coins again."""


def next_change_index(state: State) -> int:
    """The index of the address that the next change goes to: never past the gap limit, so that a
    wallet restored from the words finds it. Where so many in a row are not shown by the chain, one
    of them is used twice."""
    if state.change_next < state.change_seen + GAP_LIMIT:
        return state.change_next
    taken = {path.index for payment in state.payments for _, path in payment.outputs if path.chain == CHANGE}
    window = range(state.change_seen, state.change_seen + GAP_LIMIT)
    return next((index for index in window if index not in taken), state.change_seen)


def encode_state(state: State) -> dict[str, Any]:
    """The state as JSON holds it: lists rather than objects where there may be thousands."""
    return {
        "receive_next": state.receive_next,
        "change_next": state.change_next,
        "change_seen": state.change_seen,
        "payments": [_encode_payment(payment) for payment in state.payments],
        "snapshot": _encode_snapshot(state.snapshot),
        "settled": {
            "receive": _indexes(state.settled, RECEIVE),
            "change": _indexes(state.settled, CHANGE),
        },
    }


def _encode_payment(payment: Payment) -> dict[str, Any]:
    return {
        "raw": payment.raw.hex(),
        "fee": payment.fee,
        "inputs": [[value, path.chain, path.index] for value, path in payment.inputs],
        "outputs": [[index, path.chain, path.index] for index, path in payment.outputs],
        "sent_height": payment.sent_height,
        "paid": [[output.value, output.script.hex()] for output in payment.paid],
        "stage": payment.stage,
        "counted": payment.counted,
        "height": payment.height,
        "buried_at": payment.buried_at,
        "reason": payment.reason,
        "told": payment.told,
        "conflict": None if payment.conflict is None else to_hex(payment.conflict),
        "parents": [raw.hex() for raw in payment.parents],
    }


def _encode_snapshot(snapshot: Snapshot | None) -> dict[str, Any] | None:
    if snapshot is None or len(snapshot.coins) > SNAPSHOT_COINS_MAX:
        return None
    rows = [
        [
            format_outpoint(c.outpoint),
            c.value,
            c.path.chain,
            c.path.index,
            c.height,
            int(c.is_coinbase),
            int(c.own),
            int(c.proven),
        ]
        for c in snapshot.coins
    ]
    return {"tip": to_hex(snapshot.tip), "height": snapshot.height, "coins": rows}


def _indexes(paths: Iterable[KeyPath], chain: int) -> list[int]:
    return sorted(path.index for path in paths if path.chain == chain)


def decode_state(fields: Fields, version: int = VERSION) -> State:
    """The state that JSON of a wallet file of this version holds. Raises DamagedFile."""
    settled = fields.object("settled")
    change_next = fields.integer("change_next", 0, ADDRESSES_MAX)
    if version == 1:
        # Its snapshot and settled addresses are left to the next look, which knows more.
        rows = fields.rows("pending", PAYMENTS_MAX)
        payments = tuple(_decode_version_1(Fields(row, "a payment")) for row in rows)
        return State(fields.integer("receive_next", 1, ADDRESSES_MAX), change_next, 0, payments)
    return State(
        fields.integer("receive_next", 1, ADDRESSES_MAX),
        change_next,
        fields.integer("change_seen", 0, ADDRESSES_MAX),
        tuple(_decode_payment(Fields(row, "a payment")) for row in fields.rows("payments", PAYMENTS_MAX)),
        _decode_snapshot(fields.object("snapshot")) if fields.has("snapshot") else None,
        frozenset(
            _path(chain, index)
            for chain, key in ((RECEIVE, "receive"), (CHANGE, "change"))
            for index in settled.rows(key, ADDRESSES_MAX)
        ),
    )


def _decode_payment(fields: Fields) -> Payment:
    stage = fields.text("stage", 16)
    if stage not in set(Stage):
        raise DamagedFile("a payment's stage is unknown")
    paid = _rows_of(fields.rows("paid", RAW_MAX), 2)
    payment = Payment(
        **_decode_transaction(fields),
        paid=tuple(TxOut(_amount(value), _content(script, RAW_MAX)) for value, script in paid),
        stage=Stage(stage),
        counted=fields.flag("counted"),
        height=fields.integer("height", 0, HEIGHT_MAX) if fields.has("height") else None,
        buried_at=fields.integer("buried_at", 0, HEIGHT_MAX) if fields.has("buried_at") else None,
        reason=fields.text("reason", REASON_CHARS_MAX),
        told=fields.flag("told"),
        conflict=Txid(fields.content("conflict", 32, 32)[::-1]) if fields.has("conflict") else None,
        parents=tuple(_content(raw, RAW_MAX) for raw in fields.rows("parents", PARENTS_MAX)),
    )
    return _checked(payment)


def _decode_version_1(fields: Fields) -> Payment:
    # Version 1 took a payment for lost on one node's word: that is no proof.
    transaction = _decode_transaction(fields)
    return _checked(Payment(**transaction, stage=Stage.HANDED_OUT, told=True))


def _decode_transaction(fields: Fields) -> dict[str, Any]:
    return {
        "raw": fields.content("raw", 60, RAW_MAX),
        "fee": fields.integer("fee", 0, MAX_MONEY),
        "inputs": tuple((_amount(v), _path(*place)) for v, *place in _rows_of(fields.rows("inputs", RAW_MAX), 3)),
        "outputs": tuple((_amount(i), _path(*place)) for i, *place in _rows_of(fields.rows("outputs", RAW_MAX), 3)),
        "sent_height": fields.integer("sent_height", 0, HEIGHT_MAX),
    }


def _checked(payment: Payment) -> Payment:
    try:
        tx, _ = payment.tx, payment.needs
    except Rejected as error:
        raise DamagedFile("a payment does not decode") from error
    if len(tx.inputs) != len(payment.inputs) or any(index >= len(tx.outputs) for index, _ in payment.outputs):
        raise DamagedFile("a payment's inputs or outputs do not match its transaction")
    return payment


def _decode_snapshot(fields: Fields) -> Snapshot:
    try:
        tip = BlockHash(from_hex(fields.text("tip", 64)))
    except ValueError as error:
        raise DamagedFile("the snapshot's tip is not a hash") from error
    coins = []
    for point, value, chain, index, height, *flags in _rows_of(fields.rows("coins", SNAPSHOT_COINS_MAX), 8):
        if height is not None and (type(height) is not int or not 0 <= height <= HEIGHT_MAX):
            raise DamagedFile("a coin's height is wrong")
        try:
            outpoint_bytes = parse_outpoint(point if isinstance(point, str) else "")
        except ValueError as error:
            raise DamagedFile("a coin's outpoint is wrong") from error
        coins.append(OwnCoin(outpoint_bytes, _amount(value), _path(chain, index), height, *map(bool, flags)))
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


def _content(text: Any, most: int) -> bytes:
    return Fields({"hex": text}, "a payment").content("hex", 0, most)


def _amount(number: Any) -> int:
    if type(number) is not int or not 0 <= number <= MAX_MONEY:
        raise DamagedFile("an amount is wrong")
    return number


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
