"""The composition, through its local calls: a payment's and a block's way in, and out again."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from chain.block import make_block
from chain.blocktemplate import solve
from chain.errors import Invalid, Reject, Rejected, Unready
from chain.keys import default_engine
from chain.params import REGTEST
from chain.tx import Tx
from node.core.node import Node
from node.core.submission import Submission
from node.interface.checked_block import examine
from node.interface.effects import Park, Publish, Step, Verified, Verify
from node.interface.events import TxAdded, TxRemoved
from node.mempool.policy import Policy
from node.p2p.connections.identity import NodeIdentity
from node.storage.memory import MemoryDisk
from node.storage.recovery import open_memory
from tests.chainlab import NOW, Lab, funded, lock, made_by, pay, reblock, with_coinbase, with_input, with_output

ENGINE = default_engine()
LATER = NOW + 10_000.0


class Driver:
    """A node whose signatures are verified in between, as the runtime does it."""

    def __init__(self) -> None:
        store = open_memory(MemoryDisk(), REGTEST.network_id)
        identity = NodeIdentity(bytes(31) + b"\x01", ENGINE, random.Random(1))
        self.node = Node(REGTEST, store, identity, random.Random(1))
        self.published: list[Publish] = []
        self.verified = 0
        self._carry_out(self.node.start(LATER))

    def call(self, ask: Callable[[Node, float], Step[Any]]) -> Any:
        for _ in range(10):
            reply = self._carry_out(ask(self.node, LATER))
            if not isinstance(reply, Park):
                return reply
        raise AssertionError("parked for ever")

    def _carry_out(self, step: Step[Any]) -> Any:
        todo = list(step.effects)
        for effect in todo:
            if isinstance(effect, Publish):
                self.published.append(effect)
            if isinstance(effect, Verify):
                self.verified += len(effect.checks)
                failure = ENGINE.first_failure(b"".join(effect.checks))
                todo += self.node.handle(None, Verified(effect.token, failure), LATER).effects
        return step.reply

    def deliver(self, txs: Sequence[Tx]) -> None:
        """A peer brings these."""
        self._carry_out(delivered(self.node, txs))

    def submit_block(self, block: Any) -> str | None:
        submission = Submission(examine(block, REGTEST))
        return self.call(lambda node, now: node.submit_block(submission, now))

    def submit_tx(self, tx: Tx) -> Any:
        return self.call(lambda node, now: node.submit_tx(tx, now))

    def mine(self) -> Any:
        block = self.call(lambda node, now: node.template(lock(), now))
        header = solve(block.header, 1000)
        assert header is not None
        found = make_block(header, block.txs)
        assert self.submit_block(found) is None
        return found

    @property
    def pool(self) -> set[bytes]:
        return set(self.node.view().pool.entries)


@pytest.fixture
def lab() -> Lab:
    return funded()


@pytest.fixture
def driver(lab: Lab) -> Driver:
    driver = Driver()
    for block in lab.blocks:
        assert driver.submit_block(block) is None
    return driver


def forged(tx: Tx) -> Tx:
    """The same with a signature that is well formed and wrong."""
    signature, key = tx.inputs[0].witness
    return with_input(tx, witness=(signature[:-2] + bytes((signature[-2] ^ 1,)) + signature[-1:], key))


def refusal(ask: Callable[[], object]) -> Rejected:
    with pytest.raises(Rejected) as caught:
        ask()
    return caught.value


def test_a_payment_is_verified_once_and_mined(driver: Driver, lab: Lab) -> None:
    payment = pay(lab.take(), fee=1000)
    before = driver.verified
    accepted = driver.call(lambda node, now: node.test_accept(payment, now))
    assert (accepted.txid, accepted.fee, driver.pool) == (payment.txid, 1000, set())
    assert driver.submit_tx(payment) == payment.txid
    assert driver.submit_tx(payment) == payment.txid
    assert driver.pool == {payment.txid}
    block = driver.mine()
    assert [tx.txid for tx in block.txs[1:]] == [payment.txid]
    assert driver.verified == before + 1
    assert driver.pool == set()
    told = [(p.topic, list(p.events), p.about) for p in driver.published if p.topic.startswith("mempool")]
    vsize = (payment.weight + 3) // 4
    assert told == [
        ("mempool_add", [TxAdded(payment.txid, 1000, vsize, 1)], payment),
        ("mempool_remove", [TxRemoved(payment.txid, "block", 2)], None),
    ]


def test_followers_are_told_of_every_change_of_the_mempool_in_its_order(driver: Driver, lab: Lab) -> None:
    """Of those too that a package has driven out; the last number is the one that readers see."""
    poor, parent = pay(lab.take(), fee=200), pay(lab.take(), fee=0)
    child = pay([made_by(parent)], fee=5000)
    driver.submit_tx(poor)
    driver.node._mempool.usage_max_bytes = driver.node.view().pool.usage * 2 + 1000
    outcome = driver.call(lambda node, now: node.submit_package([parent, child], now))
    assert not outcome.failed
    assert driver.pool == {parent.txid, child.txid}
    driver.mine()
    events = [event for p in driver.published if p.topic.startswith("mempool") for event in p.events]
    assert [event.txid for event in events] == [tx.txid for tx in (poor, parent, child, poor, parent, child)]
    assert [event.sequence for event in events] == list(range(1, 7))
    assert driver.node.view().pool.changes == 6


def test_a_wrong_signature_is_refused_and_remembered(driver: Driver, lab: Lab) -> None:
    payment = pay(lab.take(), fee=1000)
    bad = forged(payment)
    assert refusal(lambda: driver.submit_tx(bad)).code is Policy.SCRIPT_VERIFY
    before = driver.verified
    assert refusal(lambda: driver.submit_tx(bad)).code is Policy.SCRIPT_VERIFY
    assert driver.verified == before
    assert driver.submit_tx(payment) == payment.txid


def test_a_batch_with_wrong_ones_among_it(driver: Driver, lab: Lab) -> None:
    """A peer's delivery: what stands behind a wrong signature is verified all the same."""
    good = [pay(lab.take(), fee=1000) for _ in range(4)]
    batch = [good[0], forged(pay(lab.take(), fee=1000)), good[1], forged(pay(lab.take(), fee=1000)), *good[2:]]
    driver.deliver(batch)
    assert driver.pool == {tx.txid for tx in good}


