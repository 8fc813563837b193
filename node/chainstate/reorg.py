"""Moves of the ledger: what one atomic commit does, cut into slices that are each soon done.

A move leaves blocks and enters others. Forward along one branch a move is a single slice; a
reorganisation has as many as its depth needs, so that neither the lock is held for long nor the
verifiers wait while the next slice is connected; it is committed as a whole all the same.
"""

from collections import deque
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass

from chain.block import Block, TxLookup
from chain.blocktree import BlockNode
from chain.coins import CoinLookup, CoinsDelta, DeltaBuilder
from chain.connect import block_delta, connect_block, context_after
from chain.errors import Invalid
from chain.hashes import Wtxid
from chain.keys import Check
from chain.params import Params
from chain.tx import OutPoint, Tx
from node.interface.storage import LedgerChange

SLICE_BLOCKS_MAX = 64
"""Blocks of one slice."""
SLICE_TXS_MAX = 1_000
"""Transactions after which a slice is closed, so that the lock is never held for long."""

BodyOf = Callable[[BlockNode, TxLookup], Block]
"""A block's body; transactions that the lookup knows need not be decoded."""
LeftOf = Callable[[BlockNode], LedgerChange]
"""A connected block with the coins it spent."""


class Fault(Exception):
    """A block on the way does not connect."""

    def __init__(self, entry: BlockNode, reason: Invalid) -> None:
        super().__init__(entry, reason)
        self.entry = entry
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ConnectBatch:
    """A part of a move whose signatures are out."""

    token: int
    move: "ChainUpdate"
    checks: tuple[Check, ...]
    owners: tuple[tuple[int, BlockNode], ...]
    """(index of its first check, block), ascending."""

    def guilty(self, failure: int) -> BlockNode:
        """The block that the check at index `failure` belongs to."""
        return [entry for start, entry in self.owners if start <= failure][-1]


class ChainUpdate:
    """A move from one tip to another, under way."""

    def __init__(
        self, leave: Iterable[BlockNode], enter: Iterable[BlockNode], target: BlockNode, base: CoinLookup
    ) -> None:
        """`leave` from the tip down, `enter` from the lowest up; `base` sees the coins where it starts."""
        self._leave = deque(leave)
        self._enter = deque(enter)
        assert self._leave or self._enter, "a move goes somewhere"
        self.start = self._leave[0] if self._leave else self._enter[0].parent
        """The tip before."""
        self.target = target
        """The tip afterwards. Forward along a branch a move ends with its first slice."""
        self.left: list[LedgerChange] = []
        """Disconnected so far, tip first."""
        self.entered: list[LedgerChange] = []
        """Connected so far, lowest first."""
        self.out: set[int] = set()
        """Tokens of slices without a verdict."""
        self._builder = DeltaBuilder(base)
        self._undone: dict[OutPoint, Tx] = {}
        """Transactions of the blocks left behind, by the coin that its first input spends."""
        self._verified: set[Wtxid] = set()
        """Witness txids of those transactions: their signatures were right, and so they still are."""

    @property
    def delta(self) -> CoinsDelta:
        """The changes to the coins, once the move is whole."""
        return self._builder.delta

    @property
    def is_cut(self) -> bool:
        """Every block of it is in a slice."""
        return not self._leave and not self._enter

    @property
    def is_over(self) -> bool:
        """True if the update can be committed."""
        return self.is_cut and not self.out

    def cut(
        self, token: int, left_of: LeftOf, body_of: BodyOf, params: Params, known: Container[Wtxid]
    ) -> ConnectBatch:
        """Do the next slice. Raises Fault, and what the two readers raise."""
        assert not self.is_cut, "there is a slice to be done"
        assert token not in self.out
        txs = 0
        while self._leave and txs < SLICE_TXS_MAX:
            txs += self._go_down(left_of(self._leave[0]))
        checks: list[Check] = []
        owners: list[tuple[int, BlockNode]] = []
        if self._undone:
            known = _Either(self._verified, known)
        while self._enter and txs < SLICE_TXS_MAX and len(owners) < SLICE_BLOCKS_MAX:
            entry = self._enter[0]
            owners.append((len(checks), entry))
            block = body_of(entry, self._undone.get)
            checks += self._go_up(entry, block, params, known)
            txs += len(block.txs)
        if not self.left and self._enter:
            self._enter.clear()  # the rest is the next move's
            self.target = owners[-1][1]
        self.out.add(token)
        return ConnectBatch(token, self, tuple(checks), tuple(owners))

    def _go_down(self, change: LedgerChange) -> int:
        entry = self._leave.popleft()
        assert change.block.hash == entry.hash, "undone are the blocks of the best chain, from its tip"
        assert change.height == entry.height
        self._builder.add(block_delta(change.block, change.height, change.undo).inverse())
        self.left.append(change)
        for tx in change.block.txs[1:]:
            self._undone[tx.inputs[0].outpoint] = tx
            self._verified.add(tx.wtxid)
        return len(change.block.txs)

    def _go_up(self, entry: BlockNode, block: Block, params: Params, known: Container[Wtxid]) -> tuple[Check, ...]:
        """Connect a block: step 5 of `chain/validate.py`; returns what step 6 has to verify. Raises Fault."""
        assert entry.parent is not None
        assert block.hash == entry.hash
        assert not self._leave, "down to the fork first, then up"
        try:
            connected = connect_block(block, context_after(entry.parent), self._builder.coin, params, known)
        except Invalid as reason:
            raise Fault(entry, reason) from None
        self._enter.popleft()
        self._builder.add(connected.delta)
        self.entered.append(LedgerChange(block, entry.height, connected.undo))
        return connected.checks


class _Either:
    """Union of two containers, for `in` alone."""

    __slots__ = ("_one", "_other")

    def __init__(self, one: Container[Wtxid], other: Container[Wtxid]) -> None:
        self._one, self._other = one, other

    def __contains__(self, wtxid: object) -> bool:
        return wtxid in self._one or wtxid in self._other
