"""What the address book remembers, chooses and tells; and how little anybody can do about that."""

import random

import pytest

from node.interface.endpoint import Endpoint
from node.interface.messages import ADDRESSES_MAX
from node.p2p.addrman import addrman
from node.p2p.addrman.addrman import (
    ALIVE_S,
    COLLISIONS_MAX,
    FAILURES_MAX,
    NEAR_SAMPLE,
    REPLY_LOCAL_S,
    REPLY_S,
    RETRY_MAX_S,
    RETRY_S,
    SHARE_PERCENT,
    SOURCES_MAX,
    TELL_BURST,
    TELL_RATE,
    AddrMan,
)
from node.p2p.addrman.addrman_buckets import (
    BUCKET_SIZE,
    ENTRIES_MAX,
    HORIZON_S,
    NEW_BUCKETS_PER_SOURCE,
    PROVED_FAILURES,
    PROVED_S,
    REFERENCES_MAX,
    TRIED_BUCKETS_PER_GROUP,
    UNPROVED_FAILURES,
)
from tests.node.p2p.addrman.tried import is_tried

NOW = 1_000_000.0
DAY_S = 86_400.0
PORT = 18444


def book(allow_local: bool = True, seed: int = 1) -> AddrMan:
    return AddrMan(random.Random(seed), allow_local)


def some(count: int, start: int = 0) -> list[Endpoint]:
    """Of one network group."""
    return [Endpoint(f"20.0.{number // 250}.{number % 250 + 1}", PORT) for number in range(start, start + count)]


def apart(count: int, start: int = 0) -> list[Endpoint]:
    """Each in a group of its own."""
    return [Endpoint(f"{20 + number // 200}.{number % 200}.0.1", PORT) for number in range(start, start + count)]


def proved(known: AddrMan, endpoints: list[Endpoint], now: float = NOW) -> None:
    for endpoint in endpoints:
        known.proved(endpoint, now)


