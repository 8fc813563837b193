"""Block bodies from several peers, of which some stall, fail, lie or leave."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from chain.block import Block, make_block
from chain.hashes import BlockHash
from node.interface.effects import Failed
from node.interface.messages import BLOCKS_MAX, Blocks, GetBlocks, GetHeaders
from node.p2p.block_sync import block_download as download_module
from node.p2p.block_sync import download_source as sources_module
from node.p2p.block_sync.block_download import (
    AHEAD_MAX,
    BLOCK_MAX_S,
    BLOCK_S,
    OVERDUE,
    PATIENCE_MAX_S,
    PATIENCE_S,
    WINDOW,
)
from node.p2p.block_sync.download_source import IN_FLIGHT_MAX, QUOTA_START
from tests.chainlab import Lab, funded, made_by, pay, with_coinbase, with_input, with_output
from tests.node.p2p.block_sync.sync_lab import Failing, FakePeer, Garbling, Noisy, Stalling, SyncLab, chain

COUNT = 120


@pytest.fixture(scope="module")
def blocks() -> list[Block]:
    return chain(COUNT).blocks


def peers_of(kinds: list[type[FakePeer]], blocks: list[Block]) -> list[FakePeer]:
    return [kind(number, blocks) for number, kind in enumerate(kinds)]


def asked(peers: list[FakePeer]) -> Counter[int]:
    return Counter(height for peer in peers for height in peer.heights)


def sync(lab: SyncLab, peers: list[FakePeer], blocks: list[Block], within_s: float) -> float:
    for peer in peers:
        lab.add(peer)
    took_s = lab.run(within_s, lab.synced(blocks))
    assert lab.chain.tip.hash == blocks[-1].hash, f"stuck at {lab.chain.tip.height}"
    assert len(set(lab.accepted)) == len(lab.accepted), "a body was taken twice"
    return took_s


def test_several_peers_share_the_work(blocks: list[Block]) -> None:
    lab = SyncLab()
    peers = peers_of([FakePeer] * 4, blocks)
    sync(lab, peers, blocks, 30)
    assert asked(peers) == dict.fromkeys(range(1, COUNT + 1), 1)
    assert min(len(peer.heights) for peer in peers) > COUNT / 10


def test_requests_to_one_peer_are_limited_and_grow(blocks: list[Block]) -> None:
    stalling, fine = SyncLab(), SyncLab()
    unknown, peer = Stalling(1, blocks), FakePeer(1, blocks)
    stalling.add(unknown)
    stalling.run(10)
    assert stalling.most_open[unknown.id] == QUOTA_START
    sync(fine, [peer], blocks, 30)
    assert fine.most_open[peer.id] == IN_FLIGHT_MAX


def test_what_is_here_is_never_asked_for(blocks: list[Block]) -> None:
    """Bodies that came out of order are kept, whoever brought them."""
    lab = SyncLab()
    lab.give(*blocks[:30])
    for block in blocks[30:62]:
        lab.chain.submit_header(block.header, int(lab.now))
    lab.give_at_once([blocks[50], blocks[60], blocks[61]])
    peers = peers_of([FakePeer] * 2, blocks)
    sync(lab, peers, blocks, 30)
    assert set(asked(peers)) == set(range(31, COUNT + 1)) - {51, 61, 62}


def test_split_knowledge(blocks: list[Block]) -> None:
    """Nobody is asked for what it never claimed to have."""
    lab = SyncLab()
    low, high = FakePeer(1, blocks[:50]), FakePeer(2, blocks)
    sync(lab, [low, high], blocks, 30)
    assert low.heights
    assert 0 not in low.heights  # a block that is not its own
    assert max(high.heights) == COUNT


def test_the_window_is_kept(blocks: list[Block], monkeypatch: pytest.MonkeyPatch) -> None:
    """With its lowest block missing nothing beyond the window is fetched."""
    monkeypatch.setattr(download_module, "WINDOW", 20)

    class Withholding(FakePeer):
        def block(self, block_hash: BlockHash) -> bytes | Failed | None:
            return None if block_hash == blocks[9].hash else super().block(block_hash)

    lab = SyncLab()
    peer = Withholding(1, blocks)
    lab.add(peer)
    lab.run(BLOCK_S - 5)
    assert lab.chain.tip.height == 9
    assert max(peer.heights) == 9 + 20


def test_a_branch_longer_than_the_window_is_fetched_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download_module, "WINDOW", 16)
    base = chain(5)
    ours, theirs = chain(50, base, 1), chain(51, base, 2)
    lab = SyncLab()
    lab.give_at_once(ours.blocks)
    sync(lab, [FakePeer(1, theirs.blocks)], theirs.blocks, 30)


def requests_of(peer: FakePeer) -> list[GetBlocks]:
    return [request for request in peer.asked if isinstance(request, GetBlocks)]


class Packing(FakePeer):
    """Answers as a node does, but takes so many bytes for enough."""

    enough = 0

    def answer_blocks(self, request: GetBlocks) -> Blocks:
        raws: list[bytes] = []
        for raw in (self.block(block_hash) for block_hash in request.hashes):
            assert isinstance(raw, bytes)
            if raws and sum(map(len, raws)) + len(raw) > self.enough:
                break
            raws.append(raw)
        return Blocks(tuple(raws))


def test_small_blocks_come_several_at_once(blocks: list[Block]) -> None:
    lab = SyncLab()
    peer = FakePeer(1, blocks)
    sync(lab, [peer], blocks, 30)
    sizes = [len(request.hashes) for request in requests_of(peer)]
    assert max(sizes) == BLOCKS_MAX
    assert len(sizes) < COUNT / BLOCKS_MAX + 6  # those while its quota grows


@pytest.mark.parametrize("batch", [1, 3])
def test_no_more_are_asked_for_at_once_than_an_answer_holds(
    batch: int, blocks: list[Block], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks that did not fit are asked for again, and count neither as lacking nor as an offence."""
    enough = batch * max(block.size for block in blocks)
    monkeypatch.setattr(sources_module, "BLOCKS_BYTES", enough)
    lab = SyncLab()
    peer = Packing(1, blocks)
    peer.enough = enough
    sync(lab, [peer], blocks, 60)
    sizes = [len(request.hashes) for request in requests_of(peer)]
    assert sizes[0] == QUOTA_START
    assert set(sizes[1:]) <= set(range(1, batch + 1))
    assert sum(asked([peer]).values()) <= COUNT + QUOTA_START
    assert not lab.punished


