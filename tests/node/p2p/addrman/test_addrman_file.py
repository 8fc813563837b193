"""The address book as bytes: all of it comes back, and nothing that is damaged gets in."""

import math
import random

import pytest

from chain.errors import Invalid, Reject
from chain.hashes import sha256
from node.interface.endpoint import Endpoint
from node.interface.wall_clock import WallClock
from node.p2p.addrman import addrman_file
from node.p2p.addrman.addrman import AddrMan
from node.p2p.addrman.addrman_buckets import ENTRIES_MAX, HORIZON_S
from node.p2p.addrman.addrman_file import SECRET_SIZE, SUM_SIZE, VERSION
from tests.node.p2p.addrman.test_addrman import NOW, apart, book, proved, some
from tests.node.p2p.addrman.tried import is_tried


def filled(allow_local: bool = False) -> AddrMan:
    """With tried and new ones, failures, times and anchors."""
    known = book(allow_local)
    known.add(apart(300), Endpoint("9.9.9.9", 1), NOW)
    known.add(apart(300), Endpoint("9.8.9.9", 1), NOW + 5)
    for number, endpoint in enumerate(apart(60)):
        known.proved(endpoint, NOW + number, 0.001 * (number + 1), chosen=bool(number % 3))
    for endpoint in apart(20, 40):
        known.failed(endpoint, NOW + 100)
    known.add([Endpoint("2001:4860::1", 18444)], None, NOW)
    known.anchors = tuple(apart(2))
    return known


def restored(saved: bytes, allow_local: bool = False) -> AddrMan:
    known = AddrMan(random.Random(99), allow_local)
    known.load(saved)
    return known


def summed(body: bytes) -> bytes:
    """A file with a right sum."""
    return body + sha256(body)


def test_all_of_a_book_comes_back() -> None:
    known = filled()
    again = restored(known.dump())
    assert again.dump() == known.dump()
    assert len(again) == len(known) > 250
    assert again.anchors == tuple(apart(2))
    for endpoint in apart(300):
        assert (endpoint in again) == (endpoint in known)
        assert is_tried(again, endpoint) == is_tried(known, endpoint)
        assert again.round_trip_s(endpoint) == pytest.approx(known.round_trip_s(endpoint))
        if endpoint in known:
            assert again._entries[endpoint].places == known._entries[endpoint].places
            assert again._entries[endpoint].failures == known._entries[endpoint].failures


def test_times_are_unix_times_in_the_file_and_those_of_the_timers_in_the_book() -> None:
    """The next run's timers begin anew, where the machine was started since."""
    first, second = (AddrMan(random.Random(99), False, WallClock(1_600_000_000.3 - up_s)) for up_s in (90_000.0, 7.0))
    here, there = apart(2)
    first.proved(here, 90_000.0)
    first.failed(here, 90_020.0)
    first.add([there], None, 90_010.0)
    second.load(first.dump())
    again = second._entries[here]
    assert (again.proved, again.attempted) == (pytest.approx(7.0, abs=1.0), pytest.approx(27.0, abs=1.0))
    assert second._entries[there].heard == pytest.approx(17.0, abs=1.0)
    assert second._entries[there].attempted == -math.inf
    third = AddrMan(random.Random(98), False, second._wall)
    third.load(second.dump())
    assert third.dump() == second.dump(), "nothing drifts"


def test_it_goes_on_as_before() -> None:
    again = restored(filled().dump())
    assert again.nearest((), NOW + 1_000) == apart(2)[1]
    assert again.select((), NOW + 1_000) is not None
    assert not any(entry.is_terrible(NOW + 1_000) for entry in again._entries.values())
    assert all(entry.is_terrible(NOW + HORIZON_S + 1_000) for entry in again._entries.values())


def test_an_empty_book() -> None:
    assert len(restored(book().dump())) == 0


@pytest.mark.parametrize("position", [0, 1, SECRET_SIZE, 200, -SUM_SIZE - 1, -1])
def test_one_damaged_byte_is_noticed(position: int) -> None:
    damaged = bytearray(filled().dump())
    damaged[position] ^= 1
    with pytest.raises(Invalid) as caught:
        restored(bytes(damaged))
    assert caught.value.code == Reject.MALFORMED


@pytest.mark.parametrize("size", [0, 1, SUM_SIZE, 100, 1_000])
def test_a_file_cut_short_is_noticed(size: int) -> None:
    with pytest.raises(Invalid):
        restored(filled().dump()[:size])


def test_what_cannot_be_is_refused_even_with_a_right_sum() -> None:
    body = filled().dump()[:-SUM_SIZE]
    count_at = 1 + SECRET_SIZE + 1 + 2 * 19
    entry_at = count_at + 4
    changes = {
        "version": bytes((VERSION + 1,)) + body[1:],
        "trailing": body + b"\x00",
        "count": body[:count_at] + (ENTRIES_MAX + 1).to_bytes(4, "little") + body[entry_at:],
        "one more": body[:count_at] + (len(filled()) + 1).to_bytes(4, "little") + body[entry_at:],
        "family": body[:entry_at] + b"\x09" + body[entry_at + 1 :],
        "flag": body[: entry_at + 19] + b"\x02" + body[entry_at + 20 :],
        "time": body[: entry_at + 27] + b"\xff" + body[entry_at + 28 :],
    }
    restored(summed(body))
    for what, changed in changes.items():
        known = filled()
        before = known.dump()
        with pytest.raises(Invalid):
            known.load(summed(changed))
        assert known.dump() == before, f"half loaded: {what}"


def test_what_may_not_be_dialled_is_left_out() -> None:
    """A devnet's file in a public network's folder."""
    known = book(True)
    known.add([Endpoint("127.0.0.1", 1), Endpoint("8.8.8.8", 1)], None, NOW)
    known.anchors = (Endpoint("10.0.0.1", 1),)
    public = restored(known.dump(), allow_local=False)
    assert Endpoint("8.8.8.8", 1) in public
    assert len(public) == 1
    assert public.anchors == ()


def test_an_old_secret_cannot_put_two_in_one_place() -> None:
    known = filled()
    saved = addrman_file.decode(known.dump(), False, WallClock())
    entries = [*known._entries.values(), *known._entries.values()]
    twice = addrman_file.encode(addrman_file.Saved(saved.secret, (), entries), WallClock())
    again = restored(twice)
    assert len(again) == len(known)


def test_a_full_book_is_of_bounded_size() -> None:
    known = book(False)
    proved(known, some(5))
    size = len(known.dump()) - len(book(False).dump())
    assert size / 5 * ENTRIES_MAX < 8_000_000
