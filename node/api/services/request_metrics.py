"""Counts that the listeners' threads keep while they answer: the times of requests, refusals.

Without a lock: each thread has a row of its own, which nobody else writes, and whoever reads adds
the rows up. The listeners' threads are few and stay, so the rows are.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable
from threading import get_ident
from typing import Generic, TypeVar

from node.api.http.message import Handler, Request, Response
from node.runtime.runtime import monotonic

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper ends, in seconds; one more bucket holds all that took longer."""

R = TypeVar("R")
K = TypeVar("K")


class Rows(Generic[R]):
    """Counts, in a row of its own for each thread."""

    def __init__(self, make: Callable[[], R]) -> None:
        self._make = make
        self._rows: dict[int, R] = {}

    def mine(self) -> R:
        """The calling thread's."""
        row = self._rows.get(get_ident())
        return self._rows.setdefault(get_ident(), self._make()) if row is None else row

    def all(self) -> list[R]:
        """Everybody's."""
        return list(self._rows.values())


class _Times:
    """One thread's requests."""

    __slots__ = ("answers", "buckets", "sum_s")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BUCKETS_S) + 1)
        self.sum_s = 0.0
        self.answers: dict[int, int] = {}
        """Answers by status."""


class RequestTimes:
    """Times and statuses of one listener's answers.

    From when a request is read to when its answer is ready. What the listener itself refuses (a
    broken header, too much body) never gets here.
    """

    def __init__(self) -> None:
        self._rows = Rows(_Times)

    def timed(self, app: Handler) -> Handler:
        """`app`, measured."""
        rows = self._rows

        def answer(request: Request) -> Response:
            began = monotonic()
            answered = app(request)
            row, took_s = rows.mine(), monotonic() - began
            row.buckets[bisect_left(BUCKETS_S, took_s)] += 1
            row.sum_s += took_s
            row.answers[answered.status] = row.answers.get(answered.status, 0) + 1
            return answered

        return answer

    @property
    def buckets(self) -> list[int]:
        """Number of requests by bucket: longer than the bucket before says, and no longer than BUCKETS_S."""
        return [sum(column) for column in zip(*(row.buckets for row in [_Times(), *self._rows.all()]), strict=True)]

    @property
    def sum_s(self) -> float:
        """All times together, in seconds."""
        return sum(row.sum_s for row in self._rows.all())

    @property
    def answers(self) -> dict[int, int]:
        """Number of answers, by status."""
        return _sums(row.answers for row in self._rows.all())


class Refusals:
    """Counts of refused requests of peers, by reason."""

    def __init__(self) -> None:
        self._rows: Rows[dict[str, int]] = Rows(dict)

    def note(self, reason: str) -> None:
        """Count one more. Reasons are ours, so that there are few."""
        row = self._rows.mine()
        row[reason] = row.get(reason, 0) + 1

    @property
    def reasons(self) -> dict[str, int]:
        """Number of refusals, by reason."""
        return _sums(self._rows.all())


class RequestMetrics:
    """Counts of all listeners of one node."""

    def __init__(self) -> None:
        self.api = RequestTimes()
        self.p2p = RequestTimes()
        self.refusals = Refusals()


def _sums(rows: Iterable[dict[K, int]]) -> dict[K, int]:
    """All rows in one. Each is copied in one step: its thread goes on."""
    total: Counter[K] = Counter()
    for row in rows:
        total.update(row.copy())
    return dict(total)
