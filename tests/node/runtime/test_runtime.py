"""The runtime around a core that does as the test says: lock, effects, waiting, faults, the end."""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from chain.block import Header, make_header
from chain.errors import Invalid, Reject, Unready
from chain.keys import Check, default_engine
from node.interface.disconnect_reason import DisconnectReason
from node.interface.effects import (
    Answer,
    Close,
    Compute,
    Computed,
    Dial,
    Failed,
    Park,
    Publish,
    Resume,
    Send,
    Step,
    Verified,
    Verify,
)
from node.interface.endpoint import Endpoint, Link, PeerId
from node.interface.storage import Damaged, StoreError
from node.runtime import parking, runtime
from node.runtime.event_hub import OVER, TIP
from node.runtime.parking import Busy
from node.runtime.runtime import BROKEN, DAMAGED, STOPPING, NotReady, Runtime
from node.workers.verifier_pool import VerifierPool
from tests.node.processes import eventually

PEER = PeerId(b"p" * 20)
LINK = Link(PEER, Endpoint("127.0.0.1", 1), b"token")
SMALL, LARGE = (Check(bytes(129)),), tuple(Check(bytes(129)) for _ in range(100))


class FakeCore:
    """Answers `handle` from a table; remembers what it was given."""

    def __init__(self) -> None:
        self.view_version = 0
        self.ready = True
        self.given: list[tuple[PeerId | None, Any]] = []
        self.on: dict[type, Callable[[Any], Step[Any]]] = {}
        self.ticks = 0
        self.inside = 0

    def start(self, now: float) -> Step[None]:
        return Step(None)

    def tick(self, now: float) -> Step[None]:
        self.ticks += 1
        return Step(None)

    def handle(self, peer: PeerId | None, message: Any, now: float) -> Step[Any]:
        self.inside += 1
        assert self.inside == 1, "two threads in the core"
        try:
            self.given.append((peer, message))
            return self.on.get(type(message), lambda _: Step(None))(message)
        finally:
            self.inside -= 1

    def view(self) -> Any:
        return SimpleNamespace(version=self.view_version, tip=SimpleNamespace(hash=b"tip%d" % self.view_version))

    def peer_of(self, token: bytes) -> PeerId | None:
        return PEER if token == LINK.token else None

    def verdicts(self) -> list[Verified]:
        return [message for _, message in self.given if isinstance(message, Verified)]


