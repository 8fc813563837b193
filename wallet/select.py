"""Coin selection: branch and bound for a payment without change, else the least wasteful of
three ways to pay with change. Pure; randomness is passed in.

Waste is what a choice costs beyond necessity, in satoshis: what its inputs cost now rather than
later at LONG_TERM_RATE, plus the price of change (making it now, spending it later) or, without
change, what is left to the fee. The method and its names are Bitcoin Core's and Murch's (2016).
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from chain.tx import WITNESS_SCALE, OutPoint
from wallet.amounts import LONG_TERM_RATE, FeeRate, fee_at, format_coins, format_fee_rate
from wallet.errors import ShortOfFunds
from wallet.sizes import P2WPKH_INPUT_WEIGHT, P2WPKH_OUTPUT_WEIGHT, WEIGHT_MAX, spend_weight, vsize_of

TRIES_MAX = 20_000
"""Steps of branch and bound; the best choice found by then counts."""
CHANGE_AIM = 50_000
"""Satoshis of change that a random draw aims for: a very small coin only costs fees later."""


@dataclass(frozen=True, slots=True)
class CandidateCoin:
    """A coin that may be chosen."""

    outpoint: OutPoint
    value: int
    """Satoshis."""
    weight: int = P2WPKH_INPUT_WEIGHT
    """Weight units of its input, signed."""


@dataclass(frozen=True, slots=True)
class Goal:
    """The payments that coins are selected for."""

    amount: int
    """Sum of the payments in satoshis."""
    outputs: int
    """Number of payments."""
    outputs_weight: int
    """Weight units of the payments' outputs."""
    rate: FeeRate
    change_dust: int
    """Change below this goes to the fee."""
    least_paid: int
    """The least that the payments may receive once the fee is subtracted."""
    subtract_fee: bool = False
    """The fee is taken from the amount, not added to it."""
    change_weight: int = P2WPKH_OUTPUT_WEIGHT

    def vsize(self, chosen: Sequence[CandidateCoin], *, change: bool) -> int:
        """Virtual bytes of the transaction that spends `chosen`."""
        inputs_weight = sum(candidate.weight for candidate in chosen)
        outputs_weight = self.outputs_weight + self.change_weight * change
        return vsize_of(spend_weight(len(chosen), self.outputs + change, inputs_weight, outputs_weight))

    def worth(self, candidate: CandidateCoin) -> int:
        """A coin's effective value: its value less the fee for its input."""
        return candidate.value - (0 if self.subtract_fee else fee_at(self.rate, vsize_of(candidate.weight)))

    def least(self, inputs: int) -> int:
        """The sum of effective values that is needed without change, with at most `inputs` coins."""
        if self.subtract_fee:
            return self.amount
        frame = spend_weight(inputs, self.outputs, 0, self.outputs_weight)
        return self.amount + fee_at(self.rate, vsize_of(frame))

    def haste(self, candidate: CandidateCoin) -> int:
        """The fee for the coin's input now, less its long-term fee."""
        vsize = vsize_of(candidate.weight)
        return fee_at(self.rate, vsize) - fee_at(LONG_TERM_RATE, vsize)

    @property
    def change_price(self) -> int:
        """Cost of change: its output now, its input at the long-term rate."""
        now = fee_at(self.rate, vsize_of(self.change_weight))
        return now + fee_at(LONG_TERM_RATE, vsize_of(P2WPKH_INPUT_WEIGHT))


@dataclass(frozen=True, slots=True)
class Selection:
    """Chosen coins with their exact fee and change: inputs = amount + change + fee (the amount is
    smaller by the fee if that is subtracted)."""

    chosen: tuple[CandidateCoin, ...]
    fee: int
    """Satoshis; never below the goal's rate for `vsize`."""
    change: int
    """Satoshis, or 0 for no change output."""
    vsize: int
    """Virtual bytes, signatures at their longest."""
    waste: int

    @property
    def total(self) -> int:
        """Satoshis of the coins chosen."""
        return sum(candidate.value for candidate in self.chosen)


def select(candidates: Sequence[CandidateCoin], goal: Goal, rng: Random) -> Selection:
    """The least wasteful choice found. Raises ShortOfFunds."""
    pool = sorted((c for c in candidates if goal.worth(c) > 0), key=goal.worth, reverse=True)
    choices = [
        closed
        for chosen in (_without_change(pool, goal), _smallest_alone(pool, goal), _largest_first(pool, goal),
                       _random_draw(pool, goal, rng))
        if chosen and (closed := close(chosen, goal))
    ]  # fmt: skip
    if not choices:
        raise shortage(pool, goal)
    return min(choices, key=lambda choice: (choice.waste, len(choice.chosen)))


def close(chosen: Sequence[CandidateCoin], goal: Goal) -> Selection | None:
    """The exact fee and change of spending just these coins, or None where they do not suffice."""
    rest = sum(candidate.value for candidate in chosen) - goal.amount
    if rest < 0:
        return None
    vsize = goal.vsize(chosen, change=True)
    fee = fee_at(goal.rate, vsize)
    change = rest if goal.subtract_fee else rest - fee
    if change < goal.change_dust:
        vsize, change = goal.vsize(chosen, change=False), 0
        needed = fee_at(goal.rate, vsize)
        fee = max(rest, needed) if goal.subtract_fee else rest
        if fee < needed:
            return None
    if vsize > WEIGHT_MAX // WITNESS_SCALE or goal.amount + rest - change - fee < goal.least_paid:
        return None
    excess = goal.change_price if change else fee - fee_at(goal.rate, vsize)
    return Selection(tuple(chosen), fee, change, vsize, sum(map(goal.haste, chosen)) + excess)


