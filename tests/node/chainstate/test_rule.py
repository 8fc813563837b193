"""The node's pipelined form of the rule is the recipe of chain/validate.py: same verdicts, codes and coins.

A `Lab` judges each block by the recipe alone, from its bytes and with nothing known before. The node's
`Chainstate` takes the same blocks in pieces: headers first or not, bodies in runs and on forks, connected in
small slices over coins that are still being verified, verdicts on signatures late and in any order, some
payments verified before.
"""

import random
from collections import Counter

import pytest

from chain.block import Block, decode_block
from chain.errors import Invalid, Reject, Rejected
from chain.hashes import Wtxid
from chain.params import REGTEST
from chain.validate import validate_header
from node.chainstate.chainstate import Chainstate, examine
from node.chainstate.reorg import Slice
from node.storage.memory import MemoryDisk
from node.storage.recovery import open_memory
from node.storage.schema import coins_digest
from tests.chainlab import (
    ENGINE,
    Lab,
)
from tests.rules.case import lab_on
from tests.rules.cases import CASES

ROUNDS = 60
FORK_DEPTH_MAX = 3
CHAINS = sorted({case.on for case in CASES})


class Pipeline:
    """A chainstate beside which slices wait for their verdict, as in a node."""

    def __init__(self, lab: Lab, rng: random.Random) -> None:
        self.rng = rng
        self.known: set[Wtxid] = set()
        self.store = open_memory(MemoryDisk(), REGTEST.network_id)
        self.token = 0
        self.chain = Chainstate(REGTEST, self.store, self._next_token, self.known)
        self.out: list[Slice] = []
        self.ahead = 0
        """The most slices that were out at once."""
        for block in lab.blocks:
            assert self.give(block, lab.now) is None
            self.settle()

    def _next_token(self) -> int:
        self.token += 1
        return self.token

    def give(self, block: Block, now: int, *, header_first: bool = False) -> Reject | None:
        """Take a block in; the code, if it is refused at once."""
        try:
            if header_first:
                self.chain.submit_header(block.header, now)
            self.chain.submit_block(examine(block, REGTEST, self.known), now, sync=False)
        except Rejected as refused:
            return Reject(refused.code)
        return None

    def work(self) -> None:
        """Connect a slice, or have one verified."""
        if self.rng.random() < 0.6 and (staged := self.chain.advance()) is not None:
            self.out.append(staged)
            self.ahead = max(self.ahead, len(self.out))
        elif self.out:
            staged = self.out.pop(self.rng.randrange(len(self.out)))
            self.chain.verified(staged.token, ENGINE.first_failure(b"".join(staged.checks)))

    def settle(self) -> None:
        """Go on until there is nothing left to do."""
        while self.out or not self.chain.settled:
            self.work()

    def verdict(self, block: Block) -> Reject | None:
        """The code of a block that was taken in, once all is settled."""
        entry = self.chain.tree.get(block.hash)
        assert entry is not None
        if not entry.invalid:
            return None
        failure = self.chain.failure(block.hash)
        return Reject(failure.code) if failure else Reject.BAD_PREV

    def holds(self, lab: Lab) -> bool:
        """The ledger is on the lab's tip, with the same coins."""
        tip = self.store.tip()
        return (tip.hash, tip.digest) == (lab.tip.hash, coins_digest(lab.coins.items())) and dict(
            self.store.coins()
        ) == lab.coins


BODY_ONLY = {
    Reject.BLOCK_LENGTH,
    Reject.MERKLE_ROOT,
    Reject.MUTATED,
    Reject.CB_MISSING,
    Reject.TX_SIZE_SMALL,
    Reject.UNEXPECTED_WITNESS,
    Reject.WITNESS_NONCE,
    Reject.WITNESS_MERKLE,
}
"""Codes of step 3, after which another body may come (BLOCK_LENGTH is one of step 4 as well)."""


def verdict_of(lab: Lab, block: Block) -> Reject | None:
    """The recipe's verdict; the block is remembered if it is at fault itself."""
    try:
        lab.verdict(block)
    except Rejected as refused:
        code = Reject(refused.code)
        if isinstance(refused, Invalid) and code not in BODY_ONLY and not header_fault(lab, block):
            lab.tree.add(block.header, invalid=True)
        return code
    return None


def header_fault(lab: Lab, block: Block) -> bool:
    """Its header alone may not enter the tree, or is there."""
    header = block.header
    try:
        validate_header(header, lab.tree.get(header.prev_hash), lab.now, lab.params)
    except Rejected:
        return True
    return lab.tree.get(block.hash) is not None


def decoded(offered: Block | bytes) -> Block | None:
    """The block, or None if it is none: then there is nothing to judge."""
    try:
        return decode_block(offered if isinstance(offered, bytes) else offered.raw)
    except Invalid:
        return None


# --- one case for each rule -------------------------------------------------------------------------


@pytest.mark.parametrize("header_first", [False, True], ids=["whole", "header first"])
def test_every_rules_case(header_first: bool) -> None:
    """Each on its chain, one chainstate for as long as the tip stays."""
    seen: Counter[Reject | None] = Counter()
    for on in CHAINS:
        lab = lab_on(on)
        pipeline = Pipeline(lab, random.Random(on))
        for case in (case for case in CASES if case.on == on):
            made = case.mutate(lab_on(on))
            for offered in made if isinstance(made, list) else [made]:
                block = decoded(offered)
                if block is None:
                    continue
                expected = verdict_of(lab, block)
                code = pipeline.give(block, lab.now, header_first=header_first)
                pipeline.settle()
                assert (code or pipeline.verdict(block)) is expected, case.name
                seen[expected] += 1
                if expected is None:
                    lab.accept(block)
            assert pipeline.holds(lab), case.name
            if lab.height > lab_on(on).height:
                lab = lab_on(on)
                pipeline = Pipeline(lab, random.Random(on))
    assert seen[None] >= 50
    assert {*Reject} - {*seen} == {Reject.MALFORMED, Reject.OVERSIZE}, "decoding; and never without a block too long"
