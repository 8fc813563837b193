"""Blocks in messages: how many fit, and what becomes of those that come in."""

from collections.abc import Sequence
from typing import Any

import pytest

from chain import check
from chain.block import Block, make_block
from chain.check import check_tx
from chain.connect import context_after
from chain.hashes import BlockHash
from chain.params import REGTEST
from chain.tx import Tx
from node.chainstate.block_cache import BlockCache
from node.core.view import NodeView
from node.interface.effects import Failed
from node.interface.messages import BLOCK_BYTES_MAX, BLOCKS_BYTES, Blocks, GetBlocks, Ok
from node.interface.storage import LedgerChange
from node.mempool.fee_estimator import FeeEstimator
from node.mempool.mempool import Mempool
from node.p2p.block_sync.unpack import prepare
from node.p2p.scoring.block_serving import pack
from node.storage.memory import MemoryDisk
from node.storage.recovery import open_memory
from tests.chainlab import NOW, Lab, funded, pay, with_input


@pytest.fixture
def lab() -> Lab:
    return funded()


def hashes(count: int) -> tuple[BlockHash, ...]:
    return tuple(BlockHash(number.to_bytes(32, "little")) for number in range(count))


@pytest.mark.parametrize(
    ("sizes", "packed"),
    [
        ([10], 1),
        ([10, 20, 30], 3),
        ([0], 1),
        ([0, 10, 0], 3),
        ([BLOCKS_BYTES, 0, 0], 3),
        ([BLOCKS_BYTES, 1], 1),
        ([BLOCKS_BYTES - 1, 1], 2),
        ([BLOCKS_BYTES - 1, 2, 1], 1),  # nothing is left out in between
        ([BLOCK_BYTES_MAX, 1], 1),  # the first always goes
        ([1, BLOCK_BYTES_MAX], 1),
    ],
)
def test_as_many_as_fit(sizes: list[int], packed: int) -> None:
    asked = hashes(len(sizes))
    stored = {block_hash: b"x" * size for block_hash, size in zip(asked, sizes, strict=True) if size}
    expected = tuple(stored.get(block_hash, b"") for block_hash in asked[:packed])
    assert pack(GetBlocks(asked), stored.get) == Blocks(expected)


def test_bodies_come_out_in_order_with_their_gaps(lab: Lab) -> None:
    one, two = lab.blocks[:2]
    bodies = prepare(Blocks((one.raw, b"", two.raw)), REGTEST)
    assert [body and body.block for body in bodies] == [one, None, two]


def test_other_replies_are_left_alone() -> None:
    for reply in (Ok(), Failed("connection lost")):
        assert prepare(reply, REGTEST) is reply


def test_one_bad_body_is_an_offence(lab: Lab) -> None:
    good, bad = lab.blocks[:2]
    for raw in (b"noise", bad.raw + b"\x00", make_block(bad.header, good.txs).raw):
        outcome = prepare(Blocks((good.raw, raw)), REGTEST)
        assert isinstance(outcome, Failed)
        assert outcome.offence


def view_with(lab: Lab, txs: Sequence[Tx], connected: Sequence[Block] = ()) -> NodeView:
    """A view with these in its mempool, and these blocks among the recent ones."""
    pool = Mempool()
    for tx in txs:
        pool.add(pool.stage(tx, lab.coins.get, context_after(lab.tip), NOW), NOW)
    recent = BlockCache()
    for block in connected:
        recent.connected(LedgerChange(block, 1, ()))
    reader = open_memory(MemoryDisk(), REGTEST.network_id).snapshot()
    return NodeView(lab.tip, lab.tree, reader, pool.view(), FeeEstimator().view(), REGTEST, recent)


def unpacked(block: Block, view: NodeView) -> Any:
    """As the node does it, with what a view has."""
    return prepare(Blocks((block.raw,)), REGTEST, view.tx_spending, view.pool.wtxids)


def test_transactions_of_the_pool_are_not_decoded_or_checked_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    txs = [pay(lab.take()) for _ in range(3)]
    view = view_with(lab, txs[:2])
    block = lab.candidate(txs)
    looked_at: list[Tx] = []

    def spy(tx: Tx) -> None:
        looked_at.append(tx)
        check_tx(tx)

    monkeypatch.setattr(check, "check_tx", spy)
    [body] = unpacked(block, view)
    assert body.block == block
    assert [tx is known for tx, known in zip(body.block.txs[1:], txs, strict=True)] == [True, True, False]
    assert looked_at == [block.txs[0], txs[2]]


def test_a_rival_of_the_pools_transaction_is_itself(lab: Lab) -> None:
    """It spends the same coin and is not what the pool has; nor is one with another witness."""
    coin = lab.take()
    ours = pay(coin)
    resigned = with_input(ours, witness=(b"\x01", ours.inputs[0].witness[1]))
    for other in (pay(coin, fee=5_000), resigned):
        block = lab.candidate([other], fees=0)
        [body] = unpacked(block, view_with(lab, [ours]))
        assert body.block == block
        assert body.block.txs[1] == other != ours


def test_transactions_of_recent_blocks_are_not_decoded_again(lab: Lab) -> None:
    """What one branch has connected the other repeats; its blocks differ all the same."""
    shared, other = pay(lab.take()), pay(lab.take())
    ours, theirs = lab.candidate([shared]), lab.candidate([shared, other])
    [body] = unpacked(theirs, view_with(lab, [], [ours]))
    assert body.block == theirs
    assert [tx is known for tx, known in zip(body.block.txs[1:], ours.txs[1:], strict=False)] == [True]
