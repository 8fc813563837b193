"""Compact blocks from and to scripted peers, in virtual time, with a real chainstate and mempool."""

import heapq
from collections.abc import Callable, Sequence
from typing import Any

from chain.block import Block
from chain.connect import context_after
from chain.hashes import BlockHash
from chain.tx import Tx
from node.interface.effects import Compute, Effect, Failed
from node.interface.messages import SALT_SIZE, BlockTxs, CompactBlock, GetBlocks, GetBlockTxs, GetCompact, Ok, Prefer
from node.p2p.block_sync.compact_block import shorten
from tests.chainlab import funded, pay
from tests.node.p2p.block_sync.sync_lab import FakePeer, SyncLab

COMPUTE_S = 0.002


class CompactPeer(FakePeer):
    """A peer that serves compact blocks of its chain. Subclasses misbehave."""

    outbound = True

    def answer(self, request: Any) -> Any:
        self.asked.append(request)
        match request:
            case GetCompact():
                return self.form(request.hash)
            case GetBlockTxs():
                return self.parts(request)
            case Prefer() | CompactBlock():
                return Ok()
        self.asked.pop()
        return super().answer(request)

    def form(self, block_hash: BlockHash) -> Any:
        """The answer to GetCompact."""
        block = self.find(block_hash)
        return self.short(block) if block else Ok()

    def short(self, block: Block) -> CompactBlock:
        """The block as this peer shortens it."""
        form = shorten(block, self.id[:SALT_SIZE])
        assert form is not None
        return form

    def parts(self, request: GetBlockTxs) -> Any:
        """The answer to GetBlockTxs."""
        block = self.find(request.hash)
        return BlockTxs(tuple(block.txs[position] for position in request.positions)) if block else Ok()

    def find(self, block_hash: BlockHash) -> Block | None:
        """A block of its chain."""
        return next((block for block in self.blocks if block.hash == block_hash), None)

    def got(self, kind: type[Any]) -> list[Any]:
        """What it was asked or sent, of one kind."""
        return [request for request in self.asked if isinstance(request, kind)]

    def wants_pushes(self) -> bool:
        """What it was last told."""
        told = self.got(Prefer)
        return bool(told) and told[-1].pushed


class Withholding(CompactPeer):
    """Shows a compact block and never delivers what is missing, nor the block."""

    def parts(self, request: GetBlockTxs) -> Any:
        return None

    def block(self, block_hash: BlockHash) -> bytes | Failed | None:
        return None


class CompactLab(SyncLab):
    """A node with a funded chain, a mempool and compact block relay."""

    has_compact = True

    def __init__(self) -> None:
        super().__init__()
        self.book = funded()
        self.compact = self.parts.compact
        self.serve = self.parts.serve
        self.give_at_once(self.book.blocks)
        self.computed = 0
        """Jobs done."""

    def payments(self, count: int, known: int | None = None) -> list[Tx]:
        """Payments of which the first `known` are in the mempool; all, if not told."""
        txs = [pay(self.book.take()) for _ in range(count)]
        self.keep(txs[:known])
        return txs

    def keep(self, txs: Sequence[Tx]) -> None:
        for tx in txs:
            staged = self.pool.stage(tx, self.book.coins.get, context_after(self.chain.tip), self.now)
            self.pool.add(staged, self.now)

    def next_block(self, txs: Sequence[Tx] = (), extra_nonce: int = 0) -> Block:
        """A block with these that nobody has told of yet."""
        return self.book.candidate(txs, extra_nonce=extra_nonce)

    def add_with(self, *blocks: Block, kind: type[CompactPeer] = CompactPeer, number: int = 1) -> Any:
        """A peer whose chain ends with these; it greets us before it has them."""
        peer = kind(number, self.book.blocks)
        self.add(peer)
        self.run(0.3)
        peer.blocks += blocks
        return peer

    def make_pusher(self, peer: CompactPeer) -> None:
        """As if it had brought a block."""
        entry = self.chain.tip
        self.parts.high_bandwidth.brought_by(peer.id, entry)
        self.parts.high_bandwidth.on_tip(entry, self.now)
        self.carry()
        self.run(0.2)
        assert peer.wants_pushes()

    def push(self, peer: CompactPeer, form: CompactBlock) -> None:
        """The peer pushes."""
        self.parts.on_pushed(peer.id, form, self.now)
        self.carry()

    def ask(self, request: GetCompact | GetBlockTxs) -> Any:
        """What a peer is answered."""
        return self.serve.serve(request) if isinstance(request, GetCompact) else self.serve.serve_txs(request)

    def has(self, block: Block) -> Callable[[], bool]:
        return lambda: self.chain.tip.hash == block.hash

    def on_tip(self, now: float) -> None:
        self.parts.on_tip(now)

    def _carry_out(self, effect: Effect) -> None:
        if isinstance(effect, Compute):
            self._compute(effect)
        else:
            super()._carry_out(effect)

    def _compute(self, effect: Compute) -> None:
        outcome = effect.run()
        self.computed += 1

        def event() -> None:
            before = self.chain.tip
            self.jobs.take(effect.job)(outcome, self.now)
            self.settle(before, self.now)
            self.carry()

        heapq.heappush(self._events, (self.now + COMPUTE_S, next(self._number), event))

    def whole(self) -> list[CompactPeer]:
        """The peers that were asked for whole blocks since they have new ones."""
        base = {block.hash for block in self.book.blocks}
        asked = [p for p in self.peers.values() if isinstance(p, CompactPeer)]
        return [p for p in asked if any(set(request.hashes) - base for request in p.got(GetBlocks))]
