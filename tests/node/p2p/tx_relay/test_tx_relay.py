"""Transactions: told once, asked for once, and never out of reach because one peer says so."""

import random
import tracemalloc
from typing import Any

import pytest

from chain.tx import Tx
from node.interface.effects import Failed
from node.interface.endpoint import PeerId
from node.interface.messages import INV_MAX, NAME_SIZE, TXS_BYTES_MAX, WANT_MAX, GetTxs, Inv, Txs
from node.p2p.tx_relay import tx_announce, tx_request
from node.p2p.tx_relay.tx_announce import DELIVERY_S, INV_S, LOCAL, ORDINARY, QUEUE_MAX, pace_for
from node.p2p.tx_relay.tx_request import HANDED_S, IN_FLIGHT_MAX, OFFERS_MAX, PARENTS_MAX
from node.p2p.wire import short_txid
from node.p2p.wire.short_txid import names_at
from tests.node.mempool.mempool_lab import made
from tests.node.p2p.tx_relay.relay_lab import FakePeer, RelayLab, wtxids


@pytest.fixture
def lab() -> RelayLab:
    return RelayLab()


class Silent(FakePeer):
    """Promises, and never delivers."""

    def serve(self, request: GetTxs) -> Any:
        return None


def test_what_is_announced_is_wanted_once(lab: RelayLab) -> None:
    txs = lab.make(3)
    first, second = lab.add(FakePeer(1, txs)), lab.add(FakePeer(2, txs))
    assert lab.announce(first, *txs) == tuple(wtxids(txs))
    assert lab.announce(first, *txs) == ()
    assert lab.announce(second, *txs) == ()
    assert lab.push(first, *txs) == ()
    assert lab.has(*txs)
    lab.run(LOCAL.ttl_s * 3)
    assert not second.asked
    assert set(lab.delivered.values()) == {1}


def test_what_is_here_is_not_wanted(lab: RelayLab) -> None:
    [tx] = lab.make()
    lab.submit(tx)
    assert lab.announce(lab.add(FakePeer(1)), tx) == ()


def test_at_most_so_many_in_flight(lab: RelayLab) -> None:
    txs = lab.make(250)
    peer = lab.add(FakePeer(1, txs))
    wanted = lab.announce(peer, *txs)
    assert list(wanted) == wtxids(txs[:IN_FLIGHT_MAX])
    assert lab.push(peer, *txs[:100]) == tuple(wtxids(txs[100:200]))
    assert lab.push(peer, *txs[100:150]) == tuple(wtxids(txs[200:250]))
    assert lab.push(peer, *txs[150:]) == ()
    assert lab.has(*txs)


def test_a_promise_expires_and_another_is_asked(lab: RelayLab) -> None:
    [tx] = lab.make()
    liar, honest = lab.add(FakePeer(1)), lab.add(FakePeer(2, [tx]))
    assert lab.announce(liar, tx) == (tx.wtxid,)
    assert lab.announce(honest, tx) == ()
    lab.run(LOCAL.ttl_s - 0.5)
    assert not lab.has(tx)
    lab.run(1)
    assert lab.has(tx)
    assert lab.sources[tx.wtxid] == honest.id


def test_many_promises_by_many_liars_only_delay(lab: RelayLab) -> None:
    txs = lab.make(40)
    liars = [lab.add(Silent(number)) for number in range(5)]
    for liar in liars:
        lab.announce(liar, *txs)
    honest = lab.add(FakePeer(9, txs))
    lab.announce(honest, *txs)
    lab.run(LOCAL.ttl_s * 6 + 5)
    assert lab.has(*txs)


def test_a_late_delivery_is_still_taken(lab: RelayLab) -> None:
    [tx] = lab.make()
    slow = lab.add(FakePeer(1))
    lab.announce(slow, tx)
    lab.run(LOCAL.ttl_s * 2)
    lab.push(slow, tx)
    assert lab.has(tx)


def test_a_forgotten_promise_can_be_made_again(lab: RelayLab) -> None:
    [tx] = lab.make()
    peer = lab.add(FakePeer(1))
    assert lab.announce(peer, tx) == (tx.wtxid,)
    lab.run(LOCAL.ttl_s + 1)
    assert lab.announce(peer, tx) == (tx.wtxid,)


def test_who_leaves_owes_nothing(lab: RelayLab) -> None:
    txs = lab.make(5)
    leaver, stayer = lab.add(FakePeer(1, txs)), lab.add(FakePeer(2, txs))
    lab.announce(leaver, *txs)
    lab.announce(stayer, *txs)
    lab.leave(leaver)
    lab.run(0.2)
    assert lab.has(*txs)