def test_more_blocks_than_asked_for_are_an_offence(blocks: list[Block]) -> None:
    class Generous(FakePeer):
        def answer_blocks(self, request: GetBlocks) -> Blocks:
            asked = [block.raw for block in self.blocks if block.hash in request.hashes]
            return Blocks((*asked, self.blocks[-1].raw))

    lab = SyncLab()
    generous, honest = Generous(1, blocks), FakePeer(2, blocks)
    sync(lab, [generous, honest], blocks, 30)
    assert [who for who, _ in lab.punished] == [generous.id]


def test_what_a_liar_sent_before_its_lie_is_kept(blocks: list[Block]) -> None:
    """Two blocks asked for, the second answered with another: the first was right."""

    class Slipping(FakePeer):
        def answer_blocks(self, request: GetBlocks) -> Blocks:
            return Blocks((self.blocks[0].raw, self.blocks[2].raw))

    lab = SyncLab()
    lab.add(Slipping(1, blocks))
    lab.run(2)
    assert len(lab.punished) == 1
    assert lab.accepted == [blocks[0].hash]
    honest = FakePeer(2, blocks)
    sync(lab, [honest], blocks, 30)
    assert 1 not in honest.heights


def test_no_more_is_fetched_while_much_waits_to_be_connected(blocks: list[Block]) -> None:
    lab = SyncLab()
    lab.connecting = False
    peer = FakePeer(1, blocks)
    lab.add(peer)
    lab.run(20)
    assert lab.chain.tip.height == 0
    assert AHEAD_MAX <= len(lab.accepted) < AHEAD_MAX + IN_FLIGHT_MAX
    lab.connecting = True
    lab.run(20, lab.synced(blocks))
    assert lab.chain.tip.hash == blocks[-1].hash
    assert set(asked([peer]).values()) == {1}


