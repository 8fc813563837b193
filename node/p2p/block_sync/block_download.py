"""Block download: the choice of blocks and of peers to fetch them from; peers that do not deliver.

Each block on a branch with at least the tip's work comes from whichever peer has it and has
room. A peer may be silent for as long as it likes while nobody else could do its part; once
somebody could, its requests go there. Bodies are checked by hash, so nobody need be trusted.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

from chain.blocktree import BlockNode, between, fork_point, is_on
from chain.errors import Invalid, Rejected
from chain.hashes import BlockHash, to_hex
from node.interface.checked_block import CheckedBlock
from node.interface.effects import Failed, PeerReply
from node.interface.endpoint import PeerId
from node.interface.messages import BLOCKS_MAX, GetBlocks, Reason, Refusal
from node.p2p.block_sync.block_processing import BlockProcessing
from node.p2p.block_sync.context import BlockSyncContext
from node.p2p.block_sync.download_source import Asked, DownloadSource, ration
from node.p2p.block_sync.header_peers import HeaderPeers
from node.p2p.scoring.peer_score import PeerEvent

WINDOW = 1_024
"""Blocks above the first missing one that may be fetched ahead."""
AHEAD_MAX, AHEAD_BYTES = 32, 8_000_000
"""Blocks, and their bytes, that are here and wait to be connected; with more, nothing is asked for.
With what is in flight then, about as much as the chainstate keeps decoded."""
STRIDE = 32
"""Blocks of a branch looked at in one go."""
BLOCK_S, BLOCK_MAX_S = 15.0, 60.0
"""Deadline of one request: the first, doubled with each that failed since the last delivery (perhaps
it is a large block on a narrow line), up to the second."""
PATIENCE_S, PATIENCE_MAX_S = 2.0, 64.0
"""Seconds that a peer may deliver nothing while another could: doubles with each time that it was
too long (perhaps it is our own line that is slow), up to the second."""
PATIENCE_DECAY, PATIENCE_DECAY_S = 0.85, 0.95
"""Factors by which each delivered block, and each second, shortens that, down to the first."""
OVERDUE = 4.0
"""So many times as long a peer may withhold one block while it delivers others; then the block is
asked for again, even of the same peer, if it has answered later requests: an answer can get lost."""
REST_S = 1.0
"""A peer that failed is asked for no block for so long."""
CHOKED_REST_S = 5.0
"""The same for one that serves others just now, which is no failure."""
DELIVERED_MAX = 2 * WINDOW
"""Deliveries that are remembered until their blocks are connected."""
REVIEW_EVERY_S = 1.0
"""Seconds between two looks at these, and at how patient to be."""


class _Delivery(NamedTuple):
    """A block that is here and not connected yet."""

    peer: PeerId
    """The peer that delivered the block."""
    size: int
    """Bytes."""
    is_early: bool = False
    """It had no verdict of its own when it told us: if the block is invalid, that is no offence."""


class _Branch:
    """The missing blocks of one branch, handed out from the lowest on."""

    def __init__(self, missing: Iterator[BlockNode]) -> None:
        self._missing = missing
        self._passed_over: list[BlockNode] = []

    def take(self, is_taken: Callable[[BlockNode], bool], suits: Callable[[BlockNode], bool]) -> BlockNode | None:
        """The lowest that suits a peer; the others are for the next."""
        for entry in self._passed_over:
            if not is_taken(entry) and suits(entry):
                self._passed_over.remove(entry)
                return entry
        for entry in self._missing:
            if is_taken(entry):
                continue
            if suits(entry):
                return entry
            self._passed_over.append(entry)
        return None


class BlockDownload:
    """All bodies under way."""

    def __init__(self, context: BlockSyncContext, peers: HeaderPeers, blocks: BlockProcessing) -> None:
        self._chain = context.chain
        self._requests = context.requests
        self._connections = context.connections
        self._services = context.services
        self._scoring = context.scoring
        self._peers = peers
        self._blocks = blocks
        self.is_held: Callable[[BlockNode], bool] = lambda entry: False
        """Tells of a block that is coming in another way, and is not to be asked for now."""
        self._sources: dict[PeerId, DownloadSource] = {}
        self._in_flight: dict[BlockHash, PeerId] = {}
        """The peer that is to deliver, by block."""
        self._delivered: dict[BlockHash, _Delivery] = {}
        self.patience_s = PATIENCE_S
        """Seconds that a peer may deliver nothing, as of now."""
        self._review_at = 0.0
        self._unpacking = False
        """An answer is being worked on; who pumps now does so too early."""

    def linked(self, peer: PeerId) -> None:
        """Note that a peer can be asked."""
        self._sources.setdefault(peer, DownloadSource(BLOCK_S))

    def left(self, peer: PeerId) -> None:
        """Forget a peer that is gone: what it owed is free for others."""
        self._sources.pop(peer, None)
        ration(self._sources.values())
        for block_hash in [h for h, owner in self._in_flight.items() if owner == peer]:
            del self._in_flight[block_hash]

    def may_have(self, peer: PeerId, entry: BlockNode) -> bool:
        """True if a peer says that it has this block, if it is on its branch."""
        return self._services.has_block(peer, self._peers.best_of(peer), entry)

    def rest(self, peer: PeerId, now: float) -> None:
        """Ask others than a slow peer first, for a while."""
        if source := self._sources.get(peer):
            source.rest_until = max(source.rest_until, now + REST_S)

    def shown_early(self, peer: PeerId, entry: BlockNode) -> None:
        """A peer has pushed the compact form of a block, as is done before the block is connected:
        even if we fetch all of it from there, it does not vouch for it."""
        if source := self._sources.get(peer):
            source.early.add(entry.hash)

    def rebuilt(self, peer: PeerId, entry: BlockNode, size: int) -> None:
        """A block of so many bytes is here, made from a peer's compact form."""
        self._remember(entry, _Delivery(peer, size, True))

    def _remember(self, entry: BlockNode, delivery: _Delivery) -> None:
        self._delivered[entry.hash] = delivery
        if len(self._delivered) > DELIVERED_MAX:
            del self._delivered[next(iter(self._delivered))]

    def in_flight(self) -> dict[BlockHash, PeerId]:
        """The blocks in flight, each with the peer that it is fetched from."""
        return dict(self._in_flight)

    def pump(self, now: float) -> None:
        """Ask for what is missing, in turn, of every peer that has it and has room."""
        if self._unpacking or not self._services.takes_bodies or self._is_ahead():
            return
        turn = [peer for peer, source in self._sources.items() if source.room(now) > 0]
        turn.sort(key=lambda peer: self._sources[peer].rank)
        branches: dict[BlockHash, _Branch] = {}
        given: dict[PeerId, list[BlockNode]] = {peer: [] for peer in turn}
        while turn:
            turn = [peer for peer in turn if self._give_one(peer, branches, given[peer], now)]
        for peer, entries in given.items():
            self._ask(peer, entries, now)

    def _is_ahead(self) -> bool:
        """True if as much waits to be connected as may."""
        entry, blocks, size = self._chain.best, 0, 0
        while entry is not self._chain.tip and entry.parent is not None:
            blocks += 1
            size += self._delivered[entry.hash].size if entry.hash in self._delivered else 0
            if blocks >= AHEAD_MAX or size >= AHEAD_BYTES:
                return True
            entry = entry.parent
        return False

    def _give_one(self, peer: PeerId, branches: dict[BlockHash, _Branch], given: list[BlockNode], now: float) -> bool:
        """Assign the lowest block that nobody is fetching to `peer`; False if there is none, or no room."""
        source, best = self._sources[peer], self._peers.best_of(peer)
        if best is None or self._connections.link(peer) is None or source.room(now) <= 0:
            return False
        highest = min(best.height, self._chain.tip.height + 2 * WINDOW)
        if not self._services.has_block(peer, best, best.ancestor(highest)):
            return False  # all that could be asked for is below what it has
        if best.hash not in branches:
            branches[best.hash] = _Branch(self.missing(best))
        entry = branches[best.hash].take(
            lambda entry: entry.hash in self._in_flight or self.is_held(entry),
            lambda entry: source.may_have(entry) and self._services.has_block(peer, best, entry),
        )
        if entry is None:
            return False
        if not source.asked:
            source.progress = now
        source.asked[entry.hash] = Asked(entry, now)
        self._in_flight[entry.hash] = peer
        given.append(entry)
        return True

    def _ask(self, peer: PeerId, entries: list[BlockNode], now: float) -> None:
        """Ask a peer for what it owes us from now on, as many blocks at once as fit into one answer."""
        source, link = self._sources[peer], self._connections.link(peer)
        for start in range(0, len(entries), source.batch):
            assert link is not None
            batch = entries[start : start + source.batch]
            then = partial(self._on_blocks, peer, batch)
            request = GetBlocks(tuple(e.hash for e in batch))
            self._requests.send(link, request, now, source.timeout_s, then)

    def missing(self, best: BlockNode) -> Iterator[BlockNode]:
        """The blocks without bodies that lead to `best`, lowest first, within one window."""
        while best.invalid:
            assert best.parent is not None
            best = best.parent
        tip = self._chain.tip
        if best.chainwork < tip.chainwork:
            return
        base, end, found = fork_point(tip, best), best.height, False
        while base.height < end:
            top = best.ancestor(min(end, base.height + STRIDE))
            for entry in between(base, top):
                if entry.has_body:
                    continue
                if not found:
                    found, end = True, min(end, entry.height + WINDOW - 1)
                if entry.height <= end:
                    yield entry
            base = top

    def only_with(self, peer: PeerId) -> tuple[BlockNode, ...]:
        """The lowest blocks of a peer's branch that we lack and cannot ask anybody for."""
        best = self._peers.best_of(peer)
        if best is None or best.has_body or not self._services.takes_bodies or self._connections.link(peer):
            return ()
        linked = [other for other in self._peers if self._connections.link(other)]
        others = [(other, theirs) for other in linked if (theirs := self._peers.best_of(other))]

        def is_askable(entry: BlockNode) -> bool:
            return any(
                is_on(entry, theirs) and self._services.has_block(other, theirs, entry) for other, theirs in others
            )

        return tuple(islice((entry for entry in self.missing(best) if not is_askable(entry)), BLOCKS_MAX))

    def _on_blocks(self, peer: PeerId, entries: Sequence[BlockNode], reply: PeerReply, now: float) -> None:
        """The answer to a request for `entries`; what is not in it is to be asked for again."""
        source = self._sources.get(peer)
        if source is None:
            return
        if not isinstance(reply, tuple):
            choked = reply == Refusal(Reason.CHOKED)
            source.rest_until = now + (CHOKED_REST_S if choked else REST_S)
            if isinstance(reply, Failed):
                source.timeout_s = min(BLOCK_MAX_S, 2 * source.timeout_s)
            if reply == Refusal(Reason.NOT_SERVED):
                source.lacking.update(entry.hash for entry in entries)
            if isinstance(reply, Failed) and reply.offence:
                self._connections.punish(peer, reply.reason, now)
        elif len(reply) > len(entries):
            self._connections.punish(peer, "sent more blocks than it was asked for", now)
        else:
            asked_at = source.asked[entries[0].hash].at if entries[0].hash in source.asked else now
            source.measure(reply, asked_at, now)
            source.timeout_s = BLOCK_S
            ration(self._sources.values())
            self._unpacking = True  # what is in there and not looked at yet is not to be asked for
            for entry, body in zip(entries, reply, strict=False):
                self._on_body(peer, source, entry, body, now)
            self._unpacking = False
        for entry in entries:
            source.asked.pop(entry.hash, None)
            if self._in_flight.get(entry.hash) == peer:
                del self._in_flight[entry.hash]
        self.pump(now)

    def _on_body(
        self, peer: PeerId, source: DownloadSource, entry: BlockNode, body: CheckedBlock | None, now: float
    ) -> None:
        if peer not in self._sources:
            return  # punished for one of those before it
        if body is None:
            source.lacking.add(entry.hash)
            self._scoring.note(peer, PeerEvent.BROKEN_PROMISE, now)
            return
        if body.block.hash != entry.hash:
            self._connections.punish(peer, f"sent another block than {to_hex(entry.hash)}", now)
            return
        source.delivered(now)
        self._be_less_patient(PATIENCE_DECAY)
        if entry.has_body or entry.invalid:
            return  # the request had been given to another peer meanwhile
        self._remember(entry, _Delivery(peer, body.block.size, entry.hash in source.early))
        try:
            self._blocks.process_block(peer, body, now)
        except Rejected as fault:
            self._delivered.pop(entry.hash, None)
            if isinstance(fault, Invalid):
                self._connections.punish(peer, f"sent an invalid block: {fault}", now)
        if not entry.has_body:
            source.lacking.add(entry.hash)  # whatever was wrong with it: not from this peer again

    def tick(self, now: float) -> None:
        """Take requests from peers that stall, and see who delivered what turned out invalid."""
        if now >= self._review_at:
            self._review_at = now + REVIEW_EVERY_S
            self._be_less_patient(PATIENCE_DECAY_S)
            self._punish_deliverers(now)
        self._take_from_stalled(now)
        self.pump(now)

    def _take_from_stalled(self, now: float) -> None:
        """Free what peers owe that have been silent for too long, where another could do it; and
        what they withhold while they bring something else."""
        stalled = {p for p in self._in_flight.values() if now - self._sources[p].progress >= self.patience_s}
        taken_from = set()
        for block_hash, peer in list(self._in_flight.items()):
            entry, asked_at = self._sources[peer].asked[block_hash]
            is_late = peer in stalled or now - asked_at >= OVERDUE * self.patience_s
            if is_late and self._could_help(entry, peer, stalled, now):
                del self._in_flight[block_hash]
                taken_from.add(peer)
            elif is_late and peer not in stalled and asked_at < self._sources[peer].answered:
                del self._in_flight[block_hash]
                del self._sources[peer].asked[block_hash]
        for peer in taken_from:
            self._sources[peer].stalled()
            self._scoring.note(peer, PeerEvent.LATE, now)
        if taken_from & stalled:
            self.patience_s = min(PATIENCE_MAX_S, self.patience_s * 2)

    def _be_less_patient(self, factor: float) -> None:
        self.patience_s = max(PATIENCE_S, self.patience_s * factor)

    def _could_help(self, entry: BlockNode, owner: PeerId, stalled: set[PeerId], now: float) -> bool:
        others = ((p, s) for p, s in self._sources.items() if p != owner and p not in stalled)
        return any(
            (best := self._peers.best_of(p))
            and is_on(entry, best)
            and s.can_take(entry, now)
            and self._services.has_block(p, best, entry)
            for p, s in others
        )

    def _punish_deliverers(self, now: float) -> None:
        """A body is connected long after its delivery; only then its inputs and signatures are judged."""
        for block_hash, (peer, _, is_early) in list(self._delivered.items()):
            entry = self._chain.tree.get(block_hash)
            if entry is None or entry.invalid or is_on(entry, self._chain.tip):
                del self._delivered[block_hash]
                # An operator's mark has no failure: that is nobody's fault.
                if not (entry and entry.invalid and (fault := self._chain.failure(block_hash))):
                    continue
                if is_early:
                    self._scoring.note(peer, PeerEvent.EARLY_INVALID, now)
                else:
                    self._connections.punish(peer, f"sent an invalid block: {fault}", now)
