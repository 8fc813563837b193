"""The first blocks: right by the chain's own rules, spaced, ending now, made by real helpers."""

import sys
from itertools import pairwise

import pytest

import chain.params
from chain.block import Block
from chain.blocktree import BlockTree
from chain.hashes import BlockHash
from chain.params import REGTEST, Params
from chain.scripttype import p2wpkh_script
from chain.validate import validate_block
from devnet import premine
from devnet.premine import FIRST_BLOCKS, mine_first_blocks
from devnet.state import DevnetError

NOW = 1_800_000_000
SCRIPT = p2wpkh_script(bytes(20))
NETWORKS = (REGTEST, chain.params.devnet(spacing_s=7))


@pytest.mark.parametrize("params", NETWORKS, ids=lambda params: params.name)
def test_the_first_blocks_pass_every_check(params: Params) -> None:
    done: list[int] = []
    blocks = mine_first_blocks(params, SCRIPT, NOW, 7, done.append)
    tree = BlockTree(params)
    tip = tree.genesis
    for block in blocks:
        validate_block(block, tip, {}.get, NOW, params, lambda checks: None)
        tip = tree.add(block.header)
    assert tip.height == FIRST_BLOCKS == 101
    assert done == list(range(1, FIRST_BLOCKS + 1))
    times = [block.header.time for block in blocks]
    assert times[-1] == NOW
    assert {later - earlier for earlier, later in pairwise(times)} == {7}
    assert {block.txs[0].outputs[0].script for block in blocks} == {SCRIPT}
    assert len(distinct_hashes(blocks)) == FIRST_BLOCKS


def distinct_hashes(blocks: list[Block]) -> set[BlockHash]:
    return {block.hash for block in blocks}


@pytest.mark.parametrize(
    "program", ["import sys; sys.exit('out of order')", "input(); import sys; sys.exit('out of order')"]
)
def test_a_helper_that_ends_is_an_error_in_its_own_words(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(premine, "python", lambda _: [sys.executable, "-c", program])
    with pytest.raises(DevnetError, match="out of order"):
        mine_first_blocks(REGTEST, SCRIPT, NOW, 10)


def test_helpers_that_hang_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(premine, "ANSWER_TIMEOUT_S", 0.2)
    monkeypatch.setattr(premine, "python", lambda _: [sys.executable, "-c", "import signal; signal.pause()"])
    with pytest.raises(DevnetError, match="do not answer"):
        mine_first_blocks(REGTEST, SCRIPT, NOW, 10)
