"""`python -m tests.damage`: the long form of test_damage.py."""

import random
import sys
import tempfile
from itertools import islice
from pathlib import Path

import click

from tests.damage.dataset import SESSIONS, make_blocks, store
from tests.damage.places import draw
from tests.damage.questions import questions
from tests.damage.trial import NETWORK, Report, Trial

TOLD = 50
"""Places between two lines of progress."""


def try_places(places: int, seed: int, folder: Path, tell: bool = False) -> Report:
    """Damage so many places, one copy each."""
    data, rng = make_blocks(), random.Random(seed)
    for name, sessions in SESSIONS.items():
        store(folder / name, data, sessions)
    trial = Trial(folder / "tables", folder, data, questions(data))
    drawn = draw([folder / name / NETWORK for name in SESSIONS], rng)
    for number, place in enumerate(islice(drawn, places), 1):
        told = len(trial.report.failures)
        trial.run(place, rng)
        for failure in trial.report.failures[told:] if tell else ():
            print(failure, flush=True)
        if tell and (number % TOLD == 0 or number == places):
            print(f"{number} places: {dict(trial.report.outcomes)}, {len(trial.report.failures)} failures", flush=True)
    return trial.report


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--places", default=2_000, show_default=True, help="How many.")
@click.option("--seed", default=1, show_default=True, help="Which ones.")
def main(places: int, seed: int) -> None:
    """Damage a data directory place by place and hold every answer against that of the whole one."""
    with tempfile.TemporaryDirectory(prefix="groat-damage-") as folder:
        report = try_places(places, seed, Path(folder), tell=True)
    sys.exit(1 if report.failures else 0)


if __name__ == "__main__":
    main()
