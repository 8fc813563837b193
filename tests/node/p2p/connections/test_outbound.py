"""Whom to dial: near ones and any ones, groups apart, blocks only, feelers, anchors, better ones."""

import random

import pytest

from node.interface.endpoint import Endpoint, PeerId
from node.p2p.addrman.addrman import AddrMan
from node.p2p.connections.outbound import (
    BLOCKS_ONLY_MAX,
    FEELER_LOCAL_S,
    FEELER_S,
    NEAR_MAX,
    OUTBOUND_MAX,
    REVIEW_S,
    TARGETS_MAX,
    ConnectionType,
    OutboundConnections,
    Place,
    Target,
    is_clearly_nearer,
)
from tests.node.p2p.addrman.test_addrman import NOW, apart, some
from tests.node.p2p.addrman.tried import is_tried

NOBODY: tuple[Endpoint, ...] = ()


class Desk:
    """A dialler whose greetings are answered at once by whoever is up."""

    def __init__(self, *, allow_local: bool = False, seed: int = 1) -> None:
        rng = random.Random(seed)
        self.book = AddrMan(rng, allow_local)
        self.poor: set[PeerId] = set()
        self.dialler = OutboundConnections(rng, self.book, lambda peer, now: peer in self.poor)
        self.now = NOW
        self.distance: dict[Endpoint, float] = {}
        self.down: set[Endpoint] = set()
        self.felt: list[Endpoint] = []
        self.dropped: list[PeerId] = []

    def answer(self, target: Target) -> None:
        """What comes of a greeting."""
        peer, round_trip_s = PeerId(str(target.endpoint).encode()), self.distance.get(target.endpoint, 0.1)
        if target.endpoint in self.down:
            self.dialler.failed(target, "nobody there", self.now)
        elif target.kind is ConnectionType.FEELER:
            self.felt.append(target.endpoint)
            self.dialler.felt(target, self.now, round_trip_s)
        elif replaced := self.dialler.linked(target, peer, self.now, round_trip_s):
            self.dropped.append(replaced)
            self.dialler.lost(replaced, self.now)

    def run(self, seconds: float) -> None:
        """Let time pass, a second at a time."""
        for _ in range(int(seconds)):
            self.now += 1
            for target in self.dialler.due(self.now, NOBODY):
                self.answer(target)

    def at(self, *places: Place) -> set[Endpoint]:
        """Who is linked there."""
        return {t.endpoint for t in self.dialler.targets() if t.linked and t.place in places}


def met(desk: Desk, endpoints: list[Endpoint], round_trip_s: float) -> None:
    """Endpoints of former times."""
    for endpoint in endpoints:
        desk.distance[endpoint] = round_trip_s
        desk.book.proved(endpoint, desk.now, round_trip_s)


def test_half_are_near_and_half_are_any() -> None:
    assert (OUTBOUND_MAX, NEAR_MAX, BLOCKS_ONLY_MAX) == (8, 4, 2)
    near, far = apart(10), apart(300, 500)
    shares = []
    for seed in range(20):
        desk = Desk(seed=seed)
        met(desk, near, 0.005)
        met(desk, far[:20], 0.15)
        desk.book.add(far, None, desk.now)
        desk.run(5)
        assert len(desk.at(Place.NEAR)) == NEAR_MAX
        assert len(desk.at(Place.RANDOM)) == OUTBOUND_MAX - NEAR_MAX
        assert len(desk.at(Place.BLOCKS_ONLY)) == BLOCKS_ONLY_MAX
        assert desk.at(Place.NEAR) <= set(near)
        shares.append(len(desk.at(Place.RANDOM) & set(near)))
    assert sum(shares) < 20  # of 80


def test_no_two_of_ours_are_in_one_group() -> None:
    desk = Desk()
    desk.book.add(some(500), None, desk.now)
    met(desk, some(20, 600), 0.001)
    desk.book.add(apart(5, 1), None, desk.now)
    desk.run(200)
    linked = desk.at(*Place)
    assert len(linked) == 6
    assert len({desk.book.group(endpoint) for endpoint in linked}) == 6


def test_a_static_peer_takes_its_group_and_its_place() -> None:
    desk = Desk()
    [static] = some(1)
    desk.dialler.keep(static)
    desk.run(1)
    desk.book.add([*some(50, 1), *apart(50)], None, desk.now)
    desk.run(5)
    assert len(desk.at(Place.NEAR, Place.RANDOM)) == OUTBOUND_MAX - 1
    assert not desk.at(*Place) & set(some(50, 1))