PEER: Any = bytes(20)


def test_orphans_follow_their_parents(driver: Driver, lab: Lab) -> None:
    parent = pay(lab.take(), fee=1000)
    child = pay([made_by(parent)], fee=1000)
    grandchild = pay([made_by(child)], fee=1000)
    for tx in (grandchild, child):
        driver.deliver([tx])
    assert driver.pool == set()
    assert refusal(lambda: driver.submit_tx(child)).code is Reject.INPUTS_MISSING_OR_SPENT
    driver.submit_tx(parent)
    assert driver.pool == {parent.txid, child.txid, grandchild.txid}


def test_a_family_in_one_delivery_enters(driver: Driver, lab: Lab) -> None:
    """Children whose parents' signatures are still out wait for them, whatever the order."""
    parents = [pay(lab.take(), fee=1000) for _ in range(2)]
    child = pay([made_by(parent) for parent in parents], fee=1000)
    grandchild = pay([made_by(child)], fee=1000)
    batch = [grandchild, parents[0], child, parents[1]]
    driver.deliver(batch)
    assert driver.pool == {tx.txid for tx in batch}


def delivered(node: Node, txs: Sequence[Tx]) -> Step[None]:
    """The step in which a peer brings these."""
    node._txs.take_txs(PEER, txs, LATER)
    return node.tick(LATER)


def verdict(verify: Verify) -> Verified:
    return Verified(verify.token, ENGINE.first_failure(b"".join(verify.checks)))


def published(step: Step[Any], topic: str) -> list[Publish]:
    return [effect for effect in step.effects if isinstance(effect, Publish) and effect.topic.startswith(topic)]


@pytest.mark.parametrize("first", ["peer", "caller"])
def test_who_waits_for_a_transaction_is_woken(driver: Driver, lab: Lab, first: str) -> None:
    """Also if a peer has brought it, and its signatures are out already. Nobody else is."""
    node = driver.node
    mine, other = pay(lab.take(), fee=1000), pay(lab.take(), fee=1000)
    if first == "peer":
        [verify] = delivered(node, [other, mine]).effects
        step = node.submit_tx(mine, LATER)
        assert step.effects == ()
    else:
        step = node.submit_tx(mine, LATER)
        [verify] = step.effects
        assert not delivered(node, [mine]).effects
    assert isinstance(step.reply, Park)
    settled = node.handle(None, verdict(verify), LATER)
    assert [effect.topic for effect in published(settled, "tx:")] == [step.reply.topic]
    assert node.submit_tx(mine, LATER).reply == mine.txid
    assert not node._txs._awaited


