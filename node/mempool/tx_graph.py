"""The one writer of the pool: entries in and out, with sums and indexes kept right.

Decides nothing. Sums over relatives are kept as relatives come and go, never by walking the whole
pool: an insertion touches the ancestors (25 at most), a removal the relatives that stay.
"""

import weakref
from collections.abc import Callable, Collection, Iterable
from operator import attrgetter

from chain.hashes import Txid
from chain.tx import OutPoint, Tx, outpoint
from node.mempool.entry import NOTHING, MempoolEntry, MempoolTotals
from node.mempool.eviction_order import WorstFirst
from node.mempool.graph_protocol import ancestors_in
from node.mempool.script_index import ScriptIndex
from node.mempool.view import MempoolView, Past

_by_sequence = attrgetter("sequence")


class TxGraph:
    """The entries, their spending relations, and the indexes of the view that readers have."""

    def __init__(self) -> None:
        self.entries: dict[Txid, MempoolEntry] = {}
        """Entries by txid, in the order of their sequence."""
        self.spenders: dict[OutPoint, Tx] = {}
        """The transaction that spends a coin, by outpoint."""
        self.view = MempoolView(self.entries, self.spenders, ScriptIndex(), {})
        """All this, read by anyone, written here alone."""
        self._last_view: Callable[[], MempoolView | None] = lambda: None
        """The view of the tip before, if anybody holds it."""
        self.worst = WorstFirst()
        """Entries in the order of eviction when the pool is full."""
        self.first_sequence = 0
        """No entry has a lower number."""
        self.next_sequence = 0
        """All entries have lower numbers."""
        self.tips = 0
        """Changes of the tip so far."""
        self._children: dict[Txid, set[Txid]] = {}
        """Children by parent; no entry for those without."""

    def renew(self) -> None:
        """The tip changes: the view handed out stays as it is, for ever."""
        last, self.view = self.view, self.view.followed()
        self._last_view = weakref.ref(last)
        self.tips += 1

    def _past(self) -> Past | None:
        """The notes of entries before they are changed; None if nobody looks at the past."""
        last = self._last_view()
        return None if last is None else last.past

    def ancestors_of(self, parents: Iterable[Txid]) -> set[Txid]:
        """`parents`, which are here, and all that have to be mined before them."""
        return ancestors_in(self.entries, parents)

    def descendants_of(self, txids: Iterable[Txid]) -> set[Txid]:
        """`txids`, which are here, and all that can be mined only after them."""
        found = set(txids)
        queue = list(found)
        while queue:
            for child in self._children.get(queue.pop(), ()):
                if child not in found:
                    found.add(child)
                    queue.append(child)
        return found

    def insert(self, entry: MempoolEntry, ancestors: Iterable[Txid]) -> None:
        """Add an entry whose own sums are right, has no children here, and these ancestors."""
        view, tx, past = self.view, entry.tx, self._past()
        entries, spenders, txid = self.entries, self.spenders, tx.txid
        for ancestor in ancestors:
            old = entries[ancestor]
            self._put(old.related(old.parents, old.ancestors, old.descendants.plus(entry.own)))
        assert txid not in entries, "an entry enters once"
        self._put(entry)
        for parent in entry.parents:
            assert parent in entries, "parents enter before children"
            self._children.setdefault(parent, set()).add(txid)
        view.wtxids[tx.wtxid] = txid
        view.scripts.add(tx, entry.spent)
        for spent in tx.inputs:
            if past:
                past.spenders.setdefault(spent.outpoint, None)
            assert spent.outpoint not in spenders, "no coin is spent twice"
            spenders[spent.outpoint] = tx
        totals = view.totals
        view.totals = MempoolTotals(totals.count + 1, totals.vsize + entry.vsize, totals.fee + entry.fee)
        view.usage += entry.usage

    def adopt(self, txids: Iterable[Txid]) -> set[Txid]:
        """Make entries whose children were here before them the parents of those children.

        For transactions that came back out of blocks: nothing here was confirmed before them, so
        whatever they add to the ancestors of others is among `txids` too. Returns all whose
        ancestors have grown.
        """
        newcomers = set(txids)
        grown = self.descendants_of(self._link_children(newcomers))
        gains: dict[Txid, MempoolTotals] = {}
        for txid in grown:
            entry = self.entries[txid]
            more = self.ancestors_of(entry.parents) & newcomers
            ancestors = entry.ancestors
            for ancestor in more:
                ancestors = ancestors.plus(self.entries[ancestor].own)
                gains[ancestor] = gains.get(ancestor, NOTHING).plus(entry.own)
            self._put(entry.related(entry.parents, ancestors, entry.descendants))
        for txid, gain in gains.items():
            entry = self.entries[txid]
            self._put(entry.related(entry.parents, entry.ancestors, entry.descendants.plus(gain)))
        return grown

    def _link_children(self, txids: Iterable[Txid]) -> set[Txid]:
        """Note the parents that children here did not have; returns these children."""
        entries, spenders = self.entries, self.spenders
        linked = set()
        for txid in txids:
            for index in range(len(entries[txid].tx.outputs)):
                spender = spenders.get(outpoint(txid, index))
                if spender is None or txid in entries[spender.txid].parents:
                    continue
                child = spender.txid
                entry = entries[child]
                self._put(entry.related((*entry.parents, txid), entry.ancestors, entry.descendants))
                self._children.setdefault(txid, set()).add(child)
                linked.add(child)
        return linked

    def sort(self) -> None:
        """Put the entries back into the order of their sequence. Only between `renew` and readers."""
        self.entries = self.view.sort()

    def remove(self, txids: Collection[Txid]) -> list[MempoolEntry]:
        """Take these out, which are here, and correct the sums of their relatives that stay.

        Returns them as they were, parents before children.
        """
        entries = self.entries
        gone = [entries[txid] for txid in txids]
        gone.sort(key=_by_sequence)
        if gone:
            relatives = [entry for entry in gone if entry.ancestors.count > 1 or entry.descendants.count > 1]
            if relatives:
                self._settle_relatives(relatives, set(txids))
            self._forget(gone)
        return gone

    def _settle_relatives(self, gone: list[MempoolEntry], txids: set[Txid]) -> None:
        lost_above: dict[Txid, MempoolTotals] = {}
        lost_below: dict[Txid, MempoolTotals] = {}
        for entry in gone:
            own = entry.own
            if entry.ancestors.count > 1:
                for ancestor in self.ancestors_of(entry.parents) - txids:
                    lost_below[ancestor] = lost_below.get(ancestor, NOTHING).plus(own)
            if entry.descendants.count > 1:
                for descendant in self.descendants_of((entry.tx.txid,)) - txids:
                    lost_above[descendant] = lost_above.get(descendant, NOTHING).plus(own)
        entries = self.entries
        for txid, lost in lost_below.items():
            entry = entries[txid]
            self._put(entry.related(entry.parents, entry.ancestors, entry.descendants.minus(lost)))
        for txid, lost in lost_above.items():
            entry = entries[txid]
            parents = tuple(parent for parent in entry.parents if parent not in txids)
            self._put(entry.related(parents, entry.ancestors.minus(lost), entry.descendants))

    def _forget(self, gone: list[MempoolEntry]) -> None:
        view, past = self.view, self._past()
        entries, spenders, wtxids = self.entries, self.spenders, view.wtxids
        vsize = fee = usage = places = 0
        for entry in reversed(gone):  # children first, as the view promises
            tx = entry.tx
            if past:
                past.note(entry)
            for spent in tx.inputs:
                del spenders[spent.outpoint]
            del wtxids[tx.wtxid]
            del entries[tx.txid]
            vsize += entry.vsize
            fee += entry.fee
            usage += entry.usage
            places += len(tx.inputs) + len(tx.outputs)
            if entry.parents or entry.descendants.count > 1:
                self._forget_relatives(entry)
        view.totals = view.totals.minus(MempoolTotals(len(gone), vsize, fee))
        view.usage -= usage
        if view.scripts.left(places):
            view.scripts = view.scripts.swept(entries)

    def _forget_relatives(self, entry: MempoolEntry) -> None:
        self._children.pop(entry.tx.txid, None)
        for parent in entry.parents:
            siblings = self._children.get(parent)
            if siblings is not None:
                siblings.discard(entry.tx.txid)
                if not siblings:
                    del self._children[parent]

    def _put(self, entry: MempoolEntry) -> None:
        entries, txid = self.entries, entry.tx.txid
        if past := self._past():
            past.entries.setdefault(txid, entries.get(txid))
        entries[txid] = entry
        self.worst.note(entry, len(entries))
