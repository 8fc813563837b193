"""Threads that answer what may take time: one request each at a time, any number waiting.

Python runs one thread at a time, so that waking a thread for each request makes them all slower:
they wait for each other at every step, and so do the core's. Here a request waits a moment for a
thread that is awake anyway, and one more is woken, or started, only if none comes: then those that are
awake wait for something, or have much to do. The more of them there are, the longer that moment: else a
flood wakes all. Threads that nobody needs for a while end.
"""

import logging
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Lock, Thread, current_thread
from typing import Protocol

from node.runtime.runtime import monotonic

log = logging.getLogger("groat.http")

PATIENCE_S = 0.002
"""Seconds that a request waits for each thread that is awake before another is woken."""
IDLE_S = 10.0
"""Seconds without work after which a thread ends, but for LEAST of them."""
LEAST = 1
"""Threads that are kept for what comes next, however long they idle."""


class Job(Protocol):
    """A task: a connection whose first request is to be answered."""

    def service(self) -> None: ...


class WorkerPool:
    """Up to so many threads, and what waits for one of them."""

    def __init__(self, count: int, parked: Callable[[], int] = lambda: 0) -> None:
        """Workers start when there is something to do. `parked` tells how many of them sleep over a task that has
        to wait."""
        self._count = count
        self._parked = parked
        self._lock = Lock()
        self._tasks: deque[Job] = deque()
        self._threads: set[Thread] = set()
        self._awake = self._asleep = 0
        """Threads at work, or about to be; threads that wait to be called."""
        self._started = 0
        self._moved_at = 0.0
        """Time when a task was last taken, or a thread woken to take one."""
        self._calls: SimpleQueue[bool] = SimpleQueue()
        """Signals to sleeping threads: True is for a task, False the end."""

    @property
    def threads(self) -> int:
        """Number of threads."""
        return self._awake + self._asleep

    def add_task(self, task: Job) -> None:
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
            is_one_asleep = self._asleep > 0
            self._asleep -= is_one_asleep
        if is_one_asleep:
            self._calls.put(True)
        else:
            self._start()
        return patience_s + PATIENCE_S

    def stop(self, within_s: float) -> None:
        """End the threads once nothing waits; those that take longer end with the process."""
        deadline = monotonic() + within_s
        for _ in range(self._count):
            self._calls.put(False)
        for thread in list(self._threads):
            thread.join(max(0.0, deadline - monotonic()))

    def _start(self) -> None:
        self._started += 1
        thread = Thread(target=self._run, name=f"answer-{self._started}", daemon=True)
        self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:  # the system has none left: those there are go on, or the next look tries again
            self._threads.discard(thread)
            with self._lock:
                self._awake -= 1

    def _run(self) -> None:
        wanted = True
        while wanted:
            while task := self._take():
                try:
                    task.service()
                except Exception:
                    log.exception("a bug in the server")
            wanted = self._sleep()
        self._threads.discard(current_thread())

    def _take(self) -> Job | None:
        """The task that has waited longest; None: none is there, and this thread counts as asleep."""
        with self._lock:
            if self._tasks:
                self._moved_at = monotonic()
                return self._tasks.popleft()
            self._awake -= 1
            self._asleep += 1
            return None

    def _sleep(self) -> bool:
        """Wait to be called; False if this thread is no longer needed."""
        while True:
            try:
                return self._calls.get(timeout=IDLE_S)
            except Empty:
                with self._lock:
                    # One that is called counts as awake: of those that count as asleep, one may go.
                    if self._asleep > LEAST:
                        self._asleep -= 1
                        return False