def test_nor_while_many_bytes_wait(blocks: list[Block], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download_module, "AHEAD_BYTES", 1)
    lab = SyncLab()
    lab.connecting = False
    lab.add(FakePeer(1, blocks))
    lab.run(20)
    assert len(lab.accepted) == QUOTA_START
    lab.connecting = True
    lab.run(30, lab.synced(blocks))
    assert lab.chain.tip.hash == blocks[-1].hash


def test_blocks_behind_a_missing_one_do_not_count(blocks: list[Block]) -> None:
    """They cannot be connected, whatever is done: the missing one has to come, whoever has it."""

    class Withholding(FakePeer):
        def block(self, block_hash: BlockHash) -> bytes | Failed | None:
            return b"" if block_hash == blocks[0].hash else super().block(block_hash)

    lab = SyncLab()
    lab.add(Withholding(1, blocks))
    lab.run(20)
    assert len(lab.accepted) == COUNT - 1
    sync(lab, [FakePeer(2, blocks)], blocks, 10)


def test_stalling_peers_lose_their_requests(blocks: list[Block]) -> None:
    alone_s = sync(SyncLab(), peers_of([FakePeer], blocks), blocks, 30)
    lab = SyncLab()
    peers = peers_of([Stalling] * 5 + [FakePeer], blocks)
    took_s = sync(lab, peers, blocks, 60)
    assert took_s < 2 * alone_s + 5
    assert not lab.punished
    lab.run(2 * BLOCK_S)
    assert not lab.punished


def test_patience_doubles_and_returns(blocks: list[Block]) -> None:
    lab = SyncLab()
    download = lab.parts.download
    lab.add(Stalling(1, blocks))
    lab.run(0.5)
    helper = FakePeer(2, blocks[:10])
    lab.add(helper)
    lab.run(PATIENCE_S - 0.6)
    assert 1 not in helper.heights
    lab.run(0.3)
    assert 1 in helper.heights
    assert download.patience_s > PATIENCE_S  # doubled, and a little less for each block since
    lab.run(30)
    assert download.patience_s == PATIENCE_S


def test_a_lone_slow_peer_is_waited_for(blocks: list[Block]) -> None:
    """As long as nobody else could deliver, it is asked for each block once."""
    lab = SyncLab()
    slow = FakePeer(1, blocks[:20])
    slow.delay_s = 10.0
    sync(lab, [slow], blocks[:20], 200)
    assert asked([slow]) == dict.fromkeys(range(1, 21), 1)


def test_what_a_slow_peer_brings_late_is_still_taken(blocks: list[Block]) -> None:
    """Its requests went to another that stalls: the first answer counts, whoever gives it."""
    lab = SyncLab()
    slow, stalling = FakePeer(1, blocks[:2]), Stalling(2, blocks[:2])
    slow.delay_s = 8.0
    lab.add(slow)
    lab.run(8.5)  # its headers are slow too
    lab.add(stalling)
    took_s = lab.run(30, lab.synced(blocks[:2]))
    assert took_s < 10
    assert asked([slow, stalling])[1] == 2


def test_the_second_answer_is_ignored(blocks: list[Block]) -> None:
    lab = SyncLab()
    slow, fast = FakePeer(1, blocks[:4]), FakePeer(2, blocks[:4])
    slow.delay_s = 5.0
    lab.add(slow)
    lab.run(5.1)
    sync(lab, [fast], blocks[:4], 20)
    lab.run(20)
    assert max(asked([slow, fast]).values()) == 2
    assert len(set(lab.accepted)) == len(lab.accepted) == 4
    assert not lab.punished


