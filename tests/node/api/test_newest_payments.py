"""The overview's newest payments: found however many blocks ago they were, with a bounded look at each page."""

import re
from collections.abc import Iterator

import pytest

from chain.block import Block
from chain.hashes import to_hex
from chain.script import LockKind
from chain.tx import Tx
from node.api.explorer.payments import BLOCKS_PER_PAGE
from node.view import View
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
    return [pay([coin]) for coin in lab.take(LockKind.P2WPKH, count)]


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Heights of the blocks that are read."""
    heights: list[int] = []
    read = View.raw_block

    def noted(view: View, entry: object) -> bytes | None:
        heights.append(entry.height)  # type: ignore[attr-defined]
        return read(view, entry)  # type: ignore[arg-type]

    monkeypatch.setattr(View, "raw_block", noted)
    yield heights


def test_payments_are_listed_however_many_blocks_ago_they_were(desk: Desk, lab: Lab) -> None:
    paid = payments(lab, 9)
    desk.give([lab.mine(paid), *empty_blocks(lab, 30)])
    assert newest(desk) == [to_hex(tx.txid) for tx in paid[:8]]


def test_what_waits_comes_first_then_the_newest_blocks(desk: Desk, lab: Lab) -> None:
    old, new, waiting = payments(lab, 3)
    desk.give([lab.mine([old]), *empty_blocks(lab, 5), lab.mine([new]), *empty_blocks(lab, 5)])
    desk.pool(waiting)
    assert newest(desk)[:3] == [to_hex(tx.txid) for tx in (waiting, new, old)]


def test_each_page_looks_further_back_and_no_page_looks_far(desk: Desk, lab: Lab, looked: list[int]) -> None:
    paid = payments(lab, 8)
    desk.give([lab.mine(paid), *empty_blocks(lab, BLOCKS_PER_PAGE + 200)])
    looked.clear()
    assert newest(desk) == []
    # And those that the page shows.
    assert BLOCKS_PER_PAGE <= len(looked) <= BLOCKS_PER_PAGE + 20
    assert newest(desk) == [to_hex(tx.txid) for tx in paid]


def test_what_was_seen_is_not_looked_into_again(desk: Desk, lab: Lab, looked: list[int]) -> None:
    paid = payments(lab, 1)
    desk.give([lab.mine(paid), *empty_blocks(lab, 300)])
    assert newest(desk)[0] == to_hex(paid[0].txid)
    desk.give(empty_blocks(lab, 2))
    looked.clear()
    assert newest(desk)[0] == to_hex(paid[0].txid)
    # The two new ones, and those that the page shows.
    assert len(looked) < 20


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


def test_a_page_that_found_none_yet_says_how_far_it_has_looked(desk: Desk, lab: Lab) -> None:
    desk.give([lab.mine(payments(lab, 1)), *empty_blocks(lab, 2 * BLOCKS_PER_PAGE)])
    for pages in (1, 2):
        assert f"No payments in the latest {pages * BLOCKS_PER_PAGE:,} blocks" in desk.get("/explorer/").text
    assert len(newest(desk)) > 0
