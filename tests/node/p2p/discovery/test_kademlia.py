"""Kademlia at work: what it asks, whom it visits, what it believes, what it tells."""

import pytest

from node.interface.disconnect_reason import DisconnectReason
from node.interface.effects import Failed
from node.interface.endpoint import Endpoint
from node.interface.messages import NEIGHBOURS_MAX, Bye, FindNode, GetAddresses, Neighbour, Nodes, Ok, Reason, Refusal
from node.p2p.discovery.base import NoDiscovery
from node.p2p.discovery.kad_lookup import HEARSAY_PER_SUBNET
from node.p2p.discovery.kademlia import ORDINARY, Kademlia
from node.p2p.discovery.probes import (
    BY_TARGET,
    IN_TOTAL,
    LINGER_S,
    REST_S,
    VISIT_S,
    VISITOR_S,
    VISITORS_MAX,
    VISITS_MAX,
    ProbedBy,
    Probes,
)
from tests.node.p2p.discovery.discovery_lab import Stage, node_id

NOW = 1_000_000.0


def place(number: int) -> Endpoint:
    """Each in a subnet of its own."""
    return Endpoint(f"20.{number // 250}.{number % 250}.7", 18444)


def neighbours(*numbers: int) -> tuple[Neighbour, ...]:
    return tuple(Neighbour(node_id(number), place(number)) for number in numbers)


def kademlia(allow_local: bool = False) -> tuple[Stage, Kademlia]:
    stage = Stage(allow_local)
    stage.way = way = Kademlia(stage)
    return stage, way


def tell(stage: Stage, way: Kademlia, *told: Neighbour) -> None:
    """A peer is asked, and names these."""
    stage.join(1, place(1), NOW)
    way.tick(NOW)
    stage.answer(Nodes(told), NOW)


def test_the_first_search_is_for_our_own_id() -> None:
    stage, way = kademlia()
    way.tick(NOW)
    assert not stage.questions
    peer = stage.join(1, place(1), NOW)
    way.tick(NOW)
    assert [(question.link.peer, question.request) for question in stage.questions] == [(peer, FindNode(stage.own))]


def test_whoever_is_named_is_visited_asked_and_left() -> None:
    stage, way = kademlia()
    tell(stage, way, *neighbours(2))
    [knock] = stage.knocks
    assert (knock.endpoint, knock.expected) == (place(2), node_id(2))
    assert way.table.get(node_id(2)) is None
    stage.open(None, NOW)
    assert way.table.get(node_id(2)) is not None
    assert stage.answer(Nodes(()), NOW).request == FindNode(stage.own)
    assert stage.answer(Ok(), NOW).request == Bye()
    assert not stage.questions
    way.tick(NOW + LINGER_S - 1)
    assert not stage.closed
    way.tick(NOW + LINGER_S)
    assert stage.closed == [(node_id(2), DisconnectReason.VISIT_OVER)]


def test_who_has_become_a_peer_meanwhile_is_not_left() -> None:
    stage, way = kademlia()
    tell(stage, way, *neighbours(2))
    stage.open(None, NOW)
    stage.join(2, place(2), NOW)
    stage.answer(Nodes(()), NOW)
    assert not stage.questions
    way.tick(NOW + LINGER_S)
    assert not stage.closed


def test_a_visit_that_brings_nothing_ends_all_the_same() -> None:
    """Its requests may be lost with a session that ended meanwhile."""
    stage, way = kademlia()
    tell(stage, way, *neighbours(2))
    stage.open(None, NOW)
    stage.questions.clear()
    way.tick(NOW + VISIT_S + 1)
    way.tick(NOW + VISIT_S + ORDINARY.search + 2)
    assert stage.questions  # the next search is under way
    assert len(stage.knocks) <= 1


def test_visits_are_few_at_a_time() -> None:
    stage, way = kademlia()
    tell(stage, way, *neighbours(*range(2, 2 + NEIGHBOURS_MAX)))
    way.tick(NOW + 1)
    assert 0 < len(stage.knocks) <= VISITS_MAX


