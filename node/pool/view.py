"""What readers see of the pool, without a lock.

One writer, behind the node's lock, changes these dictionaries in place by single operations, each
of which a reader sees done or not done; on a change of the tip it builds new ones and leaves
these as they are. So a reader iterates over a copy (`tuple(d)`, `list(d.values())`: one step for
the interpreter) and takes a missing key for a transaction that has just left.

An entry appears before anything points at it and goes after, parents enter first and leave last:
a copy of `entries` never holds a child without its parents.
"""

from collections.abc import Callable
from heapq import nlargest

from chain.coins import Coin
from chain.hashes import Txid, Wtxid, sha256
from chain.tx import OutPoint, outpoint
from node.policy import MIN_RELAY_FEE_SAT_KVB
from node.pool.entry import MEMPOOL_HEIGHT, NOTHING, Entry, pool_coin
from node.ports import ScriptStats

HISTOGRAM_BIN_VSIZE = 50_000
"""Virtual bytes after which a bin of the fee histogram closes (electrs)."""


class MempoolView:
    """The pool between two tips. Readers change nothing in it."""

    __slots__ = ("entries", "floor_sat_kvb", "scripts", "spenders", "totals", "usage", "wtxids")

    def __init__(
        self,
        entries: dict[Txid, Entry],
        spenders: dict[OutPoint, Txid],
        scripts: dict[bytes, dict[Txid, None]],
        wtxids: dict[Wtxid, Txid],
    ) -> None:
        self.entries = entries
        """In the order of `Entry.sequence`: parents before children, the oldest first."""
        self.spenders = spenders
        """Which transaction of the pool spends a coin."""
        self.scripts = scripts
        """sha256(scriptPubKey) -> the transactions that pay or spend it, as keys."""
        self.wtxids = wtxids
        """Witness txid -> txid."""
        self.totals = NOTHING
        """Over all entries."""
        self.usage = 0
        """About how many bytes of memory the entries take."""
        self.floor_sat_kvb: float = MIN_RELAY_FEE_SAT_KVB
        """The fee rate that the next transaction has to pay, as of the last change."""

    def copy(self) -> "MempoolView":
        """The same pool in dictionaries of its own; those inside `scripts` stay shared."""
        fresh = MempoolView(self.entries.copy(), self.spenders.copy(), self.scripts.copy(), self.wtxids.copy())
        fresh.totals, fresh.usage, fresh.floor_sat_kvb = self.totals, self.usage, self.floor_sat_kvb
        return fresh

    # --- one transaction or coin -----------------------------------------------------------------

    def entry(self, txid: Txid) -> Entry | None:
        """The transaction, if it is here."""
        return self.entries.get(txid)

    def coin(self, point: OutPoint) -> Coin | None:
        """The coin that a transaction of the pool makes, spent in the pool or not."""
        entry = self.entries.get(Txid(point[:32]))
        return pool_coin(entry, point, MEMPOOL_HEIGHT) if entry else None

    def spender(self, point: OutPoint) -> Txid | None:
        """The transaction of the pool that spends this coin, confirmed or not."""
        return self.spenders.get(point)

    def children(self, entry: Entry) -> list[Entry]:
        """Those that spend its outputs."""
        points = [outpoint(entry.tx.txid, index) for index in range(len(entry.tx.outputs))]
        txids = dict.fromkeys(self.spenders.get(point) for point in points)
        return [child for txid in txids if txid and (child := self.entries.get(txid))]

    def parents(self, entry: Entry) -> list[Entry]:
        """Those whose outputs it spends."""
        return [parent for txid in entry.parents if (parent := self.entries.get(txid))]

    def ancestors(self, entry: Entry) -> list[Entry]:
        """All that have to be mined before it, parents before children, itself left out."""
        return _closure(entry, self.parents)

    def descendants(self, entry: Entry) -> list[Entry]:
        """All that can be mined only after it, parents before children, itself left out."""
        return _closure(entry, self.children)

    # --- the whole -------------------------------------------------------------------------------

    def newest(self, limit: int) -> list[Entry]:
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

    # --- one script ------------------------------------------------------------------------------

    def script_entries(self, script_hash: bytes, limit: int | None = None) -> list[Entry]:
        """Transactions that pay or spend the script, the newest first."""
        txids = tuple(self.scripts.get(script_hash, ()))
        found = [entry for txid in txids if (entry := self.entries.get(txid))]
        return nlargest(len(found) if limit is None else limit, found, key=_sequence)

    def script_stats(self, script_hash: bytes) -> ScriptStats:
        """The script's sums over the pool alone."""
        funded, spent = [], []
        entries = self.script_entries(script_hash)
        for entry in entries:
            funded += [output.value for output in entry.tx.outputs if sha256(output.script) == script_hash]
            spent += [coin.value for coin in entry.spent if sha256(coin.script) == script_hash]
        return ScriptStats(len(entries), len(funded), sum(funded), len(spent), sum(spent))

    def script_coins(self, script_hash: bytes) -> list[tuple[OutPoint, Coin]]:
        """Coins of the script that the pool makes and does not spend, at MEMPOOL_HEIGHT."""
        found = []
        for entry in self.script_entries(script_hash):
            for index, output in enumerate(entry.tx.outputs):
                point = outpoint(entry.tx.txid, index)
                if sha256(output.script) == script_hash and point not in self.spenders:
                    coin = pool_coin(entry, point, MEMPOOL_HEIGHT)
                    if coin is not None:
                        found.append((point, coin))
        return found


def empty_view() -> MempoolView:
    """A pool without transactions."""
    return MempoolView({}, {}, {}, {})


def _closure(start: Entry, neighbours: Callable[[Entry], list[Entry]]) -> list[Entry]:
    found = {start.tx.txid: start}
    queue = [start]
    while queue:
        for entry in neighbours(queue.pop()):
            if entry.tx.txid not in found:
                found[entry.tx.txid] = entry
                queue.append(entry)
    del found[start.tx.txid]
    return sorted(found.values(), key=_sequence)


def _sequence(entry: Entry) -> int:
    return entry.sequence


def _fee_rate(entry: Entry) -> float:
    return entry.fee / entry.vsize
