"""May a transaction enter the pool? Everything but its signatures, without changing anything.

The signatures are the `checks` of what comes out: they are verified without the node's lock, and
then the transaction is staged again, because the pool or the tip may have changed meanwhile.
"""

from collections.abc import Collection, Mapping, Sequence

from chain.check import legacy_sigops_cost
from chain.coins import Coin, CoinLookup
from chain.connect import SEQUENCE_NO_LOCK, Context, connect_inputs, is_final, witness_sigops_cost
from chain.errors import Invalid, Reject, Unready
from chain.hashes import Txid, to_hex
from chain.keys import Check
from chain.script import Spend
from chain.tx import OutPoint, Tx, describe, outpoint
from chain.value import value
from node.policy import (
    MAX_ANCESTORS,
    MAX_CHAIN_VSIZE,
    MAX_DESCENDANTS,
    MIN_RELAY_FEE_SAT_KVB,
    Policy,
    Refused,
    check_standard,
    fee_at,
)
from node.pool.entry import NOTHING, Entry, Totals, memory_usage, pool_coin
from node.pool.graph import Graph
from node.pool.replacement import check_replacement
from node.pool.view import MempoolView


class MissingInputs(Unready):
    """Coins that neither the chain nor the pool has: an orphan, perhaps."""

    def __init__(self, parents: tuple[Txid, ...], detail: str) -> None:
        super().__init__(Reject.INPUTS_MISSING_OR_SPENT, detail)
        self.parents = parents
        """Transactions, none of them in the pool, that would have made the missing coins. Empty
        if the coins are missing for another reason: they will not come."""


@value
class Inputs:
    """What a transaction spends."""

    coins: tuple[Coin, ...]
    """In the order of its inputs; those made in the pool stand at the next block's height."""
    parents: tuple[Txid, ...]
    """Transactions of the pool that made some of them."""
    conflicts: frozenset[Txid]
    """Transactions of the pool that spend some of them too."""


@value
class Staged:
    """A transaction that may enter, if its signatures are right and nothing changes before."""

    tx: Tx
    fee: int
    """Satoshis."""
    vsize: int
    """Virtual bytes."""
    inputs: Inputs
    ancestors: frozenset[Txid]
    """All of the pool that has to be mined before it."""
    replaced: frozenset[Txid]
    """All of the pool that it pushes out."""
    height: int
    """Of the tip that it was staged on."""

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


def stage(graph: Graph, tx: Tx, lookup: CoinLookup, context: Context, floor_sat_kvb: float) -> Staged:
    """`tx`, which has passed `check_tx` and `check_standard`, may enter the pool.

    `lookup` sees the coins of the chain, `context` is the next block's. Raises Refused, Unready
    (inputs missing, premature coinbase, lock times) and Invalid.
    """
    _check_new(graph.view, tx)
    inputs = find_inputs(graph.view, tx, lookup, context)
    fee, vsize = check_ready(tx, inputs.coins, context), tx.vsize
    _check_fee(fee, vsize, floor_sat_kvb)
    ancestors = find_ancestors(graph, vsize, inputs.parents)
    if not ancestors.isdisjoint(inputs.conflicts):
        raise Refused(Policy.SPENDS_CONFLICTING)
    replaced: Collection[Txid] = ()
    if inputs.conflicts:
        replaced = check_replacement(graph, tx, fee, vsize, inputs.conflicts)
    _check_descendants(graph, vsize, ancestors, replaced)
    return Staged(tx, fee, vsize, inputs, frozenset(ancestors), frozenset(replaced), context.height - 1)


def stage_again(graph: Graph, tx: Tx, lookup: CoinLookup, context: Context) -> Staged:
    """A transaction out of a disconnected block may come back: it was mined, so what it pays and
    whom it would replace are no questions. Raises as `stage` does."""
    check_standard(tx)
    inputs = find_inputs(graph.view, tx, lookup, context)
    fee, vsize = check_ready(tx, inputs.coins, context), tx.vsize
    ancestors = find_ancestors(graph, vsize, inputs.parents)
    # Nothing here can have spent what a block had spent: to be safe, and not to trust it.
    if inputs.conflicts:
        raise Refused(Policy.SPENDS_CONFLICTING)
    return Staged(tx, fee, vsize, inputs, frozenset(ancestors), frozenset(), context.height - 1)


def make_entry(staged: Staged, entries: Mapping[Txid, Entry], time: float, sequence: int) -> Entry:
    """What a staged transaction is in the pool, before it has children."""
    tx, coins = staged.tx, staged.inputs.coins
    vsize, fee = staged.vsize, staged.fee
    for txid in staged.ancestors:
        ancestor = entries[txid]
        vsize += ancestor.vsize
        fee += ancestor.fee
    return Entry(
        tx=tx,
        fee=staged.fee,
        vsize=staged.vsize,
        weight=tx.weight,
        sigops=legacy_sigops_cost((tx,)) + witness_sigops_cost(coins),
        usage=memory_usage(tx),
        time=time,
        height=staged.height,
        sequence=sequence,
        spent=coins,
        waits=_may_wait(tx, coins),
        parents=staged.inputs.parents,
        ancestors=Totals(1 + len(staged.ancestors), vsize, fee),
        descendants=Totals(1, staged.vsize, staged.fee),
    )


