"""Scores: what makes them rise and fall, how they fade, and who is refused for how long."""

import pytest

from node.interface.endpoint import PeerId
from node.p2p.scoring import banman, peer_score
from node.p2p.scoring.banman import DISCOURAGED_S, BanMan, RollingSet
from node.p2p.scoring.peer_score import (
    CHOKE,
    CONTRIBUTION_HALF_LIFE_S,
    DROP,
    HALF_LIFE_S,
    PREFER,
    SERVED_UNIT,
    Grade,
    PeerEvent,
    PeerScore,
)

A, B = PeerId(b"a" * 20), PeerId(b"b" * 20)
NOW = 1_000_000.0


@pytest.fixture
def scores() -> PeerScore:
    return PeerScore()


def scored(score: float) -> PeerScore:
    """A's score, by the one deed that no cap stops before."""
    scores = PeerScore()
    deed = PeerEvent.SPAM if score < 0 else PeerEvent.BLOCK_FIRST
    scores.note(A, deed, NOW, score / deed.value.points)
    return scores


def test_nobody_has_a_score_for_nothing(scores: PeerScore) -> None:
    assert (scores.score(A, NOW), scores.why(A, NOW), scores.grade(A, NOW)) == (0, (), Grade.TOLERATE)
    assert scores.contribution(A, NOW) == 0


@pytest.mark.parametrize(
    ("score", "grade"),
    [
        (PREFER, Grade.PREFER),
        (PREFER - 0.1, Grade.TOLERATE),
        (CHOKE + 0.1, Grade.TOLERATE),
        (CHOKE, Grade.CHOKE),
        (DROP + 0.1, Grade.CHOKE),
        (DROP, Grade.DROP),
    ],
)
def test_thresholds(score: float, grade: Grade) -> None:
    assert scored(score).grade(A, NOW) is grade


@pytest.mark.parametrize("deed", PeerEvent)
def test_each_deed_counts_up_to_its_most(scores: PeerScore, deed: PeerEvent) -> None:
    weight = deed.value
    scores.note(A, deed, NOW)
    assert scores.score(A, NOW) == weight.points
    assert scores.why(A, NOW) == ((weight.words, weight.points),)
    scores.note(A, deed, NOW, 1_000_000)
    assert abs(scores.score(A, NOW)) == weight.most
    assert (scores.score(A, NOW) > 0) == (weight.points > 0)
    assert scores.score(B, NOW) == 0


def test_honest_faults_never_drop(scores: PeerScore) -> None:
    for deed in (PeerEvent.LATE, PeerEvent.BROKEN_PROMISE):
        scores.note(A, deed, NOW, 1_000_000)
    assert scores.grade(A, NOW) is Grade.CHOKE


def test_no_good_deeds_make_up_for_an_offence_and_spam(scores: PeerScore) -> None:
    for deed in PeerEvent:
        if deed.value.points > 0:
            scores.note(A, deed, NOW, 1_000_000)
    assert scores.grade(A, NOW) is Grade.PREFER
    scores.note(A, PeerEvent.OFFENCE, NOW, 2)
    scores.note(A, PeerEvent.SPAM, NOW, 100)
    assert scores.grade(A, NOW) is Grade.DROP


def test_what_was_done_fades(scores: PeerScore) -> None:
    scores.note(A, PeerEvent.SPAM, NOW, 80)
    assert scores.score(A, NOW + HALF_LIFE_S) == pytest.approx(-40)
    scores.note(A, PeerEvent.SPAM, NOW + HALF_LIFE_S, 10)
    assert scores.score(A, NOW + HALF_LIFE_S) == pytest.approx(-50)
    assert scores.score(A, NOW + 2 * HALF_LIFE_S) == pytest.approx(-25)
    assert scores.grade(A, NOW + 3 * HALF_LIFE_S) is Grade.TOLERATE
    assert scores.why(A, NOW + 20 * HALF_LIFE_S) == ()


def test_why_tells_the_weightiest_first(scores: PeerScore) -> None:
    scores.note(A, PeerEvent.LATE, NOW, 3)
    scores.note(A, PeerEvent.BLOCK_FIRST, NOW, 2)
    scores.note(A, PeerEvent.TX_FIRST, NOW)
    assert scores.why(A, NOW) == (
        (PeerEvent.BLOCK_FIRST.value.words, 10),
        (PeerEvent.LATE.value.words, -3),
        (PeerEvent.TX_FIRST.value.words, 0.05),
    )
    assert sum(points for _, points in scores.why(A, NOW)) == pytest.approx(scores.score(A, NOW))


