"""The node as a machine without sockets, threads or clock: calls in, a Step out.

Composes chainstate, mempool and network. The runtime (or a simulator) calls it under one lock,
carries out the effects of each Step, and brings back what they came to: `Answer` for requests to
peers, `Verified` for signatures.
"""

import itertools
import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from chain.block import Block, Header
from chain.blocktemplate import build_block
from chain.blocktree import BlockNode, is_on
from chain.check import MAX_WEIGHT
from chain.connect import BlockContext, connect_header, context_after
from chain.errors import Invalid, Reject
from chain.hashes import BlockHash, Txid
from chain.params import Params
from chain.tx import WITNESS_SCALE, Tx
from node.chainstate.chainstate import Chainstate
from node.chainstate.tip_change import TipChange
from node.core.config import NodeConfig
from node.core.event_publisher import EventPublisher
from node.core.submission import Submission
from node.core.tip_log import TipLog
from node.core.tx_processing import VERDICT_WAIT_S, Accepted, TxProcessing
from node.core.view import NodeView
from node.interface.disconnect_reason import DisconnectReason
from node.interface.effects import Answer, Computed, Park, Publish, Resume, Step, Verified, Verify
from node.interface.endpoint import Endpoint, PeerId
from node.interface.events import TIP
from node.interface.messages import Hello, Refusal, Reply, Request, Welcome
from node.interface.outbox import Outbox
from node.interface.storage import Store
from node.interface.wall_clock import WallClock
from node.mempool.accept import MempoolAccept, VerifiedCache
from node.mempool.accept_package import Outcome, PackageAccept
from node.mempool.block_assembler import select_for_block
from node.mempool.entry import MempoolEntry
from node.mempool.mempool import Mempool
from node.p2p.connections.identity import NodeIdentity
from node.p2p.net_processing import PeerManager
from node.p2p.peer_info import PeerInfo

BEHIND_MAX = 2
"""Blocks by which a new tip may be behind the best header and is still told of in the log."""
CHAIN_TOPIC = "chain"
"""Published whenever a block is committed or ruled out."""
READY_TOPIC = "ready"
"""Published once, when the stored blocks' best chain is committed."""


R = TypeVar("R")


