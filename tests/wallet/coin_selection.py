"""Years of a wallet in a minute: `python -m tests.wallet.coin_selection FILE [ROWS]` replays a scenario of
achow101/coin-selection-simulation and prints what it cost.

A row is an amount in coins, negative where the wallet pays, and a fee rate in coins per 1,000 virtual bytes. A strategy
that leaves many coins lying looks cheap until they are spent, so what is left counts too, at the long-term rate.
"""

import bz2
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from random import Random

from chain.tx import COIN, OutPoint
from wallet.amounts import LONG_TERM_RATE, RELAY_RATE, FeeRate, fee_at
from wallet.select import CandidateCoin, Goal, select
from wallet.sizes import P2WPKH_INPUT_WEIGHT, P2WPKH_OUTPUT_WEIGHT, dust_threshold, vsize_of

FIRST_COIN = COIN // 10
"""What the published runs began with, which the files leave out."""
DUST = dust_threshold(b"\x00\x14" + bytes(20))
SEED = 7


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a scenario came to."""

    payments: int
    without_change: int
    fees: int
    """Satoshis."""
    left: int
    """Coins that are unspent in the end."""

    @property
    def total(self) -> int:
        """Satoshis: the fees, and what spending the coins left would cost."""
        return self.fees + self.left * fee_at(LONG_TERM_RATE, vsize_of(P2WPKH_INPUT_WEIGHT))


def rows_of(file: Path) -> Iterator[tuple[int, FeeRate]]:
    """Amounts in satoshis, and fee rates."""
    with bz2.open(file, "rt") as lines:
        for line in lines:
            amount, rate = (int(Decimal(part) * COIN) for part in line.split(","))
            yield amount, max(RELAY_RATE, FeeRate(rate))


def replay(rows: Iterable[tuple[int, FeeRate]]) -> Outcome:
    """Receive and pay as the rows say; every coin is P2WPKH."""
    rng = Random(SEED)
    made, payments, without_change, fees = 0, 0, 0, 0
    coins: dict[OutPoint, CandidateCoin] = {}

    def receive(value: int) -> None:
        nonlocal made
        made += 1
        point = OutPoint(made.to_bytes(36, "big"))
        coins[point] = CandidateCoin(point, value)

    receive(FIRST_COIN)
    for amount, rate in rows:
        if amount > 0:
            receive(amount)
            continue
        choice = select(list(coins.values()), Goal(-amount, 1, P2WPKH_OUTPUT_WEIGHT, rate, DUST, DUST), rng)
        for candidate in choice.chosen:
            del coins[candidate.outpoint]
        if choice.change:
            receive(choice.change)
        payments, fees = payments + 1, fees + choice.fee
        without_change += not choice.change
    return Outcome(payments, without_change, fees, len(coins))


def main() -> None:
    """Replay the file named."""
    file, *most = sys.argv[1:]
    outcome = replay(islice(rows_of(Path(file)), int(most[0]) if most else None))
    print(outcome)
    print(f"{outcome.total / COIN:.5f} coins in all, what is left counted")


if __name__ == "__main__":
    main()
