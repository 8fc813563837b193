"""Addresses by hearsay, the first way in, and who only introduces others."""

from node.interface.endpoint import Endpoint, Link
from node.interface.messages import (
    PUSHED_MAX,
    Addresses,
    Announce,
    AnnounceAddress,
    FindNode,
    GetAddresses,
    GetHeaders,
    GetTxs,
    Headers,
    Inv,
    Neighbour,
    Nodes,
    Ok,
    Txs,
    Want,
)
from node.p2p.discovery.base import CombinedDiscovery
from node.p2p.discovery.bootstrap import ALONE_S, FIRST_S, MEET_S, MOST_S, Bootstrap
from node.p2p.discovery.config import DiscoveryConfig, DiscoveryMethod, make_discovery
from node.p2p.discovery.gossip import ACCEPTED, ASK_EVERY_S, FANOUT, PUSH_EVERY_S, Gossip
from node.p2p.discovery.tracker import STAY_S, TRACKED_MAX, TRACKED_S, Tracker
from tests.node.p2p.discovery.discovery_lab import Stage, node_id

NOW = 1_000_000.0


def place(number: int) -> Endpoint:
    return Endpoint(f"20.{number // 250}.{number % 250}.7", 18444)


def gossip(peers: int = 0) -> tuple[Stage, Gossip]:
    """With peers whose endpoints are no news any more."""
    stage = Stage()
    stage.way = way = Gossip(stage)
    for number in range(1, peers + 1):
        stage.join(number, place(number), NOW)
    way.tick(NOW)
    stage.questions.clear()
    return stage, way


def pushed(stage: Stage) -> list[tuple[Endpoint, ...]]:
    return [q.request.endpoints for q in stage.questions if isinstance(q.request, AnnounceAddress)]


def test_a_new_peer_is_asked_and_its_answer_is_hearsay() -> None:
    stage, _ = gossip()
    stage.join(1, place(1), NOW)
    assert stage.questions[0].request == GetAddresses()
    stage.answer(Addresses((place(5), place(6))), NOW)
    assert stage.told == [(place(5), place(1)), (place(6), place(1))]


def test_somebody_is_asked_from_time_to_time_while_there_is_room() -> None:
    stage, way = gossip(peers=3)
    for second in range(600):
        way.tick(NOW + second)
    asked = [question for question in stage.questions if question.request == GetAddresses()]
    assert 600 / ASK_EVERY_S - 1 <= len(asked) <= 600 / ASK_EVERY_S + 1
    stage.questions.clear()
    stage.wants = False
    for second in range(600, 1200):
        way.tick(NOW + second)
    assert not stage.questions


def test_news_go_to_a_few_once() -> None:
    stage, way = gossip(peers=10)
    now = NOW + PUSH_EVERY_S
    way.proved(node_id(50), place(50), now)
    way.proved(node_id(50), place(50), now)
    way.tick(now)
    assert pushed(stage) == [(place(50),)] * FANOUT
    assert len({question.link.peer for question in stage.questions}) >= FANOUT
    stage.questions.clear()
    way.proved(node_id(50), place(50), now + 1)
    way.tick(now + 2 * PUSH_EVERY_S)
    assert not pushed(stage)


def test_nobody_is_told_of_itself_nor_of_what_may_not_be_dialled() -> None:
    stage, way = gossip(peers=1)
    now = NOW + PUSH_EVERY_S
    way.proved(node_id(1), place(77), now)
    way.proved(node_id(60), Endpoint("10.0.0.1", 18444), now)
    way.proved(node_id(61), Endpoint("seed.example", 18444), now)
    way.tick(now)
    assert not pushed(stage)


def test_news_are_bounded() -> None:
    stage, way = gossip(peers=1)
    now = NOW + PUSH_EVERY_S
    for number in range(100, 300):
        way.proved(node_id(number), place(number), now)
    for second in range(int(PUSH_EVERY_S)):
        way.tick(now + second)
    assert [len(endpoints) for endpoints in pushed(stage)] == [PUSHED_MAX]


def test_a_teller_is_heard_as_far_as_its_tokens_go() -> None:
    stage, way = gossip(peers=2)
    for number in range(200):
        told = tuple(place(1000 + 8 * number + n) for n in range(PUSHED_MAX))
        assert way.serve(node_id(1), AnnounceAddress(told), NOW) == Ok()
    assert len(stage.told) == ACCEPTED.burst
    assert {source for _, source in stage.told} == {place(1)}
    way.serve(node_id(1), AnnounceAddress((place(7),) * PUSHED_MAX), NOW + 20)
    assert len(stage.told) == ACCEPTED.burst + 20 * ACCEPTED.per_second
    way.serve(node_id(2), AnnounceAddress((place(8),)), NOW)
    assert stage.told[-1] == (place(8), place(2))


def test_what_was_heard_is_not_passed_on() -> None:
    """Only a handshake of our own makes it news: a forged address ends here."""
    stage, way = gossip(peers=5)
    way.serve(node_id(1), AnnounceAddress((place(66),)), NOW)
    for second in range(200):
        way.tick(NOW + second)
    assert not pushed(stage)


