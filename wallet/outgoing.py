"""Signed payments on their way: given to a node, and what came of it written down."""

from collections.abc import Callable
from dataclasses import replace

from chain.hashes import to_hex
from chain.tx import Tx
from wallet.broadcast import hand_over
from wallet.client import Esplora
from wallet.delivery import NodeAnswer, after_answer, answered
from wallet.derivation import CHANGE, Account
from wallet.draft import Change, Draft, Sent
from wallet.errors import WalletError
from wallet.payment import Payment, Stage
from wallet.refusals import Receipt, unclear_error
from wallet.state import OwnCoin
from wallet.store import WalletFile


class OutgoingPayments:
    """The payments of one wallet file, after they are signed. Under the file's lock."""

    def __init__(self, file: WalletFile, client: Esplora, warnings: list[str]) -> None:
        """Lines for people go to `warnings`."""
        self._file = file
        self._client = client
        self.warnings = warnings
        self.tell: Callable[[Sent], object] | None = None
        """Shows somebody a payment that was sent. Only after that the same order is a new one; without it,
        it is as soon as a node has the payment."""

    def deliver(self, payment: Payment, *, is_fresh: bool) -> Payment:
        """Give a payment to a node and write down what came of it. Raises PaymentUnclear where nothing is
        known of it, or somebody interrupts: until the txid is out, nobody may think that nothing was sent.
        `is_fresh` if the wallet has just been looked at."""
        try:
            # One that was shown just now, or in a block of this very chain, is with a node.
            shown = payment.counted and (is_fresh or payment.height is not None)
            receipt = Receipt(NodeAnswer.KNOWN) if shown else hand_over(self._client, payment)
            return self._settle(payment, receipt)
        except KeyboardInterrupt as error:
            raise unclear_error(payment, "interrupted") from error

    def _settle(self, payment: Payment, receipt: Receipt) -> Payment:
        """Write down what a node said of a payment. Raises PaymentUnclear where it said nothing."""
        state = self._file.state
        height = state.snapshot.height if state.snapshot else 0
        is_known = payment.counted and receipt.answer in (NodeAnswer.TAKEN, NodeAnswer.KNOWN)
        settled = payment if is_known else after_answer(payment, receipt.answer, height, reason=receipt.reason)
        payments = tuple(settled if one.txid == payment.txid else one for one in state.payments)
        if self.tell is None and settled.stage in (Stage.SEEN, Stage.BURIED):
            payments = answered(payments, settled)
        try:
            self._file.save(replace(state, payments=payments))
        except WalletError as error:
            name = to_hex(payment.txid)
            self.warnings.append(f"payment {name} is in the wallet file, but not what came of it: {error}")
        if receipt.answer is NodeAnswer.UNCLEAR:
            raise unclear_error(settled, receipt.reason)
        return settled

    def told(self, sent: Sent) -> Sent:
        """Show somebody what was sent, and write down that this was done."""
        if self.tell is None:
            return sent
        self.tell(sent)
        state = self._file.state
        told = next(payment for payment in state.payments if payment.txid == sent.txid)
        try:
            self._file.save(replace(state, payments=answered(state.payments, told)))
        except WalletError as error:
            self.warnings.append(f"the same order given again is taken for payment {to_hex(sent.txid)}: {error}")
        except KeyboardInterrupt:
            # The txid is out and nothing is left to interrupt: who read "interrupted" now would pay again.
            pass
        return sent


def sent_again(payment: Payment) -> Sent:
    """The report of a payment that was signed before."""
    own = [Change(index, path, payment.tx.outputs[index].value) for index, path in payment.outputs]
    change = next((output for output in own if output.path.chain == CHANGE), None)
    paid = tuple(output for index, output in enumerate(payment.tx.outputs) if not change or index != change.index)
    coins = tuple(
        OwnCoin(point, value, path, None, own=True, proven=True)
        for point, (value, path) in zip(payment.spent, payment.inputs, strict=True)
    )
    return Sent(payment.txid, paid, payment.fee, payment.tx.vsize, coins, change)


def signed_payment(draft: Draft, tx: Tx, account: Account, height: int, parents: tuple[bytes, ...]) -> Payment:
    """The record of a draft that is signed now, at a tip of this height."""
    return Payment(
        raw=tx.raw,
        fee=draft.fee,
        inputs=tuple((coin.value, coin.path) for coin in draft.coins),
        outputs=tuple((i, path) for i, out in enumerate(tx.outputs) if (path := account.path_of(out.script))),
        sent_height=height,
        paid=draft.order.payments,
        parents=parents,
    )
