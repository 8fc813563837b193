"""The node as a machine without sockets, threads or clock: calls in, a Step out.

Composes chainstate, mempool and network. The runtime (or a simulator) calls it under one lock,
carries out the effects of each Step, and brings back what they came to: `Answer` for requests to
peers, `Verified` for signatures.
"""

import itertools
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from chain.block import Block, Header
from chain.blocktemplate import build_block
from chain.blocktree import BlockNode, is_on
from chain.check import MAX_WEIGHT, check_tx
from chain.coins import CoinLookup
from chain.connect import BlockContext, connect_header, context_after
from chain.errors import Invalid, Reject
from chain.hashes import BlockHash, Txid, Wtxid
from chain.params import Params
from chain.tx import WITNESS_SCALE, Tx
from node.chainstate.chainstate import Chainstate, TipChange
from node.core.event_publisher import EventPublisher
from node.core.tip_log import TipLog
from node.core.view import NodeView
from node.interface.checked_block import CheckedBlock
from node.interface.counters import TX
from node.interface.effects import Answer, Computed, Effect, Park, Publish, Resume, Step, Verified, Verify
from node.interface.endpoint import Endpoint, PeerId
from node.interface.events import TIP
from node.interface.messages import Hello
from node.interface.storage import Store
from node.mempool.accept import AcceptResult, MempoolAccept, Offer, VerifiedCache
from node.mempool.accept_package import Outcome, PackageAccept
from node.mempool.block_assembler import select_for_block
from node.mempool.change import MempoolChange
from node.mempool.entry import MempoolEntry
from node.mempool.fee_estimator import FeeEstimator
from node.mempool.inputs import MissingInputs
from node.mempool.mempool import Mempool
from node.mempool.orphanage import Orphanage
from node.mempool.policy import Policy
from node.mempool.tip_update import coins_at_new_tip
from node.p2p.connections.identity import NodeIdentity
from node.p2p.discovery.config import DiscoveryConfig
from node.p2p.net_processing import PeerManager
from node.p2p.peer_info import PeerInfo
from node.p2p.scoring.choking import BULK_BYTES_S
from node.p2p.scoring.service_flags import Role

VERDICT_WAIT_S = 60.0
"""Seconds that a caller waits for the verdict on its transaction or block."""
EXPIRE_EVERY_S = 60.0
"""Seconds between two looks for what has waited too long."""
BEHIND_MAX = 2
"""Blocks by which a new tip may be behind the best header and is still told of in the log."""
CHAIN_TOPIC = "chain"
"""Published whenever a block is committed or ruled out."""
READY_TOPIC = "ready"
"""Published once, when the stored blocks' best chain is committed."""


class Submission:
    """One caller's block: remembers that it was handed in, so that asking again asks for the verdict."""

    __slots__ = ("entry", "examined", "source", "was_known")

    def __init__(self, examined: CheckedBlock, source: str = "submitted") -> None:
        """`source` is how the log says where it came from."""
        self.examined = examined
        self.source = source
        self.entry: BlockNode | None = None
        self.was_known = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """The mempool's verdict on a transaction that it would take."""

    txid: Txid
    wtxid: Wtxid
    fee: int
    """Satoshis."""
    vsize: int
    """Virtual bytes."""


