"""The header: version, difficulty, time, parent."""

from chain.block import Block
from chain.errors import Reject
from tests.chainlab import (
    SPACING_S,
    START_TIME,
    Lab,
    make_block,
    reblock,
    unsolved,
    with_coinbase,
    with_header,
    with_output,
)
from tests.rules.case import Candidate, Case


def version(number: int) -> Case:
    """A header version, good from 4 on."""
    expect = Reject.VERSION if number < 4 else None
    return Case(f"header version {number}", lambda lab: reblock(lab.candidate(), version=number), expect)


def header_time(name: str, offset: int, expect: Reject | None) -> Case:
    """A time that far from the median of the eleven blocks before."""
    return Case(name, lambda lab: reblock(lab.candidate(), time=lab.tip.median_time + offset), expect)


def bits(number: int, expect: Reject) -> Case:
    """Bits that regtest never asks for; solved for whatever target they are."""

    def mutate(lab: Lab) -> Block:
        block = lab.candidate()
        if expect is Reject.DIFFBITS:
            return reblock(block, bits=number)
        return make_block(with_header(block.header, bits=number), block.txs)

    return Case(f"bits {number:08x}", mutate, expect)


def work_missing(lab: Lab) -> Block:
    block = lab.candidate()
    return make_block(unsolved(block.header), block.txs)


def orphan(lab: Lab) -> Block:
    return reblock(lab.candidate(), prev_hash=bytes(range(32)))


def overpaid(lab: Lab) -> Block:
    """A block that is invalid as soon as it is connected."""
    return with_coinbase(lab.candidate(), lambda tx: with_output(tx, value=tx.outputs[0].value + 1))


def on_invalid_parent(lab: Lab) -> list[Candidate]:
    """::

    b112 --- bad --- child
    """
    bad = overpaid(lab)
    entry = lab.tree.add(bad.header)
    lab.tree.set_invalid(entry, True)
    branch = lab.copy()
    branch.tip = branch.tree.add(bad.header)
    return [bad, branch.candidate()]


def on_invalid_grandparent(lab: Lab) -> list[Candidate]:
    """::

    b112 --- bad --- child --- grandchild

    Core has not seen the child's header, so to it the grandchild has no parent.
    """
    bad = overpaid(lab)
    branch = lab.copy()
    branch.tip = branch.tree.add(bad.header)
    child = branch.candidate()
    branch.tip = branch.tree.add(child.header)
    lab.tree.add(bad.header)
    entry = lab.tree.add(child.header)
    assert entry.parent is not None
    lab.tree.set_invalid(entry.parent, True)
    return [bad, child, branch.candidate()]


def again(lab: Lab) -> list[Candidate]:
    bad = overpaid(lab)
    lab.tree.set_invalid(lab.tree.add(bad.header), True)
    return [bad, bad]


def earlier_than_parent(lab: Lab) -> Block:
    """Only the median counts: four steps back is later than the sixth of the last eleven."""
    return reblock(lab.candidate(), time=START_TIME + (lab.height - 4) * SPACING_S)


CASES = [
    *(version(number) for number in (-(2**31), -1, 0, 1, 2, 3, 4, 5, 0x20000000, 2**31 - 1)),
    bits(0x207FFFFE, Reject.DIFFBITS),
    bits(0x1F7FFFFF, Reject.DIFFBITS),
    bits(0x20010000, Reject.DIFFBITS),
    bits(0x00000000, Reject.HIGH_HASH),
    bits(0x20800000, Reject.HIGH_HASH),
    bits(0x21010000, Reject.HIGH_HASH),
    bits(0xFF7FFFFF, Reject.HIGH_HASH),
    bits(0x21008000, Reject.HIGH_HASH),
    Case("hash above the target", work_missing, Reject.HIGH_HASH),
    header_time("time is the median of the eleven before", 0, Reject.TIME_TOO_OLD),
    header_time("time is below the median", -1, Reject.TIME_TOO_OLD),
    header_time("time is a second above the median", 1, None),
    Case("time is zero", lambda lab: reblock(lab.candidate(), time=0), Reject.TIME_TOO_OLD),
    Case("time is before the parent's", earlier_than_parent, None),
    Case(
        "time is further ahead than two hours",
        lambda lab: reblock(lab.candidate(), time=lab.now + 7300),
        Reject.TIME_TOO_NEW,
    ),
    Case("time is two hours ahead", lambda lab: reblock(lab.candidate(), time=lab.now + 7200), None),
    Case("time is the last there is", lambda lab: reblock(lab.candidate(), time=2**32 - 1), Reject.TIME_TOO_NEW),
    Case("nobody knows the parent", orphan, Reject.PREV_NOT_FOUND),
    Case("the parent is invalid", on_invalid_parent, Reject.BAD_PREV),
    Case("the grandparent is invalid", on_invalid_grandparent, Reject.BAD_PREV, core="prev-blk-not-found"),
    Case("the same invalid block again", again, Reject.DUPLICATE_INVALID),
]