class FakeCarrier:
    """Takes everything, or nothing."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.full = False

    def send(self, effect: Send) -> Failed | None:
        return self._take(effect)

    def dial(self, effect: Dial) -> Failed | None:
        return self._take(effect)

    def close(self, peer: PeerId) -> None:
        self.taken.append(peer)

    def _take(self, effect: Send | Dial) -> Failed | None:
        if self.full:
            return Failed("full")
        self.taken.append(effect)
        return None


class FakeVerifiers(VerifierPool):
    """Says what the test says, when the test lets it."""

    def __init__(self) -> None:
        super().__init__(default_engine(), 1, time.monotonic)
        self.verdict: int | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.threads: list[str] = []

    def first_failure(self, checks: Any) -> int | None:
        self.threads.append(threading.current_thread().name)
        assert self.gate.wait(10)
        return self.verdict


class World:
    def __init__(self) -> None:
        self.core = FakeCore()
        self.carrier = FakeCarrier()
        self.verifiers = FakeVerifiers()
        self.runtime = Runtime(self.verifiers)

    def open(self) -> None:
        self.runtime.open(self.core, self.carrier)
        self.runtime.admit()

    def in_thread(self, body: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
        """Runs `body` beside the test; what it returned or raised."""
        outcome: list[Any] = []

        def run() -> None:
            try:
                outcome.append(body())
            except (NotReady, Busy) as error:
                outcome.append(type(error))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread, outcome


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    made.open()
    yield made
    made.verifiers.gate.set()
    made.runtime.close()
    made.runtime.join(10)


def step(reply: Any = None, *effects: Any) -> Callable[[Any, float], Step[Any]]:
    return lambda core, now: Step(reply, effects)


def refuse(error: Exception) -> Callable[[Any, float], Step[Any]]:
    def fn(core: Any, now: float) -> Step[Any]:
        raise error

    return fn


# calls


def test_a_call_gets_the_core_the_time_and_its_reply() -> None:
    world = World()
    world.runtime = Runtime(world.verifiers, clock=lambda: 123.5)
    world.open()
    assert world.runtime.call(lambda core, now: Step((core, now))) == (world.core, 123.5)
    world.runtime.close()
    world.runtime.join(10)


def test_nobody_gets_in_before_admission() -> None:
    world = World()
    with pytest.raises(NotReady):
        world.runtime.call(step("too early"))
    world.runtime.open(world.core, world.carrier)
    with pytest.raises(NotReady):
        world.runtime.call(step("too early"))
    with pytest.raises(NotReady):
        _ = world.runtime.view
    readiness = [world.runtime.ready]
    world.runtime.admit()
    assert [*readiness, world.runtime.ready] == [False, True]
    assert world.runtime.call(step("now")) == "now"
    assert world.runtime.view is world.runtime.peek()
    world.runtime.close()
    world.runtime.join(10)


def test_waiting_for_a_core_that_has_stored_blocks_to_connect() -> None:
    world = World()
    world.core.ready = False
    world.runtime.open(world.core, world.carrier)
    assert not world.runtime.await_core(0.05)
    world.core.ready = True
    assert world.runtime.await_core(5)
    world.core.ready = False
    world.runtime.stop()
    assert world.runtime.await_core(5), "somebody stops the node meanwhile"
    world.runtime.close()
    world.runtime.join(10)


@pytest.mark.parametrize(
    "error",
    [Invalid(Reject.CB_AMOUNT), Unready(Reject.PREV_NOT_FOUND), LookupError("Block not found"), ValueError("no")],
)
def test_what_the_core_refuses_is_the_callers_business(world: World, error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        world.runtime.call(refuse(error))
    assert caught.value is error
    assert world.runtime.call(step("alive")) == "alive"


@pytest.mark.parametrize(
    "error", [AssertionError("impossible"), KeyError("gone"), UnicodeDecodeError("a", b"", 0, 1, "b")]
)
def test_a_bug_stops_the_node_with_its_traceback(
    world: World, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(NotReady):
        world.runtime.call(refuse(error))
    world.runtime.wait()
    assert world.runtime.fault == f"a bug in the node: {error!r}"
    assert "Traceback" in caplog.text
    with pytest.raises(NotReady):
        world.runtime.call(step("nobody touches what is half changed"))


def test_the_environments_fault_stops_the_node_with_one_line(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(NotReady):
        world.runtime.call(refuse(StoreError("the disk is full")))
    world.runtime.wait()
    assert world.runtime.fault == "the disk is full"
    assert world.runtime.refusal == BROKEN
    assert [record.getMessage() for record in caplog.records] == ["the disk is full"]
    assert "Traceback" not in caplog.text


def test_damage_is_told_from_other_faults_and_the_first_one_counts(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.runtime.fail(Damaged("a hole"))
    world.runtime.fail(StoreError("the disk is full"))
    world.runtime.stop()
    world.runtime.wait()
    assert (world.runtime.fault, world.runtime.refusal) == ("a hole", DAMAGED)
    assert [record.getMessage() for record in caplog.records] == ["a hole"]
    with pytest.raises(NotReady):
        world.runtime.call(step("nobody is let in any more"))


def test_what_fails_while_the_node_stops_is_no_fault(world: World) -> None:
    world.runtime.close()
    world.runtime.fail(StoreError("closed under a reader"))
    assert (world.runtime.fault, world.runtime.refusal) == (None, STOPPING)


def test_a_thread_that_fails_stops_the_node(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def body() -> None:
        raise RuntimeError("oops")

    world.runtime.spawn("unlucky", body)
    world.runtime.wait()
    assert "oops" in caplog.text


def test_ticks(world: World) -> None:
    eventually(lambda: world.core.ticks >= 3, "three ticks")


# effects


def test_requests_are_queued_in_the_order_of_the_steps(world: World) -> None:
    lock_order: list[int] = []

    def send(number: int) -> None:
        def fn(core: Any, now: float) -> Step[None]:
            lock_order.append(number)
            return Step(None, (Send(LINK, "m", number, 0.0),))

        world.runtime.call(fn)

    threads = [world.in_thread(partial(send, number))[0] for number in range(50)]
    for thread in threads:
        thread.join(10)
    assert [effect.request_id for effect in world.carrier.taken] == lock_order


def test_dials_and_closes_reach_the_carrier(world: World) -> None:
    dial = Dial(Endpoint("127.0.0.1", 2), "hello", 7, 0.0)
    world.runtime.call(step(None, dial, Close(PEER, DisconnectReason.OPERATOR)))
    assert world.carrier.taken == [dial, PEER]


def test_what_cannot_be_queued_comes_back_as_a_failure_and_its_effects_are_carried_out(world: World) -> None:
    world.core.on[Answer] = lambda answer: Step(None, (Close(PEER, DisconnectReason.OPERATOR),))
    world.carrier.full = True
    world.runtime.call(step("reply", Send(LINK, "m", 3, 0.0), Dial(LINK.endpoint, "m", 4, 0.0)))
    assert world.core.given == [(PEER, Answer(3, Failed("full"))), (None, Answer(4, Failed("full")))]
    assert world.carrier.taken == [PEER, PEER]


def test_answers_are_delivered(world: World) -> None:
    world.runtime.deliver(PEER, Answer(1, "headers"))
    assert world.core.given == [(PEER, Answer(1, "headers"))]


def test_small_batches_are_verified_by_the_caller_before_the_call_returns(world: World) -> None:
    world.verifiers.verdict = 5
    assert world.runtime.call(step("reply", Verify(9, SMALL))) == "reply"
    assert world.core.verdicts() == [Verified(9, 5)]
    assert world.verifiers.threads == [threading.current_thread().name]


def test_large_batches_are_verified_by_a_thread_of_their_own(world: World) -> None:
    world.verifiers.gate.clear()
    assert world.runtime.call(step("reply", Verify(9, LARGE))) == "reply"
    assert world.core.verdicts() == []
    world.verifiers.gate.set()
    eventually(lambda: world.core.verdicts() == [Verified(9, None)], "the verdict")
    assert world.verifiers.threads[0].startswith("verify-")


def test_with_too_many_large_batches_the_caller_helps(world: World) -> None:
    world.verifiers.gate.clear()
    for token in range(runtime.VERIFY_THREADS + runtime.VERIFY_JOBS_MAX):
        world.runtime.call(step(None, Verify(token, LARGE)))
        if token < runtime.VERIFY_THREADS:
            eventually(lambda token=token: len(world.verifiers.threads) > token, "a thread takes it")  # type: ignore[misc]
    caller, _ = world.in_thread(lambda: world.runtime.call(step(None, Verify(99, LARGE))))
    eventually(lambda: caller.name in world.verifiers.threads, "the caller verifies")
    world.verifiers.gate.set()
    eventually(
        lambda: len(world.core.verdicts()) == runtime.VERIFY_THREADS + runtime.VERIFY_JOBS_MAX + 1, "all verdicts"
    )


def test_the_lock_is_free_while_signatures_are_verified(world: World) -> None:
    world.verifiers.gate.clear()
    caller, _ = world.in_thread(lambda: world.runtime.call(step(None, Verify(1, SMALL))))
    eventually(lambda: bool(world.verifiers.threads), "it verifies")
    assert world.runtime.call(step("free")) == "free"
    assert caller.is_alive()


def test_a_verdict_may_bring_more_to_verify(world: World) -> None:
    def on_verified(message: Verified) -> Step[None]:
        return Step(None, (Verify(message.token + 1, SMALL),) if message.token < 100 else ())

    world.core.on[Verified] = on_verified
    world.runtime.call(step(None, Verify(1, SMALL)))
    assert [verdict.token for verdict in world.core.verdicts()] == list(range(1, 101))


def test_what_is_computed_needs_no_lock_and_comes_back(world: World) -> None:
    started, gate = threading.Event(), threading.Event()

    def run() -> str:
        started.set()
        gate.wait(5)
        return "outcome"

    caller, _ = world.in_thread(lambda: world.runtime.call(step(None, Compute(3, run))))
    assert started.wait(5)
    assert world.runtime.call(step("free")) == "free"
    assert caller.is_alive()
    gate.set()
    caller.join(5)
    assert world.core.given == [(None, Computed(3, "outcome"))]


def test_a_core_that_wants_to_go_on_first_has_its_effects_carried_out(world: World) -> None:
    """What a Computed leads to is on its way to peers before the core is busy with the next thing."""
    sent_before: list[int] = []

    def on_resume(message: Resume) -> Step[None]:
        sent_before.append(len(world.carrier.taken))
        return Step(None)

    world.core.on[Resume] = on_resume
    world.core.on[Computed] = lambda computed: Step(None, (Send(LINK, "m", 3, 0.0), Resume()))
    world.runtime.call(step(None, Compute(1, lambda: None)))
    assert world.core.given == [(None, Computed(1, None)), (None, Resume())]
    assert sent_before == [1]


# views


def bump(core: Any, now: float) -> Step[None]:
    core.view_version += 1
    return Step(None, (Publish(TIP),))


def test_a_view_is_published_when_its_version_changes(world: World) -> None:
    first = world.runtime.view
    world.runtime.call(step())
    assert world.runtime.view is first
    world.runtime.call(bump)
    assert world.runtime.view.version == 1  # type: ignore[attr-defined]


def test_a_refusal_may_change_the_view(world: World) -> None:
    def fn(core: Any, now: float) -> Step[None]:
        core.view_version += 1
        raise Invalid(Reject.CB_AMOUNT)

    with pytest.raises(Invalid):
        world.runtime.call(fn)
    assert world.runtime.view.version == 1  # type: ignore[attr-defined]


def test_readers_need_no_lock(world: World) -> None:
    inside, leave = threading.Event(), threading.Event()

    def hold(core: Any, now: float) -> Step[None]:
        inside.set()
        assert leave.wait(10)
        return Step(None)

    thread, _ = world.in_thread(lambda: world.runtime.call(hold))
    assert inside.wait(10)
    assert world.runtime.view.version == 0  # type: ignore[attr-defined]
    leave.set()
    thread.join(10)


# waiting


class LongPoll:
    """A core call that waits for a topic until there is something to say."""

    def __init__(self, deadline_s: float = 10) -> None:
        self.asked = 0
        self.reply: Any = None
        self.deadline_s = deadline_s

    def __call__(self, core: Any, now: float) -> Step[Any]:
        self.asked += 1
        return Step(self.reply if self.reply is not None else Park("topic", now + self.deadline_s))


def test_a_parked_call_is_asked_again_when_its_topic_is_published(world: World) -> None:
    poll = LongPoll()
    thread, outcome = world.in_thread(lambda: world.runtime.call(poll))
    eventually(lambda: poll.asked == 1, "it waits")
    world.runtime.call(step(None, Publish("another")))
    poll.reply = "news"
    world.runtime.call(step(None, Publish("topic")))
    thread.join(10)
    assert (outcome, poll.asked) == (["news"], 2)


def test_a_publish_in_the_same_step_is_not_missed(world: World) -> None:
    asked = []

    def fn(core: Any, now: float) -> Step[Any]:
        asked.append(now)
        return Step(Park("topic", now + 10), (Publish("topic"),)) if len(asked) == 1 else Step("reply")

    start = time.monotonic()
    assert world.runtime.call(fn) == "reply"
    assert time.monotonic() - start < 5


def test_a_verdict_wakes_who_waits_for_it_in_the_same_call(world: World) -> None:
    world.core.on[Verified] = lambda message: Step(None, (Publish("tx"),))
    asked = []

    def fn(core: Any, now: float) -> Step[Any]:
        asked.append(now)
        return Step(Park("tx", now + 10), (Verify(1, SMALL),)) if len(asked) == 1 else Step("accepted")

    start = time.monotonic()
    assert world.runtime.call(fn) == "accepted"
    assert time.monotonic() - start < 5


def test_the_deadline_is_that_of_the_first_answer(world: World) -> None:
    poll = LongPoll(0.2)
    thread, outcome = world.in_thread(lambda: world.runtime.call(poll))
    start = time.monotonic()
    while thread.is_alive() and time.monotonic() < start + 10:
        world.runtime.call(step(None, Publish("topic")))
        time.sleep(0.01)
    assert outcome == [None]
    assert time.monotonic() - start < 5
    assert poll.asked > 2


def test_at_the_deadline_the_core_has_the_last_word(world: World) -> None:
    asked = []

    def fn(core: Any, now: float) -> Step[Any]:
        asked.append(now)
        return Step(Park("topic", asked[0] + 0.05) if now < asked[0] + 0.05 else "nothing new")

    assert world.runtime.call(fn) == "nothing new"


def test_only_so_many_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parking, "API_SEATS", 2)
    monkeypatch.setattr(parking, "P2P_SEATS", 1)
    world = World()
    world.open()
    polls = [LongPoll() for _ in range(4)]
    api = [world.in_thread(partial(world.runtime.call, poll)) for poll in polls[:2]]
    eventually(lambda: all(poll.asked for poll in polls[:2]), "two wait")
    eventually(lambda: world.in_thread(lambda: world.runtime.call(LongPoll(0.1)))[1] in ([], [Busy]), "no seat")
    with pytest.raises(Busy):
        world.runtime.call(LongPoll())
    peers = world.in_thread(lambda: world.runtime.call(polls[2], "p2p"))
    own = world.in_thread(lambda: world.runtime.call(polls[3], None))
    eventually(lambda: all(poll.asked for poll in polls), "peers and the node itself have seats of their own")
    assert not peers[1]
    for poll in polls:
        poll.reply = "news"
    world.runtime.call(step(None, Publish("topic")))
    for thread, outcome in (*api, peers, own):
        thread.join(10)
        assert outcome == ["news"]
    assert world.runtime.call(LongPoll(0.01)) is None, "the seats are free again"
    world.runtime.close()
    world.runtime.join(10)


def test_nothing_is_left_of_who_waited(world: World) -> None:
    for _ in range(3):
        assert world.runtime.call(LongPoll(0.01)) is None
    assert world.runtime._parking._bells == {}


# events


def test_events_by_cursor(world: World) -> None:
    assert world.runtime.events.after(None, 0) == []
    world.runtime.call(step(None, Publish("a", ({"n": 1}, {"n": 2})), Publish("b", ({"n": 3},)), Publish("c")))
    happened = world.runtime.events.after(0, 0)
    assert [(event.number, event.topic, event.event) for event in happened] == [
        (1, "a", {"n": 1}),
        (2, "a", {"n": 2}),
        (3, "b", {"n": 3}),
    ]
    assert world.runtime.events.after(1, 0) == happened[1:]
    assert world.runtime.events.after(3, 0) == []


def test_followers_wait_for_the_next_event(world: World) -> None:
    thread, outcome = world.in_thread(lambda: world.runtime.events.after(0, 10))
    world.runtime.call(step(None, Publish("a", ({},))))
    thread.join(10)
    assert [event.topic for event in outcome[0]] == ["a"]


def test_the_ring_of_events_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parking, "EVENTS_MAX", 3)
    world = World()
    world.open()
    world.runtime.call(step(None, *(Publish("a", ({},)) for _ in range(10))))
    assert [event.number for event in world.runtime.events.after(0, 0)] == [8, 9, 10]
    world.runtime.close()
    world.runtime.join(10)


def test_subscribers_are_called(world: World) -> None:
    called = []
    world.runtime.events.subscribe(TIP, lambda: called.append(world.runtime.view.version))  # type: ignore[attr-defined]
    world.runtime.call(bump)
    assert called == [1], "with the new view in place"


# proof of work on demand


class FakeSolver:
    def __init__(self) -> None:
        self.working = threading.Semaphore(1)
        self.bell = threading.Event()

    def solve(self, header: Header, deadline: float, is_wanted: Callable[[], bool]) -> Header | None:
        assert self.working.acquire(blocking=False), "two at once"
        self.bell.clear()
        while is_wanted() and time.monotonic() < deadline:
            if header.nonce:
                time.sleep(0.05)
                break
            self.bell.wait(deadline - time.monotonic())
        self.working.release()
        return header if header.nonce else None

    def wake(self) -> None:
        self.bell.set()


def header_on(parent: bytes, nonce: int) -> Header:
    return make_header(4, parent.ljust(32, b"\0"), bytes(32), 0, 0x207FFFFF, nonce)  # type: ignore[arg-type]


@pytest.fixture
def solving() -> Iterator[World]:
    world = World()
    solver = FakeSolver()
    world.runtime = Runtime(world.verifiers, solver)
    world.runtime.events.subscribe(TIP, solver.wake)
    world.core.view = lambda: SimpleNamespace(  # type: ignore[method-assign]
        tip=SimpleNamespace(hash=(b"tip%d" % world.core.view_version).ljust(32, b"\0"))
    )
    world.open()
    yield world
    world.runtime.close()
    world.runtime.join(10)


def test_headers_are_solved_one_at_a_time(solving: World) -> None:
    header = header_on(b"tip0", 1)
    runs = [solving.in_thread(lambda: solving.runtime.solve(header, solving.runtime.now() + 10)) for _ in range(3)]
    for thread, outcome in runs:
        thread.join(10)
        assert outcome == [header]


def test_solving_ends_when_the_tip_moves_and_at_its_deadline(solving: World) -> None:
    header = header_on(b"tip0", 0)
    assert solving.runtime.solve(header, solving.runtime.now() + 0.1) is None
    thread, outcome = solving.in_thread(lambda: solving.runtime.solve(header, solving.runtime.now() + 10))
    solving.runtime.call(bump)
    thread.join(5)
    assert outcome == [None]


def test_without_miners_nothing_is_solved(world: World) -> None:
    assert world.runtime.solve(header_on(b"tip0", 1), world.runtime.now() + 10) is None


# the end


def test_a_stop_that_was_asked_for_is_no_fault(world: World) -> None:
    world.runtime.stop()
    world.runtime.stop()
    world.runtime.wait()
    assert world.runtime.fault is None


class _Signalled(Exception):
    """What the handler of the test below raises."""


def test_a_signal_that_wakes_nobody_ends_the_wait_all_the_same(world: World) -> None:
    """One that another thread receives does not interrupt the main thread's sleep."""

    def handle(number: int, frame: object) -> None:
        raise _Signalled

    def body() -> None:
        time.sleep(0.2)  # so that the main thread sleeps; if it does not yet, the test passes anyhow
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        if not caught.wait(10):
            rescued.append(True)
            world.runtime.stop()

    caught = threading.Event()
    rescued: list[bool] = []
    before = signal.signal(signal.SIGUSR1, handle)
    try:
        world.in_thread(body)
        with pytest.raises(_Signalled):
            world.runtime.wait()
    finally:
        caught.set()
        signal.signal(signal.SIGUSR1, before)
    assert not rescued


def test_close_sends_away_who_waits_and_ends_the_threads(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    world = World()
    world.open()
    over = []
    world.runtime.events.subscribe(OVER, lambda: over.append(True))
    poll = LongPoll(60)
    caller, outcome = world.in_thread(lambda: world.runtime.call(poll))
    follower, events = world.in_thread(lambda: world.runtime.events.after(None, 60))
    eventually(lambda: poll.asked == 1, "it waits")
    world.runtime.close()
    assert world.runtime.over
    assert world.runtime.pause(60)
    assert over == [True]
    for thread in (caller, follower):
        thread.join(10)
        assert not thread.is_alive()
    assert (outcome, events) == ([NotReady], [[]])
    start = time.monotonic()
    world.runtime.join(10)
    assert time.monotonic() - start < 5
    with pytest.raises(NotReady):
        world.runtime.call(step("too late"))
    assert not caplog.records


def test_join_leaves_threads_that_are_not_waited_for(world: World) -> None:
    stay = threading.Event()

    def body() -> None:
        stay.wait(20)

    world.runtime.spawn("courier", body, joined=False)
    world.runtime.close()
    start = time.monotonic()
    world.runtime.join(10)
    assert time.monotonic() - start < 5
    stay.set()
