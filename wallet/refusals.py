"""The meaning of a node's answer to a transaction. Pure."""

import re
from dataclasses import dataclass
from enum import Enum, auto

from chain.hashes import Txid, to_hex
from wallet.delivery import NodeAnswer
from wallet.errors import ChainLimit, PaymentRefused, PaymentUnclear, WalletError
from wallet.payment import Payment

REASON_CHARS_MAX = 300
"""Characters of a refusal that are kept and shown to people."""
_REJECT = re.compile(r"(?:sendrawtransaction RPC error:? *)?(.*(?<![\w.])-\d{1,3}\b.*)")
"""A refusal has Core's code in it, as Esplora servers hand it on; a gateway's error has none."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The outcome of handing a transaction to a node."""

    answer: NodeAnswer
    """TAKEN, KNOWN, REFUSED or UNCLEAR."""
    reason: str = ""
    """The node's words, or what went wrong: one line."""


def read_receipt(status: int, body: bytes, txid: Txid) -> Receipt:
    """Read an answer to POST /tx of the transaction `txid`.

    Only 200 with its id is a yes, only 400 with a reject reason a no. All else may come from
    something on the way, before or after the node took the transaction.
    """
    text = one_line(body)
    if status == 200 and text.lower() == to_hex(txid):
        return Receipt(NodeAnswer.TAKEN)
    if status == 400 and (reject := _REJECT.fullmatch(text)):
        reason = reject[1]
        known = refusal_kind(reason) is NodeRefusal.KNOWN
        return Receipt(NodeAnswer.KNOWN if known else NodeAnswer.REFUSED, reason)
    return Receipt(NodeAnswer.UNCLEAR, f"the answer was {status} {text[:80]!r}")


def one_line(body: bytes) -> str:
    """A text from a node, safe to print."""
    text = body[: REASON_CHARS_MAX * 4].decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:REASON_CHARS_MAX]


class NodeRefusal(Enum):
    """The kinds that the wallet tells apart."""

    CHAIN_LIMIT = auto()
    """Too many unconfirmed transactions in a row: other coins, or a block, would help."""
    COINS_GONE = auto()
    """A coin does not exist there, or something else spends it."""
    KNOWN = auto()
    """The node has the transaction in a block or in its mempool."""
    FEE_TOO_LOW = auto()
    """The fee is below what the node takes now."""
    BUSY = auto()
    """The node is busy: try again in a moment."""
    OTHER = auto()


_SIGNS = {
    NodeRefusal.CHAIN_LIMIT: ("too-long-mempool-chain", "too-large-cluster"),
    NodeRefusal.KNOWN: (
        "-27",
        "already-in-chain",
        "txn-already-known",
        "txn-already-in-mempool",
        "already in block chain",
    ),
    NodeRefusal.COINS_GONE: ("missingorspent", "missing-inputs", "missing inputs", "conflict", "insufficient fee"),
    NodeRefusal.FEE_TOO_LOW: ("min relay fee not met", "mempool min fee not met", "mempool full"),
    NodeRefusal.BUSY: (": busy",),
}
"""Words in Bitcoin Core's reject strings. `insufficient fee` is said of replacements alone."""


def refusal_kind(reason: str) -> NodeRefusal:
    """Which kind it is."""
    reason = reason.lower()
    for kind, signs in _SIGNS.items():
        if any(sign in reason for sign in signs):
            return kind
    return NodeRefusal.OTHER


def refused_error(payment: Payment) -> WalletError:
    """The error for people once a node refused a payment: what is known, and what to do."""
    kind, name, reason = refusal_kind(payment.reason), to_hex(payment.txid), payment.reason
    keeps = f"payment {name} is signed and keeps its coins, so that it can never be paid twice"
    if kind is NodeRefusal.CHAIN_LIMIT:
        return ChainLimit(
            f"the node holds as many unconfirmed transactions in a row as it takes: payment {name} is signed and "
            "waits. Run the same command again after a block, or let --wait do it; nothing else spends its coins"
        )
    if kind is NodeRefusal.FEE_TOO_LOW:
        return PaymentRefused(
            f"the fee is too low for the node now ({reason}): {keeps}. Run the same command again with a higher "
            "--fee-rate to replace it"
        )
    if kind is NodeRefusal.COINS_GONE:
        return PaymentRefused(
            f"the node says that the coins are spent or unknown ({reason}): {keeps}. See `wallet history`, or run "
            "the same command again to try another node or replace it"
        )
    return PaymentRefused(
        f"the node refused the payment ({reason}): {keeps}. Run the same command again to try once more or replace it"
    )


def unclear_error(payment: Payment, why: str) -> PaymentUnclear:
    """The error for people where a node may have a payment."""
    return PaymentUnclear(
        f"payment {to_hex(payment.txid)} may have been sent: do not repeat it. The wallet keeps it and hands it over "
        f"again; see `wallet history` ({why})"
    )


def chain_limit() -> ChainLimit:
    """The error of `send` when only a block helps, and nothing was signed."""
    return ChainLimit(
        "the wallet's coins are at the node's limit of unconfirmed transactions in a row: "
        "wait for a block, or let --wait do it"
    )
