"""A payment in the place of those made for the same order before (BIP125): none of them can be mined beside it."""

from collections.abc import Callable, Mapping, Sequence, Set

from chain.hashes import to_hex
from chain.tx import OutPoint
from wallet.amounts import RELAY_RATE, FeeRate, fee_at, format_fee_rate
from wallet.client import Esplora
from wallet.delivery import shared_coins
from wallet.draft import Draft, Order
from wallet.errors import PaymentRefused
from wallet.payment import Payment
from wallet.state import OwnCoin, Snapshot

RATE_TRIES = 4
"""Attempts at raising the rate until the fee is enough."""

MakeDraft = Callable[[FeeRate, Set[OutPoint]], Draft]
"""Lays out the order at a fee rate, spending at least these coins."""


def replacement_draft(
    make: MakeDraft, order: Order, rate: FeeRate, coins: Mapping[OutPoint, OwnCoin], earlier: Sequence[Payment]
) -> Draft:
    """A draft that cannot be mined beside any of the `earlier` payments, and that a node takes in their place: more
    fee, by the relay rate. `coins` are all that it may spend, theirs among them. Raises PaymentRefused."""
    # Better one in a block: the payment that made another may be gone.
    sure = frozenset(point for point, coin in coins.items() if coin.height is not None)
    must = shared_coins(earlier, sure) or shared_coins(earlier, frozenset(coins))
    name = to_hex(earlier[-1].txid)
    if must is None:
        raise PaymentRefused(
            f"payment {name} of this order is signed, and another transaction spends its coins: nothing more is "
            "signed for it before one of the two is buried; see `wallet history`"
        )
    least = max(payment.fee for payment in earlier)
    for _ in range(RATE_TRIES):
        draft = make(rate, must)
        enough = least + fee_at(RELAY_RATE, draft.vsize)
        if draft.fee >= enough:
            return draft
        needed = FeeRate(-(-enough * 1_000 // draft.vsize))
        if order.rate:
            raise PaymentRefused(
                f"payment {name} of this order is signed: to replace it give --fee-rate "
                f"{format_fee_rate(needed)} or more"
            )
        rate = needed
    raise PaymentRefused(f"no fee was found that replaces payment {name}: give --fee-rate")


def coins_of(client: Esplora, snapshot: Snapshot | None, payments: Sequence[Payment]) -> dict[OutPoint, OwnCoin]:
    """The coins of payments that nothing else spends, by the node's word."""
    known = {coin.outpoint: coin for coin in snapshot.coins} if snapshot else {}
    coins, own = {}, {payment.txid for payment in payments}
    for payment in payments:
        for point, (value, path) in zip(payment.spent, payment.inputs, strict=True):
            spender = client.outspend(point)
            if spender is None or spender.txid in own:
                coins[point] = known.get(point) or OwnCoin(point, value, path, None, own=True, proven=True)
    return coins
