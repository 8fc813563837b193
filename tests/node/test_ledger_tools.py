"""`groatd verify --deep` finds every broken rule in a ledger that is in itself in order; real LevelDB."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chain.block import Block, make_block
from chain.errors import Reject
from chain.params import REGTEST
from node.chainstate.chainstate import Chainstate
from node.interface.checked_block import examine
from node.interface.storage import Damaged
from node.ledger_tools import verify_ledger
from node.storage.recovery import open_store
from node.workers.verifier_pool import VerifierPool
from tests.chainlab import (
    ENGINE,
    Lab,
    coinbase_input,
    funded,
    made_by,
    pay,
    reblock,
    unsolved,
    with_coinbase,
    with_input,
    with_output,
)


@pytest.fixture
def verifiers() -> Iterator[VerifierPool]:
    pool = VerifierPool(ENGINE, 0, lambda: 0.0)
    yield pool
    pool.stop()


def build(folder: Path, blocks: list[Block], now: int) -> None:
    """A ledger of these blocks, as a node makes it that looks at no signature."""
    store = open_store(folder, REGTEST.network_id)
    chain = Chainstate(REGTEST, store, itertools.count(1).__next__)
    for block in blocks:
        chain.submit_block(examine(block, REGTEST), now, sync=False)
    while (staged := chain.advance()) is not None:
        chain.verified(staged.token, None)
    assert store.tip().hash == blocks[-1].hash
    store.close()


def spoilt_signature(lab: Lab) -> Block:
    [owned] = lab.take()
    tx = pay([owned])
    signature, key = tx.inputs[0].witness
    return lab.candidate([with_input(tx, witness=(signature[:-2] + bytes((signature[-2] ^ 1,)) + signature[-1:], key))])


def overpaid(lab: Lab) -> Block:
    return with_coinbase(lab.candidate(), lambda tx: with_output(tx, value=tx.outputs[0].value + 1))


def without_work(lab: Lab) -> Block:
    block = lab.candidate()
    return make_block(unsolved(block.header), block.txs)


def of_an_old_version(lab: Lab) -> Block:
    return reblock(lab.candidate(), version=3)


def with_another_root(lab: Lab) -> Block:
    return reblock(lab.candidate(), merkle_root=bytes(32))


def with_a_long_coinbase(lab: Lab) -> Block:
    return with_coinbase(lab.candidate(), lambda tx: coinbase_input(tx, tx.inputs[0].script_sig + bytes(100)))


LEFT_OUT = [
    (
        without_work,
        Reject.HIGH_HASH,
        ["node.interface.checked_block.check_pow", "node.chainstate.chainstate.validate_header"],
    ),
    (of_an_old_version, Reject.VERSION, ["node.chainstate.chainstate.validate_header"]),
    (with_another_root, Reject.MERKLE_ROOT, ["node.interface.checked_block.check_body"]),
    (with_a_long_coinbase, Reject.CB_LENGTH, ["node.interface.checked_block.check_block"]),
    (overpaid, Reject.CB_AMOUNT, ["chain.connect.subsidy"]),
    (spoilt_signature, Reject.SCRIPT_VERIFY, []),
]
"""A block, the rule it breaks, and what a node that took it has not done."""


@pytest.mark.parametrize(("make", "code", "left_out"), LEFT_OUT, ids=[str(code) for _, code, _ in LEFT_OUT])
def test_a_block_that_should_not_be_there(
    tmp_path: Path, verifiers: VerifierPool, make: Callable[[Lab], Block], code: Reject, left_out: list[str]
) -> None:
    """Each step of the rule finds its own; what stands on the block changes nothing."""
    lab = funded()
    bad = make(lab)
    with pytest.MonkeyPatch.context() as patch:
        for step in left_out:
            patch.setattr(step, lambda *facts: 10**15)
        build(tmp_path, [*lab.blocks, bad], lab.now)
    heights: list[int] = []
    facts = verify_ledger(tmp_path, REGTEST, verifiers, deep=False, progress=lambda height, _: None)
    assert facts.hash == bad.hash, "the coins are those that the digest says"
    with pytest.raises(Damaged) as damage:
        verify_ledger(tmp_path, REGTEST, verifiers, deep=True, progress=lambda height, _: heights.append(height))
    said = str(damage.value)
    assert f"at height {lab.height + 1} is wrong ({code}" in said
    assert said.endswith("run groatd reindex")
    assert heights == [*range(1, lab.height + 1)]


def test_a_good_ledger(tmp_path: Path, verifiers: VerifierPool) -> None:
    lab = funded()
    first = pay(lab.take(count=2))
    lab.mine([first, pay([made_by(first)])])
    build(tmp_path, lab.blocks, lab.now)
    heights: list[int] = []
    facts = [
        verify_ledger(tmp_path, REGTEST, verifiers, deep=deep, progress=lambda height, _: heights.append(height))
        for deep in (False, True)
    ]
    assert facts[0] == facts[1]
    assert (facts[0].height, facts[0].hash) == (lab.height, lab.tip.hash)
    assert heights == [*range(1, lab.height + 1)]
