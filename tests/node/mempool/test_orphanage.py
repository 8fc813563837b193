"""Transactions without parents: who waits for whom, and whose share is whose."""

from itertools import count

from chain.hashes import Txid, sha256
from chain.scripttype import p2wpkh_script
from chain.tx import Tx, TxIn, TxOut, make_tx, outpoint
from node.interface.endpoint import PeerId
from node.mempool.orphanage import ORPHAN_LIFE_S, ORPHAN_PEERS_MAX, ORPHAN_WEIGHT_PER_PEER, ORPHANS_PER_PEER, Orphanage
from node.mempool.policy import MAX_TX_WEIGHT

NOW = 1000.0
_numbers = count()


def peer(number: int) -> PeerId:
    return PeerId(number.to_bytes(20, "big"))


def parent(number: int) -> Txid:
    return Txid(sha256(b"parent %d" % number))


def orphan(*parents: int, witness: int = 100) -> Tx:
    """A transaction that spends an output of each of these."""
    inputs = tuple(TxIn(outpoint(parent(number), next(_numbers)), b"", 0, (bytes(witness),)) for number in parents)
    return make_tx(2, inputs, (TxOut(1000, p2wpkh_script(bytes(20))),), 0)


def held(orphans: Orphanage, *parents: int, owner: int = 1, now: float = NOW, witness: int = 100) -> Tx:
    """An orphan of these parents, brought by a peer."""
    tx = orphan(*parents, witness=witness)
    assert orphans.add(peer(owner), tx, tuple(map(parent, parents)), now)
    return tx


def taken(orphans: Orphanage, *parents: int) -> list[Tx]:
    return [one.tx for one in orphans.take_children(map(parent, parents))]


def empty(orphans: Orphanage) -> bool:
    """Nothing is left of it, not even in the indexes."""
    return not (orphans._orphans or orphans._shares or orphans._waiting)


def test_children_of_a_parent_come_in_order() -> None:
    orphans = Orphanage()
    first, other, second = held(orphans, 1), held(orphans, 2), held(orphans, 1, owner=2)
    assert taken(orphans, 1) == [first, second]
    assert taken(orphans, 1) == []
    assert other.wtxid in orphans
    assert taken(orphans, 2) == [other]
    assert empty(orphans)


def test_one_of_two_parents_is_enough_to_try_again() -> None:
    orphans = Orphanage()
    tx = held(orphans, 1, 2)
    assert taken(orphans, 2) == [tx]
    assert taken(orphans, 1) == []
    assert empty(orphans)


def test_both_parents_at_once_give_it_once() -> None:
    orphans = Orphanage()
    tx = held(orphans, 1, 2)
    assert taken(orphans, 1, 2) == [tx]


def test_it_remembers_who_brought_it() -> None:
    orphans = Orphanage()
    tx = held(orphans, 1, owner=1)
    assert orphans.add(peer(2), tx, (parent(1),), NOW)
    assert orphans.add(peer(2), tx, (parent(1),), NOW)
    assert len(orphans) == 1
    found = orphans.get(tx.wtxid)
    assert found is not None
    assert found.peers == {peer(1), peer(2)}
    assert [one.peers for one in orphans.take_children([parent(1)])] == [{peer(1), peer(2)}]
    assert empty(orphans)


def test_what_waits_for_nobody_is_not_kept() -> None:
    orphans = Orphanage()
    assert not orphans.add(peer(1), orphan(1), (), NOW)
    assert empty(orphans)


def test_a_share_is_counted_and_its_oldest_goes() -> None:
    orphans = Orphanage()
    txs = [held(orphans, number) for number in range(ORPHANS_PER_PEER)]
    other = held(orphans, 0, owner=2)
    assert len(orphans) == ORPHANS_PER_PEER + 1
    held(orphans, 1000)
    assert txs[0].wtxid not in orphans
    assert txs[1].wtxid in orphans
    assert other.wtxid in orphans
    assert len(orphans) == ORPHANS_PER_PEER + 1