def test_who_has_it_no_longer_is_not_asked_in_a_circle(lab: RelayLab) -> None:
    [tx] = lab.make()
    gone, empty = lab.add(FakePeer(1)), lab.add(FakePeer(2))
    lab.announce(gone, tx)
    lab.announce(empty, tx)
    lab.leave(gone)
    lab.run(20)
    assert len(empty.asked) == 1


def test_a_failing_peer_is_not_asked_in_a_circle(lab: RelayLab) -> None:
    class Failing(FakePeer):
        def serve(self, request: GetTxs) -> Any:
            return Failed("connection lost")

    [tx] = lab.make()
    gone, failing = lab.add(FakePeer(1)), lab.add(Failing(2))
    lab.announce(gone, tx)
    lab.announce(failing, tx)
    lab.leave(gone)
    lab.run(10)
    assert 2 <= len(failing.asked) <= 11


def test_part_of_an_answer_is_asked_for_again(lab: RelayLab) -> None:
    """What did not fit into one message comes with the next."""

    class Stingy(FakePeer):
        def serve(self, request: GetTxs) -> Any:
            return Txs(super().serve(request).txs[:3])

    txs = lab.make(10)
    gone, stingy = lab.add(FakePeer(1)), lab.add(Stingy(2, txs))
    lab.announce(gone, *txs)
    lab.announce(stingy, *txs)
    lab.leave(gone)
    lab.run(5)
    assert lab.has(*txs)
    assert len(stingy.asked) == 4


def test_what_nobody_announced_is_ignored(lab: RelayLab) -> None:
    asked, unasked = lab.make(2)
    peer = lab.add(FakePeer(1))
    lab.announce(peer, asked)
    lab.push(peer, unasked, asked)
    assert lab.has(asked)
    assert not lab.has(unasked)


def test_an_answer_with_something_else_is_ignored(lab: RelayLab) -> None:
    class Swapping(FakePeer):
        def serve(self, request: GetTxs) -> Any:
            return Txs((other,))

    tx, other = lab.make(2)
    gone, swapping = lab.add(FakePeer(1)), lab.add(Swapping(2))
    lab.announce(gone, tx)
    lab.announce(swapping, tx)
    lab.leave(gone)
    lab.run(5)
    assert not lab.delivered


def test_nothing_is_fetched_while_catching_up_and_all_afterwards(lab: RelayLab) -> None:
    txs = lab.make(5)
    peer = lab.add(FakePeer(1, txs))
    lab.paused = True
    assert lab.announce(peer, *txs) == ()
    lab.run(5)
    assert not peer.asked
    lab.paused = False
    lab.run(1)
    assert lab.has(*txs)


def test_a_refused_transaction_is_not_fetched_before_the_tip_changes(lab: RelayLab) -> None:
    [tx] = lab.make()
    lab.judge = lambda peer, tx: lab.relay.tx_request.rejected(tx.wtxid)
    first, second = lab.add(FakePeer(1)), lab.add(FakePeer(2))
    lab.announce(first, tx)
    lab.push(first, tx)
    assert lab.announce(second, tx) == ()
    lab.push(second, tx)
    assert lab.delivered[tx.wtxid] == 1
    lab.relay.tx_request.on_tip((), True)
    assert lab.announce(second, tx) == (tx.wtxid,)


def test_a_refused_witness_does_not_hide_another(lab: RelayLab) -> None:
    [good] = lab.make()
    bad = lab.pool.pay(good.inputs[0].outpoint, to=good.outputs, witness=(b"bad",))
    assert bad.txid == good.txid
    lab.judge = lambda peer, tx: (
        lab.relay.tx_request.rejected(tx.wtxid) if tx.wtxid == bad.wtxid else lab.accept(peer, tx)
    )
    liar, honest = lab.add(FakePeer(1)), lab.add(FakePeer(2))
    lab.announce(liar, bad)
    lab.push(liar, bad)
    assert lab.announce(honest, good) == (good.wtxid,)
    lab.push(honest, good)
    assert lab.pool.pool.by_wtxid(good.wtxid)


def test_what_was_mined_is_not_fetched(lab: RelayLab) -> None:
    [tx] = lab.make()
    peer = lab.add(FakePeer(1, [tx]))
    lab.relay.tx_request.on_tip([tx.wtxid], True)
    assert lab.announce(peer, tx) == ()
    lab.relay.tx_request.on_tip([], False)  # its block left the chain
    assert lab.announce(peer, tx) == (tx.wtxid,)


