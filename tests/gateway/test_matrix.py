"""One or two commands against each lie; `python -m tests.gateway.matrix` tries every command."""

from collections.abc import Iterator

import pytest

from tests.gateway.lies import PAYMENT_LIES, QUERY_LIES, Lie
from tests.gateway.matrix import COMMANDS, PAYS, READS, Scene, cells, make_scene

LOOKING = tuple(READS)
REFUSING = 3
"""Of every so many lies about queries a payment is tried, too."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with make_scene(tmp_path_factory.mktemp("matrix"), impatient=True) as scene:
        yield scene


def some() -> Iterator[tuple[Lie, tuple[str, ...]]]:
    """Commands in turn, so that all are lied to and no lie is left out."""
    for place, lie in enumerate(QUERY_LIES):
        looking = LOOKING[place % len(LOOKING)]
        yield lie, (looking, PAYS[place % len(PAYS)]) if place % REFUSING == 0 else (looking,)
    for place, lie in enumerate(PAYMENT_LIES):
        yield lie, (PAYS[place % len(PAYS)],)


@pytest.mark.parametrize(("lie", "commands"), [pytest.param(*one, id=str(one[0])) for one in some()])
def test_a_lie_is_refused_or_does_no_harm(scene: Scene, lie: Lie, commands: tuple[str, ...]) -> None:
    assert [fault for command in commands for fault in scene.cell(lie, command)] == []


@pytest.mark.parametrize("command", ["create", "restore"])
def test_a_wallet_is_made_whatever_a_node_says(scene: Scene, command: str) -> None:
    assert [fault for lie in QUERY_LIES[:3] for fault in scene.cell(lie, command)] == []


def test_everybody_was_paid_once(scene: Scene) -> None:
    """Whatever the payments above were told."""
    assert len(scene.orders) > 1
    assert scene.settle() == []


def test_every_lie_is_told_to_every_command() -> None:
    told = cells((*QUERY_LIES, *PAYMENT_LIES))
    assert len(told) == len(QUERY_LIES) * len(COMMANDS) + len(PAYMENT_LIES) * len(PAYS)
    assert len({lie.name for lie, _ in told}) == len(QUERY_LIES) + len(PAYMENT_LIES)
