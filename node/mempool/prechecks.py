"""Staging of a transaction for the pool: all checks but its signatures, without changing anything.

The signatures are the `checks` of what comes out: they are verified without the node's lock, and
then the transaction is staged again, because the pool or the tip may have changed meanwhile.
"""

from collections.abc import Collection, Mapping

from chain.check import legacy_sigops_cost
from chain.coins import CoinLookup
from chain.connect import BlockContext, witness_sigops_cost
from chain.errors import Invalid, Reject
from chain.frozen import value
from chain.hashes import Txid, to_hex
from chain.keys import Check
from chain.script import Spend
from chain.tx import WITNESS_SCALE, Tx
from node.mempool.entry import NOTHING, MempoolEntry, MempoolTotals, memory_usage
from node.mempool.eviction import Eviction, make_room
from node.mempool.graph_protocol import GraphProtocol
from node.mempool.inputs import Inputs, check_ready, find_inputs, may_wait
from node.mempool.policy import (
    MAX_ANCESTORS,
    MAX_CHAIN_VSIZE,
    MAX_DESCENDANTS,
    MIN_RELAY_FEE_SAT_KVB,
    Policy,
    Refused,
    check_standard,
    fee_at,
)
from node.mempool.rbf import check_replacement
from node.mempool.tx_graph import TxGraph

NOBODY: frozenset[Txid] = frozenset()
"""No transactions."""


@value
class Staged:
    """A transaction that may enter, if its signatures are right and nothing changes before."""

    tx: Tx
    fee: int
    """Satoshis."""
    weight: int
    """Weight units."""
    vsize: int
    """Virtual bytes."""
    usage: int
    """About how many bytes of memory it would take."""
    inputs: Inputs
    ancestors: frozenset[Txid]
    """Entries of the pool that have to be mined before it."""
    replaced: frozenset[Txid]
    """Entries of the pool that spend what it spends, or depend on such."""
    evicted: tuple[Eviction, ...]
    """Others that leave because the pool is full."""
    height: int
    """Height of the tip that it was staged on."""
    tips: int
    """Number of changes of the tip that the pool had seen by then."""

    def checks(self) -> tuple[Check, ...]:
        """The signatures to verify, one an input.

        Raises Invalid(Policy.SCRIPT_VERIFY, Reject.SCRIPT_UNSUPPORTED) where none could be right.
        """
        spend = Spend(self.tx, self.inputs.coins)
        try:
            return tuple(spend.check(index) for index in range(len(self.tx.inputs)))
        except Invalid as error:
            if error.code is Reject.SCRIPT_VERIFY:
                raise Invalid(Policy.SCRIPT_VERIFY, error.detail) from None
            raise


def wrong_signature(index: int) -> Invalid:
    """The error of a transaction whose check at `index` has failed."""
    return Invalid(Policy.SCRIPT_VERIFY, f"input {index}: wrong signature")


def stage(
    graph: TxGraph, tx: Tx, lookup: CoinLookup, context: BlockContext, floor_sat_kvb: float, free_bytes: int
) -> Staged:
    """`tx`, which has passed `check_tx` and `check_standard`, may enter the pool.

    `lookup` sees the coins of the chain, `context` is the next block's, `free_bytes` of memory
    are left in the pool. Raises Refused, Unready (inputs missing, premature coinbase, lock times)
    and Invalid.
    """
    check_new(graph, tx)
    inputs = find_inputs(graph, tx, lookup, context)
    fee = check_ready(tx, inputs.coins, context)
    weight, usage = tx.weight, memory_usage(tx)
    vsize = vsize_of(weight)
    check_fee(fee, vsize, floor_sat_kvb)
    ancestors = replaced = NOBODY
    if inputs.parents or inputs.conflicts:
        ancestors, replaced = _find_relatives(graph, tx, fee, vsize, inputs)
    evicted: tuple[Eviction, ...] = ()
    if usage > free_bytes:
        need = usage - free_bytes - sum(graph.entries[txid].usage for txid in replaced)
        evicted = make_room(graph, need, fee / vsize, ancestors | replaced)
    return Staged(tx, fee, weight, vsize, usage, inputs, ancestors, replaced, evicted, context.height - 1, graph.tips)


def still_stands(graph: TxGraph, staged: Staged, floor_sat_kvb: float, free_bytes: int) -> bool:
    """True if `stage` would say the same again, at a glance: the tip has not changed, nobody who came
    (itself, perhaps) spends the same coins, fee and room are enough, and it has no relatives whose
    fate would matter."""
    if staged.tips != graph.tips or staged.inputs.parents or staged.inputs.conflicts or staged.evicted:
        return False
    spenders = graph.spenders
    for spent in staged.tx.inputs:
        if spent.outpoint in spenders:
            return False
    return staged.usage <= free_bytes and staged.fee >= fee_at(floor_sat_kvb, staged.vsize)


def stage_again(graph: TxGraph, tx: Tx, lookup: CoinLookup, context: BlockContext) -> Staged:
    """A transaction out of a disconnected block may come back: it was mined, so what it pays and
    whom it would replace are no questions. Raises as `stage` does."""
    check_standard(tx)
    inputs = find_inputs(graph, tx, lookup, context)
    fee = check_ready(tx, inputs.coins, context)
    weight, usage = tx.weight, memory_usage(tx)
    vsize = vsize_of(weight)
    ancestors = find_ancestors(graph, vsize, inputs.parents)
    # Nothing here can have spent what a block had spent: to be safe, and not to trust it.
    if inputs.conflicts:
        raise Refused(Policy.SPENDS_CONFLICTING)
    return Staged(tx, fee, weight, vsize, usage, inputs, ancestors, NOBODY, (), context.height - 1, graph.tips)


