"""Times at the ends of their range: of headers that peers send, and of this node's own clock."""

import pytest

from chain.block import Header, make_header
from chain.blocktemplate import TIME_MAX, build_block, solve
from chain.blocktree import BlockTree
from chain.errors import Reject, Rejected
from chain.headertrail import HeaderTrail
from chain.params import GENESIS, REGTEST, REGTEST_LIMIT_BITS, devnet_params
from node.p2p.block_sync.header_sync import POLL_S
from tests.chain.test_pow import bits_after
from tests.chainlab import NOW, Lab, lock
from tests.node.p2p.block_sync.sync_lab import FakePeer, SyncLab
from tests.sim.world import World

CLOCKS = [0, 1, NOW, 2**31 - 1, 2**31, TIME_MAX - 1, TIME_MAX, TIME_MAX + 1, 10**12]
TIMES = [0, 1, 2**31 - 1, 2**31, TIME_MAX]
LIMIT_S = REGTEST.future_limit_s


def header(parent: Header, time: int) -> Header:
    found = solve(make_header(4, parent.hash, bytes(32), time, REGTEST_LIMIT_BITS, 0), 1 << 16)
    assert found is not None
    return found


def expected(time: int, clock: int) -> Reject | None:
    """What becomes of a header on genesis."""
    if time <= GENESIS.header.time:
        return Reject.TIME_TOO_OLD
    return Reject.TIME_TOO_NEW if time > clock + LIMIT_S else None


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("time", [*TIMES, "first", "last"])
def test_headers_that_peers_send(time: int | str, clock: int) -> None:
    """Too early is an offence for ever; too late is not, and keeps nobody from sending it later."""
    told = {"first": GENESIS.header.time + 1, "last": min(clock + LIMIT_S, TIME_MAX)}
    at = told[time] if isinstance(time, str) else time
    lab = SyncLab()
    lab.now = float(clock)
    peer = FakePeer(1, [])
    lab.add(peer)
    lab.announce(peer, header(GENESIS.header, at))
    reason = expected(at, clock)
    assert len(lab.chain.tree.entries) == (2 if reason is None else 1)
    assert [Reject.TIME_TOO_OLD in why for _, why in lab.punished] == ([True] if reason is Reject.TIME_TOO_OLD else [])
    with_trail: Reject | None = None
    try:
        HeaderTrail(BlockTree(REGTEST).genesis, REGTEST).follow(header(GENESIS.header, at), clock)
    except Rejected as fault:
        with_trail = fault.code
    assert with_trail is reason


def test_a_header_from_the_future_is_taken_in_its_time() -> None:
    early = Lab().mine()
    lab = SyncLab()
    lab.now = early.header.time - LIMIT_S - 2.5 * POLL_S
    lab.add(FakePeer(1, [early]))
    lab.run(2 * POLL_S)
    assert lab.chain.tip.height == 0
    lab.run(2 * POLL_S)
    assert lab.chain.tip.height == 1
    assert not lab.punished


@pytest.mark.parametrize("clock", CLOCKS)
def test_two_nodes_at_any_time(clock: int) -> None:
    """They link and stay linked; and where the clock is after genesis they make blocks and agree."""
    world = World(1)
    world.now = float(clock)
    first = world.add()
    second = world.add([first])
    world.run(5)
    assert world.call(second, lambda core, now: core.peers(now))
    if clock > GENESIS.header.time:
        for height in range(1, 4 if clock < TIME_MAX - 1 else 2):
            world.mine(first)
            world.until(lambda: first.tip.height == second.tip.height == height, 10)  # noqa: B023
    world.run(100)
    assert world.call(second, lambda core, now: core.peers(now))
    assert not any("broke the rules" in reason for node in (first, second) for _, reason in node.closed)


@pytest.mark.parametrize("clock", CLOCKS)
def test_a_candidate_has_a_time_that_fits(clock: int) -> None:
    genesis = BlockTree(REGTEST).genesis
    candidate = build_block(genesis, [], 0, lock(), clock, REGTEST)
    assert candidate.header.time == min(max(clock, genesis.time + 1), TIME_MAX)


def test_after_the_last_second_there_is_no_candidate() -> None:
    tree = BlockTree(REGTEST)
    last = tree.add(header(GENESIS.header, TIME_MAX))
    with pytest.raises(ValueError, match="no header can be later"):
        build_block(last, [], 0, lock(), TIME_MAX, REGTEST)


@pytest.mark.parametrize("elapsed_s", [-(2**32), -1, 0, 2**31, 2**32, 2**63])
def test_the_difficulty_of_any_time_is_a_target(elapsed_s: int) -> None:
    params = devnet_params()
    for height in (101, 102, 2**31):
        assert 0 < bits_after(height, elapsed_s, params) < 2**32
