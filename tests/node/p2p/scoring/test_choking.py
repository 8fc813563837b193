"""Bulk service under contention: who gets it, for how long, and when everybody does."""

import itertools
from collections.abc import Iterable

import pytest

from node.interface.endpoint import PeerId
from node.p2p.scoring import choking
from node.p2p.scoring.choking import (
    CALM,
    CONTRIBUTION_MIN,
    OPTIMISTIC_REST_S,
    REGULAR_SLOTS,
    ROUND_S,
    SLOTS,
    Choker,
    Client,
)
from node.p2p.scoring.peer_score import Grade

BUDGET = 1_000
STEP_S = 1.0
PEERS = tuple(PeerId(bytes([number]) * 20) for number in range(1, 31))


class Bazaar:
    """A choker, and peers that ask it again and again."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.gave: dict[PeerId, float] = {}
        self.grades: dict[PeerId, Grade] = {}
        self.choker = Choker(
            lambda peer, now: self.gave.get(peer, 0.0),
            lambda peer, now: self.grades.get(peer, Grade.TOLERATE),
            BUDGET,
        )
        self.served: dict[Client, int] = {}
        """Bytes."""
        self.choker.tick(self.now)

    def run(self, seconds: float, askers: Iterable[Client], appetite: int = BUDGET) -> None:
        """Each asks for `appetite` bytes a second."""
        for _ in range(int(seconds / STEP_S)):
            self.now += STEP_S
            for asker in askers:
                if self.choker.granted is None or asker in self.choker.granted:
                    self.served[asker] = self.served.get(asker, 0) + appetite
                    self.choker.served(asker, appetite, self.now)
                else:
                    self.choker.refused(asker, self.now)
            self.choker.tick(self.now)

    @property
    def granted(self) -> set[Client]:
        assert self.choker.granted is not None
        return set(self.choker.granted)


@pytest.fixture
def bazaar() -> Bazaar:
    return Bazaar()


def test_within_the_budget_everybody_is_served(bazaar: Bazaar) -> None:
    bazaar.run(100, [*PEERS, None], BUDGET // (len(PEERS) + 1))
    assert bazaar.choker.granted is None
    assert len(bazaar.served) == len(PEERS) + 1


def test_over_the_budget_it_is_rationed_at_once(bazaar: Bazaar) -> None:
    bazaar.run(2 * STEP_S, PEERS, BUDGET)
    assert len(bazaar.granted) == SLOTS


def test_the_best_contributors_have_the_regular_slots(bazaar: Bazaar) -> None:
    bazaar.gave = {peer: CONTRIBUTION_MIN * number for number, peer in enumerate(PEERS[:10])}
    best = set(PEERS[10 - REGULAR_SLOTS : 10])
    bazaar.run(ROUND_S, PEERS)
    for _ in range(10):
        assert best < bazaar.granted
        assert len(bazaar.granted) == SLOTS
        bazaar.run(ROUND_S, PEERS)


def test_the_optimistic_slot_goes_round(bazaar: Bazaar) -> None:
    bazaar.gave = dict.fromkeys(PEERS[:REGULAR_SLOTS], CONTRIBUTION_MIN)
    rest = PEERS[REGULAR_SLOTS:]
    bazaar.run(ROUND_S, PEERS)
    lucky: list[Client] = []
    for _ in range(2 * len(rest)):
        lucky += bazaar.granted - set(PEERS[:REGULAR_SLOTS])
        bazaar.run(ROUND_S, PEERS)
    assert sorted(lucky) == sorted((*rest, *rest))


def test_who_only_takes_is_choked_even_if_nobody_else_waits(bazaar: Bazaar) -> None:
    giver, taker = PEERS[:2]
    bazaar.gave[giver] = CONTRIBUTION_MIN
    seen = []
    for _ in range(12):
        bazaar.run(ROUND_S, [giver, taker], 4 * BUDGET)
        seen.append(taker in bazaar.granted)
        assert giver in bazaar.granted
    runs = [len(list(run)) for choked, run in itertools.groupby(seen) if choked]
    assert runs == [1] * 3  # a round of ten seconds, then OPTIMISTIC_REST_S of nothing
    assert OPTIMISTIC_REST_S == 3 * ROUND_S


def test_a_newcomer_has_its_turn_soon(bazaar: Bazaar) -> None:
    giver, newcomer, takers = PEERS[0], PEERS[1], PEERS[2:22]
    bazaar.gave[giver] = CONTRIBUTION_MIN
    bazaar.run(300, [giver, *takers])
    waited_s = 0.0
    while newcomer not in bazaar.granted:
        bazaar.run(STEP_S, [giver, *takers, newcomer])
        waited_s += STEP_S
        assert waited_s <= 2 * ROUND_S


def test_newcomers_do_not_crowd_out_who_waits(bazaar: Bazaar) -> None:
    """A new one in each round: half of the rounds go to the others all the same."""
    giver, old = PEERS[0], PEERS[1:4]
    bazaar.gave[giver] = CONTRIBUTION_MIN
    bazaar.run(100, [giver, *old])
    before = {peer: bazaar.served[peer] for peer in old}
    for number in range(20):
        bazaar.run(ROUND_S, [giver, *old, *(PeerId(bytes([100 + number - n]) * 20) for n in range(3))])
    assert all(bazaar.served[peer] > before[peer] for peer in old)


def test_who_came_first_is_not_always_first(bazaar: Bazaar) -> None:
    giver, takers = PEERS[0], PEERS[1:11]
    bazaar.gave[giver] = CONTRIBUTION_MIN
    for count in range(1, len(takers) + 1):
        bazaar.run(ROUND_S, [giver, *takers[:count]])
    before = dict(bazaar.served)
    bazaar.run(50 * ROUND_S, [giver, *takers])
    gained = [bazaar.served[taker] - before.get(taker, 0) for taker in takers]
    assert min(gained) >= 0.6 * max(gained)


def test_newcomers_do_not_overtake(bazaar: Bazaar) -> None:
    """Making up identities brings nothing to those who wait."""
    giver, waiting = PEERS[0], PEERS[1]
    bazaar.gave[giver] = CONTRIBUTION_MIN
    bazaar.run(2 * ROUND_S, [giver, *PEERS[2:6]])
    bazaar.run(STEP_S, [giver, *PEERS[2:6], waiting])
    for newest in PEERS[6:11]:
        if waiting in bazaar.granted:
            break
        bazaar.run(ROUND_S, [giver, waiting, newest, *PEERS[2:6]])
    assert waiting in bazaar.granted
    assert bazaar.served.get(PEERS[10]) is None


def test_where_nobody_contributes_all_slots_go_round(bazaar: Bazaar) -> None:
    bazaar.run(20 * ROUND_S, PEERS[:10])
    assert len(bazaar.granted) == SLOTS
    portions = [bazaar.served[peer] for peer in PEERS[:10]]
    assert min(portions) >= 0.7 * max(portions)


def test_who_has_a_bad_record_gets_nothing(bazaar: Bazaar) -> None:
    bad = PEERS[0]
    bazaar.grades[bad] = Grade.CHOKE
    bazaar.gave[bad] = 1e9
    bazaar.run(ROUND_S, PEERS[:8])
    before = bazaar.served[bad]
    bazaar.run(20 * ROUND_S, PEERS[:8])
    assert bazaar.served[bad] == before


def test_less_than_a_transaction_is_no_contribution(bazaar: Bazaar) -> None:
    bazaar.gave = {PEERS[0]: CONTRIBUTION_MIN, PEERS[1]: CONTRIBUTION_MIN - 1}
    bazaar.run(ROUND_S, PEERS[:8])
    assert {PEERS[0]} < bazaar.granted
    assert len(bazaar.granted) == 2


def test_requests_without_a_session_come_last(bazaar: Bazaar) -> None:
    bazaar.run(ROUND_S, [*PEERS[:8], None])
    assert None not in bazaar.granted
    bazaar.run(3 * ROUND_S, [PEERS[0], None], 4 * BUDGET)
    assert bazaar.granted == {PEERS[0], None}


def test_requests_without_a_session_get_what_nobody_with_one_waits_for(bazaar: Bazaar) -> None:
    giver, taker = PEERS[:2]
    bazaar.gave[giver] = CONTRIBUTION_MIN
    bazaar.run(20 * ROUND_S, [giver, taker, None], 4 * BUDGET)
    assert bazaar.served[None] == 4 * BUDGET  # of the one second before it began
    bazaar.run(20 * ROUND_S, [giver, None], 4 * BUDGET)
    assert bazaar.served[None] > 10 * BUDGET
    assert giver in bazaar.granted


def test_rationing_ends_when_less_is_wanted(bazaar: Bazaar) -> None:
    bazaar.run(3 * ROUND_S, PEERS[:8])
    bazaar.run(3 * ROUND_S, PEERS[:2], int(BUDGET * CALM / 2) - 1)
    assert bazaar.choker.granted is None


def test_it_does_not_end_because_the_refused_get_nothing(bazaar: Bazaar) -> None:
    """The slots take little: what the others would take counts."""
    bazaar.gave = dict.fromkeys(PEERS[:REGULAR_SLOTS], CONTRIBUTION_MIN)
    bazaar.run(2 * ROUND_S, PEERS[:12])
    for _ in range(5):
        bazaar.run(ROUND_S, PEERS[:12], 1)
        assert bazaar.choker.granted is not None


def test_the_queue_is_bounded(bazaar: Bazaar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choking, "CLIENTS_MAX", 5)
    bazaar.run(ROUND_S, PEERS)
    assert len(bazaar.choker) == 5
    assert bazaar.granted
