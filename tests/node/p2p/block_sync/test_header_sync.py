"""Headers first from several peers, and announcements both ways."""

from typing import Any

import pytest

from chain.errors import Reject
from node.interface.effects import Failed
from node.interface.messages import ANNOUNCED_MAX, HEADERS_MAX, LOCATOR_MAX, Announce, GetBlocks, GetHeaders, Headers
from node.p2p.block_sync import header_sync as sync_module
from node.p2p.block_sync.header_sync import POLL_S, RETRY_S, WALKS_MAX
from tests.chainlab import Lab, reblock, unsolved
from tests.node.p2p.block_sync.sync_lab import FakePeer, Stalling, SyncLab, chain


@pytest.fixture(scope="module")
def long() -> Lab:
    return chain(130)


@pytest.fixture
def short_batches(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sync_module, "HEADERS_MAX", 20)
    return 20


def header_requests(peer: FakePeer) -> list[GetHeaders]:
    return [request for request in peer.asked if isinstance(request, GetHeaders)]


def announcements(peer: FakePeer) -> list[Announce]:
    return [request for request in peer.asked if isinstance(request, Announce)]


def test_sync_from_nothing(long: Lab, short_batches: int) -> None:
    lab = SyncLab(short_batches)
    peer = FakePeer(1, long.blocks)
    lab.add(peer)
    lab.run(30, lab.synced(long.blocks))
    assert lab.chain.tip.hash == long.tip.hash
    assert len(header_requests(peer)) == 130 // short_batches + 1
    assert all(len(request.locator) <= LOCATOR_MAX for request in header_requests(peer))
    assert not lab.punished


def test_a_full_last_batch_is_followed_by_an_empty_one(short_batches: int) -> None:
    blocks = chain(40).blocks
    lab = SyncLab(short_batches)
    peer = FakePeer(1, blocks)
    lab.add(peer)
    lab.run(10, lab.synced(blocks))
    lab.run(2)
    assert len(header_requests(peer)) == 3


def test_long_walks_take_turns(long: Lab, short_batches: int) -> None:
    lab = SyncLab(short_batches)
    peers = [FakePeer(number, long.blocks) for number in range(6)]
    for peer in peers:
        lab.add(peer)
    lab.run(30, lab.synced(long.blocks))
    batches = sum(len(header_requests(peer)) for peer in peers)
    alone = 130 // short_batches + 1
    # Each is asked once at the start and perhaps once more in its turn; only two walk all the way.
    assert batches <= WALKS_MAX * alone + 2 * len(peers)


def test_a_silent_walker_does_not_hold_up_the_others(long: Lab, short_batches: int) -> None:
    class Lapsing(FakePeer):
        def headers(self, request: GetHeaders) -> Headers | None:  # type: ignore[override]
            return super().headers(request) if len(header_requests(self)) == 1 else None

    lab = SyncLab(short_batches)
    for peer in (Lapsing(1, long.blocks), Lapsing(2, long.blocks), FakePeer(3, long.blocks)):
        lab.add(peer)
    assert lab.run(60, lab.synced(long.blocks)) < 30


def test_a_walker_that_leaves_makes_room(long: Lab, short_batches: int) -> None:
    class Lapsing(FakePeer):
        def headers(self, request: GetHeaders) -> Headers | None:  # type: ignore[override]
            return super().headers(request) if len(header_requests(self)) == 1 else None

    lab = SyncLab(short_batches)
    walkers = [Lapsing(1, long.blocks), Lapsing(2, long.blocks)]
    for peer in (*walkers, FakePeer(3, long.blocks)):
        lab.add(peer)
    lab.run(1)
    assert lab.chain.tree.best_header.height == short_batches
    for walker in walkers:
        lab.leave(walker)
    assert lab.run(60, lab.synced(long.blocks)) < 5


def test_headers_of_another_branch_are_reached_step_by_step(long: Lab, short_batches: int) -> None:
    r"""The locator's dense end is on our branch; theirs parts from it far below.

    ::

        base(10) --- ours: 60 more
                \--- theirs: 70 more
    """
    base = chain(10)
    ours, theirs = chain(60, base, 1), chain(70, base, 2)
    lab = SyncLab(short_batches)
    lab.give(*ours.blocks)
    lab.add(FakePeer(1, theirs.blocks))
    lab.run(30, lab.synced(theirs.blocks))
    assert lab.chain.tip.hash == theirs.tip.hash


def test_a_peer_with_less_work_is_asked_for_no_block() -> None:
    base = chain(5)
    ours, theirs = chain(9, base, 1), chain(6, base, 2)
    lab = SyncLab()
    lab.give(*ours.blocks)
    peer = FakePeer(1, theirs.blocks)
    lab.add(peer)
    lab.run(10)
    assert peer.heights == []


