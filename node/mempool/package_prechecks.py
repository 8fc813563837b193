"""Staging of several transactions together: as `prechecks.py`, for packages.

Bitcoin Core's rules, but for one: in a package only the fee of all together has to be enough, also
for the least that is relayed at all, as in Core from cluster mempool on. So a child can pay for a
parent that pays nothing.
"""

from collections.abc import Sequence
from enum import StrEnum

from chain.check import check_tx
from chain.coins import Coin, CoinLookup
from chain.connect import BlockContext
from chain.errors import Rejected
from chain.frozen import value
from chain.hashes import Txid
from chain.keys import Check
from chain.script import Spend
from chain.tx import OutPoint, Tx, outpoint
from node.mempool.entry import memory_usage, pool_coin
from node.mempool.inputs import check_ready, find_inputs
from node.mempool.overlay import GraphOverlay
from node.mempool.policy import Policy, Refused, check_standard
from node.mempool.prechecks import (
    NOBODY,
    Staged,
    check_descendants,
    check_fee,
    check_new,
    find_ancestors,
    make_entry,
    vsize_of,
)
from node.mempool.rbf import check_replacement
from node.mempool.tx_graph import TxGraph

PACKAGE_TXS_MAX = 25
"""Transactions of a package."""
PACKAGE_WEIGHT_MAX = 404_000
"""Weight units of all together."""


class PackageRule(StrEnum):
    """Every rule about a package as a whole, in Core's words."""

    TOO_MANY = "package-too-many-transactions"
    """More than 25."""
    TOO_LARGE = "package-too-large"
    """More than 404,000 weight units."""
    DUPLICATES = "package-contains-duplicates"
    """One of them twice."""
    NOT_SORTED = "package-not-sorted"
    """A child before its parent."""
    CONFLICT = "conflict-in-package"
    """Two of them spend the same coin."""
    LIMITS = "package-mempool-limits"
    """Together with the package an unconfirmed chain would be too long."""
    PARENTS_LEFT_OUT = "package-not-child-with-unconfirmed-parents"
    """The child has an unconfirmed parent that is neither among them nor confirmed."""
    REPLACEMENT = "package RBF failed"
    """A package that may not take the coins of those that wait: it has more than a parent and a child,
    or ancestors that wait, or it pays no better."""
    REPLACEMENT_DISALLOWED = "bip125-replacement-disallowed"
    """One of several that are only tried spends a coin that somebody who waits spends."""


class PackageRefused(Refused):
    """The package as a whole is not wanted."""

    def __init__(self, rule: PackageRule, detail: str = "") -> None:
        super().__init__(rule, detail)


@value
class MemberRefused:
    """The refused transaction of a package, and the reason."""

    tx: Tx
    error: Rejected


def check_package(txs: Sequence[Tx]) -> None:
    """Check a package by itself, without context. Raises PackageRefused."""
    if len(txs) > PACKAGE_TXS_MAX:
        raise PackageRefused(PackageRule.TOO_MANY)
    if len(txs) > 1 and sum(tx.weight for tx in txs) > PACKAGE_WEIGHT_MAX:
        raise PackageRefused(PackageRule.TOO_LARGE)
    later = {tx.txid for tx in txs}
    if len(later) != len(txs):
        raise PackageRefused(PackageRule.DUPLICATES)
    spent: set[OutPoint] = set()
    for tx in txs:
        points = [one.outpoint for one in tx.inputs]
        if any(point[:32] in later for point in points):
            raise PackageRefused(PackageRule.NOT_SORTED)
        later.discard(tx.txid)
        if not spent.isdisjoint(points):
            raise PackageRefused(PackageRule.CONFLICT)
        spent.update(points)


def is_child_with_parents(txs: Sequence[Tx]) -> bool:
    """True if all but the last are parents of the last, and none is a parent of another."""
    *parents, child = txs
    spent = {one.outpoint[:32] for one in child.inputs}
    names = {parent.txid for parent in parents}
    between = any(one.outpoint[:32] in names for parent in parents for one in parent.inputs)
    return names <= spent and not between


def missing_checks(
    graph: TxGraph, txs: Sequence[Tx], lookup: CoinLookup, context: BlockContext
) -> list[tuple[Check, ...]]:
    """The signatures of each of a package, one an input; nothing for one that could not enter anyway."""
    made: dict[OutPoint, Coin] = {}
    found: list[tuple[Check, ...]] = []

    def find(point: OutPoint) -> Coin | None:
        entry = graph.entries.get(Txid(point[:32]))
        return made.get(point) or (pool_coin(entry, point, context.height) if entry else lookup(point))

    for tx in txs:
        coins = [coin for spent in tx.inputs if (coin := find(spent.outpoint))]
        made |= {outpoint(tx.txid, n): Coin.make(context.height, False, out) for n, out in enumerate(tx.outputs)}
        try:
            check_tx(tx)
            check_standard(tx)
            spend = Spend(tx, coins)
            whole = range(len(tx.inputs)) if len(coins) == len(tx.inputs) else ()
            found.append(tuple(spend.check(index) for index in whole))
        except Rejected:  # staging says why
            found.append(())
    return found


