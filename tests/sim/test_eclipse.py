"""The eclipse trial in short: `python -m tests.sim.eclipse` is the whole of it."""

import pytest

from node.p2p.connections.outbound import BLOCKS_ONLY_MAX, OUTBOUND_MAX
from tests.sim.eclipse import one_run, removed

RUNS = 60
RUNS_WITHOUT = 12


def test_an_attacker_with_ten_times_as_many_addresses_gets_some_places_never_all() -> None:
    outcomes = [one_run(seed) for seed in range(RUNS)]
    assert all(outcome.places == OUTBOUND_MAX + BLOCKS_ONLY_MAX for outcome in outcomes)
    assert not any(outcome.eclipsed for outcome in outcomes)
    assert max(outcome.attackers for outcome in outcomes) > 0  # it did try


@pytest.mark.parametrize("guard", ["groups", "choice"])
def test_without_the_guard_it_often_gets_all(guard: str) -> None:
    """So the trial can tell."""
    outcomes = [one_run(seed, guard) for seed in range(RUNS_WITHOUT)]
    assert sum(outcome.eclipsed for outcome in outcomes) > RUNS_WITHOUT / 4


def test_guards_are_back_afterwards() -> None:
    with removed("groups"):
        pass
    assert not one_run(0).eclipsed


def test_the_same_seed_is_the_same_run() -> None:
    assert one_run(5) == one_run(5)
