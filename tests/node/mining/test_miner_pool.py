"""The supervisor: miners on the newest template, solved blocks handed in, nothing mined in vain."""

import itertools
import random
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from chain.block import Block, Header, make_header
from chain.errors import Invalid, Reject, Unready
from chain.keys import default_engine
from chain.params import REGTEST, Params, devnet_params
from node.core.node import Node
from node.interface.effects import Failed
from node.interface.mock_time import MockTime
from node.mining import supervisor
from node.mining.miner_pool import MinerPool, Solved, UsedUp
from node.mining.settings import Mine
from node.mining.supervisor import Supervisor, at_time
from node.p2p.block_sync.initial_block_download import DELIVERY_S, InitialBlockDownload
from node.p2p.connections.identity import NodeIdentity
from node.runtime.event_hub import OVER, TIP
from node.runtime.runtime import Runtime
from node.storage.memory import MemoryDisk
from node.storage.recovery import open_memory
from node.workers.verifier_pool import VerifierPool
from tests.chainlab import lock
from tests.node.processes import eventually

ENGINE = default_engine()
MINE = Mine(lock(), 1, 100, None)


# for real


class Nobody:
    """A carrier for a node that is alone."""

    def send(self, effect: Any) -> Failed | None:
        return Failed("nobody is there")

    dial = send

    def close(self, peer: Any) -> None:
        return None


class Miner:
    """A node on a disk in memory that mines with real processes."""

    def __init__(self, params: Params, mine: Mine, threads: int = 1) -> None:
        self.runtime = Runtime(VerifierPool(ENGINE, 0, time.monotonic))
        identity = NodeIdentity(bytes(31) + b"\x01", ENGINE, random.Random(1))
        store = open_memory(MemoryDisk(), params.network_id)
        self.runtime.open(Node(params, store, identity, random.Random(1), wall=self.runtime.wall), Nobody())
        self.runtime.admit()
        self.pool = MinerPool(threads, mine.duty_percent, time.monotonic)
        self.runtime.spawn("mining", Supervisor(self.runtime, self.pool, mine, time.monotonic).run)

    @property
    def height(self) -> int:
        return self.runtime.view.tip.height

    def stop(self) -> None:
        self.runtime.close()
        self.runtime.join(10)
        self.pool.stop()


@pytest.fixture
def miners() -> Iterator[list[Miner]]:
    made: list[Miner] = []
    yield made
    for miner in made:
        miner.stop()


def test_mines_block_after_block_by_real_work(miners: list[Miner]) -> None:
    miners.append(Miner(devnet_params(), MINE, threads=2))
    eventually(lambda: miners[0].height >= 5, "five blocks")
    view = miners[0].runtime.view
    for height in range(1, 6):
        entry = view.tip.ancestor(height)
        assert int.from_bytes(entry.hash, "little") >> (256 - 14) == 0
        raw = view.raw_block(entry)
        assert raw is not None
        assert lock() in raw


def test_on_regtest_one_block_each_interval(miners: list[Miner]) -> None:
    start = time.monotonic()
    miners.append(Miner(REGTEST, Mine(lock(), 1, 100, 0.25)))
    eventually(lambda: miners[0].height >= 4, "four blocks")
    assert time.monotonic() - start >= 1.0


def test_stops_at_once(miners: list[Miner]) -> None:
    miners.append(Miner(REGTEST, Mine(lock(), 1, 100, 600.0)))
    start = time.monotonic()
    miners.pop().stop()
    assert time.monotonic() - start < 5


# decisions