class Node:
    """One node. Every method but `peer_of` is to be called under the lock."""

    def __init__(
        self,
        params: Params,
        store: Store,
        identity: NodeIdentity,
        rng: random.Random,
        *,
        listen: Endpoint | None = None,
        agent: str = "groat",
        peers: Iterable[Endpoint] = (),
        minimum_work: int = 0,
        role: Role = Role.FULL,
        mines: bool = False,
        bulk_bytes_s: int = BULK_BYTES_S,
        finding: DiscoveryConfig | None = None,
        coinbase_tag: bytes = b"",
    ) -> None:
        """`listen` is what peers are told (see PeerManager), `peers` the nodes to greet and keep; branches with
        less than `minimum_work` are not kept. `role` is what it does for others, `bulk_bytes_s` what of
        old blocks and headers it gives them before it rations. `coinbase_tag` is the miner's name in the blocks
        that it makes."""
        token = itertools.count(1).__next__
        verified = VerifiedCache()
        self.params = params
        self.view_version = 0
        """Changes whenever a new NodeView is to be published."""
        self.ready = False
        """The best chain of the stored blocks is committed."""
        self._store = store
        self._rng = rng
        self._static = tuple(peers)
        self._coinbase_tag = coinbase_tag
        self._chain = Chainstate(params, store, token, verified)
        self.counts = self._chain.counts
        """Counts of what has happened so far."""
        self._tell = EventPublisher(self._chain.tree, store)
        self._tip_log = TipLog()
        self.time = self._chain.time
        """The time for rules, policy and mining."""
        self._mempool = Mempool()
        self._orphans = Orphanage()
        self._fees = FeeEstimator()
        self._admission = MempoolAccept(self._mempool, verified, store.coin, self._context, token)
        self._packages = PackageAccept(self._mempool, self._admission, store.coin, self._context, token)
        self._network = PeerManager(
            self,
            self._chain,
            self._mempool,
            identity,
            listen,
            agent,
            params,
            rng,
            minimum_work,
            role=role,
            mines=mines,
            bulk_bytes_s=bulk_bytes_s,
            finding=finding,
        )
        self.services = self._network.services
        """Bits of what peers are told that this node offers."""
        self._awaited: set[Wtxid] = set()
        """Transactions whose signatures are out and for whose verdict a local caller waits."""
        self._expire_at = 0.0
        self._marked = 0
        self._left: list[Effect] = []
        """Effects of a step that ended in a refusal: the next one takes them along."""

    # --- the runtime's calls -------------------------------------------------------------------

    def start(self, now: float) -> Step[None]:
        """Begin: connect what is stored, greet the nodes that the operator named."""
        self._reached(now)
        return Step(None, tuple(self._pump() + self._network.start(self._static, now)))

    def tick(self, now: float) -> Step[None]:
        """Do what is due by now; called several times a second."""
        effects = self._network.tick(now)
        if not 0 < self._expire_at - now <= EXPIRE_EVERY_S:  # the clock may have been set back
            self._expire_at = now + EXPIRE_EVERY_S
            self._orphans.expire(now)
            effects += self._on_pool_change(self._mempool.expire(self.time.at(now)))
        return Step(None, tuple(effects + self._pump()))

    def handle(self, peer: PeerId | None, message: Any, now: float) -> Step[Any]:
        """A peer's request, or (with no peer) what an effect came to."""
        if isinstance(message, Verified):
            return Step(None, tuple(self._on_verified(message, now)))
        if isinstance(message, Answer):
            return Step(None, tuple(self._network.on_answer(message, now) + self._pump()))
        if isinstance(message, Computed):
            # A block that can be passed on now shall not wait here until it is connected.
            return Step(None, (*self._network.on_computed(message, now), Resume()))
        if isinstance(message, Resume):
            return Step(None, tuple(self._pump()))
        reply, effects = self._network.handle(peer, message, now)
        return Step(reply, tuple(effects + self._pump()))

    def greet(self, hello: Hello, host: str, now: float) -> Step[Any]:
        """A greeting from the address `host`: Welcome or Refusal."""
        return Step(self._network.greet(hello, host, now))

    def peer_of(self, token: bytes) -> PeerId | None:
        """The peer of a session token, if there is one. Needs no lock."""
        return self._network.peer_of(token)

    def view(self) -> NodeView:
        """The node as it is now, for readers."""
        return NodeView(
            self._chain.tip,
            self._chain.tree,
            self._store.snapshot(),
            self._mempool.view(),
            self._fees.view(),
            self.params,
            self._chain.recent,
            self._network.standing.service,
            self.counts,
            self.time,
            self._network.catch_up,
            self._store.lost(),
        )

    # --- local calls: transactions ----------------------------------------------------------------

    def submit_tx(
        self, tx: Tx, now: float, *, max_fee_rate: float | None = None, time: float | None = None
    ) -> Step[Txid]:
        """Take a transaction into the mempool. `max_fee_rate` is in sat/kvB; `time` is when it
        first entered, if it was saved: then its fee is no question. Raises Rejected."""
        check_tx(tx)
        if self._mempool.by_wtxid(tx.wtxid) is not None:
            return Step(tx.txid)
        return self._offer(Offer(tx, None, True, max_fee_rate, time), tx.txid, now)

    def test_accept(self, tx: Tx, now: float, *, max_fee_rate: float | None = None) -> Step[Accepted]:
        """The mempool's verdict on a transaction. Raises Rejected."""
        check_tx(tx)
        staged = self._mempool.stage(tx, self._store.coin, self._context(), self.time.at(now))
        accepted = Accepted(tx.txid, tx.wtxid, staged.fee, staged.vsize)
        return self._offer(Offer(tx, None, False, max_fee_rate), accepted, now)

    def submit_package(self, txs: Sequence[Tx], now: float, *, max_fee_rate: float | None = None) -> Step[Outcome]:
        """Take a child with its parents into the mempool, as far as they may enter."""
        return self._judge_package(txs, now, lambda time: self._packages.take(txs, time, max_fee_rate))

    def test_package(self, txs: Sequence[Tx], now: float) -> Step[Outcome]:
        """The mempool's verdicts on these transactions, one after the other."""
        return self._judge_package(txs, now, lambda time: self._packages.try_each(txs, time))

    def _judge_package(self, txs: Sequence[Tx], now: float, judge: Callable[[float], Outcome]) -> Step[Outcome]:
        verify = self._packages.verify(txs)
        if verify is not None:
            return Step(Park(_package_topic(verify.token), now + VERDICT_WAIT_S), (verify,))
        outcome = judge(self.time.at(now))
        for verdict in outcome.verdicts:
            if verdict.error:
                self.counts.rejected(TX, verdict.error.code)
        effects = [*self._judged(outcome.verdicts, now, outcome.trimmed), *outcome.out]
        return Step(outcome, tuple(effects))

    def _offer(self, offer: Offer, reply: Any, now: float) -> Step[Any]:
        [verdict], verify = self._admission.offer([offer], self.time.at(now))
        if verdict.error:
            if offer.add:
                self.counts.rejected(TX, verdict.error.code)
            raise verdict.error
        effects = self._judged([verdict], now) + ([verify] if verify else [])
        if verdict.added or self._admission.is_verified(offer.tx.wtxid):
            return Step(reply, tuple(effects))
        self._awaited.add(offer.tx.wtxid)
        return Step(Park(_tx_topic(offer.tx), now + VERDICT_WAIT_S), tuple(effects))

    def dump_mempool(self, now: float) -> Step[bytes]:
        """The mempool as bytes to save."""
        return Step(self._mempool.dump())

    def load_book(self, saved: bytes) -> None:
        """Know the endpoints that `dump_book` gave; before `start`. Raises Invalid(MALFORMED)."""
        self._network.book.load(saved)

    def dump_book(self, now: float) -> Step[bytes]:
        """The address book as bytes to save."""
        return Step(self._network.book.dump())

    # --- local calls: blocks ------------------------------------------------------------------------

    def submit_block(self, submission: Submission, now: float) -> Step[str | None]:
        """Take in a block. None: it is on the best chain; else Core's word ("duplicate",
        "duplicate-inconclusive", "inconclusive"). Raises Rejected."""
        entry = submission.entry
        if entry is None:
            known = self._chain.tree.get(submission.examined.block.hash)
            submission.was_known = known is not None and known.has_body
            if not submission.was_known:
                self._tip_log.came(submission.examined.block.hash, submission.source)
            entry = self._chain.submit_block(submission.examined, int(now), sync=True)
            submission.entry = entry
        effects = tuple(self._pump())
        if self._is_followed(entry):
            return Step("duplicate" if submission.was_known else None, effects)
        if entry.invalid:
            self._left += effects
            raise self._chain.failure(entry.hash) or Invalid(Reject.BAD_PREV)
        if is_on(entry, self._chain.best):
            return Step(Park(CHAIN_TOPIC, now + VERDICT_WAIT_S), effects)
        return Step("duplicate-inconclusive" if submission.was_known else "inconclusive", effects)

    def submit_header(self, header: Header, now: float) -> Step[str | None]:
        """Take in the header of a block whose body was refused as not its own. None: another body may come; else
        the word for a block that is here already, as of `submit_block`. Raises Rejected."""
        entry = self._chain.submit_header(header, int(now))
        if not entry.has_body:
            return Step(None, tuple(self._pump()))
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
        block = assemble(tip, chosen, script, time, self.params, extra_nonce, self._coinbase_tag)
        connect_header(block.header, tip, time, self.params)
        return Step(block)

    def set_time(self, time: int | None, now: float) -> Step[None]:
        """Set that time for rules, policy and mining; None: the clock's again. What has waited
        too long by then leaves the mempool."""
        self.time.set(time)
        return Step(None, tuple(self._on_pool_change(self._mempool.expire(self.time.at(now)))))

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
        effects = tuple(self._pump())
        return Step(None if self._chain.settled else Park(CHAIN_TOPIC, now + VERDICT_WAIT_S), effects)

    def _entry(self, block_hash: BlockHash) -> BlockNode:
        entry = self._chain.tree.get(block_hash)
        if entry is None:
            raise LookupError("Block not found")
        return entry

    def _is_followed(self, entry: BlockNode) -> bool:
        return is_on(entry, self._chain.tip)

    # --- local calls: peers ------------------------------------------------------------------------------

    def peers(self, now: float) -> Step[tuple[PeerInfo, ...]]:
        """All peers, in order of arrival."""
        return Step(self._network.peers(now))

    def warnings(self, now: float) -> Step[tuple[str, ...]]:
        """Warnings about the network for the operator."""
        return Step(self._network.warnings())

    def malformed(self, token: bytes, reason: str, now: float) -> Step[None]:
        """End the session with this token, in whose name undecodable bytes came."""
        return Step(None, tuple(self._network.malformed(token, reason, now) + self._pump()))

    def add_peer(self, endpoint: Endpoint, now: float) -> Step[bool]:
        """Stay linked with an endpoint. False if it was kept already."""
        added, effects = self._network.keep(endpoint, now)
        return Step(added, tuple(effects))

    def remove_peer(self, endpoint: Endpoint, now: float) -> Step[bool]:
        """Keep an endpoint no longer. False if it was not kept."""
        removed, effects = self._network.release(endpoint, now)
        return Step(removed, tuple(effects))

    def disconnect(self, peer: PeerId, now: float) -> Step[None]:
        """End a peer's sessions, for now."""
        return Step(None, tuple(self._network.drop(peer, now)))

    # --- the network's host ---------------------------------------------------------------------------------

    def take_block(self, peer: PeerId, body: CheckedBlock, now: float) -> Sequence[Effect]:
        """A body that was asked for. Raises Rejected.

        The call that brought it connects it in the end, together with what came with it.
        """
        entry = self._chain.tree.get(body.block.hash)
        if entry is None or not entry.has_body:
            self._tip_log.came(body.block.hash, f"from {self._network.where(peer)}")
        self._chain.submit_block(body, int(now), sync=False)
        return ()

    def take_txs(self, peer: PeerId, txs: Sequence[Tx], now: float) -> Sequence[Effect]:
        """Transactions that were asked for."""
        return self._take_offers([Offer(tx, peer) for tx in txs], now)

    def raw_block(self, block_hash: BlockHash) -> bytes | None:
        """A stored block."""
        entry = self._chain.tree.get(block_hash)
        return self._store.block(entry.height, entry.hash) if entry and entry.has_body else None

    # --- transactions ---------------------------------------------------------------------------------------

    def _take_offers(self, offers: Sequence[Offer], now: float) -> list[Effect]:
        """Take transactions that others offer: nobody waits for a verdict, orphans are kept."""
        sound = []
        for offer in offers:
            try:
                check_tx(offer.tx)
            except Invalid as error:
                self.counts.rejected(TX, error.code)
                self._network.on_rejected(offer.tx.wtxid)
                if offer.source is not None:
                    self._network.blame_tx(offer.source, now)
                continue
            sound.append(offer)
        verdicts, verify = self._admission.offer(sound, self.time.at(now))
        return self._judged(verdicts, now) + ([verify] if verify else [])

    def _judged(
        self, verdicts: Iterable[AcceptResult], now: float, trimmed: MempoolChange | None = None
    ) -> list[Effect]:
        """Tell everyone concerned what became of transactions, and whom they drove out in the end."""
        effects: list[Effect] = []
        arrived: list[Txid] = []
        for verdict in verdicts:
            tx, peer = verdict.offer.tx, verdict.offer.source
            if verdict.added is not None:
                self._fees.entered(verdict.added.entry)
                if peer is not None:
                    self._network.credit_tx(peer, tx, now)
                effects += self._on_pool_change(verdict.added)
                arrived.append(tx.txid)
            elif isinstance(verdict.error, MissingInputs) and verdict.error.parents and peer is not None:
                self._network.on_not_kept(tx)
                if self._orphans.add(peer, tx, verdict.error.parents, now):
                    self._network.on_orphaned(tx, verdict.error.parents, peer, now)
            elif verdict.error is not None and peer is not None:
                self.counts.rejected(TX, verdict.error.code)
                self._network.on_rejected(tx.wtxid)
                self._network.on_not_kept(tx)
                if verdict.error.code is Policy.SCRIPT_VERIFY:
                    self._network.blame_tx(peer, now)
        if trimmed is not None:
            effects += self._on_pool_change(trimmed)
        return effects + self._retry_orphans(arrived, now)

    def _retry_orphans(self, parents: Iterable[Txid], now: float) -> list[Effect]:
        """Try again the orphans that waited for these."""
        orphans = self._orphans.take_children(parents) if len(self._orphans) else []
        if not orphans:
            return []
        return self._take_offers([Offer(orphan.tx, next(iter(orphan.peers), None)) for orphan in orphans], now)

    def _on_pool_change(self, change: MempoolChange) -> list[Effect]:
        """The mempool has changed: so do estimates, relay and followers."""
        for block in change.confirmed:
            self._fees.connected(block.height, block.entries)
        for gone in change.removed:
            self._fees.left(gone.entry)
            self._network.on_not_kept(gone.entry.tx)
        for entry in change.added:
            self._network.on_accepted(entry.tx)
        return self._tell.pool_changed(change)

    # --- blocks ------------------------------------------------------------------------------------------------

    def _pump(self) -> list[Effect]:
        """Stage what can be staged, and send out its signatures."""
        effects, self._left = self._left, []
        if self._chain.stored:
            effects += map(self._tell.stored, self._chain.stored)
            self._chain.stored.clear()
        while (staged := self._chain.advance()) is not None:
            effects.append(Verify(staged.token, staged.checks))
        if self._chain.ruled_out != self._marked:
            self._marked = self._chain.ruled_out
            effects.append(Publish(CHAIN_TOPIC))
        if not self.ready and self._chain.settled:
            self.ready = True
            self.view_version += 1
            effects.append(Publish(READY_TOPIC))
        return effects

    def _on_verified(self, verified: Verified, now: float) -> list[Effect]:
        if self._admission.owns(verified.token):
            verdicts, verify = self._admission.settle(verified.token, verified.failure, self.time.at(now))
            effects = self._judged(verdicts, now) + ([verify] if verify else [])
            known = [verdict.offer.tx for verdict in verdicts if verdict.offer.tx.wtxid in self._awaited]
            self._awaited.difference_update([tx.wtxid for tx in known])
            return effects + [Publish(_tx_topic(tx)) for tx in known]
        if self._packages.owns(verified.token):
            self._packages.settle(verified.token, verified.failure)
            return [Publish(_package_topic(verified.token))]
        changes = self._chain.verified(verified.token, verified.failure)
        return [effect for change in changes for effect in self._on_tip(change, now)] + self._pump()

    def _on_tip(self, change: TipChange, now: float) -> list[Effect]:
        """The ledger has moved: so do mempool, estimates, readers and peers."""
        self.counts.moved(change.old, change.new, len(change.disconnected), len(change.connected), now)
        self._reached(now)
        if self.ready:
            best = self._chain.tree.best_header.height
            is_catching_up = best - change.new.height > BEHIND_MAX and self._network.catch_up.is_under_way(now)
            self._tip_log.moved(change, best, is_catching_up, now)
        blocks = [connected.block for connected in change.connected]
        undone = [tx for left in reversed(change.disconnected) for tx in left.block.txs]
        lookup: CoinLookup = self._store.coin
        if undone:
            lookup = coins_at_new_tip(lookup, change.disconnected, change.connected)
        pool = self._mempool.on_tip_change(undone, blocks, lookup, context_after(change.new), self.time.at(now))
        self.view_version += 1
        mined = [tx.wtxid for block in blocks for tx in block.txs]
        told = self._tell.moved(change) + self._on_pool_change(pool)
        told += [self._tell.tip(change, len(self._mempool)), Publish(CHAIN_TOPIC)]
        effects = self._network.on_tip(mined, not change.disconnected, now) + told
        return effects + self._retry_orphans((tx.txid for block in blocks for tx in block.txs), now)

    def _reached(self, now: float) -> None:
        tip = self._chain.tip
        behind = self._chain.tree.best_header.height - tip.height
        self._network.catch_up.reached(tip.time, behind, self.time.at(now))

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


def _package_topic(token: int) -> str:
    return f"package:{token}"


def _tx_topic(tx: Tx) -> str:
    return f"tx:{tx.wtxid.hex()}"
