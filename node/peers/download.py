"""Block bodies: which to fetch, from whom, and what to do about peers that do not deliver.

Each block on a branch with at least the tip's work comes from whichever peer has it and has
room. A peer may be silent for as long as it likes while nobody else could do its part; once
somebody could, its requests go there. Bodies are checked by hash, so nobody need be trusted.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from chain.block import decode_block
from chain.errors import Invalid, Rejected
from chain.hashes import BlockHash, to_hex
from chain.params import Params
from chain.tree import Entry, fork_point
from node.chainstate import Chainstate, Examined, examine
from node.peers.bounded import Recent
from node.peers.branches import between, is_on
from node.peers.messages import BlockMessage, GetBlock
from node.peers.requests import Requests
from node.ports import Effect, Failed, Link, PeerId

IN_FLIGHT_MAX = 16
"""Blocks asked of one peer at once."""
QUOTA_START = 2
"""Blocks asked at once of a peer that has delivered none; one more for each that it delivers."""
WINDOW = 1_024
"""How far above the first missing block others are fetched."""
STRIDE = 32
"""Blocks of a branch looked at in one go."""
BLOCK_S = 60.0
"""Deadline of one request."""
PATIENCE_S, PATIENCE_MAX_S = 2.0, 64.0
"""How long a peer may deliver nothing while another could: doubles with each time that it was
too long (perhaps it is our own line that is slow), up to the second."""
PATIENCE_DECAY, PATIENCE_DECAY_S = 0.85, 0.95
"""What each delivered block makes of that, and each second, down to the first."""
REST_S = 1.0
"""A peer that failed is asked for no block for so long."""
LACKING_MAX = 256
"""Blocks that a peer is known not to have; beyond, the oldest is asked again."""
DELIVERED_MAX = 2 * WINDOW
"""Blocks whose deliverer is remembered until they are connected."""
REVIEW_EVERY_S = 1.0
"""Between two looks at these, and at how patient to be."""

Accept = Callable[[PeerId, Examined, float], Sequence[Effect]]
"""Takes a body that was asked for and is the header's. Raises Rejected."""
Punish = Callable[[PeerId, str, float], list[Effect]]
"""Drops a peer for a provable offence."""


def prepare(reply: Any, params: Params) -> Any:
    """A block message as what `Chainstate` takes, or as the offence that it is; anything else as it is.

    Costly, and needs neither lock nor chain.
    """
    if not isinstance(reply, BlockMessage):
        return reply
    try:
        return examine(decode_block(reply.raw), params)
    except Invalid as fault:
        return Failed(f"sent a bad block: {fault}", offence=True)


@dataclass(slots=True)
class _Source:
    """A peer as a source of blocks."""

    quota: int = QUOTA_START
    asked: dict[BlockHash, Entry] = field(default_factory=dict)
    """Requests whose answers are not here."""
    lacking: Recent[BlockHash] = field(default_factory=lambda: Recent(LACKING_MAX))
    progress: float = 0.0
    """When it last delivered, or was asked after owing nothing."""
    rest_until: float = 0.0

    def room(self, now: float) -> int:
        """How many more blocks may be asked of it."""
        return self.quota - len(self.asked) if now >= self.rest_until else 0

    def can_take(self, entry: Entry, now: float) -> bool:
        """True if it could be asked for this block of its branch now."""
        return self.room(now) > 0 and self.may_have(entry)

    def may_have(self, entry: Entry) -> bool:
        """True if nothing speaks against asking it for this block of its branch."""
        return entry.hash not in self.asked and entry.hash not in self.lacking


class _Branch:
    """The missing blocks of one branch, handed out from the lowest on."""

    def __init__(self, missing: Iterator[Entry]) -> None:
        self._missing = missing
        self._passed_over: list[Entry] = []

    def take(self, is_taken: Callable[[Entry], bool], suits: Callable[[Entry], bool]) -> Entry | None:
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


