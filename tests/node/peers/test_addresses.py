"""Where other nodes may be found: what may be dialled, what is remembered, what is told."""

import random

import pytest

from node.peers import addresses
from node.peers.addresses import (
    BOOK_MAX,
    FAILURES_MAX,
    RETRY_MAX_S,
    RETRY_S,
    AddressBook,
    advertised,
    is_dialable,
    normalise_host,
)
from node.peers.messages import ADDRESSES_MAX
from node.ports import Endpoint

NOW = 1_000.0


def book(allow_local: bool = True) -> AddressBook:
    return AddressBook(random.Random(1), allow_local)


def some(count: int, start: int = 0) -> list[Endpoint]:
    return [Endpoint(f"20.0.{number // 250}.{number % 250 + 1}", 18444) for number in range(start, start + count)]


PUBLIC = ["8.8.8.8", "2001:4860:4860::8888"]
LOCAL = ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "::1", "fe80::1", "fd00::1"]
NEVER = ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "localhost", "example.org", "", "1.2.3", "http://8.8.8.8"]
DISGUISED = ["::ffff:127.0.0.1", "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2"]


@pytest.mark.parametrize("host", PUBLIC)
def test_public_addresses_are_dialable(host: str) -> None:
    assert is_dialable(Endpoint(host, 18444), False)
    assert is_dialable(Endpoint(host, 18444), True)


@pytest.mark.parametrize("host", LOCAL)
def test_local_ones_only_where_allowed(host: str) -> None:
    assert not is_dialable(Endpoint(host, 18444), False)
    assert is_dialable(Endpoint(host, 18444), True)


@pytest.mark.parametrize("host", NEVER)
def test_names_and_no_places_never(host: str) -> None:
    assert not is_dialable(Endpoint(host, 18444), True)
    assert not is_dialable(Endpoint(host, 18444), False)


@pytest.mark.parametrize("host", DISGUISED)
def test_an_address_inside_another_is_not_public(host: str) -> None:
    assert not is_dialable(Endpoint(host, 18444), False)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_ports_are_ports(port: int) -> None:
    assert not is_dialable(Endpoint("8.8.8.8", port), True)


def test_one_form_of_an_address() -> None:
    assert normalise_host("::ffff:1.2.3.4") == "1.2.3.4"
    assert normalise_host("2001:DB8:0:0::1") == "2001:db8::1"
    assert normalise_host("node1") == "node1"


@pytest.mark.parametrize(
    ("listen", "told"), [("0.0.0.0", ""), ("::", ""), ("node1", ""), ("1.2.3.4", "1.2.3.4"), ("::1", "::1")]
)
def test_what_others_are_told_of_a_listener(listen: str, told: str) -> None:
    assert advertised(Endpoint(listen, 7)) == Endpoint(told, 7)


def test_the_book_takes_only_what_may_be_dialled() -> None:
    public = book(allow_local=False)
    public.add([Endpoint("127.0.0.1", 1), Endpoint("8.8.8.8", 1), Endpoint("localhost", 1)])
    assert len(public) == 1
    public.proved(Endpoint("localhost", 1), NOW)  # the operator's name for a peer: linked, but not told
    assert len(public) == 1


def test_only_the_proved_are_told() -> None:
    known = book()
    known.add(some(10))
    assert known.sample() == ()
    for endpoint in some(3):
        known.proved(endpoint, NOW)
    assert set(known.sample()) == set(some(3))
    assert set(known.sample(some(1))) == set(some(2, 1))


def test_a_reply_is_bounded() -> None:
    known = book()
    for endpoint in some(ADDRESSES_MAX + 200):
        known.proved(endpoint, NOW)
    assert len(known.sample()) == ADDRESSES_MAX
    assert len(set(known.sample())) == ADDRESSES_MAX


def test_selection_leaves_out_the_excluded_and_the_resting() -> None:
    known = book()
    a, b, c = some(3)
    known.add([a, b, c])
    known.failed(a, NOW)
    assert {known.select([b], NOW) for _ in range(20)} == {c}
    assert known.select([b, c], NOW) is None
    assert known.select([b, c], NOW + RETRY_S) == a


def test_rests_double_up_to_a_limit_and_end_in_oblivion() -> None:
    known = book()
    [endpoint] = some(1)
    known.add([endpoint])
    rest, now = RETRY_S, NOW
    for _ in range(FAILURES_MAX - 1):
        known.failed(endpoint, now)
        assert known.select([], now + min(rest, RETRY_MAX_S) - 1) is None
        now += min(rest, RETRY_MAX_S)
        assert known.select([], now) == endpoint
        rest *= 2
    known.failed(endpoint, now)
    assert endpoint not in known


def test_success_makes_up_for_failures() -> None:
    known = book()
    [endpoint] = some(1)
    known.add([endpoint])
    for _ in range(3 * FAILURES_MAX):
        known.failed(endpoint, NOW)
        known.proved(endpoint, NOW)
    assert known.select([], NOW) == endpoint


def test_the_book_is_bounded_and_keeps_the_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    assert BOOK_MAX == 2_000
    monkeypatch.setattr(addresses, "BOOK_MAX", 10)
    known = book()
    good = some(5)
    for endpoint in good:
        known.proved(endpoint, NOW)
    known.add(some(1_000, 100))
    assert len(known) == 10
    assert all(endpoint in known for endpoint in good)
    for endpoint in some(5, 2_000):
        known.proved(endpoint, NOW)
    assert len(known) == 10
    known.add(some(5, 3_000))  # all proved: the new are ignored
    assert not any(endpoint in known for endpoint in some(5, 3_000))


def test_our_own_is_not_remembered() -> None:
    known = book()
    [endpoint] = some(1)
    known.add([endpoint])
    known.is_ours(endpoint)
    known.add([endpoint])
    assert endpoint not in known
