"""Which transactions of the pool go into a block: the best-paid first, each with what it needs.

A child's fee pays for its parents too, so candidates are ranked as packages: a transaction with
all its ancestors that are not in the block yet. Each package taken makes those of its descendants
smaller (Core's package selection).
"""

from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush

from chain.check import MAX_SIGOPS_COST, MAX_WEIGHT
from chain.hashes import Txid
from node.pool.entry import Entry
from node.pool.view import MempoolView

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
) -> list[Entry]:
    """Entries for a block of at most this weight and signature-operation cost, parents first.

    Room for header and coinbase is left. Works on a copy, so it may run without the lock.
    """
    room = _Room(max_weight - RESERVED_WEIGHT, max_sigops - RESERVED_SIGOPS)
    packages = _Packages(view.entries.copy())
    chosen: list[Entry] = []
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
            packages.put_off(package)
            failures += 1
    return chosen


class _Room:
    """What of the block is left."""

    __slots__ = ("_sigops", "weight")

    def __init__(self, weight: int, sigops: int) -> None:
        self.weight = weight
        self._sigops = sigops

    def take(self, package: Iterable[Entry]) -> bool:
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

    The heap's ranks are bounds. Taking the best package never makes another better: what it takes
    away from one pays at least as much as what is left. So a package is weighed again only when it
    comes up, and goes back if it has become worse.
    """

    __slots__ = ("_entries", "_heap", "_put_off", "_taken")

    def __init__(self, entries: Mapping[Txid, Entry]) -> None:
        self._entries = entries
        self._taken: set[Txid] = set()
        self._put_off: dict[Txid, list[Entry]] = {}
        """What did not fit, by each transaction without which it might."""
        self._heap = [
            (_rank(entry, entry.ancestors.fee, entry.ancestors.vsize), entry.sequence, entry)
            for entry in entries.values()
        ]
        heapify(self._heap)

    def best(self) -> list[Entry] | None:
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
            now = _rank(entry, sum(member.fee for member in package), sum(member.vsize for member in package))
            if now <= rank or not self._heap or (now, sequence) < self._heap[0][:2]:
                return package
            heappush(self._heap, (now, sequence, entry))
        return None

    def _package(self, entry: Entry) -> list[Entry]:
        """It and its ancestors, without those taken."""
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

    def taken(self, package: Iterable[Entry]) -> None:
        """These are in the block."""
        for entry in package:
            self._taken.add(entry.tx.txid)
            for other in self._put_off.pop(entry.tx.txid, ()):
                heappush(self._heap, (_BEST, other.sequence, other))

    def put_off(self, package: list[Entry]) -> None:
        """These did not fit together: try the last again when one of the others is in the block."""
        for entry in package[:-1]:
            self._put_off.setdefault(entry.tx.txid, []).append(package[-1])


_BEST = float("-inf")


def _rank(entry: Entry, package_fee: int, package_vsize: int) -> float:
    """Lowest first. The package's rate, or its own if that is lower: a child that pays little
    gains nothing from rich parents, which are taken for themselves (Core)."""
    return -min(entry.fee / entry.vsize, package_fee / package_vsize)


def _sequence(entry: Entry) -> int:
    return entry.sequence
