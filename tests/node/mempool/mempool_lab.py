"""A mempool on a small chain of its own, and the pool's invariants recomputed from scratch.

Witnesses are stand-ins of the usual size: the pool leaves signatures to others. Blocks have no
proof of work, for nobody here asks for it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from chain.block import Block, make_block, make_header
from chain.coins import Coin, CoinLookup, CoinsDelta
from chain.connect import BlockContext, block_delta
from chain.errors import Rejected
from chain.hashes import BlockHash, Txid, sha256
from chain.scripttype import p2tr_script, p2wpkh_script
from chain.tx import NULL_OUTPOINT, OutPoint, Tx, TxIn, TxOut, make_tx, outpoint, outpoint_index, outpoint_txid
from node.interface.storage import LedgerChange
from node.mempool import script_index
from node.mempool.change import MempoolChange
from node.mempool.entry import MempoolEntry, MempoolTotals, memory_usage
from node.mempool.inputs import check_ready
from node.mempool.mempool import Mempool
from node.mempool.policy import MAX_ANCESTORS, MAX_CHAIN_VSIZE
from node.mempool.prechecks import Staged
from node.mempool.tip_update import coins_at_new_tip
from node.mempool.view import MempoolView

NOW = 1_700_000_000.0
SPACING_S = 600
START_HEIGHT = 200
SUBSIDY = 50_000
REPLACEABLE = 0xFFFFFFFD
WITNESS = (b"\x30" * 72, b"\x02" * 33)


def script(number: int) -> bytes:
    """Anybody's P2WPKH lock."""
    return p2wpkh_script(sha256(b"key %d" % number)[:20])


def made(tx: Tx, index: int = 0) -> OutPoint:
    """An output of a transaction."""
    return outpoint(tx.txid, index)


def outputs_of(tx: Tx) -> list[OutPoint]:
    """All outputs of a transaction."""
    return [outpoint(tx.txid, index) for index in range(len(tx.outputs))]


POINT_X = bytes(31) + b"\x01"
"""The x of a point of the curve."""