def test_a_share_is_weighed() -> None:
    orphans = Orphanage()
    weight = orphan(1, witness=60_000).weight
    fit = ORPHAN_WEIGHT_PER_PEER // weight
    txs = [held(orphans, 1, witness=60_000) for _ in range(fit + 1)]
    assert [tx.wtxid in orphans for tx in txs] == [False] + [True] * fit
    largest = orphan(2, witness=MAX_TX_WEIGHT - orphan(2, witness=300).weight + 298)
    assert largest.weight == MAX_TX_WEIGHT
    assert orphans.add(peer(1), largest, (parent(2),), NOW)
    assert len(orphans) == 1


def test_repeats_weigh_nothing() -> None:
    orphans = Orphanage()
    large = held(orphans, 1, witness=200_000)
    for _ in range(5):
        assert orphans.add(peer(1), large, (parent(1),), NOW)
    other = held(orphans, 1, witness=200_000)
    assert taken(orphans, 1) == [large, other]


def test_no_peer_pushes_out_another_s() -> None:
    """Flooding costs the flooder alone; what both brought stays as long as one keeps it."""
    orphans = Orphanage()
    mine = [held(orphans, number, owner=1) for number in range(ORPHANS_PER_PEER)]
    for tx in mine[:3]:
        assert orphans.add(peer(2), tx, (parent(0),), NOW)
    for number in range(3 * ORPHANS_PER_PEER):
        held(orphans, number, owner=2)
    assert all(tx.wtxid in orphans for tx in mine)
    assert len(orphans) == 2 * ORPHANS_PER_PEER
    found = orphans.get(mine[0].wtxid)
    assert found is not None
    assert found.peers == {peer(1)}


def test_a_peer_that_goes_takes_its_share() -> None:
    orphans = Orphanage()
    alone, shared = held(orphans, 1), held(orphans, 1)
    orphans.add(peer(2), shared, (parent(1),), NOW)
    orphans.forget(peer(1))
    assert (alone.wtxid in orphans, shared.wtxid in orphans) == (False, True)
    orphans.forget(peer(1))
    orphans.forget(peer(2))
    assert empty(orphans)


def test_there_are_so_many_shares_and_no_more() -> None:
    orphans = Orphanage()
    for number in range(ORPHAN_PEERS_MAX):
        held(orphans, 1, owner=number)
    assert not orphans.add(peer(ORPHAN_PEERS_MAX), orphan(1), (parent(1),), NOW)
    assert len(orphans) == ORPHAN_PEERS_MAX
    orphans.forget(peer(7))
    assert orphans.add(peer(ORPHAN_PEERS_MAX), orphan(1), (parent(1),), NOW)


def test_witnesses_tell_orphans_apart() -> None:
    """A copy with spoilt witnesses does not keep the real one out."""
    orphans = Orphanage()
    spoilt = orphan(1)
    real = make_tx(2, (TxIn(spoilt.inputs[0].outpoint, b"", 0, (b"real",)),), spoilt.outputs, 0)
    assert spoilt.txid == real.txid
    for tx, owner in ((spoilt, 1), (real, 2)):
        assert orphans.add(peer(owner), tx, (parent(1),), NOW)
    assert taken(orphans, 1) == [spoilt, real]


def test_parents_have_twenty_minutes() -> None:
    orphans = Orphanage()
    old, new = held(orphans, 1), held(orphans, 1, now=NOW + 1)
    orphans.expire(NOW + ORPHAN_LIFE_S - 1)
    assert len(orphans) == 2
    orphans.expire(NOW + ORPHAN_LIFE_S)
    assert (old.wtxid in orphans, new.wtxid in orphans) == (False, True)
    orphans.expire(NOW + ORPHAN_LIFE_S + 1)
    assert empty(orphans)


def test_the_last_of_a_share_may_be_replaced() -> None:
    """A share of one large orphan, when another large one comes."""
    orphans = Orphanage()
    held(orphans, 1, witness=300_000)
    second = held(orphans, 2, witness=300_000)
    assert len(orphans) == 1
    assert taken(orphans, 2) == [second]
    assert empty(orphans)
