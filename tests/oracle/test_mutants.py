"""Every rule's case before Bitcoin Core's engine: never laxer, stricter only where it is listed."""

import time
from collections import Counter
from collections.abc import Iterator
from operator import attrgetter

import pytest

from chain.errors import Rejected
from tests.oracle.kernel import Kernel, KernelVerdict
from tests.rules.case import Candidate, Case, Stricter, lab_on
from tests.rules.cases import CASES

KINDS_AT_LEAST = 100


class Engines:
    """An engine for each chain that cases stand on; one that has moved on is replaced."""

    def __init__(self) -> None:
        self._ready: dict[str, Kernel] = {}

    def judge(self, on: str, offered: list[Candidate]) -> KernelVerdict:
        """The verdict on the last block, after the others."""
        if on not in self._ready:
            self.close()  # cases come sorted by chain: one engine at a time
            self._ready[on] = Kernel().follow(lab_on(on).blocks)
        kernel = self._ready[on]
        start = kernel.height
        for block in offered[:-1]:
            assert not kernel.submit(block).accepted
        verdict = kernel.submit(offered[-1])
        assert verdict.accepted == (kernel.height == start + 1)
        if verdict.accepted:
            self._ready.pop(on).close()
        return verdict

    def close(self) -> None:
        """Let all of them go."""
        while self._ready:
            self._ready.popitem()[1].close()


@pytest.fixture(scope="module")
def engines() -> Iterator[Engines]:
    pool = Engines()
    yield pool
    pool.close()


@pytest.mark.parametrize("case", sorted(CASES, key=attrgetter("on")), ids=str)
def test_the_verdict_is_no_laxer_than_cores(case: Case, engines: Engines) -> None:
    lab = lab_on(case.on)
    lab.now = int(time.time())  # the engine reads the real clock
    made = case.mutate(lab)
    offered = made if isinstance(made, list) else [made]
    ours: str | None = None
    try:
        lab.verdict(offered[-1])
    except Rejected as refused:
        ours = str(refused.code)
    assert ours == case.expect

    theirs = engines.judge(case.on, offered)
    if case.stricter:
        assert theirs.accepted, f"on the list of differences, and Core refuses: {theirs.detail}"
        assert ours is not None
    elif ours is None:
        assert theirs.accepted, f"laxer than Core: {theirs.detail}"
    else:
        assert not theirs.accepted, "stricter than Core, and not on the list"
        assert theirs.code == (case.core or ours), theirs.detail


def test_there_are_enough_kinds() -> None:
    refused = [case for case in CASES if case.expect]
    assert len(refused) >= KINDS_AT_LEAST
    assert Counter(case.stricter for case in refused).keys() - {None} == set(Stricter)
