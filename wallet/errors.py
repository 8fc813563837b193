"""What can go wrong, each as one line that says what to do. The command line prints just that."""


class WalletError(Exception):
    """Something a person can act on; the text is one line."""


class InvalidValue(WalletError):
    """A text that is not what it should be: no address, amount, fee rate or outpoint."""


class WrongPassword(WalletError):
    """The password does not open the wallet."""


class DamagedFile(WalletError):
    """The wallet file is not one, or not whole."""


class ShortOfFunds(WalletError):
    """No choice of the coins allowed pays for the amount and its fee."""


class FeeTooHigh(WalletError):
    """The fee is above the ceiling, and no person named it: nothing was signed."""


class ChainLimit(WalletError):
    """The node holds as many unconfirmed transactions in a row as it allows."""


class NodeError(WalletError):
    """The node's fault or the network's."""


class NodeUnreachable(NodeError):
    """No node answered: whether a request had an effect is not known."""


class NodeNotReady(NodeUnreachable):
    """A node answered that it cannot serve now: it is starting, or full."""


class NodeRefused(NodeError):
    """A node answered, with no. `request` says to what, `status` is HTTP's, `reason` the node's own words."""

    def __init__(self, request: str, status: int, reason: str) -> None:
        super().__init__(f"the node refused {request}: {reason}")
        self.status = status
        self.reason = reason
