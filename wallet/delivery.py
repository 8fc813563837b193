"""The delivery rule: what may have happened to a payment, and which coins it holds. Pure.

A payment that was signed and handed out is live until a transaction that conflicts with it is
buried. No node's refusal frees a coin: the node may lag, or lie, or have passed the payment on and
lost the answer. So

- only `held_coins` says which coins may not be spent, and only a payment that is DEAD holds none;
- only `NodeAnswer.DEEP_CONFLICT` makes a payment DEAD;
- an order is signed again only with a coin of every live payment made for it before
  (`repetitions`, `shared_coins`), so that no two of them can be mined.

The stages of a payment:

    SIGNED ──handed to a node──► HANDED_OUT ◄──a node does not show it── SEEN, BURIED
                                   │   ▲
             a node has it ────────┤   └────── the chain is another ── BURIED, DEAD
                                   ▼                                          ▲
                                 SEEN ──six blocks deep──► BURIED             │
                                   └──────── a conflict is six deep ──────────┘

`EVIDENCE` says of every answer what it proves; `stage_after` is that table applied.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from chain.hashes import Txid
from chain.tx import OutPoint, TxOut
from wallet.payment import BURIED_DEPTH, Payment, Stage

KEEP_BLOCKS = 100
"""Blocks for which a buried payment is kept after it was first found so: one look at a node that lags
or lies is not enough to forget it."""
DEAD_MAX = 1_000
"""Dead payments kept for the history, the newest."""
PARENTS_KEPT = 20
"""Dead payments, the newest, whose parents are kept: of up to 404,000 bytes each."""


class NodeAnswer(Enum):
    """A node's answer about a payment, or the lack of one."""

    TAKEN = auto()
    """POST /tx answered 200 with the payment's id."""
    KNOWN = auto()
    """POST /tx answered 400: the node has the payment or its outputs already (-27)."""
    REFUSED = auto()
    """POST /tx answered 400 with a reject reason."""
    UNCLEAR = auto()
    """POST /tx answered anything else, or nothing."""
    WAITING = auto()
    """Shown as unconfirmed."""
    IN_BLOCK = auto()
    """Shown in a block."""
    DEEP = auto()
    """Shown in a block under BURIED_DEPTH - 1 others or more."""
    NOT_SHOWN = auto()
    """The node does not know the payment."""
    CONFLICT = auto()
    """Another transaction spends a coin that it needs, and is not buried."""
    DEEP_CONFLICT = auto()
    """Another transaction spends a coin that it needs, bears the coin's signature, and is buried."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The proof that one answer is."""

    proves: str
    leaves_open: str
    """The open question that the answer leaves."""
    stage: Stage
    """Stage of a live payment afterwards."""


EVIDENCE: dict[NodeAnswer, Evidence] = {
    NodeAnswer.TAKEN: Evidence("one node has it", "that others will, or a miner", Stage.SEEN),
    NodeAnswer.KNOWN: Evidence("one node has it, or had its block", "in which block", Stage.SEEN),
    NodeAnswer.REFUSED: Evidence("one node does not take it now", "that nobody has it, or will", Stage.HANDED_OUT),
    NodeAnswer.UNCLEAR: Evidence("nothing", "whether a node has it", Stage.HANDED_OUT),
    NodeAnswer.WAITING: Evidence("one node has it", "that it will be mined", Stage.SEEN),
    NodeAnswer.IN_BLOCK: Evidence("it is in that node's best chain", "that it stays there", Stage.SEEN),
    NodeAnswer.DEEP: Evidence("it is settled, if the node is honest", "that the node is honest", Stage.BURIED),
    NodeAnswer.NOT_SHOWN: Evidence("one node does not have it, or lags", "that nobody has it", Stage.HANDED_OUT),
    NodeAnswer.CONFLICT: Evidence("one of two can be mined", "which", Stage.HANDED_OUT),
    NodeAnswer.DEEP_CONFLICT: Evidence(
        "it cannot be mined unless six blocks are undone", "that node and payer do not lie together", Stage.DEAD
    ),
}
"""The table of answers. Of one that nobody has but us (SIGNED), silence says nothing new."""


_SHOWN = (NodeAnswer.WAITING, NodeAnswer.IN_BLOCK, NodeAnswer.DEEP)
_TO_POST = (NodeAnswer.TAKEN, NodeAnswer.KNOWN, NodeAnswer.REFUSED, NodeAnswer.UNCLEAR)


def stage_after(stage: Stage, answer: NodeAnswer) -> Stage:
    """The stage of a payment once a node gave this answer."""
    if answer is NodeAnswer.NOT_SHOWN and stage in (Stage.SIGNED, Stage.DEAD):
        return stage
    if stage is Stage.DEAD and answer in (NodeAnswer.REFUSED, NodeAnswer.UNCLEAR):
        return stage
    return EVIDENCE[answer].stage


