"""What the Esplora API's answers hold, as values. Pure.

The `read_` functions take an answer's body and raise ValueError, KeyError, IndexError, TypeError or
AttributeError for one that is not the API's.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from chain.hashes import BlockHash, Txid, from_hex
from chain.tx import MAX_MONEY, OutPoint, TxOut, outpoint
from wallet.fields import parse_json

PAGE_CONFIRMED = 25
"""Confirmed transactions on a page; fewer mean that it is the last."""
PAGE_UNCONFIRMED = 50
"""Unconfirmed transactions that the API shows of one script."""
NETWORK_ID_BYTES = 32
NAME_CHARS_MAX = 32
"""Of a network."""
RATE_MAX_SAT_VB = 10**9
"""More is no estimate."""


@dataclass(frozen=True, slots=True)
class Tip:
    """The best block."""

    hash: BlockHash
    height: int


@dataclass(frozen=True, slots=True)
class Network:
    """The network that a node is on."""

    name: str
    id: bytes
    """32 bytes: the hash of its parameters and genesis."""


@dataclass(frozen=True, slots=True)
class ChainIn:
    """An input, as the API shows it."""

    outpoint: OutPoint
    prevout: TxOut | None
    """The coin it spends; None in a coinbase."""


@dataclass(frozen=True, slots=True)
class ChainTx:
    """A transaction of the best chain or the mempool."""

    txid: Txid
    inputs: tuple[ChainIn, ...]
    outputs: tuple[TxOut, ...]
    fee: int
    """Satoshis; 0 for a coinbase."""
    height: int | None
    """Of its block; None while unconfirmed."""
    time: int | None
    """Its block's header time, Unix seconds."""

    @property
    def is_coinbase(self) -> bool:
        """True if it was mined."""
        return self.inputs[0].prevout is None


@dataclass(frozen=True, slots=True)
class Utxo:
    """An unspent output of a script."""

    outpoint: OutPoint
    value: int
    height: int | None


def read_hash(body: bytes) -> BlockHash:
    """A hash in display hex, as text."""
    return BlockHash(from_hex(body.decode("ascii").strip()))


def read_height(body: bytes) -> int:
    """A height, as text."""
    return _whole(int(body.decode("ascii")))


def read_block_height(body: bytes) -> int:
    """The height in a block's description."""
    return _whole(parse_json(body, Decimal)["height"])


def read_status(body: bytes) -> int | None:
    """The height in a transaction's status; None while unconfirmed."""
    return _height(parse_json(body))


def read_txs(body: bytes) -> list[ChainTx]:
    """A page of transactions."""
    return [_tx(row) for row in _rows(parse_json(body))]


def read_utxos(body: bytes) -> list[Utxo]:
    """A script's unspent outputs."""
    return [_utxo(row) for row in _rows(parse_json(body))]


def read_estimates(body: bytes) -> dict[int, Decimal]:
    """Fee rates in satoshis per virtual byte, by target in blocks."""
    rates = {int(target): rate for target, rate in parse_json(body, Decimal).items()}
    if not rates or not all(type(rate) in (int, Decimal) and 0 <= rate <= RATE_MAX_SAT_VB for rate in rates.values()):
        raise ValueError("no estimates")
    return {target: Decimal(rate) for target, rate in rates.items()}


def read_network(body: bytes) -> Network:
    """The network's name and id."""
    told = parse_json(body)
    name, network_id = told["name"], bytes.fromhex(told["id"])
    if len(network_id) != NETWORK_ID_BYTES or not (name.isprintable() and 0 < len(name) <= NAME_CHARS_MAX):
        raise ValueError("no network")
    return Network(name, network_id)


def read_minimum_rate(body: bytes) -> Decimal:
    """The minimum among recommended fee rates, in satoshis per virtual byte."""
    rate = parse_json(body, Decimal)["minimumFee"]
    if type(rate) not in (int, Decimal) or not 0 <= rate <= RATE_MAX_SAT_VB:
        raise ValueError("no minimum")
    return Decimal(rate)


def _tx(row: Any) -> ChainTx:
    inputs = tuple(_input(item) for item in _rows(row["vin"]))
    if not inputs:
        raise ValueError("a transaction without inputs")
    height = _height(row["status"])
    return ChainTx(
        Txid(from_hex(row["txid"])),
        inputs,
        tuple(_output(item) for item in _rows(row["vout"])),
        _whole(row["fee"], MAX_MONEY),
        height,
        None if height is None else _whole(row["status"]["block_time"], 2**32 - 1),
    )


def _input(row: Any) -> ChainIn:
    point = outpoint(Txid(from_hex(row["txid"])), _whole(row["vout"], 2**32 - 1))
    return ChainIn(point, None if row.get("is_coinbase") else _output(row["prevout"]))


def _output(row: Any) -> TxOut:
    return TxOut(_whole(row["value"], MAX_MONEY), bytes.fromhex(row["scriptpubkey"]))


def _utxo(row: Any) -> Utxo:
    point = outpoint(Txid(from_hex(row["txid"])), _whole(row["vout"]))
    return Utxo(point, _whole(row["value"], MAX_MONEY), _height(row["status"]))


def _height(status: Any) -> int | None:
    return _whole(status["block_height"]) if status["confirmed"] is True else None


def _rows(rows: Any) -> list[Any]:
    if not isinstance(rows, list):
        raise TypeError("not a list")
    return rows


def _whole(number: Any, most: int = 2**31 - 1) -> int:
    if type(number) is not int or not 0 <= number <= most:
        raise ValueError("a number is missing or out of range")
    return number
