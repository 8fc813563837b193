"""Small synthetic blocks, and what a store has to say about a chain of them, worked out naively.

The blocks have no proof of work and no signatures: a store must not care.
"""

import random
from collections import defaultdict
from collections.abc import Sequence

from chain.block import COMMITMENT_PREFIX, commitment_hash, make_block, make_header, merkle_root
from chain.coins import Coin, CoinsDelta, is_unspendable
from chain.connect import block_delta, height_push
from chain.hashes import BlockHash, sha256
from chain.params import GENESIS
from chain.tx import NULL_OUTPOINT, OutPoint, Tx, TxIn, TxOut, make_tx, outpoint
from node.interface.storage import HistoryRow, LedgerChange, ScriptStats, Spender, TxLocation
from node.storage.ledger import Ledger
from node.storage.schema import coins_digest

NETWORK = bytes(range(32))
SCRIPTS = [bytes((0, 20)) + bytes((number,)) * 20 for number in range(5)] + [b"", b"\x51\xff"]
"""Few, so that they meet often; the last ones of odd lengths."""
DATA_SCRIPT = b"\x6a\x04data"
"""An output that never becomes a coin."""


def pay(points: Sequence[OutPoint], *outputs: tuple[int, bytes]) -> Tx:
    """A transaction that spends `points`; outputs are (satoshis, script)."""
    inputs = tuple(TxIn(point, b"", 0, (b"witness",)) for point in points)
    return make_tx(2, inputs, tuple(TxOut(value, script) for value, script in outputs), 0)


class Model:
    """A best chain and its coins, kept the simple way."""

    def __init__(self) -> None:
        self.changes: list[LedgerChange] = []
        self.coins: dict[OutPoint, Coin] = {}

    @property
    def tip(self) -> BlockHash:
        return self.changes[-1].block.hash if self.changes else GENESIS.hash

    @property
    def height(self) -> int:
        return len(self.changes)

    def mine(self, *txs: Tx, script: bytes = SCRIPTS[0], salt: int = 0) -> LedgerChange:
        """Put a block with these transactions on the tip. `salt` makes it differ from another."""
        height = self.height + 1
        coinbase_input = TxIn(NULL_OUTPOINT, height_push(height) + bytes((salt,)), 0, (bytes(32),))
        draft = make_tx(2, (coinbase_input,), (TxOut(5_000, script),), 0)
        commitment = COMMITMENT_PREFIX + commitment_hash((draft, *txs), bytes(32))
        coinbase = make_tx(2, (coinbase_input,), (TxOut(5_000, script), TxOut(0, commitment)), 0)
        block_txs = (coinbase, *txs)
        root, _ = merkle_root([tx.txid for tx in block_txs])
        block = make_block(make_header(4, self.tip, root, 1_600_000_000 + height, 0x207FFFFF, salt), block_txs)
        made = {outpoint(tx.txid, i): (tx, i) for tx in block_txs for i in range(len(tx.outputs))}
        undo = []
        for tx in txs:
            for spent in tx.inputs:
                coin = self.coins.get(spent.outpoint)
                if coin is None:
                    maker, index = made[spent.outpoint]
                    coin = Coin.make(height, maker is coinbase, maker.outputs[index])
                undo.append(coin)
        change = LedgerChange(block, height, tuple(undo))
        self._apply(delta_of(change))
        self.changes.append(change)
        return change

    def leave(self) -> LedgerChange:
        """Take the tip off."""
        change = self.changes.pop()
        self._apply(delta_of(change).inverse())
        return change

    def _apply(self, delta: CoinsDelta) -> None:
        for point in delta.spent:
            del self.coins[point]
        self.coins.update(delta.created)


def delta_of(change: LedgerChange) -> CoinsDelta:
    return block_delta(change.block, change.height, change.undo)


def commit(store: Ledger, left: Sequence[LedgerChange], entered: Sequence[LedgerChange]) -> None:
    """Store the bodies and move the tip, the way the chainstate does."""
    for change in entered:
        store.put_block(change.height, change.block.hash, change.block.raw, sync=False)
    delta = CoinsDelta.fold([*(delta_of(change).inverse() for change in left), *map(delta_of, entered)])
    if entered:
        height, tip = entered[-1].height, entered[-1].block.hash
    else:
        height, tip = left[-1].height - 1, left[-1].block.header.prev_hash
    store.commit(height, tip, delta, left, entered)


