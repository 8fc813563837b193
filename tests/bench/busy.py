"""A chain in which one address is in nearly every transaction: synthetic blocks, stored as a node stores them."""

from collections import deque
from collections.abc import Sequence
from pathlib import Path

from chain.address import encode_address
from chain.block import make_block
from chain.blocktemplate import build_block, solve
from chain.blocktree import BlockTree
from chain.coins import Coin
from chain.connect import block_delta
from chain.frozen import value
from chain.hashes import sha256, to_hex
from chain.params import REGTEST
from chain.scripttype import p2wpkh_script
from chain.tx import SEQUENCE_FINAL, OutPoint, Tx, TxIn, TxOut, make_tx, outpoint
from node.interface.storage import LedgerChange
from node.storage.recovery import open_store
from tests.bench.workload import SPACING_S, START_TIME

BUSY = p2wpkh_script(bytes(range(20)))
"""Whose transactions are many."""
PER_BLOCK = 1_000
SPARSE_BLOCKS = 30
"""The newest ones: in each a single transaction of the address, among those of others."""
RESTING = 100
"""Coins of the address that were made first and are never spent: they are below all its history."""
MOVING = 300
"""Coins of the address otherwise: each transaction spends the oldest one and makes a new one."""
AMOUNT_SAT = 1_000
WITNESS = (bytes(72), bytes(33))
"""As large as a real one. Nobody verifies it: the ledger stands above it already."""


@value
class BusyChain:
    """What was made."""

    address: str
    txids: list[str]
    """Of the transactions that spend and pay the address; display hex."""
    coins_count: int
    """That the address has at the end."""


def busy_chain(folder: Path, txs: int, per_block: int = PER_BLOCK) -> BusyChain:
    """Store a chain with so many transactions of the address, and those of the sparse blocks."""
    maker = _Maker(folder)
    moving = deque(maker.add([maker.fan(RESTING + MOVING, BUSY)])[RESTING:])
    others = deque(maker.add([maker.fan(PER_BLOCK, _someone(0))]))
    txids = []
    for start in range(0, txs, per_block):
        payments = [_pay(moving, BUSY, _someone(start + i)) for i in range(min(per_block, txs - start))]
        maker.add(payments)
        txids += [to_hex(tx.txid) for tx in payments]
    for number in range(SPARSE_BLOCKS):
        ours = _pay(moving, BUSY, _someone(txs + number))
        maker.add([*(_pay(others, _someone(-i), _someone(number)) for i in range(PER_BLOCK - 1)), ours])
        txids.append(to_hex(ours.txid))
    maker.close()
    address = encode_address(BUSY)
    assert address is not None
    return BusyChain(address, txids, RESTING + MOVING)


def _someone(number: int) -> bytes:
    return p2wpkh_script(sha256(b"%d" % number)[:20])


def _pay(coins: deque[OutPoint], first: bytes, second: bytes) -> Tx:
    """Spend the oldest coin; the first output is a coin among these again."""
    spent = TxIn(coins.popleft(), b"", SEQUENCE_FINAL, WITNESS)
    tx = make_tx(2, (spent,), (TxOut(AMOUNT_SAT, first), TxOut(AMOUNT_SAT, second)), 0)
    coins.append(outpoint(tx.txid, 0))
    return tx


class _Maker:
    """Puts blocks on each other, each one committed."""

    def __init__(self, folder: Path) -> None:
        self._store = open_store(folder, REGTEST.network_id, index=True)
        self._tree = BlockTree(REGTEST)
        self._tip = self._tree.genesis
        self._coins: dict[OutPoint, Coin] = {}
        self._coinbase = self._mine(())

    def fan(self, coins: int, script: bytes) -> Tx:
        """A transaction that makes so many coins of the newest block's coinbase."""
        spent = TxIn(outpoint(self._coinbase.txid, 0), b"", SEQUENCE_FINAL, WITNESS)
        return make_tx(2, (spent,), (TxOut(AMOUNT_SAT, script),) * coins, 0)

    def add(self, txs: Sequence[Tx]) -> list[OutPoint]:
        """A block with these; the outputs of the first of them."""
        self._coinbase = self._mine(txs)
        return [outpoint(txs[0].txid, index) for index in range(len(txs[0].outputs))]

    def _mine(self, txs: Sequence[Tx]) -> Tx:
        height = self._tip.height + 1
        candidate = build_block(self._tip, txs, 0, _someone(height), START_TIME + height * SPACING_S, REGTEST)
        header = solve(candidate.header, 1 << 20)
        assert header is not None
        block = make_block(header, candidate.txs)
        undo = []
        for tx in block.txs:
            undo += [self._coins.pop(spent.outpoint) for spent in tx.inputs if not tx.is_coinbase]
            for index, output in enumerate(tx.outputs):
                self._coins[outpoint(tx.txid, index)] = Coin.make(height, tx.is_coinbase, output)
        self._tip = self._tree.add(header)
        self._store.put_block(height, block.hash, block.raw, sync=False)
        change = LedgerChange(block, height, tuple(undo))
        self._store.commit(height, block.hash, block_delta(block, height, undo), (), (change,))
        return block.txs[0]

    def close(self) -> None:
        """Close the store."""
        self._store.close()
