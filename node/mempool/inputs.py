"""Inputs of a transaction, from the chain and from the pool, and whether it could be mined next."""

from collections.abc import Sequence

from chain.coins import Coin, CoinLookup
from chain.connect import SEQUENCE_NO_LOCK, BlockContext, connect_inputs, is_final
from chain.errors import Invalid, Reject, Unready
from chain.frozen import value
from chain.hashes import Txid
from chain.tx import OutPoint, Tx, format_outpoint, outpoint
from node.mempool.entry import pool_coin
from node.mempool.graph_protocol import GraphProtocol
from node.mempool.policy import Policy, Refused


class MissingInputs(Unready):
    """Coins that neither the chain nor the pool has: an orphan, perhaps."""

    def __init__(self, parents: tuple[Txid, ...], detail: str) -> None:
        super().__init__(Reject.INPUTS_MISSING_OR_SPENT, detail)
        self.parents = parents
        """Transactions, none of them in the pool, that would have made the missing coins. Empty
        if the coins are missing for another reason: they will not come."""


@value
class Inputs:
    """The inputs of a transaction."""

    coins: tuple[Coin, ...]
    """Coins in the order of the inputs; those made in the pool stand at the next block's height."""
    parents: tuple[Txid, ...]
    """Transactions of the pool that made some of them."""
    conflicts: frozenset[Txid]
    """Transactions of the pool that spend some of them too."""


def find_inputs(graph: GraphProtocol, tx: Tx, lookup: CoinLookup, context: BlockContext) -> Inputs:
    """The coins that `tx` spends, of the chain and of the pool. Raises MissingInputs and
    Refused(ALREADY_KNOWN)."""
    entries, spenders = graph.entries, graph.spenders
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
            raise _missing(graph, tx, lookup, point)
        coins.append(coin)
        rival = spenders.get(point)
        if rival is not None:
            conflicts.add(rival.txid)
    return Inputs(tuple(coins), tuple(parents), frozenset(conflicts))


def _missing(graph: GraphProtocol, tx: Tx, lookup: CoinLookup, point: OutPoint) -> Refused | MissingInputs:
    if any(lookup(outpoint(tx.txid, index)) is not None for index in range(len(tx.outputs))):
        return Refused(Policy.ALREADY_KNOWN)
    missing = dict.fromkeys(
        Txid(spent.outpoint[:32])
        for spent in tx.inputs
        if spent.outpoint[:32] not in graph.entries and lookup(spent.outpoint) is None
    )
    return MissingInputs(tuple(missing), format_outpoint(point))


def check_ready(tx: Tx, coins: Sequence[Coin], context: BlockContext) -> int:
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


def may_wait(tx: Tx, coins: Sequence[Coin]) -> bool:
    """A reorg could make it wait again, absolute lock times apart."""
    for coin in coins:
        if coin.is_coinbase:
            return True
    if tx.version >= 2:
        for spent in tx.inputs:
            if not spent.sequence & SEQUENCE_NO_LOCK:
                return True
    return False
