"""The wallet at one tip, from the chain and its own payments."""

from collections.abc import Sequence
from dataclasses import dataclass

from chain.hashes import Txid, to_hex
from chain.tx import OutPoint, outpoint_txid
from wallet.broadcast import follow_up
from wallet.client import Esplora
from wallet.delivery import NodeAnswer, after_answer, doubted, is_live, is_old, kept, superseded
from wallet.derivation import CHANGE, RECEIVE, Account
from wallet.errors import NodeError
from wallet.esplora import NodeTip
from wallet.ledger import Balance, balance_of, offered, with_payments
from wallet.payment import BURIED_DEPTH, Payment, Stage
from wallet.scan import Scan, scan
from wallet.state import OwnCoin, Snapshot, State

LOOKS_MAX = 4
"""Times that a look begins anew because another node has to be asked."""


@dataclass(frozen=True, slots=True)
class WalletView:
    """One look at the chain."""

    found: Scan
    payments: tuple[Payment, ...]
    """Payments as the look left them."""

    @property
    def tip(self) -> NodeTip:
        """The best block then."""
        return self.found.tip

    @property
    def coins(self) -> dict[OutPoint, OwnCoin]:
        """Every unspent coin, immature ones included."""
        return with_payments(self.found.coins, self.payments)

    @property
    def balance(self) -> Balance:
        """The sums over the coins."""
        return balance_of(self.coins, self.payments, self.tip.height)

    @property
    def spendable(self) -> frozenset[OutPoint]:
        """The coins that a payment may be made from now."""
        free = offered(self.coins, self.payments).values()
        return frozenset(coin.outpoint for coin in free if coin.is_mature(self.tip.height))


def look(client: Esplora, account: Account, state: State, *, whole: bool = False, thorough: bool = True) -> WalletView:
    """Walk the chain for everything the wallet has, and follow up every payment that is not settled.

    `whole` reads every address's history to its end; without `thorough` settled addresses are passed over.
    It is one node's chain that is looked at: if another had to be asked, all of it is looked at again.
    """
    for _ in range(LOOKS_MAX):
        tip, asked = client.tip(), client.asked
        view = _looked(client, account, state, tip, whole=whole, thorough=thorough)
        if client.asked == asked:
            return view
    raise NodeError("the nodes stop answering one after the other: try again, or use another --node")


def _looked(
    client: Esplora, account: Account, state: State, tip: NodeTip, *, whole: bool, thorough: bool
) -> WalletView:
    goes_on = _goes_on(client, state.snapshot, tip)
    passed_over = state.settled if goes_on and not thorough else ()
    handed_out = (state.receive_next, state.change_next)
    found = scan(client, account, tip, handed_out, whole=whole, passed_over=passed_over)
    payments = state.payments if goes_on else tuple(map(doubted, state.payments))
    return WalletView(found, _followed_up(client, account, payments, found, thorough=thorough))


def _followed_up(
    client: Esplora, account: Account, payments: Sequence[Payment], found: Scan, *, thorough: bool
) -> tuple[Payment, ...]:
    """Find what became of the payments, each after those whose outputs it spends: with one that is lost,
    those are lost that stand on it."""
    height, replaced = found.tip.height, superseded(payments)
    after: list[Payment] = []
    lost: dict[Txid, Payment] = {}
    for payment in payments:
        parent = next((lost[txid] for point in payment.spent if (txid := outpoint_txid(point)) in lost), None)
        if payment.txid in found.txs or not (parent or _is_settled(payment, height, thorough=thorough)):
            is_superseded = payment.txid in replaced
            payment = follow_up(client, account, payment, found.txs, height, is_superseded=is_superseded)
        elif parent and is_live(payment):
            payment = after_answer(payment, NodeAnswer.DEEP_CONFLICT, height, conflict=parent.conflict)
        after.append(payment)
        if not is_live(payment):
            lost[payment.txid] = payment
    return tuple(after)


def _is_settled(payment: Payment, tip_height: int, *, thorough: bool) -> bool:
    """True if it need not be asked for. One that is buried is by a thorough look, and before it is forgotten:
    the node that showed it may have lied."""
    if payment.stage is Stage.BURIED:
        return not thorough and not is_old(payment, tip_height)
    return payment.stage is Stage.DEAD


def _goes_on(client: Esplora, before: Snapshot | None, tip: NodeTip) -> bool:
    """True if the chain is the one of the last look, with more blocks: then what was buried still is."""
    if before is None or before.height > tip.height:
        return False
    return before.tip == tip.hash or client.block_hash(before.height) == before.tip


def advanced(state: State, view: WalletView) -> State:
    """The state after a look: indexes never go back, payments long buried need no keeping."""
    change_seen = view.found.next_index(CHANGE)
    return State(
        receive_next=max(state.receive_next, view.found.next_index(RECEIVE)),
        change_next=max(state.change_next, change_seen),
        change_seen=change_seen,
        payments=kept(view.payments, view.tip.height),
        snapshot=Snapshot(view.tip.hash, view.tip.height, tuple(view.found.coins)),
        settled=frozenset(view.found.settled),
    )


def news(state: State, view: WalletView) -> list[str]:
    """Lines for people: payments that wait or are lost, and a node that knows less than was known."""
    lines = []
    if state.snapshot and view.tip.height < state.snapshot.height:
        lines.append(
            f"the node's best block is {view.tip.height}, and this wallet has seen block {state.snapshot.height}: "
            "the node is behind, or its chain was rewound"
        )
    for before, now in zip(state.payments, view.payments, strict=True):
        if line := _news_of(before, now):
            lines.append(f"payment {to_hex(now.txid)} {line}")
    return lines


def _news_of(before: Payment, now: Payment) -> str | None:
    conflict = None if now.conflict is None else to_hex(now.conflict)
    if now.stage is Stage.DEAD:
        lost = f"is lost: {conflict} spends a coin that it needs, and is buried. Its other coins are free again"
        return None if before.stage is Stage.DEAD else lost
    if conflict:
        waits = f"waits: {conflict} spends a coin that it needs. It is lost once that has {BURIED_DEPTH} confirmations"
        return None if before.conflict == now.conflict else waits
    if before.stage is Stage.SIGNED and now.stage is not Stage.HANDED_OUT:
        return "was signed by a command that was cut short, and is sent now"
    if now.stage is not Stage.HANDED_OUT:
        return None
    return f"waits: the node does not take it ({now.reason})" if now.reason else "waits: no node is known to have it"


def changed(before: Sequence[Payment], after: Sequence[Payment]) -> bool:
    """True if a look taught anything about payments."""
    return tuple(before) != tuple(after)
