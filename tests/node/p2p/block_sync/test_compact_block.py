"""Compact blocks: short ids, blocks under reconstruction, and those who want that to fail."""

from hashlib import blake2b
from typing import Any

import pytest

from chain import check
from chain.block import Block
from chain.hashes import BlockHash
from chain.tx import Tx
from node.interface.effects import Failed
from node.interface.messages import (
    COINBASE_BYTES_MAX,
    SALT_SIZE,
    BlockTxs,
    CompactBlock,
    GetBlocks,
    GetBlockTxs,
    GetCompact,
    GetHeaders,
    Ok,
    Prefer,
)
from node.p2p.block_sync import compact_block as compact_module
from node.p2p.block_sync import high_bandwidth_peers
from node.p2p.block_sync.compact_block import Materials, Rebuild, short_ids, shorten
from node.p2p.block_sync.compact_reconstruct import (
    AHEAD_MAX,
    BLOCKS_MAX,
    HOLD_S,
    PER_BLOCK_MAX,
    PER_PEER_MAX,
    REQUEST_S,
)
from node.p2p.block_sync.compact_serve import DEPTH_MAX, FORMS_MAX
from node.p2p.block_sync.extra_txs import SPARE_BYTES_MAX, SPARE_MAX, ExtraTxs
from node.p2p.block_sync.high_bandwidth_peers import PUSHERS_MAX
from node.p2p.scoring.peer_score import PeerEvent
from tests.chainlab import unsolved, with_coinbase, with_header, with_input, with_output
from tests.node.p2p.block_sync.compact_lab import CompactLab, CompactPeer, Withholding

SALT = bytes(range(SALT_SIZE))


@pytest.fixture
def lab() -> CompactLab:
    return CompactLab()


def pusher(lab: CompactLab, *blocks: Block, kind: type[CompactPeer] = CompactPeer, number: int = 1) -> Any:
    """A peer that we have asked to push, with blocks that it has told nobody of."""
    peer = lab.add_with(*blocks, kind=kind, number=number)
    lab.make_pusher(peer)
    return peer


def push(lab: CompactLab, peer: CompactPeer, block: Block) -> None:
    lab.push(peer, peer.short(block))


def blamed(lab: CompactLab) -> list[str]:
    return [reason for _, reason in lab.punished]


def test_short_ids_are_keyed_hashes_of_witness_ids(lab: CompactLab) -> None:
    block = lab.next_block(lab.payments(3))
    form = shorten(block, SALT)
    assert form is not None
    assert (form.header, form.salt, form.coinbase) == (block.header, SALT, block.txs[0])
    assert form.short_ids == tuple(blake2b(tx.wtxid, digest_size=6, key=SALT).digest() for tx in block.txs[1:])


def test_no_form_of_a_block_with_a_huge_coinbase(lab: CompactLab) -> None:
    block = lab.next_block()
    script = b"\x6a" * COINBASE_BYTES_MAX
    huge = with_coinbase(block, lambda coinbase: with_output(coinbase, script=script))
    assert shorten(huge, SALT) is None


def test_a_pushed_block_of_known_payments_needs_nothing_more(lab: CompactLab) -> None:
    block = lab.next_block(lab.payments(20))
    peer = pusher(lab, block)
    before = len(peer.asked)
    push(lab, peer, block)
    assert lab.run(1, lab.has(block)) < 0.2
    assert lab.accepted == [block.hash]
    assert peer.asked[before:] == []


