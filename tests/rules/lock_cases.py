"""Lock times: absolute and relative, by height and by time."""

from collections.abc import Callable, Sequence

from chain.block import Block
from chain.connect import SEQUENCE_BY_TIME, SEQUENCE_NO_LOCK
from chain.errors import Reject
from chain.scripttype import ScriptType
from chain.tx import SEQUENCE_FINAL, Tx, outpoint
from tests.chainlab import (
    Lab,
    Owned,
    made_by,
    pay,
    remade,
    with_coinbase,
    with_input,
)
from tests.rules.case import Case, block_of, one_payment


def absolute(lock_time: int, sequences: Sequence[int] = (SEQUENCE_FINAL - 1,)) -> Callable[[Lab], Block]:
    """A payment with a lock time, its inputs of these sequences."""
    return block_of(
        lambda lab: pay(lab.take(ScriptType.P2TR, len(sequences)), lock_time=lock_time, sequences=sequences, version=1)
    )


def until_median(offset: int) -> Callable[[Lab], Block]:
    """A payment locked until so long after the parent's median time past."""

    def make(lab: Lab) -> Tx:
        return pay(lab.take(), lock_time=lab.tip.median_time + offset, sequences=[0], version=1)

    return block_of(make)


def coinbase_locked(lock_time: int, sequence: int) -> Callable[[Lab], Block]:
    """The coinbase itself with a lock time."""

    def change(tx: Tx) -> Tx:
        return remade(with_input(tx, sequence=sequence), lock_time=lock_time)

    return lambda lab: with_coinbase(lab.candidate(), change)


def coinbase_locked_by_time(offset: int) -> Callable[[Lab], Block]:
    def mutate(lab: Lab) -> Block:
        return coinbase_locked(lab.tip.median_time + offset, 0)(lab)

    return mutate


def relative(sequence: int, version: int = 2) -> Callable[[Lab], Block]:
    """Spends a coin one block old, which came 600 s after the block before it."""
    return block_of(lambda lab: pay(lab.take(), sequences=[sequence], version=version))


def relative_in_block(sequence: int) -> Callable[[Lab], Block]:
    """Spends a coin of the same block."""

    def make(lab: Lab) -> list[Tx]:
        parent = one_payment(lab)
        return [parent, pay([made_by(parent)], sequences=[sequence])]

    return block_of(make)


def relative_second_input(lab: Lab) -> Tx:
    return pay(lab.take(ScriptType.P2WPKH, 2), sequences=[SEQUENCE_FINAL, 2])


def relative_to_coinbase(blocks: int) -> Callable[[Lab], Block]:
    """Spends the oldest coinbase here, exactly `depth` old, with a relative lock in blocks."""

    def make(lab: Lab) -> Tx:
        point = outpoint(lab.blocks[9].txs[0].txid, 0)
        coin = lab.coins[point]
        return pay([Owned(point, coin)], sequences=[lab.height + 1 - coin.height + blocks])

    return block_of(make)


def timed_coin(units_more: int) -> Callable[[Lab], Block]:
    """Spends block 10's coinbase when so many 512 s units more than have passed are asked for."""

    def make(lab: Lab) -> Tx:
        point = outpoint(lab.blocks[9].txs[0].txid, 0)
        passed = lab.tip.median_time - lab.tip.ancestor(9).median_time
        return pay([Owned(point, lab.coins[point])], sequences=[SEQUENCE_BY_TIME | (passed // 512 + units_more)])

    return block_of(make)


NEXT = 113
"""The height that "funded" asks for."""
NONFINAL = Reject.NONFINAL
FINAL, OPEN = SEQUENCE_FINAL, SEQUENCE_FINAL - 1

CASES = [
    Case("locked to this height", absolute(NEXT), NONFINAL),
    Case("locked to the height before", absolute(NEXT - 1), None),
    Case("locked to this height, all inputs final", absolute(NEXT, [FINAL]), None),
    Case("locked to this height, one of two inputs final", absolute(NEXT, [FINAL, OPEN]), NONFINAL),
    Case("locked to the last height that is no time", absolute(499_999_999), NONFINAL),
    Case("locked to the first time that is no height", absolute(500_000_000), None),
    Case("locked to the end of time", absolute(2**32 - 1), NONFINAL),
    Case("locked to the parent's median time", until_median(0), NONFINAL),
    Case("locked to a second before the parent's median time", until_median(-1), None),
    Case("coinbase locked to this height", coinbase_locked(NEXT, OPEN), NONFINAL),
    Case("coinbase locked to this height and final", coinbase_locked(NEXT, FINAL), None),
    Case("coinbase locked to the height before", coinbase_locked(NEXT - 1, 0), None),
    Case("coinbase locked to the parent's median time", coinbase_locked_by_time(0), NONFINAL),
    Case("coinbase locked to a second before", coinbase_locked_by_time(-1), None),
    Case("coinbase with a relative lock", coinbase_locked(0, 5), None),
    Case("relative lock of no blocks", relative(0), None),
    Case("relative lock of a block, over", relative(1), None),
    Case("relative lock of two blocks, not over", relative(2), NONFINAL),
    Case("relative lock of 65,535 blocks", relative(0xFFFF), NONFINAL),
    Case("relative lock of two blocks, switched off", relative(SEQUENCE_NO_LOCK | 2), None),
    Case("relative lock with bits that mean nothing", relative(0x00BF0001), None),
    Case("relative lock not over, with bits that mean nothing", relative(0x00BF0002), NONFINAL),
    *(
        Case(f"relative lock not over, version {v}", relative(2, v), NONFINAL if v >= 2 else None)
        for v in (0, 1, 3, 2**31 - 1, 2**31, 2**32 - 1)
    ),
    Case("relative lock of no time", relative(SEQUENCE_BY_TIME), None),
    Case("relative lock of 512 s, over", relative(SEQUENCE_BY_TIME | 1), None),
    Case("relative lock of 1,024 s, not over", relative(SEQUENCE_BY_TIME | 2), NONFINAL),
    Case("relative lock of 1,024 s, version 1", relative(SEQUENCE_BY_TIME | 2, 1), None),
    Case("relative lock of a block in the same block", relative_in_block(1), NONFINAL),
    Case("relative lock of no blocks in the same block", relative_in_block(0), None),
    Case("relative lock of no time in the same block", relative_in_block(SEQUENCE_BY_TIME), None),
    Case("relative lock of 512 s in the same block", relative_in_block(SEQUENCE_BY_TIME | 1), NONFINAL),
    Case("relative lock of the second input not over", block_of(relative_second_input), NONFINAL),
    Case("relative lock in blocks to the very block", relative_to_coinbase(0), None),
    Case("relative lock one block too long", relative_to_coinbase(1), NONFINAL),
    Case("relative lock in time to the very unit", timed_coin(0), None),
    Case("relative lock one unit too long", timed_coin(1), NONFINAL),
]
