"""Three hundred blocks of payments by this project's own code, followed by Bitcoin Core's engine."""

import random
from collections import Counter

import pytest

from chain.coins import Coin, CoinsDelta
from chain.connect import SEQUENCE_BY_TIME, block_delta
from chain.errors import Invalid, Reject
from chain.hashes import hash160, sha256
from chain.params import COINBASE_MATURITY
from chain.script import HASH_TYPES
from chain.scripttype import ScriptType, classify
from chain.tx import SEQUENCE_FINAL, Tx, TxOut, outpoint_txid
from tests.chainlab import (
    FEE,
    KINDS,
    SPACING_S,
    START_TIME,
    Lab,
    Owned,
    filler,
    key,
    lock,
    made_by,
    owner,
    pay,
    push,
)
from tests.oracle.kernel import Kernel

HEIGHT = 300
PAYMENTS_LEAST = 2_000
PER_BLOCK = (9, 15)
SORTS = ["plain", "child", "height", "time", "relative height", "relative time", "replaced"]
LEAST_TOTAL = 20 * FEE
"""Satoshis that a payment here spends at least, so that it can have outputs."""
SEQUENCE_OPEN = SEQUENCE_FINAL - 1

FOREIGN_LOCKS = [
    b"\xa9" + push(hash160(b"\x51")) + b"\x87",
    b"\x00" + push(sha256(b"\x51")),
    push(key(0).public) + b"\xac",
    b"\x51" + push(key(0).public) + push(key(1).public) + b"\x52\xae",
    b"\x52" + push(bytes(32)),
    b"\x51",
    b"",
    filler(80),
    filler(3),
    b"\x51" * 10_001,
]
"""Payable and not spendable here, or nowhere."""


