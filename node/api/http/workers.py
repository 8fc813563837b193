"""Threads that answer what may take time: one request each at a time, any number waiting.

Python runs one thread at a time, so that waking a thread for each request makes them all slower:
they wait for each other at every step, and so do the core's. Here a request waits a moment for a
thread that is awake anyway, and one more is woken only if none comes: then those that are awake wait
for something, or have much to do. The more of them there are, the longer that moment: else a flood
wakes all.
"""

import logging
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Protocol

from node.runtime import monotonic

log = logging.getLogger("groat.http")

PATIENCE_S = 0.002
"""How long a request waits for each thread that is awake before another is woken."""


class Task(Protocol):
    """Something to do; a connection whose first request is to be answered."""

    def service(self) -> None: ...


class Workers:
    """So many threads, and what waits for one of them."""

    def __init__(self, count: int, parked: Callable[[], int] = lambda: 0) -> None:
        """`parked` tells how many of them sleep over a task that has to wait."""
        self._count = count
        self._parked = parked
        self._lock = Lock()
        self._tasks: deque[Task] = deque()
        self._awake = count
        self._moved_at = 0.0
        """When a task was last taken, or a thread woken to take one."""
        self._calls: SimpleQueue[bool] = SimpleQueue()
        """What sleeping threads wait for: True is for a task, False the end."""
        self._threads = [Thread(target=self._run, name=f"answer-{number}", daemon=True) for number in range(count)]
        for thread in self._threads:
            thread.start()

    def add_task(self, task: Task) -> None:
        """Have it done as soon as a thread is free. From any thread."""
        self._tasks.append(task)
        self.look()

    def look(self) -> float | None:
        """Wake a thread if what waits has waited too long; in how many seconds to look again, None: not at all."""
        with self._lock:
            if not self._tasks or self._awake == self._count:
                return None
            now = monotonic()
            patience_s = PATIENCE_S * max(0, self._awake - self._parked())
            if now < self._moved_at + patience_s:
                return self._moved_at + patience_s - now
            self._awake += 1
            self._moved_at = now
        self._calls.put(True)
        return patience_s + PATIENCE_S

    def stop(self, within_s: float) -> None:
        """End the threads once nothing waits; those that take longer end with the process."""
        deadline = monotonic() + within_s
        for _ in self._threads:
            self._calls.put(False)
        for thread in self._threads:
            thread.join(max(0.0, deadline - monotonic()))

    def _run(self) -> None:
        wanted = True
        while wanted:
            while task := self._take():
                try:
                    task.service()
                except Exception:
                    log.exception("a bug in the server")
            wanted = self._calls.get()

    def _take(self) -> Task | None:
        """The task that has waited longest; None: none is there, and this thread counts as asleep."""
        with self._lock:
            if self._tasks:
                self._moved_at = monotonic()
                return self._tasks.popleft()
            self._awake -= 1
            return None
