"""The single writer: branches, reorganisations, wrong blocks, restarts; on the memory store."""

import itertools
from collections.abc import Iterable

import pytest

from chain.block import Block, make_block
from chain.coins import CoinLookup
from chain.errors import Invalid, Reject, Unready
from chain.hashes import BlockHash
from chain.keys import default_engine
from chain.params import REGTEST
from chain.tx import Tx
from node.chainstate.chainstate import Chainstate
from node.chainstate.tip_change import TipChange
from node.interface.checked_block import examine
from node.storage.memory import MemoryDisk
from node.storage.recovery import open_memory
from node.storage.schema import BODY, HEADER, block_key
from tests.chainlab import NOW, Lab, funded, pay, reblock, with_coinbase, with_input, with_output
from tests.node.storage.digest import recompute_digest

ENGINE = default_engine()


class Desk:
    """A chainstate whose signatures are verified on the spot."""

    def __init__(self, disk: MemoryDisk | None = None) -> None:
        self.disk = disk or MemoryDisk()
        self.store = open_memory(self.disk, REGTEST.network_id)
        self.chain = Chainstate(REGTEST, self.store, itertools.count(1).__next__)
        self.changes: list[TipChange] = []

    def give(self, *blocks: Block) -> None:
        for block in blocks:
            self.chain.submit_block(examine(block, REGTEST), NOW + 10_000, sync=True)
            self.settle()

    def settle(self) -> None:
        while (staged := self.chain.advance()) is not None:
            self.changes += self.chain.verified(staged.token, ENGINE.first_failure(b"".join(staged.checks)))

    def is_whole(self) -> bool:
        return self.chain.settled and recompute_digest(self.store) == self.store.tip().digest

    @property
    def tip(self) -> bytes:
        assert self.store.tip().hash == self.chain.tip.hash
        return self.chain.tip.hash


def branch(lab: Lab, count: int, txs: Iterable[Tx] = ()) -> list[Block]:
    """`count` blocks on top of the lab, the first with `txs`; they differ from other branches'."""
    fork = lab.copy()
    return [fork.mine(tuple(txs) if number == 0 else (), extra_nonce=1000 + count) for number in range(count)]


@pytest.fixture
def lab() -> Lab:
    return funded()


@pytest.fixture
def desk(lab: Lab) -> Desk:
    desk = Desk()
    desk.give(*lab.blocks)
    return desk


def test_a_longer_branch_is_one_change(desk: Desk, lab: Lab) -> None:
    r"""
    ::

        base --- a1 --- a2            followed first
            \--- b1 --- b2 --- b3     more work
    """
    payment = pay(lab.take(), fee=1000)
    a, b = branch(lab, 2, [payment]), branch(lab, 3)
    desk.give(*a)
    assert desk.tip == a[-1].hash
    desk.changes.clear()
    desk.give(*b)
    assert desk.tip == b[-1].hash
    (change,) = desk.changes
    assert [c.block.hash for c in change.disconnected] == [a[1].hash, a[0].hash]
    assert [c.block.hash for c in change.connected] == [block.hash for block in b]
    assert desk.is_whole()


def test_first_seen_of_equal_work_stays(desk: Desk, lab: Lab) -> None:
    a, b = branch(lab, 1), branch(lab, 1, [pay(lab.take(), fee=1000)])
    desk.give(*a, *b)
    assert desk.tip == a[0].hash
    again = Desk(desk.disk)
    again.settle()
    assert again.tip == a[0].hash


def test_bodies_may_come_in_any_order(lab: Lab) -> None:
    desk = Desk()
    for block in lab.blocks:
        desk.chain.submit_header(block.header, NOW + 10_000)
    desk.give(*reversed(lab.blocks))
    assert desk.tip == lab.blocks[-1].hash
    assert desk.is_whole()