def test_nothing_is_taken_where_nobody_else_could_deliver(blocks: list[Block]) -> None:
    lab = SyncLab()
    slow, low = FakePeer(1, blocks[:20]), FakePeer(2, blocks[:5])
    slow.delay_s = 6.0
    lab.add(low)
    lab.add(slow)
    while lab.chain.tip.height < 20:
        lab.run(1)
        assert lab.parts.download.patience_s == PATIENCE_S
    assert {height: count for height, count in asked([slow, low]).items() if count > 1} == {}


def test_what_a_peer_still_owes_is_not_asked_of_it_again(blocks: list[Block]) -> None:
    """A helper took its requests over, and fails: they are not its own once more."""

    class Weary(FakePeer):
        def block(self, block_hash: BlockHash) -> Any:
            return super().block(block_hash) if len(self.heights) <= 30 else None

    lab = SyncLab()
    weary = Weary(1, blocks[:33])  # so that in the end it has room for more than it owes
    lab.add(weary)
    lab.run(4)
    owed = set(weary.heights[30:])
    helper = Failing(2, blocks[:33])
    lab.add(helper)
    lab.run(BLOCK_S - 6)
    assert owed & set(helper.heights)
    assert max(asked([weary]).values()) == 1


def test_failing_midway(blocks: list[Block]) -> None:
    class Breaking(FakePeer):
        def block(self, block_hash: BlockHash) -> bytes | Failed | None:
            return Failed("connection lost") if len(self.heights) > 10 else super().block(block_hash)

    lab = SyncLab()
    peers = [Breaking(1, blocks), FakePeer(2, blocks)]
    sync(lab, peers, blocks, 30)
    assert not lab.punished


def test_a_peer_that_fails_is_not_asked_in_a_circle(blocks: list[Block]) -> None:
    lab = SyncLab()
    peer = Failing(1, blocks)
    lab.add(peer)
    lab.run(10)
    assert len(peer.heights) <= 2 * 11


def test_leaving_midway(blocks: list[Block]) -> None:
    lab = SyncLab()
    leaver, stayer = Stalling(1, blocks), FakePeer(2, blocks)
    lab.add(leaver)
    lab.run(0.3)
    assert leaver.heights
    lab.leave(leaver)
    assert sync(lab, [stayer], blocks, 30) < PATIENCE_S


def test_a_peer_without_a_block_is_not_asked_for_it_again(blocks: list[Block]) -> None:
    lab = SyncLab()
    hollow, whole = FakePeer(1, blocks), FakePeer(2, blocks)
    tip = hollow.tip
    lab.add(hollow)
    hollow.blocks = [block for number, block in enumerate(blocks) if number % 2]
    assert tip == blocks[-1].hash
    lab.run(5)
    assert set(Counter(hollow.hashes).values()) == {1}
    sync(lab, [whole], blocks, 30)
    assert not lab.punished


def test_blocks_come_from_whoever_claims_them(blocks: list[Block]) -> None:
    """One peer tells the headers and keeps the blocks; another, asked for headers, says nothing."""

    class Taciturn(FakePeer):
        def headers(self, request: GetHeaders) -> Any:
            return None

    lab = SyncLab()
    lab.add(Stalling(1, blocks))
    sync(lab, [Taciturn(2, blocks)], blocks, 10)


def test_below_an_invalid_block_there_is_still_something_to_fetch(blocks: list[Block]) -> None:
    lab = SyncLab()
    for block in blocks[:20]:
        lab.chain.submit_header(block.header, int(lab.now))
    entry = lab.chain.tree.get(blocks[9].hash)
    assert entry is not None
    lab.chain.invalidate(entry)
    peer = FakePeer(1, blocks[:20])
    lab.add(peer)
    lab.run(5)
    assert sorted(peer.heights) == list(range(1, 10))
    assert lab.chain.tip.height == 9
    assert not lab.punished


def test_the_limits() -> None:
    assert (IN_FLIGHT_MAX, WINDOW) == (16, 1_024)
    assert (PATIENCE_S, PATIENCE_MAX_S) == (2.0, 64.0)