def wander(model: Model, store: Ledger, rng: random.Random, steps: int) -> None:
    """Extend and reorganise at random; left transactions are often mined again."""
    for step in range(steps):
        left: list[LedgerChange] = []
        for _ in range(rng.choice((0, 0, 0, 1, 2, 4))):
            if model.changes:
                left.append(model.leave())
        again = [tx for change in reversed(left) for tx in change.block.txs[1:] if rng.random() < 0.7]
        entered = []
        for _ in range(rng.randrange(0 if left else 1, 4)):
            txs = [tx for tx in again if all(spent.outpoint in model.coins for spent in tx.inputs)]
            again = [tx for tx in again if tx not in txs]
            txs += random_txs(model, rng, {spent.outpoint for tx in txs for spent in tx.inputs})
            entered.append(model.mine(*txs, script=rng.choice(SCRIPTS), salt=step % 250))
        commit(store, left, entered)


def random_txs(model: Model, rng: random.Random, taken: set[OutPoint]) -> list[Tx]:
    """A few payments, some spending each other's outputs within the block."""
    free = sorted(set(model.coins) - taken)
    txs = []
    for _ in range(rng.randrange(5)):
        if not free:
            break
        spent = [free.pop(rng.randrange(len(free))) for _ in range(min(len(free), rng.randrange(1, 4)))]
        outputs = [(rng.randrange(10_000), rng.choice([*SCRIPTS, DATA_SCRIPT])) for _ in range(rng.randrange(1, 4))]
        tx = pay(spent, *outputs)
        txs.append(tx)
        free += [outpoint(tx.txid, i) for i, (_, script) in enumerate(outputs) if not is_unspendable(script)]
    return txs


def assert_agrees(store: Ledger, model: Model) -> None:
    """Everything that the store answers is what the model's chain says."""
    tip = store.tip()
    assert (tip.hash, tip.height) == (model.tip, model.height)
    assert tip.digest == coins_digest(model.coins.items())
    assert list(store.coins()) == sorted(model.coins.items())
    assert {point: store.coin(point) for point in model.coins} == model.coins
    for change in model.changes:
        spent = [entry.outpoint for tx in change.block.txs[1:] for entry in tx.inputs]
        assert not any(store.coin(point) for point in spent if point not in model.coins)
        assert store.block(change.height, change.block.hash) == change.block.raw
        assert store.undo(change.height, change.block.hash) == change.undo
    if store.has_index:
        assert_index_agrees(store, model)


def assert_index_agrees(store: Ledger, model: Model) -> None:
    located: dict[bytes, TxLocation] = {}
    spenders: dict[bytes, Spender] = {}
    history: defaultdict[bytes, list[HistoryRow]] = defaultdict(
        list, {script: [] for script in [*SCRIPTS, DATA_SCRIPT]}
    )
    sums: defaultdict[bytes, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for change in model.changes:
        undo = list(change.undo)
        undo_offset = 0
        for position, tx in enumerate(change.block.txs):
            offset = change.block.raw.index(tx.raw)
            spends = undo[: len(tx.inputs)] if position else []
            undo_size = sum(4 + len(coin) for coin in spends)
            place = TxLocation(change.height, position, offset, len(tx.raw), undo_offset, undo_size)
            assert store.tx_at(tx.txid, place, change.block.hash) == (tx, tuple(spends))
            located[tx.txid] = place
            undo_offset += undo_size
            touched = set()
            for index, spent in enumerate(tx.inputs if position else ()):
                spenders[spent.outpoint] = Spender(tx.txid, index, change.height)
                coin = undo.pop(0)
                sums[coin.script][2] += 1
                sums[coin.script][3] += coin.value
                touched.add(coin.script)
            for output in tx.outputs:
                if not is_unspendable(output.script):
                    sums[output.script][0] += 1
                    sums[output.script][1] += output.value
                    touched.add(output.script)
            for script in touched:
                history[script].insert(0, HistoryRow(change.height, position, tx.txid))
    for txid, location in located.items():
        assert store.tx_location(txid) == location  # type: ignore[arg-type]
    for point, spender in spenders.items():
        assert store.spender(OutPoint(point)) == spender
    for script, rows in history.items():
        name = sha256(script)
        assert store.history(name, None, 1_000) == rows
        assert store.stats(name) == ScriptStats(len(rows), *sums[script])
        unspent = store.utxos(name, 1_000)
        assert sorted(unspent) == sorted((p, c) for p, c in model.coins.items() if c.script == script)