class Script:
    """A runtime and a pool in one, which say what the test says and note what they are asked."""

    def __init__(self) -> None:
        self.tip = SimpleNamespace(hash=b"tip", height=10)
        self.best_height = 10
        self.catch_up = InitialBlockDownload()
        self.totals = 0
        self.time = MockTime()
        self.clock = 0.0
        self.log: list[Any] = []
        self.outcomes: list[Any] = []
        self.refusal: Exception | None = None
        self.no_template: list[Exception] = []
        self.subscribed: list[str] = []
        self.over = False
        self.woken = 0
        self.mining: Any = None
        self.supervisor = Supervisor(self, self, MINE, lambda: self.clock)  # type: ignore[arg-type]

    # What the supervisor asks of the runtime.

    @property
    def events(self) -> "Script":
        return self

    @property
    def view(self) -> Any:
        return SimpleNamespace(
            tip=self.tip,
            params=REGTEST,
            pool=SimpleNamespace(totals=self.totals),
            is_catching_up=self.is_catching_up,
            time=self.time,
        )

    def is_catching_up(self, behind: int, now: float) -> bool:
        return self.best_height - self.tip.height > behind and self.catch_up.is_under_way(now)

    def now(self) -> float:
        return 1_000.9 + self.clock

    def subscribe(self, topic: str, listener: Any) -> None:
        assert listener == self.wake
        self.subscribed.append(topic)

    def pause(self, seconds: float) -> bool:
        self.clock += seconds
        self.log.append(("pause", seconds))
        self.over = self.clock > 100
        return self.over

    def call(self, fn: Any, seats: str | None) -> Any:
        assert seats is None
        return fn(self, self.now())

    # What it asks of the core.

    def template(self, script: bytes, now: float) -> Block:
        assert script == MINE.script
        self.log.append("template")
        if self.no_template:
            raise self.no_template.pop()
        return Block(header(500), (), b"")

    def submit_block(self, submission: Any, now: float) -> Any:
        self.log.append(("submit", submission))
        if self.refusal:
            raise self.refusal
        return None

    # What it asks of the pool.

    def assign(self, header: Header) -> None:
        self.log.append(("assign", header.time))

    def wait(self, deadline: float) -> Any:
        assert deadline == self.clock + supervisor.REFRESH_S
        outcome = self.outcomes.pop(0)
        if callable(outcome):
            outcome = outcome()
        self.over = not self.outcomes
        return outcome

    def wake(self) -> None:
        self.woken += 1

    def rest(self) -> None:
        self.log.append("rest")

    def passes(self, seconds: float) -> Any:
        """An outcome: nothing, after so long."""

        def wait() -> None:
            self.clock += seconds

        return wait


def header(time_s: int) -> Header:
    return make_header(4, bytes(32), bytes(32), time_s, 0x207FFFFF, 0)  # type: ignore[arg-type]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    monkeypatch.setattr(supervisor, "examine", lambda block, params: block.header.time)
    monkeypatch.setattr(supervisor, "Submission", lambda examined, source: examined)
    return Script()


def test_hears_of_a_new_tip_and_of_the_end(script: Script) -> None:
    assert script.subscribed == [TIP, OVER]


def test_time_moves_on_while_the_template_stays(script: Script) -> None:
    script.outcomes = [script.passes(1.0), script.passes(1.0), None]
    script.supervisor.run()
    assert script.log == ["template", ("assign", 1000), ("assign", 1001), ("assign", 1002)]


def test_a_time_that_was_set_stands_still(script: Script) -> None:
    script.time.set(700)
    script.outcomes = [script.passes(1.0), script.passes(1.0), None]
    script.supervisor.run()
    assert script.log == ["template", ("assign", 700)]


def test_work_is_not_begun_again_for_nothing(script: Script) -> None:
    script.outcomes = [None, script.passes(0.05), None, None]
    script.supervisor.run()
    assert script.log == ["template", ("assign", 1000)]


def test_a_new_tip_gets_a_new_template_at_once(script: Script) -> None:
    def arrives() -> None:
        script.tip = SimpleNamespace(hash=b"new", height=11)

    script.outcomes = [arrives, None]
    script.supervisor.run()
    assert script.log == ["template", ("assign", 1000), "template", ("assign", 1000)]


def test_a_fuller_mempool_gets_a_new_template(script: Script) -> None:
    def arrives() -> None:
        script.totals = 1

    script.outcomes = [arrives, None]
    script.supervisor.run()
    assert script.log == ["template", ("assign", 1000), "template", ("assign", 1000)]


def test_what_is_solved_is_handed_in(script: Script) -> None:
    script.outcomes = [Solved(header(777)), None]
    script.supervisor.run()
    assert script.log == ["template", ("assign", 1000), ("submit", 777), "template", ("assign", 1000)]


def test_used_up_nonces_get_another_template(script: Script) -> None:
    script.outcomes = [UsedUp(), None]
    script.supervisor.run()
    assert script.log.count("template") == 2