def test_a_slow_peer_is_asked_for_little() -> None:
    """Beside a fast one: no more than it delivers before it would count as stalling."""

    class Slow(FakePeer):
        free_at = 0.0

        def answer_blocks(self, request: GetBlocks) -> Any:
            self.free_at = max(self.free_at, self.lab.now) + 0.5 * len(request.hashes)
            self.delay_s = self.free_at - self.lab.now
            return super().answer_blocks(request)

    blocks = chain(400).blocks
    lab = SyncLab()
    slow, fast = Slow(1, blocks), FakePeer(2, blocks)
    fast.delay_s = 1.0
    lab.add(slow)
    lab.run(15)
    assert lab.most_open[slow.id] == IN_FLIGHT_MAX
    lab.add(fast)
    lab.run(10)  # for what it owed before
    lab.most_open[slow.id] = 0
    lab.run(30, lab.synced(blocks))
    assert lab.chain.tip.hash == blocks[-1].hash
    assert 1 <= lab.most_open[slow.id] <= 2
    assert lab.parts.download.patience_s == PATIENCE_S


def test_a_slow_peer_alone_is_asked_for_as_much_as_any(blocks: list[Block]) -> None:
    """A line with long delays may be a wide one."""
    lab = SyncLab()
    slow = FakePeer(1, blocks)
    slow.delay_s = 1.5
    sync(lab, [slow], blocks, 200)
    assert lab.most_open[slow.id] == IN_FLIGHT_MAX


def test_one_block_cannot_be_withheld_behind_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner goes on delivering, so it is never silent; but the block that all wait for it keeps."""
    monkeypatch.setattr(sources_module, "IN_FLIGHT_MAX", 4)
    monkeypatch.setattr(sources_module, "BLOCKS_MAX", 1)
    blocks = chain(400).blocks

    class Withholding(FakePeer):
        delay_s = 1.0

        def block(self, block_hash: BlockHash) -> bytes | Failed | None:
            return None if block_hash == blocks[30].hash else super().block(block_hash)

    lab = SyncLab()
    sly, honest = Withholding(1, blocks), FakePeer(2, blocks)
    honest.delay_s = 1.0
    lab.add(sly)
    lab.run(20, lambda: blocks[30].hash in sly.hashes)
    lab.add(honest)
    assert lab.run(40, lambda: lab.chain.tip.height > 31) < (OVERDUE + 1) * PATIENCE_S
    assert lab.chain.tip.height < 200


class Fickle(FakePeer):
    """Delivers all but its last block."""

    def block(self, block_hash: BlockHash) -> bytes | Failed | None:
        return None if block_hash == self.blocks[-1].hash else super().block(block_hash)


def test_stalling_on_a_new_block_delays_it_once(blocks: list[Block]) -> None:
    """Many announce it first and keep it; whoever has delivered before is asked next."""
    lab = SyncLab()
    lab.give(*blocks[:10])
    stallers, honest = peers_of([Stalling] * 6, blocks[:10]), FakePeer(9, blocks[:10])
    for peer in (*stallers, honest):
        lab.add(peer)
    honest.blocks = blocks[:11]
    lab.announce(honest, blocks[10].header)
    lab.run(1, lab.synced(blocks[:11]))
    for peer in (*stallers, honest):
        peer.blocks = blocks[:12]
        lab.announce(peer, blocks[11].header)
    assert lab.run(60, lab.synced(blocks[:12])) < PATIENCE_S + 0.5


def test_nobody_can_keep_block_after_block(blocks: list[Block]) -> None:
    """Peers with a good record, of which each keeps new blocks: they lose their places in the row."""
    lab = SyncLab()
    fickle, honest = peers_of([Fickle] * 4, blocks[:30]), FakePeer(9, blocks[:29])
    for peer in fickle:
        peer.delay_s = 0.2
        lab.add(peer)
    lab.run(5)
    assert all(len(peer.heights) > 3 for peer in fickle)
    lab.add(honest)
    took_s = []
    for height in range(30, 36):
        for peer in (*fickle, honest):
            peer.blocks = blocks[:height]
            lab.announce(peer, blocks[height - 1].header)
        took_s.append(lab.run(100, lab.synced(blocks[:height])))
        lab.run(200)  # patience comes back, and what is owed is forgotten
    assert max(took_s[4:]) < PATIENCE_S + 0.5


def test_who_fails_late_does_not_cancel_who_has_taken_over(blocks: list[Block]) -> None:
    class FailingLate(FakePeer):
        def block(self, block_hash: BlockHash) -> bytes | Failed | None:
            self.delay_s = 3.0
            return Failed("connection lost")

    class Slow(FakePeer):
        def block(self, block_hash: BlockHash) -> bytes | Failed | None:
            self.delay_s = 1.9
            return super().block(block_hash)

    lab = SyncLab()
    first, second, third = FailingLate(1, blocks[:1]), Slow(2, blocks[:1]), FakePeer(3, blocks[:1])
    lab.add(first)
    lab.run(0.5)
    lab.add(second)
    lab.run(5, lambda: bool(second.heights))
    lab.add(third)
    lab.run(5, lab.synced(blocks[:1]))
    assert asked([first, second, third]) == {1: 2}


class Losing(FakePeer):
    """Its first answer to a request with this block gets lost."""

    lost: BlockHash | None = None

    def answer_blocks(self, request: GetBlocks) -> Any:
        if self.lost in request.hashes:
            self.lost = None
            return None
        return super().answer_blocks(request)


def test_a_lost_answer_is_asked_for_again_where_later_ones_have_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even though nobody else has the block, and long before the deadline."""
    monkeypatch.setattr(sources_module, "IN_FLIGHT_MAX", 4)
    monkeypatch.setattr(sources_module, "BLOCKS_MAX", 1)
    blocks = chain(100).blocks
    lab = SyncLab()
    peer = Losing(1, blocks)
    peer.delay_s, peer.lost = 1.0, blocks[30].hash
    lab.add(peer)
    lab.run(30, lambda: peer.lost is None)
    assert lab.run(60, lambda: lab.chain.tip.height > 31) < OVERDUE * PATIENCE_S + 2.5
    lab.run(60, lab.synced(blocks))
    assert asked([peer]) == {**dict.fromkeys(range(1, 101), 1), 31: 2}


