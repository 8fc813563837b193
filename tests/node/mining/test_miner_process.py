"""Miner processes: real work, at once on the newest, gone when nobody wants it."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from chain.block import Header, decode_header, make_header
from chain.blocktemplate import solve
from chain.params import REGTEST
from chain.pow import check_pow
from chain.target import target_from_bits
from node.mining.hash_loop import LOOPS, NONCES, ROW, Loop
from node.mining.miner_pool import MinerPool, Solved, UsedUp
from node.mining.miner_process import REPORT_SIZE, Duty, NonceSearch, Report, Work, decode_report, measure
from node.workers.child_process import ROOT, ChildProcess
from tests.node.processes import eventually, is_alive, open_files, start_script

EASY, HARD = 0x207FFFFF, 0x1C00FFFF
"""Two hashes; more than any test has time for."""
MEDIUM = 0x1F07FFFF
"""About 2^13 hashes."""


def header(bits: int = EASY, time_s: int = 1_700_000_000) -> Header:
    return make_header(0x20000000, REGTEST_TIP, bytes(range(32)), time_s, bits, 0)


REGTEST_TIP = decode_header(bytes(80)).hash


def work_on(work_id: int, candidate: Header, first: int = 0, nonces: int = NONCES) -> Work:
    return Work(work_id, candidate.raw, target_from_bits(candidate.bits), first, nonces)


def solution() -> Header:
    """The first of MEDIUM's."""
    solved = solve(header(MEDIUM), 1 << 20)
    assert solved is not None
    return solved


@pytest.fixture
def miner() -> Iterator[ChildProcess]:
    child = ChildProcess("node.mining.miner_process")
    yield child
    child.end()


def give(miner: ChildProcess, work: Work) -> None:
    os.write(miner.stdin, work.encode())


def report_of(miner: ChildProcess) -> Report:
    return decode_report(os.read(miner.stdout, REPORT_SIZE))


# the loop


@pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.name)
def test_a_search_finds_the_first_nonce(loop: Loop) -> None:
    search = NonceSearch(work_on(3, header(MEDIUM)), loop)
    report = None
    while report is None:
        report = search.advance()
    assert report == Report(3, True, solution().raw)


@pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.name)
def test_a_search_stays_in_its_range_and_reports_its_end(loop: Loop) -> None:
    nonce = int.from_bytes(solution().raw[76:], "little")
    before = NonceSearch(work_on(7, header(MEDIUM), nonce - 3 * ROW, 3 * ROW), loop)
    assert before.advance() == Report(7, False, header(MEDIUM).raw)
    assert NonceSearch(work_on(8, header(MEDIUM), nonce, 1), loop).advance() == Report(8, True, solution().raw)


def test_a_search_ends_with_the_nonces() -> None:
    search = NonceSearch(work_on(7, header(HARD), NONCES - 5, NONCES), LOOPS[0])
    assert search.advance() == Report(7, False, header(HARD).raw)


@pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.name)
def test_a_search_never_keeps_newer_work_waiting(loop: Loop) -> None:
    search = NonceSearch(work_on(1, header(HARD)), loop)
    turns = []
    for _ in range(20):
        start = time.thread_time()
        assert search.advance() is None
        turns.append(time.thread_time() - start)
    assert min(turns) < 0.02


def test_duty_shares_out_wall_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("node.mining.miner_process.time.monotonic", lambda: clock[0])
    duty = Duty(20)
    clock[0] += 0.009
    assert duty.rest_s() == 0
    clock[0] += 0.002
    assert duty.rest_s() == pytest.approx(0.044)
    duty.resume()
    assert duty.rest_s() == 0
    assert Duty(100).rest_s() == 0


# the process


def test_solves_what_it_is_given(miner: ChildProcess) -> None:
    give(miner, work_on(1, header(MEDIUM)))
    report = report_of(miner)
    assert (report.work_id, report.solved) == (1, True)
    assert report.header[:76] == header(MEDIUM).raw[:76]
    check_pow(decode_header(report.header), REGTEST)


def test_knows_all_loops() -> None:
    for loop in LOOPS:
        miner = ChildProcess("node.mining.miner_process", "--loop", loop.name)
        try:
            give(miner, work_on(1, header(MEDIUM)))
            assert report_of(miner) == Report(1, True, solution().raw)
        finally:
            miner.end()


def test_says_when_its_nonces_are_used_up(miner: ChildProcess) -> None:
    give(miner, work_on(1, header(HARD), ROW, 4 * ROW))
    assert report_of(miner) == Report(1, False, header(HARD).raw)


def test_newer_work_replaces_older_at_once(miner: ChildProcess) -> None:
    delays = []
    for round_number in range(10):
        give(miner, work_on(2 * round_number, header(HARD)))
        time.sleep(0.02)  # let it get to work; nothing depends on it
        start = time.monotonic()
        give(miner, work_on(2 * round_number + 1, header(EASY)))
        assert report_of(miner).work_id == 2 * round_number + 1
        delays.append(time.monotonic() - start)
    assert min(delays) < 0.02


def test_only_the_newest_of_what_waits_is_worked_on(miner: ChildProcess) -> None:
    os.write(miner.stdin, b"".join(work_on(number, header(EASY)).encode() for number in range(1, 21)))
    assert report_of(miner).work_id == 20


def test_a_target_of_zero_stops_the_work(miner: ChildProcess) -> None:
    give(miner, work_on(1, header(HARD)))
    os.write(miner.stdin, Work(2, bytes(80), 0, 0, 0).encode())

    def cpu_ticks() -> int:
        with open(f"/proc/{miner.pid}/stat") as stat:
            return int(stat.read().split()[13])

    def rests() -> bool:
        before = cpu_ticks()
        time.sleep(0.1)
        return cpu_ticks() == before

    eventually(rests, "the miner rests")


