"""Mining as the node sees it: a pool of miner processes, and who keeps them busy.

Knows no rule: templates come from the core, and what is solved goes back to it as a block like
any other. Does not know who runs its loops: threads belong to the runtime.
"""

import contextlib
import logging
import os
import select
from collections.abc import Callable
from dataclasses import dataclass

from chain.block import Header, decode_header
from chain.target import target_from_bits
from node.mining.hash_loop import NONCES
from node.mining.miner_process import REPORT_SIZE, Report, Work, decode_report
from node.workers.child_process import ChildProcess

log = logging.getLogger("groat.mining")

BACKOFF_MIN_S, BACKOFF_MAX_S = 1.0, 60.0
"""A miner that dies is started again after the one, doubled each time up to the other."""
HEALTHY_S = 60.0
"""A miner that has lived so long starts with the shortest wait again."""


@dataclass(slots=True)
class _Slot:
    """One miner process and the nonces that are its share."""

    first: int
    nonces: int
    child: ChildProcess | None = None
    started: float = 0.0
    backoff_s: float = BACKOFF_MIN_S
    due: float = 0.0
    """Time to start it again."""
    used_up: bool = False
    """No nonce of its share fits."""


@dataclass(slots=True)
class Solved:
    """A header that meets its target."""

    header: Header


@dataclass(slots=True)
class UsedUp:
    """A search without a find: no nonce fits, and the header needs another time or merkle root."""


class MinerPool:
    """Miner processes that all work on one header, each on its share of the nonces.

    `assign` and `wait` belong to one thread at a time; `wake` is for any.
    """

    def __init__(self, threads: int, duty_percent: int, clock: Callable[[], float]) -> None:
        """`clock` is monotonic, in seconds. The processes start with the first work."""
        share = NONCES // threads
        self._slots = [_Slot(number * share, share) for number in range(threads)]
        self._duty_percent = duty_percent
        self._clock = clock
        self._work_id = 0
        self._work: Work | None = None
        self._bell, self._rope = os.pipe()
        os.set_blocking(self._bell, False)
        os.set_blocking(self._rope, False)

    @property
    def pids(self) -> list[int]:
        """Process ids of the miners that run."""
        return [slot.child.pid for slot in self._slots if slot.child]

    def assign(self, header: Header) -> None:
        """Drop what is being worked on, and solve this instead."""
        self._work_id += 1
        target = target_from_bits(header.bits)
        self._work = Work(self._work_id, header.raw, target, 0, 0)
        for slot in self._slots:
            slot.used_up = False
            if slot.child is None and slot.due <= self._clock():
                self._start(slot)
            elif slot.child:
                self._hand_over(slot)

    def rest(self) -> None:
        """Stop working; the processes stay."""
        self._work_id += 1
        self._work = Work(self._work_id, bytes(80), 0, 0, 0)
        for slot in self._slots:
            if slot.child:
                self._hand_over(slot)

    def wait(self, deadline: float) -> Solved | UsedUp | None:
        """The outcome of the work, or None: the deadline is here, or somebody called `wake`."""
        while True:
            self._start_due()
            for stream in self._ready(deadline):
                if stream == self._bell:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._bell, 4096)
                    return None
                outcome = self._read(stream)
                if outcome:
                    return outcome
            if self._clock() >= deadline:
                return None

    def wake(self) -> None:
        """Make `wait` return. From any thread."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._rope, b"!")

    def solve(self, header: Header, deadline: float, is_wanted: Callable[[], bool]) -> Header | None:
        """The solved header; None when the time is over, no nonce fits, or after a `wake` it is
        not wanted any more."""
        self.assign(header)
        try:
            while self._clock() < deadline and is_wanted():
                outcome = self.wait(deadline)
                if outcome:
                    return outcome.header if isinstance(outcome, Solved) else None
            return None
        finally:
            self.rest()

    def stop(self) -> None:
        """End all processes."""
        children = [slot.child for slot in self._slots if slot.child]
        for child in children:
            child.close_input()
        for child in children:
            child.end()
        for slot in self._slots:
            slot.child = None

    def _ready(self, deadline: float) -> list[int]:
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        for slot in self._slots:
            if slot.child:
                poll.register(slot.child.stdout, select.POLLIN)
            else:
                deadline = min(deadline, slot.due)
        return [stream for stream, _ in poll.poll(max(0.0, deadline - self._clock()) * 1000)]

    def _read(self, stream: int) -> Solved | UsedUp | None:
        slot = next(slot for slot in self._slots if slot.child and slot.child.stdout == stream)
        raw = os.read(stream, REPORT_SIZE)  # reports are written whole
        if len(raw) < REPORT_SIZE:
            self._lost(slot)
            return None
        report: Report = decode_report(raw)
        if report.work_id != self._work_id:
            return None
        if report.solved:
            return Solved(decode_header(report.header))
        slot.used_up = True
        return UsedUp() if all(other.used_up or not other.child for other in self._slots) else None

    def _start_due(self) -> None:
        for slot in self._slots:
            if self._work and slot.child is None and slot.due <= self._clock():
                self._start(slot)

    def _start(self, slot: _Slot) -> None:
        try:
            slot.child = ChildProcess("node.mining.miner_process", "--duty", str(self._duty_percent))
        except OSError as error:
            self._put_off(slot, str(error))
            return
        slot.started = self._clock()
        self._hand_over(slot)

    def _hand_over(self, slot: _Slot) -> None:
        assert self._work
        assert slot.child
        work = self._work._replace(first=slot.first, nonces=slot.nonces)
        try:
            os.write(slot.child.stdin, work.encode())
        except OSError:  # dead, or it does not read
            self._lost(slot)

    def _lost(self, slot: _Slot) -> None:
        assert slot.child
        child, slot.child = slot.child, None
        if self._clock() - slot.started >= HEALTHY_S:
            slot.backoff_s = BACKOFF_MIN_S
        self._put_off(slot, child.end())

    def _put_off(self, slot: _Slot, reason: str) -> None:
        log.warning("miner process lost (%s): starting it again in %.0f s", reason, slot.backoff_s)
        slot.due = self._clock() + slot.backoff_s
        slot.backoff_s = min(slot.backoff_s * 2, BACKOFF_MAX_S)