def test_deadlines_double_until_something_comes(blocks: list[Block]) -> None:
    lab = SyncLab()
    peer = Stalling(1, blocks[:1])
    lab.add(peer)
    lab.run(BLOCK_S + 3)
    assert len(peer.heights) == 2
    lab.run(2 * BLOCK_S - 3)
    assert len(peer.heights) == 2
    lab.run(3 + BLOCK_MAX_S - 3)
    assert len(peer.heights) == 3
    lab.run(3 + BLOCK_MAX_S)
    assert len(peer.heights) == 4


def wrong_witness(block: Block) -> Block:
    """The same transactions and txids, another witness of the coinbase: the commitment does not fit."""
    return make_block(block.header, (with_input(block.txs[0], witness=(b"x" * 32,)), *block.txs[1:]))


def wrong_amount(block: Block) -> Block:
    return make_block(block.header, (with_output(block.txs[0], 0, value=1), *block.txs[1:]))


@pytest.mark.parametrize("mutate", [wrong_witness, wrong_amount])
def test_a_mutated_block_does_not_cancel_another_s_download(mutate: Callable[[Block], Block]) -> None:
    """A slow peer is at it, a liar takes over: the slow one's answer still counts, and is not asked for again."""
    base = funded().copy()
    base.mine([pay(base.take())])
    good = base.blocks[-1]
    bad = mutate(good)
    assert bad.hash == good.hash

    class Slow(FakePeer):
        def block(self, block_hash: BlockHash) -> bytes | Failed | None:
            self.delay_s = 4.0
            return super().block(block_hash)

    class Mutating(FakePeer):
        def block(self, block_hash: BlockHash) -> bytes | Failed | None:
            return bad.raw if block_hash == good.hash else super().block(block_hash)

    lab = SyncLab()
    lab.give(*base.blocks[:-1])
    slow, liar = Slow(1, base.blocks), Mutating(2, base.blocks)
    lab.add(slow)
    lab.run(1, lambda: good.hash in slow.hashes)
    lab.add(liar)
    lab.run(10, lab.synced(base.blocks))
    assert lab.chain.tip.hash == good.hash
    assert [who for who, _ in lab.punished] == [liar.id]
    entry = lab.chain.tree.get(good.hash)
    assert entry is not None
    assert not entry.invalid
    assert lab.chain.failure(good.hash) is None
    assert slow.hashes.count(good.hash) == liar.hashes.count(good.hash) == 1


