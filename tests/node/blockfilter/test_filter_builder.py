"""When filters are made: not while the chain moves or is caught up with, and then politely."""

from types import SimpleNamespace
from typing import Any

import pytest

from node.blockfilter.filter_builder import LOOK_S, REST, STALLED_S, FilterBuilder
from node.blockfilter.filter_index import FiltersBroken
from node.interface.storage import StoreError


def tip(height: int, best: int | None = None, *, coming: bool = False) -> Any:
    """A view at this height, with headers up to `best`, whose blocks are `coming` in from peers."""
    ahead = 0 if best is None else best - height
    return SimpleNamespace(
        tip=SimpleNamespace(height=height), is_catching_up=lambda behind, now: coming and ahead > behind
    )


class Day:
    """A runtime, a clock and an index that only take notes. Each look may find another view."""

    def __init__(self, views: list[Any], cost_s: float = 0.0005, height: int = 0) -> None:
        self.views = views
        self.cost_s = cost_s
        self.clock = 100.0
        self.made: list[float] = []
        self.height = height
        self.paused: list[float] = []
        self.looks = 0
        self.over = False
        self.fails: Exception | None = None
        self.gave_up = ""

    @property
    def view(self) -> Any:
        return self.views[min(self.looks, len(self.views) - 1)]

    def now(self) -> float:
        return self.clock

    def pause(self, seconds: float) -> bool:
        self.clock += seconds
        self.paused.append(seconds)
        if seconds == LOOK_S:
            self.looks += 1
        return self.looks >= len(self.views)

    def open(self, view: Any) -> None:
        if isinstance(self.fails, StoreError):
            raise self.fails

    def is_level(self, view: Any) -> bool:
        return self.height >= view.tip.height

    def make_next(self, view: Any) -> None:
        if self.fails:
            raise self.fails
        self.clock += self.cost_s
        self.height += 1
        self.made.append(self.clock)

    def give_up(self, why: str) -> None:
        self.gave_up = why

    def run(self) -> "Day":
        FilterBuilder(self, self, lambda: self.clock).run()  # type: ignore[arg-type]
        return self


def test_a_quiet_chain_is_caught_up_with_politely() -> None:
    view = tip(1000)
    day = Day([view] * 100).run()
    assert day.height == 1000
    worked = 1000 * day.cost_s
    rested = sum(seconds for seconds in day.paused if seconds != LOOK_S)
    assert rested == pytest.approx(REST * worked)


def test_one_block_is_made_however_long_it_takes() -> None:
    view = tip(3)
    assert Day([view] * 20, cost_s=1.0).run().height == 3


def test_a_moving_chain_is_left_alone() -> None:
    day = Day([tip(height) for height in range(1, 9)]).run()
    assert day.made == []


def test_a_chain_that_never_rests_gets_its_filters_too() -> None:
    day = Day([tip(height) for height in range(1, 60)]).run()
    assert day.made
    assert day.made[0] - 100 >= STALLED_S


def test_a_chain_that_is_caught_up_with_is_left_alone() -> None:
    """Its tip moves, or stands still for less than a while."""
    day = Day([tip(height // 3, 500, coming=True) for height in range(3, 60)]).run()
    assert day.made == []


def test_headers_without_blocks_do_not_stop_it() -> None:
    day = Day([tip(50, 500)] * 30).run()
    assert day.height == 50


def test_own_blocks_under_such_headers_do_not_stop_it() -> None:
    """One block every three seconds: in between there is time, as without those headers."""
    with_headers = Day([tip(height // 3, 500) for height in range(3, 60)]).run()
    without = Day([tip(height // 3) for height in range(3, 60)]).run()
    assert with_headers.made == without.made
    assert without.made


def test_with_blocks_that_come_in_slowly_it_waits_for_no_longer() -> None:
    view = tip(50, 500, coming=True)
    day = Day([view] * 30).run()
    assert day.height == 50
    assert day.made[0] - 100 >= STALLED_S


def test_it_stops_with_the_node() -> None:
    """In the first rest after work."""
    view = tip(10_000)
    day = Day([view] * 30)
    paused = day.pause
    day.pause = lambda seconds: paused(seconds) or bool(day.made)  # type: ignore[method-assign]
    day.run()
    assert 0 < day.height < 1000


def test_a_disk_that_cannot_be_opened_is_told_to_whoever_asks(caplog: pytest.LogCaptureFixture) -> None:
    day = Day([tip(1)] * 3)
    day.fails = StoreError("filters: the disk is full")
    day.run()
    assert day.gave_up == "block filters are not available: filters: the disk is full"
    assert "no more block filters are made: filters: the disk is full" in caplog.text


def test_what_fails_for_good_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    day = Day([tip(1)] * 3)
    day.fails = FiltersBroken("block 1 is lost")
    day.run()
    assert "no more block filters are made: block 1 is lost" in caplog.text
    caplog.clear()
    day = Day([tip(1)] * 3)
    day.fails, day.over = FiltersBroken("closed"), True
    day.run()
    assert caplog.text == ""