def after_answer(payment: Payment, answer: NodeAnswer, tip_height: int, *, height: int | None = None,
                 reason: str = "", conflict: Txid | None = None) -> Payment:  # fmt: skip
    """The payment as it stands after an answer. `height` is its block's where one was shown, `reason`
    a refusal's, `conflict` the transaction that spends a coin it needs."""
    stage = stage_after(payment.stage, answer)
    shown = stage in (Stage.SEEN, Stage.BURIED)
    buried_at = (payment.buried_at if payment.buried_at is not None else tip_height) if stage is Stage.BURIED else None
    keeps_conflict = answer in (NodeAnswer.REFUSED, NodeAnswer.UNCLEAR, NodeAnswer.NOT_SHOWN)
    return replace(
        payment,
        stage=stage,
        counted=answer in _SHOWN or (answer in _TO_POST and payment.counted),
        height=height if shown else None,
        buried_at=buried_at,
        reason=reason if answer is NodeAnswer.REFUSED else "" if shown else payment.reason,
        conflict=conflict or (payment.conflict if keeps_conflict else None),
    )


def doubted(payment: Payment) -> Payment:
    """The payment once a node's chain is not the one in which it was settled: what was buried there,
    itself or a conflict, has to be shown again."""
    settled = payment.stage in (Stage.BURIED, Stage.DEAD)
    return replace(payment, stage=Stage.HANDED_OUT, height=None, buried_at=None, counted=False) if settled else payment


def shown_answer(height: int | None, tip_height: int) -> NodeAnswer:
    """The answer that a node shows a payment: `height` of its block, None while it waits."""
    if height is None:
        return NodeAnswer.WAITING
    return NodeAnswer.DEEP if is_buried(height, tip_height) else NodeAnswer.IN_BLOCK


def is_buried(height: int, tip_height: int) -> bool:
    """True if a block at `height` has BURIED_DEPTH confirmations."""
    return tip_height - height + 1 >= BURIED_DEPTH


def is_live(payment: Payment) -> bool:
    """True if it may still be mined, or is."""
    return payment.stage is not Stage.DEAD


def held_coins(payments: Iterable[Payment]) -> frozenset[OutPoint]:
    """The coins that may not be spent: those of every payment that is live. Nothing else frees a coin."""
    return frozenset(point for payment in payments if is_live(payment) for point in payment.spent)


def is_same_order(payment: Payment, paid: Sequence[TxOut]) -> bool:
    """True if the payment was made to pay just these outputs."""
    return _order_key(payment.paid) == _order_key(paid)


def _order_key(paid: Sequence[TxOut]) -> list[tuple[bytes, int]]:
    return sorted((output.script, output.value) for output in paid)


def repetitions(payments: Iterable[Payment], paid: Sequence[TxOut]) -> list[Payment]:
    """The live payments made for the same order, of which nobody was told that they were sent. Newest last."""
    return [p for p in payments if is_live(p) and not p.told and p.paid and is_same_order(p, paid)]


def answered(payments: Iterable[Payment], told: Payment) -> tuple[Payment, ...]:
    """The payments once somebody was told that `told` was sent: with it the order is settled for those
    too that were made for it and cannot be mined beside it."""
    return tuple(
        replace(p, told=True) if is_same_order(p, told.paid) and conflicts_with_all(p.spent, [told]) else p
        for p in payments
    )


def superseded(payments: Iterable[Payment]) -> frozenset[Txid]:
    """Ids of payments of which a later one spends a coin that a node had, or that somebody was told of:
    handed over again they could only be in its way."""
    names, spent_later = set(), set[OutPoint]()
    for payment in reversed(tuple(payments)):
        if not spent_later.isdisjoint(payment.spent):
            names.add(payment.txid)
        if is_live(payment) and (payment.told or payment.stage in (Stage.SEEN, Stage.BURIED)):
            spent_later.update(payment.spent)
    return frozenset(names)


def shared_coins(earlier: Sequence[Payment], available: frozenset[OutPoint]) -> frozenset[OutPoint] | None:
    """Coins of which spending all makes a new payment conflict with each of `earlier`, or None if the
    available ones do not suffice. One coin that all of them spend does."""
    common = frozenset.intersection(*(frozenset(payment.spent) for payment in earlier)) & available
    if common:
        return frozenset({min(common)})
    chosen: set[OutPoint] = set()
    for payment in earlier:
        own = [point for point in payment.spent if point in available]
        if not own:
            return None
        if not chosen.intersection(own):
            chosen.add(min(own))
    return frozenset(chosen)


def conflicts_with_all(spent: Iterable[OutPoint], earlier: Iterable[Payment]) -> bool:
    """True if a transaction that spends these can never be mined beside any of `earlier`."""
    points = frozenset(spent)
    return all(points.intersection(payment.spent) for payment in earlier)


def is_old(payment: Payment, tip_height: int) -> bool:
    """True if it has been found buried for so long that it may be forgotten."""
    return payment.buried_at is not None and tip_height >= payment.buried_at + KEEP_BLOCKS


def kept(payments: Iterable[Payment], tip_height: int) -> tuple[Payment, ...]:
    """The payments without those that need no keeping: long buried, or dead and of the oldest."""
    young = [payment for payment in payments if not is_old(payment, tip_height)]
    dead = [payment for payment in young if not is_live(payment)]
    dropped = {id(payment) for payment in dead[: max(0, len(dead) - DEAD_MAX)]}
    bare = {id(payment) for payment in dead[: max(0, len(dead) - PARENTS_KEPT)] if payment.parents}
    left = (payment for payment in young if id(payment) not in dropped)
    return tuple(replace(payment, parents=()) if id(payment) in bare else payment for payment in left)
