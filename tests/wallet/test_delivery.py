"""The delivery rule: every answer on every stage, and what holds a coin."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.hashes import Txid
from chain.tx import OutPoint, TxIn, TxOut, make_tx, outpoint
from wallet.delivery import (
    DEAD_MAX,
    EVIDENCE,
    KEEP_BLOCKS,
    PARENTS_KEPT,
    NodeAnswer,
    after_answer,
    conflicts_with_all,
    doubted,
    held_coins,
    is_live,
    kept,
    repetitions,
    shared_coins,
    shown_answer,
    stage_after,
)
from wallet.derivation import KeyPath
from wallet.payment import Payment, Stage

COINS = [outpoint(Txid(bytes([n]) * 32), n) for n in range(1, 9)]
PAID = (TxOut(5_000, b"\x00\x14" + bytes(20)),)
SIGNED, HANDED_OUT, SEEN, BURIED, DEAD = Stage


def payment(*spent: OutPoint, serial: int = 0, **facts: object) -> Payment:
    tx = make_tx(2, tuple(TxIn(point, b"", 0, (b"w",)) for point in spent), PAID, serial)
    inputs = tuple((6_000, KeyPath(0, 0)) for _ in spent)
    return replace(Payment(tx.raw, 1_000, inputs, (), 9, PAID), **facts)  # type: ignore[arg-type]


BECOMES = {
    # From:                  SIGNED      HANDED_OUT  SEEN        BURIED      DEAD
    NodeAnswer.TAKEN:           (SEEN,       SEEN,       SEEN,       SEEN,       SEEN),
    NodeAnswer.KNOWN:           (SEEN,       SEEN,       SEEN,       SEEN,       SEEN),
    NodeAnswer.REFUSED:         (HANDED_OUT, HANDED_OUT, HANDED_OUT, HANDED_OUT, DEAD),
    NodeAnswer.UNCLEAR:         (HANDED_OUT, HANDED_OUT, HANDED_OUT, HANDED_OUT, DEAD),
    NodeAnswer.WAITING:         (SEEN,       SEEN,       SEEN,       SEEN,       SEEN),
    NodeAnswer.IN_BLOCK:        (SEEN,       SEEN,       SEEN,       SEEN,       SEEN),
    NodeAnswer.DEEP:            (BURIED,     BURIED,     BURIED,     BURIED,     BURIED),
    NodeAnswer.NOT_SHOWN:       (SIGNED,     HANDED_OUT, HANDED_OUT, HANDED_OUT, DEAD),
    NodeAnswer.CONFLICT:        (HANDED_OUT, HANDED_OUT, HANDED_OUT, HANDED_OUT, HANDED_OUT),
    NodeAnswer.DEEP_CONFLICT:   (DEAD,       DEAD,       DEAD,       DEAD,       DEAD),
}  # fmt: skip
"""What each answer makes of a payment in each stage."""


@pytest.mark.parametrize("answer", NodeAnswer)
def test_the_table_of_answers(answer: NodeAnswer) -> None:
    assert tuple(stage_after(stage, answer) for stage in Stage) == BECOMES[answer]
    assert EVIDENCE[answer].proves
    assert EVIDENCE[answer].leaves_open


@pytest.mark.parametrize("answer", NodeAnswer)
@pytest.mark.parametrize("stage", Stage)
def test_only_a_deep_conflict_frees_a_coin(stage: Stage, answer: NodeAnswer) -> None:
    before = payment(COINS[0], stage=stage)
    after = after_answer(before, answer, 100, height=95, reason="-26: no", conflict=Txid(bytes(32)))
    freed = is_live(before) and not is_live(after)
    assert freed == (answer is NodeAnswer.DEEP_CONFLICT and stage is not DEAD)
    assert held_coins([after]) == (frozenset() if after.stage is DEAD else {COINS[0]})


@given(st.lists(st.sampled_from(sorted(set(NodeAnswer) - {NodeAnswer.DEEP_CONFLICT}, key=str)), max_size=12))
def test_no_row_of_other_answers_frees_a_coin(answers: list[NodeAnswer]) -> None:
    one = payment(COINS[0], COINS[1])
    for tip_height, answer in enumerate(answers, 100):
        one = after_answer(one, answer, tip_height, height=tip_height - 3, reason="-26: no")
        assert held_coins([one]) == {COINS[0], COINS[1]}


def test_what_is_remembered_of_an_answer() -> None:
    one = payment(COINS[0])
    refused = after_answer(one, NodeAnswer.REFUSED, 50, reason="-26: dust")
    assert (refused.stage, refused.reason, refused.height, refused.counted) == (HANDED_OUT, "-26: dust", None, False)
    assert after_answer(refused, NodeAnswer.UNCLEAR, 50).reason == "-26: dust"
    taken = after_answer(refused, NodeAnswer.TAKEN, 50)
    assert (taken.stage, taken.reason, taken.counted) == (SEEN, "", False)
    mined = after_answer(taken, NodeAnswer.IN_BLOCK, 51, height=51)
    assert (mined.height, mined.counted, mined.buried_at) == (51, True, None)
    deep = after_answer(mined, NodeAnswer.DEEP, 56, height=51)
    assert (deep.stage, deep.height, deep.buried_at) == (BURIED, 51, 56)
    assert after_answer(deep, NodeAnswer.DEEP, 60, height=51).buried_at == 56
    undone = after_answer(deep, NodeAnswer.NOT_SHOWN, 57)
    assert (undone.stage, undone.height, undone.buried_at, undone.counted) == (HANDED_OUT, None, None, False)
    doubtful = after_answer(undone, NodeAnswer.CONFLICT, 57, conflict=Txid(b"q" * 32))
    assert (doubtful.stage, doubtful.conflict) == (HANDED_OUT, Txid(b"q" * 32))
    assert after_answer(doubtful, NodeAnswer.REFUSED, 57, reason="-25: x").conflict == Txid(b"q" * 32)
    assert after_answer(doubtful, NodeAnswer.WAITING, 57).conflict is None


def test_another_chain_makes_what_was_settled_doubtful() -> None:
    dead = payment(COINS[0], stage=DEAD, conflict=Txid(b"q" * 32))
    assert doubted(dead) == replace(dead, stage=HANDED_OUT)
    assert held_coins([doubted(dead)]) == {COINS[0]}
    buried = payment(COINS[0], stage=BURIED, height=5, buried_at=10, counted=True)
    assert doubted(buried) == payment(COINS[0], stage=HANDED_OUT)
    seen = payment(COINS[0], stage=SEEN, height=5, counted=True)
    assert doubted(seen) == seen


@pytest.mark.parametrize(
    ("height", "answer"),
    [
        (None, NodeAnswer.WAITING),
        (100, NodeAnswer.IN_BLOCK),
        (96, NodeAnswer.IN_BLOCK),
        (95, NodeAnswer.DEEP),
        (1, NodeAnswer.DEEP),
    ],
)
def test_how_deep_a_block_is(height: int | None, answer: NodeAnswer) -> None:
    assert shown_answer(height, 100) is answer


# one order, one payment


def test_repetitions_of_an_order() -> None:
    unsure = payment(COINS[0], stage=HANDED_OUT)
    seen = payment(COINS[1], stage=SEEN)
    told = payment(COINS[2], stage=SEEN, told=True)
    dead = payment(COINS[3], stage=DEAD)
    other = payment(COINS[4], stage=HANDED_OUT, paid=(TxOut(5_001, PAID[0].script),))
    older = payment(COINS[5], stage=HANDED_OUT, paid=())  # of a file that did not keep orders
    assert repetitions([unsure, seen, told, dead, other, older], PAID) == [unsure, seen]
    several = (TxOut(1, b"a"), TxOut(2, b"b"))
    assert repetitions([replace(unsure, paid=several)], several[::-1]) != []
    assert repetitions([unsure], ()) == []


#   earlier payments of one order        coins to be had      spent by the next
#
@pytest.mark.parametrize(
    ("earlier", "available", "shared"),
    [
        (["1"], "1", {1}),
        (["12"], "2", {2}),
        (["12"], "34", None),
        (["12", "23"], "123", {2}),  # one coin conflicts with both
        (["12", "23"], "13", {1, 3}),  # one of each, as the common one is gone
        (["12", "23"], "1", None),  # the second could be mined beside it
        (["12", "34"], "1234", {1, 3}),
        (["1", "12", "13"], "123", {1}),
    ],
)
def test_coins_that_a_new_payment_shares_with_all_before(
    earlier: list[str], available: str, shared: set[int] | None
) -> None:
    payments = [payment(*(COINS[int(n)] for n in names)) for names in earlier]
    chosen = shared_coins(payments, frozenset(COINS[int(n)] for n in available))
    assert chosen == (None if shared is None else {COINS[n] for n in shared})
    if chosen is not None:
        assert conflicts_with_all(chosen, payments)


@given(st.lists(st.frozensets(st.sampled_from(COINS), min_size=1, max_size=4), min_size=1, max_size=4), st.data())
def test_shared_coins_conflict_with_every_payment(earlier: list[frozenset[OutPoint]], data: st.DataObject) -> None:
    payments = [payment(*sorted(points)) for points in earlier]
    available = data.draw(st.frozensets(st.sampled_from(COINS)))
    chosen = shared_coins(payments, available)
    if chosen is None:
        assert any(not available & points for points in earlier)
    else:
        assert chosen <= available
        assert conflicts_with_all(chosen, payments)


# what is kept


def test_payments_are_kept_until_long_buried() -> None:
    live = [payment(COINS[0], stage=stage) for stage in (SIGNED, HANDED_OUT, SEEN)]
    buried = payment(COINS[1], stage=BURIED, height=1, buried_at=50)
    assert kept([*live, buried], 49 + KEEP_BLOCKS) == (*live, buried)
    assert kept([*live, buried], 50 + KEEP_BLOCKS) == tuple(live)
    assert kept(live, 10**6) == tuple(live)


def test_the_newest_dead_payments_are_kept() -> None:
    dead = [payment(COINS[0], serial=n, stage=DEAD) for n in range(DEAD_MAX + 2)]
    live = payment(COINS[1])
    assert kept([*dead, live], 10**6) == (*dead[2:], live)


def test_old_dead_payments_leave_their_parents_behind() -> None:
    """Each may be as large as policy allows, and the file has to stay one that is read."""
    parent = make_tx(2, (TxIn(COINS[5], b"", 0),), PAID, 0).raw
    dead = [payment(COINS[0], serial=n, stage=DEAD, parents=(parent,)) for n in range(PARENTS_KEPT + 3)]
    live = payment(COINS[1], parents=(parent,))
    assert [len(one.parents) for one in kept([live, *dead], 5)] == [1, 0, 0, 0, *[1] * PARENTS_KEPT]


def test_what_a_payment_cannot_be_mined_without() -> None:
    parent = make_tx(2, (TxIn(COINS[5], b"", 0),), PAID, 0)
    child = payment(outpoint(parent.txid, 0), COINS[1], parents=(parent.raw,))
    assert child.needs == {outpoint(parent.txid, 0), COINS[1], COINS[5]}
    assert child.family == {child.txid, parent.txid}
