"""Transactions that wait to be mined: who may enter, who has to leave, what readers see.

The node stages a transaction, has its checks verified without the lock, stages it again and adds
it. Knows neither peers nor storage: coins come from a lookup, the next block's place from a
`BlockContext`, the time from the caller. Its parts are in `node/mempool/`.
"""

from collections.abc import Iterable, Sequence
from math import inf

from chain.block import Block
from chain.coins import Coin, CoinLookup
from chain.connect import BlockContext
from chain.hashes import Txid, Wtxid
from chain.keys import Check
from chain.tx import OutPoint, Tx
from node.mempool.change import Confirmed, MempoolChange
from node.mempool.entry import MempoolEntry, MempoolTotals, Removal, Removed
from node.mempool.eviction import Eviction, FeeFloor, make_room
from node.mempool.package_prechecks import MemberRefused, missing_checks, stage_group, stage_members
from node.mempool.persist import encode_dump
from node.mempool.policy import EXPIRY_S, check_standard
from node.mempool.prechecks import Staged, make_entry, stage, still_stands
from node.mempool.tip_update import bring_back, connect_to_pool, remove_with_descendants
from node.mempool.tx_graph import TxGraph
from node.mempool.view import MempoolView

USAGE_MAX_BYTES = 300_000_000
"""Memory that the pool may take; beyond it the worst-paid leave and the fee floor rises."""