def test_an_own_block_that_is_refused_is_told_and_not_repeated_in_a_hurry(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    script.refusal = Invalid(Reject.CB_AMOUNT)
    script.outcomes = [Solved(header(777)), None]
    script.supervisor.run()
    assert ("pause", supervisor.REFUSED_S) in script.log
    assert "own block" in caplog.text
    assert "bad-cb-amount" in caplog.text


def test_where_no_block_can_be_made_that_is_said_once_and_tried_again(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    script.no_template = [Unready(Reject.TIME_TOO_NEW, "79202 s ahead"), Unready(Reject.TIME_TOO_NEW, "79203 s ahead")]
    script.outcomes = [None]
    script.supervisor.run()
    pauses = ["template", ("pause", supervisor.REFUSED_S)] * 2
    assert script.log == [*pauses, "template", ("assign", 1002)]
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"no block can be made on {b'tip'[::-1].hex()} at height 10: time-too-new: 79203 s ahead"
    ]


def test_waits_while_the_chain_is_being_caught_up_with(script: Script) -> None:
    script.best_height = 100
    script.catch_up.delivered(script.now())
    blocks = itertools.count(11)

    def pause(seconds: float) -> bool:
        script.log.append("pause")
        script.clock += seconds
        height = next(blocks)
        script.catch_up.delivered(script.now())
        script.tip = SimpleNamespace(hash=b"tip%d" % height, height=height)
        return False

    script.pause = pause  # type: ignore[method-assign]
    script.outcomes = [None]
    script.supervisor.run()
    assert script.log == ["pause"] * (100 - supervisor.BEHIND_MAX - 10) + ["template", ("assign", 1000 + 44)]


def test_headers_without_blocks_stop_nobody(script: Script) -> None:
    script.best_height = 100
    script.outcomes = [None]
    script.supervisor.run()
    assert script.log == ["template", ("assign", 1000)]


def test_a_branch_that_peers_bring_no_further_is_waited_for_no_longer(script: Script) -> None:
    script.best_height = 100
    script.catch_up.delivered(script.now())
    script.outcomes = [None]
    script.supervisor.run()
    assert script.log.count("template") == 1
    assert script.clock == pytest.approx(DELIVERY_S, abs=supervisor.CATCHING_UP_S)


def test_own_blocks_do_not_renew_the_wait(script: Script) -> None:
    """A peer brought one block and headers beyond it: after that wait, block follows block."""
    script.best_height = 100
    script.catch_up.delivered(script.now())

    def solved() -> Solved:
        height = script.tip.height + 1
        script.tip = SimpleNamespace(hash=b"own%d" % height, height=height)
        return Solved(header(777))

    script.outcomes = [solved] * 5 + [None]
    script.supervisor.run()
    assert script.log.count(("submit", 777)) == 5
    assert script.clock == pytest.approx(DELIVERY_S, abs=supervisor.CATCHING_UP_S)


def test_nothing_is_mined_while_it_is_turned_off(script: Script) -> None:
    """What is under way is dropped at once, and the processes rest."""
    switch = script.mining
    script.outcomes = [lambda: switch.turn(False), None]
    paused = script.pause

    def pause(seconds: float) -> bool:
        if script.clock > 3:
            switch.turn(True)
        return paused(seconds)

    script.pause = pause  # type: ignore[method-assign]
    script.supervisor.run()
    assert script.log[:3] == ["template", ("assign", 1000), "rest"]
    assert set(script.log[3:-2]) == {("pause", supervisor.OFF_S)}
    assert script.log[-2:] == ["template", ("assign", 1004)]
    assert script.woken == 2


def test_a_miner_that_is_turned_off_ends_with_the_node(script: Script) -> None:
    script.mining.turn(False)
    script.supervisor.run()
    assert script.over
    assert "template" not in script.log


def test_a_block_or_two_behind_is_mined_on(script: Script) -> None:
    script.best_height = 10 + supervisor.BEHIND_MAX
    script.outcomes = [None]
    script.supervisor.run()
    assert script.log[0] == "template"


def test_only_the_time_of_a_header_changes_and_never_backwards() -> None:
    before = header(500)
    later = at_time(before, 501)
    assert later.time == 501
    assert at_time(later, 500) == later
    assert (later.prev_hash, later.merkle_root, later.bits) == (before.prev_hash, before.merkle_root, before.bits)