def test_ends_when_its_input_closes() -> None:
    miner = ChildProcess("node.mining.miner_process")
    give(miner, work_on(1, header(HARD)))
    assert miner.end() == "exit code 0"


def test_ctrl_c_is_the_nodes_business(miner: ChildProcess) -> None:
    give(miner, work_on(1, header(EASY)))
    report_of(miner)
    os.kill(miner.pid, signal.SIGINT)
    give(miner, work_on(2, header(EASY)))
    assert report_of(miner).work_id == 2


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs /proc")
def test_inherits_nothing_but_its_pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROAT_RPC_PASSWORD", "secret")
    with open(os.devnull) as ours:
        os.set_inheritable(ours.fileno(), True)
        child = ChildProcess("node.mining.miner_process")
        try:
            give(child, work_on(1, header(EASY)))
            report_of(child)
            assert all(name.startswith("pipe:") for name in open_files(child.pid)[:3])
            assert os.devnull not in open_files(child.pid)
            with open(f"/proc/{child.pid}/environ", "rb") as environment:
                assert b"GROAT_" not in environment.read()
        finally:
            child.end()


PARENT = """
import sys, time
from chain.block import make_header
from node.mining.miner_pool import MinerPool
pool = MinerPool(2, 100, time.monotonic)
pool.assign(make_header(4, bytes(32), bytes(32), 1_700_000_000, 0x1C00FFFF, 0))
print(*pool.pids, flush=True)
pool.wait(time.monotonic() + 60)
"""


def test_no_miner_survives_a_kill_9_of_the_node() -> None:
    with start_script(PARENT) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(is_alive, pids))
        parent.kill()
        eventually(lambda: not any(map(is_alive, pids)), "the miners end")


# measuring


@pytest.mark.parametrize("threads", [1, 2])
def test_measure_prints_one_json_document(threads: int) -> None:
    command = [sys.executable, "-m", "node.mining.miner_process", "--measure", "0.2", "--threads", str(threads)]
    ran = subprocess.run(command, capture_output=True, cwd=ROOT, check=True, text=True)
    measured = json.loads(ran.stdout)
    assert measured["hashes_per_s"] > 10_000
    assert measured["loop"] == LOOPS[0].name
    assert ran.stderr == ""


def test_a_duty_cycle_takes_its_share_of_a_processor() -> None:
    """Of this thread's own time: what a start costs, or others take, is no part of it."""
    used_s = time.thread_time()
    assert measure(1, 20, LOOPS[0]) > 0
    assert time.thread_time() - used_s < 0.3


# the pool


@pytest.fixture
def pool() -> Iterator[MinerPool]:
    made = MinerPool(2, 100, time.monotonic)
    yield made
    made.stop()


def soon() -> float:
    return time.monotonic() + 10


def test_the_pool_solves_a_header(pool: MinerPool) -> None:
    solved = pool.solve(header(MEDIUM), soon(), lambda: True)
    assert solved is not None
    check_pow(solved, REGTEST)
    assert solved.raw[:76] == header(MEDIUM).raw[:76]


def test_the_pool_gives_up_at_the_deadline(pool: MinerPool) -> None:
    start = time.monotonic()
    assert pool.solve(header(HARD), start + 0.3, lambda: True) is None
    assert 0.3 <= time.monotonic() - start < 5


def test_the_pool_gives_up_when_the_tip_moves(pool: MinerPool) -> None:
    answers = iter([True, False])
    pool.wake()
    assert pool.solve(header(HARD), soon(), lambda: next(answers)) is None


def test_reports_of_older_work_do_not_count() -> None:
    pool = MinerPool(1, 100, time.monotonic)
    try:
        pool.assign(header(EASY, 1))
        [stdout] = [slot.child.stdout for slot in pool._slots if slot.child]
        assert select.select([stdout], [], [], 10)[0], "the first report is there, and not read"
        pool.assign(header(EASY, 2))
        outcome = pool.wait(soon())
        assert isinstance(outcome, Solved)
        assert outcome.header.time == 2
    finally:
        pool.stop()


def test_the_pool_says_when_no_nonce_fits(pool: MinerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.mining.miner_pool.NONCES", 8 * ROW)
    small = MinerPool(2, 100, time.monotonic)
    try:
        small.assign(header(HARD))
        assert small.wait(soon()) == UsedUp()
    finally:
        small.stop()


def test_a_dead_miner_is_replaced_and_given_the_same_work(
    pool: MinerPool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.mining.miner_pool.BACKOFF_MIN_S", 0.05)
    pool.assign(header(HARD))
    first, second = pool.pids
    os.kill(first, signal.SIGKILL)
    assert pool.wait(time.monotonic() + 0.2) is None
    eventually(lambda: pool.wait(time.monotonic()) is None and len(pool.pids) == 2, "two miners again")
    assert second in pool.pids
    assert first not in pool.pids
    assert "miner process lost (exit code -9)" in caplog.text
    assert pool.solve(header(MEDIUM), soon(), lambda: True) is not None


def test_a_miner_that_keeps_dying_is_started_ever_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def spawn(*_: str) -> ChildProcess:
        started.append(clock[0])
        raise OSError("no more processes")

    clock = [0.0]
    monkeypatch.setattr("node.mining.miner_pool.ChildProcess", spawn)
    pool = MinerPool(1, 100, lambda: clock[0])
    pool.assign(header(HARD))
    while clock[0] < 400:
        clock[0] += 0.5
        pool.wait(clock[0])
    assert started == [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0, *(63.0 + 60 * n for n in range(1, 6))]