class Payer:
    """Draws payments of every sort for the block on a lab's tip."""

    def __init__(self, lab: Lab, rng: random.Random) -> None:
        self.lab = lab
        self.rng = rng
        self.counts: Counter[str] = Counter()
        self.fresh: list[Owned] = []
        """Outputs of this very block."""
        self.replaced: list[Tx] = []
        """Good payments that another took the place of."""

    def block(self, count: int) -> list[Tx]:
        """Payments for the next block."""
        self.fresh = []
        return [self._payment() for _ in range(count)]

    def _payment(self) -> Tx:
        sort = self.rng.choice(["plain", *SORTS])
        owned = self._coins(1 if sort == "child" else self.rng.randint(1, 3), prefer_fresh=sort == "child")
        lock_time, sequences, version = 0, [SEQUENCE_FINAL] * len(owned), self.rng.choice([1, 2, 2, 3, 2**32 - 1])
        if sort == "height":
            lock_time, sequences = self.lab.height, [SEQUENCE_OPEN] * len(owned)
        elif sort == "time":
            lock_time, sequences = self.lab.tip.median_time - 1, [SEQUENCE_OPEN] * len(owned)
        elif sort == "relative height":
            version, sequences = 2, [self._blocks_passed(one.coin) for one in owned]
        elif sort == "relative time":
            version, sequences = 2, [self._time_passed(one.coin) for one in owned]
        outputs = self._outputs(sum(one.coin.value for one in owned))
        hash_types = [self._hash_type(one.coin, index < len(outputs)) for index, one in enumerate(owned)]

        def signed(outs: list[TxOut]) -> Tx:
            return pay(owned, outs, version=version, lock_time=lock_time, sequences=sequences, hash_types=hash_types)

        if sort == "replaced":
            self.replaced.append(signed(outputs))
            outputs[0] = TxOut(outputs[0].value - FEE, outputs[0].script)
        tx = signed(outputs)
        self._note(tx, sort, owned)
        return tx

    def _note(self, tx: Tx, sort: str, owned: list[Owned]) -> None:
        self.counts[sort] += 1
        self.counts["payments"] += 1
        self.counts["in this block"] += any(one.coin.height == self.lab.height + 1 for one in owned)
        for one in owned:
            self.counts[f"from {classify(one.coin.script)}"] += 1
        for index, output in enumerate(tx.outputs):
            self.counts[f"to {classify(output.script)}"] += 1
            if owner(output.script):
                self.fresh.append(made_by(tx, index, self.lab.height + 1))

    def _coins(self, count: int, *, prefer_fresh: bool) -> list[Owned]:
        """Coins of this block or from before, mature; each only once."""
        found: list[Owned] = []
        while len(found) < count or sum(one.coin.value for one in found) < LEAST_TOTAL:
            kind = self.rng.choice(KINDS)
            if self.fresh and (prefer_fresh or self.rng.random() < 0.1):
                found.append(self.fresh.pop(self.rng.randrange(len(self.fresh))))
            elif self._has(kind):
                found += self.lab.take(kind)
            elif found or not any(map(self._has, KINDS)):
                if not found:
                    found.append(self.fresh.pop())
                break
        return found

    def _has(self, kind: ScriptType) -> bool:
        lab = self.lab
        coins = (lab.coins.get(point) for point in lab.purse[kind])
        return any(c and (not c.is_coinbase or lab.height + 1 - c.height >= COINBASE_MATURITY) for c in coins)

    def _outputs(self, total: int) -> list[TxOut]:
        """One output at least, to a key here; the others to anything."""
        count = self.rng.randint(2, 4)
        share = (total - 2 * FEE) // count  # a replacement pays one fee more
        outputs = []
        for index in range(count):
            if index and self.rng.random() < 0.1:
                outputs.append(TxOut(self.rng.randrange(share), self.rng.choice(FOREIGN_LOCKS)))
            else:
                outputs.append(TxOut(share, lock(self.rng.choice(KINDS), self.rng.randrange(12))))
        return outputs

    def _hash_type(self, coin: Coin, has_output: bool) -> int | None:
        if self.rng.random() < 0.6:
            return None
        hash_type = self.rng.choice(sorted(HASH_TYPES))
        return hash_type if hash_type & 3 != 3 or has_output else None

    def _blocks_passed(self, coin: Coin) -> int:
        """The longest relative lock that is over, or one less."""
        passed = self.lab.height + 1 - coin.height
        return max(0, passed - self.rng.randrange(2))

    def _time_passed(self, coin: Coin) -> int:
        start = self.lab.tip.ancestor(max(coin.height - 1, 0)).median_time
        units = min((self.lab.tip.median_time - start) // 512, 0xFFFF)
        return SEQUENCE_BY_TIME | max(0, units - self.rng.randrange(2))


def build() -> tuple[Lab, Payer, list[CoinsDelta]]:
    """The chain, its payer, and what each block did to the coins."""
    rng = random.Random(20_090_103)
    lab, deltas = Lab(), []
    payer = Payer(lab, rng)
    while lab.height < HEIGHT:
        txs = payer.block(rng.randint(*PER_BLOCK)) if lab.height >= COINBASE_MATURITY else []
        time = START_TIME + (lab.height + 1) * SPACING_S + rng.randint(-1500, 1500)
        block = lab.candidate(txs, time=max(time, lab.tip.median_time + 1), extra_nonce=rng.getrandbits(64))
        deltas.append(lab.accept(block).delta)
    return lab, payer, deltas


@pytest.fixture(scope="module")
def built() -> tuple[Lab, Payer, list[CoinsDelta]]:
    return build()


def test_the_engine_follows_block_for_block(built: tuple[Lab, Payer, list[CoinsDelta]]) -> None:
    lab, _, deltas = built
    count = spent_coinbases = 0
    with Kernel() as kernel:
        for height, (block, delta) in enumerate(zip(lab.blocks, deltas, strict=True), 1):
            verdict = kernel.submit(block)
            assert verdict.accepted, f"height {height}: {verdict.detail}"
            count += len(delta.created) - len(delta.spent)
            spent_coinbases += sum(coin.is_coinbase for coin in delta.spent.values())
            assert kernel.entries_count == count + spent_coinbases
        assert (kernel.height, count) == (HEIGHT, len(lab.coins))


def test_there_are_payments_of_every_sort(built: tuple[Lab, Payer, list[CoinsDelta]]) -> None:
    counts = built[1].counts
    assert counts["payments"] >= PAYMENTS_LEAST
    assert min(counts[sort] for sort in [*SORTS, "in this block"]) >= 100, counts
    assert min(counts[f"from {kind}"] for kind in KINDS) >= 500, counts
    assert min(counts[f"to {kind}"] for kind in ScriptType) >= 1, counts


def test_what_was_replaced_can_no_longer_come(built: tuple[Lab, Payer, list[CoinsDelta]]) -> None:
    lab, payer, _ = built
    for tx in payer.replaced[-20:]:
        with pytest.raises(Invalid) as refused:
            lab.verdict(lab.candidate([tx]))
        assert refused.value.code is Reject.INPUTS_MISSING_OR_SPENT


def test_the_deltas_lead_there_and_back(built: tuple[Lab, Payer, list[CoinsDelta]]) -> None:
    lab, _, deltas = built
    whole = CoinsDelta.fold(deltas)
    assert whole.created == lab.coins
    assert whole.spent == {}
    assert CoinsDelta.fold([*deltas, *(delta.inverse() for delta in reversed(deltas))]) == CoinsDelta({}, {})
    at = HEIGHT - 50
    unwound = dict(lab.coins)
    for delta in reversed(deltas[at:]):
        back = delta.inverse()
        for point in back.spent:
            del unwound[point]
        unwound |= back.created
    assert unwound == CoinsDelta.fold(deltas[:at]).created


def test_undo_gives_the_delta_again() -> None:
    rng = random.Random(7)
    lab = Lab()
    payer = Payer(lab, rng)
    lab.mine_empty(COINBASE_MATURITY)
    for _ in range(10):
        block = lab.candidate(payer.block(10))
        connected = lab.accept(block)
        assert block_delta(block, lab.height, connected.undo) == connected.delta
        assert {outpoint_txid(point) for point in connected.delta.created} <= {tx.txid for tx in block.txs}