def test_what_was_mined_meanwhile_is_not_waited_for(lab: RelayLab) -> None:
    """A peer that owes as much as it may owes nothing once all of it is in a block."""
    peer = lab.add(FakePeer(1))
    first, more = lab.make(IN_FLIGHT_MAX), lab.make(3)
    assert lab.announce(peer, *first, *more) == tuple(wtxids(first))
    lab.relay.tx_request.on_tip(wtxids(first), True)
    assert lab.announce(peer) == tuple(wtxids(more))


def test_what_the_mempool_works_on_is_not_fetched_for_a_while(lab: RelayLab) -> None:
    [tx] = lab.make()
    lab.judge = lambda peer, tx: None
    first, second = lab.add(FakePeer(1)), lab.add(FakePeer(2))
    lab.announce(first, tx)
    lab.push(first, tx)
    assert lab.announce(second, tx) == ()
    lab.run(HANDED_S + 1)
    assert lab.announce(second, tx) == (tx.wtxid,)


def test_parents_of_an_orphan_are_asked_of_whoever_brought_it(lab: RelayLab) -> None:
    [parent] = lab.make()
    child = lab.pool.pay(made(parent))

    def judge(peer: PeerId, tx: Tx) -> None:
        if tx is child and not lab.has(parent):
            lab.relay.tx_request.orphaned(tx, [parent.txid], peer, lab.now)
        else:
            lab.accept(peer, tx)

    lab.judge = judge
    other, peer = lab.add(FakePeer(1)), lab.add(FakePeer(2, [parent, child]))
    lab.announce(peer, child)
    lab.push(peer, child)
    lab.run(LOCAL.parent_s - 0.2)
    assert not peer.asked
    lab.run(1)
    assert peer.asked == [GetTxs((), (parent.txid,))]
    assert not other.asked
    assert lab.has(parent)


def test_a_parent_that_came_meanwhile_is_not_asked_for(lab: RelayLab) -> None:
    parent, child = lab.make(2)
    peer = lab.add(FakePeer(1, [parent]))
    lab.announce(peer, child)
    lab.judge = lambda peer, tx: lab.relay.tx_request.orphaned(tx, [parent.txid], peer, lab.now)
    lab.push(peer, child)
    lab.submit(parent)
    lab.run(3)
    assert not peer.asked


def test_what_is_accepted_is_told_to_those_who_lack_it(lab: RelayLab) -> None:
    txs = lab.make(20)
    source, other = lab.add(FakePeer(1, txs)), lab.add(FakePeer(2))
    lab.announce(source, *txs)
    lab.push(source, *txs)
    lab.run(2)
    assert source.told == []
    assert other.told == wtxids(txs)
    assert wtxids(other.got) == wtxids(txs)


def test_a_new_link_is_told_everything(lab: RelayLab) -> None:
    txs = lab.make(30)
    lab.submit(*txs)
    late = lab.add(FakePeer(1))
    lab.run(3)
    assert wtxids(late.got) == wtxids(txs)


def test_what_a_peer_announced_meanwhile_is_not_told_to_it(lab: RelayLab) -> None:
    [tx] = lab.make()
    peer = lab.add(FakePeer(1, [tx]))
    lab.submit(tx)
    lab.announce(peer, tx)
    lab.run(2)
    assert peer.told == []


def test_what_has_left_the_pool_is_not_told(lab: RelayLab) -> None:
    kept, mined = lab.make(2)
    peer = lab.add(FakePeer(1))
    lab.submit(kept, mined)
    lab.pool.mine(mined)
    lab.run(2)
    assert peer.told == [kept.wtxid]


def test_a_failed_announcement_is_repeated(lab: RelayLab) -> None:
    class Deaf(FakePeer):
        deaf = True

        def answer(self, request: Any) -> Any:
            return Failed("connection lost") if self.deaf else super().answer(request)

    txs = lab.make(3)
    peer = Deaf(1)
    lab.add(peer)
    lab.submit(*txs)
    lab.run(2)
    peer.deaf = False
    lab.run(2)
    assert set(wtxids(peer.got)) == set(wtxids(txs))


def test_many_are_told_and_delivered_in_lawful_messages(lab: RelayLab) -> None:
    txs = lab.make(INV_MAX + 150)
    peer = lab.add(FakePeer(1))
    lab.submit(*txs)
    lab.run(20)
    assert wtxids(peer.got) == wtxids(txs)
    messages = [send.message for send in lab.sent]
    assert max(len(m.names) for m in messages if isinstance(m, Inv)) == INV_MAX
    assert max(len(m.txs) for m in messages if isinstance(m, Txs)) == WANT_MAX


