"""The pool as staging sees it: the pool itself, or a trial of what it would be."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from chain.hashes import Txid
from chain.tx import OutPoint, Tx
from node.mempool.entry import MempoolEntry


class GraphProtocol(Protocol):
    """Entries, spenders of coins, and dependencies."""

    @property
    def entries(self) -> Mapping[Txid, MempoolEntry]: ...
    @property
    def spenders(self) -> Mapping[OutPoint, Tx]: ...
    @property
    def tips(self) -> int: ...
    def ancestors_of(self, parents: Iterable[Txid]) -> set[Txid]: ...
    def descendants_of(self, txids: Iterable[Txid]) -> set[Txid]: ...


def ancestors_in(entries: Mapping[Txid, MempoolEntry], parents: Iterable[Txid]) -> set[Txid]:
    """`parents`, which are among the entries, and all that have to be mined before them."""
    found = set(parents)
    queue = list(found)
    while queue:
        for parent in entries[queue.pop()].parents:
            if parent not in found:
                found.add(parent)
                queue.append(parent)
    return found
