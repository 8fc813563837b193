"""Headers whose blocks nobody delivers: bounded, and forgotten when those who showed them are gone."""

import random

import pytest

from chain.block import Header
from node.interface.messages import ANNOUNCED_MAX
from node.p2p.block_sync import header_sync as sync_module
from node.p2p.block_sync import unclaimed_headers as promises_module
from node.p2p.block_sync.unclaimed_headers import SWEEP_EVERY_S, UNCLAIMED_MAX, UNCLAIMED_S
from tests.chainlab import Lab, branch
from tests.node.p2p.block_sync.sync_lab import FakePeer, SyncLab

OURS = 12


@pytest.fixture(scope="module")
def ours() -> Lab:
    lab = Lab()
    for _ in range(OURS):
        lab.mine()
    return lab


@pytest.fixture
def lab(ours: Lab) -> SyncLab:
    lab = SyncLab()
    lab.give(*ours.blocks)
    return lab


def on(base: Header, count: int, seed: int) -> list[Header]:
    """Headers of blocks that nobody has."""
    return branch(count, base, seed, spacing_s=1)


def stored(lab: SyncLab) -> int:
    """Headers here, without our own blocks'."""
    return len(lab.chain.tree.entries) - 1 - OURS


def test_they_go_when_their_sender_has_gone(lab: SyncLab, ours: Lab) -> None:
    peer = FakePeer(1, ours.blocks)
    lab.add(peer)
    lab.announce(peer, *on(ours.blocks[-1].header, 8, 1))
    assert lab.chain.tree.best_header.height == OURS + 8
    lab.run(2 * UNCLAIMED_S)
    assert stored(lab) == 8, "its sender is here, and may deliver"
    lab.leave(peer)
    lab.run(UNCLAIMED_S - 1)
    assert stored(lab) == 8, "it may come back"
    lab.run(1 + 2 * SWEEP_EVERY_S)
    assert stored(lab) == 0
    assert lab.chain.tree.best_header is lab.chain.tip


def test_what_another_peer_has_stays(lab: SyncLab, ours: Lab) -> None:
    one, other = FakePeer(1, ours.blocks), FakePeer(2, ours.blocks)
    headers = on(ours.blocks[-1].header, 8, 1)
    for peer in (one, other):
        lab.add(peer)
        lab.announce(peer, *headers)
    lab.leave(one)
    lab.run(UNCLAIMED_S + 3 * SWEEP_EVERY_S)
    assert stored(lab) == 8


def test_branch_after_branch_from_one_peer_is_bounded(lab: SyncLab, ours: Lab) -> None:
    """Each leads to more work than the tip, so that none of them is a side branch."""
    peer = FakePeer(1, ours.blocks)
    lab.add(peer)
    most = 0
    for seed in range(5 * UNCLAIMED_MAX // ANNOUNCED_MAX // 2):
        lab.announce(peer, *on(ours.blocks[-1].header, ANNOUNCED_MAX, seed))
        most = max(most, stored(lab))
    assert most <= UNCLAIMED_MAX + 2 * ANNOUNCED_MAX
    assert stored(lab) < UNCLAIMED_MAX
    assert not lab.punished


def test_a_branch_that_grows_by_announcements_is_bounded(
    lab: SyncLab, ours: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_module, "HEADERS_AHEAD_MAX", 100)
    peer = FakePeer(1, ours.blocks)
    lab.add(peer)
    headers = on(ours.blocks[-1].header, 400, 1)
    for start in range(0, 400, ANNOUNCED_MAX):
        lab.announce(peer, *headers[start : start + ANNOUNCED_MAX])
    assert stored(lab) <= 100 + ANNOUNCED_MAX
    assert not lab.punished


def test_long_branches_of_many_peers_are_bounded_together(
    lab: SyncLab, ours: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And who has the blocks of a longer chain is followed all the same."""
    monkeypatch.setattr(sync_module, "HEADERS_ALL_MAX", 100)
    monkeypatch.setattr(sync_module, "HEADERS_LEAST", 16)
    for number in range(6):
        liar = FakePeer(number, ours.blocks)
        lab.add(liar)
        headers = on(ours.blocks[-1].header, 80, number)
        for start in range(0, 80, ANNOUNCED_MAX):
            lab.announce(liar, *headers[start : start + ANNOUNCED_MAX])
    assert 100 <= stored(lab) <= 100 + 6 * (16 + ANNOUNCED_MAX)
    longer = ours.copy()
    for _ in range(120):
        longer.mine()
    lab.add(FakePeer(9, longer.blocks))
    lab.run(60, lab.synced(longer.blocks))
    assert lab.chain.tip.hash == longer.tip.hash
    assert not lab.punished


def test_where_no_bodies_are_taken_the_chain_itself_is_no_promise(lab: SyncLab, ours: Lab) -> None:
    promises = promises_module.UnclaimedHeaders(lab.chain)
    headers = on(ours.blocks[-1].header, 20, 1)
    entries = [lab.chain.submit_header(header, int(lab.now)) for header in headers]
    for entry in entries:
        promises.add(entry)
    promises.sweep(entries[14], [], lab.now)
    assert len(promises) == 5
    promises.sweep(entries[14], [], lab.now + UNCLAIMED_S)
    assert len(promises) == 0
    assert stored(lab) == 15
    assert lab.chain.tree.best_header is entries[14]


def test_the_chain_goes_on_after_such_a_flood(lab: SyncLab, ours: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promises_module, "UNCLAIMED_MAX", 64)
    liar, honest = FakePeer(1, ours.blocks), FakePeer(2, ours.blocks)
    lab.add(liar)
    for seed in range(40):
        lab.announce(liar, *on(ours.blocks[-1].header, ANNOUNCED_MAX, seed))
    longer = ours.copy()
    for _ in range(20):
        longer.mine()
    honest.blocks = longer.blocks
    lab.add(honest)
    lab.run(30, lab.synced(longer.blocks))
    assert lab.chain.tip.hash == longer.tip.hash
    assert not lab.punished


@pytest.mark.parametrize("seed", range(4))
def test_whatever_peers_show_and_whoever_leaves_the_tree_stays_whole(
    lab: SyncLab, ours: Lab, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promises_module, "UNCLAIMED_MAX", 30)
    rng = random.Random(seed)
    shown = [block.header for block in ours.blocks[-3:]]
    peers: list[FakePeer] = []
    for step in range(120):
        match rng.randrange(4):
            case 0 if len(peers) < 4:
                peers.append(FakePeer(step, ours.blocks))
                lab.add(peers[-1])
            case 1 if peers:
                lab.leave(peers.pop(rng.randrange(len(peers))))
            case _ if peers:
                headers = on(rng.choice(shown), rng.randint(1, 8), step)
                shown += headers
                lab.announce(rng.choice(peers), *headers)
        lab.run(rng.choice((0.1, 1, 30)))
        is_whole(lab)
    assert not lab.punished
    for peer in peers:
        lab.leave(peer)
    lab.run(UNCLAIMED_S + 3 * SWEEP_EVERY_S)
    assert stored(lab) == 0


def is_whole(lab: SyncLab) -> None:
    tree = lab.chain.tree
    for entry in tree.entries.values():
        assert entry.parent is None or tree.get(entry.parent.hash) is entry.parent
        assert all(tree.get(child.hash) is child for child in entry.children)
    assert tree.get(tree.best_header.hash) is tree.best_header
    assert tree.best_header.chainwork == max(entry.chainwork for entry in tree.entries.values())
