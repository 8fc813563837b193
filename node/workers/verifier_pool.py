"""Verification of signatures: small batches in this thread, large ones in the verifier processes.

A large batch is cut into shares, which wait in one queue. Each verifier process has a lane: a
thread that takes shares off the queue and keeps a few of them in the process's pipe, so that it
always has work, however busy the interpreter is here. So no process waits while another has more
than it can do, and shares of the next batch follow without a gap.
"""

import contextlib
import logging
import os
import queue
import select
import threading
from collections import deque
from collections.abc import Callable, Sequence

from chain.keys import CHECK_SIZE, Check, Engine, default_engine, libsecp256k1_engine, python_engine
from node.interface.settings import ConfigError
from node.workers.child_process import ChildProcess
from node.workers.verifier_process import BATCH_HEAD, VERDICT, token_of

log = logging.getLogger("groat.verify")

INLINE_MAX = {"libsecp256k1": 32, "python": 2}
"""Batches up to this are checked by whoever asks. It takes 1.5 ms (the Python engine 5 ms), and the
GIL is free meanwhile; a verifier would not be faster."""
SHARE_MIN, SHARE_MAX = 16, 128
"""Checks in a share: what a process does in 0.7 to 6 ms, and fits into a pipe with two others."""
ASKED_MAX = 3
"""Shares in one process's pipe."""
SHARE_S, CHECK_S = 5.0, 0.02
"""A verifier that takes longer than this for a share, plus so much for each check, is replaced:
ten times what the slower engine needs."""
ATTEMPTS = 2
"""Number of verifier processes that may fail at a share before its lane does it itself."""
PROCESSES_MAX = 16
"""More would wait for the one interpreter that feeds them."""
WRITE_BYTES = 1 << 16
JOIN_S = 2.0
"""Seconds that a stop waits for each lane."""