def test_blocks_only_come_last() -> None:
    desk = Desk()
    desk.book.add(apart(OUTBOUND_MAX), None, desk.now)
    desk.run(30)
    assert len(desk.at(Place.NEAR, Place.RANDOM)) == OUTBOUND_MAX
    desk.book.add(apart(1, 100), None, desk.now)
    desk.run(30)
    assert desk.at(Place.BLOCKS_ONLY) == set(apart(1, 100))


def test_blocks_only_takes_nobody_away_from_the_others() -> None:
    """Nine are known, one of them is down."""
    for seed in range(10):
        desk = Desk(seed=seed)
        desk.book.add(apart(OUTBOUND_MAX + 1), None, desk.now)
        desk.down = set(apart(1))
        desk.run(10)
        assert len(desk.at(Place.NEAR, Place.RANDOM)) == OUTBOUND_MAX


def test_on_a_devnet_everybody_is_linked_at_once() -> None:
    desk = Desk(allow_local=True)
    nodes = [Endpoint("127.0.0.1", 20_000 + number) for number in range(3)]
    desk.book.add(nodes, None, desk.now)
    desk.run(1)
    assert desk.at(Place.NEAR, Place.RANDOM) == set(nodes)


def test_the_anchors_come_first_after_a_restart() -> None:
    desk = Desk()
    desk.book.add(apart(200), None, desk.now)
    desk.run(30)
    anchors = desk.at(Place.BLOCKS_ONLY)
    assert set(desk.book.anchors) == anchors
    assert len(anchors) == 2
    again = Desk(seed=7)
    again.book.load(desk.book.dump())
    first = again.dialler.due(NOW + 60, NOBODY)
    assert {target.endpoint for target in first[:2]} == anchors
    assert all(target.place is Place.BLOCKS_ONLY for target in first[:2])
    again.answer(first[0])  # the other one does not answer yet: it stays an anchor
    assert set(again.book.anchors) == anchors


def test_anchors_are_remembered_when_the_network_is_gone() -> None:
    desk = Desk()
    desk.book.add(apart(50), None, desk.now)
    desk.run(10)
    anchors = desk.book.anchors
    desk.down = set(apart(50))
    for target in list(desk.dialler.targets()):
        desk.dialler.lost(target.peer or PeerId(b""), desk.now)
    desk.run(600)
    assert not desk.at(*Place)
    assert desk.book.anchors == anchors
    assert len(desk.book) == 50


@pytest.mark.parametrize(("allow_local", "every_s"), [(False, FEELER_S), (True, FEELER_LOCAL_S)])
def test_feelers_go_out_all_the_time(allow_local: bool, every_s: float) -> None:
    assert (FEELER_S, FEELER_LOCAL_S) == (120, 10)
    desk = Desk(allow_local=allow_local)
    desk.book.add(apart(300), None, desk.now)
    desk.run(30 * every_s)
    assert 20 <= len(desk.felt) <= 45
    assert sum(is_tried(desk.book, endpoint) for endpoint in desk.felt) >= 0.9 * len(desk.felt)
    assert len(desk.at(Place.NEAR, Place.RANDOM)) == OUTBOUND_MAX


def test_a_clearly_nearer_one_replaces_the_farthest_of_the_near() -> None:
    desk = Desk()
    met(desk, apart(20), 0.1)
    desk.run(5)
    before, others = desk.at(Place.NEAR), desk.at(Place.RANDOM, Place.BLOCKS_ONLY)
    met(desk, apart(1, 100), 0.02)
    desk.run(REVIEW_S * 4)
    assert desk.at(Place.NEAR) & set(apart(1, 100))
    assert len(desk.at(Place.NEAR) & before) == NEAR_MAX - 1
    assert desk.at(Place.RANDOM, Place.BLOCKS_ONLY) == others
    assert len(desk.dropped) == 1


def test_a_little_nearer_is_no_reason() -> None:
    desk = Desk()
    met(desk, apart(20), 0.1)
    desk.run(5)
    before = desk.at(Place.NEAR)
    met(desk, apart(10, 100), 0.08)
    desk.run(REVIEW_S * 10)
    assert desk.at(Place.NEAR) == before
    assert not desk.dropped
    assert is_clearly_nearer(0.05, 0.1)
    assert not is_clearly_nearer(0.001, 0.005)  # milliseconds are noise
    assert not is_clearly_nearer(None, 0.1)


