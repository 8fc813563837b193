"""Costly work on blocks that is done outside the lock: its numbers, and who goes on with the outcome."""

from collections.abc import Callable
from typing import TypeVar

from node.interface.effects import Compute
from node.interface.outbox import Outbox

T = TypeVar("T")

Take = Callable[[object, float], None]


class PendingJobs:
    """All jobs under way. Bounded by what each of its users may have open at once."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._last_job = 0
        self._pending: dict[int, Take] = {}

    def start(self, run: Callable[[], T], then: Callable[[T, float], None]) -> None:
        """Have `run` called outside the lock; what it returns goes to `then`, with the time."""
        self._last_job += 1
        # Whoever numbers the job decides who takes its outcome, so the types of both belong together.
        self._pending[self._last_job] = then  # type: ignore[assignment]
        self._outbox.add(Compute(self._last_job, run))

    def take(self, job: int) -> Take:
        """Close a job that is done."""
        return self._pending.pop(job)
