"""Threads for what takes time: few at work where few are enough, more where some wait."""

import logging
from collections.abc import Callable, Iterator
from threading import Event, Thread, current_thread

import pytest

from node.api.http import worker_pool as module
from node.api.http.worker_pool import WorkerPool
from tests.node.processes import eventually

WAIT_S = 10.0


class Job:
    """Something to do, which notes who did it."""

    def __init__(self, work: Callable[[], object] = lambda: None) -> None:
        self.work = work
        self.done = Event()
        self.by = ""

    def service(self) -> None:
        self.by = current_thread().name
        try:
            self.work()
        finally:
            self.done.set()


@pytest.fixture
def workers() -> Iterator[WorkerPool]:
    workers = WorkerPool(4)
    assert workers.threads == 0
    yield workers
    workers.stop(WAIT_S)


def keep_looking(workers: WorkerPool, until: Callable[[], bool]) -> None:
    """What the listener's thread does."""
    eventually(lambda: workers.look() is None and until(), "it is done")


def test_everything_is_done_in_order(workers: WorkerPool) -> None:
    seen: list[int] = []
    jobs = [Job(lambda number=number: seen.append(number)) for number in range(50)]  # type: ignore[misc]
    for job in jobs:
        workers.add_task(job)
    keep_looking(workers, lambda: all(job.done.is_set() for job in jobs))
    assert sorted(seen) == list(range(50))


def test_what_is_quickly_done_wakes_one_thread(workers: WorkerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 60.0)
    jobs = [Job() for _ in range(20)]
    for job in jobs:
        workers.add_task(job)
    for job in jobs:
        assert job.done.wait(WAIT_S)
    eventually(lambda: workers._awake == 0, "asleep again")
    last = Job()
    workers.add_task(last)
    assert last.done.wait(WAIT_S)


def test_what_waits_too_long_wakes_another(workers: WorkerPool) -> None:
    gate = Event()
    blocked = Job(lambda: gate.wait(WAIT_S))
    workers.add_task(blocked)
    eventually(lambda: bool(blocked.by), "it is being done")
    others = [Job() for _ in range(3)]
    for job in others:
        workers.add_task(job)
    keep_looking(workers, lambda: all(job.done.is_set() for job in others))
    assert not blocked.done.is_set()
    assert blocked.by not in {job.by for job in others}
    gate.set()
    assert blocked.done.wait(WAIT_S)


def test_what_is_looked_for_says_when_to_look_again(workers: WorkerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 60.0)
    assert workers.look() is None
    gate = Event()
    blocked = Job(lambda: gate.wait(WAIT_S))
    workers.add_task(blocked)
    eventually(lambda: bool(blocked.by), "it is being done")
    other = Job()
    workers.add_task(other)
    left_s = workers.look()
    assert left_s is not None
    assert 50.0 < left_s <= 60.0
    assert workers._awake == 1
    gate.set()
    assert other.done.wait(WAIT_S)
    assert other.by == blocked.by


def test_patience_grows_with_the_threads_that_are_awake(monkeypatch: pytest.MonkeyPatch) -> None:
    """But those that are parked do not count: with nobody else awake, one is woken at once."""
    monkeypatch.setattr(module, "PATIENCE_S", 20.0)
    parked: list[None] = [None] * 3
    workers = WorkerPool(8, lambda: len(parked))
    gate = Event()
    held = [Job(lambda: gate.wait(WAIT_S)) for _ in range(3)]
    for job in held:
        workers.add_task(job)
        eventually(lambda job=job: bool(job.by), "it is being done")  # type: ignore[misc]
    parked.clear()
    workers.add_task(Job())
    left_s = workers.look()
    assert left_s is not None
    assert 50.0 < left_s <= 60.0
    gate.set()
    workers.stop(WAIT_S)


def test_with_all_threads_held_up_the_rest_waits(workers: WorkerPool) -> None:
    gate = Event()
    held = [Job(lambda: gate.wait(WAIT_S)) for _ in range(4)]
    for job in held:
        workers.add_task(job)
    keep_looking(workers, lambda: all(job.by for job in held))
    assert len({job.by for job in held}) == 4
    last = Job()
    workers.add_task(last)
    assert workers.look() is None
    assert not last.done.is_set()
    gate.set()
    assert last.done.wait(WAIT_S)


def test_a_bug_is_logged_and_costs_no_thread(workers: WorkerPool, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("oh")

    with caplog.at_level(logging.ERROR):
        for _ in range(8):
            workers.add_task(Job(fail))
        last = Job()
        workers.add_task(last)
        keep_looking(workers, last.done.is_set)
    assert caplog.text.count("RuntimeError: oh") == 8


def test_the_end() -> None:
    workers = WorkerPool(3)
    jobs = [Job() for _ in range(5)]
    for job in jobs:
        workers.add_task(job)
    threads = list(workers._threads)
    assert threads
    stopping = Thread(target=workers.stop, args=(WAIT_S,))
    stopping.start()
    stopping.join(WAIT_S)
    assert not stopping.is_alive()
    assert all(job.done.is_set() for job in jobs)
    assert not any(thread.is_alive() for thread in threads)
    assert not workers._threads


def test_threads_come_with_work_and_go_when_there_is_none(workers: WorkerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_S", 0.05)
    for _ in range(3):
        gate = Event()
        held = [Job(lambda: gate.wait(WAIT_S)) for _ in range(4)]  # noqa: B023
        for job in held:
            workers.add_task(job)
        keep_looking(workers, lambda: all(job.by for job in held))  # noqa: B023
        assert workers.threads == 4
        gate.set()
        eventually(lambda: workers.threads == module.LEAST, "few are left")
        last = Job()
        workers.add_task(last)
        assert last.done.wait(WAIT_S)
        eventually(lambda: workers._awake == 0, "asleep")


def test_nothing_is_lost_while_threads_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each task comes about when a thread is about to end."""
    monkeypatch.setattr(module, "IDLE_S", 0.001)
    monkeypatch.setattr(module, "LEAST", 0)
    workers = WorkerPool(3)
    for _ in range(500):
        job = Job()
        workers.add_task(job)
        keep_looking(workers, job.done.is_set)
    eventually(lambda: workers.threads == 0, "all have ended")
    workers.stop(WAIT_S)


def test_where_no_thread_can_be_had_the_task_waits(workers: WorkerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: Thread) -> None:
        raise RuntimeError("can't start new thread")

    job = Job()
    with monkeypatch.context() as none_left:
        none_left.setattr(Thread, "start", refuse)
        workers.add_task(job)
        assert workers.threads == 0
    keep_looking(workers, job.done.is_set)
