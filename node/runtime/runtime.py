"""THE lock, the threads, the clock: everything that the core is kept free of.

All calls of the core go through here, one at a time. What they return is carried out in the same
order: requests to peers enter their queues while the lock is held, signatures are verified and
answers awaited without it. Readers take no lock but the latest `NodeView`.
"""

import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from chain.block import Header
from chain.errors import Rejected
from node.core.view import NodeView
from node.interface.effects import (
    Answer,
    Close,
    Compute,
    Computed,
    Dial,
    Effect,
    Park,
    Publish,
    Resume,
    Send,
    Step,
    Verified,
    Verify,
)
from node.interface.endpoint import PeerId
from node.interface.storage import Damaged, StoreError
from node.interface.wall_clock import WallClock
from node.runtime.event_hub import EventHub
from node.runtime.parking import Bell, Busy, Parking
from node.runtime.protocols import Core, RequestSender, Solver, Switch
from node.runtime.traffic_counters import TrafficCounters
from node.workers.verifier_pool import VerifierPool

log = logging.getLogger("groat.runtime")

monotonic = time.monotonic
"""Seconds that only go forward: what deadlines inside the process are measured with."""

R = TypeVar("R")

TICK_S = 0.1
"""Seconds between two ticks of the core."""
SIGNAL_S = 0.5
"""Seconds between two looks at whether a signal has come; see `wait`."""
LOOK_S = 0.01
"""Seconds between two looks at a core that is getting ready."""
VERIFY_JOBS_MAX = 4
"""Large batches that wait for a verifier; with one more the thread that has it does it."""
VERIFY_THREADS = 2
"""Threads that wait for verifiers: as many as the core has batches under way."""
STARTING, STOPPING = "the node is starting", "the node is stopping"
DAMAGED = "the node stops: what it has stored is damaged, and is repaired when it starts again"
BROKEN = "the node stops because of a fault: its log says which"
"""The reasons why a node does not answer."""


class NotReady(Exception):
    """The node is still starting, or already stopping: come again later."""


_Errand = Verify | Compute | Resume | tuple[PeerId | None, Answer]
"""Work that a step leaves to be done without the lock: signatures to verify, something to compute, more
of the same, or an answer to feed back."""