def used(known: AddrMan) -> tuple[set[int], set[int]]:
    """Buckets with anything in them: of the new, of the tried."""
    entries = known._entries.values()
    new, tried = ([e for e in entries if e.tried is flag] for flag in (False, True))
    return (
        {place // BUCKET_SIZE for entry in new for place in entry.places},
        {place // BUCKET_SIZE for entry in tried for place in entry.places},
    )


def test_the_book_takes_only_what_may_be_dialled() -> None:
    public = book(allow_local=False)
    assert public.add([Endpoint("127.0.0.1", 1), Endpoint("8.8.8.8", 1), Endpoint("localhost", 1)], None, NOW) == 1
    public.proved(Endpoint("localhost", 1), NOW)  # the operator's name for a peer: linked, but not told
    assert len(public) == 1
    assert public.sample(NOW) == ()


def test_our_own_is_not_remembered() -> None:
    known = book()
    [endpoint] = some(1)
    known.add([endpoint], None, NOW)
    known.is_ours(endpoint)
    known.add([endpoint], None, NOW)
    known.proved(endpoint, NOW)
    assert endpoint not in known


def test_a_source_may_tell_so_much_at_once_and_then_a_little_at_a_time() -> None:
    known, source = book(False), Endpoint("9.9.9.9", 1)
    assert (TELL_RATE, TELL_BURST) == (0.1, 1_000)
    offered = apart(3_000)
    first = known.add(offered[:1_500], source, NOW)
    assert 0.8 * TELL_BURST < first <= TELL_BURST  # a few find their place taken
    assert known.add(offered[1_500:], source, NOW + 9) == 0
    assert known.add(offered[1_500:], source, NOW + 100) <= 10
    # Another address of the same group is the same source; another group is not.
    assert known.add(offered[2_000:], Endpoint("9.9.1.1", 1), NOW + 101) == 0
    assert known.add(offered[2_000:2_900], Endpoint("9.8.1.1", 1), NOW + 101) > 500


def test_sources_counted_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addrman, "SOURCES_MAX", 10)
    known = book(False)
    for source in apart(50):
        known.add(some(1), source, NOW)
    assert len(known._allowances) == 10
    assert SOURCES_MAX == 1_024


def test_what_one_group_says_fills_64_buckets_at_most() -> None:
    """Whatever number of addresses it has, and of whatever groups those that it tells of are."""
    known = book(False)
    for number, source in enumerate(some(50)):
        known._allowances = type(known._allowances)(TELL_RATE, TELL_BURST, SOURCES_MAX)
        known.add(apart(1_000, 1_000 * number), source, NOW)
    new, _ = used(known)
    assert len(known) > 3_000
    assert len(new) <= NEW_BUCKETS_PER_SOURCE == 64


def test_the_endpoints_of_one_group_fill_8_tried_buckets_at_most() -> None:
    known = book(False)
    proved(known, some(1_000))
    _, tried = used(known)
    assert 1 < len(tried) <= TRIED_BUCKETS_PER_GROUP == 8
    many = book(False)
    proved(many, apart(1_000))
    assert len(used(many)[1]) > 200


def test_an_endpoint_has_eight_places_at_most_and_each_is_harder_to_get() -> None:
    known, [endpoint] = book(False), some(1)
    for source in apart(2_000, 100):
        known.add([endpoint], source, NOW)
    assert 5 <= len(known._entries[endpoint].places) <= REFERENCES_MAX == 8
    once = book(False)
    for source in apart(2, 100):
        once.add([endpoint], source, NOW)
    assert len(once._entries[endpoint].places) <= 2


def test_the_book_is_bounded_and_the_new_never_push_out_the_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ENTRIES_MAX == 81_920
    monkeypatch.setattr("node.p2p.addrman.addrman_buckets.NEW_BUCKETS", 4)
    known = book(False)
    good = apart(20)
    proved(known, good)
    known.add(apart(5_000, 500), None, NOW)
    assert len(known) <= 4 * BUCKET_SIZE + 20
    assert all(is_tried(known, endpoint) for endpoint in good)


def test_nobody_can_tell_the_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """They depend on a secret: what collides in one book does not in another."""
    one, other = book(False, 1), book(False, 2)
    endpoints = apart(200)
    for known in (one, other):
        proved(known, endpoints)
    places = [[known._entries[e].places for e in endpoints] for known in (one, other)]
    assert sum(a == b for a, b in zip(*places, strict=True)) < 10


def test_the_out_of_date_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.p2p.addrman.addrman_buckets.NEW_BUCKETS", 1)
    monkeypatch.setattr("node.p2p.addrman.addrman_buckets.NEW_BUCKETS_PER_SOURCE", 1)
    known = book(False)
    old, fresh = apart(2_000), apart(2_000, 3_000)
    known.add(old, None, NOW)
    assert len(known) == BUCKET_SIZE
    known.add(fresh, None, NOW + HORIZON_S - 1)
    assert sum(endpoint in known for endpoint in fresh) == 0
    known.add(fresh, None, NOW + HORIZON_S + 1)
    assert sum(endpoint in known for endpoint in old) == 0
    assert len(known) == BUCKET_SIZE


@pytest.fixture
def contested(monkeypatch: pytest.MonkeyPatch) -> tuple[AddrMan, Endpoint, Endpoint]:
    """A book where the second endpoint wants the first one's place among the tried."""
    monkeypatch.setattr("node.p2p.addrman.addrman_buckets.TRIED_BUCKETS", 1)
    known = book(False)
    for endpoint in apart(2_000):
        known.proved(endpoint, NOW)
        if not is_tried(known, endpoint):
            place = known._placing.among_tried(known._entries[endpoint])
            holder = known._tried.at(place)
            assert holder is not None
            return known, holder.endpoint, endpoint
    raise AssertionError("no collision")


def later(known: AddrMan, now: float) -> Endpoint | None:
    """Whom a feeler tests; nobody else is ready."""
    return known._contested((), now)


def test_a_tried_one_that_answers_keeps_its_place(contested: tuple[AddrMan, Endpoint, Endpoint]) -> None:
    known, holder, other = contested
    now = NOW + ALIVE_S + 1
    known._collisions[other] = now
    assert later(known, now) == holder
    known.proved(holder, now + 1)
    assert later(known, now + 2) is None
    assert is_tried(known, holder)
    assert not is_tried(known, other)
    assert other in known


def test_one_that_does_not_answer_loses_it(contested: tuple[AddrMan, Endpoint, Endpoint]) -> None:
    known, holder, other = contested
    now = NOW + ALIVE_S + 1
    known._collisions[other] = now
    assert known.feeler((), now) == holder
    known.failed(holder, now + 1)
    later(known, now + 2)
    assert is_tried(known, other)
    assert holder in known
    assert not is_tried(known, holder)


def test_our_own_trouble_evicts_nobody(contested: tuple[AddrMan, Endpoint, Endpoint]) -> None:
    known, holder, other = contested
    now = NOW + ALIVE_S + 1
    known._collisions[other] = now
    known.failed(holder, now + 1, counts=False)
    later(known, now + 2)
    assert is_tried(known, holder)
    assert not is_tried(known, other)


def test_collisions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.p2p.addrman.addrman_buckets.TRIED_BUCKETS", 1)
    known = book(False)
    proved(known, apart(500))
    assert len(known._collisions) == COLLISIONS_MAX == 10


def test_selection_leaves_out_the_excluded_and_the_resting() -> None:
    known = book()
    a, b, c = apart(3)
    known.add([a, b, c], None, NOW)
    known.failed(a, NOW)
    assert {known.select([b], NOW) for _ in range(20)} == {c}
    assert known.select([b, c], NOW) is None
    assert known.select([b, c], NOW + RETRY_S) == a
    assert known.select([], NOW, {known.group(b), known.group(c)}) is None


def test_half_of_the_choices_are_tried_ones() -> None:
    known = book(False)
    proved(known, apart(5))
    known.add(apart(200, 100), None, NOW)
    chosen = [known.select((), NOW) for _ in range(1_000)]
    assert 400 < sum(is_tried(known, endpoint) for endpoint in chosen if endpoint) < 600


def test_all_groups_are_chosen_alike_whatever_their_size() -> None:
    known = book(False)
    big, small = some(1_000), apart(9, 500)
    known.add(big, None, NOW)
    known.add(small, None, NOW)
    chosen = [known.select((), NOW) for _ in range(1_000)]
    assert 50 < sum(endpoint in big for endpoint in chosen) < 150


def test_the_nearest_tried_one_is_known_by_its_round_trips() -> None:
    known = book(False)
    endpoints = apart(NEAR_SAMPLE)
    for number, endpoint in enumerate(endpoints):
        known.proved(endpoint, NOW, 0.01 * (number + 1))
    known.proved(apart(1, 900)[0], NOW, 0.001, chosen=False)  # was not our choice
    assert known.nearest((), NOW) == endpoints[0]
    assert known.nearest(endpoints[:1], NOW, {known.group(endpoints[1])}) == endpoints[2]
    known.failed(endpoints[0], NOW)  # its record is not clean any more
    assert known.nearest((), NOW + DAY_S) == endpoints[1]
    assert book(False).nearest((), NOW) is None


def test_a_lower_round_trip_counts_at_once_a_higher_one_slowly() -> None:
    known, [endpoint] = book(), some(1)
    for measured, remembered in ((0.1, 0.1), (0.04, 0.04), (0.08, 0.05)):
        known.proved(endpoint, NOW, measured)
        assert known.round_trip_s(endpoint) == pytest.approx(remembered)


def test_rests_double_up_to_a_limit_and_end_in_oblivion() -> None:
    known = book()
    [endpoint] = some(1)
    known.add([endpoint], None, NOW)
    rest, now = RETRY_S, NOW
    for _ in range(FAILURES_MAX - 1):
        known.failed(endpoint, now)
        assert known.select([], now + min(rest, RETRY_MAX_S) - 1) is None
        now += min(rest, RETRY_MAX_S)
        assert known.select([], now) == endpoint
        rest *= 2
    known.failed(endpoint, now)
    assert endpoint not in known


def test_without_a_network_nothing_is_forgotten() -> None:
    known, [endpoint] = book(), some(1)
    known.add([endpoint], None, NOW)
    for hour in range(100):
        known.failed(endpoint, NOW + 3_600 * hour, counts=False)
    assert endpoint in known


def test_success_makes_up_for_failures() -> None:
    known = book()
    [endpoint] = some(1)
    known.add([endpoint], None, NOW)
    for _ in range(3 * FAILURES_MAX):
        known.failed(endpoint, NOW)
        known.proved(endpoint, NOW)
    assert known.select([], NOW) == endpoint


def test_one_that_answered_is_forgotten_only_after_a_week_of_silence() -> None:
    known, [endpoint] = book(), some(1)
    known.proved(endpoint, NOW)
    for _ in range(PROVED_FAILURES + 5):
        known.failed(endpoint, NOW + PROVED_S - 1)
    assert endpoint in known
    known.failed(endpoint, NOW + PROVED_S + 1)
    assert endpoint not in known


def test_whoever_broke_the_rules_is_forgotten() -> None:
    known, [endpoint] = book(), some(1)
    known.proved(endpoint, NOW)
    known.anchors = (endpoint,)
    known.blame(endpoint)
    assert endpoint not in known
    assert known.anchors == ()


def test_only_the_proved_are_told() -> None:
    known = book()
    known.add(some(10), None, NOW)
    assert known.sample(NOW) == ()
    proved(known, some(3))
    assert set(known.sample(NOW)) == set(some(3))
    assert set(known.sample(NOW, some(1))) == set(some(2, 1))


def test_a_reply_is_bounded() -> None:
    known = book()
    proved(known, apart(ADDRESSES_MAX + 200))
    assert len(known.sample(NOW)) == ADDRESSES_MAX
    assert len(set(known.sample(NOW))) == ADDRESSES_MAX


@pytest.mark.parametrize(("number", "told"), [(0, 0), (1, 1), (100, 23), (400, 92)])
def test_a_reply_tells_a_fraction_of_what_is_known(number: int, told: int) -> None:
    known = book(False)
    proved(known, apart(number))
    assert SHARE_PERCENT == 23
    assert len(known.sample(NOW)) == told


def test_a_reply_stays_the_same_for_a_day() -> None:
    known = book(False)
    proved(known, apart(400))
    first = known.sample(NOW)
    proved(known, apart(100, 500), NOW + 1)
    assert known.sample(NOW + REPLY_S - 1) == first
    assert known.sample(NOW + REPLY_S) != first
    assert REPLY_S == DAY_S


def test_a_young_node_does_not_stick_to_what_little_it_knew() -> None:
    known = book(False)
    proved(known, apart(10))
    assert len(known.sample(NOW)) == 2
    proved(known, apart(10, 500), NOW + 1)
    assert len(known.sample(NOW + 1)) == 4


def test_a_devnet_hears_of_everybody_at_once() -> None:
    known = book(True)
    proved(known, some(3))
    assert len(known.sample(NOW)) == 3
    proved(known, some(4))
    assert len(known.sample(NOW)) == 3
    assert len(known.sample(NOW + REPLY_LOCAL_S)) == 4


def test_who_has_failed_for_long_is_not_told() -> None:
    known = book()
    proved(known, some(1))
    known.add(some(2), None, NOW)
    for _ in range(UNPROVED_FAILURES):
        known.failed(some(2)[1], NOW)
    assert known.sample(NOW + HORIZON_S + 1) == ()