def test_what_came_due_during_a_delivery_is_announced_right_after(lab: RelayLab) -> None:
    """Thousands of payments do not wait for the next tick after each thousand of them."""
    txs = lab.make(3 * INV_MAX)
    peer = lab.add(FakePeer(1))
    lab.submit(*txs)
    lab.run(5)
    assert wtxids(peer.got) == wtxids(txs)
    announced = [position for position, send in enumerate(lab.sent) if isinstance(send.message, Inv)]
    for position in announced[1:]:
        announcement, delivery = lab.sent[position], lab.sent[position - 1]
        # As soon as the answer to the last delivery was here, which takes 20 ms.
        assert announcement.deadline - INV_S == pytest.approx(delivery.deadline - DELIVERY_S + 0.02)


def test_a_failing_peer_is_told_at_its_pace(lab: RelayLab) -> None:
    """Not as fast as it can fail."""

    class Deaf(FakePeer):
        def answer(self, request: Any) -> Any:
            return Failed("connection lost")

    lab.add(Deaf(1))
    lab.submit(*lab.make(3))
    lab.run(5)
    assert 20 < len(lab.sent) <= 50  # a tick is a tenth of a second


def test_deliveries_are_limited_in_bytes(lab: RelayLab, monkeypatch: pytest.MonkeyPatch) -> None:
    txs = lab.make(10)
    monkeypatch.setattr(tx_announce, "TXS_BYTES_MAX", 3 * txs[0].size)
    peer = lab.add(FakePeer(1))
    lab.submit(*txs)
    lab.run(3)
    assert wtxids(peer.got) == wtxids(txs)
    assert [len(s.message.txs) for s in lab.sent if isinstance(s.message, Txs)] == [3, 3, 3, 1]
    assert len(lab.relay.serve(peer.id, GetTxs((), tuple(tx.txid for tx in txs))).txs) == 3
    assert TXS_BYTES_MAX > tx_announce.TXS_BYTES_MAX


def test_only_what_was_told_is_delivered_and_once(lab: RelayLab) -> None:
    """Wanting cannot be used to make us send the same for ever, or to ask what we have."""

    class Insatiable(FakePeer):
        def want(self) -> Any:
            wanted = super().want()
            return type(wanted)(names_at(self.salt, [*self.told[:50], secret.wtxid]))

    secret, *txs = lab.make(5)
    peer = Insatiable(1)
    lab.add(peer)
    lab.submit(*txs)
    lab.run(1)
    lab.relay.left(PeerId(bytes(20)), lab.now)
    assert wtxids(peer.got) == wtxids(txs)
    peer.told.clear()
    lab.pool.add(secret)  # here, and not told to anybody
    lab.announce(peer, *lab.make(1))
    lab.run(2)
    assert wtxids(peer.got) == wtxids(txs)


def test_serving_by_both_ids(lab: RelayLab) -> None:
    txs = lab.make(4)
    lab.submit(*txs[:3])
    peer, stranger = lab.add(FakePeer(1)), FakePeer(2)
    lab.run(2)
    request = GetTxs(names_at(peer.salt, [txs[0].wtxid, txs[3].wtxid]), (txs[1].txid,))
    assert wtxids(lab.relay.serve(peer.id, request).txs) == wtxids(txs[:2])
    lab.add(stranger)
    assert wtxids(lab.relay.serve(stranger.id, request).txs) == wtxids(txs[1:2]), "it was told of none"


def test_an_answer_is_limited_in_number(lab: RelayLab) -> None:
    txs = lab.make(150)
    lab.submit(*txs)
    peer = lab.add(FakePeer(1))
    lab.run(2)
    names = names_at(peer.salt, wtxids(txs[:100]))
    served = lab.relay.serve(peer.id, GetTxs(names, tuple(tx.txid for tx in txs[100:])))
    assert wtxids(served.txs) == wtxids(txs[:WANT_MAX])


def test_offers_are_bounded(lab: RelayLab, monkeypatch: pytest.MonkeyPatch) -> None:
    assert OFFERS_MAX == 5_000
    monkeypatch.setattr(tx_request, "OFFERS_MAX", 30)
    txs = lab.make(50)
    peer = lab.add(FakePeer(1))
    lab.announce(peer, *txs)
    lab.push(peer, *txs[:30])
    assert lab.announce(peer, *txs) == tuple(wtxids(txs[30:]))