def test_who_waits_for_a_wrong_one_is_woken(driver: Driver, lab: Lab) -> None:
    node = driver.node
    bad = forged(pay(lab.take(), fee=1000))
    step = node.submit_tx(bad, LATER)
    assert isinstance(step.reply, Park)
    [verify] = step.effects
    settled = node.handle(None, verdict(verify), LATER)
    assert [effect.topic for effect in published(settled, "tx:")] == [step.reply.topic]
    assert refusal(lambda: node.submit_tx(bad, LATER)).code is Policy.SCRIPT_VERIFY


def test_too_high_a_fee_is_taken_for_a_mistake(driver: Driver, lab: Lab) -> None:
    payment = pay(lab.take(), fee=100_000)
    error = refusal(lambda: driver.call(lambda node, now: node.submit_tx(payment, now, max_fee_rate=1000)))
    assert error.code is Policy.MAX_FEE_EXCEEDED
    assert driver.pool == set()


def test_words_for_blocks(driver: Driver, lab: Lab) -> None:
    fork, other = lab.copy(), lab.copy()
    first = fork.mine((), extra_nonce=1)
    rival = other.mine((), extra_nonce=2)
    assert driver.submit_block(first) is None
    assert driver.submit_block(first) == "duplicate"
    assert driver.submit_block(rival) == "inconclusive"
    assert driver.submit_block(rival) == "duplicate-inconclusive"
    greedy = fork.candidate((), extra_nonce=3)
    bad = reblock(with_coinbase(greedy, lambda cb: with_output(cb, 0, value=cb.outputs[0].value + 1)))
    assert refusal(lambda: driver.submit_block(bad)).code is Reject.CB_AMOUNT
    assert refusal(lambda: driver.submit_block(bad)).code is Reject.DUPLICATE_INVALID
    early = fork.copy()
    early.mine((), extra_nonce=4)
    orphan = early.mine((), extra_nonce=5)
    error = refusal(lambda: driver.submit_block(orphan))
    assert isinstance(error, Unready)
    assert error.code is Reject.PREV_NOT_FOUND


def test_a_reorganisation_brings_payments_back(driver: Driver, lab: Lab) -> None:
    r"""
    ::

        base --- payment
            \--- empty --- empty
    """
    payment = pay(lab.take(), fee=1000)
    fork = lab.copy()
    rivals = [fork.mine((), extra_nonce=n) for n in (1, 2)]
    driver.submit_tx(payment)
    driver.mine()
    assert driver.pool == set()
    assert driver.submit_block(rivals[0]) == "inconclusive"
    assert driver.submit_block(rivals[1]) is None
    assert driver.pool == {payment.txid}


def test_invalidate_and_reconsider(driver: Driver, lab: Lab) -> None:
    payment = pay(lab.take(), fee=1000)
    driver.submit_tx(payment)
    block = driver.mine()
    version = driver.node.view_version
    driver.call(lambda node, now: node.invalidate(block.hash, now))
    assert driver.node.view().tip.hash == lab.tip.hash
    assert driver.pool == {payment.txid}
    assert driver.node.view_version > version
    driver.call(lambda node, now: node.reconsider(block.hash, now))
    assert driver.node.view().tip.hash == block.hash
    assert driver.pool == set()
    with pytest.raises(ValueError, match="genesis"):
        driver.node.invalidate(driver.node.view().tree.genesis.hash, LATER)
    with pytest.raises(LookupError):
        driver.node.invalidate(bytes(32), LATER)  # type: ignore[arg-type]


def test_a_coinbase_is_no_payment(driver: Driver, lab: Lab) -> None:
    assert refusal(lambda: driver.submit_tx(lab.blocks[0].txs[0])).code is Policy.COINBASE
    hollow = lab.blocks[-1].txs[1]
    assert isinstance(refusal(lambda: driver.submit_tx(hollow)), Rejected)
    with pytest.raises(Invalid):
        driver.submit_tx(Tx(2, (), (), 0, hollow.txid, hollow.wtxid, b"", 0, b""))


def test_what_waits_expires_by_the_time_that_was_set(driver: Driver, lab: Lab) -> None:
    """The clock goes on for ever, and the mempool does not see it."""
    payment = pay(lab.take(), fee=1000)
    driver.call(lambda node, now: node.set_time(NOW, now))
    driver.submit_tx(payment)
    for years in (1, 2):
        driver._carry_out(driver.node.tick(LATER + years * 31_536_000))
    assert driver.pool == {payment.txid}
    driver.call(lambda node, now: node.set_time(None, now))
    driver._carry_out(driver.node.tick(LATER + 3 * 31_536_000))
    assert driver.pool == set()