class Runtime:
    """One node at work. Every method may be called from any thread."""

    def __init__(
        self,
        verifiers: VerifierPool,
        solver: Solver | None = None,
        clock: Callable[[], float] = monotonic,
        unix: Callable[[], float] = time.time,
    ) -> None:
        """`clock` counts seconds that only go forward, `unix` is Unix time in seconds, which may be set; `solver` is
        who does proof of work on demand."""
        self._verifiers = verifiers
        self._solver = solver
        self.now = clock
        self.unix = unix
        self.wall = WallClock(unix() - clock())
        """Unix time for the core, as of its last call."""
        self._lock = threading.Lock()
        self._core: Core | None = None
        self._carrier: RequestSender | None = None
        self._view: NodeView | None = None
        self._view_version: int | None = None
        self._ready = False
        self.traffic = TrafficCounters()
        """Bytes carried to and from peers."""
        self.mining: Switch | None = None
        """Turns this node's own mining off and on; None where it does not mine."""
        self.fault: str | None = None
        """The reason that the node has to stop without anybody's wish; for its operator."""
        self.refusal = STARTING
        """The answer to requests while the node is not ready; for anybody."""
        self._ending: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._over = threading.Event()
        self._parking = Parking()
        self.events = EventHub()
        """What happens, for those who want to know."""
        self._verify_jobs: queue.SimpleQueue[Verify | None] = queue.SimpleQueue()
        self._solving = threading.Lock()
        self._failing = threading.Lock()
        self._threads: list[threading.Thread] = []

    def open(self, core: Core, carrier: RequestSender) -> None:
        """Start the core and its threads. Calls and readers are let in by `admit`."""
        self._carrier = carrier
        self._core = core
        for number in range(VERIFY_THREADS):
            self.spawn(f"verify-{number}", self._verify_large)
        self._perform(lambda core, now: core.start(now))
        self.spawn("tick", self._tick)

    def await_core(self, within_s: float) -> bool:
        """Wait until the core is ready or the node is to stop; False if neither came in time."""
        deadline = monotonic() + within_s
        while not (self._core is None or self._core.ready or not self._ending.empty()):
            if monotonic() >= deadline:
                return False
            self._over.wait(LOOK_S)
        return True

    def admit(self) -> None:
        """Let calls and readers in."""
        self._ready = True

    @property
    def ready(self) -> bool:
        """True between `admit` and the beginning of the end, or a fault."""
        return self._ready and self.fault is None

    def stop(self) -> None:
        """Ask for the end; `wait` returns. Also from signal handlers."""
        self._ending.put(None)  # reentrant, as the queue module promises

    def fail(self, error: Exception) -> None:
        """End the node because of this, with a line or a traceback in the log: the one way to stop it
        that nobody asked for. What fails while storage is closed under it is nothing."""
        if self.over:
            return
        is_ours = not isinstance(error, StoreError)
        with self._failing:
            if self.fault is None:
                self.fault = f"a bug in the node: {error!r}" if is_ours else str(error)
                self.refusal = DAMAGED if isinstance(error, Damaged) else BROKEN
                log.critical("%s", self.fault, exc_info=error if is_ours else None)
        self._ending.put(None)

    def wait(self) -> None:
        """Wait until somebody calls `stop` or `fail`; `fault` tells them apart."""
        while True:
            # Python handles signals between two steps of the main thread. One that comes just before
            # it falls asleep, or to another thread, wakes nobody: without an end to the sleep it is lost.
            with contextlib.suppress(queue.Empty):
                return self._ending.get(timeout=SIGNAL_S)

    def close(self) -> None:
        """Refuse what comes, send away who waits, drop the core. `join` comes after."""
        self._ready = False
        if self.fault is None:
            self.refusal = STOPPING
        self._over.set()
        with self._lock:
            self._core = self._view = None
            self._parking.ring_all()
        self.events.close()
        for _ in range(VERIFY_THREADS):
            self._verify_jobs.put(None)

    def join(self, within_s: float) -> None:
        """Wait for the threads to end; those that are in the middle of a request end with the process."""
        deadline = monotonic() + within_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - monotonic()))

    @property
    def over(self) -> bool:
        """True once `close` has begun: threads are to end."""
        return self._over.is_set()

    def pause(self, seconds: float) -> bool:
        """Sleep, but not beyond the beginning of the end; True if that is here."""
        return self._over.wait(seconds)

    def spawn(self, name: str, body: Callable[[], None], *, joined: bool = True) -> None:
        """Run `body` in a thread of its own. What it raises stops the node.

        `join` waits for those that are `joined`.
        """

        def run() -> None:
            try:
                with self._guard():
                    body()
            except NotReady:
                pass  # the node stops; the reason is in the log

        thread = threading.Thread(target=run, name=name, daemon=True)
        if joined:
            self._threads.append(thread)
        thread.start()

    @property
    def view(self) -> NodeView:
        """The node as of the last change, immutable. Take it once per request. Raises NotReady."""
        view = self._view
        if view is None or not self.ready:
            raise NotReady
        return view

    def peek(self) -> NodeView | None:
        """The view, if there is one, also while the node is not ready."""
        return self._view

    def call(self, fn: Callable[[Any, float], Step[R]], seats: str | None = "api") -> R | None:
        """Call the core: `fn(core, now)` under the lock, its effects carried out.

        Where the reply is to wait, waits without the lock and calls again; None if there was
        still no reply at the deadline. What `fn` raises must satisfy `is_refusal`, and is passed
        on. `seats` names whose waiting threads are counted, None for the node's own, which are let
        in after a fault too, as far as there still is a core. Raises NotReady; Busy where too many wait.
        """
        if not (self.ready if seats else self._ready):
            raise NotReady
        deadline: float | None = None
        while True:
            reply, bell = self._step(fn)
            if not isinstance(reply, Park):
                return reply
            deadline = reply.deadline if deadline is None else min(deadline, reply.deadline)
            if not self._wait(reply.topic, bell, deadline, seats):
                return None

    def parked(self, seats: str) -> int:
        """Number of calls with such `seats` that wait now."""
        return self._parking.taken(seats)

    def deliver(self, peer: PeerId | None, answer: Answer) -> None:
        """Give the core what a request to a peer brought; nobody waits for a reply."""
        self._perform(lambda core, now: core.handle(peer, answer, now))

    def solve(self, header: Header, deadline: float) -> Header | None:
        """Do the header's proof of work in the miner processes.

        None if `deadline` came first, the tip moved away from its parent, or no
        nonce fits. One at a time; others wait for their turn. Raises NotReady.
        """
        if not self._solver or not self._solving.acquire(timeout=max(0.0, deadline - self.now())):
            return None
        try:
            left_s = deadline - self.now()
            return self._solver.solve(header, monotonic() + left_s, lambda: self.view.tip.hash == header.prev_hash)
        finally:
            self._solving.release()

    def _wait(self, topic: str, bell: Bell | None, deadline: float, seats: str | None) -> bool:
        """Wait for the bell of a parked call; False if the deadline was over before."""
        assert bell
        left_s = deadline - self.now()
        try:
            if left_s > 0 and not bell.rung:
                with self._lock:
                    self._parking.sit(seats)
                bell.wait(left_s)
                with self._lock:
                    self._parking.rise(seats)
            return left_s > 0 or bell.rung
        finally:
            with self._lock:
                self._parking.leave(topic, bell)

    def _step(self, fn: Callable[[Any, float], Step[Any]]) -> tuple[Any, Bell | None]:
        """Call the core under the lock, then do what has to be done without it."""
        with self._guard():
            reply, bell, errands = self._locked(fn)
            self._settle(errands)
        return reply, bell

    def _perform(self, fn: Callable[[Any, float], Step[Any]]) -> None:
        """A call of which nobody wants the reply."""
        _, bell = self._step(fn)
        assert bell is None, "only a request can be parked"

    def _locked(self, fn: Callable[[Any, float], Step[Any]]) -> tuple[Any, Bell | None, deque[_Errand]]:
        with self._lock:
            core = self._core
            if core is None:
                raise NotReady
            try:
                now = self.now()
                self.wall.ahead_s = self.unix() - now
                step = fn(core, now)
            except BaseException as error:
                if is_refusal(error):
                    self._publish_view(core)  # it may have marked a block
                else:
                    self._core = None  # nobody may go on with what is half changed
                raise
            # First the new view, then the bells: who is woken reads it.
            self._publish_view(core)
            bell = self._parking.park(step.reply.topic) if isinstance(step.reply, Park) else None
            return step.reply, bell, self._dispatch(step.effects)

    def _publish_view(self, core: Core) -> None:
        if core.view_version != self._view_version:
            self._view_version = core.view_version
            self._view = core.view()

    def _dispatch(self, effects: tuple[Effect, ...]) -> deque[_Errand]:
        """Carry out what never waits; returns the rest, for when the lock is released."""
        assert self._carrier
        errands: deque[_Errand] = deque()
        for effect in effects:
            match effect:
                case Send():
                    if failed := self._carrier.send(effect):
                        errands.append((effect.link.peer, Answer(effect.request_id, failed)))
                case Dial():
                    if failed := self._carrier.dial(effect):
                        errands.append((None, Answer(effect.request_id, failed)))
                case Close():
                    self._carrier.close(effect.peer)
                    self.traffic.forget(effect.peer)
                case Publish():
                    self._parking.ring(effect.topic)
                    self.events.publish(effect)
                case Verify() | Compute() | Resume():
                    errands.append(effect)
        return errands

    def _settle(self, errands: deque[_Errand]) -> None:
        """Carry out errands without the lock: verify, feed the verdicts back, until nothing is left."""
        while errands:
            errand = errands.popleft()
            if isinstance(errand, Verify):
                if self._verifiers.is_small(errand.checks) or not self._queue_verify(errand):
                    errands.extend(self._feed(None, self._verify(errand)))
            elif isinstance(errand, Compute):
                errands.extend(self._feed(None, Computed(errand.job, errand.run())))
            elif isinstance(errand, Resume):
                errands.extend(self._feed(None, errand))
            else:
                errands.extend(self._feed(*errand))

    def _feed(self, peer: PeerId | None, message: Any) -> deque[_Errand]:
        return self._locked(lambda core, now: core.handle(peer, message, now))[2]

    def _queue_verify(self, errand: Verify) -> bool:
        if self._verify_jobs.qsize() >= VERIFY_JOBS_MAX:
            return False
        self._verify_jobs.put(errand)
        return True

    def _verify(self, errand: Verify) -> Verified:
        return Verified(errand.token, self._verifiers.first_failure(errand.checks))

    def _tick(self) -> None:
        while not self._over.wait(TICK_S):
            self._perform(lambda core, now: core.tick(now))
            if core := self._core:
                self.traffic.settle(core.peer_of)

    def _verify_large(self) -> None:
        while (errand := self._verify_jobs.get()) is not None:
            if self.over:
                return
            self._settle(self._feed(None, self._verify(errand)))

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        """End the node on an error that must never happen, with the one line or the traceback that it needs."""
        try:
            yield
        except Exception as error:
            if is_refusal(error) or isinstance(error, NotReady | Busy):
                raise
            self.fail(error)
            raise NotReady from error


def is_refusal(error: BaseException) -> bool:
    """True for what the core tells a caller; anything else that it raises ends the node."""
    # Exactly these two: a KeyError or UnicodeDecodeError would be a bug.
    return isinstance(error, Rejected) or type(error) in (LookupError, ValueError)
