"""Who checks signatures: small batches this thread, large ones the verifier processes."""

import contextlib
import logging
import os
import queue
import select
from collections.abc import Callable, Sequence

from chain.keys import CHECK_SIZE, Check, Engine
from node.child import Child
from node.verifier import BATCH_HEAD, VERDICT

log = logging.getLogger("groat.verify")

INLINE_MAX = {"libsecp256k1": 32, "python": 2}
"""Batches up to this are checked by whoever asks. It takes 1.5 ms (the Python engine 5 ms), and the
GIL is free meanwhile; a verifier would not be faster."""
SHARE_MIN = 64
"""A batch is cut into shares for several verifiers only if each gets this many."""
BATCH_S, CHECK_S = 5.0, 0.02
"""A verifier that takes longer than this for a batch, plus so much for each check, is replaced:
ten times what the slower engine needs."""
ATTEMPTS = 2
"""How many verifier processes may fail at a batch before this thread does it itself."""
WRITE_BYTES = 1 << 16


class VerifierLost(Exception):
    """The process died, hung or could not be started."""


class Verifier:
    """One verifier process. It starts with the first batch, and again when it was lost."""

    def __init__(self, engine_name: str, clock: Callable[[], float]) -> None:
        self._engine_name = engine_name
        self._clock = clock
        self._child: Child | None = None
        self._deadline = 0.0

    @property
    def pid(self) -> int | None:
        """Of the process, if it runs."""
        return self._child.pid if self._child else None

    def ask(self, checks: bytes) -> None:
        """Hand over a batch. Raises VerifierLost."""
        count = len(checks) // CHECK_SIZE
        self._deadline = self._clock() + BATCH_S + CHECK_S * count
        try:
            if self._child is None:
                self._child = Child("node.verifier", "--engine", self._engine_name)
            self._write(self._child, BATCH_HEAD.pack(count) + checks)
        except BrokenPipeError:
            raise VerifierLost(self.stop()) from None
        except OSError as error:
            self.stop()
            raise VerifierLost(str(error)) from None

    def verdict(self) -> int | None:
        """The index of the first check of the batch that fails, or None. Raises VerifierLost."""
        assert self._child
        answer = b""
        if self._ready(self._child.stdout, select.POLLIN):
            answer = os.read(self._child.stdout, VERDICT.size)
        if len(answer) != VERDICT.size:
            raise VerifierLost(self.stop())
        (index,) = VERDICT.unpack(answer)
        return None if index < 0 else index

    def stop(self) -> str:
        """End the process; why it ended."""
        child, self._child = self._child, None
        return child.end() if child else "not running"

    def _write(self, child: Child, batch: bytes) -> None:
        view = memoryview(batch)
        while view:
            if not self._ready(child.stdin, select.POLLOUT):
                raise TimeoutError("the verifier does not read")
            with contextlib.suppress(BlockingIOError):
                view = view[os.write(child.stdin, view[:WRITE_BYTES]) :]

    def _ready(self, stream: int, event: int) -> bool:
        poll = select.poll()
        poll.register(stream, event)
        return bool(poll.poll(max(0.0, self._deadline - self._clock()) * 1000))


class VerifierPool:
    """Signature checks for any thread. Every batch gets its answer, whatever happens to a process."""

    def __init__(self, engine: Engine, processes: int, clock: Callable[[], float]) -> None:
        """`clock` is monotonic, in seconds. With no processes every batch is checked inline."""
        self._engine = engine
        self._inline_most = INLINE_MAX[engine.name] if processes else None
        self._processes = processes
        self._idle: queue.SimpleQueue[Verifier] = queue.SimpleQueue()
        for _ in range(processes):
            self._idle.put(Verifier(engine.name, clock))

    def is_small(self, checks: Sequence[Check]) -> bool:
        """True if the calling thread will do the checks itself."""
        return self._inline_most is None or len(checks) <= self._inline_most

    def first_failure(self, checks: Sequence[Check]) -> int | None:
        """The index of the first check that fails, or None. Blocks until it is known."""
        if self.is_small(checks):
            return self._engine.first_failure(b"".join(checks))
        verifiers = self._take(len(checks) // SHARE_MIN)
        try:
            return self._first_failure(verifiers, checks)
        finally:
            for verifier in verifiers:
                self._idle.put(verifier)

    def stop(self) -> None:
        """End the processes that nobody uses; the others end with this one."""
        with contextlib.suppress(queue.Empty):
            for _ in range(self._processes):
                self._idle.get_nowait().stop()

    def _take(self, most: int) -> list[Verifier]:
        """One verifier, once there is one; more, up to `most`, if they are idle."""
        taken = [self._idle.get()]
        with contextlib.suppress(queue.Empty):
            while len(taken) < most:
                taken.append(self._idle.get_nowait())
        return taken

    def _first_failure(self, verifiers: list[Verifier], checks: Sequence[Check]) -> int | None:
        size = -(-len(checks) // len(verifiers))
        shares = [b"".join(checks[start : start + size]) for start in range(0, len(checks), size)]
        asked = [_ask(verifier, share) for verifier, share in zip(verifiers, shares, strict=False)]
        # Every answer is read, also after a failure: the next batch must find an empty pipe.
        verdicts = [
            self._verdict(verifier, share, ok) for verifier, share, ok in zip(verifiers, shares, asked, strict=False)
        ]
        failures = (number * size + index for number, index in enumerate(verdicts) if index is not None)
        return next(failures, None)

    def _verdict(self, verifier: Verifier, share: bytes, asked: bool) -> int | None:
        for attempt in range(ATTEMPTS):
            try:
                if attempt or not asked:
                    verifier.ask(share)
                return verifier.verdict()
            except VerifierLost as lost:
                log.warning("verifier process lost (%s)", lost)
        return self._engine.first_failure(share)


def _ask(verifier: Verifier, share: bytes) -> bool:
    try:
        verifier.ask(share)
    except VerifierLost as lost:
        log.warning("verifier process lost (%s)", lost)
        return False
    return True