def test_a_bad_record_costs_a_near_one_its_place() -> None:
    """Whoever is nearest of the others takes it, though farther away; its nearness does not bring it back."""
    desk = Desk()
    met(desk, apart(4), 0.01)
    met(desk, apart(20, 100), 0.1)
    desk.run(5)
    [bad, *good] = sorted(desk.at(Place.NEAR))
    others = desk.at(Place.RANDOM, Place.BLOCKS_ONLY)
    desk.poor = {PeerId(str(bad).encode())}
    desk.run(REVIEW_S * 4)
    near = desk.at(Place.NEAR)
    assert bad not in near
    assert near >= set(good)
    assert len(near) == NEAR_MAX
    assert desk.dropped == [PeerId(str(bad).encode())]
    assert desk.at(Place.RANDOM, Place.BLOCKS_ONLY) == others


def test_a_bad_record_is_better_than_nobody() -> None:
    desk = Desk()
    met(desk, apart(4), 0.01)
    desk.run(5)
    desk.poor = {PeerId(str(endpoint).encode()) for endpoint in desk.at(Place.NEAR)}
    desk.run(REVIEW_S * 4)
    assert len(desk.at(Place.NEAR)) == len(desk.poor)
    assert not desk.dropped


def test_nobody_is_given_up_for_one_that_does_not_answer() -> None:
    desk = Desk()
    met(desk, apart(20), 0.1)
    desk.run(5)
    before = desk.at(Place.NEAR)
    met(desk, apart(1, 100), 0.02)
    desk.down = set(apart(1, 100))
    desk.run(REVIEW_S * 4)
    assert desk.at(Place.NEAR) == before


def test_a_second_way_to_a_peer_takes_no_place() -> None:
    desk = Desk()
    desk.book.add(apart(30), None, desk.now)
    [first, *_] = [t for t in desk.dialler.due(desk.now, NOBODY) if t.kind is ConnectionType.LEARNED]
    desk.dialler.linked(first, PeerId(b"somebody"), desk.now, 0.1, known=True)
    assert first.kind is ConnectionType.BACK
    desk.run(10)
    assert len(desk.at(Place.NEAR, Place.RANDOM)) == OUTBOUND_MAX
    desk.dialler.lost(PeerId(b"somebody"), desk.now)
    assert first not in desk.dialler.targets()


def test_who_greets_us_cannot_use_up_our_list() -> None:
    desk = Desk()
    for number, endpoint in enumerate(some(TARGETS_MAX + 50)):
        desk.dialler.back(endpoint, PeerId(b"%d" % number), desk.now)
    assert len(list(desk.dialler.targets())) == TARGETS_MAX
    desk.book.add(apart(30), None, desk.now)
    desk.run(5)
    assert len(desk.at(Place.NEAR, Place.RANDOM)) == OUTBOUND_MAX


def test_who_is_dialled_back_is_no_tried_one() -> None:
    desk = Desk()
    [endpoint] = some(1)
    desk.dialler.back(endpoint, PeerId(b"x"), desk.now)
    desk.run(1)
    assert endpoint in desk.book
    assert not is_tried(desk.book, endpoint)


def test_who_greets_us_while_its_address_is_felt_is_dialled_back_all_the_same() -> None:
    desk = Desk()
    [endpoint] = some(1)
    feeler = Target(endpoint, ConnectionType.FEELER)
    desk.dialler._targets[endpoint] = feeler
    desk.dialler.back(endpoint, PeerId(b"x"), desk.now)
    desk.dialler.felt(feeler, desk.now, 0.1)
    assert [(target.kind, target.peer) for target in desk.dialler.targets()] == [(ConnectionType.BACK, PeerId(b"x"))]


def test_another_at_the_address_of_one_that_does_not_answer_is_dialled_in_its_place() -> None:
    desk = Desk()
    [endpoint] = some(1)
    desk.dialler.back(endpoint, PeerId(b"old"), desk.now)
    [target] = desk.dialler.due(desk.now, NOBODY)
    desk.dialler.failed(target, "refused the connection", desk.now)
    assert not desk.dialler.is_about_to_greet(endpoint, PeerId(b"new"))
    desk.dialler.back(endpoint, PeerId(b"new"), desk.now)
    assert desk.dialler.is_about_to_greet(endpoint, PeerId(b"new"))
    assert [(target.peer, target.failures) for target in desk.dialler.due(desk.now, NOBODY)] == [(b"new", 0)]


def test_what_the_operator_wants_kept_stays_when_its_feeler_is_back() -> None:
    desk = Desk()
    [endpoint] = some(1)
    feeler = Target(endpoint, ConnectionType.FEELER)
    desk.dialler._targets[endpoint] = feeler
    assert desk.dialler.keep(endpoint)
    desk.dialler.felt(feeler, desk.now, 0.1)
    assert [target.kind for target in desk.dialler.targets()] == [ConnectionType.STATIC]