class PoolLab:
    """Mempool, coins, and the blocks mined here."""

    def __init__(self, usage_max_bytes: int = 300_000_000) -> None:
        self.pool = Mempool(usage_max_bytes)
        self.coins: dict[OutPoint, Coin] = {}
        self.values: dict[OutPoint, int] = {}
        """Of every output that this lab has made, in satoshis."""
        self.now = NOW
        self.chain: list[tuple[Block, CoinsDelta]] = []
        self._undo: dict[BlockHash, tuple[Coin, ...]] = {}
        self._serial = 0

    # the chain

    @property
    def height(self) -> int:
        """Of the tip."""
        return START_HEIGHT + len(self.chain)

    @property
    def context(self) -> BlockContext:
        """Of the next block. Median times are as if blocks came every ten minutes."""
        return BlockContext(self.height + 1, self.median_time(self.height), self.median_time)

    @staticmethod
    def median_time(height: int) -> int:
        return int(NOW) - 3600 + (height - START_HEIGHT) * SPACING_S

    def serial(self) -> int:
        """A number that was not used before."""
        self._serial += 1
        return self._serial

    def fund(self, value: int = 1_000_000, *, height: int = 10, coinbase: bool = False, lock: bytes = b"") -> OutPoint:
        """A confirmed coin out of nowhere."""
        point = outpoint(Txid(sha256(b"fund %d" % self.serial())), 0)
        self.coins[point] = Coin.make(height, coinbase, TxOut(value, lock or script(self.serial())))
        self.values[point] = value
        return point

    def block(self, txs: Sequence[Tx], height: int) -> Block:
        """A block that nobody had to search for."""
        note = b"%d %d" % (height, self.serial())
        coinbase = make_tx(1, (TxIn(NULL_OUTPOINT, note, 0),), (TxOut(SUBSIDY, script(self.serial())),), 0)
        self.values[made(coinbase)] = SUBSIDY
        header = make_header(4, BlockHash(bytes(32)), sha256(note), 0, 0, 0)
        return make_block(header, (coinbase, *txs))

    def move(self, leave: int, *bodies: Sequence[Tx]) -> MempoolChange:
        """Disconnect that many blocks, connect blocks with these transactions, tell the pool."""
        left = [self._disconnect() for _ in range(leave)]
        joined = [self._connect(txs) for txs in bodies]
        disconnected = [tx for change in reversed(left) for tx in change.block.txs]
        lookup: CoinLookup = self.coins.get
        if left:
            lookup = coins_at_new_tip(lookup, left, joined)
            points = {i.outpoint for change in (*left, *joined) for tx in change.block.txs for i in tx.inputs}
            assert {point: lookup(point) for point in points} == {point: self.coins.get(point) for point in points}
        connected = [change.block for change in joined]
        return self.pool.on_tip_change(disconnected, connected, lookup, self.context, self.now)

    def mine(self, *txs: Tx) -> MempoolChange:
        """One more block."""
        return self.move(0, txs)

    def _connect(self, txs: Sequence[Tx]) -> LedgerChange:
        block = self.block(txs, self.height + 1)
        made_here = {point for tx in txs for point in outputs_of(tx)}
        spent = [self.coins.get(i.outpoint) for tx in txs for i in tx.inputs]
        undo = [coin or Coin.make(self.height + 1, False, TxOut(0, b"")) for coin in spent]
        assert all(self.coins.get(i.outpoint) or i.outpoint in made_here for tx in txs for i in tx.inputs)
        delta = block_delta(block, self.height + 1, undo)
        self._apply(delta)
        self.chain.append((block, delta))
        self._undo[block.hash] = tuple(undo)
        return LedgerChange(block, self.height, tuple(undo))

    def _disconnect(self) -> LedgerChange:
        height = self.height
        block, delta = self.chain.pop()
        self._apply(delta.inverse())
        return LedgerChange(block, height, self._undo[block.hash])

    def _apply(self, delta: CoinsDelta) -> None:
        for point in delta.spent:
            del self.coins[point]
        self.coins.update(delta.created)

    # transactions

    def pay(
        self,
        *points: OutPoint,
        fee: int = 1000,
        outputs: int = 1,
        to: Sequence[TxOut] | None = None,
        version: int = 2,
        lock_time: int = 0,
        sequence: int = REPLACEABLE,
        witness: tuple[bytes, ...] = WITNESS,
    ) -> Tx:
        """A transaction that spends these coins; without `to`, in equal parts to new scripts."""
        total = sum(self.values[point] for point in points) - fee
        if to is None:
            parts = [total // outputs] * outputs
            parts[0] += total - sum(parts)
            to = [TxOut(part, script(self.serial())) for part in parts]
        inputs = tuple(TxIn(point, b"", sequence, witness) for point in points)
        tx = make_tx(version, inputs, tuple(to), lock_time)
        for index, output in enumerate(tx.outputs):
            self.values[outpoint(tx.txid, index)] = output.value
        return tx

    def big(self, *points: OutPoint, vsize: int, fee: int) -> Tx:
        """A transaction of about so many virtual bytes."""
        outputs = [TxOut(1000, p2tr_script(POINT_X))] * ((vsize - 110) // 43)
        left = sum(self.values[point] for point in points) - fee - sum(output.value for output in outputs)
        return self.pay(*points, to=[*outputs, TxOut(left, script(self.serial()))])

    def stage(self, tx: Tx) -> Staged:
        """As the node would."""
        return self.pool.stage(tx, self.coins.get, self.context, self.now)

    def stage_saved(self, tx: Tx) -> Staged:
        """As the node would, of a pool that was saved."""
        return self.pool.stage(tx, self.coins.get, self.context, self.now, was_here=True)

    def add(self, tx: Tx) -> MempoolChange:
        """Stage, stage again, add: as the node would. Raises Rejected."""
        staged = self.pool.restage(self.stage(tx), self.coins.get, self.context, self.now)
        return self.pool.add(staged, self.now)

    def refusal(self, tx: Tx) -> Rejected | None:
        """Why `tx` may not enter, or None."""
        try:
            self.stage(tx)
        except Rejected as error:
            return error
        return None

    def chained(self, point: OutPoint, length: int, fee: int = 1000) -> list[Tx]:
        """Transactions in the pool, each spending the one before."""
        txs: list[Tx] = []
        for _ in range(length):
            txs.append(self.pay(point, fee=fee))
            self.add(txs[-1])
            point = made(txs[-1])
        return txs

    def txids(self) -> set[Txid]:
        """All in the pool."""
        return set(self.pool.view().entries)

    # what always holds

    def check(self) -> None:
        """The pool is what its definition says, all sums and indexes recomputed from scratch."""
        view = self.pool.view()
        entries = view.entries
        spenders = [(i.outpoint, entry.tx) for entry in entries.values() for i in entry.tx.inputs]
        assert len(dict(spenders)) == len(spenders), "two transactions spend one coin"
        assert self.pool._graph.entries == entries
        assert self.pool._graph.spenders == dict(spenders)
        assert {point: view.tx_spending(point) for point in dict(spenders)} == dict(spenders)
        assert view.wtxids == {entry.tx.wtxid: txid for txid, entry in entries.items()}
        assert script_contents(view) == scripts_of(entries.values())
        self.check_script_index()
        assert view.totals == total_of(entries.values())
        assert view.usage == sum(entry.usage for entry in entries.values()) <= self.pool.usage_max_bytes
        children: dict[Txid, set[Txid]] = {}
        for txid, entry in entries.items():
            for parent in entry.parents:
                children.setdefault(parent, set()).add(txid)
        assert self.pool._graph._children == children
        sequences = [entry.sequence for entry in entries.values()]
        assert sequences == sorted(set(sequences))
        ancestors: dict[Txid, set[Txid]] = {}
        for txid, entry in entries.items():
            assert txid == entry.tx.txid
            self._check_entry(entry, entries, ancestors)
        for txid, entry in entries.items():
            after = [entries[other] for other in entries if txid in ancestors[other]]
            assert entry.descendants == total_of([entry, *after])
            assert view.descendants(entry) == after
            assert view.ancestors(entry) == [entries[other] for other in entries if other in ancestors[txid]]

    def check_script_index(self) -> None:
        """What it holds beyond the pool is bounded."""
        index = self.pool.view().scripts
        places = sum(len(held) if isinstance(held, list) else 1 for held in index._rows.values())
        live = sum(len(entry.tx.inputs) + len(entry.tx.outputs) for entry in self.pool.view().entries.values())
        assert index._live == live
        assert places <= live + index._stale <= 2 * live + script_index.STALE_SLACK

    def _check_entry(
        self, entry: MempoolEntry, entries: dict[Txid, MempoolEntry], ancestors: dict[Txid, set[Txid]]
    ) -> None:
        tx = entry.tx
        parents = {outpoint_txid(i.outpoint) for i in tx.inputs if i.outpoint not in self.coins}
        assert set(entry.parents) == parents
        assert len(entry.parents) == len(parents)
        # A KeyError here is a child without its parent, or before it.
        above = ancestors[tx.txid] = parents.union(*(ancestors[parent] for parent in parents))
        assert entry.ancestors == total_of([entry, *(entries[txid] for txid in above)])
        assert entry.ancestors.count <= MAX_ANCESTORS
        assert entry.ancestors.vsize <= MAX_CHAIN_VSIZE
        coins = [self.coins.get(i.outpoint) or self._coin_of(entries, i.outpoint) for i in tx.inputs]
        assert entry.fee == sum(coin.value for coin in coins) - sum(output.value for output in tx.outputs)
        assert entry.fee == check_ready(tx, coins, self.context)
        assert [(coin.value, coin.script) for coin in entry.spent] == [(coin.value, coin.script) for coin in coins]
        assert (entry.vsize, entry.weight, entry.usage) == (tx.vsize, tx.weight, memory_usage(tx))

    def _coin_of(self, entries: dict[Txid, MempoolEntry], point: OutPoint) -> Coin:
        output = entries[outpoint_txid(point)].tx.outputs[outpoint_index(point)]
        return Coin.make(self.height + 1, False, output)


def total_of(entries: Iterable[MempoolEntry]) -> MempoolTotals:
    """Sums, the slow way."""
    held = list(entries)
    return MempoolTotals(len(held), sum(entry.vsize for entry in held), sum(entry.fee for entry in held))


def scripts_of(entries: Iterable[MempoolEntry]) -> dict[bytes, set[Txid]]:
    """The index by script, the slow way."""
    found: dict[bytes, set[Txid]] = {}
    for entry in entries:
        for lock in [*(output.script for output in entry.tx.outputs), *(coin.script for coin in entry.spent)]:
            found.setdefault(sha256(lock), set()).add(entry.tx.txid)
    return found


def contents(view: MempoolView) -> tuple[Any, ...]:
    """All that a reader could see in this view, copied."""
    entries = view.entries
    assert {txid: view.entry(txid) for txid in entries} == entries
    asked = (view.entry(txid) for txid in tuple(view.wtxids.values()))
    assert all(entry is None or entries[entry.txid] == entry for entry in asked)
    spent = {point: tx for point in tuple(view._spenders) if (tx := view.tx_spending(point))}
    spent |= {i.outpoint: view.tx_spending(i.outpoint) for entry in entries.values() for i in entry.tx.inputs}
    return list(entries.values()), spent, script_contents(view), len(view), view.totals, view.usage


def script_contents(view: MempoolView) -> dict[bytes, set[Txid]]:
    """The index by script, as a reader of this view sees it."""
    seen = {script_hash: view.script_entries(script_hash) for script_hash in tuple(view.scripts._rows)}
    return {script_hash: {entry.txid for entry in found} for script_hash, found in seen.items() if found}
