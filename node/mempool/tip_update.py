"""The pool after the best chain has changed: what was mined goes, what came undone comes back.

::

    fork --- old --- old        disconnected: their transactions come back, oldest first
       \\---- new --- new --- new      connected: theirs go, and whatever they make impossible
"""

from collections.abc import Iterable, Sequence

from chain.block import Block
from chain.coins import Coin, CoinLookup
from chain.connect import BlockContext, is_final
from chain.errors import Rejected
from chain.hashes import Txid
from chain.tx import OutPoint, Tx, outpoint
from node.interface.storage import LedgerChange
from node.mempool.change import Confirmed
from node.mempool.entry import MempoolEntry, Removal, Removed
from node.mempool.inputs import check_ready, find_inputs
from node.mempool.policy import MAX_ANCESTORS, MAX_CHAIN_VSIZE
from node.mempool.prechecks import make_entry, stage_again
from node.mempool.tx_graph import TxGraph


def connect_to_pool(graph: TxGraph, block: Block, height: int) -> tuple[Confirmed, list[Removed]]:
    """Take out what the block holds, and with their descendants those whose coins it spent."""
    entries, spenders = graph.entries, graph.spenders
    if not entries:
        return Confirmed(height, ()), []
    mined, robbed = [], set()
    for tx in block.txs:
        if tx.txid in entries:
            mined.append(tx.txid)
            continue
        for spent in tx.inputs:
            rival = spenders.get(spent.outpoint)
            if rival is not None:
                robbed.add(rival.txid)
    confirmed = Confirmed(height, tuple(graph.remove(mined)))
    return confirmed, remove_with_descendants(graph, robbed, Removal.CONFLICT)


def coins_at_new_tip(
    lookup: CoinLookup, disconnected: Sequence[LedgerChange], connected: Sequence[LedgerChange]
) -> CoinLookup:
    """`lookup`, which sees the coins of a reorganisation's new tip, spared most of the questions:
    what the disconnected blocks had spent is at hand. Blocks in any order."""
    fork_height = min(change.height for change in disconnected) - 1
    given_back: dict[OutPoint, Coin] = {}
    for change in disconnected:
        coins = iter(change.undo)
        for tx in change.block.txs[1:]:
            for spent in tx.inputs:
                coin = next(coins)
                # What was made above the fork may be there again, but at another height.
                if coin.height <= fork_height:
                    given_back[spent.outpoint] = coin
    for change in connected:
        for tx in change.block.txs:
            for spent in tx.inputs:
                given_back.pop(spent.outpoint, None)
    return lambda point: given_back.get(point) or lookup(point)


def bring_back(
    graph: TxGraph,
    disconnected: Iterable[Tx],
    connected: Sequence[Block],
    lookup: CoinLookup,
    context: BlockContext,
    now: float,
) -> tuple[list[MempoolEntry], list[Removed]]:
    """Put the transactions of disconnected blocks back, and take out what depends on the others.

    `lookup` sees the coins of the new tip, after the `connected` blocks. Also takes out what is no
    longer ready there.
    """
    mined_again = {tx.txid for block in connected for tx in block.txs}
    spent_again = {spent.outpoint for block in connected for tx in block.txs for spent in tx.inputs}
    undone = [tx for tx in disconnected if tx.txid not in mined_again]
    returned: list[MempoolEntry] = []
    lost: set[Txid] = set()
    # Numbered below everything here: what is here may spend them, never the other way round.
    sequence = graph.first_sequence - len(undone)
    for tx in undone:
        # Most of what cannot come back is found out without asking for coins that are not there.
        if tx.is_coinbase or any(i.outpoint in spent_again or i.outpoint[:32] in lost for i in tx.inputs):
            lost.add(tx.txid)
            continue
        try:
            staged = stage_again(graph, tx, lookup, context)
        except Rejected:
            lost.add(tx.txid)  # not valid on this branch, or not standard: what spends it goes below
            continue
        entry = make_entry(staged, graph.entries, now, sequence + len(returned))
        graph.insert(entry, staged.ancestors)
        returned.append(entry)
    graph.first_sequence = sequence
    grown = graph.adopt(entry.tx.txid for entry in returned)
    removed = remove_with_descendants(graph, _orphaned(graph, undone), Removal.REORG)
    removed += remove_with_descendants(graph, _over_limits(graph, grown), Removal.REORG)
    removed += remove_with_descendants(graph, _not_ready(graph, lookup, context), Removal.REORG)
    graph.sort()
    return returned, removed


def remove_with_descendants(graph: TxGraph, txids: Iterable[Txid], reason: Removal) -> list[Removed]:
    """Take these out, which are here, and all that depends on them; parents before children."""
    going = graph.descendants_of(txids)
    return [Removed(entry, reason) for entry in graph.remove(going)] if going else []


def _orphaned(graph: TxGraph, undone: Sequence[Tx]) -> set[Txid]:
    """Transactions here that spend outputs of those that did not come back."""
    entries, spenders = graph.entries, graph.spenders
    if not spenders:
        return set()
    points = (outpoint(tx.txid, i) for tx in undone if tx.txid not in entries for i in range(len(tx.outputs)))
    return {spender.txid for point in points if (spender := spenders.get(point)) is not None}


def _over_limits(graph: TxGraph, grown: Iterable[Txid]) -> list[Txid]:
    """Transactions that got too many ancestors by what came back. Descendants may be too many for a
    while, as in Core: they were not when they came, and nothing new may join them."""
    entries = graph.entries
    sums = ((txid, entries[txid].ancestors) for txid in grown if txid in entries)
    return [txid for txid, total in sums if total.count > MAX_ANCESTORS or total.vsize > MAX_CHAIN_VSIZE]


def _not_ready(graph: TxGraph, lookup: CoinLookup, context: BlockContext) -> list[Txid]:
    """Transactions that could no longer be in the next block: a branch may be lower or earlier."""
    height, time = context.height, context.parent_median_time
    waiting = []
    for txid, entry in graph.entries.items():
        if not is_final(entry.tx, height, time) or (entry.waits and not _is_ready(graph, entry, lookup, context)):
            waiting.append(txid)
    return waiting


def _is_ready(graph: TxGraph, entry: MempoolEntry, lookup: CoinLookup, context: BlockContext) -> bool:
    try:
        check_ready(entry.tx, find_inputs(graph, entry.tx, lookup, context).coins, context)
    except Rejected:
        return False
    return True
