"""Errors, each one line that says what to do; the command line prints just that line."""


class WalletError(Exception):
    """An error that a person can act on; the text is one line."""


class InvalidValue(WalletError):
    """A text that is not a valid address, amount, fee rate, outpoint or URL."""


class WrongPassword(WalletError):
    """The password does not open the wallet."""


class DamagedFile(WalletError):
    """The file is not a wallet, or is damaged."""


class ShortOfFunds(WalletError):
    """The coins allowed do not pay for the amount and the fee."""


class FeeTooHigh(WalletError):
    """The fee is above the ceiling, and no person named it: nothing was signed."""


class ChainLimit(WalletError):
    """The node's limit of chained unconfirmed transactions is reached."""


class PaymentRefused(WalletError):
    """A node refused a payment that is signed: it stays live, and keeps its coins."""


class NodeError(WalletError):
    """The node's fault or the network's."""


class AnswerTooLarge(NodeError):
    """A node's answer has more bytes than any honest one."""


class NodeUnreachable(NodeError):
    """A request that no node answered: it may or may not have had an effect."""


class NodeNotReady(NodeUnreachable):
    """A node answered that it cannot serve now: it is starting, or full."""


class PaymentUnclear(NodeUnreachable):
    """A payment was handed out, and whether a node has it is not known."""


class NodeRefused(NodeError):
    """A node's refusal. `request` says to what, `status` is HTTP's, `reason` the node's own words."""

    def __init__(self, request: str, status: int, reason: str) -> None:
        super().__init__(f"the node refused {request}: {reason}")
        self.status = status
        self.reason = reason