def test_a_transaction_mined_again_at_another_height(desk: Desk, lab: Lab) -> None:
    """Its outpoints are in both `spent` and `created` of the reorganisation's delta."""
    payment = pay(lab.take(), fee=1000)
    a = branch(lab, 1, [payment])
    fork = lab.copy()
    b = [fork.mine((), extra_nonce=7), fork.mine((payment,), extra_nonce=8)]
    desk.give(*a, *b)
    assert desk.tip == b[-1].hash
    assert desk.is_whole()
    assert recompute_digest(desk.store) == fresh([*lab.blocks, *b]).store.tip().digest


def fresh(blocks: list[Block]) -> Desk:
    other = Desk()
    other.give(*blocks)
    return other


def test_a_branch_with_a_bad_block_is_left_at_the_last_good_one(desk: Desk, lab: Lab) -> None:
    r"""
    ::

        base --- a1
            \--- b1 --- b2 (pays itself too much) --- b3
    """
    a = branch(lab, 1)
    desk.give(*a)
    fork = lab.copy()
    b1 = fork.mine((), extra_nonce=5)
    good = fork.candidate((), extra_nonce=6)
    b2 = reblock(with_coinbase(good, lambda cb: with_output(cb, 0, value=cb.outputs[0].value + 1)))
    desk.give(b1, b2)
    assert desk.tip == a[0].hash
    assert desk.chain.failure(b2.hash) is not None
    assert desk.chain.failure(b2.hash).code is Reject.CB_AMOUNT
    with pytest.raises(Invalid) as caught:
        desk.give(b2)
    assert caught.value.code is Reject.DUPLICATE_INVALID
    again = Desk(desk.disk)
    again.settle()
    assert again.tip == a[0].hash
    assert again.chain.tree.get(b2.hash).invalid
    assert again.is_whole()


def test_a_wrong_signature_condemns_its_block_alone(desk: Desk, lab: Lab) -> None:
    fork = lab.copy()
    good = fork.mine((), extra_nonce=1)
    payment = pay(lab.take(), fee=1000)
    signature, key = payment.inputs[0].witness
    forged = signature[:-2] + bytes((signature[-2] ^ 1,)) + signature[-1:]
    bad = fork.candidate((with_input(payment, witness=(forged, key)),), extra_nonce=2)
    desk.give(good, bad)
    assert desk.tip == good.hash
    assert desk.chain.failure(bad.hash).code is Reject.SCRIPT_VERIFY
    assert desk.is_whole()


def test_a_mutated_body_leaves_its_header_alone(desk: Desk, lab: Lab) -> None:
    """Three transactions, and the last one twice, have the same merkle root (CVE-2012-2459)."""
    block = lab.copy().mine([pay(lab.take(), fee=1000), pay(lab.take(), fee=1000)])
    with pytest.raises(Invalid) as caught:
        examine(make_block(block.header, (*block.txs, block.txs[-1])), REGTEST)
    assert caught.value.code is Reject.MUTATED
    desk.give(block)
    assert desk.tip == block.hash


def test_an_unknown_parent_is_not_held_against_anyone(desk: Desk, lab: Lab) -> None:
    fork = lab.copy()
    fork.mine((), extra_nonce=1)
    child = fork.mine((), extra_nonce=2)
    with pytest.raises(Unready) as caught:
        desk.give(child)
    assert caught.value.code is Reject.PREV_NOT_FOUND


def test_invalidate_and_reconsider(desk: Desk, lab: Lab) -> None:
    blocks = branch(lab, 3)
    desk.give(*blocks)
    desk.chain.invalidate(desk.chain.tree.get(blocks[0].hash))
    desk.settle()
    assert desk.tip == lab.blocks[-1].hash
    assert desk.is_whole()
    again = Desk(desk.disk)
    again.settle()
    assert again.tip == lab.blocks[-1].hash
    again.chain.reconsider(again.chain.tree.get(blocks[2].hash))
    again.settle()
    assert again.tip == blocks[-1].hash
    assert again.is_whole()
    assert Desk(desk.disk).chain.tip.hash == blocks[-1].hash


