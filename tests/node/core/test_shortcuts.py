"""Work that is skipped changes no verdict: a node that skips all it can, beside one that skips nothing.

The node has the payments in its mempool, good and spoilt, before and after they are mined; blocks come
with views of it of any age; verdicts on signatures come late and in any order.
"""

import contextlib
import itertools
import random
from collections import Counter

import pytest

from chain.block import Block, decode_block
from chain.coins import Coin
from chain.errors import Rejected
from chain.hashes import BlockHash
from chain.keys import default_engine
from chain.params import REGTEST
from chain.script import Spend
from chain.tx import OutPoint, outpoint
from node.core.node import Node
from node.core.submission import Submission
from node.core.view import NodeView
from node.interface.checked_block import examine
from node.interface.effects import Step, Verified, Verify
from node.interface.messages import Blocks
from node.p2p.block_sync.unpack import prepare
from node.p2p.connections.identity import NodeIdentity
from node.storage.memory import MemoryDisk
from node.storage.recovery import open_memory
from tests.chainlab import NOW, funded
from tests.node.chainstate.forest import Forest, Planted
from tests.node.chainstate.test_chainstate import fresh
from tests.node.storage.digest import recompute_digest

ENGINE = default_engine()
LATER = NOW + 10_000.0
BLOCKS = 120
VIEWS_HELD = 4


class Skipper:
    """A node, what it waits for, and views of it that somebody still holds."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.store = open_memory(MemoryDisk(), REGTEST.network_id)
        identity = NodeIdentity(bytes(31) + b"\x01", ENGINE, random.Random(1))
        self.node = Node(REGTEST, self.store, identity, random.Random(1))
        self.out: list[Verify] = []
        self.verified = 0
        self.tips: set[BlockHash] = set()
        """Where the ledger has ever stood."""
        self.counts: Counter[str] = Counter()
        self._carry_out(self.node.start(LATER))
        self.views: list[NodeView] = []
        for block in funded().blocks:
            self.give(block.raw)
            self.settle()

    def _carry_out(self, step: "Step[object]") -> None:
        self.out += [effect for effect in step.effects if isinstance(effect, Verify)]

    def give(self, raw: bytes) -> None:
        """A block, unpacked with one of the views; or the node's own caller brings it."""
        self.views = [*self.views[-VIEWS_HELD:], self.node.view()]
        view = self.rng.choice([None, *self.views])
        known, checked = (view.tx_spending, view.pool.wtxids) if view else (None, frozenset())
        [body] = prepare(Blocks((raw,)), REGTEST, known, checked)
        assert body.block.txs == decode_block(raw).txs
        assert str(body.fault) == str(examine(decode_block(raw), REGTEST).fault)
        try:
            self._carry_out(self.node.submit_block(Submission(body), LATER))
        except Rejected as rejected:
            self.counts[str(rejected.code)] += 1

    def announce(self, block: Block) -> None:
        """A header that comes before its body."""
        with contextlib.suppress(Rejected):
            self.node._chain.submit_header(block.header, int(LATER))

    def pay(self, forest: Forest) -> None:
        """Somebody offers one of the payments."""
        try:
            self._carry_out(self.node.submit_tx(forest.offer(), LATER))
        except Rejected as rejected:
            self.counts[str(rejected.code)] += 1
        else:
            self.counts["offered"] += 1

    def verify_one(self) -> None:
        """Some verdict comes."""
        if self.out:
            errand = self.out.pop(self.rng.randrange(len(self.out)))
            self.verified += len(errand.checks)
            failure = ENGINE.first_failure(b"".join(errand.checks))
            self._carry_out(self.node.handle(None, Verified(errand.token, failure), LATER))
            self.tips.add(self.store.tip().hash)

    def settle(self) -> None:
        """Nothing is under way any more."""
        while self.out:
            self.verify_one()


def run(seed: int, window: int) -> tuple[Forest, Skipper]:
    """The bodies of `window` blocks come in any order, after their headers."""
    forest = Forest(seed)
    skipper = Skipper(random.Random(seed))
    skipper.verified = 0
    planted = iter(forest.grow(BLOCKS))
    while group := list(itertools.islice(planted, window)):
        for one in group if window > 1 else ():
            skipper.announce(one.block)
        skipper.rng.shuffle(group)
        for one in group:
            for _ in range(skipper.rng.randrange(6)):
                skipper.pay(forest)
            for _ in range(skipper.rng.choice([0, 1, 3, 30, 30])):
                skipper.verify_one()
            skipper.give(one.block.raw)
    skipper.settle()
    return forest, skipper


def check_pool(tip: Planted, skipper: Skipper) -> None:
    """What waits is signed rightly, for coins that are there."""
    entries = skipper.node.view().pool.entries
    made: dict[OutPoint, bytes] = {
        outpoint(entry.txid, index): Coin.make(0, False, output)[4:]
        for entry in entries.values()
        for index, output in enumerate(entry.tx.outputs)
    }
    for entry in entries.values():
        for spent, coin in zip(entry.tx.inputs, entry.spent, strict=True):
            confirmed = tip.coins.get(spent.outpoint)
            assert coin[4:] == (confirmed[4:] if confirmed else made[spent.outpoint])
        spend = Spend(entry.tx, entry.spent)
        checks = [spend.check(index) for index in range(len(entry.tx.inputs))]
        assert ENGINE.first_failure(b"".join(checks)) is None


def signatures(planted: list[Planted]) -> int:
    return sum(len(tx.inputs) for one in planted for tx in one.block.txs[1:])


@pytest.mark.parametrize(("seed", "window"), [(1, 1), (2, 1), (3, 1), (4, 1), (5, 6), (6, 6), (7, 25)])
def test_whatever_is_skipped_the_verdicts_are_the_same(seed: int, window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if seed % 2:
        monkeypatch.setattr("node.chainstate.reorg.SLICE_TXS_MAX", 5)
        monkeypatch.setattr("node.chainstate.reorg.SLICE_BLOCKS_MAX", 2)
        monkeypatch.setattr("node.chainstate.chainstate.SLICE_BLOCKS_MAX", 2)
    check(*run(seed, window), in_order=window == 1)


def check(forest: Forest, skipper: Skipper, *, in_order: bool) -> None:
    """All that the node came to, held against the reference."""
    node, chain = skipper.node, skipper.node._chain
    planted = {one.entry.hash: one for one in forest.planted}
    codes = Counter(one.code for one in planted.values())
    assert codes[None] >= BLOCKS // 3
    assert len(codes) >= 4
    assert chain.settled
    tip = planted[chain.tip.hash]
    assert all(planted[at].code is None for at in skipper.tips | {tip.entry.hash} if at in planted)
    assert tip.entry.chainwork == forest.best.entry.chainwork
    assert tip is forest.best or not in_order, "of equals the first"
    for entry in chain.tree.entries.values():
        assert not entry.invalid or planted[entry.hash].code is not None
    plain = fresh([*funded().blocks, *forest.branch(tip)])
    assert skipper.store.tip().digest == plain.store.tip().digest == recompute_digest(skipper.store)
    check_pool(tip, skipper)
    assert set(node._txs._accept._verified) <= forest.good_wtxids
    assert forest.good_wtxids.isdisjoint(node._txs._accept._guilty)
    assert 0 < skipper.verified < signatures(forest.planted[1:])
    assert skipper.counts["offered"] >= BLOCKS // 4