def _without_change(pool: Sequence[CandidateCoin], goal: Goal) -> list[CandidateCoin] | None:
    """Branch and bound: the least wasteful coins worth the goal, or above it by no more than the
    price of change, and by less than would come back as change.

    A depth-first walk over coins by falling worth, taking each before leaving it out. A branch
    ends when it is worth enough, wastes too much, or cannot reach the goal any more; of coins
    worth the same, one left out means leaving out the next ones too.
    """
    low = goal.least(len(pool))
    making = 0 if goal.subtract_fee else fee_at(goal.rate, vsize_of(goal.change_weight))
    least_change = goal.change_dust + making
    high = low + min(goal.change_price, least_change - 1)
    worths, hastes = [goal.worth(candidate) for candidate in pool], [goal.haste(candidate) for candidate in pool]
    prune = min(hastes, default=0) >= 0
    ahead, have, haste, at = sum(worths), 0, 0, 0
    taken: list[int] = []
    best: list[int] | None = None
    least_waste = 0
    for _ in range(TRIES_MAX):
        waste = haste + have - low
        if low <= have <= high and (best is None or waste < least_waste):
            best, least_waste = taken.copy(), waste
        hopeless = best is not None and prune and haste > least_waste
        # Below the long-term rate a further coin is a gain: there is enough only where no more fits.
        enough = have >= low if prune else have > high
        if enough or at == len(pool) or have + ahead < low or hopeless:
            if not taken:
                break
            last = taken.pop()
            ahead += sum(worths[last + 1 : at])
            have, haste, at = have - worths[last], haste - hastes[last], last + 1
            continue
        just_left_out = at > 0 and (not taken or taken[-1] != at - 1)
        ahead -= worths[at]
        if not (just_left_out and worths[at] == worths[at - 1]):
            taken.append(at)
            have, haste = have + worths[at], haste + hastes[at]
        at += 1
    return None if best is None else [pool[position] for position in best]


def _smallest_alone(pool: Sequence[CandidateCoin], goal: Goal) -> list[CandidateCoin] | None:
    """The smallest coin that pays for everything and leaves good change; the large ones stay whole."""
    enough = _enough_with_change(goal, 1)
    for candidate in reversed(pool):
        if goal.worth(candidate) >= enough:
            return [candidate]
    return None


def _largest_first(pool: Sequence[CandidateCoin], goal: Goal) -> list[CandidateCoin] | None:
    """The largest coins, as few as possible."""
    return _until_enough(pool, goal, goal.least(len(pool)))


def _random_draw(pool: Sequence[CandidateCoin], goal: Goal, rng: Random) -> list[CandidateCoin] | None:
    """Coins in random order until they pay for everything and leave good change: says the least
    about the wallet, and in the long run keeps its coins of many sizes."""
    drawn = list(pool)
    rng.shuffle(drawn)
    return _until_enough(drawn, goal, _enough_with_change(goal, len(pool)))


def _enough_with_change(goal: Goal, inputs: int) -> int:
    return goal.least(inputs) + fee_at(goal.rate, vsize_of(goal.change_weight) + 1) + max(goal.change_dust, CHANGE_AIM)


def _until_enough(pool: Sequence[CandidateCoin], goal: Goal, enough: int) -> list[CandidateCoin] | None:
    chosen, worth = [], 0
    for candidate in pool:
        chosen.append(candidate)
        worth += goal.worth(candidate)
        if worth >= enough:
            return chosen
    return chosen or None


def fits(chosen: Sequence[CandidateCoin], goal: Goal) -> bool:
    """True if a transaction without change that spends `chosen` is one that nodes relay."""
    return goal.vsize(chosen, change=False) <= WEIGHT_MAX // WITNESS_SCALE


def largest_payment(candidates: Sequence[CandidateCoin], goal: Goal) -> int:
    """The most satoshis that one transaction at the goal's rate can pay from these coins."""
    pool = sorted((c for c in candidates if goal.worth(c) > 0), key=goal.worth, reverse=True)
    count = bisect_left(range(len(pool)), True, key=lambda last: not fits(pool[: last + 1], goal))
    fee = 0 if goal.subtract_fee else fee_at(goal.rate, goal.vsize(pool[:count], change=False))
    return sum(candidate.value for candidate in pool[:count]) - fee


def shortage(candidates: Sequence[CandidateCoin], goal: Goal) -> ShortOfFunds:
    """Why no choice of the candidates reaches the goal, and what can be paid instead."""
    pool = [candidate for candidate in candidates if goal.worth(candidate) > 0]
    most = largest_payment(pool, goal)
    if goal.amount <= most:
        return ShortOfFunds("too little would be left of the amount after the fee: pay more, or lower --fee-rate")
    at_most = f"at most {format_coins(most)} coins"
    if most < goal.least_paid:
        return ShortOfFunds("not enough coins: none can be sent now (see `wallet balance`)")
    if not fits(pool, goal):
        return ShortOfFunds(f"too many small coins for one transaction: send {at_most} at once, several times")
    return ShortOfFunds(
        f"not enough coins: {at_most} can be sent with a fee of {format_fee_rate(goal.rate)} sat/vB; "
        "`max` as the amount sends all of it"
    )
