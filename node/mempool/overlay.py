"""The pool as it would be with some more transactions: for judging a package before any of it enters."""

from collections import ChainMap
from collections.abc import Iterable

from chain.hashes import Txid
from chain.tx import OutPoint, Tx
from node.mempool.entry import MempoolEntry
from node.mempool.graph_protocol import ancestors_in
from node.mempool.tx_graph import TxGraph


class GraphOverlay:
    """A pool with additions of its own, which nobody else sees. Use it while the pool does not change."""

    def __init__(self, graph: TxGraph) -> None:
        self._graph = graph
        self.entries: ChainMap[Txid, MempoolEntry] = ChainMap({}, graph.entries)
        self.spenders: ChainMap[OutPoint, Tx] = ChainMap({}, graph.spenders)
        self.tips = graph.tips
        self._children: dict[Txid, set[Txid]] = {}
        """Children of each transaction among those added here."""

    def ancestors_of(self, parents: Iterable[Txid]) -> set[Txid]:
        """`parents`, which are here, and all that have to be mined before them."""
        return ancestors_in(self.entries, parents)

    def descendants_of(self, txids: Iterable[Txid]) -> set[Txid]:
        """`txids`, which are here, and all that can be mined only after them."""
        found = set(txids)
        while True:
            graph = self._graph
            grown = found | graph.descendants_of(txid for txid in found if txid in graph.entries)
            for txid in tuple(grown):
                grown |= self._children.get(txid, set())
            if grown == found:
                return found
            found = grown

    def insert(self, entry: MempoolEntry, ancestors: Iterable[Txid]) -> None:
        """Add an entry whose own sums are right, has no children here, and these ancestors."""
        for ancestor in ancestors:
            old = self.entries[ancestor]
            self.entries[ancestor] = old.related(old.parents, old.ancestors, old.descendants.plus(entry.own))
        self.entries[entry.tx.txid] = entry
        for parent in entry.parents:
            self._children.setdefault(parent, set()).add(entry.tx.txid)
        for spent in entry.tx.inputs:
            self.spenders[spent.outpoint] = entry.tx
