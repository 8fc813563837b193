"""Header spam: branches with little work cost no memory, and those with enough still get in."""

from collections.abc import Sequence
from typing import Any

import pytest

from chain.block import Header, make_header
from chain.errors import Reject
from chain.hashes import BlockHash
from chain.params import GENESIS, REGTEST_LIMIT_BITS
from chain.target import work_from_bits
from node.interface.messages import ANNOUNCED_MAX, Announce, GetHeaders, Headers
from node.p2p.block_sync import header_sync as sync_module
from node.p2p.block_sync import headers_presync
from tests.chainlab import Lab, branch, unsolved
from tests.node.p2p.block_sync.sync_lab import FakePeer, SyncLab
from tests.node.p2p.block_sync.test_header_sync import chain, header_requests
from tests.sim.world import World

EASY = work_from_bits(REGTEST_LIMIT_BITS)
BATCH = 20
OURS, THEIRS = 60, 130


class Spammer(FakePeer):
    """A peer with headers and no blocks."""

    def __init__(self, number: int, headers: Sequence[Header]) -> None:
        super().__init__(number, [])
        self.all = list(headers)

    @property
    def tip(self) -> BlockHash:
        return self.all[-1].hash

    def headers(self, request: GetHeaders) -> Any:
        places = {header.hash: number for number, header in enumerate(self.all, 1)}
        start = next((places[h] for h in request.locator if h in places), 0)
        return Headers(tuple(self.all[start : start + self.lab.headers_max]))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything some fifteen times smaller."""
    monkeypatch.setattr(sync_module, "HEADERS_MAX", BATCH)
    monkeypatch.setattr(headers_presync, "NEAR_TIP_BLOCKS", 10)
    monkeypatch.setattr(headers_presync, "PERIOD", 4)
    monkeypatch.setattr(headers_presync, "HELD_MAX", 32)


@pytest.fixture(scope="module")
def ours() -> Lab:
    return chain(OURS, extra_nonce=1)


@pytest.fixture(scope="module")
def theirs() -> Lab:
    return chain(THEIRS, extra_nonce=2)


@pytest.fixture
def lab(small: None, ours: Lab) -> SyncLab:
    """A node with a chain of its own."""
    found = SyncLab(BATCH)
    found.give_at_once(ours.blocks)
    return found


def stored(lab: SyncLab) -> int:
    """Headers in memory."""
    return len(lab.chain.tree.entries) - 1


def test_announced_low_work_is_not_kept(lab: SyncLab) -> None:
    peer = FakePeer(1, [])
    lab.add(peer)
    for seed in range(50):
        lab.announce(peer, *branch(ANNOUNCED_MAX, seed=seed))
    assert stored(lab) == OURS
    assert not lab.punished  # a node that lags behind does the same


def test_neither_is_a_short_answer(lab: SyncLab) -> None:
    lab.add(Spammer(1, branch(BATCH - 1)))
    lab.run(100)
    assert stored(lab) == OURS
    assert not lab.punished


def test_a_fork_near_the_tip_is_kept(lab: SyncLab, ours: Lab) -> None:
    peer = FakePeer(1, [])
    lab.add(peer)
    fork = branch(3, ours.blocks[OURS - 8].header)
    lab.announce(peer, *fork)
    assert stored(lab) == OURS + 3


def test_an_endless_branch_with_too_little_work_leaves_nothing(lab: SyncLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab.sync._admission, "_minimum_work", 10**9)
    spammer = Spammer(1, branch(40 * BATCH))
    lab.add(spammer)
    lab.run(1)
    walk = lab.sync._admission.walk(spammer.id)
    assert walk is not None
    most = 0
    while lab.sync._admission.walk(spammer.id):
        lab.run(0.1)
        most = max(most, len(walk._bits) + len(walk._held))
    assert len(header_requests(spammer)) > 40
    assert most <= 40 * BATCH / headers_presync.PERIOD + 1  # a bit for each few headers, and none of them
    assert stored(lab) == OURS
    assert not lab.punished


def test_a_branch_that_changes_in_the_second_pass_leaves_nothing(lab: SyncLab) -> None:
    """The work was done once; other headers instead, made at leisure, are not let in."""

    class Swapping(Spammer):
        def headers(self, request: GetHeaders) -> Any:
            if request.locator[0] == GENESIS.hash and len(header_requests(self)) > 1:
                self.all = branch(THEIRS, seed=9)
            return super().headers(request)

    swapping = Swapping(1, branch(THEIRS))
    lab.add(swapping)
    lab.run(20)
    assert swapping.all == branch(THEIRS, seed=9)
    assert stored(lab) == OURS


def test_a_second_pass_that_does_not_come_leaves_nothing(lab: SyncLab) -> None:
    class Lapsing(Spammer):
        def headers(self, request: GetHeaders) -> Any:
            again = request.locator[0] == GENESIS.hash and len(header_requests(self)) > 1
            return Headers(()) if again else super().headers(request)

    lapsing = Lapsing(1, branch(THEIRS))
    lab.add(lapsing)
    lab.run(20)
    assert len(header_requests(lapsing)) <= 10  # and it is not asked in a circle
    assert stored(lab) == OURS


def test_few_walk_at_once_and_those_who_leave_make_room(lab: SyncLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab.sync._admission, "_minimum_work", 10**9)
    headers = branch(2_000)
    spammers = [Spammer(number, headers) for number in range(headers_presync.WALKS_MAX + 3)]
    for spammer in spammers:
        lab.add(spammer)
    lab.run(1)
    walking = [spammer for spammer in spammers if lab.sync._admission.walk(spammer.id)]
    assert len(walking) == headers_presync.WALKS_MAX
    assert all(len(header_requests(spammer)) == 1 for spammer in spammers if spammer not in walking)
    for spammer in walking:
        lab.leave(spammer)
    assert not any(lab.sync._admission.walk(spammer.id) for spammer in spammers)


@pytest.mark.parametrize(("limit", "most"), [("BITS_MAX", 30), ("WALK_S", 1.0)])
def test_walks_end(lab: SyncLab, limit: str, most: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab.sync._admission, "_minimum_work", 10**9)
    monkeypatch.setattr(headers_presync, limit, most)
    spammer = Spammer(1, branch(2_000))
    lab.add(spammer)
    lab.run(5)
    assert lab.sync._admission.walk(spammer.id) is None
    assert len(header_requests(spammer)) < 50
    assert stored(lab) == OURS


def test_the_side_branches_near_the_tip_are_bounded(lab: SyncLab, ours: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the limit only what leads to more work than the tip's is let in, and that always is."""
    monkeypatch.setattr(headers_presync, "SIDE_HEADERS_MAX", 30)
    peer = FakePeer(1, [])
    lab.add(peer)
    for seed in range(100):
        lab.announce(peer, *branch(2, ours.blocks[OURS - 5].header, seed))
    assert stored(lab) == OURS + 30
    better = branch(6, ours.blocks[OURS - 5].header, 1_000)
    lab.announce(peer, *better)
    assert lab.chain.tree.best_header.hash == better[-1].hash


