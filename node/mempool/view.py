"""The pool as readers see it, without a lock.

One writer, behind the node's lock, changes the pool's dictionaries in place by single operations,
each of which a reader sees done or not done. A view is of one tip: until the next it shows all that
comes and goes, from then on what was there at the end, although the dictionaries go on. For before
the writer changes anything, it notes in the view of the last tip what was there, as long as
anybody holds that view; and a reader looks into the dictionary first, then into the notes of its
own and of all later tips. What it found is outdated only if that is noted. So a new tip costs what
it changes, however full the pool is.

An entry appears before anything points at it and goes after, parents enter first and leave last:
`entries` never holds a child without its parents.
"""

from collections.abc import Callable
from heapq import nlargest
from operator import attrgetter
from typing import Any, TypeVar

from chain.coins import Coin
from chain.hashes import Txid, Wtxid, sha256
from chain.tx import OutPoint, Tx, outpoint
from node.interface.storage import ScriptStats
from node.mempool.entry import MEMPOOL_HEIGHT, NOTHING, MempoolEntry, pool_coin
from node.mempool.policy import MIN_RELAY_FEE_SAT_KVB
from node.mempool.script_index import ScriptIndex

_NOT_NOTED: Any = object()
"""Tells what is not noted from what was not there."""
K = TypeVar("K")
V = TypeVar("V")

_sequence = attrgetter("sequence")
_entries_of: "Callable[[Past], dict[Txid, MempoolEntry | None]]" = attrgetter("entries")
_spenders_of: "Callable[[Past], dict[OutPoint, Tx | None]]" = attrgetter("spenders")

HISTOGRAM_BIN_VSIZE = 50_000
"""Virtual bytes after which a bin of the fee histogram closes (electrs)."""


class Past:
    """Entries at the end of a view's tip that have changed since; None for those that were not there."""

    __slots__ = ("entries", "later", "spenders")

    def __init__(self, later: "MempoolView") -> None:
        self.entries: dict[Txid, MempoolEntry | None] = {}
        self.spenders: dict[OutPoint, Tx | None] = {}
        self.later = later
        """The view of the next tip, with notes of its own once that is over."""

    def note(self, entry: MempoolEntry) -> None:
        """Keep an entry that is about to leave."""
        tx = entry.tx
        self.entries.setdefault(tx.txid, entry)
        for spent in tx.inputs:
            self.spenders.setdefault(spent.outpoint, tx)


