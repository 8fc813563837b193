"""Answers of the Esplora API as values. Pure.

The `read_` functions take an answer's body and raise ValueError, KeyError, IndexError, TypeError or
AttributeError for one that is not the API's.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from chain.hashes import BlockHash, Txid, from_hex, to_hex
from chain.tx import MAX_MONEY, NULL_OUTPOINT, OutPoint, Tx, TxIn, TxOut, decode_tx, make_tx, outpoint
from wallet.fields import parse_json

PAGE_CONFIRMED = 25
"""Confirmed transactions on a page; fewer mean that it is the last."""
PAGE_UNCONFIRMED = 50
"""Unconfirmed transactions that the API shows of one script."""
NETWORK_ID_BYTES = 32
NAME_CHARS_MAX = 32
"""Characters of a network's name."""
VALUES_MAX = 1_000_000
"""JSON values in one answer: what they take in memory is bounded before they are read."""
RATE_MAX_SAT_VB = 10**9
"""More is no estimate."""


@dataclass(frozen=True, slots=True)
class NodeTip:
    """The best block."""

    hash: BlockHash
    height: int


@dataclass(frozen=True, slots=True)
class NodeNetwork:
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
    """A transaction of the best chain or the mempool.

    Its id was computed from its parts, so that the outpoints and outputs are those of the transaction
    of that id. Prevouts, fee and place are the node's word.
    """

    txid: Txid
    inputs: tuple[ChainIn, ...]
    outputs: tuple[TxOut, ...]
    fee: int
    """Satoshis; 0 for a coinbase."""
    height: int | None
    """Height of the transaction's block; None while unconfirmed."""
    time: int | None
    """Header time of the transaction's block, Unix seconds."""

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


@dataclass(frozen=True, slots=True)
class Spending:
    """The transaction that spends an output, by the node's word."""

    txid: Txid
    height: int | None
    """Height of the transaction's block; None while unconfirmed."""


def read_hash(body: bytes) -> BlockHash:
    """A hash in display hex, as text."""
    return BlockHash(from_hex(body.decode("ascii").strip()))


def read_height(body: bytes) -> int:
    """A height, as text."""
    return _whole(int(body.decode("ascii")))


def read_block_height(body: bytes) -> int:
    """The height in a block's description."""
    return _whole(parse_json(body, Decimal)["height"])


def read_tx(body: bytes) -> ChainTx:
    """The transaction in a JSON object."""
    return _tx(_json(body))


def read_raw_tx(body: bytes) -> Tx:
    """A transaction from its hex."""
    return decode_tx(bytes.fromhex(body.decode("ascii")))


def read_outspend(body: bytes) -> Spending | None:
    """The transaction that spends an output; None for an unspent one, and for one that is not known."""
    row = _json(body)
    return Spending(Txid(from_hex(row["txid"])), _height(row["status"])) if row["spent"] is True else None


def read_txs(body: bytes) -> list[ChainTx]:
    """A page of transactions."""
    return [_tx(row) for row in _rows(_json(body))]


def read_utxos(body: bytes) -> list[Utxo]:
    """A script's unspent outputs."""
    return [_utxo(row) for row in _rows(_json(body))]


def read_estimates(body: bytes) -> dict[int, Decimal]:
    """Fee rates in satoshis per virtual byte, by target in blocks."""
    rates = {int(target): rate for target, rate in parse_json(body, Decimal).items()}
    if not rates or not all(type(rate) in (int, Decimal) and 0 <= rate <= RATE_MAX_SAT_VB for rate in rates.values()):
        raise ValueError("no estimates")
    return {target: Decimal(rate) for target, rate in rates.items()}


def read_network(body: bytes) -> NodeNetwork:
    """The network's name and id."""
    told = parse_json(body)
    name, network_id = told["name"], bytes.fromhex(told["id"])
    if len(network_id) != NETWORK_ID_BYTES or not (name.isprintable() and 0 < len(name) <= NAME_CHARS_MAX):
        raise ValueError("no network")
    return NodeNetwork(name, network_id)


def read_minimum_rate(body: bytes) -> Decimal:
    """The minimum among recommended fee rates, in satoshis per virtual byte."""
    rate = parse_json(body, Decimal)["minimumFee"]
    if type(rate) not in (int, Decimal) or not 0 <= rate <= RATE_MAX_SAT_VB:
        raise ValueError("no minimum")
    return Decimal(rate)


def _json(body: bytes) -> Any:
    return parse_json(body, values_max=VALUES_MAX)


def _tx(row: Any) -> ChainTx:
    spends = _rows(row["vin"])
    if not spends:
        raise ValueError("a transaction without inputs")
    outputs = tuple(_output(item) for item in _rows(row["vout"]))
    inputs = tuple(_spend(item) for item in spends)
    # Some servers give the version with a sign.
    tx = make_tx(row["version"] & 0xFFFF_FFFF, inputs, outputs, _whole(row["locktime"], 2**32 - 1))
    if to_hex(tx.txid) != row["txid"]:
        raise ValueError("a transaction is not the one of its id")
    height = _height(row["status"])
    return ChainTx(
        tx.txid,
        tuple(_input(item, txin) for item, txin in zip(spends, inputs, strict=True)),
        outputs,
        _whole(row["fee"], MAX_MONEY),
        height,
        None if height is None else _whole(row["status"]["block_time"], 2**32 - 1),
    )


def _spend(row: Any) -> TxIn:
    point = outpoint(Txid(from_hex(row["txid"])), _whole(row["vout"], 2**32 - 1))
    return TxIn(point, bytes.fromhex(row["scriptsig"]), _whole(row["sequence"], 2**32 - 1))


def _input(row: Any, txin: TxIn) -> ChainIn:
    is_coinbase = txin.outpoint == NULL_OUTPOINT
    return ChainIn(txin.outpoint, None if is_coinbase else _output(row["prevout"]))


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