def test_invalid_headers_are_an_offence(long: Lab) -> None:
    class Easy(FakePeer):
        def headers(self, request: GetHeaders) -> Headers:
            return Headers((unsolved(self.blocks[0].header),))

    lab = SyncLab()
    peer = Easy(1, long.blocks)
    lab.add(peer)
    lab.run(1)
    assert [(who, Reject.HIGH_HASH in why) for who, why in lab.punished] == [(peer.id, True)]


def test_headers_from_the_future_are_no_offence() -> None:
    early = chain(3)
    lab = SyncLab()
    block = reblock(early.blocks[-1], time=int(lab.now) + 10_000)
    peer = FakePeer(1, [*early.blocks[:-1], block])
    lab.add(peer)
    lab.run(POLL_S * 2 + 5)
    assert lab.chain.tip.hash == early.blocks[-2].hash
    assert not lab.punished
    assert len(header_requests(peer)) <= 4


def test_unconnected_headers_lead_nowhere(long: Lab) -> None:
    class Odd(FakePeer):
        def headers(self, request: GetHeaders) -> Headers:
            return Headers(tuple(block.header for block in self.blocks[50:60]))

    lab = SyncLab()
    peer = Odd(1, long.blocks)
    lab.add(peer)
    lab.run(POLL_S - 1)
    assert lab.chain.tree.best_header.height == 0
    assert len(header_requests(peer)) == 1


def test_a_branch_ruled_out_by_the_operator_is_nobodys_fault() -> None:
    """Its headers come again, and blocks on top; nobody is punished and nothing is fetched."""
    blocks = chain(12).blocks
    lab = SyncLab()
    lab.give(*blocks[:10])
    entry = lab.chain.tree.get(blocks[8].hash)
    assert entry is not None
    lab.chain.invalidate(entry)
    lab.settle(lab.chain.tip, lab.now)
    lab.carry()
    assert lab.chain.tip.height == 8
    peer = FakePeer(1, blocks)
    lab.add(peer)
    lab.announce(peer, blocks[11].header)
    lab.announce(peer, blocks[10].header)
    lab.run(POLL_S + 5)
    assert not lab.punished
    assert peer.heights == []


def test_a_silent_peer_is_polled() -> None:
    blocks = chain(6).blocks
    lab = SyncLab()
    peer = FakePeer(1, blocks[:5])
    lab.add(peer)
    lab.run(5, lab.synced(blocks[:5]))
    peer.blocks = blocks  # found, and the announcement lost
    lab.run(POLL_S + 2)
    assert lab.chain.tip.hash == blocks[-1].hash


def test_a_lost_answer_is_asked_for_again(long: Lab) -> None:
    """Not only when it is polled."""

    class Losing(FakePeer):
        def headers(self, request: GetHeaders) -> Any:
            return super().headers(request) if len(header_requests(self)) > 1 else Failed("connection lost")

    lab = SyncLab()
    lab.add(Losing(1, long.blocks))
    assert lab.run(60, lab.synced(long.blocks)) < RETRY_S + 5


def test_serving_headers() -> None:
    lab = SyncLab()
    main = chain(30)
    lab.give(*main.blocks)
    tree = lab.chain.tree
    hashes = [block.hash for block in main.blocks]

    def served(*locator: bytes, stop: bytes = bytes(32)) -> list[bytes]:
        reply = lab.sync.serve(GetHeaders(locator, stop))  # type: ignore[arg-type]
        return [header.hash for header in reply.headers]

    assert served(hashes[9]) == hashes[10:]
    assert served(b"x" * 32, hashes[20], hashes[9]) == hashes[21:]
    assert served(b"x" * 32) == hashes
    assert served() == hashes
    assert served(hashes[9], stop=hashes[14]) == hashes[10:15]
    assert served(hashes[9], stop=hashes[4]) == hashes[10:]
    assert served(hashes[-1]) == []
    side = chain(2, chain(5), 7)
    lab.give(*side.blocks[5:])
    assert tree.get(side.tip.hash) is not None
    assert served(side.tip.hash, hashes[2]) == hashes[3:]


def test_a_reply_is_never_longer_than_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert HEADERS_MAX == 2_000
    monkeypatch.setattr(sync_module, "HEADERS_MAX", 7)
    lab = SyncLab()
    lab.give(*chain(20).blocks)
    assert len(lab.sync.serve(GetHeaders(())).headers) == 7


def test_an_announced_block_is_fetched_from_the_announcer_at_once() -> None:
    blocks = chain(6).blocks
    lab = SyncLab()
    first, second = FakePeer(1, blocks[:5]), FakePeer(2, blocks[:5])
    for peer in (first, second):
        lab.add(peer)
    lab.run(5, lab.synced(blocks[:5]))
    second.blocks = blocks
    second.asked.clear()
    lab.announce(second, blocks[5].header)
    assert second.asked == [GetBlocks((blocks[5].hash,))]
    lab.run(1)
    assert lab.chain.tip.hash == blocks[5].hash
    assert announcements(first)[-1].headers == (blocks[5].header,)
    assert not announcements(second)  # it told us