def test_searches_go_on_slower_and_slower_while_nothing_is_found() -> None:
    stage, way = kademlia()
    stage.join(1, place(1), NOW)
    asked, now = [], NOW
    while now < NOW + 7200:
        way.tick(now)
        while stage.questions:
            asked.append(now)
            stage.answer(Nodes(()), now)
        now += 1.0
    assert 10 < len(asked) < 250
    late = [time for time in asked if time > NOW + 5400]
    assert len(late) <= 1800 / ORDINARY.search_most + 8


def test_peers_without_a_link_are_not_visited() -> None:
    """Who greets us and cannot be dialled is no place to knock at."""
    stage, way = kademlia()
    stage.is_peer = lambda peer: True  # type: ignore[method-assign]
    tell(stage, way, *neighbours(2))
    assert not stage.knocks


def test_what_others_say_enters_no_table_and_is_told_to_nobody() -> None:
    stage, way = kademlia()
    tell(stage, way, *neighbours(*range(2, 10)))
    assert [contact.id for contact in way.table] == [node_id(1)]
    assert way.serve(node_id(50), FindNode(node_id(5)), NOW) == Nodes(neighbours(1))
    for _ in range(len(stage.knocks)):
        stage.open(Failed("another node answers there"), NOW)
    assert [contact.id for contact in way.table] == [node_id(1)]


def test_what_others_say_is_hearsay_for_the_book() -> None:
    stage, way = kademlia()
    tell(stage, way, *neighbours(2, 3))
    assert stage.told == [(place(2), place(1)), (place(3), place(1))]


def test_the_asker_is_not_told_of_itself() -> None:
    stage, way = kademlia()
    for number in (1, 2, 3):
        stage.join(number, place(number), NOW)
    told = way.serve(node_id(2), FindNode(node_id(2)), NOW)
    assert {neighbour.id for neighbour in told.neighbours} == {node_id(1), node_id(3)}
    assert way.serve(node_id(2), GetAddresses(), NOW) is None


FORBIDDEN = [
    "127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "::1", "fe80::1", "fd00::1", "ff02::1", "::ffff:127.0.0.1", "2002:7f00:1::", "localhost",
]  # fmt: skip


@pytest.mark.parametrize("host", FORBIDDEN)
def test_forbidden_places_are_neither_visited_nor_passed_on(host: str) -> None:
    stage, way = kademlia()
    tell(stage, way, Neighbour(node_id(2), Endpoint(host, 80)))
    stage.join(3, Endpoint(host, 80), NOW)  # an operator may have named it
    way.tick(NOW + 100)
    assert not stage.knocks
    assert not stage.told
    assert all(contact.endpoint.host != host for contact in way.table)
    assert Probes(stage).ask(Neighbour(node_id(2), Endpoint(host, 80)), Bye(), NOW, lambda reply, now: None) is False


def test_the_dead_are_found_out() -> None:
    stage, way = kademlia()
    stage.wants = False
    peer = stage.join(1, place(1), NOW)
    del stage.peers[peer]
    way.left(peer, NOW)
    now = NOW
    while len(way.table) and now < NOW + 4 * 3600:
        now += 10
        way.tick(now)
        while stage.knocks:
            stage.open(Failed("refused the connection"), now)
    assert ORDINARY.at_rest <= now - NOW < 3 * 3600


def knocks(visits: Probes, stage: Stage, neighbour: Neighbour, now: float, outcome: object) -> bool:
    if not visits.ask(neighbour, Bye(), now, lambda reply, now: None):
        return False
    stage.open(outcome, now)
    return True


def test_where_nobody_is_we_do_not_knock_again_soon() -> None:
    stage = Stage()
    visits = Probes(stage)
    [node] = neighbours(2)
    nobody = Failed("refused the connection")
    assert knocks(visits, stage, node, NOW, nobody)
    assert not knocks(visits, stage, node, NOW + REST_S - 1, nobody)
    assert knocks(visits, stage, node, NOW + REST_S, nobody)