def find_inputs(view: MempoolView, tx: Tx, lookup: CoinLookup, context: Context) -> Inputs:
    """The coins that `tx` spends, of the chain and of the pool. Raises MissingInputs and
    Refused(ALREADY_KNOWN)."""
    entries, spenders = view.entries, view.spenders
    coins: list[Coin] = []
    parents: dict[Txid, None] = {}
    conflicts = set()
    for spent in tx.inputs:
        point = spent.outpoint
        parent = entries.get(Txid(point[:32]))
        if parent is None:
            coin = lookup(point)
        else:
            coin = pool_coin(parent, point, context.height)
            parents[parent.tx.txid] = None
        if coin is None:
            raise _missing(view, tx, lookup, point)
        coins.append(coin)
        rival = spenders.get(point)
        if rival is not None:
            conflicts.add(rival)
    return Inputs(tuple(coins), tuple(parents), frozenset(conflicts))


def _missing(view: MempoolView, tx: Tx, lookup: CoinLookup, point: OutPoint) -> Refused | MissingInputs:
    if any(lookup(outpoint(tx.txid, index)) is not None for index in range(len(tx.outputs))):
        return Refused(Policy.ALREADY_KNOWN)
    missing = dict.fromkeys(
        Txid(spent.outpoint[:32])
        for spent in tx.inputs
        if spent.outpoint[:32] not in view.entries and lookup(spent.outpoint) is None
    )
    return MissingInputs(tuple(missing), describe(point))


def check_ready(tx: Tx, coins: Sequence[Coin], context: Context) -> int:
    """`tx` could be in the next block, signatures apart; returns its fee in satoshis.

    What a block could never hold is Invalid, what it cannot hold yet is Unready.
    """
    if not is_final(tx, context.height, context.parent_median_time):
        raise Unready(Policy.NON_FINAL, f"lock time {tx.lock_time}")
    try:
        return connect_inputs(tx, coins, context)
    except Invalid as error:
        if error.code is Reject.PREMATURE_COINBASE:
            raise Unready(error.code, error.detail) from None
        if error.code is Reject.NONFINAL:
            raise Unready(Policy.NON_BIP68_FINAL, error.detail) from None
        raise


def find_ancestors(graph: Graph, vsize: int, parents: tuple[Txid, ...]) -> set[Txid]:
    """All of the pool that has to be mined before. Raises Refused(TOO_LONG_CHAIN)."""
    if not parents:
        return set()
    # Before the walk: each parent is an ancestor, and each has a bounded number of its own.
    if len(parents) >= MAX_ANCESTORS:
        raise _too_long(f"too many unconfirmed parents [limit: {MAX_ANCESTORS - 1}]")
    ancestors = graph.ancestors_of(parents)
    entries = graph.view.entries
    if len(ancestors) >= MAX_ANCESTORS:
        raise _too_long(f"too many unconfirmed ancestors [limit: {MAX_ANCESTORS}]")
    if vsize + sum(entries[txid].vsize for txid in ancestors) > MAX_CHAIN_VSIZE:
        raise _too_long(f"exceeds ancestor size limit [limit: {MAX_CHAIN_VSIZE}]")
    return ancestors


def _check_descendants(graph: Graph, vsize: int, ancestors: set[Txid], replaced: Collection[Txid]) -> None:
    """No ancestor gets too many descendants; those about to be replaced do not count."""
    entries = graph.view.entries
    leaving: dict[Txid, Totals] = {}
    if ancestors:
        for txid in replaced:
            for ancestor in graph.ancestors_of(entries[txid].parents) & ancestors:
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


def _check_new(view: MempoolView, tx: Tx) -> None:
    known = view.entries.get(tx.txid)
    if known is not None:
        same = known.tx.wtxid == tx.wtxid
        raise Refused(Policy.ALREADY_IN_MEMPOOL if same else Policy.SAME_NONWITNESS)


def _check_fee(fee: int, vsize: int, floor_sat_kvb: float) -> None:
    wanted = fee_at(floor_sat_kvb, vsize)
    if fee < wanted:
        code = Policy.MEMPOOL_MIN_FEE if floor_sat_kvb > MIN_RELAY_FEE_SAT_KVB else Policy.MIN_RELAY_FEE
        raise Refused(code, f"{fee} < {wanted}")


def _may_wait(tx: Tx, coins: Sequence[Coin]) -> bool:
    """A reorg could make it wait again, absolute lock times apart."""
    if tx.version >= 2 and any(not spent.sequence & SEQUENCE_NO_LOCK for spent in tx.inputs):
        return True
    return any(coin[0] & 1 for coin in coins)
