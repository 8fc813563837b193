"""The node's pipelined form of the rule is the recipe of chain/validate.py: same verdicts, codes and coins.

A `Lab` judges each block by the recipe alone, from its bytes and with nothing known before. The node's
`Chainstate` takes the same blocks in pieces: headers first or not, bodies in runs and on forks, connected in
small slices over coins that are still being verified, verdicts on signatures late and in any order, some
payments verified before.
"""

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from chain.block import Block, decode_block, make_block
from chain.errors import Invalid, Reject, Rejected
from chain.hashes import BlockHash, Wtxid
from chain.params import REGTEST
from chain.tx import NULL_OUTPOINT, Tx, TxOut
from chain.validate import validate_header
from node.chainstate.chainstate import AHEAD_MAX, Chainstate
from node.chainstate.reorg import ConnectBatch
from node.interface.checked_block import examine
from node.storage.memory import MemoryDisk
from node.storage.recovery import open_memory
from node.storage.schema import coins_digest
from tests.chainlab import (
    ENGINE,
    FEE,
    KINDS,
    Lab,
    committed,
    funded,
    lock,
    made_by,
    pay,
    reblock,
    remade,
    solved,
    with_header,
    with_input,
    with_output,
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
        self.out: list[ConnectBatch] = []
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

    def take(self, judged: Sequence[tuple[Block, Reject | None]], now: int) -> None:
        """Take blocks in one after the other, some work between them; each verdict has to be the one beside it."""
        at_once = []
        for block, _ in judged:
            at_once.append(self.give(block, now, header_first=True))
            for _ in range(self.rng.randrange(3)):
                self.work()
        self.settle()
        for (block, expected), code in zip(judged, at_once, strict=True):
            assert (code or self.verdict(block)) is expected

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


# one case for each rule


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


# random blocks


class Author:
    """Draws blocks on a lab's tip, good and bad."""

    def __init__(self, rng: random.Random, known: set[Wtxid]) -> None:
        """Half of the payments are put into `known`: somebody has verified them before."""
        self.rng = rng
        self.known = known
        self.cases = [case for case in CASES if case.on == "funded" and case.expect is not Reject.DUPLICATE_INVALID]

    def honest(self, lab: Lab) -> Block:
        """A block with up to three payments, also of coins that it makes itself."""
        count = self.rng.choice((0, 1, 1, 2, 2, 3, 3))
        return lab.candidate(self._payments(lab, count), extra_nonce=self.rng.getrandbits(32))

    def any(self, lab: Lab) -> Block:
        """A block that is honest, a rule's case, or an honest one with something changed."""
        draw = self.rng.random()
        if draw < 0.2 or len(lab.blocks[-1].txs) == 1:  # some cases take the coins of the block before
            return self.honest(lab)
        if draw < 0.6:
            made = self.rng.choice(self.cases).mutate(lab.copy())
            block = decoded(made[-1] if isinstance(made, list) else made)
            block = block or self.honest(lab)
        else:
            block = self._bent(lab, self.honest(lab))
        bends = block.header.bits == REGTEST.pow_limit_bits and self.rng.random() < 0.1
        return self._header_bent(lab, block) if bends else block

    def _payments(self, lab: Lab, count: int) -> list[Tx]:
        rng, lab = self.rng, lab.copy()
        txs: list[Tx] = []
        for _ in range(count):
            owned = [lab.take(rng.choice(KINDS))[0] for _ in range(rng.randint(1, 2))]
            if txs and rng.random() < 0.4:
                owned[0] = made_by(txs[-1], len(txs[-1].outputs) - 1, lab.height + 1)
            total = sum(coin.value for _, coin in owned)
            parts = rng.randint(1, 2)
            txs.append(pay(owned, [TxOut((total - FEE) // parts, lock(rng.choice(KINDS), n)) for n in range(parts)]))
        self.known.update(tx.wtxid for tx in txs if rng.random() < 0.5)
        return txs

    def _bent(self, lab: Lab, block: Block) -> Block:
        """The block with one thing changed, and its merkle root, commitment and work right again."""
        rng, txs = self.rng, list(block.txs)
        at = rng.randrange(len(txs))
        match rng.randrange(8):
            case 0:
                txs[at] = with_output(txs[at], value=txs[at].outputs[0].value + rng.choice((-1, 1, 10**8, 2**62)))
            case 1:
                txs[at] = with_input(txs[at], sequence=rng.choice((0, 5, 1 << 22 | 1, 2**32 - 2)))
            case 2:
                txs[at] = remade(txs[at], lock_time=rng.choice((lab.height, lab.height + 1, lab.tip.median_time)))
            case 3:
                txs = [txs[0], *rng.sample(txs[1:], len(txs) - 1)]
            case 4:
                txs.append(txs[at])
            case 5:
                txs[at] = remade(txs[at], outputs=txs[at].outputs[:-1])
            case 6:
                txs[at] = with_input(txs[at], outpoint=rng.choice([*lab.coins, NULL_OUTPOINT]))
            case _:
                return self._byte_changed(block)
        return reblock(block, committed(txs)) if rng.random() < 0.8 and txs[0].outputs else reblock(block, txs)

    def _byte_changed(self, block: Block) -> Block:
        raw = bytearray(block.raw)
        raw[self.rng.randrange(80, len(raw))] ^= 1 << self.rng.randrange(8)
        changed = decoded(bytes(raw))
        if changed is None or self.rng.random() < 0.2:
            return changed or block
        return reblock(changed)

    def _header_bent(self, lab: Lab, block: Block) -> Block:
        """Another fault, of the header: one that comes first hides what is behind it."""
        changes = self.rng.choice(
            [{"version": 3}, {"time": lab.tip.median_time}, {"time": lab.now + 7201}, {"bits": 0x207FFFFE}]
        )
        return make_block(solved(with_header(block.header, **changes)), block.txs)


def run(seed: int) -> tuple[Counter[Reject | None], int]:
    """Rounds of blocks, each a run on the tip or on a block below it, the last one of any kind; returns the
    verdicts, and the most slices that were being verified at once.

    ::

        o --- o --- tip
         \\--- n --- n --- any       what is new has more work, so the node tries all of it
    """
    rng = random.Random(seed)
    lab = funded()
    pipeline = Pipeline(lab, rng)
    author = Author(rng, pipeline.known)
    chain = [lab]
    """The lab at each of the best chain's latest blocks, the tip's last."""
    condemned: set[BlockHash] = set()
    seen: Counter[Reject | None] = Counter()
    for _ in range(ROUNDS):
        depth = min(rng.choice((0, 0, *range(FORK_DEPTH_MAX + 1))), len(chain) - 1)
        below = chain[: len(chain) - depth]
        branch: list[Lab] = []
        judged: list[tuple[Block, Reject | None]] = []
        lab = below[-1]
        for _ in range(depth + rng.randrange(3)):
            lab = lab.copy()
            block = author.honest(lab)
            lab.accept(block)
            branch.append(lab)
            judged.append((block, None))
        lab = lab.copy()
        last = author.any(lab)
        code = Reject.DUPLICATE_INVALID if last.hash in condemned else verdict_of(lab, last)
        judged.append((last, code))
        if code is None:
            lab.accept(last)
            branch.append(lab)
        elif (entry := lab.tree.get(last.hash)) is not None and entry.invalid:
            condemned.add(last.hash)
        pipeline.take(judged, lab.now)
        seen.update(verdict for _, verdict in judged)
        if branch and branch[-1].height > chain[-1].height:
            chain = [*below, *branch][-FORK_DEPTH_MAX - 1 :]
        assert pipeline.holds(chain[-1])
    return seen, pipeline.ahead


@pytest.mark.parametrize("seed", range(10))
def test_random_blocks(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred blocks and more a seed: good and bad, on the tip and on forks, in slices of one to three blocks."""
    monkeypatch.setattr("node.chainstate.reorg.SLICE_TXS_MAX", 4)
    monkeypatch.setattr("node.chainstate.reorg.SLICE_BLOCKS_MAX", 1 + seed % 3)
    monkeypatch.setattr("node.chainstate.chainstate.SLICE_BLOCKS_MAX", 1 + seed % 3)
    seen, ahead = run(seed)
    assert seen[None] >= ROUNDS // 2
    assert sum(seen.values()) - seen[None] >= ROUNDS // 4
    assert len(seen) >= 8
    assert ahead >= AHEAD_MAX


@pytest.mark.parametrize(
    "step",
    [
        "chainstate.chainstate.validate_header",
        "interface.checked_block.check_body",
        "interface.checked_block.check_block",
    ],
)
def test_a_step_that_the_node_leaves_out_is_noticed(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"node.{step}", lambda *facts: None)
    with pytest.raises(AssertionError):
        run(seed=0)


def test_a_signature_that_the_node_does_not_verify_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    verified = Chainstate.verified
    monkeypatch.setattr(Chainstate, "verified", lambda chain, token, failure: verified(chain, token, None))
    with pytest.raises(AssertionError):
        run(seed=0)
