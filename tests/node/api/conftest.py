"""Desks for the API's tests: one that many tests read, and fresh ones to change."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.chainlab import Lab, funded
from tests.node.api.desk import Desk
from tests.node.api.parked import Ask, held, wait_for
from tests.node.api.stage import Stage

MakeDesk = Callable[..., Desk]


@pytest.fixture
def make_desk(tmp_path: Path) -> Iterator[MakeDesk]:
    """`make_desk(**settings)` starts a desk that ends with the test."""
    desks: list[Desk] = []

    def make(**settings: Any) -> Desk:
        desks.append(Desk(tmp_path / f"desk{len(desks)}", **settings))
        return desks[-1]

    yield make
    for desk in desks:
        desk.close()


@pytest.fixture
def lab() -> Lab:
    """112 blocks and 180 coins to spend."""
    return funded()


@pytest.fixture
def desk(make_desk: MakeDesk, lab: Lab) -> Desk:
    """A desk that stands where `lab` does."""
    desk = make_desk()
    desk.give(lab.blocks)
    return desk


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk with the blocks of `lab`, one for all tests of a module that change nothing."""
    desk = Desk(tmp_path_factory.mktemp("shared") / "desk")
    desk.give(funded().blocks)
    yield desk
    desk.close()


@pytest.fixture
def make_stage() -> Iterator[Callable[..., Stage]]:
    """`make_stage(**options)` starts a stage that ends with the test."""
    with ExitStack() as stack:

        def make(**options: Any) -> Stage:
            stage = Stage(**options)
            stack.callback(stage.close)
            return stage

        yield make


@pytest.fixture
def stage(make_stage: Callable[..., Stage]) -> Stage:
    """One with its defaults."""
    return make_stage()


@pytest.fixture
def ask(desk: Desk) -> Iterator[Ask]:
    """Calls of `desk` that wait."""
    with ThreadPoolExecutor(4) as pool:

        def start(method: str, *params: Any) -> "Future[Any]":
            before = len(held(desk))
            asked = pool.submit(desk.rpc, method, *params)
            wait_for(lambda: asked.done() or len(held(desk)) > before)
            return asked

        yield start