def test_where_we_are_ourselves_we_do_not_knock_again() -> None:
    stage = Stage()
    visits = Probes(stage)
    [node] = neighbours(2)
    assert knocks(visits, stage, node, NOW, Refusal(Reason.SELF))
    assert not knocks(visits, stage, node, NOW + 1e6, None)


def test_visits_to_one_address_and_in_total_have_a_budget() -> None:
    """However many ids and ports somebody names there."""
    stage = Stage()
    visits = Probes(stage)
    nobody = Failed("refused the connection")
    same = [Neighbour(node_id(n), Endpoint("20.1.2.3", 1000 + n)) for n in range(100)]
    assert sum(knocks(visits, stage, node, NOW, nobody) for node in same) == BY_TARGET.burst
    others = [Neighbour(node_id(n), place(n)) for n in range(500)]
    assert sum(knocks(visits, stage, node, NOW, nobody) for node in others) == IN_TOTAL.burst - BY_TARGET.burst
    later = [Neighbour(node_id(n), place(n)) for n in range(500, 900)]
    assert sum(knocks(visits, stage, node, NOW + 60, nobody) for node in later) == 60 * IN_TOTAL.per_second


def test_a_liar_leads_us_to_a_third_party_a_few_times_only() -> None:
    """It answers every search with new ids at the ports of one subnet."""
    stage, way = kademlia()
    stage.join(1, place(1), NOW)
    led, serial, now = 0, 100, NOW
    while now < NOW + 3600:
        way.tick(now)
        while stage.questions or stage.knocks:
            while stage.knocks:
                stage.open(Failed("refused the connection"), now)
                led += 1
            if stage.questions:
                told = tuple(
                    Neighbour(node_id(serial + n), Endpoint("20.66.6.6", 1 + (serial + n) % 60_000))
                    for n in range(NEIGHBOURS_MAX)
                )
                serial += NEIGHBOURS_MAX
                stage.answer(Nodes(told), now)
        now += 1.0
    assert led <= BY_TARGET.burst + 3600 * BY_TARGET.per_second
    assert led <= HEARSAY_PER_SUBNET * (3600 / ORDINARY.search)


def test_few_visits_are_under_way_and_none_for_ever() -> None:
    stage = Stage()
    visits = Probes(stage)
    replies: list[object] = []

    def begin(number: int, now: float) -> bool:
        [node] = neighbours(number)
        return visits.ask(node, Bye(), now, lambda reply, now: replies.append(reply))

    assert sum(begin(number, NOW) for number in range(2, 30)) == VISITS_MAX
    visits.tick(NOW + VISIT_S)
    assert not begin(50, NOW + VISIT_S)
    visits.tick(NOW + VISIT_S + 1)
    assert replies == [Failed("the visit took too long")] * VISITS_MAX
    assert begin(50, NOW + VISIT_S + 1)
    stage.open(Failed("refused the connection"), NOW + VISIT_S + 2)  # too late for the first one
    assert len(replies) == VISITS_MAX


def test_visitors_are_few_and_do_not_stay() -> None:
    visitors = ProbedBy()
    for number in range(VISITORS_MAX):
        assert visitors.came(node_id(number), NOW + number) == []
    assert visitors.came(node_id(99), NOW + 99) == [node_id(0)]
    visitors.went(node_id(0))
    assert node_id(0) not in visitors
    assert visitors.overdue(NOW + 1 + VISITOR_S) == []
    assert visitors.overdue(NOW + 1.5 + VISITOR_S) == [node_id(1)]
    assert set(visitors.overdue(NOW + 1000)) == {node_id(n) for n in (*range(1, VISITORS_MAX), 99)}


def test_nowhere_finds_nothing() -> None:
    way = NoDiscovery()
    peer = node_id(1)
    way.linked(peer, place(1), NOW)
    way.proved(peer, place(1), NOW)
    way.left(peer, NOW)
    way.tick(NOW)
    assert way.serve(peer, GetAddresses(), NOW) is None
