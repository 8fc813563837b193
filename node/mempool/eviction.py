"""Eviction from a full pool, and the higher fee rate it asks of those who come after."""

from collections.abc import Collection

from chain.frozen import value
from chain.hashes import Txid
from node.mempool.entry import MempoolEntry
from node.mempool.eviction_order import worth
from node.mempool.policy import INCREMENTAL_FEE_SAT_KVB, MIN_RELAY_FEE_SAT_KVB, Policy, Refused
from node.mempool.tx_graph import TxGraph

FLOOR_HALF_LIFE_S = 12 * 3600
"""Seconds in which the floor of a pool that is at least half full falls by half (Core)."""


@value
class Eviction:
    """A transaction that leaves because it pays least, with all that depends on it."""

    txids: frozenset[Txid]
    fee_rate: float
    """Fee rate of all together, in sat/vB: the next one has to pay more."""


def make_room(graph: TxGraph, need_bytes: int, fee_rate: float, spared: Collection[Txid]) -> tuple[Eviction, ...]:
    """Evict to free so much memory for a transaction that pays `fee_rate` sat/vB.

    `spared` are its ancestors, whom it pays for, and those who leave anyway. Changes nothing.
    Raises Refused(MEMPOOL_FULL) if somebody would have to go who pays as much.
    """
    if need_bytes <= 0:
        return ()
    entries, worst = graph.entries, graph.worst
    leaving: set[Txid] = set()
    evictions: list[Eviction] = []
    seen: list[MempoolEntry] = []
    while need_bytes > 0 and (entry := worst.pop(entries)) is not None:
        seen.append(entry)
        txid = entry.tx.txid
        if txid in spared or txid in leaving:
            continue
        if worth(entry) >= fee_rate:
            break
        package = graph.descendants_of((txid,)) - leaving
        package.difference_update(spared)
        leaving |= package
        evictions.append(Eviction(frozenset(package), entry.descendants.fee / entry.descendants.vsize))
        need_bytes -= sum(entries[member].usage for member in package)
    for entry in seen:
        worst.note(entry, len(entries))
    if need_bytes > 0:
        raise Refused(Policy.MEMPOOL_FULL)
    return tuple(evictions)


class FeeFloor:
    """The rate that a transaction has to pay to enter, raised by evictions (Core's rolling fee).

    It falls only after a block has come: before, what was evicted could just come back.
    """

    __slots__ = ("_falling", "_rate_sat_kvb", "_time")

    def __init__(self) -> None:
        self._rate_sat_kvb = 0.0
        self._time = 0.0
        self._falling = False

    def evicted(self, eviction: Eviction) -> None:
        """The next has to pay for more than what had to go did."""
        rate = eviction.fee_rate * 1000 + INCREMENTAL_FEE_SAT_KVB
        if rate > self._rate_sat_kvb:
            self._rate_sat_kvb, self._falling = rate, False

    def on_block(self, now: float) -> None:
        """A block made room."""
        if not self._falling:
            self._falling, self._time = True, now

    def rate_sat_kvb(self, now: float, fill: float) -> float:
        """The rate asked for now; `fill` is how full the pool is, 0 to 1.

        An emptier pool forgets faster: twice below a half, four times below a quarter. Below half
        an increment over nothing, the floor is gone and the minimum relay rate remains.
        """
        if not self._rate_sat_kvb:
            return MIN_RELAY_FEE_SAT_KVB
        if self._falling and now > self._time:
            speed = 4 if fill < 0.25 else 2 if fill < 0.5 else 1
            self._rate_sat_kvb *= 0.5 ** ((now - self._time) * speed / FLOOR_HALF_LIFE_S)
            self._time = now
            if self._rate_sat_kvb < INCREMENTAL_FEE_SAT_KVB / 2:
                self._rate_sat_kvb = 0.0
        return max(self._rate_sat_kvb, MIN_RELAY_FEE_SAT_KVB)
