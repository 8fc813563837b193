"""Giving payments to nodes, and asking nodes what became of them.

Nothing here decides: what an answer means is for `wallet.refusals` and `wallet.delivery`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from chain.coins import Coin
from chain.errors import Rejected
from chain.hashes import Txid, to_hex
from chain.keys import default_engine
from chain.script import Spend
from chain.scripttype import ScriptType, classify
from chain.tx import OutPoint, Tx, TxOut, decode_tx, outpoint_index, outpoint_txid
from wallet.client import Esplora
from wallet.delivery import NodeAnswer, after_answer, is_buried, shown_answer
from wallet.derivation import Account
from wallet.errors import NodeError
from wallet.esplora import ChainTx
from wallet.payment import Payment
from wallet.refusals import NodeRefusal, Receipt, refusal_kind
from wallet.state import format_outpoint

BUSY_TRIES = 25
BUSY_PAUSE_S = 0.2
"""Attempts to offer a transaction to a node that is busy, and the pause between them in seconds."""
CONFLICT_LOOKUPS_MAX = 1_000
"""Coins of one payment that are looked up for what spends them."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A transaction that spends a coin which a payment needs."""

    txid: Txid
    height: int | None
    """Height of the transaction's block; None while unconfirmed."""
    is_signed: bool
    """True if its signature opens that coin: nobody but the key's owner made it."""

    def is_final(self, tip_height: int) -> bool:
        """True if the payment can never be mined beside it."""
        return self.is_signed and self.height is not None and is_buried(self.height, tip_height)


def hand_over(client: Esplora, payment: Payment, *, patient: bool = True) -> Receipt:
    """Give a payment to the nodes, after its parents where it is refused without them. A node that is
    starting or busy is waited for, if `patient`."""
    receipt = _sent(client, payment, patient=patient)
    if payment.parents and _is(receipt, NodeRefusal.COINS_GONE):
        for raw in reversed(payment.parents):
            client.send(raw, decode_tx(raw).txid, patient=patient)
        receipt = _sent(client, payment, patient=patient)
    return receipt


def _sent(client: Esplora, payment: Payment, *, patient: bool) -> Receipt:
    for _ in range(BUSY_TRIES - 1 if patient else 0):
        receipt = client.send(payment.raw, payment.txid)
        if not _is(receipt, NodeRefusal.BUSY):
            return receipt
        client.pause(BUSY_PAUSE_S)
    return client.send(payment.raw, payment.txid, patient=patient)


def _is(receipt: Receipt, kind: NodeRefusal) -> bool:
    return receipt.answer is NodeAnswer.REFUSED and refusal_kind(receipt.reason) is kind


def follow_up(
    client: Esplora,
    account: Account,
    payment: Payment,
    shown: Mapping[Txid, ChainTx],
    tip_height: int,
    *,
    is_superseded: bool = False,
) -> Payment:
    """Find what became of a payment: found among the transactions `shown`, asked for, or given to the nodes
    again, unless it is superseded. One that is refused may be in conflict with another transaction."""
    tx = shown.get(payment.txid) or client.tx(payment.txid)
    if tx is not None:
        return after_answer(payment, shown_answer(tx.height, tip_height), tip_height, height=tx.height)
    payment = after_answer(payment, NodeAnswer.NOT_SHOWN, tip_height)
    if not is_superseded:
        # Whoever looks has not asked for this: the next look tries again.
        receipt = hand_over(client, payment, patient=False)
        payment = after_answer(payment, receipt.answer, tip_height, reason=receipt.reason)
        if receipt.answer is not NodeAnswer.REFUSED:
            return payment
    if conflict := find_conflict(client, account, payment, tip_height):
        answer = NodeAnswer.DEEP_CONFLICT if conflict.is_final(tip_height) else NodeAnswer.CONFLICT
        return after_answer(payment, answer, tip_height, conflict=conflict.txid)
    return payment


def find_conflict(client: Esplora, account: Account, payment: Payment, tip_height: int) -> Conflict | None:
    """A transaction that spends a coin which the payment needs, read and checked: a buried one, if any is."""
    read = set(payment.family)
    found = None
    for point in sorted(payment.needs)[:CONFLICT_LOOKUPS_MAX]:
        spending = client.outspend(point)
        if spending is None or spending.txid in read:
            continue
        read.add(spending.txid)
        tx = client.raw_tx(spending.txid)
        if tx is None or all(spent.outpoint != point for spent in tx.inputs):
            raise NodeError(
                f"the node says that {to_hex(spending.txid)} spends {format_outpoint(point)}, and cannot show it: "
                "use another --node"
            )
        conflict = Conflict(tx.txid, spending.height, _is_signed(client, account, payment, tx, point))
        if conflict.is_final(tip_height):
            return conflict
        found = found or conflict
    return found


def _is_signed(client: Esplora, account: Account, payment: Payment, tx: Tx, point: OutPoint) -> bool:
    """True if the input of `tx` that spends `point` bears the signature that its coin asks for."""
    own = {
        spent: TxOut(value, account.script(path))
        for spent, (value, path) in zip(payment.spent, payment.inputs, strict=True)
    }
    output = own.get(point) or _output(client, point)
    if output is None:
        return False
    # The signature hash of taproot takes in every coin that the transaction spends, the others their own alone.
    others = _output if classify(output.script) is ScriptType.P2TR else _none
    spent = [output if i.outpoint == point else own.get(i.outpoint) or others(client, i.outpoint) for i in tx.inputs]
    coins = [Coin.make(0, False, one or TxOut(0, b"")) for one in spent]
    index = next(index for index, txin in enumerate(tx.inputs) if txin.outpoint == point)
    try:
        return default_engine().first_failure(Spend(tx, coins).check(index)) is None
    except Rejected:
        return False


def _output(client: Esplora, point: OutPoint) -> TxOut | None:
    source, index = client.raw_tx(outpoint_txid(point)), outpoint_index(point)
    return source.outputs[index] if source is not None and index < len(source.outputs) else None


def _none(_: Esplora, __: OutPoint) -> TxOut | None:
    return None
