"""The single writer: branches, reorganisations, wrong blocks, restarts; on the memory store."""

import itertools
from collections.abc import Iterable

import pytest

from chain.block import Block, make_block
from chain.errors import Invalid, Reject, Unready
from chain.keys import default_engine
from chain.params import REGTEST
from chain.tx import Tx
from node.chainstate import Chainstate, TipChange, examine
from node.store.ledger import recompute_digest
from node.store.memory import MemoryDisk
from node.store.opening import open_memory
from tests.chainlab import NOW, Lab, funded, pay, reblock, with_coinbase, with_input, with_output

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


def test_steps_overlap_but_commit_in_order(lab: Lab) -> None:
    desk = Desk()
    for block in lab.blocks:
        desk.chain.submit_block(examine(block, REGTEST), NOW + 10_000, sync=False)
    first, second = desk.chain.advance(), desk.chain.advance()
    assert first is not None
    assert second is not None
    assert desk.chain.advance() is None
    assert desk.chain.verified(second.token, None) == []
    assert [change.new for change in desk.chain.verified(first.token, None)] == [first.target, second.target]
    assert desk.chain.verified(first.token, 0) == []
    desk.settle()
    assert desk.tip == lab.blocks[-1].hash
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
    assert desk.tip == lab.blocks[len(first.enter) - 2].hash
    assert desk.is_whole()