@pytest.mark.parametrize("kind", [Garbling, Noisy])
def test_garbage_is_a_provable_offence(kind: type[FakePeer], blocks: list[Block]) -> None:
    lab = SyncLab()
    liar, honest = kind(1, blocks), FakePeer(2, blocks)
    sync(lab, [liar, honest], blocks, 30)
    assert [who for who, _ in lab.punished] == [liar.id]


def test_a_mutated_body_does_not_hurt_the_header() -> None:
    """Its transactions are not those of its header: the sender is punished, another is asked."""
    lab_chain = chain(3)
    good = lab_chain.blocks[-1]
    bad = make_block(good.header, (with_output(good.txs[0], 0, value=1),))

    class Mutating(FakePeer):
        def block(self, block_hash: BlockHash) -> bytes | Failed | None:
            return bad.raw if block_hash == good.hash else super().block(block_hash)

    lab = SyncLab()
    liar, honest = Mutating(1, lab_chain.blocks), FakePeer(2, lab_chain.blocks)
    honest.delay_s = 1.0
    sync(lab, [liar, honest], lab_chain.blocks, 30)
    assert [who for who, _ in lab.punished] == [liar.id]
    entry = lab.chain.tree.get(good.hash)
    assert entry is not None
    assert not entry.invalid


def greedy(lab: Lab) -> Block:
    """A block whose coinbase takes too much: found out only when it is connected."""
    return with_coinbase(lab.candidate(), lambda tx: with_output(tx, 0, value=tx.outputs[0].value + 1))


def hasty(lab: Lab) -> Block:
    """A block that spends a coin that is not mature: the same."""
    young = made_by(lab.blocks[-1].txs[0], height=lab.height)
    return lab.candidate([pay([young])], fees=0)


@pytest.mark.parametrize("spoil", [greedy, hasty])
def test_who_delivers_an_invalid_block_is_punished(spoil: Callable[[Lab], Block]) -> None:
    base = chain(5)
    bad = spoil(base)
    good = chain(2, base, 9)
    lab = SyncLab()
    liar, honest = FakePeer(1, [*base.blocks, bad]), FakePeer(2, good.blocks[:5])
    lab.add(liar)
    lab.run(3)
    assert [who for who, _ in lab.punished] == [liar.id]
    assert lab.chain.tip.hash == base.tip.hash
    lab.add(honest)
    honest.blocks = good.blocks
    lab.announce(honest, good.blocks[-1].header)
    lab.run(3)
    assert lab.chain.tip.hash == good.tip.hash
    assert len(lab.punished) == 1


def test_the_operators_word_is_nobodys_fault() -> None:
    """A block is delivered, not connected (it has no more work than ours), and then ruled out."""
    base = chain(5)
    ours, theirs = chain(1, base, 1), chain(1, base, 2)
    lab = SyncLab()
    lab.give(*ours.blocks)
    peer = FakePeer(1, theirs.blocks)
    lab.add(peer)
    lab.run(2)
    entry = lab.chain.tree.get(theirs.tip.hash)
    assert entry is not None
    assert entry.has_body
    lab.chain.invalidate(entry)
    lab.run(5)
    assert not lab.punished