def test_marks_rule_out_their_branches_at_a_start(desk: Desk, lab: Lab) -> None:
    r"""
    ::

        base --- a1 (ruled out) --- a2 --- a3 (ruled out)
            \--- b1 --- b2
    """
    a, b = branch(lab, 3), branch(lab, 2)
    desk.give(*a)
    for block in (a[2], a[0]):
        desk.chain.invalidate(desk.chain.tree.get(block.hash))
    desk.settle()
    desk.give(*b)
    chain = Desk(desk.disk).chain
    assert [block.hash for block in (*a, *b) if chain.tree.get(block.hash).invalid] == [block.hash for block in a]
    assert chain.tip.hash == chain.best.hash == chain.tree.best_header.hash == b[-1].hash
    assert chain.settled
    chain.reconsider(chain.tree.get(a[2].hash))
    assert chain.best.hash == a[-1].hash


def test_what_was_followed_before_a_stop_counts_as_first_seen(desk: Desk, lab: Lab) -> None:
    r"""
    ::

        base --- a (followed)
            \--- b --- b2 (ruled out later)
            \--- c
    """
    forks = [lab.copy() for _ in range(3)]
    siblings = [(fork.mine((), extra_nonce=100 + number), fork) for number, fork in enumerate(forks)]
    # Stored headers are read in this order: without a memory of what was followed, c would be it.
    (c, _), (b, on_b), (a, _) = sorted(siblings, key=lambda pair: pair[0].hash)
    desk.give(a, b, c)
    again = Desk(desk.disk)
    b2 = on_b.mine((), extra_nonce=200)
    again.give(b2)
    assert again.tip == b2.hash
    again.chain.invalidate(again.chain.tree.get(b2.hash))
    again.settle()
    assert again.tip == a.hash


def test_steps_overlap_but_commit_in_order(lab: Lab) -> None:
    desk = Desk()
    for block in lab.blocks:
        desk.chain.submit_block(examine(block, REGTEST), NOW + 10_000, sync=False)
    first, second = desk.chain.advance(), desk.chain.advance()
    assert first is not None
    assert second is not None
    assert desk.chain.advance() is None
    assert desk.chain.verified(second.token, None) == []
    assert [change.new for change in desk.chain.verified(first.token, None)] == [first.move.target, second.move.target]
    assert desk.chain.verified(first.token, 0) == []
    desk.settle()
    assert desk.tip == lab.blocks[-1].hash
    assert desk.is_whole()