class MempoolView:
    """The pool between two tips. Readers change nothing in it."""

    __slots__ = (
        "__weakref__",
        "_entries",
        "_spenders",
        "changes",
        "floor_sat_kvb",
        "past",
        "scripts",
        "totals",
        "usage",
        "wtxids",
    )

    def __init__(
        self,
        entries: dict[Txid, MempoolEntry],
        spenders: dict[OutPoint, Tx],
        scripts: ScriptIndex,
        wtxids: dict[Wtxid, Txid],
    ) -> None:
        """The dictionaries are the writer's own."""
        self._entries = entries
        self._spenders = spenders
        self.scripts = scripts
        """Transactions that pay or spend a script; others too, that have left."""
        self.wtxids = wtxids
        """Witness txid -> txid, of the pool as it is by now: one dictionary for the views of all tips."""
        self.past: Past | None = None
        """The pool as it was, for a view of an earlier tip; None as long as this is the tip's."""
        self.totals = NOTHING
        """Over all entries."""
        self.usage = 0
        """About how many bytes of memory the entries take."""
        self.floor_sat_kvb: float = MIN_RELAY_FEE_SAT_KVB
        """The fee rate that the next transaction has to pay, as of the last change."""
        self.changes = 0
        """Number of entries and departures so far, together. Grows after the change itself: whoever reads
        it first and then what is here may be told some of it again, and misses nothing."""

    def followed(self) -> "MempoolView":
        """The view of the next tip, the same so far. From now on this one has a past."""
        later = MempoolView(self._entries, self._spenders, self.scripts, self.wtxids)
        later.totals, later.usage, later.floor_sat_kvb = self.totals, self.usage, self.floor_sat_kvb
        later.changes = self.changes
        self.past = Past(later)
        return later

    def sort(self) -> dict[Txid, MempoolEntry]:
        """Go on in another dictionary, which is returned: the same entries in the order of their
        sequence. Only by the writer, before there are readers."""
        self._entries = {entry.tx.txid: entry for entry in sorted(self._entries.values(), key=_sequence)}
        return self._entries

    def __len__(self) -> int:
        return self.totals.count

    def _as_it_was(self, notes_of: Callable[[Past], dict[K, V | None]], key: K, found: V | None) -> V | None:
        """The value at the end of this tip, given the one that was `found` just now."""
        passed: list[dict[K, V | None]] = []
        past = self.past
        while past is not None:
            notes = notes_of(past)
            noted = notes.get(key, _NOT_NOTED)
            if noted is not _NOT_NOTED:
                # What changes in the time of one tip and again in that of the next is noted twice, in the older notes
                # first. They may have been passed before that.
                for older in reversed(passed):
                    noted = older.get(key, noted)
                return noted
            passed.append(notes)
            past = past.later.past
        return found

    def entry(self, txid: Txid) -> MempoolEntry | None:
        """The transaction, if it is here."""
        return self._as_it_was(_entries_of, txid, self._entries.get(txid))

    def tx_spending(self, point: OutPoint) -> Tx | None:
        """The transaction of the pool that spends this coin, confirmed or not."""
        return self._as_it_was(_spenders_of, point, self._spenders.get(point))

    def spender(self, point: OutPoint) -> Txid | None:
        """Txid of the transaction of the pool that spends a coin."""
        tx = self.tx_spending(point)
        return None if tx is None else tx.txid

    def coin(self, point: OutPoint) -> Coin | None:
        """The coin that a transaction of the pool makes, spent in the pool or not."""
        entry = self.entry(Txid(point[:32]))
        return pool_coin(entry, point, MEMPOOL_HEIGHT) if entry else None

    def children(self, entry: MempoolEntry) -> list[MempoolEntry]:
        """The transactions that spend its outputs."""
        points = [outpoint(entry.tx.txid, index) for index in range(len(entry.tx.outputs))]
        txids = dict.fromkeys(tx.txid for point in points if (tx := self.tx_spending(point)))
        return [child for txid in txids if (child := self.entry(txid))]

    def parents(self, entry: MempoolEntry) -> list[MempoolEntry]:
        """The transactions whose outputs it spends."""
        return [parent for txid in entry.parents if (parent := self.entry(txid))]

    def ancestors(self, entry: MempoolEntry) -> list[MempoolEntry]:
        """All that have to be mined before it, parents before children, itself left out."""
        return _closure(entry, self.parents)

    def descendants(self, entry: MempoolEntry) -> list[MempoolEntry]:
        """All that can be mined only after it, parents before children, itself left out."""
        return _closure(entry, self.children)

    @property
    def entries(self) -> dict[Txid, MempoolEntry]:
        """All entries in the order of `MempoolEntry.sequence`: parents before children, the oldest first.

        A copy. Whoever wants to know of one asks for that `entry`.
        """
        is_over = self.past is not None
        found = self._entries.copy()
        if not is_over:
            if self.past is None:
                return found
            # The tip ended just then, with more perhaps than was copied: notes tell what has changed since the end.
            found = self._entries.copy()
        pasts, past = [], self.past
        while past is not None:
            pasts.append(past)
            past = past.later.past
        for past in reversed(pasts):  # the newest first, as what is in older ones counts and comes into them first
            found.update(past.entries.copy())  # type: ignore[arg-type]
        left = sorted((entry for entry in found.values() if entry is not None), key=_sequence)
        return {entry.tx.txid: entry for entry in left}

    def newest(self, limit: int) -> list[MempoolEntry]:
        """The entries that came last, the newest first."""
        entries = list(self.entries.values())
        return entries[: -limit - 1 : -1]

    def fee_histogram(self) -> list[tuple[float, int]]:
        """(sat/vB, vsize) from the best-paid down: that many virtual bytes pay that rate or more,
        those of the bins before left out (electrs)."""
        bins: list[tuple[float, int]] = []
        vsize, rate = 0, 0.0
        entries = list(self.entries.values())
        entries.sort(key=_fee_rate, reverse=True)
        for entry in entries:
            if vsize > HISTOGRAM_BIN_VSIZE and entry.fee_rate != rate:
                bins.append((round(rate, 2), vsize))
                vsize = 0
            rate = entry.fee_rate
            vsize += entry.vsize
        return [*bins, (round(rate, 2), vsize)] if vsize else bins

    def script_entries(self, script_hash: bytes, limit: int | None = None) -> list[MempoolEntry]:
        """Transactions that pay or spend the script, the newest first."""
        found = [entry for txid in self.scripts.find(script_hash) if (entry := self.entry(txid))]
        return nlargest(len(found) if limit is None else limit, found, key=_sequence)

    def script_stats(self, script_hash: bytes) -> ScriptStats:
        """The script's sums over the pool alone."""
        funded, spent = [], []
        is_it = _Match(script_hash)
        entries = self.script_entries(script_hash)
        for entry in entries:
            funded += [output.value for output in entry.tx.outputs if is_it(output.script)]
            spent += [coin.value for coin in entry.spent if is_it(coin.script)]
        return ScriptStats(len(entries), len(funded), sum(funded), len(spent), sum(spent))

    def script_coins(self, script_hash: bytes) -> list[tuple[OutPoint, Coin]]:
        """Coins of the script that the pool makes and does not spend, at MEMPOOL_HEIGHT."""
        found = []
        is_it = _Match(script_hash)
        for entry in self.script_entries(script_hash):
            for index, output in enumerate(entry.tx.outputs):
                if not is_it(output.script):
                    continue
                point = outpoint(entry.tx.txid, index)
                coin = None if self.tx_spending(point) else pool_coin(entry, point, MEMPOOL_HEIGHT)
                if coin is not None:
                    found.append((point, coin))
        return found


class _Match:
    """Is this the script of that hash? Hashes until it has seen the script, and compares from then on."""

    __slots__ = ("_script", "_script_hash")

    def __init__(self, script_hash: bytes) -> None:
        self._script_hash = script_hash
        self._script: bytes | None = None

    def __call__(self, script: bytes) -> bool:
        if self._script is None and sha256(script) == self._script_hash:
            self._script = script
        return script == self._script


def _closure(start: MempoolEntry, neighbours: Callable[[MempoolEntry], list[MempoolEntry]]) -> list[MempoolEntry]:
    found = {start.tx.txid: start}
    queue = [start]
    while queue:
        for entry in neighbours(queue.pop()):
            if entry.tx.txid not in found:
                found[entry.tx.txid] = entry
                queue.append(entry)
    del found[start.tx.txid]
    return sorted(found.values(), key=_sequence)


def _fee_rate(entry: MempoolEntry) -> float:
    return entry.fee / entry.vsize
