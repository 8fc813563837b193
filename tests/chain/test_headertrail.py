"""The trail of headers that are not in the tree: it knows what the tree knows, and takes what the tree takes."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from chain.block import Header, make_header
from chain.blocktree import BlockNode, BlockTree
from chain.errors import Reject, Rejected, Unready
from chain.headerfacts import HeaderFacts
from chain.headertrail import HeaderTrail
from chain.params import REGTEST, REGTEST_LIMIT_BITS, Asert, Params
from chain.pow import next_bits
from chain.validate import validate_header
from tests.chainlab import branch, solved, unsolved, with_header

SCHEDULED = Params("scheduled", REGTEST_LIMIT_BITS, 150, 7200, True, Asert(10, 60, 20, 0x2000FFFF, 40))


def on(parent: HeaderFacts, time: int) -> Header:
    """A header that is right."""
    return solved(make_header(4, parent.hash, bytes(32), time, next_bits(parent, SCHEDULED), 0))


def facts(place: HeaderFacts) -> list[object]:
    """All facts about a header in its branch."""
    return [getattr(place, name) for name in HeaderFacts.__slots__]


@pytest.mark.parametrize("start", [0, 5, 19, 20, 21, 40])
def test_a_trail_knows_what_the_tree_knows(start: int) -> None:
    """Whatever the times are, and wherever it starts: before, at and after the schedule's start."""
    rng = random.Random(start)
    tree = BlockTree(SCHEDULED)
    tip, time = tree.genesis, tree.genesis.time
    trail: HeaderTrail | None = None
    for height in range(80):
        if height == start:
            trail = HeaderTrail(tip, SCHEDULED)
        time = max(tip.median_time + 1, time + rng.choice((-20, 1, 5, 10, 15, 300)))
        header = on(tip, time)
        tip = tree.add(header)
        if trail is not None:
            trail.follow(header, time)
            assert facts(trail.tip) == facts(tip)
    assert trail is not None
    assert trail.tip.schedule is not None
    assert trail.tip.schedule.idle_s > 0


def test_a_trail_takes_what_may_enter_the_tree() -> None:
    """Right and wrong headers of every kind, from any place of a branch."""
    rng = random.Random(7)
    tree = BlockTree(SCHEDULED)
    tip, now = tree.genesis, tree.genesis.time
    trail = HeaderTrail(tip, SCHEDULED)
    seen: set[Reject | None] = set()
    while tip.height < 60:
        now = max(now, tip.median_time) + rng.choice((1, 10, 100))
        header = spoilt(on(tip, now), tip, now, rng.randrange(8))
        code = refusal_of(validate_header, header, tip, now, SCHEDULED)
        assert refusal_of(trail.follow, header, now) is code
        seen.add(code)
        if code is None:
            tip = tree.add(header)
        assert facts(trail.tip) == facts(tip)
    assert seen == {None, Reject.HIGH_HASH, Reject.DIFFBITS, Reject.TIME_TOO_OLD, Reject.TIME_TOO_NEW, Reject.VERSION}


def spoilt(header: Header, parent: BlockNode, now: int, way: int) -> Header:
    """The header made wrong in one of five ways, or left as it is."""
    match way:
        case 0:
            return unsolved(header) if header.bits == REGTEST_LIMIT_BITS else with_header(header, bits=0)
        case 1:
            return solved(with_header(header, bits=header.bits - 1))
        case 2:
            return solved(with_header(header, time=parent.median_time))
        case 3:
            return solved(with_header(header, time=now + SCHEDULED.future_limit_s + 1))
        case 4:
            return solved(with_header(header, version=3))
        case _:
            return header


def refusal_of(judge: Callable[..., None], *facts: Any) -> Reject | None:
    """The code that a header is refused with."""
    try:
        judge(*facts)
    except Rejected as refused:
        return Reject(refused.code)
    return None


def test_a_trail_from_an_invalid_header_follows_nothing() -> None:
    tree = BlockTree(REGTEST)
    bad, header = branch(2)
    trail = HeaderTrail(tree.add(bad, invalid=True), REGTEST)
    assert refusal_of(trail.follow, header, header.time) is Reject.BAD_PREV


def test_a_trail_follows_nothing_else() -> None:
    headers = branch(3)
    trail = HeaderTrail(BlockTree(REGTEST).genesis, REGTEST)
    trail.follow(headers[0], headers[0].time)
    with pytest.raises(Unready, match=Reject.PREV_NOT_FOUND):
        trail.follow(headers[2], headers[2].time)
    assert trail.tip.hash == headers[0].hash