def test_headers_stay_near_the_blocks(lab: SyncLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else who makes headers, and has no blocks, fills our memory with one branch."""
    monkeypatch.setattr(sync_module, "HEADERS_AHEAD_MAX", 200)
    bare = SyncLab(BATCH)
    spammer = Spammer(1, branch(2_000))
    bare.add(spammer)
    bare.run(100)
    assert 200 <= stored(bare) <= 200 + 5 * BATCH  # one batch for each time it was polled


def test_with_blocks_there_are_more_headers(theirs: Lab, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_module, "HEADERS_AHEAD_MAX", 30)
    lab = SyncLab(BATCH)
    lab.add(FakePeer(1, theirs.blocks))
    assert lab.run(30, lab.synced(theirs.blocks)) < 20


def test_a_whole_node_keeps_none_either(small: None, ours: Lab) -> None:
    world = World(1)
    node = world.add()
    for block in ours.blocks:
        world.give(node, block)
    world.add([node])
    world.until(lambda: bool(world.call(node, lambda core, now: core.peers(now))), 10)
    [peer] = world.call(node, lambda core, now: core.peers(now))
    for seed in range(20):
        spam = Announce(tuple(branch(ANNOUNCED_MAX, seed=seed)))
        world.call(node, lambda core, now: core.handle(peer.id, spam, now))  # noqa: B023
    assert len(node.node.view().tree.entries) == 1 + OURS
    assert not node.closed


def bad(headers: list[Header]) -> list[Header]:
    return [*headers[:-1], unsolved(headers[-1])]


@pytest.mark.parametrize("count", [ANNOUNCED_MAX - 1, BATCH, 2 * BATCH], ids=["short", "first batch", "second batch"])
def test_bad_headers_among_those_with_low_work_are_an_offence(lab: SyncLab, count: int) -> None:
    peer = Spammer(1, bad(branch(count)))
    lab.add(peer)
    lab.run(5)
    assert [(who, Reject.HIGH_HASH in why) for who, why in lab.punished] == [(peer.id, True)]
    assert stored(lab) == OURS


def test_claimed_work_is_not_believed(lab: SyncLab) -> None:
    """The last header claims more work than all; it would let those before it in."""
    headers = branch(5)
    claim = make_header(4, headers[-1].hash, bytes(32), headers[-1].time + 600, 0x1D00FFFF, 0)
    peer = FakePeer(1, [])
    lab.add(peer)
    lab.announce(peer, *headers, claim)
    assert [who for who, _ in lab.punished] == [peer.id]
    assert stored(lab) == OURS


def test_a_deep_reorganisation_proves_itself_and_is_followed(lab: SyncLab, theirs: Lab) -> None:
    peer = FakePeer(1, theirs.blocks)
    lab.add(peer)
    took_s = lab.run(60, lab.synced(theirs.blocks))
    assert lab.chain.tip.hash == theirs.tip.hash
    assert took_s < 10
    assert stored(lab) == OURS + THEIRS
    # Three batches twice (their 50th header has enough work), and from there on once.
    assert len(header_requests(peer)) == 2 * 3 + 4
    assert not lab.punished


def test_two_walks_on_one_branch_do_no_harm(lab: SyncLab, theirs: Lab) -> None:
    for number in range(6):
        lab.add(FakePeer(number, theirs.blocks))
    assert lab.run(60, lab.synced(theirs.blocks)) < 10
    assert stored(lab) == OURS + THEIRS
    assert not lab.punished


def test_with_a_minimum_of_work_a_fresh_node_keeps_nothing_less(small: None, theirs: Lab) -> None:
    lab = SyncLab(BATCH, minimum_work=100 * EASY)
    short, whole = FakePeer(1, theirs.blocks[:90]), FakePeer(2, theirs.blocks)
    lab.add(short)
    lab.run(40)
    assert stored(lab) == 0
    lab.add(whole)
    assert lab.run(60, lab.synced(theirs.blocks)) < 10
    assert not lab.punished


def test_in_full_size() -> None:
    """The limits as they are: 9,000 headers that have to prove themselves."""
    lab = SyncLab(minimum_work=9_000 * EASY)
    headers = branch(9_000)
    lab.add(Spammer(1, headers))
    lab.run(0.4)
    assert stored(lab) == 0
    lab.run(5)
    assert lab.chain.tree.best_header.hash == headers[-1].hash