class Node:
    """One node. Every method but `peer_of` is to be called under the lock."""

    def __init__(
        self,
        params: Params,
        store: Store,
        identity: NodeIdentity,
        rng: random.Random,
        config: NodeConfig | None = None,
        wall: WallClock | None = None,
    ) -> None:
        """`wall` makes Unix time of the times that the calls are given, which are monotonic."""
        config = config or NodeConfig()
        token = itertools.count(1).__next__
        verified = VerifiedCache()
        self.params = params
        self.view_version = 0
        """Changes whenever a new NodeView is to be published."""
        self.ready = False
        """The best chain of the stored blocks is committed."""
        self._store = store
        self._rng = rng
        self._config = config
        self._chain = Chainstate(params, store, token, verified, wall)
        self.counts = self._chain.counts
        """Counts of what has happened so far."""
        self.time = self._chain.time
        """The time for rules, policy and mining."""
        self._outbox = Outbox()
        self._events = EventPublisher(self._outbox, self._chain.tree, store)
        self._tip_log = TipLog()
        self._mempool = Mempool()
        self._peers = PeerManager(
            self._outbox, params, self._chain, self._mempool, identity, rng, config.p2p, self._take_txs
        )
        accept = MempoolAccept(self._mempool, verified, store.coin, self._context, token)
        packages = PackageAccept(self._mempool, accept, store.coin, self._context, token)
        self._txs = TxProcessing(
            self._outbox, self._chain, store, self._mempool, accept, packages, self._peers, self._events
        )
        self.services = config.p2p.local_services
        """Bits of what peers are told that this node offers."""
        self._marked = 0

    def start(self, now: float) -> Step[None]:
        """Begin: connect what is stored, greet the nodes that the operator named."""
        self._reached(now)
        self._pump()
        self._peers.start(self._config.peers, now)
        return self._step(None)

    def tick(self, now: float) -> Step[None]:
        """Do what is due by now; called several times a second."""
        self._peers.tick(now)
        self._txs.tick(now)
        return self._connected(None)

    def handle(
        self, peer: PeerId | None, message: Request | Verified | Answer | Computed | Resume, now: float
    ) -> Step[Reply | None]:
        """A peer's request, or (with no peer) what an effect came to."""
        if isinstance(message, Verified):
            self._on_verified(message, now)
            return self._step(None)
        if isinstance(message, Answer):
            self._peers.on_answer(message, now)
            return self._connected(None)
        if isinstance(message, Computed):
            # A block that can be passed on now shall not wait here until it is connected.
            self._peers.on_computed(message, now)
            self._outbox.add(Resume())
            return self._step(None)
        if isinstance(message, Resume):
            return self._connected(None)
        return self._connected(self._peers.handle(peer, message, now))

    def greet(self, hello: Hello, host: str, now: float) -> Step[Welcome | Refusal]:
        """A greeting from the address `host`."""
        return self._step(self._peers.connections.on_hello(hello, host, now))

    def peer_of(self, token: bytes) -> PeerId | None:
        """The peer of a session token, if there is one. Needs no lock."""
        return self._peers.connections.peer_of(token)

    def view(self) -> NodeView:
        """The node as it is now, for readers."""
        return NodeView(
            self._chain.tip,
            self._chain.tree,
            self._store.snapshot(),
            self._mempool.view(),
            self._txs.fees.view(),
            self.params,
            self._chain.recent,
            self._peers.scoring.service,
            self.counts,
            self.time,
            self._peers.block_sync.catch_up,
            self._store.lost(),
        )

    def submit_tx(
        self, tx: Tx, now: float, *, max_fee_rate: float | None = None, time: float | None = None
    ) -> Step[Txid]:
        """Take a transaction into the mempool. `max_fee_rate` is in sat/kvB; `time` is when it
        first entered, if it was saved: then its fee is no question. Raises Rejected."""
        return self._step(self._txs.submit_tx(tx, now, max_fee_rate, time))

    def test_accept(self, tx: Tx, now: float, *, max_fee_rate: float | None = None) -> Step[Accepted]:
        """The mempool's verdict on a transaction. Raises Rejected."""
        return self._step(self._txs.test_accept(tx, now, max_fee_rate))

    def submit_package(self, txs: Sequence[Tx], now: float, *, max_fee_rate: float | None = None) -> Step[Outcome]:
        """Take a child with its parents into the mempool, as far as they may enter."""
        return self._step(self._txs.submit_package(txs, now, max_fee_rate))

    def test_package(self, txs: Sequence[Tx], now: float) -> Step[Outcome]:
        """The mempool's verdicts on these transactions, one after the other."""
        return self._step(self._txs.test_package(txs, now))

    def dump_mempool(self, now: float) -> Step[bytes]:
        """The mempool as bytes to save."""
        return Step(self._mempool.dump())

    def load_book(self, saved: bytes) -> None:
        """Know the endpoints that `dump_book` gave; before `start`. Raises Invalid(MALFORMED)."""
        self._peers.addrman.load(saved)

    def dump_book(self, now: float) -> Step[bytes]:
        """The address book as bytes to save."""
        return Step(self._peers.addrman.dump())

    def submit_block(self, submission: Submission, now: float) -> Step[str | None]:
        """Take in a block. None: it is on the best chain; else Core's word ("duplicate",
        "duplicate-inconclusive", "inconclusive"). Raises Rejected."""
        entry = submission.entry
        if entry is None:
            known = self._chain.tree.get(submission.examined.block.hash)
            submission.was_known = known is not None and known.has_body
            source = "" if submission.was_known else submission.source
            entry = self._chain.submit_block(submission.examined, now, sync=True, source=source)
            submission.entry = entry
        self._pump()
        if self._is_followed(entry):
            return self._step("duplicate" if submission.was_known else None)
        if entry.invalid:
            raise self._chain.failure(entry.hash) or Invalid(Reject.BAD_PREV)
        if is_on(entry, self._chain.best):
            return self._step(Park(CHAIN_TOPIC, now + VERDICT_WAIT_S))
        return self._step("duplicate-inconclusive" if submission.was_known else "inconclusive")

    def submit_header(self, header: Header, now: float) -> Step[str | None]:
        """Take in the header of a block whose body was refused as not its own. None: another body may come; else
        the word for a block that is here already, as of `submit_block`. Raises Rejected."""
        entry = self._chain.submit_header(header, now)
        if not entry.has_body:
            return self._connected(None)
        return Step("duplicate" if self._is_followed(entry) else "duplicate-inconclusive")

    def submit_next(self, submission: Submission, now: float) -> Step[bool]:
        """Take in a block made on the tip. False: another came first, and this one is not needed. Raises Rejected."""
        if submission.entry is None and submission.examined.block.header.prev_hash != self._chain.best.hash:
            return Step(False)
        step = self.submit_block(submission, now)
        return Step(step.reply if isinstance(step.reply, Park) else step.reply is None, step.effects)

    def settle(self, now: float) -> Step[None]:
        """Wait until the tip is the best block there is."""
        return self._settled(now)

    def template(self, script: bytes, now: float) -> Step[Block]:
        """An unsolved block on the tip with the best-paid transactions, that pays to `script`.

        Raises Unready(TIME_TOO_NEW) where none may be made yet, ValueError at the end of time."""
        room = MAX_WEIGHT - WITNESS_SCALE * len(script)
        chosen = select_for_block(self._mempool.view(), room)
        tip, time = self._chain.tip, int(self.time.at(now))
        extra_nonce = self._rng.getrandbits(64)
        block = assemble(tip, chosen, script, time, self.params, extra_nonce, self._config.coinbase_tag)
        connect_header(block.header, tip, time, self.params)
        return Step(block)

    def set_time(self, time: int | None, now: float) -> Step[None]:
        """Set that time for rules, policy and mining; None: the clock's again. What has waited
        too long by then leaves the mempool."""
        self.time.set(time)
        self._txs.expire(now)
        return self._step(None)

    def await_tip(self, is_wanted: Callable[[BlockNode], bool], deadline: float, now: float) -> Step[BlockNode]:
        """The tip, as soon as it is wanted."""
        tip = self._chain.tip
        return Step(tip if is_wanted(tip) else Park(TIP, deadline))

    def invalidate(self, block_hash: BlockHash, now: float) -> Step[None]:
        """Rule out a block and all on top of it. Raises LookupError for one that is not known,
        ValueError for genesis."""
        entry = self._entry(block_hash)
        if entry.parent is None:
            raise ValueError("the genesis block cannot be invalidated")
        if not entry.invalid:
            self._chain.invalidate(entry)
        return self._settled(now)

    def prefer(self, block_hash: BlockHash, now: float) -> Step[None]:
        """Follow a block rather than others with as much work. Raises LookupError for one that is not known."""
        self._chain.prefer(self._entry(block_hash))
        return self._settled(now)

    def reconsider(self, block_hash: BlockHash, now: float) -> Step[None]:
        """Take back every mark on a block, those before it and those on top of it."""
        entry = self._entry(block_hash)
        if entry.invalid:
            self._chain.reconsider(entry)
        return self._settled(now)

    def _settled(self, now: float) -> Step[None]:
        self._pump()
        return self._step(None if self._chain.settled else Park(CHAIN_TOPIC, now + VERDICT_WAIT_S))

    def _entry(self, block_hash: BlockHash) -> BlockNode:
        entry = self._chain.tree.get(block_hash)
        if entry is None:
            raise LookupError("Block not found")
        return entry

    def _is_followed(self, entry: BlockNode) -> bool:
        return is_on(entry, self._chain.tip)

    def peers(self, now: float) -> Step[tuple[PeerInfo, ...]]:
        """All peers, in order of arrival."""
        return Step(self._peers.peers(now))

    def warnings(self, now: float) -> Step[tuple[str, ...]]:
        """Warnings about the network for the operator."""
        return Step(self._peers.warnings())

    def malformed(self, token: bytes, reason: str, now: float) -> Step[None]:
        """End the session with this token, in whose name undecodable bytes came."""
        self._peers.malformed(token, reason, now)
        return self._connected(None)

    def add_peer(self, endpoint: Endpoint, now: float) -> Step[bool]:
        """Stay linked with an endpoint. False if it was kept already."""
        return self._step(self._peers.connections.keep(endpoint, now))

    def remove_peer(self, endpoint: Endpoint, now: float) -> Step[bool]:
        """Keep an endpoint no longer. False if it was not kept."""
        return self._step(self._peers.connections.release(endpoint, now))

    def disconnect(self, peer: PeerId, now: float) -> Step[None]:
        """End a peer's sessions, for now."""
        self._peers.connections.drop(peer, DisconnectReason.OPERATOR, now)
        return self._step(None)

    def _step(self, reply: R | Park) -> Step[R]:
        """A call's outcome, with all that is to be done."""
        return Step(reply, self._outbox.take())

    def _connected(self, reply: R | Park) -> Step[R]:
        """A call's outcome, once what has come in is on its way to be connected."""
        self._pump()
        return self._step(reply)

    def _take_txs(self, peer: PeerId, txs: Sequence[Tx], now: float) -> None:
        """Hand on what peers bring: they are below what judges it."""
        self._txs.take_txs(peer, txs, now)

    def _pump(self) -> None:
        """Stage what can be staged, and send out its signatures."""
        if self._chain.stored:
            for entry, source in self._chain.stored:
                self._events.stored(entry)
                if source:
                    self._tip_log.came(entry.hash, source)
            self._chain.stored.clear()
        while (staged := self._chain.advance()) is not None:
            self._outbox.add(Verify(staged.token, staged.checks))
        if self._chain.ruled_out != self._marked:
            self._marked = self._chain.ruled_out
            self._outbox.add(Publish(CHAIN_TOPIC))
        if not self.ready and self._chain.settled:
            self.ready = True
            self.view_version += 1
            self._outbox.add(Publish(READY_TOPIC))

    def _on_verified(self, verified: Verified, now: float) -> None:
        if self._txs.on_verified(verified, now):
            return
        for change in self._chain.verified(verified.token, verified.failure):
            self._on_tip(change, now)
        self._pump()

    def _on_tip(self, change: TipChange, now: float) -> None:
        """The ledger has moved: so do mempool, estimates, readers and peers."""
        unix_time = self.time.wall.at(now)
        self.counts.moved(change.old, change.new, len(change.disconnected), len(change.connected), unix_time)
        self._reached(now)
        if self.ready:
            best = self._chain.tree.best_header.height
            is_far_behind = best - change.new.height > BEHIND_MAX
            is_catching_up = is_far_behind and self._peers.block_sync.catch_up.is_under_way(now)
            self._tip_log.moved(change, best, is_catching_up, now)
        self._events.moved(change)
        self._txs.follow(change, now)
        self.view_version += 1
        self._events.tip(change, len(self._mempool))
        self._outbox.add(Publish(CHAIN_TOPIC))
        mined = [tx.wtxid for connected in change.connected for tx in connected.block.txs]
        self._peers.on_tip(mined, not change.disconnected, now)
        self._txs.on_connected(change, now)

    def _reached(self, now: float) -> None:
        tip = self._chain.tip
        behind = self._chain.tree.best_header.height - tip.height
        self._peers.block_sync.catch_up.reached(tip.time, behind, self.time.at(now))

    def _context(self) -> BlockContext:
        """The context in which the next block's transactions will be connected."""
        return context_after(self._chain.tip)


def assemble(
    parent: BlockNode,
    chosen: Sequence[MempoolEntry],
    script: bytes,
    now: int,
    params: Params,
    extra_nonce: int,
    tag: bytes = b"",
) -> Block:
    """An unsolved block on `parent` with these entries of the mempool, that pays to `script`."""
    fees = sum(entry.fee for entry in chosen)
    return build_block(parent, [entry.tx for entry in chosen], fees, script, now, params, extra_nonce, tag)
