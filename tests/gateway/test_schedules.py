"""A few of the random schedules; `python -m tests.gateway.schedules` plays many."""

from collections.abc import Callable, Iterator

import pytest

from tests.gateway.commands import Commands
from tests.gateway.schedules import Run, batch, play

SEED = 20
RUNS = 6


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory, commands: Commands) -> Iterator[Callable[[int], Run]]:
    folder = tmp_path_factory.mktemp("schedules") / "batch"
    with batch(folder, commands, [f"{SEED}-{number}" for number in range(RUNS)]) as run_of:
        yield run_of


@pytest.mark.parametrize("number", range(RUNS))
def test_no_payment_is_made_twice_or_forgotten(run_of: Callable[[int], Run], number: int) -> None:
    run = run_of(number)
    play(run)
    assert run.faults == [], "\n".join(run.diary)
