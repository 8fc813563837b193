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

from chain.block import Block, Header, decode_header, make_block, make_header
from chain.compact import target_from_bits
from chain.errors import Rejected
from chain.hashes import BlockHash, to_hex
from node.chainstate import examine
from node.child import Child
from node.config import Mine
from node.hashing import LOOPS, NONCES
from node.miner import REPORT_SIZE, Report, Work, decode_report
from node.node import Submission
from node.parts import Switch
from node.runtime import OVER, TIP, Runtime

log = logging.getLogger("groat.mining")

BACKOFF_MIN_S, BACKOFF_MAX_S = 1.0, 60.0
"""A miner that dies is started again after the one, doubled each time up to the other."""
HEALTHY_S = 60.0
"""A miner that has lived so long starts with the shortest wait again."""

REFRESH_S = 1.0
"""Seconds after which the time in the header moves on, and a fuller mempool gives a new template."""
CATCHING_UP_S = 0.5
"""Seconds between two looks whether the chain has been caught up with."""
OFF_S = 0.2
"""Seconds between two looks whether mining is wanted again."""
BEHIND_MAX = 2
"""Blocks by which the best known header may be ahead before mining waits."""
REFUSED_S = 1.0
"""Pause after a block of our own was refused, or none could be made."""


@dataclass(slots=True)
class _Slot:
    """One miner process and the nonces that are its share."""

    first: int
    nonces: int
    child: Child | None = None
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
    """No nonce fits: the header needs another time or merkle root."""


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
            slot.child = Child("node.miner", "--duty", str(self._duty_percent))
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


class Supervisor:
    """Keeps the miners on the newest template and hands in what they solve."""

    def __init__(self, runtime: Runtime, pool: MinerPool, mine: Mine, clock: Callable[[], float]) -> None:
        """`clock` is monotonic, in seconds."""
        self._runtime = runtime
        self._pool = pool
        self._mine = mine
        self._clock = clock
        self._told_of = b""
        """The tip on which no block could be made, and of which that is said already."""
        for topic in (TIP, OVER):
            runtime.subscribe(topic, pool.wake)
        self._switch = runtime.mining = Switch(pool.wake)

    def run(self) -> None:
        """Mine until the node stops."""
        log.info("mining with %d processes that hash with %s", self._mine.threads, LOOPS[0].name)
        interval_s = self._mine.interval_s
        while not self._runtime.over:
            if interval_s is not None and self._runtime.pause(interval_s):
                return
            if not self._switch.is_on:
                self._rest()
            elif self._is_catching_up():
                self._runtime.pause(CATCHING_UP_S)
            else:
                self._mine_block()

    def _rest(self) -> None:
        """Mine nothing until that is wanted again."""
        log.info("mining is off")
        self._pool.rest()
        while not self._switch.is_on and not self._runtime.pause(OFF_S):
            pass
        log.info("mining is on again")

    def _mine_block(self) -> None:
        """Work on one template until it is solved or a better one can be had."""
        state = self._state()
        block = self._template()
        if block is None:
            return
        header: Header | None = None
        while not self._runtime.over and self._switch.is_on and state == self._state():
            newest = at_time(block.header, int(self._runtime.view.time.at(self._runtime.now())))
            if header is None or header.raw != newest.raw:
                header = newest
                self._pool.assign(header)
            outcome = self._pool.wait(self._clock() + REFRESH_S)
            if isinstance(outcome, Solved):
                self._submit(make_block(outcome.header, block.txs))
            if outcome:
                return

    def _template(self) -> Block | None:
        """The block to work on; None after a pause where no block may be made now, as on a chain ahead of the clock."""
        try:
            block: Block | None = self._runtime.call(lambda node, now: node.template(self._mine.script, now), None)
        except (Rejected, ValueError) as error:
            tip = self._runtime.view.tip
            if self._told_of != tip.hash:
                self._told_of = tip.hash
                log.warning("no block can be made on %s at height %d: %s", to_hex(tip.hash), tip.height, error)
            self._runtime.pause(REFUSED_S)
            return None
        assert block
        return block

    def _submit(self, block: Block) -> None:
        submission = Submission(examine(block, self._runtime.view.params), "mined here")
        try:
            verdict = self._runtime.call(lambda node, now: node.submit_block(submission, now), None)
        except Rejected as rejected:
            log.error("own block %s refused: %s", to_hex(block.hash), rejected)
            self._runtime.pause(REFUSED_S)
            return
        if verdict is not None:
            log.info("mined block %s did not become the tip: %s", to_hex(block.hash), verdict)

    def _state(self) -> tuple[BlockHash, object]:
        """Changes when a template made now would be another one."""
        view = self._runtime.view
        return view.tip.hash, view.pool.totals

    def _is_catching_up(self) -> bool:
        """True while blocks of a longer chain come in: what is mined now would be stale."""
        return self._runtime.view.is_catching_up(BEHIND_MAX, self._runtime.now())


def at_time(header: Header, time: int) -> Header:
    """The same header at a later time, which nothing else in the block depends on."""
    later = max(header.time, time)
    return make_header(header.version, header.prev_hash, header.merkle_root, later, header.bits, 0)
