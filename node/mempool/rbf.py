"""Replacement of unconfirmed transactions that spend the same coins: BIP125's rules 2 to 5 and Core's rate
rule, for every transaction, whether it signals or not (full replace-by-fee).

What a miner holds must get better by it, and flooding the network with replacements must cost.
"""

from collections.abc import Collection

from chain.hashes import Txid
from chain.tx import Tx
from node.mempool.entry import MempoolEntry
from node.mempool.graph_protocol import GraphProtocol
from node.mempool.policy import INCREMENTAL_FEE_SAT_KVB, MAX_REPLACED, Policy, Refused, fee_at


def check_replacement(graph: GraphProtocol, tx: Tx, fee: int, vsize: int, conflicts: Collection[Txid]) -> set[Txid]:
    """`tx` may push out `conflicts`, which spend coins that it spends too, and all after them.

    Returns everything that goes. Raises Refused(INSUFFICIENT_FEE, TOO_MANY_REPLACEMENTS,
    ADDS_UNCONFIRMED).
    """
    rivals = [graph.entries[txid] for txid in conflicts]
    _check_rate(fee, vsize, rivals)
    # As in Core, common descendants count more than once: cheap, and the walk below is bounded.
    going = sum(rival.descendants.count for rival in rivals)
    if going > MAX_REPLACED:
        raise Refused(Policy.TOO_MANY_REPLACEMENTS, f"{going} > {MAX_REPLACED}")
    _check_parents(graph, tx, rivals)
    replaced = graph.descendants_of(conflicts)
    _check_fees(fee, vsize, sum(graph.entries[txid].fee for txid in replaced))
    return replaced


def _check_rate(fee: int, vsize: int, rivals: list[MempoolEntry]) -> None:
    """Better paid than each of those it meets, or a miner would rather keep them (Core)."""
    for rival in rivals:
        if fee * rival.vsize <= rival.fee * vsize:
            detail = f"new fee rate {fee / vsize:.3f} sat/vB <= old {rival.fee_rate:.3f} sat/vB"
            raise Refused(Policy.INSUFFICIENT_FEE, f"rejecting replacement, {detail}")


def _check_parents(graph: GraphProtocol, tx: Tx, rivals: list[MempoolEntry]) -> None:
    """Rule 2: a new unconfirmed input could make it less likely to be mined than those it replaces."""
    had = {spent.outpoint[:32] for rival in rivals for spent in rival.tx.inputs}
    for index, spent in enumerate(tx.inputs):
        parent = Txid(spent.outpoint[:32])
        if parent not in had and parent in graph.entries:
            raise Refused(Policy.ADDS_UNCONFIRMED, f"input {index}")


def _check_fees(fee: int, vsize: int, replaced_fee: int) -> None:
    """Rules 3 and 4: all that goes is paid for, and its own relay on top."""
    if fee < replaced_fee:
        detail = f"less fees than conflicting txs; {fee} < {replaced_fee}"
        raise Refused(Policy.INSUFFICIENT_FEE, f"rejecting replacement, {detail}")
    relay = fee_at(INCREMENTAL_FEE_SAT_KVB, vsize)
    if fee - replaced_fee < relay:
        detail = f"not enough additional fees to relay; {fee - replaced_fee} < {relay}"
        raise Refused(Policy.INSUFFICIENT_FEE, f"rejecting replacement, {detail}")