def verifier_processes() -> int:
    """The number of verifiers: one for each processor that we may use. They are niced: the node itself comes first."""
    return min(PROCESSES_MAX, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


class VerifierLost(Exception):
    """The process died, hung, answered nonsense or could not be started."""


class Verifier:
    """One verifier process. It starts with the first share, and again when it was lost."""

    def __init__(self, engine_name: str, clock: Callable[[], float]) -> None:
        self._engine_name = engine_name
        self._clock = clock
        self._child: ChildProcess | None = None

    @property
    def pid(self) -> int | None:
        """Process id, if it runs."""
        return self._child.pid if self._child else None

    def ask(self, checks: bytes) -> None:
        """Hand over a share; its verdict comes after those of the shares before. Raises VerifierLost."""
        count = len(checks) // CHECK_SIZE
        try:
            if self._child is None:
                self._child = ChildProcess("node.workers.verifier_process", "--engine", self._engine_name)
            self._write(self._child, BATCH_HEAD.pack(count) + checks, self._deadline(count))
        except BrokenPipeError:
            raise VerifierLost(self.stop()) from None
        except OSError as error:
            self.stop()
            raise VerifierLost(str(error)) from None

    def verdict(self, checks: bytes) -> int | None:
        """The index of the first check that fails of the oldest share, which is `checks`, or None.

        Raises VerifierLost.
        """
        count = len(checks) // CHECK_SIZE
        if self._child is None:
            raise VerifierLost("not running")
        answer = b""
        if self._ready(self._child.stdout, select.POLLIN, self._deadline(count)):
            answer = os.read(self._child.stdout, VERDICT.size)
        if len(answer) != VERDICT.size:
            raise VerifierLost(self.stop())
        token, index = VERDICT.unpack(answer)
        if token != token_of(checks) or not -1 <= index < count:
            self.stop()
            raise VerifierLost("it answered what nobody asked")
        return None if index < 0 else index

    def stop(self) -> str:
        """End the process; why it ended."""
        child, self._child = self._child, None
        return child.end() if child else "not running"

    def _deadline(self, count: int) -> float:
        return self._clock() + SHARE_S + CHECK_S * count

    def _write(self, child: ChildProcess, batch: bytes, deadline: float) -> None:
        view = memoryview(batch)
        while view:
            if not self._ready(child.stdin, select.POLLOUT, deadline):
                raise TimeoutError("the verifier does not read")
            with contextlib.suppress(BlockingIOError):
                view = view[os.write(child.stdin, view[:WRITE_BYTES]) :]

    def _ready(self, stream: int, event: int, deadline: float) -> bool:
        poll = select.poll()
        poll.register(stream, event)
        return bool(poll.poll(max(0.0, deadline - self._clock()) * 1000))


class _Batch:
    """Checks whose shares are on their way."""

    def __init__(self, checks: Sequence[Check], share_size: int) -> None:
        starts = range(0, len(checks), share_size)
        self.shares = [_WorkShare(self, start, b"".join(checks[start : start + share_size])) for start in starts]
        self._left = len(self.shares)
        self._failure: int | None = None
        self._lock = threading.Lock()
        self._done = threading.Event()

    def is_decided_before(self, start: int) -> bool:
        """True if a check before `start` has failed: nobody wants to know about later ones."""
        return self._failure is not None and self._failure < start

    def settle(self, failure: int | None) -> None:
        """Note that a share is done; `failure` counts from the batch's first check."""
        with self._lock:
            if failure is not None and (self._failure is None or failure < self._failure):
                self._failure = failure
            self._left -= 1
            if not self._left:
                self._done.set()

    def wait(self) -> int | None:
        """The index of the first check that fails, or None, once every share is done."""
        self._done.wait()
        return self._failure


class _WorkShare:
    """A part of a batch that one process does in one go."""

    __slots__ = ("batch", "checks", "start")

    def __init__(self, batch: _Batch, start: int, checks: bytes) -> None:
        self.batch = batch
        self.start = start
        """Index of the share's first check in the batch."""
        self.checks = checks

    def settle(self, index: int | None) -> None:
        """The verdict: the index in the share of the first check that fails, or None."""
        self.batch.settle(None if index is None else self.start + index)


class _Shares:
    """Shares that no process has yet; None ends a lane."""

    def __init__(self, lanes: int) -> None:
        self._queue: queue.SimpleQueue[_WorkShare | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = lanes
        """Lanes that have nothing to do."""

    def put(self, share: _WorkShare | None) -> None:
        """Give it to whoever comes first."""
        self._queue.put(share)

    def first(self) -> _WorkShare | None:
        """A share for a lane that has none; waits for it."""
        share = self._queue.get()
        with self._lock:
            self._idle -= 1
        return share

    def another(self) -> _WorkShare | None:
        """Take one more share for a lane that is busy, if no other could begin it. Raises queue.Empty."""
        if self._idle:
            raise queue.Empty
        return self._queue.get_nowait()

    def rest(self) -> None:
        """A lane has nothing to do any more."""
        with self._lock:
            self._idle += 1


class _Lane:
    """One process and the thread that keeps it busy. Every share gets its verdict, whatever happens."""

    def __init__(self, engine: Engine, shares: _Shares, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._shares = shares
        self._verifier = Verifier(engine.name, clock)
        self._asked: deque[_WorkShare] = deque()
        self.thread = threading.Thread(target=self._run, name="verifier-lane", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        is_open = True
        while is_open or self._asked:
            is_open = is_open and self._fill()
            if self._asked:
                self._settle_oldest()
        self._verifier.stop()

    def _fill(self) -> bool:
        """Ask for shares until the pipe is full, waiting for the first; False at the end of all."""
        try:
            while len(self._asked) < ASKED_MAX:
                share = self._shares.another() if self._asked else self._shares.first()
                if share is None:
                    return False
                if share.batch.is_decided_before(share.start):
                    share.settle(None)
                    self._rest_if_done()
                    continue
                self._asked.append(share)
                try:
                    self._verifier.ask(share.checks)
                except VerifierLost as lost:
                    self._recover(lost)
        except queue.Empty:
            pass  # what is asked keeps the process busy for now
        return True

    def _settle_oldest(self) -> None:
        try:
            index = self._verifier.verdict(self._asked[0].checks)
        except VerifierLost as lost:
            self._recover(lost)
        else:
            self._asked.popleft().settle(index)
            self._rest_if_done()

    def _rest_if_done(self) -> None:
        if not self._asked:
            self._shares.rest()

    def _recover(self, lost: VerifierLost) -> None:
        """The process is gone with all it was asked: do these shares one by one in new processes."""
        log.warning("verifier process lost (%s)", lost)
        while self._asked:
            share = self._asked.popleft()
            share.settle(self._alone(share))
        self._shares.rest()

    def _alone(self, share: _WorkShare) -> int | None:
        for _ in range(1, ATTEMPTS):
            try:
                self._verifier.ask(share.checks)
                return self._verifier.verdict(share.checks)
            except VerifierLost as lost:
                log.warning("verifier process lost (%s)", lost)
        return self._engine.first_failure(share.checks)


def choose_engine(name: str) -> Engine:
    """The signature engine of that name. Raises ConfigError where it cannot be had."""
    try:
        makers = {"auto": default_engine, "libsecp256k1": libsecp256k1_engine, "python": python_engine}
        engine = makers[name]()
    except ImportError as error:
        raise ConfigError(f"--engine {name}: {error}") from None
    if engine.name == "python":
        log.warning("SLOW: signatures are verified in Python, some 50 times slower than by libsecp256k1")
    return engine


class VerifierPool:
    """Signature checks for any thread. Every batch gets its answer, whatever happens to a process."""

    def __init__(self, engine: Engine, processes: int, clock: Callable[[], float]) -> None:
        """`clock` is monotonic, in seconds. With no processes every batch is checked inline."""
        self._engine = engine
        self._inline_most = INLINE_MAX[engine.name] if processes else None
        self._processes = processes
        self._clock = clock
        self._shares = _Shares(processes)
        self._starting = threading.Lock()
        self._lanes: list[_Lane] = []

    def is_small(self, checks: Sequence[Check]) -> bool:
        """True if the calling thread will do the checks itself."""
        return self._inline_most is None or len(checks) <= self._inline_most

    def first_failure(self, checks: Sequence[Check]) -> int | None:
        """The index of the first check that fails, or None. Blocks until it is known."""
        if self.is_small(checks) or not self._start():
            return self._engine.first_failure(b"".join(checks))
        even = -(-len(checks) // self._processes)
        batch = _Batch(checks, min(SHARE_MAX, max(SHARE_MIN, even)))
        for share in batch.shares:
            self._shares.put(share)
        return batch.wait()

    def stop(self) -> None:
        """Finish what was asked and end the processes. Nobody may ask any more."""
        for _ in self._lanes:
            self._shares.put(None)
        for lane in self._lanes:
            lane.thread.join(JOIN_S)

    def _start(self) -> bool:
        """The first large batch starts the lanes: a node that needs none has none. False if no
        thread can be had for one."""
        with self._starting:
            try:
                while len(self._lanes) < self._processes:
                    self._lanes.append(_Lane(self._engine, self._shares, self._clock))
            except RuntimeError as error:
                log.warning("only %d of %d verifiers: %s", len(self._lanes), self._processes, error)
            return bool(self._lanes)