class Download:
    """All bodies under way."""

    def __init__(
        self,
        chain: Chainstate,
        requests: Requests,
        link_of: Callable[[PeerId], Link | None],
        best_of: Callable[[PeerId], Entry | None],
        accept: Accept,
        punish: Punish,
    ) -> None:
        """`best_of` is the best header that a peer is known to have."""
        self._chain = chain
        self._requests = requests
        self._link_of = link_of
        self._best_of = best_of
        self._accept = accept
        self._punish = punish
        self._sources: dict[PeerId, _Source] = {}
        self._in_flight: dict[BlockHash, PeerId] = {}
        """Who is to deliver what."""
        self._delivered: dict[BlockHash, PeerId] = {}
        self.patience_s = PATIENCE_S
        """How long a peer may be silent now."""
        self._review_at = 0.0

    def linked(self, peer: PeerId) -> None:
        """A peer can be asked."""
        self._sources.setdefault(peer, _Source())

    def left(self, peer: PeerId) -> None:
        """It no longer can: what it owed is free for others."""
        self._sources.pop(peer, None)
        for block_hash in [h for h, owner in self._in_flight.items() if owner == peer]:
            del self._in_flight[block_hash]

    def in_flight(self) -> dict[BlockHash, PeerId]:
        """Which blocks are being fetched, and from whom."""
        return dict(self._in_flight)

    # --- asking --------------------------------------------------------------------------

    def pump(self, now: float) -> list[Effect]:
        """Ask for what is missing, in turn, of every peer that has it and has room."""
        order = [peer for peer, source in self._sources.items() if source.room(now) > 0]
        branches: dict[BlockHash, _Branch] = {}
        effects: list[Effect] = []
        while order:
            order = [peer for peer in order if self._ask_one(peer, branches, now, effects)]
        return effects

    def _ask_one(self, peer: PeerId, branches: dict[BlockHash, _Branch], now: float, effects: list[Effect]) -> bool:
        """Ask `peer` for the lowest block that nobody was asked for; False if there is none, or no room."""
        source, best, link = self._sources.get(peer), self._best_of(peer), self._link_of(peer)
        if source is None or best is None or link is None or source.room(now) <= 0:
            return False
        if best.hash not in branches:
            branches[best.hash] = _Branch(self._missing(best))
        entry = branches[best.hash].take(lambda entry: entry.hash in self._in_flight, source.may_have)
        if entry is None:
            return False
        if not source.asked:
            source.progress = now
        source.asked[entry.hash] = entry
        self._in_flight[entry.hash] = peer
        then = partial(self._on_block, peer, entry)
        effects.append(self._requests.send(link, GetBlock(entry.hash), now, BLOCK_S, then))
        return True

    def _missing(self, best: Entry) -> Iterator[Entry]:
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

    # --- answers -------------------------------------------------------------------------

    def _on_block(self, peer: PeerId, entry: Entry, reply: Any, now: float) -> list[Effect]:
        source = self._sources.get(peer)
        if source is None:
            return []
        source.asked.pop(entry.hash, None)
        if self._in_flight.get(entry.hash) == peer:
            del self._in_flight[entry.hash]
        reply = prepare(reply, self._chain.params)
        effects: list[Effect] = []
        if isinstance(reply, Examined) and reply.block.hash == entry.hash:
            effects = self._on_body(peer, source, entry, reply, now)
        elif isinstance(reply, Examined):
            effects = self._punish(peer, f"sent another block than {to_hex(entry.hash)}", now)
        elif isinstance(reply, Failed):
            source.rest_until = now + REST_S
            effects = self._punish(peer, reply.reason, now) if reply.offence else []
        else:
            source.lacking.add(entry.hash)
        return effects + self.pump(now)

    def _on_body(self, peer: PeerId, source: _Source, entry: Entry, body: Examined, now: float) -> list[Effect]:
        source.progress = now
        source.quota = min(IN_FLIGHT_MAX, source.quota + 1)
        self._be_less_patient(PATIENCE_DECAY)
        if entry.has_body or entry.invalid:
            return []  # the request had been given to another peer meanwhile
        self._delivered[entry.hash] = peer
        if len(self._delivered) > DELIVERED_MAX:
            del self._delivered[next(iter(self._delivered))]
        effects: list[Effect] = []
        try:
            effects += self._accept(peer, body, now)
        except Rejected as fault:
            self._delivered.pop(entry.hash, None)
            if isinstance(fault, Invalid):
                effects += self._punish(peer, f"sent an invalid block: {fault}", now)
        if not entry.has_body:
            source.lacking.add(entry.hash)  # whatever was wrong with it: not from this peer again
        return effects

    # --- time ----------------------------------------------------------------------------

    def tick(self, now: float) -> list[Effect]:
        """Take requests from peers that stall, and see who delivered what turned out invalid."""
        effects: list[Effect] = []
        if now >= self._review_at:
            self._review_at = now + REVIEW_EVERY_S
            self._be_less_patient(PATIENCE_DECAY_S)
            effects += self._punish_deliverers(now)
        self._take_from_stalled(now)
        return effects + self.pump(now)

    def _take_from_stalled(self, now: float) -> None:
        """Free what peers owe that have been silent for too long, where another could do it."""
        stalled = {p for p in self._in_flight.values() if now - self._sources[p].progress >= self.patience_s}
        taken_from = set()
        for block_hash, peer in list(self._in_flight.items()):
            if peer in stalled and self._could_help(self._sources[peer].asked[block_hash], peer, stalled, now):
                del self._in_flight[block_hash]
                taken_from.add(peer)
        for peer in taken_from:
            self._sources[peer].quota = max(1, self._sources[peer].quota // 2)
        if taken_from:
            self.patience_s = min(PATIENCE_MAX_S, self.patience_s * 2)

    def _be_less_patient(self, factor: float) -> None:
        self.patience_s = max(PATIENCE_S, self.patience_s * factor)

    def _could_help(self, entry: Entry, owner: PeerId, stalled: set[PeerId], now: float) -> bool:
        others = ((p, s) for p, s in self._sources.items() if p != owner and p not in stalled)
        return any((best := self._best_of(p)) and is_on(entry, best) and s.can_take(entry, now) for p, s in others)

    def _punish_deliverers(self, now: float) -> list[Effect]:
        """A body is connected long after its delivery; only then its inputs and signatures are judged."""
        effects: list[Effect] = []
        for block_hash, peer in list(self._delivered.items()):
            entry = self._chain.tree.get(block_hash)
            if entry is None or entry.invalid or is_on(entry, self._chain.tip):
                del self._delivered[block_hash]
                # An operator's mark has no failure: that is nobody's fault.
                if entry and entry.invalid and (fault := self._chain.failure(block_hash)):
                    effects += self._punish(peer, f"sent an invalid block: {fault}", now)
        return effects
