"""Kademlia's table and one search in it: who gets a place, who keeps it, who is asked next."""

import random

import pytest

from node.interface.endpoint import Endpoint, PeerId
from node.interface.messages import Neighbour
from node.p2p.discovery.kad_buckets import (
    FAILURES_MAX,
    SUBNET_IN_BUCKET,
    SUBNET_IN_TABLE,
    WAITING_MAX,
    K,
    RoutingTable,
    distance,
    subnet,
)
from node.p2p.discovery.kad_lookup import ALPHA, ASKED_MAX, HEARSAY_PER_SUBNET, Lookup
from tests.node.p2p.discovery.discovery_lab import node_id

OWN = PeerId(bytes(20))
NOW = 1_000.0


def far(number: int) -> PeerId:
    """Ids of the farthest bucket: half of all ids are there."""
    return PeerId(b"\xff" + number.to_bytes(19, "big"))


def at(number: int, bucket: int) -> PeerId:
    """The id at distance 2^bucket plus `number`."""
    return PeerId(((1 << bucket) + number).to_bytes(20, "big"))


def alone(number: int) -> Endpoint:
    """Each in a subnet of its own."""
    return Endpoint(f"20.{number // 250}.{number % 250}.7", 18444)


def table(allow_local: bool = False) -> RoutingTable:
    return RoutingTable(OWN, allow_local)


def test_a_bucket_is_full_and_who_has_a_place_keeps_it() -> None:
    known = table()
    assert all(known.proved(far(n), alone(n), NOW + n) for n in range(K))
    assert not any(known.proved(far(n), alone(n), NOW + n) for n in range(K, 3 * K))
    assert {contact.id for contact in known} == {far(n) for n in range(K)}
    assert known.proved(at(1, 10), alone(999), NOW)  # another bucket has room


def test_the_oldest_is_tested_and_only_its_silence_makes_room() -> None:
    known = table()
    for n in range(K):
        known.proved(far(n), alone(n), NOW + n)
    assert known.to_test(NOW + K, 1e9) is None  # nobody waits
    known.proved(far(50), alone(50), NOW + 50)
    tested = known.to_test(NOW + 51, 1e9)
    assert tested is not None
    assert tested.id == far(0)
    known.answered(far(0), NOW + 52)
    assert known.get(far(50)) is None
    second = known.to_test(NOW + 53, 1e9)
    assert second is not None
    assert second.id == far(1)
    assert known.failed(far(1))
    assert known.get(far(50)) is not None
    assert known.get(far(1)) is None
    assert known.to_test(NOW + 54, 1e9) is None


def test_who_waits_is_bounded_and_the_newest_comes_first() -> None:
    known = table()
    for n in range(K + 100):
        known.proved(far(n), alone(n), NOW + n)
    for n in range(K):
        known.failed(far(n))
        known.failed(far(n))
    waited = {far(n) for n in range(K + 100 - WAITING_MAX, K + 100)}
    assert {contact.id for contact in known} == waited


def test_the_dead_leave_even_if_nobody_waits() -> None:
    known = table()
    known.proved(far(1), alone(1), NOW)
    for _ in range(FAILURES_MAX - 1):
        assert not known.failed(far(1))
    known.answered(far(1), NOW + 1)
    for _ in range(FAILURES_MAX - 1):
        assert not known.failed(far(1))
    assert known.failed(far(1))
    assert len(known) == 0


def test_we_are_not_in_our_own_table() -> None:
    known = table()
    assert not known.proved(OWN, alone(1), NOW)
    assert known.get(OWN) is None


def test_one_listener_is_one_node_and_one_node_is_at_one_place() -> None:
    """New keys at one address replace each other, in whatever bucket they fall."""
    known = table()
    for n in range(50):
        known.proved(node_id(n), alone(1), NOW + n)
    assert [contact.id for contact in known] == [node_id(49)]
    known.proved(node_id(49), alone(2), NOW + 60)
    assert [contact.endpoint for contact in known] == [alone(2)]


@pytest.mark.parametrize("host", ["20.1.2.{}", "2001:db8:7::{:x}"])
def test_ids_of_one_subnet_get_few_places(host: str) -> None:
    known = table()
    for n in range(200):
        known.proved(far(n), Endpoint(host.format(n + 1), 18444), NOW + n)
    assert len(known) == SUBNET_IN_BUCKET
    for bucket in range(100, 159):
        for n in range(4):
            known.proved(at(n, bucket), Endpoint(host.format(n + 1), bucket), NOW)
    assert len(known) == SUBNET_IN_TABLE
    # Others have all the room that they had before.
    assert all(known.proved(far(1000 + n), alone(n), NOW) for n in range(K - SUBNET_IN_BUCKET))


def test_waiting_for_a_place_is_no_way_around_that() -> None:
    known = table()
    for n in range(K):
        known.proved(far(n), alone(n), NOW)
    known.proved(far(500), alone(500), NOW + 1)
    for n in range(200):
        known.proved(far(1000 + n), Endpoint(f"20.99.9.{n + 1}", 18444), NOW + 2)
    for n in range(K):
        known.failed(far(n))
        known.failed(far(n))
    assert len(known) == SUBNET_IN_BUCKET + 1
    assert known.get(far(500)) is not None


