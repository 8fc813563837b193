"""What a node's refusal of a transaction means for the wallet. Pure."""

from enum import Enum, auto

from wallet.errors import ChainLimit, NodeRefused, WalletError


class Refusal(Enum):
    """The kinds that the wallet tells apart."""

    CHAIN_LIMIT = auto()
    """Too many unconfirmed transactions in a row: other coins, or a block, would help."""
    COINS_GONE = auto()
    """A coin does not exist there, or something else spends it."""
    CONFIRMED = auto()
    """It is in a block already."""
    FEE_TOO_LOW = auto()
    """Below what the node takes now."""
    BUSY = auto()
    """Not now: in a moment."""
    OTHER = auto()


_SIGNS = {
    Refusal.CHAIN_LIMIT: ("too-long-mempool-chain", "too-large-cluster"),
    Refusal.CONFIRMED: ("-27:", "already-in-chain", "txn-already-known", "already in block chain"),
    Refusal.COINS_GONE: ("missingorspent", "missing-inputs", "missing inputs", "conflict", "insufficient fee"),
    Refusal.FEE_TOO_LOW: ("min relay fee not met", "mempool min fee not met", "mempool full"),
    Refusal.BUSY: (": busy",),
}
"""Words in Bitcoin Core's reject strings. `insufficient fee` is said of replacements alone."""


def refusal_kind(refused: NodeRefused) -> Refusal:
    """Which kind it is."""
    reason = refused.reason.lower()
    for kind, signs in _SIGNS.items():
        if any(sign in reason for sign in signs):
            return kind
    return Refusal.OTHER


def advice(refused: NodeRefused) -> WalletError:
    """The error for people: what to do about it."""
    kind = refusal_kind(refused)
    if kind is Refusal.CHAIN_LIMIT:
        return chain_limit()
    if kind is Refusal.COINS_GONE:
        return WalletError(
            f"the node says that the coins are spent already ({refused.reason}): nothing was sent; "
            "see `wallet history`, then try again"
        )
    if kind is Refusal.FEE_TOO_LOW:
        return WalletError(f"the fee is too low for the node now ({refused.reason}): give a higher --fee-rate")
    return WalletError(f"the node refused the payment: {refused.reason}")


def chain_limit() -> ChainLimit:
    """What `send` says when only a block helps."""
    return ChainLimit(
        "the wallet's coins are at the node's limit of unconfirmed transactions in a row: "
        "wait for a block, or let --wait do it"
    )
