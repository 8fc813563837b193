"""The overview's newest payments: found however many blocks ago they were, with a bounded look at each page."""

import re
from collections.abc import Iterator
from typing import Any, cast

from chain.block import Block
from chain.hashes import BlockHash, to_hex
from chain.scripttype import ScriptType
from chain.tx import Tx
from node.api.explorer.payments import PaymentBlocks
from node.core.view import NodeView
from tests.chainlab import Lab, pay
from tests.node.api.conftest import MakeDesk
from tests.node.api.desk import Desk


def newest(desk: Desk) -> list[str]:
    """The ids of the payments that the overview lists."""
    reply = desk.get("/explorer/")
    assert reply.status == 200
    return re.findall(r'<tr data-key="([0-9a-f]{64})"', reply.text.partition('id="newest-title"')[2])


def empty_blocks(lab: Lab, count: int) -> list[Block]:
    """Blocks of their coinbases alone."""
    return [lab.mine(time=lab.tip.median_time + 1) for _ in range(count)]


def payments(lab: Lab, count: int) -> list[Tx]:
    return [pay([coin]) for coin in lab.take(ScriptType.P2WPKH, count)]


class Counted:
    """A node's view whose looks at undo records are counted."""

    def __init__(self, view: NodeView) -> None:
        self.reader = self
        self.looks = 0
        self._view = view

    def __getattr__(self, name: str) -> Any:
        return getattr(self._view, name)

    def undo_sizes(self, top: int) -> Iterator[tuple[int, BlockHash, int]]:
        for row in self._view.reader.undo_sizes(top):
            self.looks += 1
            yield row


def look(desk: Desk, blocks: PaymentBlocks) -> tuple[list[int], bool, int]:
    """Heights of the blocks found, whether there is more to look at, and how many blocks were."""
    view = Counted(desk.runtime.view)
    searched = blocks.newest(cast(NodeView, view))
    return [entry.height for entry in searched.found], searched.rest is not None, view.looks


def test_payments_are_listed_however_many_blocks_ago_they_were(desk: Desk, lab: Lab) -> None:
    paid = payments(lab, 9)
    desk.give([lab.mine(paid), *empty_blocks(lab, 30)])
    assert newest(desk) == [to_hex(tx.txid) for tx in paid[:8]]


def test_what_waits_comes_first_then_the_newest_blocks(desk: Desk, lab: Lab) -> None:
    old, new, waiting = payments(lab, 3)
    desk.give([lab.mine([old]), *empty_blocks(lab, 5), lab.mine([new]), *empty_blocks(lab, 5)])
    desk.pool(waiting)
    assert newest(desk)[:3] == [to_hex(tx.txid) for tx in (waiting, new, old)]


def test_thousands_of_blocks_above_the_payments_are_no_obstacle(desk: Desk, lab: Lab) -> None:
    paid = payments(lab, 8)
    desk.give([lab.mine(paid), *empty_blocks(lab, 2_000)])
    assert newest(desk) == [to_hex(tx.txid) for tx in paid]


def test_each_look_is_bounded_and_the_next_goes_on_below(desk: Desk, lab: Lab) -> None:
    """Payments at 112 (the lab's own) and 113."""
    desk.give([lab.mine(payments(lab, 1)), *empty_blocks(lab, 250)])
    blocks = PaymentBlocks(2, most=100)
    assert look(desk, blocks) == ([], True, 101)
    assert look(desk, blocks) == ([], True, 101)
    found, is_more, looks = look(desk, blocks)
    assert (found, is_more) == ([113, 112], True)
    assert looks < 60
    assert look(desk, blocks) == ([113, 112], True, 0)


def test_what_was_seen_is_not_looked_at_again(desk: Desk, lab: Lab) -> None:
    desk.give([lab.mine(payments(lab, 1)), *empty_blocks(lab, 300)])
    blocks = PaymentBlocks(1)
    assert look(desk, blocks)[0] == [113]
    desk.give(empty_blocks(lab, 2))
    assert look(desk, blocks) == ([113], True, 3)
    desk.give([lab.mine(payments(lab, 1))])
    assert look(desk, blocks) == ([416], True, 1)


def test_the_whole_chain_is_looked_at_once(make_desk: MakeDesk) -> None:
    desk, lab = make_desk(), Lab()
    desk.give(empty_blocks(lab, 30))
    blocks = PaymentBlocks(1)
    assert look(desk, blocks) == ([], False, 30)
    assert look(desk, blocks) == ([], False, 0)


def test_a_block_that_left_with_a_branch_is_looked_for_no_more(desk: Desk, lab: Lab) -> None:
    blocks = PaymentBlocks(2)
    other = lab.copy()
    desk.give([lab.mine(payments(lab, 1)), *empty_blocks(lab, 2)])
    assert look(desk, blocks)[0] == [113, 112]
    desk.give(empty_blocks(other, 5))
    assert look(desk, blocks)[0] == [112]
    desk.give([other.mine(payments(other, 1))])
    assert look(desk, blocks)[0] == [118, 112]


def test_payments_of_a_branch_that_was_left_are_gone(desk: Desk, lab: Lab) -> None:
    below, left, came = payments(lab, 3)
    desk.give([lab.mine([below])])
    other = lab.copy()
    desk.give([lab.mine([left]), *empty_blocks(lab, 3)])
    assert newest(desk)[:2] == [to_hex(left.txid), to_hex(below.txid)]
    other.mine([came], extra_nonce=1)
    branch = [other.blocks[-1], *empty_blocks(other, 5)]
    desk.give(branch)
    listed = newest(desk)
    # `left` waits again.
    assert listed[:3] == [to_hex(tx.txid) for tx in (left, came, below)]


def test_a_chain_of_coinbases_says_that_there_are_none(make_desk: MakeDesk) -> None:
    desk, lab = make_desk(), Lab()
    desk.give(empty_blocks(lab, 20))
    assert newest(desk) == []
    assert "No payments yet" in desk.get("/explorer/").text
