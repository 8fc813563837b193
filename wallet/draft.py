"""Unsigned payments made from orders: coins, fee, change; and their signing below the fee ceiling. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from decimal import Decimal
from random import Random

from chain.hashes import Txid
from chain.keys import Engine
from chain.tx import OutPoint, Tx, TxOut, outpoint, outpoint_txid
from wallet.amounts import (
    RATE_MAX,
    RELAY_RATE,
    TARGET_BLOCKS,
    FeeRate,
    checked_rate,
    format_amount,
    format_coins,
    format_fee_rate,
)
from wallet.build import SecretLookup, Spendable, check_payment, draft_tx, sign_tx
from wallet.ceiling import fee_excess
from wallet.derivation import CHANGE, Account, KeyPath
from wallet.errors import FeeTooHigh, ShortOfFunds, WalletError
from wallet.ledger import offered, unconfirmed_ancestors, with_payments
from wallet.refusals import chain_limit
from wallet.select import CandidateCoin, Goal, Selection, close, fits, largest_payment, select, shortage
from wallet.sizes import dust_threshold, outputs_weight
from wallet.state import OwnCoin, State, format_outpoint, next_change_index

CHAIN_MAX = 25
"""Limit of chained unconfirmed transactions: ancestors of the newest, and descendants of
the oldest, itself counted (Core's defaults)."""
ANCESTOR_TIERS = (0, 2, 4, 12, CHAIN_MAX - 1)
"""Unconfirmed ancestors of our own that a coin may have: limits tried in turn."""
PAYMENTS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Order:
    """Payments that somebody wants made."""

    payments: tuple[TxOut, ...]
    """Recipients' scripts and amounts."""
    rate: FeeRate | None = None
    """None: the node's estimate for the target."""
    target: int = TARGET_BLOCKS
    """Blocks within which the payment is to be mined."""
    subtract_fee: bool = False
    """Subtract the fee from the amount; for a single payment."""
    only: tuple[OutPoint, ...] = ()
    """Coins to spend, all of them and no others, if there are any here."""
    everything: bool = False
    """A single payment of all that can be spent, less the fee: its value does not count."""
    max_fee: int | None = None
    """Satoshis: a fee named by a person, in place of the ceiling (wallet.ceiling)."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """The coins available for payments."""

    coins: Mapping[OutPoint, OwnCoin]
    tip_height: int
    ancestors: Mapping[Txid, frozenset[Txid]]
    """Unconfirmed ancestors of each unconfirmed payment of ours, itself included."""
    change_next: int
    """Index of the next change address."""


@dataclass(frozen=True, slots=True)
class Change:
    """The change output."""

    index: int
    """Among the transaction's outputs."""
    path: KeyPath
    value: int


@dataclass(frozen=True, slots=True)
class Draft:
    """An unsigned payment."""

    order: Order
    tx: Tx
    """The transaction without witnesses; its txid is final."""
    coins: tuple[OwnCoin, ...]
    """The coins spent, in the order of inputs."""
    fee: int
    """Satoshis."""
    vsize: int
    """Virtual bytes at most, once signed."""
    change: Change | None
    rate: FeeRate
    """Fee rate that the fee was computed from."""
    minimum: FeeRate | None = None
    """The lowest rate that the node takes, if it says so."""

    @property
    def payments(self) -> tuple[TxOut, ...]:
        """Outputs of the recipients."""
        change = self.change.index if self.change else None
        return tuple(output for index, output in enumerate(self.tx.outputs) if index != change)

    @property
    def fee_excess(self) -> str | None:
        """Why the fee is above the ceiling, as the words after "the fee of ..."; None where it is not."""
        fee = sum(coin.value for coin in self.coins) - sum(output.value for output in self.tx.outputs)
        paid = sum(output.value for output in self.payments)
        named = self.order.rate is not None
        return fee_excess(fee, self.vsize, paid, self.rate, rate_named=named, max_fee=self.order.max_fee)

    @property
    def below_minimum(self) -> str | None:
        """The sentence for people where the node would not take so low a fee."""
        if self.minimum is None or self.rate >= self.minimum:
            return None
        return (
            f"the node takes no less than {format_fee_rate(self.minimum)} sat/vB now, and "
            f"{format_fee_rate(self.rate)} is below: give --fee-rate {format_fee_rate(self.minimum)} or more"
        )

    def agreed(self) -> "Draft":
        """The payment once a person said yes to it: its rate is named, and a fee above the ceiling."""
        max_fee = self.fee if self.fee_excess else self.order.max_fee
        return replace(self, order=replace(self.order, rate=self.rate, max_fee=max_fee))

    def sent(self, vsize: int | None = None) -> "Sent":
        """The report of the payment, with the virtual bytes of the signed transaction if there is one."""
        return Sent(self.tx.txid, self.payments, self.fee, vsize or self.vsize, self.coins, self.change)


@dataclass(frozen=True, slots=True)
class Sent:
    """A payment that was handed to the node."""

    txid: Txid
    payments: tuple[TxOut, ...]
    """Outputs of the recipients."""
    fee: int
    """Satoshis."""
    vsize: int
    """Virtual bytes."""
    coins: tuple[OwnCoin, ...]
    """The coins spent, in the order of inputs."""
    change: Change | None

    @property
    def change_outpoint(self) -> OutPoint | None:
        """The change, as a coin."""
        return outpoint(self.txid, self.change.index) if self.change else None


def rate_for(estimates: Mapping[int, Decimal], target: int, minimum: FeeRate | None = None) -> FeeRate:
    """The node's estimate for the largest target it has up to `target`.

    Never below that of a slower target, the node's minimum and what every node asks. Raises
    FeeTooHigh for an estimate beyond all fee rates.
    """
    within = [known for known in estimates if known <= target]
    chosen = max(within) if within else min(estimates)
    estimate = max(rate for known, rate in estimates.items() if known >= chosen)
    if estimate > RATE_MAX // 1_000:
        raise FeeTooHigh(f"the node estimates {estimate:.0f} sat/vB, which is no fee rate: give --fee-rate")
    return max(RELAY_RATE, minimum or RELAY_RATE, checked_rate(estimate) if estimate > 0 else RELAY_RATE)


def holdings_of(state: State) -> Holdings:
    """The coins that a payment can be made of, as of the last look at the chain."""
    snapshot = state.snapshot
    assert snapshot is not None, "nothing was looked at yet"
    coins = offered(with_payments(snapshot.coins, state.payments), state.payments)
    return Holdings(coins, snapshot.height, unconfirmed_ancestors(state.payments), next_change_index(state))


def make_draft(
    order: Order,
    rate: FeeRate,
    holdings: Holdings,
    account: Account,
    rng: Random,
    engine: Engine,
    must: Set[OutPoint] = frozenset(),
    minimum: FeeRate | None = None,
) -> Draft:
    """Choose coins and lay out the transaction. `must` are coins that it spends in any case, `minimum`
    is the lowest rate that the node takes.

    Raises ShortOfFunds; ChainLimit where only a block would help; WalletError for what cannot be
    ordered. The fee ceiling is for whoever signs (`sign_draft`).
    """
    _check_order(order, engine)
    path = KeyPath(CHANGE, holdings.change_next)
    change_script = account.script(path)
    goal = _goal(order, rate, dust_threshold(change_script))
    selection = _choose_all(order, goal, holdings) if order.everything else _choose(order, goal, holdings, rng, must)
    outputs = list(order.payments)
    if order.subtract_fee or order.everything:
        outputs = [TxOut(selection.total - selection.change - selection.fee, outputs[0].script)]
    if selection.change:
        outputs.append(TxOut(selection.change, change_script))
    coins = [holdings.coins[candidate.outpoint] for candidate in selection.chosen]
    tx = draft_tx([spendable(coin, account) for coin in coins], outputs, holdings.tip_height, rng)
    change = None
    if selection.change:
        place = tx.outputs.index(outputs[-1])
        change = Change(place, path, selection.change)
    spent = tuple(holdings.coins[txin.outpoint] for txin in tx.inputs)
    if not must <= {coin.outpoint for coin in spent}:
        names = " ".join(f"--coin {format_outpoint(point)}" for point in sorted(must))
        raise WalletError(f"a payment of this order is signed already: to replace it, spend its coin too ({names})")
    return Draft(order, tx, spent, selection.fee, selection.vsize, change, rate, minimum)


def sign_draft(draft: Draft, account: Account, secret_of: SecretLookup, engine: Engine) -> Tx:
    """The signed transaction. Raises FeeTooHigh where its fee is above the ceiling, WalletError
    where the node says that the fee is too low for it."""
    if excess := draft.fee_excess:
        fee = format_amount(draft.fee)
        raise FeeTooHigh(
            f"the fee of {fee} {excess}: nothing was sent; lower it with --fee-rate, "
            f"or allow it with --max-fee {format_coins(draft.fee)}"
        )
    if draft.below_minimum:
        raise WalletError(f"{draft.below_minimum}; nothing was sent")
    return sign_tx(draft.tx, [spendable(coin, account) for coin in draft.coins], secret_of, engine)


def spendable(coin: OwnCoin, account: Account) -> Spendable:
    """The coin with what signing needs."""
    return Spendable(coin.outpoint, coin.value, account.script(coin.path), coin.path)


def _check_order(order: Order, engine: Engine) -> None:
    if not 1 <= len(order.payments) <= PAYMENTS_MAX:
        raise WalletError(f"pay 1 to {PAYMENTS_MAX} addresses at once")
    if order.subtract_fee and len(order.payments) != 1:
        raise WalletError("the fee can be subtracted from a single payment only")
    if order.everything and len(order.payments) != 1:
        raise WalletError("everything can be paid to a single address only")
    for payment in order.payments:
        check_payment(payment, engine, amount_known=not order.everything)


def _goal(order: Order, rate: FeeRate, change_dust: int) -> Goal:
    payments = order.payments
    return Goal(
        amount=sum(payment.value for payment in payments),
        outputs=len(payments),
        outputs_weight=outputs_weight(payments),
        rate=rate,
        change_dust=change_dust,
        least_paid=dust_threshold(payments[0].script),
        subtract_fee=order.subtract_fee,
    )


def _choose(order: Order, goal: Goal, holdings: Holdings, rng: Random, must: Set[OutPoint]) -> Selection:
    """Coins for the order: confirmed ones if they suffice, then unconfirmed change, then other people's payments."""
    if order.only:
        return _choose_only(order, goal, holdings)
    if must:
        return _choose_around(goal, holdings, must)
    chains = _Chains(holdings)
    mature = [coin for coin in holdings.coins.values() if coin.is_mature(holdings.tip_height)]
    usable = [coin for coin in mature if chains.have_room([coin])]
    for tier in (*ANCESTOR_TIERS, None):
        allowed = [coin for coin in usable if tier is None or coin.height is not None or chains.depth(coin) <= tier]
        try:
            selection = select(_candidates(allowed), goal, rng)
        except ShortOfFunds:
            continue
        if chains.have_room(holdings.coins[candidate.outpoint] for candidate in selection.chosen):
            return selection
    select(_candidates(mature), goal, rng)  # raises ShortOfFunds unless it is but the limit
    raise chain_limit()


def _choose_around(goal: Goal, holdings: Holdings, must: Set[OutPoint]) -> Selection:
    """The coins of `must`, and as few others as do: confirmed ones first, the largest of them."""
    others = [
        coin for coin in holdings.coins.values() if coin.outpoint not in must and coin.is_mature(holdings.tip_height)
    ]
    others.sort(key=lambda coin: (coin.height is None, not coin.own, -coin.value))
    chosen = [holdings.coins[point] for point in sorted(must)]
    while (selection := close(_candidates(chosen), goal)) is None:
        if not others:
            raise shortage(_candidates(chosen), goal)
        chosen.append(others.pop(0))
    if not _Chains(holdings).have_room(chosen):
        raise chain_limit()
    return selection


class _Chains:
    """Chains of unconfirmed transactions as far as the wallet knows them; the node may know more."""

    def __init__(self, holdings: Holdings) -> None:
        self._ancestors = holdings.ancestors
        self._descendants = Counter(txid for stack in holdings.ancestors.values() for txid in stack)

    def depth(self, coin: OwnCoin) -> int:
        """Unconfirmed ancestors of a coin; other people's coins count as deepest."""
        return len(self._stack([coin])) if coin.own else CHAIN_MAX

    def have_room(self, coins: Iterable[OwnCoin]) -> bool:
        """True if nodes would take one more transaction, on top of all these coins."""
        stack = self._stack(coins)
        return len(stack) < CHAIN_MAX and all(self._descendants[txid] < CHAIN_MAX for txid in stack)

    def _stack(self, coins: Iterable[OwnCoin]) -> frozenset[Txid]:
        parents = {outpoint_txid(coin.outpoint) for coin in coins if coin.height is None}
        return frozenset[Txid]().union(*(self._ancestors.get(txid, frozenset((txid,))) for txid in parents))


def _choose_all(order: Order, goal: Goal, holdings: Holdings) -> Selection:
    """Every coin that brings more than it costs, or all those named; what is left after the fee is paid."""
    if order.only:
        coins = _named(order, holdings)
    else:
        coins = [coin for coin in holdings.coins.values() if coin.is_mature(holdings.tip_height)]
    chosen = [candidate for candidate in _candidates(coins) if order.only or goal.worth(candidate) > 0]
    total = sum(candidate.value for candidate in chosen)
    if not coins:
        raise ShortOfFunds("not enough coins: none can be sent now (see `wallet balance`)")
    if not chosen or (selection := close(chosen, replace(goal, amount=total, subtract_fee=True))) is None:
        if fits(chosen, goal):
            raise ShortOfFunds("nothing would be left to send after the fee: see `wallet balance`")
        at_once = format_coins(largest_payment(chosen, goal))
        raise ShortOfFunds(
            f"{len(chosen)} coins are too many for one transaction: send {at_once} coins or less, several times"
        )
    if not _Chains(holdings).have_room(coins):
        raise chain_limit()
    return selection


def _choose_only(order: Order, goal: Goal, holdings: Holdings) -> Selection:
    coins = _named(order, holdings)
    candidates = _candidates(coins)
    selection = close(candidates, goal)
    if selection is None:
        raise shortage(candidates, goal)
    if not _Chains(holdings).have_room(coins):
        raise chain_limit()
    return selection


def _named(order: Order, holdings: Holdings) -> list[OwnCoin]:
    """The coins that the order names."""
    coins = []
    for point in dict.fromkeys(order.only):
        coin = holdings.coins.get(point)
        if coin is None:
            raise ShortOfFunds(f"coin {format_outpoint(point)} is not this wallet's, or spent: see `wallet coins`")
        if not coin.is_mature(holdings.tip_height):
            raise WalletError(
                f"coin {format_outpoint(point)} was mined less than 100 blocks ago: wait until it matures"
            )
        coins.append(coin)
    return coins


def _candidates(coins: Iterable[OwnCoin]) -> list[CandidateCoin]:
    return [CandidateCoin(coin.outpoint, coin.value) for coin in coins]