def bootstrap(*numbers: int) -> tuple[Stage, Bootstrap]:
    stage = Stage()
    stage.way = way = Bootstrap([place(number) for number in numbers], stage)
    return stage, way


def run(way: Bootstrap, start: float, seconds: float) -> None:
    for tick in range(int(seconds)):
        way.tick(start + tick)


def test_all_are_tried_at_once_and_then_ever_slower() -> None:
    stage, way = bootstrap(1, 2)
    way.tick(NOW)
    assert stage.tried == [place(1), place(2)]
    run(way, NOW, 3600)
    assert 2 * 8 < len(stage.tried) < 2 * (3600 / MOST_S + 14)
    assert FIRST_S < MOST_S


def test_who_has_answered_is_left_alone() -> None:
    stage, way = bootstrap(1)
    way.tick(NOW)
    stage.join(1, place(1), NOW)
    run(way, NOW + 1, MEET_S - 1)
    assert len(stage.tried) == 1
    del stage.peers[node_id(1)]
    stage.join(2, place(2), NOW)
    way.left(node_id(1), NOW + 10)
    run(way, NOW + 11, MEET_S - 20)
    assert len(stage.tried) == 1  # we have another
    run(way, NOW + MEET_S, 2 * MEET_S)
    assert 2 <= len(stage.tried) <= 20
    stage.wants, before = False, len(stage.tried)
    run(way, NOW + 3 * MEET_S, 3 * MEET_S)
    assert len(stage.tried) == before


def test_who_is_alone_begins_again_but_not_at_once() -> None:
    stage, way = bootstrap(1)
    way.tick(NOW)
    peer = stage.join(1, place(1), NOW)
    del stage.peers[peer]
    way.left(peer, NOW + 50)
    run(way, NOW + 50, ALONE_S - 1)
    assert len(stage.tried) == 1
    run(way, NOW + 50 + ALONE_S, 10)
    assert len(stage.tried) >= 2


def test_a_tracker_introduces_who_was_proved_and_lets_go() -> None:
    stage = Stage()
    stage.way = way = Tracker(stage)
    first, second = stage.join(1, place(1), NOW), stage.join(2, place(2), NOW + 10)
    assert way.serve(second, GetAddresses(), NOW) == Addresses((place(1),))
    assert way.serve(first, FindNode(first), NOW) == Nodes((Neighbour(second, place(2)),))
    assert not way.tick(NOW + STAY_S - 1)
    way.tick(NOW + STAY_S)
    assert stage.dropped == [first]
    assert way.serve(second, GetAddresses(), NOW + STAY_S) == Addresses((place(1),))
    assert way.serve(second, GetAddresses(), NOW + TRACKED_S + 1) == Addresses(())


def test_a_tracker_takes_no_part_in_the_chain() -> None:
    way = Tracker(Stage())
    answers = [way.serve(node_id(1), request, NOW) for request in (GetHeaders(()), Announce(()), Inv(()), GetTxs())]
    assert answers == [Headers(()), Ok(), Want(()), Txs(())]


def test_a_tracker_remembers_a_bounded_number_and_nothing_forbidden() -> None:
    stage = Stage()
    way = Tracker(stage)
    way.proved(node_id(1), Endpoint("127.0.0.1", 22), NOW)
    assert way.serve(node_id(9), GetAddresses(), NOW) == Addresses(())
    for number in range(TRACKED_MAX + 50):
        way.proved(node_id(number), place(number), NOW)
    known = [way.serve(node_id(n), FindNode(node_id(n + 1)), NOW).neighbours[0].id for n in (0, 100)]
    assert known[0] != node_id(1)
    assert known[1] == node_id(101)


def test_a_way_that_is_off_has_empty_answers() -> None:
    for ways, request, empty in (
        (frozenset({DiscoveryMethod.GOSSIP}), FindNode(node_id(1)), Nodes(())),
        (frozenset({DiscoveryMethod.KADEMLIA}), GetAddresses(), Addresses(())),
        (frozenset({DiscoveryMethod.KADEMLIA}), AnnounceAddress((place(1),)), Ok()),
    ):
        stage = Stage()
        stage.known = (place(5),)
        stage.way = way = make_discovery(DiscoveryConfig(ways), stage)
        stage.join(1, place(1), NOW)
        stage.join(2, place(2), NOW)
        assert way.serve(node_id(1), request, NOW) == empty
        assert way.serve(node_id(1), Inv(()), NOW) is None


def test_all_ways_hear_of_everything() -> None:
    stages = [Stage(), Stage()]
    trackers = [Tracker(stage) for stage in stages]
    way = CombinedDiscovery(trackers)
    way.proved(node_id(1), place(1), NOW)
    way.linked(node_id(1), place(1), NOW)
    for stage in stages:
        stage.peers[node_id(1)] = Link(node_id(1), place(1), bytes(16))
    way.tick(NOW + STAY_S)
    assert [stage.dropped for stage in stages] == [[node_id(1)]] * 2
    assert all(t.serve(node_id(2), GetAddresses(), NOW) == Addresses((place(1),)) for t in trackers)
