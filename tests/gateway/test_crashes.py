"""The wallet file under a few of the crashes and disk faults; `python -m tests.gateway.crashes` tries them all."""

import random
from collections.abc import Iterator

import pytest

from tests.gateway.crashes import COMMANDS, Bench, Plot, make_bench, plots, steps, wrong
from tests.gateway.faulty_disk import Fault

SEED = 5
WRITING = ("send", "address --new", "create", "restore")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with make_bench(tmp_path_factory.mktemp("crashes")) as bench:
        yield bench


@pytest.fixture(scope="module")
def every(bench: Bench) -> list[Plot]:
    return plots(bench, random.Random(SEED), ("send", "address --new", "restore"))


@pytest.mark.parametrize("command", WRITING)
def test_what_is_written_is_synced_before_and_after_it_takes_its_place(bench: Bench, command: str) -> None:
    taken = steps(bench, command)
    assert command in COMMANDS
    replaced = taken.index("replace")
    assert "fsync" in taken[:replaced]
    assert taken[replaced + 1 :].count("fsync") >= taken[replaced:].count("replace")


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.NONE])
def test_the_file_opens_and_knows_every_payment(bench: Bench, every: list[Plot], fault: Fault) -> None:
    of_fault = [plot for plot in every if plot.fault is fault]
    some = [next(plot for plot in of_fault if plot.command == command) for command in ("send", "restore")]
    assert [fault for plot in some for fault in wrong(bench, plot)] == []


def test_after_an_interrupt_a_payment_is_paid_once(bench: Bench) -> None:
    """At every step of writing that comes once it is signed: a person who reads "interrupted" pays again."""
    taken = steps(bench, "send")
    places = range(taken.index("replace") + 1, len(taken) + 1)
    every = [Plot("send", Fault.INTERRUPT, at, "taken") for at in places]
    assert [f"{plot}: {fault}" for plot in every for fault in wrong(bench, plot)] == []


def test_the_full_and_broken_disk_at_every_step_of_a_payment(bench: Bench, every: list[Plot]) -> None:
    chosen = [plot for plot in every if plot.command == "send" and plot.fault in (Fault.FULL_ONCE, Fault.BROKEN)]
    assert len(chosen) >= 8
    assert [f"{plot}: {fault}" for plot in chosen[:8] for fault in wrong(bench, plot)] == []
