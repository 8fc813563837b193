"""Metrics as values: what a scrape tells, before it is text."""

from collections.abc import Sequence
from enum import Enum

from chain.frozen import value


class MetricType(Enum):
    """The type of a metric."""

    COUNTER = "counter"
    """A number that only grows, from 0 at the start."""
    GAUGE = "gauge"
    """Goes up and down."""


@value
class Family:
    """All numbers of one name."""

    name: str
    """A counter's gets "_total" behind it."""
    words: str
    """Help text for people."""
    kind: MetricType
    labels: tuple[str, ...]
    """Labels that tell the samples apart."""
    samples: Sequence[tuple[Sequence[str], float]]
    """Samples, each with the labels' values."""


@value
class Histogram:
    """A histogram: the number of observations up to each bound."""

    name: str
    words: str
    labels: tuple[str, ...]
    samples: Sequence[tuple[Sequence[str], Sequence[tuple[str, float]], float]]
    """The labels' values; for each bucket's upper end ("+Inf" the last) how many were up to it; the sum."""


def counter(name: str, words: str, number: float) -> Family:
    """A metric without labels."""
    return Family(name, words, MetricType.COUNTER, (), [((), number)])


def gauge(name: str, words: str, number: float) -> Family:
    """A metric without labels."""
    return Family(name, words, MetricType.GAUGE, (), [((), number)])