def test_names_that_mean_nothing_cost_little_however_many_peers_send_them(lab: RelayLab) -> None:
    """44 peers with 11,000 names each; it was 92 MB."""
    rng = random.Random(1)
    peers = [lab.add(FakePeer(number)) for number in range(44)]
    tracemalloc.start()
    for _ in range(11):
        for peer in peers:
            lab.relay.on_inv(peer.id, Inv(tuple(rng.randbytes(NAME_SIZE) for _ in range(INV_MAX))), lab.now)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 8_000_000


def test_with_all_those_an_honest_peer_is_heard(lab: RelayLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tx_request, "OFFERS_ALL_MAX", 60)
    monkeypatch.setattr(tx_request, "OFFERS_LEAST", 10)
    liars = [lab.add(Silent(number)) for number in range(3)]
    for liar in liars:
        lab.announce(liar, *lab.make(40))
    txs = lab.make(8)
    honest = lab.add(FakePeer(9, txs))
    assert lab.announce(honest, *txs) == tuple(wtxids(txs))
    for liar in liars:
        lab.leave(liar)
    more = lab.make(30)
    assert len(lab.announce(honest, *more)) == 30, "who has left takes no room"


def test_queues_are_bounded(lab: RelayLab, monkeypatch: pytest.MonkeyPatch) -> None:
    assert QUEUE_MAX == 5_000
    monkeypatch.setattr(tx_announce, "QUEUE_MAX", 10)
    peer = lab.add(FakePeer(1))
    txs = lab.make(25)
    lab.submit(*txs)
    lab.run(2)
    assert peer.told == wtxids(txs[-10:])


def test_parents_are_bounded(lab: RelayLab) -> None:
    many = [tx.txid for tx in lab.make(PARENTS_MAX + 50)]
    peer = lab.add(FakePeer(1))
    for start in range(0, len(many), 10):
        [child] = lab.make()
        lab.relay.tx_request.orphaned(child, many[start : start + 10], peer.id, lab.now)
    lab.run(3)
    assert sum(len(request.txids) for request in peer.asked) == PARENTS_MAX


def test_pace_follows_the_network() -> None:
    assert pace_for(True) is LOCAL
    assert pace_for(False) is ORDINARY


def test_announcements_are_spread_in_time() -> None:
    """Means of 2 s and 5 s: nobody can tell from the moment where a payment started."""
    waits: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(60):
        lab = RelayLab(ORDINARY, seed)
        out, inbound = lab.add(FakePeer(1)), lab.add(FakePeer(2), outbound=False)
        lab.run(3)
        start = lab.now
        lab.submit(*lab.make())
        for _ in range(600):
            lab.run(0.1)
            for peer in (out, inbound):
                if peer.told and len(waits[peer is out]) == seed:
                    waits[peer is out].append(lab.now - start)
            if out.told and inbound.told:
                break
    mean = {outbound: sum(found) / len(found) for outbound, found in waits.items()}
    assert 1.2 < mean[True] < 3.2
    assert 3.2 < mean[False] < 8


def test_a_transaction_has_one_name_at_each_node(lab: RelayLab) -> None:
    """Whoever announces it there; and nobody can prepare two that have one name everywhere."""
    [tx] = lab.make()
    one, two = lab.add(FakePeer(1)), lab.add(FakePeer(2))
    lab.submit(tx)
    lab.run(1)
    told = {send.link.peer: send.message.names for send in lab.sent if isinstance(send.message, Inv)}
    assert told == {peer.id: names_at(peer.salt, [tx.wtxid]) for peer in (one, two)}
    assert told[one.id] != told[two.id]


def test_names_of_what_has_left_are_swept_out(lab: RelayLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(short_txid, "SPARE_NAMES", 10)
    stays, *gone = lab.make(40)
    lab.submit(stays)
    for tx in gone:
        lab.relay.accepted(tx)  # and it leaves at once
    names = lab.relay._names
    assert len(names._held) <= 2 + 10
    assert names.pool() == [(names.of(stays.wtxid), stays.wtxid)]


def test_what_a_peer_was_told_of_is_bounded(lab: RelayLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tx_announce, "TOLD_MAX", 5)
    txs = lab.make(12)
    peer = lab.add(FakePeer(1))
    lab.submit(*txs)
    lab.run(2)
    assert len(lab.relay._peers[peer.id].told) == 5
    request = GetTxs(names_at(peer.salt, wtxids(txs)))
    assert wtxids(lab.relay.serve(peer.id, request).txs) == wtxids(txs[-5:])


def test_a_peer_that_is_told_of_nothing_is_served_nothing(lab: RelayLab) -> None:
    """One with which no transactions are exchanged asks all the same."""
    assert lab.relay.serve(FakePeer(9).id, GetTxs((bytes(8),))) == Txs(())
