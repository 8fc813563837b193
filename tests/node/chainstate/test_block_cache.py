"""Decoded blocks kept in memory: which, how many, and for whom."""

import pytest

from chain.block import Block
from node.chainstate import block_cache
from node.chainstate.block_cache import BlockCache
from node.interface.storage import LedgerChange
from tests.chainlab import Lab, funded, pay


@pytest.fixture
def lab() -> Lab:
    return funded()


def block_with_payment(lab: Lab) -> Block:
    return lab.candidate([pay(lab.take())])


def test_a_block_is_taken_once(lab: Lab) -> None:
    blocks, block = BlockCache(), block_with_payment(lab)
    blocks.add(block)
    assert [blocks.take(block.hash), blocks.take(block.hash)] == [block, None]


@pytest.mark.parametrize("limit", ["blocks", "bytes"])
def test_the_oldest_makes_room(lab: Lab, limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, three = (block_with_payment(lab) for _ in range(3))
    for kind in ("WAITING", "CONNECTED"):
        if limit == "blocks":
            monkeypatch.setattr(block_cache, f"{kind}_MAX", 2)
        else:
            monkeypatch.setattr(block_cache, f"{kind}_BYTES_MAX", two.size + three.size)
    blocks = BlockCache()
    for block in (one, two, three):
        blocks.add(block)
        blocks.connected(LedgerChange(block, 1, ()))
    assert [blocks.take(block.hash) for block in (one, two, three)] == [None, two, three]
    assert [blocks.change(block.hash) for block in (one, two, three)] == [
        None,
        LedgerChange(two, 1, ()),
        LedgerChange(three, 1, ()),
    ]
    spent = [block.txs[1].inputs[0].outpoint for block in (one, two, three)]
    assert [blocks.tx_spending(point) for point in spent] == [None, two.txs[1], three.txs[1]]
    blocks.add(one)  # what was taken has made room
    assert blocks.take(one.hash) is one


def test_a_block_left_is_forgotten_but_not_what_another_has_too(lab: Lab) -> None:
    """
    base --- a (shared, lost)
        \\--- b (rival)
    """
    coin, other = lab.take(), lab.take()
    ours, rival, shared = pay(coin), pay(coin, fee=5_000), pay(other)
    a, b = lab.candidate([ours, shared]), lab.candidate([rival], fees=0)
    blocks = BlockCache()
    blocks.connected(LedgerChange(a, 1, ()))
    blocks.connected(LedgerChange(b, 1, ()))
    blocks.disconnected(a.hash)
    blocks.disconnected(a.hash)  # nothing to forget
    assert blocks.change(a.hash) is None
    assert blocks.tx_spending(coin[0].point) is rival
    assert blocks.tx_spending(other[0].point) is None


def test_the_newest_come_first(lab: Lab) -> None:
    one, two, three = (block_with_payment(lab) for _ in range(3))
    blocks = BlockCache()
    for block in (one, two, three):
        blocks.connected(LedgerChange(block, 1, ()))
    assert blocks.newest(2) == (three, two)
    assert blocks.newest(9) == (three, two, one)