def stage_members(
    graph: TxGraph, txs: Sequence[Tx], lookup: CoinLookup, context: BlockContext, floor_sat_kvb: float | None
) -> list[Staged] | MemberRefused:
    """Stage transactions that enter one after the other, if there is room; or return the first that may not.

    `floor_sat_kvb` is what each has to pay by itself; None: that is for the caller to judge, and so
    is whom they replace. Raises PackageRefused(LIMITS).
    """
    trial = GraphOverlay(graph)
    staged: list[Staged] = []
    for tx in txs:
        try:
            one = _stage_member(trial, tx, lookup, context, floor_sat_kvb)
        except Rejected as error:
            if error.code is Policy.TOO_LONG_CHAIN and any(
                spent.outpoint[:32] in _names(staged) for spent in tx.inputs
            ):
                raise PackageRefused(PackageRule.LIMITS, error.detail) from None
            return MemberRefused(tx, error)
        staged.append(one)
        trial.insert(make_entry(one, trial.entries, 0.0, graph.next_sequence + len(staged)), one.ancestors)
    return staged


def stage_group(
    graph: TxGraph, txs: Sequence[Tx], lookup: CoinLookup, context: BlockContext, floor_sat_kvb: float
) -> list[Staged] | MemberRefused:
    """Stage transactions that enter together, what all pay being enough for all; or return one that may not.

    Where that is not enough it is the last that is refused. Raises PackageRefused(LIMITS, REPLACEMENT).
    """
    staged = stage_members(graph, txs, lookup, context, None)
    if isinstance(staged, MemberRefused):
        return staged
    fee, vsize = sum(one.fee for one in staged), sum(one.vsize for one in staged)
    try:
        check_fee(fee, vsize, floor_sat_kvb)
    except Refused as error:
        return MemberRefused(txs[-1], error)
    conflicts = frozenset[Txid]().union(*(one.inputs.conflicts for one in staged))
    if not conflicts:
        return staged
    replaced = _check_group_replacement(graph, staged, conflicts, fee, vsize)
    first, *others = staged
    return [_replacing(first, replaced), *others]


def _stage_member(
    trial: GraphOverlay, tx: Tx, lookup: CoinLookup, context: BlockContext, floor_sat_kvb: float | None
) -> Staged:
    check_tx(tx)
    check_standard(tx)
    check_new(trial, tx)
    inputs = find_inputs(trial, tx, lookup, context)
    if inputs.conflicts and floor_sat_kvb is not None:
        raise Refused(PackageRule.REPLACEMENT_DISALLOWED)
    fee = check_ready(tx, inputs.coins, context)
    weight = tx.weight
    vsize = vsize_of(weight)
    if floor_sat_kvb is not None:
        check_fee(fee, vsize, floor_sat_kvb)
    ancestors = find_ancestors(trial, vsize, inputs.parents)
    if not ancestors.isdisjoint(inputs.conflicts):
        raise Refused(Policy.SPENDS_CONFLICTING)
    check_descendants(trial, vsize, ancestors, NOBODY)
    return Staged(
        tx, fee, weight, vsize, memory_usage(tx), inputs, ancestors, NOBODY, (), context.height - 1, trial.tips
    )


def _check_group_replacement(
    graph: TxGraph, staged: Sequence[Staged], conflicts: frozenset[Txid], fee: int, vsize: int
) -> frozenset[Txid]:
    """A parent and a child may take coins of those that wait as if they were one transaction (Core's package RBF).

    Returns everything that goes. Raises PackageRefused(REPLACEMENT).
    """
    if len(staged) != 2 or not staged[1].inputs.parents:
        raise PackageRefused(PackageRule.REPLACEMENT, "package must be 1-parent-1-child")
    parent, child = staged
    if parent.ancestors or child.ancestors != {parent.tx.txid}:
        raise PackageRefused(PackageRule.REPLACEMENT, "new transaction cannot have mempool ancestors")
    if fee * parent.vsize <= parent.fee * vsize:
        raise PackageRefused(PackageRule.REPLACEMENT, "package feerate is less than or equal to parent feerate")
    try:
        return frozenset(check_replacement(graph, parent.tx, fee, vsize, conflicts))
    except Refused as error:
        raise PackageRefused(PackageRule.REPLACEMENT, error.detail or str(error.code)) from None


def _replacing(staged: Staged, replaced: frozenset[Txid]) -> Staged:
    """The staged transaction, with these pushed out by it."""
    return Staged(
        staged.tx,
        staged.fee,
        staged.weight,
        staged.vsize,
        staged.usage,
        staged.inputs,
        staged.ancestors,
        replaced,
        staged.evicted,
        staged.height,
        staged.tips,
    )


def _names(staged: Sequence[Staged]) -> set[Txid]:
    return {one.tx.txid for one in staged}
