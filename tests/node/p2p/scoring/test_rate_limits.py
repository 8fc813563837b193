"""How much a peer may send: what honest ones never feel, and what happens to all others."""

import pytest

from node.interface.effects import Failed
from node.interface.endpoint import PeerId
from node.interface.messages import GetAddresses
from node.p2p.scoring import rate_limits
from node.p2p.scoring.peer_scoring import PeerScoring
from node.p2p.scoring.rate_limits import (
    BURST_S,
    GREETINGS,
    IN_FLIGHT,
    LIMITS,
    LOCAL_TIMES,
    NAMELESS,
    OPEN,
    PEERS,
    REFUSED_A_MINUTE,
    RETRY_MAX_S,
    Limit,
    RateLimits,
    memory_bound,
)
from node.p2p.wire.codec import ROUTES

LONGEST = {name: route.request_max for name, route in ROUTES.items()}
ALICE, BOB = PeerId(b"a" * 20), PeerId(b"b" * 20)
HOST, OTHER = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def meter() -> RateLimits:
    return RateLimits(False, LONGEST)


def flood(meter: RateLimits, route: str, count: int, now: float = 0.0, size: int = 0, peer: PeerId = ALICE) -> int:
    """How many of so many messages at once are let in."""
    return sum(not meter.of_peer(peer, route, size, now).wait_s for _ in range(count))


def burst(limit: Limit) -> int:
    return int(limit.messages * BURST_S / 60)


def test_every_route_has_its_limits() -> None:
    assert set(LIMITS) == {*ROUTES, "block"}
    assert {name for name, route in ROUTES.items() if not route.session} | {"blocks", "block"} == OPEN
    for name, limit in LIMITS.items():
        assert limit.messages > 0
        assert limit.bytes >= ROUTES[name].request_max if name in ROUTES else True


def test_items_fit_into_a_message() -> None:
    """A list's length times the least that one of its items takes, and not ten times as much."""
    least = {"headers": 32, "blocks": 32, "announce": 80, "inv": 8, "gettxs": 20, "newaddress": 19, "compact": 6}
    for name, size in least.items():
        assert 0 < ROUTES[name].request_max - LIMITS[name].items * size < 101_000, name


def test_the_memory_bound_is_the_tables_sum() -> None:
    assert memory_bound() < 750_000_000
    assert sum(min(PEERS * limit.held, limit.held_most) for limit in LIMITS.values()) < memory_bound()


@pytest.mark.parametrize("route", LIMITS)
def test_a_peer_may_send_a_burst_and_then_its_rate(meter: RateLimits, route: str) -> None:
    limit = LIMITS[route]
    assert flood(meter, route, 2 * limit.messages) == max(1, burst(limit))
    wait_s = meter.of_peer(ALICE, route, 0, 0.0).wait_s
    assert 1 <= wait_s <= RETRY_MAX_S
    assert not meter.of_peer(ALICE, route, 0, float(wait_s)).wait_s
    assert not meter.of_peer(BOB, route, 0, 0.0).wait_s


@pytest.mark.parametrize("route", ["txs", "inv", "compact", "headers"])
def test_bytes_count_too(meter: RateLimits, route: str) -> None:
    size, rate = LONGEST[route], LIMITS[route].bytes / 60
    assert flood(meter, route, 2_000, size=size) == max(1, int(rate * BURST_S / size))
    assert not meter.of_peer(ALICE, route, 0, 0.0).wait_s
    wait_s = meter.of_peer(ALICE, route, size, 0.0).wait_s
    assert not meter.of_peer(ALICE, route, size, wait_s + 1e-6).wait_s


def test_an_honest_peer_at_full_speed_never_waits(meter: RateLimits) -> None:
    """The fastest that was measured: 8,100 transactions of 220 bytes a second, blocks 8 at a time."""
    for tenth in range(1_200):
        now = tenth / 10
        for _ in range(8):
            assert not meter.of_peer(ALICE, "txs", 100 * 222, now).wait_s
            assert not meter.of_peer(ALICE, "blocks", 270, now).wait_s
        assert not meter.of_peer(ALICE, "inv", 8_000, now).wait_s


def test_on_a_devnet_there_is_more_of_everything() -> None:
    """A thousand blocks a second can be found there, announced, and fetched."""
    meter = RateLimits(True, LONGEST)
    for route, limit in LIMITS.items():
        assert flood(meter, route, 20 * limit.messages) == max(
            1, burst(limit._replace(messages=limit.messages * LOCAL_TIMES))
        )


