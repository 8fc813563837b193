"""From an order to a transaction that only lacks signatures: which coins, what fee, what change. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from chain.hashes import Txid
from chain.keys import Engine
from chain.tx import COIN, OutPoint, Tx, TxOut, outpoint, outpoint_txid
from wallet.amounts import RELAY_RATE, FeeRate, checked_rate, format_coins
from wallet.build import Spendable, check_payment, draft_tx
from wallet.derivation import CHANGE, Account, KeyPath
from wallet.errors import ShortOfFunds, WalletError
from wallet.refusals import chain_limit
from wallet.select import Candidate, Goal, Selection, close, select
from wallet.sizes import dust_threshold, outputs_weight
from wallet.state import OwnCoin, format_outpoint

TARGET_BLOCKS = 6
"""Within how many blocks a payment shall be mined, unless one says otherwise."""
CHAIN_MAX = 25
"""Unconfirmed transactions that nodes take in a row: ancestors of the newest, and descendants of
the oldest, itself counted (Core's defaults)."""
ANCESTOR_TIERS = (0, 2, 4, 12, CHAIN_MAX - 1)
"""How deep a stack of our own unconfirmed payments a coin may stand on: tried in turn."""
FEE_MAX = COIN // 10
FEE_SMALL = 100_000
"""A fee above the first, or above the second and the amount paid, is taken for a slip."""
PAYMENTS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants paid."""

    payments: tuple[TxOut, ...]
    rate: FeeRate | None = None
    """None: what the node estimates for the target."""
    target: int = TARGET_BLOCKS
    """In blocks."""
    subtract_fee: bool = False
    """The recipient gets the amount less the fee; for a single payment."""
    only: tuple[OutPoint, ...] = ()
    """If any: spend all of these coins, and no other."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What there is to pay from."""

    coins: Mapping[OutPoint, OwnCoin]
    tip_height: int
    ancestors: Mapping[Txid, frozenset[Txid]]
    """For each unconfirmed payment of ours, those it stands on, itself included."""
    change_next: int
    """Index of the next change address."""


@dataclass(frozen=True, slots=True)
class Change:
    """The output that comes back."""

    index: int
    """Among the transaction's outputs."""
    path: KeyPath
    value: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A payment ready to be signed."""

    order: Order
    tx: Tx
    """Without witnesses; its id is final already."""
    coins: tuple[OwnCoin, ...]
    """What it spends, in its inputs' order."""
    fee: int
    """Satoshis."""
    vsize: int
    """Virtual bytes at most, once signed."""
    change: Change | None


@dataclass(frozen=True, slots=True)
class Sent:
    """A payment that the node took."""

    txid: Txid
    fee: int
    """Satoshis."""
    vsize: int
    """Virtual bytes."""
    coins: tuple[OwnCoin, ...]
    """What it spent, in its inputs' order."""
    change: Change | None

    @property
    def change_outpoint(self) -> OutPoint | None:
        """The coin that came back."""
        return outpoint(self.txid, self.change.index) if self.change else None


def rate_for(estimates: Mapping[int, Decimal], target: int) -> FeeRate:
    """The node's estimate for the largest target it has up to `target`; never below the relay minimum."""
    within = [known for known in estimates if known <= target]
    estimate = estimates[max(within) if within else min(estimates)]
    return max(RELAY_RATE, checked_rate(estimate)) if estimate > 0 else RELAY_RATE


def make_draft(
    order: Order,
    rate: FeeRate,
    holdings: Holdings,
    account: Account,
    rng: Random,
    engine: Engine,
    avoid: Set[OutPoint] = frozenset(),
) -> Draft:
    """Choose coins and lay out the transaction. `avoid` are coins that the node has just refused.

    Raises ShortOfFunds; ChainLimit where only a block would help; WalletError for what cannot be
    ordered.
    """
    _check_order(order, engine)
    path = KeyPath(CHANGE, holdings.change_next)
    change_script = account.script(path)
    goal = _goal(order, rate, dust_threshold(change_script))
    selection = _choose(order, goal, holdings, rng, avoid)
    _check_fee(selection.fee, goal.amount)
    outputs = list(order.payments)
    if order.subtract_fee:
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
    return Draft(order, tx, spent, selection.fee, selection.vsize, change)


def spendable(coin: OwnCoin, account: Account) -> Spendable:
    """The coin as signing wants it."""
    return Spendable(coin.outpoint, coin.value, account.script(coin.path), coin.path)


def _check_order(order: Order, engine: Engine) -> None:
    if not 1 <= len(order.payments) <= PAYMENTS_MAX:
        raise WalletError(f"pay 1 to {PAYMENTS_MAX} addresses at once")
    if order.subtract_fee and len(order.payments) != 1:
        raise WalletError("the fee can be subtracted from a single payment only")
    for payment in order.payments:
        check_payment(payment, engine)


def _check_fee(fee: int, amount: int) -> None:
    if fee > FEE_MAX or fee > max(FEE_SMALL, amount):
        raise WalletError(
            f"the fee would be {format_coins(fee)} coins, which looks like a slip: nothing was sent; lower --fee-rate"
        )


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


def _choose(order: Order, goal: Goal, holdings: Holdings, rng: Random, avoid: Collection[OutPoint]) -> Selection:
    """Confirmed coins if they do, then more and more of the unconfirmed, other people's last."""
    if order.only:
        return _choose_only(order, goal, holdings)
    chains = _Chains(holdings)
    mature = [coin for coin in holdings.coins.values() if coin.is_mature(holdings.tip_height)]
    usable = [coin for coin in mature if coin.outpoint not in avoid and chains.have_room([coin])]
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


class _Chains:
    """Unconfirmed transactions in a row, as far as we know: of other people's the node has the last word."""

    def __init__(self, holdings: Holdings) -> None:
        self._ancestors = holdings.ancestors
        self._descendants = Counter(txid for stack in holdings.ancestors.values() for txid in stack)

    def depth(self, coin: OwnCoin) -> int:
        """How many transactions an unconfirmed coin stands on; other people's go below all of ours."""
        return len(self._stack([coin])) if coin.own else CHAIN_MAX

    def have_room(self, coins: Iterable[OwnCoin]) -> bool:
        """True if nodes would take one more transaction, on top of all these coins."""
        stack = self._stack(coins)
        return len(stack) < CHAIN_MAX and all(self._descendants[txid] < CHAIN_MAX for txid in stack)

    def _stack(self, coins: Iterable[OwnCoin]) -> frozenset[Txid]:
        parents = {outpoint_txid(coin.outpoint) for coin in coins if coin.height is None}
        return frozenset[Txid]().union(*(self._ancestors.get(txid, frozenset((txid,))) for txid in parents))


def _choose_only(order: Order, goal: Goal, holdings: Holdings) -> Selection:
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
    selection = close(_candidates(coins), goal)
    if selection is None:
        total = sum(coin.value for coin in coins)
        raise ShortOfFunds(
            f"those coins hold {total} sat: not enough for {goal.amount} sat and the fee; name more coins"
        )
    if not _Chains(holdings).have_room(coins):
        raise chain_limit()
    return selection


def _candidates(coins: Iterable[OwnCoin]) -> list[Candidate]:
    return [Candidate(coin.outpoint, coin.value) for coin in coins]