def make_entry(staged: Staged, entries: Mapping[Txid, MempoolEntry], time: float, sequence: int) -> MempoolEntry:
    """The pool entry of a staged transaction, before it has children."""
    tx, coins = staged.tx, staged.inputs.coins
    own = ancestors = MempoolTotals(1, staged.vsize, staged.fee)
    for txid in staged.ancestors:
        ancestors = ancestors.plus(entries[txid].own)
    # By position: by name they would take twice as long.
    return MempoolEntry(
        tx,
        staged.fee,
        staged.vsize,
        staged.weight,
        legacy_sigops_cost((tx,)) + witness_sigops_cost(coins),
        staged.usage,
        time,
        staged.height,
        sequence,
        coins,
        may_wait(tx, coins),
        staged.inputs.parents,
        ancestors,
        own,
    )


def _find_relatives(
    graph: GraphProtocol, tx: Tx, fee: int, vsize: int, inputs: Inputs
) -> tuple[frozenset[Txid], frozenset[Txid]]:
    """Ancestors of a transaction, and the entries it replaces: the limits of both are kept."""
    ancestors = find_ancestors(graph, vsize, inputs.parents)
    if not ancestors.isdisjoint(inputs.conflicts):
        raise Refused(Policy.SPENDS_CONFLICTING)
    replaced = NOBODY
    if inputs.conflicts:
        replaced = frozenset(check_replacement(graph, tx, fee, vsize, inputs.conflicts))
    check_descendants(graph, vsize, ancestors, replaced)
    return ancestors, replaced


def find_ancestors(graph: GraphProtocol, vsize: int, parents: tuple[Txid, ...]) -> frozenset[Txid]:
    """Entries of the pool that have to be mined before a transaction. Raises Refused(TOO_LONG_CHAIN)."""
    if not parents:
        return NOBODY
    # Before the walk: each parent is an ancestor, and each has a bounded number of its own.
    if len(parents) >= MAX_ANCESTORS:
        raise _too_long(f"too many unconfirmed parents [limit: {MAX_ANCESTORS - 1}]")
    ancestors = graph.ancestors_of(parents)
    entries = graph.entries
    if len(ancestors) >= MAX_ANCESTORS:
        raise _too_long(f"too many unconfirmed ancestors [limit: {MAX_ANCESTORS}]")
    if vsize + sum(entries[txid].vsize for txid in ancestors) > MAX_CHAIN_VSIZE:
        raise _too_long(f"exceeds ancestor size limit [limit: {MAX_CHAIN_VSIZE}]")
    return frozenset(ancestors)


def check_descendants(
    graph: GraphProtocol, vsize: int, ancestors: Collection[Txid], replaced: Collection[Txid]
) -> None:
    """Refuse what would give an ancestor too many descendants; those about to be replaced do not count."""
    entries = graph.entries
    leaving: dict[Txid, MempoolTotals] = {}
    if ancestors:
        for txid in replaced:
            for ancestor in graph.ancestors_of(entries[txid].parents).intersection(ancestors):
                leaving[ancestor] = leaving.get(ancestor, NOTHING).plus(entries[txid].own)
    for txid in ancestors:
        staying = entries[txid].descendants
        if txid in leaving:
            staying = staying.minus(leaving[txid])
        if staying.count >= MAX_DESCENDANTS:
            raise _too_long(f"too many descendants for tx {to_hex(txid)} [limit: {MAX_DESCENDANTS}]")
        if staying.vsize + vsize > MAX_CHAIN_VSIZE:
            raise _too_long(f"exceeds descendant size limit for tx {to_hex(txid)} [limit: {MAX_CHAIN_VSIZE}]")


def _too_long(detail: str) -> Refused:
    return Refused(Policy.TOO_LONG_CHAIN, detail)


def check_new(graph: GraphProtocol, tx: Tx) -> None:
    """Neither this transaction nor the same with other witnesses is here. Raises Refused."""
    known = graph.entries.get(tx.txid)
    if known is not None:
        same = known.tx.wtxid == tx.wtxid
        raise Refused(Policy.ALREADY_IN_MEMPOOL if same else Policy.SAME_NONWITNESS)


def check_fee(fee: int, vsize: int, floor_sat_kvb: float) -> None:
    """The fee is enough for that size at that rate. Raises Refused(MIN_RELAY_FEE, MEMPOOL_MIN_FEE)."""
    wanted = fee_at(floor_sat_kvb, vsize)
    if fee < wanted:
        code = Policy.MEMPOOL_MIN_FEE if floor_sat_kvb > MIN_RELAY_FEE_SAT_KVB else Policy.MIN_RELAY_FEE
        raise Refused(code, f"{fee} < {wanted}")


def vsize_of(weight: int) -> int:
    """Virtual bytes of so many weight units, rounded up."""
    return (weight + WITNESS_SCALE - 1) // WITNESS_SCALE