class Mempool:
    """Valid on top of one tip, free of conflicts, no child without its parents, within its limits.

    One writer at a time; `view()` is for readers without a lock.
    """

    def __init__(self, usage_max_bytes: int = USAGE_MAX_BYTES, expiry_s: float = EXPIRY_S) -> None:
        """`usage_max_bytes` bounds `MempoolView.usage`, `expiry_s` is in seconds."""
        self.usage_max_bytes = usage_max_bytes
        self._expiry_s = expiry_s
        self._graph = TxGraph()
        self._floor = FeeFloor()
        self._oldest = inf
        """No entry has entered before, Unix time: most of the time that is all there is to know."""

    def view(self) -> MempoolView:
        """The pool for readers: kept up to date until the tip changes, then left as it was."""
        return self._graph.view

    def __len__(self) -> int:
        return len(self._graph.entries)

    def __contains__(self, txid: Txid) -> bool:
        return txid in self._graph.entries

    def get(self, txid: Txid) -> MempoolEntry | None:
        """The transaction, if it is here."""
        return self._graph.entries.get(txid)

    def by_wtxid(self, wtxid: Wtxid) -> MempoolEntry | None:
        """The transaction with exactly these witnesses, if it is here."""
        txid = self._graph.view.wtxids.get(wtxid)
        return None if txid is None else self.get(txid)

    def has_wtxid(self, wtxid: Wtxid) -> bool:
        """True if the transaction with exactly these witnesses is here."""
        return wtxid in self._graph.view.wtxids

    def coin(self, point: OutPoint) -> Coin | None:
        """The coin that a transaction here makes, at MEMPOOL_HEIGHT, spent here or not."""
        return self._graph.view.coin(point)

    def spender(self, point: OutPoint) -> Txid | None:
        """The transaction here that spends a coin, of the chain or of the pool."""
        return self._graph.view.spender(point)

    def over(self, lookup: CoinLookup) -> CoinLookup:
        """Sees the coins of the pool on top of what `lookup` sees, those spent in it included."""

        def find(point: OutPoint) -> Coin | None:
            return self.coin(point) or lookup(point)

        return find

    def min_fee_sat_kvb(self, now: float) -> float:
        """The rate that a transaction has to pay to enter now."""
        return self._floor.rate_sat_kvb(now, self._graph.view.usage / self.usage_max_bytes)

    def stage(self, tx: Tx, lookup: CoinLookup, context: BlockContext, now: float, *, was_here: bool = False) -> Staged:
        """Check whether `tx`, which has passed `check_tx`, may enter. Changes nothing.

        `lookup` sees the coins of the tip, `context` is the next block's. One that `was_here` before a
        stop is not asked for its fee: its child may have paid for it, and comes behind it. Room for it
        is made afterwards: see `expire`. Raises Refused (policy), Unready (MissingInputs, coinbase not
        mature, lock time not over) and Invalid.
        """
        check_standard(tx)
        return self._stage(tx, lookup, context, now, was_here)

    def restage(
        self, staged: Staged, lookup: CoinLookup, context: BlockContext, now: float, *, was_here: bool = False
    ) -> Staged:
        """Stage a transaction again once its signatures are verified: pool and tip may have changed.

        The checks need no second look: a coin's script and value never change.
        """
        if still_stands(self._graph, staged, self.min_fee_sat_kvb(now), self._free_bytes):
            return staged
        return self._stage(staged.tx, lookup, context, now, was_here)

    def _stage(self, tx: Tx, lookup: CoinLookup, context: BlockContext, now: float, was_here: bool) -> Staged:
        if was_here:
            return stage(self._graph, tx, lookup, context, 0.0, self.usage_max_bytes)
        return stage(self._graph, tx, lookup, context, self.min_fee_sat_kvb(now), self._free_bytes)

    def package_checks(self, txs: Sequence[Tx], lookup: CoinLookup, context: BlockContext) -> list[tuple[Check, ...]]:
        """The signatures of each of a package; nothing for one that could not enter anyway."""
        return missing_checks(self._graph, txs, lookup, context)

    def stage_package(
        self, txs: Sequence[Tx], lookup: CoinLookup, context: BlockContext, now: float, *, together: bool
    ) -> list[Staged] | MemberRefused:
        """May these enter one after the other, each paying enough, or `together`, all of them paying
        enough for all? Or the one that may not. Room is made afterwards: see `trim`. Changes nothing.

        Raises PackageRefused.
        """
        stage_all = stage_group if together else stage_members
        return stage_all(self._graph, txs, lookup, context, self.min_fee_sat_kvb(now))

    @property
    def _free_bytes(self) -> int:
        return self.usage_max_bytes - self._graph.view.usage

    def add(self, staged: Staged, now: float, time: float | None = None) -> MempoolChange:
        """Put in what was staged just now: nothing may have changed since. Its signatures are right.

        `time` is when it first entered, if that was before `now` (a pool that was saved).
        """
        graph = self._graph
        totals = graph.view.totals
        removed: list[Removed] = []
        if staged.replaced or staged.evicted:
            removed += [Removed(entry, Removal.REPLACED) for entry in graph.remove(staged.replaced)]
            removed += self._evict(staged.evicted)
        entry = make_entry(staged, graph.entries, now if time is None else time, graph.next_sequence)
        graph.next_sequence += 1
        graph.insert(entry, staged.ancestors)
        if entry.time < self._oldest:
            self._oldest = entry.time
        return self._commit(MempoolChange(graph.view.changes, (), tuple(removed), (entry,)), totals, now)

    def trim(self, now: float) -> MempoolChange:
        """Make the room that additions of a package have taken without asking."""
        totals = self._graph.view.totals
        return self._commit(MempoolChange(self._graph.view.changes, (), tuple(self._trim())), totals, now)

    def expire(self, now: float) -> MempoolChange:
        """Take out what has waited too long, with what depends on it, and whoever is one too many."""
        totals = self._graph.view.totals
        removed = tuple(self._expire(now) + self._trim())
        return self._commit(MempoolChange(self._graph.view.changes, (), removed), totals, now)

    def on_tip_change(
        self,
        disconnected: Iterable[Tx],
        connected: Sequence[Block],
        lookup: CoinLookup,
        context: BlockContext,
        now: float,
    ) -> MempoolChange:
        """Follow the best chain to its new tip.

        `disconnected` are the transactions, coinbases included, of the blocks that left it, the
        oldest block's first; `connected` the blocks that joined it, the lowest first. `lookup`
        sees the coins of the new tip and `context` is the next block's there. Views handed out
        before stay as they were.
        """
        graph, undone = self._graph, tuple(disconnected)
        graph.renew()
        totals = graph.view.totals
        confirmed: list[Confirmed] = []
        robbed: list[Removed] = []
        lowest = context.height - len(connected)
        for height, block in enumerate(connected, lowest):
            mined, conflicts = connect_to_pool(graph, block, height)
            confirmed.append(mined)
            robbed += conflicts
        change = MempoolChange(graph.view.changes, tuple(confirmed), tuple(robbed))
        if undone:
            returned, waiting = bring_back(graph, undone, connected, lookup, context, now)
            change = MempoolChange(change.before, change.confirmed, change.removed, tuple(returned))
            change = change.merge(tuple(waiting))
            self._oldest = min(self._oldest, now)
        if connected:
            self._floor.on_block(now)
        change = change.merge(tuple(self._expire(now) + self._trim()))
        # With the relatives that they have found here.
        back = tuple(graph.entries[entry.tx.txid] for entry in change.added)
        return self._commit(MempoolChange(change.before, change.confirmed, change.removed, back), totals, now)

    def dump(self) -> bytes:
        """The pool as bytes to save, parents before children: `load_dump` reads them."""
        return encode_dump((entry.tx, entry.time) for entry in self._graph.entries.values())

    def _expire(self, now: float) -> list[Removed]:
        limit = now - self._expiry_s
        if self._oldest >= limit:
            return []
        entries = self._graph.entries
        late = [txid for txid, entry in entries.items() if entry.time < limit]
        removed = remove_with_descendants(self._graph, late, Removal.EXPIRED)
        self._oldest = min((entry.time for entry in entries.values()), default=inf)
        return removed

    def _trim(self) -> list[Removed]:
        """Make room for what came back out of blocks, or in a package, and asked nobody for room."""
        view = self._graph.view
        return self._evict(make_room(self._graph, view.usage - self.usage_max_bytes, inf, ()))

    def _evict(self, evictions: Iterable[Eviction]) -> list[Removed]:
        removed = []
        for eviction in evictions:
            self._floor.evicted(eviction)
            removed += [Removed(entry, Removal.EVICTED) for entry in self._graph.remove(eviction.txids)]
        return removed

    def _commit(self, change: MempoolChange, totals: MempoolTotals, now: float) -> MempoolChange:
        """Count a change that is made, tell readers of it, and return it; `totals` are those before it."""
        view = self._graph.view
        assert change.before == view.changes, "changes are numbered without gaps"
        assert change.accounts_for(totals, view.totals), "the change is all that has happened"
        assert view.totals.count == len(self._graph.entries), "the sums are over the entries"
        view.changes += len(change)
        view.floor_sat_kvb = self.min_fee_sat_kvb(now)
        return change