def test_what_the_pool_has_is_neither_decoded_nor_checked_again(
    lab: CompactLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    txs = lab.payments(3)
    looked_at: list[Tx] = []
    judge = check.check_tx
    monkeypatch.setattr(check, "check_tx", lambda tx: (looked_at.append(tx), judge(tx)))
    block = lab.next_block(txs)
    form = shorten(block, SALT)
    assert form is not None
    rebuilt = Rebuild(form, Materials(lab.pool.view(), (), (), lab.chain.params, SALT))()
    assert isinstance(rebuilt, compact_module.Rebuilt)
    assert rebuilt.body.block == block
    assert all(tx is known for tx, known in zip(rebuilt.body.block.txs[1:], txs, strict=True))
    assert looked_at == [block.txs[0]]


def test_a_told_header_is_asked_for_in_compact_form(lab: CompactLab) -> None:
    block = lab.next_block(lab.payments(5))
    peer = lab.add_with(block)
    lab.announce(peer, block.header)
    lab.run(1, lab.has(block))
    assert peer.got(GetCompact) == [GetCompact(block.hash)]
    assert lab.accepted == [block.hash]
    assert not lab.whole()


def test_missing_ones_are_asked_for_in_one_round(lab: CompactLab) -> None:
    txs = lab.payments(9, known=6)
    block = lab.next_block([txs[8], *txs[:4], txs[7], *txs[4:7]])
    peer = pusher(lab, block)
    push(lab, peer, block)
    lab.run(1, lab.has(block))
    assert peer.got(GetBlockTxs) == [GetBlockTxs(block.hash, (1, 6, 9))]
    assert lab.accepted == [block.hash]
    assert not lab.whole()


def test_orphans_and_what_left_the_pool_are_looked_at(lab: CompactLab) -> None:
    txs = lab.payments(4, known=0)
    for tx in txs:
        lab.compact.extra_txs.add(tx)
    block = lab.next_block(txs)
    peer = pusher(lab, block)
    push(lab, peer, block)
    lab.run(1, lab.has(block))
    assert lab.accepted == [block.hash]
    assert not peer.got(GetBlockTxs)
    assert not lab.whole()


def test_a_rival_of_the_tip_holds_what_the_tip_has_confirmed(lab: CompactLab) -> None:
    txs = lab.payments(4, known=0)
    ours, theirs = lab.next_block(txs), lab.next_block(txs, extra_nonce=1)
    peer = pusher(lab, theirs)
    lab.give(ours)
    push(lab, peer, theirs)
    lab.run(1)
    assert lab.accepted == [theirs.hash]
    assert not peer.got(GetBlockTxs)
    assert not lab.whole()


def test_if_most_is_missing_the_block_is_fetched_whole(lab: CompactLab) -> None:
    block = lab.next_block(lab.payments(9, known=2))
    peer = pusher(lab, block)
    push(lab, peer, block)
    assert lab.run(2, lab.has(block)) < 0.5
    assert not peer.got(GetBlockTxs)
    assert lab.whole() == [peer]


def test_spare_transactions_are_bounded(lab: CompactLab) -> None:
    spare = ExtraTxs()
    base = lab.payments(1)[0]
    for number in range(SPARE_MAX + 20):
        spare.add(with_input(base, sequence=number))
    assert len(spare.all()) == SPARE_MAX
    big = with_output(base, script=b"\x6a" * (SPARE_BYTES_MAX // 2))
    for number in range(3):
        spare.add(with_input(big, sequence=number))
    assert len(spare.all()) == 1
    assert sum(tx.size for tx in spare.all()) <= SPARE_BYTES_MAX


def test_a_short_id_twice_in_a_block_makes_it_whole(lab: CompactLab) -> None:
    block = lab.next_block(lab.payments(4))

    class Unlucky(CompactPeer):
        def short(self, block: Block) -> CompactBlock:
            form = super().short(block)
            ids = (form.short_ids[1], *form.short_ids[1:])
            return CompactBlock(form.header, form.salt, form.coinbase, ids)

    peer = pusher(lab, block, kind=Unlucky)
    push(lab, peer, block)
    lab.run(2, lab.has(block))
    assert lab.accepted == [block.hash]
    assert lab.whole() == [peer]
    assert not lab.punished


def collide(monkeypatch: pytest.MonkeyPatch, one: Tx, other: Tx) -> None:
    """Give two transactions the same short id, whatever the salt."""

    def unlucky(wtxids: Any, salt: bytes) -> list[bytes]:
        return short_ids([one.wtxid if wtxid == other.wtxid else wtxid for wtxid in wtxids], salt)

    monkeypatch.setattr(compact_module, "short_ids", unlucky)


def test_where_two_here_have_one_short_id_it_is_asked_for(lab: CompactLab, monkeypatch: pytest.MonkeyPatch) -> None:
    *txs, other = lab.payments(5)
    collide(monkeypatch, txs[2], other)
    block = lab.next_block(txs)
    peer = pusher(lab, block)
    push(lab, peer, block)
    lab.run(2, lab.has(block))
    assert peer.got(GetBlockTxs) == [GetBlockTxs(block.hash, (3,))]
    assert lab.accepted == [block.hash]
    assert not lab.punished


def test_a_wrong_fill_makes_it_whole_and_is_nobodys_fault(lab: CompactLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours has the short id of what is meant: only the merkle root tells."""
    txs = lab.payments(4, known=3)
    [other] = lab.payments(1)
    collide(monkeypatch, txs[3], other)
    block = lab.next_block(txs)
    peer = pusher(lab, block)
    push(lab, peer, block)
    lab.run(2, lab.has(block))
    assert lab.accepted == [block.hash]
    assert lab.whole() == [peer]
    assert not lab.punished


def test_a_pushed_header_without_proof_of_work_is_an_offence(lab: CompactLab) -> None:
    block = lab.next_block(lab.payments(2))
    peer = pusher(lab, block)
    form = peer.short(block)
    done = lab.computed
    lab.push(peer, CompactBlock(unsolved(block.header), form.salt, form.coinbase, form.short_ids))
    assert "high-hash" in blamed(lab)[0]
    assert lab.computed == done, "the costly part comes after the proof of work"


def test_a_pushed_header_that_breaks_a_rule_of_its_place_is_an_offence(lab: CompactLab) -> None:
    block = lab.next_block()
    peer = pusher(lab, block)
    form = peer.short(block)
    late = with_header(block.header, time=1)
    while unsolved(late) is late or late.hash[31] > 0x7F:
        late = with_header(late, nonce=late.nonce + 1)
    lab.push(peer, CompactBlock(late, form.salt, form.coinbase, form.short_ids))
    assert "time-too-old" in blamed(lab)[0]


def test_an_unknown_parent_is_no_offence(lab: CompactLab) -> None:
    parent = lab.next_block()
    peer = pusher(lab, parent)
    lab.book.accept(parent)
    child = lab.next_block()
    peer.blocks.append(child)
    done = lab.computed
    push(lab, peer, child)
    assert lab.computed == done
    lab.run(2, lab.has(child))
    assert peer.got(GetHeaders)
    assert not lab.punished


def test_an_invalid_block_is_marked_and_not_blamed_on_who_passed_it_on(lab: CompactLab) -> None:
    """It was passed on before it was verified, as it may be (BIP152)."""
    for number, change in enumerate(
        (
            lambda coinbase: with_output(coinbase, value=coinbase.outputs[0].value + 1),  # found when connected
            lambda coinbase: with_output(coinbase, value=-1),  # found by itself
        )
    ):
        block = with_coinbase(lab.next_block(lab.payments(2), extra_nonce=number), change)
        peer = pusher(lab, block, number=number)
        push(lab, peer, block)
        lab.run(3)
        entry = lab.chain.tree.get(block.hash)
        assert entry
        assert entry.invalid
        assert not lab.punished
        assert lab.chain.tip.hash == lab.book.blocks[-1].hash


@pytest.mark.parametrize("known", [4, 0], ids=["rebuilt", "fetched whole"])
def test_a_block_shown_early_that_turns_out_invalid_costs_points_and_no_more(lab: CompactLab, known: int) -> None:
    """Also where all of it had to be fetched from the one who pushed it: it may have had no verdict yet."""
    block = lab.next_block(lab.payments(4, known=known))
    block = with_coinbase(block, lambda coinbase: with_output(coinbase, value=coinbase.outputs[0].value + 1))
    peer = pusher(lab, block)
    push(lab, peer, block)
    lab.run(5)
    entry = lab.chain.tree.get(block.hash)
    assert entry
    assert entry.invalid
    assert lab.whole() == ([] if known else [peer])
    assert lab.scoring.deeds == [(peer.id, PeerEvent.EARLY_INVALID)]
    assert not lab.punished


def test_who_only_announced_a_block_vouches_for_it(lab: CompactLab) -> None:
    block = lab.next_block(lab.payments(4, known=0))
    block = with_coinbase(block, lambda coinbase: with_output(coinbase, value=coinbase.outputs[0].value + 1))
    peer = lab.add_with(block)
    lab.announce(peer, block.header)
    lab.run(5)
    assert peer.got(GetBlocks)
    assert [who for who, _ in lab.punished] == [peer.id]


def test_a_mutated_body_does_not_mark_its_header(lab: CompactLab) -> None:
    """Somebody spoils the coinbase's witness, or doubles the last transactions (CVE-2012-2459)."""
    txs = lab.payments(3)
    block = lab.next_block(txs)

    class Mutating(CompactPeer):
        def short(self, block: Block) -> CompactBlock:
            form = super().short(block)
            spoilt = with_input(form.coinbase, witness=(bytes(31) + b"\x01",))
            return CompactBlock(form.header, form.salt, spoilt, form.short_ids)

    peer = pusher(lab, block, kind=Mutating)
    push(lab, peer, block)
    lab.run(2, lab.has(block))
    assert lab.chain.tip.hash == block.hash
    assert lab.whole() == [peer]


def test_another_block_than_asked_for_is_an_offence(lab: CompactLab) -> None:
    block, other = lab.next_block(), lab.next_block(extra_nonce=1)

    class Confusing(CompactPeer):
        def form(self, block_hash: BlockHash) -> Any:
            return self.short(other)

    peer = lab.add_with(block, kind=Confusing)
    lab.announce(peer, block.header)
    lab.run(1)
    assert "another block" in blamed(lab)[0]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_transactions_is_an_offence(lab: CompactLab, count: int) -> None:
    txs = lab.payments(6, known=4)
    block = lab.next_block(txs)

    class Miscounting(CompactPeer):
        def parts(self, request: GetBlockTxs) -> Any:
            return BlockTxs(block.txs[-count:] if count else ())

    peer = pusher(lab, block, kind=Miscounting)
    push(lab, peer, block)
    lab.run(1)
    assert "other transactions" in blamed(lab)[0]


def test_whoever_cannot_serve_parts_is_asked_for_the_whole(lab: CompactLab) -> None:
    block = lab.next_block(lab.payments(6, known=4))

    class Forgetful(CompactPeer):
        def parts(self, request: GetBlockTxs) -> Any:
            return Ok()

    peer = pusher(lab, block, kind=Forgetful)
    push(lab, peer, block)
    assert lab.run(2, lab.has(block)) < 0.5
    assert lab.whole() == [peer]
    assert not lab.punished


def test_after_two_seconds_another_peer_is_asked(lab: CompactLab) -> None:
    block = lab.next_block(lab.payments(6, known=4))
    staller = pusher(lab, block, kind=Withholding)
    push(lab, staller, block)
    other = lab.add_with(block, number=2)
    lab.announce(other, block.header)
    took_s = lab.run(5, lab.has(block))
    assert HOLD_S - 0.5 <= took_s < HOLD_S + 0.2
    assert lab.whole() == [other]
    assert not lab.punished, "late is no offence"


def test_the_hold_is_not_prolonged_by_another_compact_block(lab: CompactLab) -> None:
    block = lab.next_block(lab.payments(6, known=4))
    one, two = (pusher(lab, block, kind=Withholding, number=number) for number in (1, 2))
    other = lab.add_with(block, number=3)
    push(lab, one, block)
    lab.announce(other, block.header)
    lab.run(HOLD_S - 0.2)
    push(lab, two, block)
    assert lab.run(5, lab.has(block)) < 1
    assert lab.whole() == [other]


def test_a_stalling_compact_block_does_not_keep_anothers_from_being_used(lab: CompactLab) -> None:
    block = lab.next_block(lab.payments(6, known=4))
    staller, fine = pusher(lab, block, kind=Withholding), pusher(lab, block, number=2)
    push(lab, staller, block)
    lab.run(0.5)
    push(lab, fine, block)
    assert lab.run(1, lab.has(block)) < 0.3
    assert not lab.whole()


def test_a_compact_block_does_not_cancel_anothers_download(lab: CompactLab) -> None:
    """While the whole block is on its way from one peer, another shows a compact one, spoilt or stalling."""
    block = lab.next_block(lab.payments(9, known=0))
    slow = lab.add_with(block)
    slow.delay_s = 1.0
    stallers = [pusher(lab, block, kind=Withholding, number=number) for number in (2, 3)]
    lab.announce(slow, block.header)
    lab.run(1.5)  # its compact form has come, and most is missing
    assert lab.whole() == [slow]
    for staller in stallers:
        push(lab, staller, block)
        form = staller.short(block)
        lab.push(staller, CompactBlock(form.header, form.salt, lab.payments(1)[0], form.short_ids[1:]))
    lab.run(2, lab.has(block))
    assert lab.chain.tip.hash == block.hash
    whole = [request for peer in lab.peers.values() for request in peer.asked if isinstance(request, GetBlocks)]
    assert [request for request in whole if block.hash in request.hashes] == [GetBlocks((block.hash,))]
    assert not lab.punished


def test_transactions_answered_twice_or_too_late_are_ignored(lab: CompactLab) -> None:
    block = lab.next_block(lab.payments(6, known=4))

    class Slow(CompactPeer):
        def parts(self, request: GetBlockTxs) -> Any:
            self.delay_s = 4.0
            return super().parts(request)

    slow = pusher(lab, block, kind=Slow)
    push(lab, slow, block)
    other = lab.add_with(block, number=2)
    lab.announce(other, block.header)
    lab.run(3, lab.has(block))
    done, number = lab.computed, lab.requests._last_id
    lab.run(3)
    for request_id in range(1, number + 1):
        lab.answer(request_id, BlockTxs(block.txs[-2:]))
    lab.run(1)
    assert lab.computed == done
    assert lab.accepted == [block.hash]
    assert not lab.punished


def test_a_late_answer_is_used_while_nothing_better_has_come(lab: CompactLab) -> None:
    block = lab.next_block(lab.payments(6, known=4))

    class Slow(CompactPeer):
        def parts(self, request: GetBlockTxs) -> Any:
            self.delay_s = HOLD_S + 1
            return super().parts(request)

        def block(self, block_hash: BlockHash) -> bytes | Failed | None:
            return None

    peer = pusher(lab, block, kind=Slow)
    push(lab, peer, block)
    assert lab.run(10, lab.has(block)) < HOLD_S + 1.5
    assert not lab.punished


def test_who_announces_a_block_that_is_on_its_way_is_not_asked(lab: CompactLab) -> None:
    block = lab.next_block(lab.payments(9, known=0))
    slow, other = lab.add_with(block), lab.add_with(block, number=2)
    slow.delay_s = 0.6
    lab.announce(slow, block.header)
    lab.run(1)
    lab.announce(other, block.header)
    lab.run(1, lab.has(block))
    assert lab.whole() == [slow]
    assert not other.got(GetCompact)


def test_who_leaves_sets_the_block_free(lab: CompactLab) -> None:
    block = lab.next_block(lab.payments(6, known=4))
    staller, other = pusher(lab, block, kind=Withholding), lab.add_with(block, number=2)
    push(lab, staller, block)
    lab.announce(other, block.header)
    lab.run(0.5)
    lab.leave(staller)
    assert lab.run(2, lab.has(block)) < 0.5


def siblings(lab: CompactLab, count: int) -> list[Block]:
    txs = lab.payments(6, known=4)
    return [lab.next_block(txs, extra_nonce=number) for number in range(count)]


def works(lab: CompactLab) -> int:
    return len(lab.compact._works)


def test_reconstructions_of_one_peer_are_limited(lab: CompactLab) -> None:
    blocks = siblings(lab, PER_PEER_MAX + 2)
    peer = pusher(lab, *blocks, kind=Withholding)
    done = lab.computed
    for block in [*blocks, *blocks]:
        push(lab, peer, block)
    assert works(lab) == PER_PEER_MAX
    assert lab.computed == done + PER_PEER_MAX
    lab.run(REQUEST_S + 1)
    assert works(lab) == 0


def test_reconstructions_of_one_block_are_limited(lab: CompactLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(high_bandwidth_peers, "PUSHERS_MAX", 2 * PER_BLOCK_MAX)
    [block] = siblings(lab, 1)
    peers = [pusher(lab, block, kind=Withholding, number=number) for number in range(2 * PER_BLOCK_MAX)]
    for number, peer in enumerate(peers):
        push(lab, peer, block)
        push(lab, peer, block)
        assert works(lab) == min(number + 1, PER_BLOCK_MAX)


def test_one_compact_form_of_a_block_from_each_peer(lab: CompactLab) -> None:
    """Else a spoilt one could be had looked up again and again while the block is on its way."""
    block = lab.next_block(lab.payments(4))
    peer = pusher(lab, block, kind=Withholding)
    form = peer.short(block)
    spoilt = CompactBlock(form.header, form.salt, form.coinbase, form.short_ids[:1] * 4)
    done = lab.computed
    for _ in range(5):
        lab.push(peer, spoilt)
        lab.run(0.2)
    assert lab.computed == done + 1


def test_reconstructions_together_are_limited(lab: CompactLab) -> None:
    blocks = siblings(lab, BLOCKS_MAX + 3)
    peers = [lab.add_with(block, kind=Withholding, number=number) for number, block in enumerate(blocks)]
    for peer, block in zip(peers, blocks, strict=True):
        lab.announce(peer, block.header)
    assert works(lab) == BLOCKS_MAX


def test_blocks_that_were_not_asked_for_are_only_headers(lab: CompactLab) -> None:
    """Far ahead of the tip, below its work, or from somebody who was not asked to push."""
    peer, stranger = pusher(lab), lab.add_with(number=2)
    near = lab.next_block(extra_nonce=7)
    tip, done = lab.chain.tip, lab.computed
    branch = CompactLab()
    branch.book.tip = branch.book.tip.ancestor(tip.height - 2)
    low = branch.next_block(extra_nonce=5)
    ahead = []
    for _ in range(AHEAD_MAX + 1):
        ahead.append(lab.next_block())
        lab.book.accept(ahead[-1])
    lab.connecting = False
    lab.give_at_once(ahead[:-1])
    for block in (lab.book.blocks[0], low, ahead[-1]):
        push(lab, peer, block)
        assert lab.chain.tree.get(block.hash)
        assert lab.computed == done
    push(lab, stranger, near)
    assert lab.computed == done
    assert stranger.got(GetCompact), "a header is worth asking, whoever tells of it"
    push(lab, peer, near)
    assert lab.computed == done + 1


def bring(lab: CompactLab, peer: CompactPeer) -> None:
    """A peer is the first with a block."""
    block = lab.next_block()
    peer.blocks = [*lab.book.blocks, block]
    lab.announce(peer, block.header)
    lab.run(1, lab.has(block))
    lab.book.accept(block)
    lab.run(0.5)


def test_the_last_to_bring_a_block_first_are_asked_to_push(lab: CompactLab) -> None:
    peers = [lab.add_with(number=number) for number in range(PUSHERS_MAX + 2)]
    for peer in peers[:PUSHERS_MAX]:
        bring(lab, peer)
    assert [peer.wants_pushes() for peer in peers] == [True] * PUSHERS_MAX + [False] * 2
    bring(lab, peers[0])
    assert len(peers[0].got(Prefer)) == 1, "it is told once"
    bring(lab, peers[3])
    assert [peer.wants_pushes() for peer in peers] == [True, False, True, True, False]


def test_of_peers_that_we_chose_one_goes_on_pushing(lab: CompactLab) -> None:
    """Else whoever greets us from many addresses could have all places."""
    peers = [lab.add_with(number=number) for number in range(PUSHERS_MAX + 1)]
    for peer in peers[1:]:
        peer.outbound = False
    for peer in peers:
        bring(lab, peer)
    assert [peer.wants_pushes() for peer in peers] == [True, False, True, True]


def test_an_invalid_block_makes_nobody_a_pusher(lab: CompactLab) -> None:
    block = with_coinbase(lab.next_block(), lambda tx: with_output(tx, value=tx.outputs[0].value + 1))
    peer = lab.add_with(block)
    lab.announce(peer, block.header)
    lab.run(3)
    assert not peer.wants_pushes()


def told(peer: CompactPeer, block: Block) -> bool:
    return any(form.header == block.header for form in peer.got(CompactBlock))


def test_a_block_is_passed_on_before_it_is_connected(lab: CompactLab) -> None:
    """To those who want that; the others hear of it when it is the tip."""
    block = lab.next_block(lab.payments(4))
    source, eager, other = pusher(lab, block), lab.add_with(number=2), lab.add_with(number=3)
    for peer in (source, eager):
        lab.serve.prefer(peer.id, True)
    lab.connecting = False
    push(lab, source, block)
    lab.run(0.3)
    assert lab.chain.tip.hash != block.hash
    assert [told(peer, block) for peer in (source, eager, other)] == [False, True, False]
    [form] = eager.got(CompactBlock)
    assert form.salt != source.short(block).salt, "each sender draws its own"
    assert lab.ask(GetBlockTxs(block.hash, (0, 2))) == BlockTxs((block.txs[0], block.txs[2])), (
        "it serves what it has passed on"
    )
    lab.connecting = True
    lab.run(0.5)
    assert len(eager.got(CompactBlock)) == 1
    assert not told(other, block)


def test_a_block_on_one_that_is_not_connected_waits(lab: CompactLab) -> None:
    one = lab.next_block()
    source, eager = pusher(lab, one), lab.add_with(number=2)
    lab.book.accept(one)
    two = lab.next_block()
    lab.serve.prefer(eager.id, True)
    lab.connecting = False
    for block in (one, two):
        push(lab, source, block)
        lab.run(0.3)
    assert [told(eager, block) for block in (one, two)] == [True, False]
    lab.connecting = True
    lab.run(0.5)
    assert told(eager, two)


def test_all_who_want_it_get_blocks_unasked(lab: CompactLab) -> None:
    peers = [lab.add_with(number=number) for number in range(6)]
    for peer in peers[:5]:
        lab.serve.prefer(peer.id, True)
    block = lab.next_block()
    lab.give(block)
    lab.run(0.5)
    assert [told(peer, block) for peer in peers] == [True, True, True, True, True, False]
    lab.serve.prefer(peers[0].id, False)
    lab.leave(peers[1])
    lab.book.accept(block)
    block = lab.next_block()
    lab.give(block)
    lab.run(0.5)
    assert [told(peer, block) for peer in peers] == [False, False, True, True, True, False]


def test_only_recent_blocks_are_served_in_parts(lab: CompactLab) -> None:
    lab.add_with()
    tip = lab.chain.tip.height
    for height, is_served in ((tip, True), (tip - DEPTH_MAX, True), (tip - DEPTH_MAX - 1, False)):
        block_hash = lab.book.blocks[height - 1].hash
        for request in (GetCompact(block_hash), GetBlockTxs(block_hash, (0,))):
            assert (lab.ask(request) != Ok()) is is_served
    for unknown in (GetCompact(BlockHash(bytes(32))), GetBlockTxs(lab.book.blocks[-1].hash, (5_000,))):
        assert lab.ask(unknown) == Ok()
    assert len(lab.serve._forms) <= FORMS_MAX


def test_one_salt_for_a_block_and_another_for_the_next(lab: CompactLab) -> None:
    lab.add_with()
    forms = [lab.ask(GetCompact(lab.book.blocks[-n].hash)) for n in (1, 1, 2)]
    assert forms[0] == forms[1]
    assert forms[0].salt != forms[2].salt
