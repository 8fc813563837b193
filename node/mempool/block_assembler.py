"""Block assembly: the best-paid transactions of the pool first, each with what it needs.

A child's fee pays for its parents too, so candidates are ranked as packages: a transaction with
all its ancestors that are not in the block yet. Each package taken makes those of its members'
descendants smaller, and so better or worse (Core's package selection).
"""

from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush

from chain.check import MAX_SIGOPS_COST, MAX_WEIGHT
from chain.hashes import Txid
from node.mempool.entry import MempoolEntry
from node.mempool.view import MempoolView

RESERVED_WEIGHT = 8_000
"""Weight units kept for the header, the count and the coinbase (Core)."""
RESERVED_SIGOPS = 400
"""Signature-operation cost kept for the coinbase (Core)."""
FAILURES_MAX = 1_000
"""Packages in a row that do not fit before a nearly full block is called full (Core)."""
NEARLY_FULL_WEIGHT = 4_000
"""Weight units: with no more room than this, few packages could fit."""


def select_for_block(
    view: MempoolView, max_weight: int = MAX_WEIGHT, max_sigops: int = MAX_SIGOPS_COST
) -> list[MempoolEntry]:
    """Entries for a block of at most this weight and signature-operation cost, parents first.

    Room for header and coinbase is left. Works on a copy, so it may run without the lock.
    """
    room = _Room(max_weight - RESERVED_WEIGHT, max_sigops - RESERVED_SIGOPS)
    packages = _Packages(view.entries)
    chosen: list[MempoolEntry] = []
    failures = 0
    while failures < FAILURES_MAX or room.weight > NEARLY_FULL_WEIGHT:
        package = packages.best()
        if package is None:
            break
        if room.take(package):
            chosen += package
            packages.taken(package)
            failures = 0
        else:
            # For good: what later leaves its package takes at least as much of the room.
            failures += 1
    return chosen


class _Room:
    """The room left in a block."""

    __slots__ = ("_sigops", "weight")

    def __init__(self, weight: int, sigops: int) -> None:
        self.weight = weight
        self._sigops = sigops

    def take(self, package: Iterable[MempoolEntry]) -> bool:
        """Use it up for these, if they fit."""
        weight = sigops = 0
        for entry in package:
            weight += entry.weight
            sigops += entry.sigops
        if weight > self.weight or sigops > self._sigops:
            return False
        self.weight -= weight
        self._sigops -= sigops
        return True


class _Packages:
    """The candidates, by what their packages pay.

    A rank in the heap may be better than the package is by now, never worse: so a package is
    weighed again when it comes up, and goes back if it has become worse. `taken` puts those on
    top again that have become better.
    """

    __slots__ = ("_children", "_entries", "_heap", "_taken")

    def __init__(self, entries: Mapping[Txid, MempoolEntry]) -> None:
        self._entries = entries
        self._taken: set[Txid] = set()
        self._children: dict[Txid, list[MempoolEntry]] = {}
        self._heap: list[tuple[float, int, MempoolEntry]] = []
        for entry in entries.values():
            for parent in entry.parents:
                self._children.setdefault(parent, []).append(entry)
            self._heap.append((_rank(entry, entry.ancestors.fee, entry.ancestors.vsize), entry.sequence, entry))
        heapify(self._heap)

    def best(self) -> list[MempoolEntry] | None:
        """The best-paid package that was not tried in its present form, parents first; None at
        the end."""
        while self._heap:
            rank, sequence, entry = heappop(self._heap)
            if entry.tx.txid in self._taken:
                continue
            if not entry.parents:
                return [entry]
            package = self._package(entry)
            if len(package) == entry.ancestors.count:
                return package
            now = _rank_of(package)
            if now <= rank or not self._heap or (now, sequence) < self._heap[0][:2]:
                return package
            heappush(self._heap, (now, sequence, entry))
        return None

    def _package(self, entry: MempoolEntry) -> list[MempoolEntry]:
        """An entry and its ancestors, without those taken."""
        entries, taken = self._entries, self._taken
        found = {entry.tx.txid: entry}
        queue = [entry]
        while queue:
            for parent in queue.pop().parents:
                if parent not in found and parent not in taken:
                    member = found[parent] = entries[parent]
                    queue.append(member)
        package = list(found.values())
        package.sort(key=_sequence)
        return package

    def taken(self, package: list[MempoolEntry]) -> None:
        """Note that a package is in the block.

        What was paid for by the last of them is free for the other children of its parents, whose
        packages so become better. Those that need all of these become worse: what is taken from
        them paid at least as much as they do.
        """
        self._taken.update(entry.tx.txid for entry in package)
        for entry in self._descendants(package[:-1]):
            heappush(self._heap, (_rank_of(self._package(entry)), entry.sequence, entry))

    def _descendants(self, package: list[MempoolEntry]) -> Iterable[MempoolEntry]:
        """All that need one of these and are not in the block."""
        found: dict[Txid, MempoolEntry] = {}
        queue = list(package)
        while queue:
            for child in self._children.get(queue.pop().tx.txid, ()):
                txid = child.tx.txid
                if txid not in found and txid not in self._taken:
                    found[txid] = child
                    queue.append(child)
        return found.values()


def _rank(entry: MempoolEntry, package_fee: int, package_vsize: int) -> float:
    """Lowest first. The package's rate, or its own if that is lower: a child that pays little
    gains nothing from rich parents, which are taken for themselves (Core)."""
    return -min(entry.fee / entry.vsize, package_fee / package_vsize)


def _rank_of(package: list[MempoolEntry]) -> float:
    """The rank of the last of a package."""
    return _rank(package[-1], sum(entry.fee for entry in package), sum(entry.vsize for entry in package))


def _sequence(entry: MempoolEntry) -> int:
    return entry.sequence