def test_contributions_fade_faster(scores: PeerScore) -> None:
    scores.contributed(A, 3 * SERVED_UNIT, NOW)
    assert scores.contribution(A, NOW) == 3 * SERVED_UNIT
    assert scores.score(A, NOW) == 3
    later = NOW + CONTRIBUTION_HALF_LIFE_S
    assert scores.contribution(A, later) == pytest.approx(1.5 * SERVED_UNIT)
    scores.contributed(A, SERVED_UNIT, later)
    assert scores.contribution(A, later) == pytest.approx(2.5 * SERVED_UNIT)


def test_the_table_is_bounded(scores: PeerScore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_score, "KEPT_MAX", 10)
    scores.note(A, PeerEvent.OFFENCE, NOW)
    for number in range(20):
        scores.note(A, PeerEvent.LATE, NOW)  # who does something is not forgotten
        scores.note(PeerId(bytes([number]) * 20), PeerEvent.ANSWERED, NOW)
    assert len(scores) == 10
    assert scores.grade(A, NOW) is Grade.DROP
    assert scores.score(PeerId(bytes(20)), NOW) == 0


def test_the_discouraged_are_refused_for_their_time() -> None:
    discouraged = BanMan(allow_local=False)
    discouraged.add(A, "8.8.4.4", NOW)
    for late_s in (0, DISCOURAGED_S / 2, DISCOURAGED_S - 1):
        assert discouraged.has_id(A, NOW + late_s)
        assert discouraged.has_host("8.8.4.4", NOW + late_s)
        assert discouraged.has_host("::ffff:8.8.4.4", NOW + late_s)
    assert not discouraged.has_id(B, NOW)
    assert not discouraged.has_host("8.8.4.5", NOW)
    assert not discouraged.has_id(A, NOW + DISCOURAGED_S)
    assert not discouraged.has_host("8.8.4.4", NOW + DISCOURAGED_S)


def test_ipv6_addresses_of_one_network_are_one() -> None:
    discouraged = BanMan(allow_local=False)
    discouraged.add(A, "2001:4860:1:2::5", NOW)
    assert discouraged.has_host("2001:4860:1:2:ffff::1", NOW)
    assert not discouraged.has_host("2001:4860:1:3::5", NOW)


@pytest.mark.parametrize(
    ("host", "allow_local"),
    [("127.0.0.1", False), ("::1", False), ("::ffff:127.0.0.1", False), ("10.0.0.1", True), ("name", False)],
)
def test_addresses_that_tell_nothing_are_not_discouraged(host: str, allow_local: bool) -> None:
    discouraged = BanMan(allow_local)
    discouraged.add(A, host, NOW)
    assert discouraged.has_id(A, NOW)
    assert not discouraged.has_host(host, NOW)


def test_the_filter_is_bounded_and_forgets_the_oldest() -> None:
    rolling: RollingSet[int] = RollingSet(100, DISCOURAGED_S)
    for number in range(100_000):
        rolling.add(number, NOW + number / 1000)
        assert len(rolling) <= 200
        assert rolling.has(max(0, number - 99), NOW + number / 1000)
    assert not rolling.has(0, NOW + 100)


def test_members_stay_when_generations_change() -> None:
    rolling: RollingSet[str] = RollingSet(100, 600)
    rolling.add("old", NOW)
    rolling.add("middle", NOW + 599)
    rolling.add("new", NOW + 601)
    assert [rolling.has(name, NOW + 601) for name in ("old", "middle", "new")] == [False, True, True]
    assert rolling.has("middle", NOW + 599 + 599)
    rolling.add("newest", NOW + 1_300)
    assert len(rolling) == 2  # what was over two generations ago is not kept
    rolling.add("other", NOW - 5_000)  # the clock was set back
    assert rolling.has("other", NOW - 5_000)


def test_ids_do_not_push_out_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(banman, "IDS_MAX", 10)
    monkeypatch.setattr(banman, "HOSTS_MAX", 10)
    discouraged = BanMan(allow_local=False)
    discouraged.add(A, "8.8.8.8", NOW)
    for number in range(50):
        discouraged.add(PeerId(bytes([number]) * 20), "8.8.4.4", NOW)
    assert not discouraged.has_id(A, NOW)
    assert discouraged.has_host("8.8.8.8", NOW)