def test_an_announcement_with_an_unknown_parent_starts_a_sync() -> None:
    blocks = chain(20).blocks
    lab = SyncLab()
    peer = FakePeer(1, blocks[:5])
    lab.add(peer)
    lab.run(5, lab.synced(blocks[:5]))
    peer.blocks = blocks
    lab.announce(peer, blocks[-1].header)
    lab.run(2)
    assert lab.chain.tip.hash == blocks[-1].hash


def test_a_new_tip_is_told_to_whoever_lacks_it() -> None:
    base = chain(5)
    lab = SyncLab()
    lab.give(*base.blocks)
    peers = [FakePeer(number, base.blocks) for number in range(3)]
    for peer in peers:
        lab.add(peer)
    lab.run(1)
    assert not any(announcements(peer) for peer in peers)  # they said so in the handshake
    ahead = chain(3, base)
    lab.give(ahead.blocks[5])
    lab.run(1)
    lab.give(*ahead.blocks[6:])
    lab.run(1)
    for peer in peers:
        told = [header for announcement in announcements(peer) for header in announcement.headers]
        assert told == [block.header for block in ahead.blocks[5:]]


def test_a_reorganisation_is_announced_from_the_fork() -> None:
    base = chain(5)
    ours, theirs = chain(2, base, 1), chain(4, base, 2)
    lab = SyncLab()
    lab.give(*ours.blocks)
    peer = FakePeer(1, ours.blocks)
    lab.add(peer)
    lab.run(1)
    lab.give_at_once(theirs.blocks[5:])
    lab.run(1)
    assert announcements(peer)[-1].headers == tuple(block.header for block in theirs.blocks[5:])


def test_a_long_branch_is_announced_by_its_end() -> None:
    base = chain(5)
    lab = SyncLab()
    lab.give(*base.blocks)
    peer = FakePeer(1, base.blocks)
    lab.add(peer)
    lab.run(1)
    ahead = chain(ANNOUNCED_MAX + 1, base)
    lab.give_at_once(ahead.blocks[5:])
    lab.run(1)
    assert announcements(peer)[-1].headers == (ahead.blocks[-1].header,)


def test_one_announcement_at_a_time_and_failed_ones_again() -> None:
    class Deaf(FakePeer):
        deaf = True

        def answer(self, request: object) -> object:
            reply = super().answer(request)
            return Failed("connection lost") if self.deaf and isinstance(request, Announce) else reply

    base = chain(5)
    ahead = chain(4, base)
    lab = SyncLab()
    lab.give(*base.blocks)
    peer = Deaf(1, base.blocks)
    lab.add(peer)
    lab.run(1)
    lab.give(ahead.blocks[5], ahead.blocks[6])
    assert len(announcements(peer)) == 1
    lab.run(RETRY_S * 2)
    assert 2 <= len(announcements(peer)) <= 4
    peer.deaf = False
    lab.run(RETRY_S * 2)
    assert announcements(peer)[-1].headers == tuple(block.header for block in ahead.blocks[5:7])


def test_while_catching_up_nobody_ahead_is_told(long: Lab) -> None:
    lab = SyncLab()
    peer = FakePeer(1, long.blocks)
    lab.add(peer)
    lab.run(0.2)
    assert lab.parts.is_behind()
    lab.run(30, lab.synced(long.blocks))
    assert not lab.parts.is_behind()
    assert announcements(peer) == []


def test_a_node_that_comes_forward_is_behind(long: Lab) -> None:
    lab = SyncLab()
    lab.add(FakePeer(1, long.blocks))
    assert not lab.parts.is_behind()
    seen: set[bool] = set()

    def note() -> bool:
        seen.add(lab.parts.is_behind())
        return lab.synced(long.blocks)()

    lab.run(30, note)
    assert True in seen
    assert not lab.parts.is_behind()


def test_headers_whose_bodies_nobody_delivers_do_not_make_it_behind(long: Lab) -> None:
    """Else whoever makes headers could keep a node from transactions."""
    lab = SyncLab()
    lab.add(Stalling(1, long.blocks))
    lab.run(5)
    assert lab.chain.tree.best_header.height == len(long.blocks)
    assert lab.chain.tip.height == 0
    assert not lab.parts.is_behind()


def test_own_blocks_below_such_headers_do_not_either(long: Lab) -> None:
    """A miner's own chain comes forward, whatever it is told of."""
    lab = SyncLab()
    lab.add(Stalling(1, long.blocks))
    for block in chain(20, extra_nonce=1).blocks:
        lab.give(block)
        lab.run(0.5)
        assert not lab.parts.is_behind()
    assert lab.chain.tip.height == 20