def test_who_waits_as_told_is_no_spammer(meter: RateLimits) -> None:
    now = 0.0
    for _ in range(500):
        verdict = meter.of_peer(ALICE, "addresses", 0, now)
        assert not verdict.is_spam
        now += verdict.wait_s


def test_who_does_not_wait_is(meter: RateLimits) -> None:
    flood(meter, "addresses", burst(LIMITS["addresses"]))
    verdicts = [meter.of_peer(ALICE, "addresses", 0, 0.0) for _ in range(IN_FLIGHT + 5)]
    assert [verdict.is_spam for verdict in verdicts] == [False] * IN_FLIGHT + [True] * 5
    assert not meter.of_peer(BOB, "addresses", 0, 0.0).is_spam


def test_addresses_are_counted_without_a_session(meter: RateLimits) -> None:
    count = burst(LIMITS["hello"])
    assert [bool(meter.of_host(HOST, "hello", 400, 0.0).wait_s) for _ in range(count + 1)] == [False] * count + [True]
    assert not meter.of_host(OTHER, "hello", 400, 0.0).wait_s
    assert sum(not meter.of_host(OTHER, "", 0, 0.0).wait_s for _ in range(5_000)) == burst(NAMELESS) - 1


def test_one_customer_has_one_ipv6_allowance(meter: RateLimits) -> None:
    for number in range(burst(LIMITS["hello"])):
        assert not meter.of_host(f"2001:db8::{number:x}", "hello", 400, 0.0).wait_s
    assert meter.of_host("2001:db8::ffff", "hello", 400, 0.0).wait_s
    assert not meter.of_host("2001:db8:0:1::1", "hello", 400, 0.0).wait_s


def test_greetings_of_all_are_limited_together(meter: RateLimits) -> None:
    let_in = sum(not meter.of_host(f"198.51.{n >> 8}.{n & 255}", "hello", 400, 0.0).wait_s for n in range(4_000))
    assert let_in == burst(GREETINGS)
    assert not meter.of_host(HOST, "blocks", 30, 0.0).wait_s


def test_ones_own_machine_is_not_counted_where_local_is_allowed() -> None:
    assert not any(RateLimits(True, LONGEST).of_host("127.0.0.1", "hello", 400, 0.0).wait_s for _ in range(1_000))
    meter = RateLimits(False, LONGEST)
    assert any(meter.of_host("127.0.0.1", "hello", 400, 0.0).wait_s for _ in range(1_000))
    assert meter.owner("::ffff:192.0.2.1") == meter.owner(HOST)


def test_who_is_refused_for_ever_is_not_heard_for_a_while(meter: RateLimits) -> None:
    for _ in range(burst(Limit(REFUSED_A_MINUTE, 0, 1, 0))):
        assert not meter.is_shut(HOST, 0.0)
        meter.refused(HOST, 0.0)
    assert meter.is_shut(HOST, 0.0)
    assert not meter.is_shut(OTHER, 0.0)
    assert not meter.is_shut(HOST, 1.0)


def test_what_is_counted_is_bounded(meter: RateLimits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "PEERS_MAX", 10)
    monkeypatch.setattr(rate_limits, "HOSTS_MAX", 20)
    for number in range(100):
        flood(meter, "addresses", 100, peer=PeerId(number.to_bytes(20, "big")))
        meter.of_host(f"192.0.2.{number}", "hello", 1, 0.0)
    assert len(meter) == 30
    assert len(meter._told) <= 10


def test_a_clock_set_back_gives_nothing(meter: RateLimits) -> None:
    flood(meter, "addresses", 100, now=1_000.0)
    assert meter.of_peer(ALICE, "addresses", 0, 0.0).wait_s
    assert meter.of_peer(ALICE, "addresses", 0, 0.5).wait_s


def test_having_us_wait_is_no_fault_and_spam_is() -> None:
    scoring = PeerScoring(False)
    scoring.met(ALICE)
    scoring.answered(ALICE, GetAddresses(), Failed("told to wait", retry_s=2.0), 0.0)
    assert scoring.scores.score(ALICE, 0.0) == 0
    for _ in range(100):
        scoring.service.spammed(ALICE)
    scoring.tick(lambda block_hash: None, 0.0)
    assert scoring.unbearable(0.0) == [ALICE]