def test_a_stored_body_that_cannot_be_read_is_wanted_again(
    desk: Desk, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    ::

        base --- a
            \\--- b1 --- b2     b1 has lost its end on the disk
    """
    fork = lab.copy()
    desk.give(lab.mine())
    b1, b2 = fork.mine((), extra_nonce=7), fork.mine((), extra_nonce=8)
    desk.give(b1)
    again = Desk(desk.disk)  # nothing is in memory any more
    stored = again.store.block

    def cut(height: int, block_hash: BlockHash) -> bytes | None:
        raw = stored(height, block_hash)
        return raw[:-1] if raw and block_hash == b1.hash else raw

    with monkeypatch.context() as patched:
        patched.setattr(again.store, "block", cut)
        again.give(b2)
        assert again.tip == lab.tip.hash
        assert not again.chain.tree.entries[b1.hash].has_body
    again.give(b1)
    assert again.tip == b2.hash
    assert again.is_whole()


def depth(lookup: CoinLookup) -> int:
    """How many layers a lookup goes through at most before it asks the store."""
    cells = getattr(lookup, "__closure__", None) or ()
    below = [cell.cell_contents for cell in cells if callable(cell.cell_contents)]
    return 1 + max(map(depth, below), default=0)


def test_moves_that_are_over_are_forgotten(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long there is always another under way: none may look through all those before it."""
    monkeypatch.setattr("node.chainstate.chainstate.SLICE_BLOCKS_MAX", 4)
    monkeypatch.setattr("node.chainstate.reorg.SLICE_BLOCKS_MAX", 4)
    desk = Desk()
    for block in lab.blocks:
        desk.chain.submit_block(examine(block, REGTEST), NOW + 10_000, sync=False)
    ahead = desk.chain.advance()
    assert ahead is not None
    depths = []
    while (after := desk.chain.advance()) is not None:
        depths.append(depth(after.move._builder.coin))  # itself, the one before, the store's own
        desk.chain.verified(ahead.token, None)
        ahead = after
    assert len(depths) > 10
    assert len(set(depths)) == 1
    desk.chain.verified(ahead.token, None)
    assert desk.is_whole()


def test_a_failed_step_takes_the_next_with_it(lab: Lab) -> None:
    desk = Desk()
    for block in lab.blocks:
        desk.chain.submit_block(examine(block, REGTEST), NOW + 10_000, sync=False)
    first, second = desk.chain.advance(), desk.chain.advance()
    assert first is not None
    assert second is not None
    desk.chain.verified(first.token, 0)  # whatever it is, the last block that had a part in it is guilty
    assert desk.chain.verified(second.token, None) == []
    desk.settle()
    assert desk.tip == lab.blocks[len(first.move.entered) - 2].hash
    assert desk.is_whole()


# reorganisations in slices


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second transaction begins a slice."""
    monkeypatch.setattr("node.chainstate.reorg.SLICE_TXS_MAX", 2)


def payments(lab: Lab, count: int) -> list[Tx]:
    return [pay(lab.take(), fee=1000 + number) for number in range(count)]


@pytest.mark.usefixtures("small_slices")
def test_a_deep_reorganisation_is_cut_into_slices_and_committed_once(desk: Desk, lab: Lab) -> None:
    r"""
    ::

        base --- a1 --- a2 --- a3            two payments each
            \--- b1 --- b2 --- b3 --- b4     the payments of a3, a2, others, none
    """
    spends = payments(lab, 8)
    on_a, on_b = lab.copy(), lab.copy()
    a = [on_a.mine(spends[at : at + 2], extra_nonce=1) for at in (0, 2, 4)]
    b = [on_b.mine(txs, extra_nonce=2) for txs in (spends[4:6], spends[2:4], spends[6:8], [])]
    desk.give(*a, *b[:3])
    desk.changes.clear()
    desk.chain.submit_block(examine(b[3], REGTEST), NOW + 10_000, sync=True)
    seen: list[tuple[int, int]] = []
    while (cut := desk.chain.advance()) is not None:
        seen.append((len(cut.owners), len(cut.checks)))
        assert desk.chain.tip.hash == a[-1].hash, "nothing is committed before the whole is verified"
        desk.changes += desk.chain.verified(cut.token, ENGINE.first_failure(b"".join(cut.checks)))
    # Three slices down, four up; what the left branch held is not verified again.
    assert seen == [(0, 0), (0, 0), (0, 0), (1, 0), (1, 0), (1, 2), (1, 0)]
    [change] = desk.changes
    assert [c.block.hash for c in change.disconnected] == [block.hash for block in a[::-1]]
    assert [c.block.hash for c in change.connected] == [block.hash for block in b]
    assert desk.is_whole()
    assert recompute_digest(desk.store) == fresh([*lab.blocks, *b]).store.tip().digest


@pytest.mark.usefixtures("small_slices")
def test_a_reorganisation_that_fails_half_way_leaves_all_as_it_was(desk: Desk, lab: Lab) -> None:
    r"""
    ::

        base --- a1 --- a2
            \--- b1 --- b2 (wrong signature) --- b3
    """
    spends = payments(lab, 6)
    on_a, on_b = lab.copy(), lab.copy()
    a = [on_a.mine(spends[at : at + 2], extra_nonce=1) for at in (0, 2)]
    signature, key = spends[5].inputs[0].witness
    forged = with_input(spends[5], witness=(signature[:-2] + bytes((signature[-2] ^ 1,)) + signature[-1:], key))
    b1 = on_b.mine(spends[:2], extra_nonce=2)
    b2 = on_b.candidate([spends[4], forged], extra_nonce=2)
    on_b.tip = on_b.tree.add(b2.header)
    b3 = on_b.candidate([], extra_nonce=2)
    desk.give(*a)
    digest = desk.store.tip().digest
    desk.give(b1, b2, b3)
    assert desk.tip == a[-1].hash
    assert desk.store.tip().digest == digest
    assert desk.chain.failure(b2.hash).code is Reject.SCRIPT_VERIFY
    assert desk.chain.tree.get(b3.hash).invalid
    assert not desk.chain.tree.get(b1.hash).invalid
    assert desk.is_whole()


@pytest.mark.usefixtures("small_slices")
def test_a_changed_witness_of_a_known_payment_is_verified(desk: Desk, lab: Lab) -> None:
    """The other branch holds the payment of this one with a wrong signature: same txid, other bytes."""
    [spend] = payments(lab, 1)
    on_a, on_b = lab.copy(), lab.copy()
    a = on_a.mine([spend], extra_nonce=1)
    signature, key = spend.inputs[0].witness
    forged = with_input(spend, witness=(signature[:-2] + bytes((signature[-2] ^ 1,)) + signature[-1:], key))
    assert forged.txid == spend.txid
    b1 = on_b.candidate([forged], extra_nonce=2)
    on_b.tip = on_b.tree.add(b1.header)
    desk.give(a, b1, on_b.candidate([], extra_nonce=2))
    assert desk.tip == a.hash
    assert desk.chain.failure(b1.hash).code is Reject.SCRIPT_VERIFY


@pytest.mark.usefixtures("small_slices")
def test_invalidating_a_block_of_a_reorganisation_under_way_ends_it(desk: Desk, lab: Lab) -> None:
    spends = payments(lab, 4)
    on_a, on_b = lab.copy(), lab.copy()
    a = [on_a.mine(spends[:2], extra_nonce=1)]
    b = [on_b.mine(txs, extra_nonce=2) for txs in (spends[2:4], [])]
    desk.give(*a, b[0])
    desk.chain.submit_block(examine(b[1], REGTEST), NOW + 10_000, sync=True)
    down, up = desk.chain.advance(), desk.chain.advance()
    assert down is not None
    assert up is not None
    desk.chain.invalidate(desk.chain.tree.get(b[1].hash))
    assert desk.chain.verified(down.token, None) == []
    assert desk.chain.verified(up.token, None) == []
    desk.settle()
    assert desk.tip == a[0].hash
    assert desk.is_whole()


def test_stored_bodies_above_a_lost_one_are_not_fetched_again(desk: Desk, lab: Lab) -> None:
    """
    ::

        base --- x --- b --- c     x is lost, b and c are stored
    """
    x, b, c = branch(lab, 3)
    desk.give(x, b, c)
    height = lab.height + 1
    key = block_key(BODY, height, x.hash)
    desk.disk.blocks.write([(key, None), (block_key(HEADER, height, x.hash), None)], sync=True)
    desk.disk.ledger.rows.clear()  # as a start does that cannot find what its tip stands on
    again = Desk(desk.disk)
    again.settle()
    assert again.tip == lab.tip.hash
    assert b.hash not in again.chain.tree.entries
    for block in (x, b, c):
        again.chain.submit_header(block.header, NOW + 10_000)
    entries = again.chain.tree.entries
    assert [entries[block.hash].has_body for block in (x, b, c)] == [False, True, True]
    again.give(x)
    assert again.tip == c.hash
    assert again.is_whole()


def test_nothing_that_must_not_be_followed_is(desk: Desk, lab: Lab) -> None:
    """Invariants of the single writer: were one broken, it would be our own fault, and the end of this node."""
    chain, tip = desk.chain, desk.chain.tip
    [block] = branch(lab, 1)
    missing = chain.submit_header(block.header, NOW + 10_000)
    with pytest.raises(AssertionError, match="missing"):
        chain._follow(missing)
    assert tip.parent is not None
    with pytest.raises(AssertionError, match="most work"):
        chain._follow(tip.parent)
    with pytest.raises(AssertionError, match="ledger stands on"):
        chain._lose(tip.parent)
    with pytest.raises(AssertionError, match="each move starts"):
        chain._begin([tip.parent], [missing])
    chain.tree.set_invalid(tip, True)
    with pytest.raises(AssertionError, match="breaks a rule"):
        chain._follow(tip)
    assert chain.best is chain.tip is tip
