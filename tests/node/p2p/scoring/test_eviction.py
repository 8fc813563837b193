"""Who makes room: each way to be safe, and who goes of the rest."""

import random
from dataclasses import replace
from typing import Any

import pytest

from node.interface.endpoint import PeerId
from node.p2p.scoring.eviction import (
    PROTECTED_BLOCKS,
    PROTECTED_GOOD,
    PROTECTED_GROUPS,
    PROTECTED_NEAR,
    PROTECTED_TXS,
    EvictionCandidate,
    choose_victim,
)
from node.p2p.scoring.peer_score import CHOKE, PREFER

SALT = b"salt"


def crowd(count: int, **same: Any) -> list[EvictionCandidate]:
    """The first is here longest; all alike otherwise, each in a group of its own."""
    plain = EvictionCandidate(PeerId(bytes(20)), 0, 0.0, 0.1, 0.0, 0.0, 0.0)
    return [
        replace(plain, id=PeerId(number.to_bytes(20, "big")), **({"group": number, "since": float(number)} | same))
        for number in range(count)
    ]


def survivors(peers: list[EvictionCandidate]) -> set[PeerId]:
    """Those that are never evicted, however often somebody has to go."""
    left = list(peers)
    while (victim := choose_victim(left, SALT)) is not None:
        left = [peer for peer in left if peer.id != victim]
    return {peer.id for peer in left}


def test_nobody_is_evicted_of_a_few() -> None:
    """As many are protected by their group and nearness; the rest by age leaves one."""
    assert choose_victim([], SALT) is None
    assert choose_victim(crowd(PROTECTED_GROUPS + PROTECTED_NEAR), SALT) is None
    assert choose_victim(crowd(PROTECTED_GROUPS + PROTECTED_NEAR + 1), SALT) is not None


@pytest.mark.parametrize(
    ("merit", "count"),
    [
        ({"round_trip_s": 0.001}, PROTECTED_NEAR),
        ({"last_tx": 5.0}, PROTECTED_TXS),
        ({"last_block": 5.0}, PROTECTED_BLOCKS),
        ({"score": PREFER}, PROTECTED_GOOD),
    ],
)
def test_the_best_in_one_respect_are_safe(merit: dict[str, Any], count: int) -> None:
    """Though they are the youngest, of the one large group."""
    peers = crowd(60, group="one")
    better = [replace(peer, **merit) for peer in peers[-count:]]
    assert {peer.id for peer in better} <= survivors([*peers[:-count], *better])
    assert not {peer.id for peer in peers[-count:]} <= survivors(peers)


@pytest.mark.parametrize("merit", [{"last_tx": 5.0}, {"last_block": 5.0}, {"score": PREFER}])
def test_no_more_than_so_many_are_safe_in_one_respect(merit: dict[str, Any]) -> None:
    peers = [replace(peer, **merit) for peer in crowd(60, group="one")]
    assert choose_victim(peers, SALT) is not None


def test_who_was_not_measured_is_not_near() -> None:
    peers = crowd(60, group="one")
    unmeasured = [replace(peer, round_trip_s=None) for peer in peers[-PROTECTED_NEAR:]]
    assert choose_victim([*peers[:-PROTECTED_NEAR], *unmeasured], SALT) == unmeasured[-1].id


def test_the_longest_connected_half_is_safe() -> None:
    """Even if they are the largest group by far."""
    old = crowd(20, group="old")
    young = [replace(peer, id=PeerId(b"y" + peer.id[1:]), since=100 + peer.since) for peer in crowd(60)]
    assert choose_victim([*old, *young], SALT) == young[-1].id


def test_the_youngest_of_the_largest_group_goes() -> None:
    many, few = crowd(60, group="many"), crowd(20, group="few")
    few = [replace(peer, id=PeerId(b"f" + peer.id[1:]), since=1_000.0) for peer in few]
    assert choose_victim([*many, *few], SALT) == many[-1].id


def test_of_groups_of_one_size_that_with_the_youngest_loses_it() -> None:
    """Four are safe by their group, the elder half of the rest by age: ten of each group are left."""
    peers = [replace(peer, group=int(peer.since) % 3) for peer in crowd(64, round_trip_s=None)]
    assert choose_victim(peers, SALT) == peers[-1].id


def test_a_bad_record_goes_first() -> None:
    peers = crowd(60, group="one")
    bad = replace(peers[40], score=CHOKE)
    assert choose_victim([*peers[:40], bad, *peers[41:]], SALT) == bad.id


def test_groups_are_kept_in_an_order_that_the_salt_decides() -> None:
    """An attacker that does not know it cannot be in all kept groups."""
    kept = set()
    for number in range(20):
        salt = b"%d" % number
        left = crowd(60)
        while (victim := choose_victim(left, salt)) is not None:
            left = [peer for peer in left if peer.id != victim]
        kept.add(frozenset(peer.group for peer in left))
    assert len(kept) > 10


def test_an_attacker_with_many_addresses_of_one_group_evicts_itself() -> None:
    """Newcomers of one group, quick and many, against 117 honest peers of 60 groups."""
    rng = random.Random(1)
    honest = [
        replace(peer, group=f"h{rng.randrange(60)}", round_trip_s=rng.uniform(0.01, 0.3))
        for peer in crowd(117)
    ]  # fmt: skip
    peers = list(honest)
    for number in range(400):
        victim = choose_victim(peers, SALT)
        assert victim is not None
        peers = [peer for peer in peers if peer.id != victim]
        attacker = PeerId(b"x" + number.to_bytes(19, "big"))
        peers.append(EvictionCandidate(attacker, "x", 1_000.0 + number, 0.001, 0.0, 0.0, 0.0))
    left = sum(1 for peer in peers if peer.group != "x")
    assert left >= 60


def test_the_order_in_which_they_stand_does_not_matter() -> None:
    peers = [replace(peer, group=number % 5, round_trip_s=0.1 + number % 7) for number, peer in enumerate(crowd(80))]
    first = choose_victim(peers, SALT)
    for seed in range(10):
        random.Random(seed).shuffle(peers)
        assert choose_victim(peers, SALT) == first