def test_on_one_machine_a_network_may_form() -> None:
    here = [Endpoint("127.0.0.1", 20_000 + n) for n in range(K)]
    local, public = table(allow_local=True), table()
    for n, endpoint in enumerate(here):
        local.proved(far(n), endpoint, NOW)
        public.proved(far(n), endpoint, NOW)
    assert len(local) == K
    assert len(public) == SUBNET_IN_BUCKET
    assert subnet(Endpoint("10.0.0.7", 1), True) == "10.0.0.0/24"


def test_the_closest_are_the_closest() -> None:
    known, rng = table(), random.Random(3)
    for n in range(300):
        known.proved(PeerId(rng.randbytes(20)), alone(n), NOW)
    target = rng.randbytes(20)
    every = sorted((contact.id for contact in known), key=lambda node: distance(node, target))
    assert [contact.id for contact in known.closest(target)] == every[:K]
    assert [contact.id for contact in known.closest(target, 3, every[:2])] == every[2:5]


def test_buckets_are_refreshed_in_turn() -> None:
    known, rng = table(), random.Random(4)
    assert known.stale_target(NOW, 100, rng) is None
    known.proved(at(3, 150), alone(1), NOW)
    targets = [known.stale_target(NOW, 100, rng) for _ in range(10)]
    assert all(targets)
    assert {distance(OWN, target).bit_length() - 1 for target in targets if target} == set(range(150, 160))
    assert known.stale_target(NOW + 99, 100, rng) is None
    assert known.stale_target(NOW + 100, 100, rng)


def neighbours(numbers: range) -> list[Neighbour]:
    return [Neighbour(node_id(n), alone(n)) for n in numbers]


def test_a_search_asks_a_few_at_once_and_finds_the_closest_of_a_network() -> None:
    rng = random.Random(5)
    everybody = [Neighbour(PeerId(rng.randbytes(20)), alone(n)) for n in range(400)]

    def ranked(nodes: list[Neighbour], target: bytes) -> list[Neighbour]:
        return sorted(nodes, key=lambda node: distance(node.id, target))

    knows = {node.id: ranked(rng.sample(everybody, 120), node.id)[:60] for node in everybody}
    target = rng.randbytes(20)
    search = Lookup(target, OWN, everybody[:3], False)
    asked: list[Neighbour] = []
    while not search.is_over:
        batch = []
        while node := search.next():
            batch.append(node)
        assert 0 < len(batch) <= ALPHA
        for node in batch:
            asked.append(node)
            search.answered(node.id, ranked(knows[node.id], target)[:K])
    assert len(asked) <= ASKED_MAX
    assert len(set(asked)) == len(asked)
    assert len(set(search.found()) & set(ranked(everybody, target)[:K])) >= K // 2


def test_the_silent_do_not_hold_up_a_search() -> None:
    search = Lookup(node_id(99), OWN, neighbours(range(1, 5)), False)
    asked = [search.next() for _ in range(ALPHA)]
    assert search.next() is None
    for node in asked:
        assert node is not None
        search.failed(node.id)
    last = search.next()
    assert last is not None
    search.answered(last.id, [])
    assert search.is_over
    assert search.found() == [last]


def test_an_endless_supply_of_ids_ends() -> None:
    """Somebody who answers with ever closer ids keeps us busy for one search, no longer."""
    search = Lookup(bytes(20), node_id(0), neighbours(range(1, 2)), False)
    count, waiting = 0, list[Neighbour]()
    while not search.is_over and count < 70:
        # Somebody is being asked all the time.
        while len(waiting) < 2 and (node := search.next()):
            waiting.append(node)
        node = waiting.pop(0)
        count += 1
        closer = [
            PeerId((1 << (158 - 2 * count)).to_bytes(20, "big")),
            PeerId(((1 << (157 - 2 * count)) | 1).to_bytes(20, "big")),
        ]
        search.answered(node.id, [Neighbour(each, alone(1000 + 2 * count + n)) for n, each in enumerate(closer)])
    assert count <= ASKED_MAX


def test_hearsay_sends_us_to_one_subnet_a_few_times_only() -> None:
    [liar] = neighbours(range(1, 2))
    search = Lookup(node_id(99), OWN, [liar], False)
    assert search.next() == liar
    search.answered(liar.id, [Neighbour(node_id(100 + n), Endpoint(f"20.66.6.{n + 1}", 80)) for n in range(K)])
    led = []
    while node := search.next():
        led.append(node)
        search.failed(node.id)
    assert len(led) == HEARSAY_PER_SUBNET


def test_a_wrong_endpoint_does_not_hide_the_right_one() -> None:
    liar, honest = neighbours(range(1, 3))
    search = Lookup(node_id(99), OWN, [liar, honest], False)
    assert {search.next(), search.next()} == {liar, honest}
    search.answered(liar.id, [Neighbour(node_id(7), alone(666))])
    wrong = search.next()
    assert wrong == Neighbour(node_id(7), alone(666))
    search.failed(wrong.id)
    search.answered(honest.id, [Neighbour(node_id(7), alone(7))])
    assert search.next() == Neighbour(node_id(7), alone(7))


def test_only_who_was_asked_can_answer() -> None:
    [node] = neighbours(range(1, 2))
    search = Lookup(node_id(99), OWN, [node], False)
    search.answered(node.id, neighbours(range(5, 9)))
    search.answered(node_id(77), neighbours(range(5, 9)))
    assert search.next() == node
    assert search.next() is None
