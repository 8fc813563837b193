"""The wallet's transactions as people read them. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from chain.address import encode_address
from chain.hashes import Txid
from chain.tx import TxOut
from wallet.derivation import Account
from wallet.esplora import ChainTx
from wallet.ledger import PathOf, as_chain_tx
from wallet.payment import Payment, Stage


class HistoryKind(StrEnum):
    """Kinds of transactions, seen from the wallet."""

    RECEIVED = "received"
    SENT = "sent"
    SELF = "self"
    """A transaction from our own coins to our own addresses alone."""
    MINED = "mined"


class Status(StrEnum):
    """The state of a transaction on its way."""

    CONFIRMED = "confirmed"
    """The transaction is in a block."""
    UNCONFIRMED = "unconfirmed"
    """Waiting at the node."""
    WAITING = "waiting"
    """A payment of ours that is signed, and that the node does not show."""
    LOST = "lost"
    """A payment of ours that can never be mined: a buried transaction spends a coin that it needs."""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A transaction of this wallet."""

    txid: Txid
    kind: HistoryKind
    net: int
    """Satoshis that the wallet gained, or lost with the fee included."""
    fee: int | None
    """Satoshis, where we paid it; None where others did."""
    height: int | None
    """Height of the transaction's block; None while unconfirmed."""
    time: int | None
    """Header time of the transaction's block, Unix seconds; None while unconfirmed."""
    counterparties: tuple[str, ...]
    """Addresses paid (of what we sent) or paid from (of what we received)."""
    status: Status
    conflict: Txid | None = None
    """The transaction that spends a coin which this payment needs."""
    reason: str = ""
    """The node's words, where it does not take the payment."""


def history_of(txs: Mapping[Txid, ChainTx], payments: Iterable[Payment], account: Account) -> list[HistoryEntry]:
    """Newest first: what waits, then by falling height. Payments that the chain does not show are there too,
    the lost among them."""
    entries = [entry_of(tx, account.path_of) for tx in txs.values()]
    for payment in payments:
        if payment.txid not in txs:
            entry = entry_of(as_chain_tx(payment, account.script), account.path_of)
            entries.append(replace(entry, status=_status(payment), conflict=payment.conflict, reason=payment.reason))
    waits = {entry.txid: entry.status in (Status.UNCONFIRMED, Status.WAITING) for entry in entries}
    sent = {payment.txid: payment.sent_height for payment in payments}
    return sorted(entries, key=lambda e: (not waits[e.txid], -(sent.get(e.txid, 0) if e.height is None else e.height)))


def _status(payment: Payment) -> Status:
    match payment.stage:
        case Stage.DEAD:
            return Status.LOST
        case Stage.SEEN | Stage.BURIED:
            return Status.UNCONFIRMED if payment.height is None else Status.CONFIRMED
        case _:
            return Status.WAITING


def entry_of(tx: ChainTx, path_of: PathOf) -> HistoryEntry:
    """The history's entry for a transaction."""
    spent = [i.prevout for i in tx.inputs if i.prevout is not None]
    ours_in = [output for output in spent if path_of(output.script)]
    ours_out = [output for output in tx.outputs if path_of(output.script)]
    theirs_out = [output for output in tx.outputs if not path_of(output.script)]
    if tx.is_coinbase:
        kind, others = HistoryKind.MINED, []
    elif not ours_in:
        kind, others = HistoryKind.RECEIVED, spent
    else:
        kind, others = (HistoryKind.SENT if theirs_out else HistoryKind.SELF), theirs_out
    return HistoryEntry(
        txid=tx.txid,
        kind=kind,
        net=sum(output.value for output in ours_out) - sum(output.value for output in ours_in),
        fee=tx.fee if ours_in and len(ours_in) == len(spent) else None,
        height=tx.height,
        time=tx.time,
        counterparties=_addresses(others),
        status=Status.UNCONFIRMED if tx.height is None else Status.CONFIRMED,
    )


def _addresses(outputs: Iterable[TxOut]) -> tuple[str, ...]:
    """Addresses of the outputs, each once, in order; a script without one as its hex."""
    return tuple(dict.fromkeys(encode_address(output.script) or output.script.hex() for output in outputs))
