"""The short form of `python -m tests.damage`: every answer right, or an error and then repaired."""

from pathlib import Path

from tests.damage.__main__ import try_places

PLACES = 30


def test_no_damage_is_answered_wrongly_or_leaves_a_node_dead(tmp_path: Path) -> None:
    report = try_places(PLACES, 1, tmp_path)
    assert report.failures == []
    assert report.outcomes.total() == PLACES
    assert report.outcomes["repaired at the start"]
    assert report.outcomes["an error, then repaired"]
