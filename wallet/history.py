"""The wallet's transactions as people read them. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from chain.address import encode_address
from chain.hashes import Txid
from chain.tx import TxOut
from wallet.esplora import ChainTx
from wallet.ledger import PathOf


class Kind(StrEnum):
    """What a transaction was, seen from here."""

    RECEIVED = "received"
    SENT = "sent"
    SELF = "self"
    """From our own coins to our own addresses alone."""
    MINED = "mined"


@dataclass(frozen=True, slots=True)
class Entry:
    """One transaction of ours."""

    txid: Txid
    kind: Kind
    net: int
    """Satoshis that the wallet gained, or lost with the fee included."""
    fee: int | None
    """Satoshis, where we paid it; None where others did."""
    height: int | None
    """Of its block; None while unconfirmed."""
    time: int | None
    """Its block's header time, Unix seconds; None while unconfirmed."""
    counterparties: tuple[str, ...]
    """Addresses paid (of what we sent) or paid from (of what we received)."""


def history_of(txs: Iterable[ChainTx], path_of: PathOf) -> list[Entry]:
    """Newest first: the unconfirmed, then by falling height."""
    entries = [entry_of(tx, path_of) for tx in txs]
    return sorted(entries, key=lambda entry: (entry.height is not None, -(entry.height or 0)))


def entry_of(tx: ChainTx, path_of: PathOf) -> Entry:
    """What a transaction did to the wallet."""
    spent = [i.prevout for i in tx.inputs if i.prevout is not None]
    ours_in = [output for output in spent if path_of(output.script)]
    ours_out = [output for output in tx.outputs if path_of(output.script)]
    theirs_out = [output for output in tx.outputs if not path_of(output.script)]
    if tx.is_coinbase:
        kind, others = Kind.MINED, []
    elif not ours_in:
        kind, others = Kind.RECEIVED, spent
    else:
        kind, others = (Kind.SENT if theirs_out else Kind.SELF), theirs_out
    return Entry(
        txid=tx.txid,
        kind=kind,
        net=sum(output.value for output in ours_out) - sum(output.value for output in ours_in),
        fee=tx.fee if ours_in and len(ours_in) == len(spent) else None,
        height=tx.height,
        time=tx.time,
        counterparties=_addresses(others),
    )


def _addresses(outputs: Iterable[TxOut]) -> tuple[str, ...]:
    """Each address once, in order; a script without one as its hex."""
    return tuple(dict.fromkeys(encode_address(output.script) or output.script.hex() for output in outputs))
