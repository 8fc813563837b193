"""Costly work on blocks that is done outside the lock: its numbers, and who goes on with the outcome."""

from collections.abc import Callable
from typing import TypeVar

from node.interface.effects import Compute, Effect

T = TypeVar("T")

Take = Callable[[object, float], list[Effect]]


class PendingJobs:
    """All jobs under way. Bounded by what each of its users may have open at once."""

    def __init__(self) -> None:
        self._last_job = 0
        self._pending: dict[int, Take] = {}

    def start(self, run: Callable[[], T], then: Callable[[T, float], list[Effect]]) -> Compute:
        """Have `run` called outside the lock; what it returns goes to `then`, with the time."""
        self._last_job += 1
        # Whoever numbers the job decides who takes its outcome, so the types of both belong together.
        self._pending[self._last_job] = then  # type: ignore[assignment]
        return Compute(self._last_job, run)

    def take(self, job: int) -> Take:
        """Close a job that is done."""
        return self._pending.pop(job)
