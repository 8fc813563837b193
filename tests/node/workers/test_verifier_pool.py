"""Signature checks in other processes: the same verdicts, whatever happens to a process."""

import contextlib
import hashlib
import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from chain.keys import Check, Engine, default_engine, ecdsa_check, python_engine, schnorr_check
from node.workers.child_process import ChildProcess
from node.workers.verifier_pool import INLINE_MAX, SHARE_MAX, VerifierPool
from node.workers.verifier_process import BATCH_HEAD, VERDICT, token_of
from tests.node.processes import PATIENCE_S, eventually, is_alive, open_files, start_script

ENGINE = default_engine()
LARGE = 2 * SHARE_MAX + 40


def make_check(number: int) -> Check:
    secret = hashlib.sha256(b"secret %d" % number).digest()
    digest = hashlib.sha256(b"digest %d" % number).digest()
    public = ENGINE.public_key(secret)
    if number % 2:
        return ecdsa_check(public, ENGINE.sign_ecdsa(secret, digest), digest)
    return schnorr_check(public[1:], ENGINE.sign_schnorr(secret, digest), digest)


GOOD = [make_check(number) for number in range(LARGE)]


def spoilt(check: Check) -> Check:
    return Check(check[:-1] + bytes((check[-1] ^ 1,)))


def with_failures(*indexes: int) -> list[Check]:
    return [spoilt(check) if index in indexes else check for index, check in enumerate(GOOD)]


# the process


@pytest.fixture
def verifier() -> Iterator[ChildProcess]:
    child = ChildProcess("node.workers.verifier_process")
    yield child
    child.end()


def ask(verifier: ChildProcess, checks: list[Check]) -> int:
    batch = memoryview(BATCH_HEAD.pack(len(checks)) + b"".join(checks))
    os.set_blocking(verifier.stdin, True)
    while batch:
        batch = batch[os.write(verifier.stdin, batch) :]
    token, verdict = VERDICT.unpack(os.read(verifier.stdout, VERDICT.size))
    assert token == token_of(b"".join(checks))
    return int(verdict)


def test_answers_batch_after_batch(verifier: ChildProcess) -> None:
    assert ask(verifier, GOOD) == -1
    assert ask(verifier, with_failures(100, 150)) == 100
    assert ask(verifier, [spoilt(GOOD[0])]) == 0
    assert ask(verifier, GOOD[:1]) == -1
    assert ask(verifier, []) == -1


def test_takes_the_portable_engine() -> None:
    verifier = ChildProcess("node.workers.verifier_process", "--engine", "python")
    try:
        assert ask(verifier, [GOOD[0], GOOD[1], spoilt(GOOD[2])]) == 2
    finally:
        verifier.end()


def test_ends_when_its_input_closes() -> None:
    verifier = ChildProcess("node.workers.verifier_process")
    assert ask(verifier, []) == -1  # it runs: how long a start takes is another matter
    assert verifier.end() == "exit code 0"


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs /proc")
def test_inherits_nothing_but_its_pipes(verifier: ChildProcess) -> None:
    with open(os.devnull) as ours:
        os.set_inheritable(ours.fileno(), True)
        child = ChildProcess("node.workers.verifier_process")
        try:
            ask(child, GOOD[:1])
            assert os.devnull not in open_files(child.pid)
        finally:
            child.end()


PARENT = """
import sys, time
from chain.keys import python_engine, schnorr_check
from node.workers.verifier_pool import Verifier
engine, secret, digest = python_engine(), bytes([1]) * 32, bytes(32)
check = schnorr_check(engine.public_key(secret)[1:], engine.sign_schnorr(secret, digest), digest)
verifier = Verifier("python", time.monotonic)
verifier.ask(check * 20_000)  # half a minute's work
print(verifier.pid, flush=True)
sys.stdin.read()
"""


def test_none_survives_a_kill_9_of_the_node_even_in_the_middle_of_a_batch() -> None:
    with start_script(PARENT) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
        eventually(lambda: not is_alive(pid), "the verifier ends")


# the pool


@pytest.fixture
def pool() -> Iterator[VerifierPool]:
    made = VerifierPool(ENGINE, 2, time.monotonic)
    yield made
    made.stop()


