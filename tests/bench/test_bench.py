"""The benchmarks run, small, and say something; how fast this machine is today is no test."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.__main__ import TOPICS
from tests.bench.rows import Row

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """With a cache folder of its own: a test leaves nothing in its user's."""
    return {**os.environ, "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_measures_something(topic: str, environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "tests.bench", topic, "--quick", "--json"]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert ran.returncode == 0, ran.stderr
    rows = json.loads(ran.stdout)["rows"]
    assert rows
    for row in rows:
        assert row["median"] > 0, row
        assert bool(row["anchor"]) == bool(row["anchor_name"]), row
        assert row["bar"] is None or row["met"] in (True, False), row


def test_ratios_are_taken_round_by_round() -> None:
    """A slow moment that hits both sides of a round does not count."""
    row = Row("x", "tx/s", (10.0, 5.0, 30.0), "y", (20.0, 10.0, 50.0), 0.5)
    assert row.ratio == 0.5
    assert row.met
    assert not Row("x", "tx/s", (10.0,), "y", (21.0,), 0.5).met
    assert Row("x", "ms", (9.0, 11.0, 10.0), bar=10.0, better="less").met
    assert not Row("x", "ms", (9.0, 11.0, 10.5), bar=10.0, better="less").met
    assert Row("x", "ms", (1.0,)).met is None


def test_an_unknown_topic_is_a_clear_error() -> None:
    command = [sys.executable, "-m", "tests.bench", "nosuch"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 2
    assert "nosuch" in ran.stderr
    assert "Traceback" not in ran.stderr
