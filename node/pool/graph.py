"""The one writer of the pool: entries in and out, with sums and indexes kept right.

Decides nothing. Sums over relatives are kept as relatives come and go, never by walking the whole
pool: an insertion touches the ancestors (25 at most), a removal the relatives that stay.
"""

from collections.abc import Collection, Iterable

from chain.hashes import Txid, sha256
from chain.tx import outpoint
from node.pool.entry import NOTHING, Entry, Totals
from node.pool.view import MempoolView, empty_view
from node.pool.worst import WorstFirst


class Graph:
    """The entries, who spends whom, and the indexes of the view that readers have."""

    def __init__(self) -> None:
        self.view: MempoolView = empty_view()
        """Read by anyone, written here alone."""
        self.worst = WorstFirst()
        """Who goes first when the pool is full."""
        self.first_sequence = 0
        """No entry has a lower number."""
        self.next_sequence = 0
        """All entries have lower numbers."""
        self._children: dict[Txid, set[Txid]] = {}
        """Only of those that have any."""
        self._private_scripts: set[bytes] = set()
        """Script hashes whose inner dictionary no older view shares."""

    def renew(self) -> None:
        """Leave the dictionaries handed out as they are, for ever, and go on in new ones."""
        self.view = self.view.copy()
        self._private_scripts = set()

    # --- relatives -------------------------------------------------------------------------------

    def ancestors_of(self, parents: Iterable[Txid]) -> set[Txid]:
        """`parents`, which are here, and all that have to be mined before them."""
        entries = self.view.entries
        found = set(parents)
        queue = list(found)
        while queue:
            for parent in entries[queue.pop()].parents:
                if parent not in found:
                    found.add(parent)
                    queue.append(parent)
        return found

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

    # --- in --------------------------------------------------------------------------------------

    def insert(self, entry: Entry, ancestors: Iterable[Txid]) -> None:
        """Add an entry whose own sums are right, has no children here, and these ancestors."""
        view, txid = self.view, entry.tx.txid
        entries, own = view.entries, entry.own
        for ancestor in ancestors:
            old = entries[ancestor]
            self._put(old.related(old.parents, old.ancestors, old.descendants.plus(own)))
        self._put(entry)
        for parent in entry.parents:
            self._children.setdefault(parent, set()).add(txid)
        view.wtxids[entry.tx.wtxid] = txid
        for script_hash in _script_hashes(entry):
            self._script_txids(script_hash)[txid] = None
        for spent in entry.tx.inputs:
            view.spenders[spent.outpoint] = txid
        view.totals = view.totals.plus(own)
        view.usage += entry.usage

    def adopt(self, txids: Iterable[Txid]) -> set[Txid]:
        """Make entries whose children were here before them the parents of those children.

        For transactions that came back out of blocks: nothing here was confirmed before them, so
        whatever they add to the ancestors of others is among `txids` too. Returns all whose
        ancestors have grown.
        """
        newcomers = set(txids)
        grown = self.descendants_of(self._link_children(newcomers))
        gains: dict[Txid, Totals] = {}
        for txid in grown:
            entry = self.view.entries[txid]
            more = self.ancestors_of(entry.parents) & newcomers
            ancestors = entry.ancestors
            for ancestor in more:
                ancestors = ancestors.plus(self.view.entries[ancestor].own)
                gains[ancestor] = gains.get(ancestor, NOTHING).plus(entry.own)
            self._put(entry.related(entry.parents, ancestors, entry.descendants))
        for txid, gain in gains.items():
            entry = self.view.entries[txid]
            self._put(entry.related(entry.parents, entry.ancestors, entry.descendants.plus(gain)))
        return grown

    def _link_children(self, txids: Iterable[Txid]) -> set[Txid]:
        """Note the parents that children here did not have; returns these children."""
        entries, spenders = self.view.entries, self.view.spenders
        linked = set()
        for txid in txids:
            for index in range(len(entries[txid].tx.outputs)):
                child = spenders.get(outpoint(txid, index))
                if child is None or txid in entries[child].parents:
                    continue
                entry = entries[child]
                self._put(entry.related((*entry.parents, txid), entry.ancestors, entry.descendants))
                self._children.setdefault(txid, set()).add(child)
                linked.add(child)
        return linked

    def sort(self) -> None:
        """Put the entries back into the order of their sequence. Only between `renew` and readers."""
        entries = sorted(self.view.entries.values(), key=lambda entry: entry.sequence)
        self.view.entries = {entry.tx.txid: entry for entry in entries}

    # --- out -------------------------------------------------------------------------------------

    def remove(self, txids: Collection[Txid]) -> list[Entry]:
        """Take these out, which are here, and correct the sums of their relatives that stay.

        Returns them as they were, parents before children.
        """
        entries = self.view.entries
        gone = sorted((entries[txid] for txid in txids), key=lambda entry: entry.sequence)
        self._settle_relatives(gone, set(txids))
        for entry in reversed(gone):  # children first, as the view promises
            self._forget(entry)
        return gone

    def _settle_relatives(self, gone: list[Entry], txids: set[Txid]) -> None:
        lost_above: dict[Txid, Totals] = {}
        lost_below: dict[Txid, Totals] = {}
        for entry in gone:
            own = entry.own
            if entry.ancestors.count > 1:
                for ancestor in self.ancestors_of(entry.parents) - txids:
                    lost_below[ancestor] = lost_below.get(ancestor, NOTHING).plus(own)
            if entry.descendants.count > 1:
                for descendant in self.descendants_of((entry.tx.txid,)) - txids:
                    lost_above[descendant] = lost_above.get(descendant, NOTHING).plus(own)
        entries = self.view.entries
        for txid, lost in lost_below.items():
            entry = entries[txid]
            self._put(entry.related(entry.parents, entry.ancestors, entry.descendants.minus(lost)))
        for txid, lost in lost_above.items():
            entry = entries[txid]
            parents = tuple(parent for parent in entry.parents if parent not in txids)
            self._put(entry.related(parents, entry.ancestors.minus(lost), entry.descendants))

    def _forget(self, entry: Entry) -> None:
        view, txid = self.view, entry.tx.txid
        for spent in entry.tx.inputs:
            del view.spenders[spent.outpoint]
        for script_hash in _script_hashes(entry):
            inner = self._script_txids(script_hash)
            del inner[txid]
            if not inner:
                del view.scripts[script_hash]
                self._private_scripts.discard(script_hash)
        del view.wtxids[entry.tx.wtxid]
        del view.entries[txid]
        self._children.pop(txid, None)
        for parent in entry.parents:
            siblings = self._children.get(parent)
            if siblings is not None:
                siblings.discard(txid)
                if not siblings:
                    del self._children[parent]
        view.totals = view.totals.minus(entry.own)
        view.usage -= entry.usage

    # --- both ------------------------------------------------------------------------------------

    def _put(self, entry: Entry) -> None:
        self.view.entries[entry.tx.txid] = entry
        self.worst.note(entry, len(self.view.entries))

    def _script_txids(self, script_hash: bytes) -> dict[Txid, None]:
        """The inner dictionary of a script, no longer shared with views from before the last tip."""
        scripts = self.view.scripts
        inner = scripts.get(script_hash)
        if script_hash not in self._private_scripts or inner is None:
            inner = scripts[script_hash] = {} if inner is None else inner.copy()
            self._private_scripts.add(script_hash)
        return inner


def _script_hashes(entry: Entry) -> set[bytes]:
    """sha256 of every script that it pays or spends."""
    hashes = {sha256(output.script) for output in entry.tx.outputs}
    hashes.update(sha256(coin.script) for coin in entry.spent)
    return hashes
