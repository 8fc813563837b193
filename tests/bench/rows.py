"""What a benchmark says: ours beside its anchor, measured in turns in one run."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

from chain.frozen import value

BETTER = "more", "less"


@value
class Row:
    """One line of the table."""

    name: str
    """What is measured, in a few words."""
    unit: str
    """Of `ours` and of `anchor`: "tx/s", "ms", "MB"."""
    ours: tuple[float, ...]
    """One figure a round."""
    anchor_name: str = ""
    """What it is held against; empty where the bar is an absolute figure."""
    anchor: tuple[float, ...] = ()
    """The anchor's figure of each round."""
    bar: float | None = None
    """What the ratio (the figure itself, without an anchor) has to reach; None: for information."""
    better: str = "more"
    """Whether `more` or `less` is better: which side of the bar is met."""
    note: str = ""

    @property
    def figure(self) -> float:
        """The median of ours."""
        return median(self.ours)

    @property
    def ratio(self) -> float | None:
        """Ours by the anchor's: the median over rounds, each of which compares its own two."""
        if not self.anchor:
            return None
        if len(self.anchor) == len(self.ours):
            return median(our / their for our, their in zip(self.ours, self.anchor, strict=True))
        return self.figure / median(self.anchor)

    @property
    def spread(self) -> float:
        """(largest - smallest) / median of ours."""
        return (max(self.ours) - min(self.ours)) / self.figure if self.figure else 0.0

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None without a bar."""
        if self.bar is None:
            return None
        reached = self.figure if self.ratio is None else self.ratio
        return reached >= self.bar if self.better == "more" else reached <= self.bar


class Bench(NamedTuple):
    """What a benchmark is given."""

    quick: bool
    """Small sizes and few rounds: the whole run in under a minute."""
    folder: Path
    """Scratch, gone after the run."""
    cache: Path
    """Kept between runs: generated chains."""
    say: Callable[[str], None]
    """Progress, a line."""

    def size(self, whole: int, quick: int) -> int:
        """A size that depends on how much time there is."""
        return quick if self.quick else whole

    def in_turns(self, runs: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, tuple[float, ...]]:
        """Figures of each run, taken in turns, so that a busy moment hits all of them alike."""
        found: dict[str, list[float]] = {name: [] for name in runs}
        for number in range(rounds):
            for name, run in runs.items():
                self.say(f"{name}, round {number + 1} of {rounds}")
                found[name].append(run())
        return {name: tuple(figures) for name, figures in found.items()}


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    start = perf_counter()
    work()
    return perf_counter() - start


Measure = Callable[[Bench], Iterator[Row]]