def children() -> list[int]:
    """Our own that run, by /proc: no list of the pool's is believed."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as stat:
                    state, parent = stat.read().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if int(parent) == os.getpid() and state != "Z":
                found.append(int(name))
    return found


FAILURES = [(), (0,), (SHARE_MAX - 1,), (SHARE_MAX,), (LARGE - 1,), (191, 3), (SHARE_MAX, SHARE_MAX - 1)]


@pytest.mark.parametrize("failures", FAILURES)
def test_gives_the_verdict_of_the_engine_itself(pool: VerifierPool, failures: tuple[int, ...]) -> None:
    checks = with_failures(*failures)
    expected = min(failures) if failures else None
    assert ENGINE.first_failure(b"".join(checks)) == expected
    assert pool.first_failure(checks) == expected
    assert pool.first_failure(GOOD) is None


def test_small_batches_start_no_process(pool: VerifierPool) -> None:
    before = children()
    small = GOOD[: INLINE_MAX[ENGINE.name]]
    assert pool.is_small(small)
    assert pool.first_failure(small) is None
    assert pool.first_failure([*small[:-1], spoilt(small[-1])]) == len(small) - 1
    assert children() == before


def test_without_processes_everything_is_inline() -> None:
    pool = VerifierPool(ENGINE, 0, time.monotonic)
    before = children()
    assert pool.is_small(GOOD)
    assert pool.first_failure(with_failures(7)) == 7
    assert children() == before


def test_a_killed_verifier_is_replaced_and_its_batch_done_again(
    pool: VerifierPool, caplog: pytest.LogCaptureFixture
) -> None:
    before = set(children())
    assert pool.first_failure(GOOD) is None
    for pid in set(children()) - before:
        os.kill(pid, signal.SIGKILL)
    assert pool.first_failure(with_failures(100)) == 100
    assert "verifier process lost (exit code -9)" in caplog.text
    assert pool.first_failure(GOOD) is None


def test_verifiers_that_hang_are_given_up_at_the_deadline(caplog: pytest.LogCaptureFixture) -> None:
    # A clock that leaps a minute at each look: every deadline is over at once.
    ticks = itertools.count(0.0, 60.0)
    pool = VerifierPool(ENGINE, 1, lambda: next(ticks))
    try:
        assert pool.first_failure(with_failures(5)[:SHARE_MAX]) == 5
    finally:
        pool.stop()
    assert caplog.text.count("verifier process lost") == 2


def test_checks_are_done_where_no_process_can_be_had(
    pool: VerifierPool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: str) -> ChildProcess:
        raise OSError("no more processes")

    monkeypatch.setattr("node.workers.verifier_pool.ChildProcess", refuse)
    assert pool.first_failure(with_failures(130, 131)) == 130
    assert "no more processes" in caplog.text


FIRST, SECOND = token_of(GOOD[SHARE_MAX - 1]), token_of(GOOD[2 * SHARE_MAX - 1])
NONSENSE = {
    "text": b"a warning of some library\n" * 100,
    "all right, without a token": b"\xff" * 1000,
    "zeros": bytes(1000),
    "half an answer": VERDICT.pack(FIRST, -1)[:5],
    "the answer to another share": VERDICT.pack(FIRST, -1) * 100,
    "a check that is not in the share": VERDICT.pack(FIRST, SHARE_MAX),
    "below all checks": VERDICT.pack(SECOND, -2),
}


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_is_no_verdict(
    pool: VerifierPool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, nonsense: bytes
) -> None:
    """Somebody else writes into the pipe: a wrong check is not let through, a good one not condemned."""
    talk = f"import os, sys; os.write(1, {nonsense!r}); sys.stdin.read(); os._exit(0)"
    monkeypatch.setattr(
        "node.workers.verifier_pool.ChildProcess", lambda *_: ChildProcess("timeit", "-n1", "-r1", talk)
    )
    assert pool.first_failure(with_failures(200)) == 200
    assert pool.first_failure(GOOD) is None
    assert "verifier process lost" in caplog.text


def test_checks_are_done_where_no_thread_can_be_had(
    pool: VerifierPool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert pool.first_failure(with_failures(130, 131)) == 130
    assert "only 0 of 2 verifiers: can't start new thread" in caplog.text
    assert pool.first_failure(with_failures(7)) == 7


def test_many_batches_at_once_while_processes_are_killed(pool: VerifierPool) -> None:
    """Each caller gets the verdict on its own batch, whichever process had its shares."""
    before = set(children())
    asked = [(), (0,), (100, 140), (LARGE - 1,), (SHARE_MAX, 250)]
    got: list[tuple[tuple[int, ...], int | None]] = []

    def ask_again_and_again(failures: tuple[int, ...]) -> None:
        for _ in range(12):
            got.append((failures, pool.first_failure(with_failures(*failures))))

    threads = [threading.Thread(target=ask_again_and_again, args=(failures,)) for failures in asked]
    for thread in threads:
        thread.start()
    kills, deadline = 0, time.monotonic() + PATIENCE_S
    while any(thread.is_alive() for thread in threads):
        assert time.monotonic() < deadline
        for pid in set(children()) - before if kills < 12 else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                kills += 1
        threads[0].join(0.05)
        threads.append(threads.pop(0))
    assert kills
    assert len(got) == 12 * len(asked)
    for failures, verdict in got:
        assert verdict == min(failures, default=None)


def test_stop_leaves_no_process() -> None:
    before = children()
    pool = VerifierPool(ENGINE, 2, time.monotonic)
    assert pool.first_failure(GOOD) is None
    assert len(children()) == len(before) + 2
    pool.stop()
    assert children() == before


def test_the_slow_engine_hands_over_sooner() -> None:
    slow: Engine = python_engine()
    pool = VerifierPool(slow, 1, time.monotonic)
    assert not pool.is_small(GOOD[:3])
    assert VerifierPool(ENGINE, 1, time.monotonic).is_small(GOOD[:32])
