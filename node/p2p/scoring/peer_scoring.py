"""The standing of each peer: what it did, the grade that makes, and what it gets for it.

Puts reputation, discouragement, choking and the counts that operators see together, so that who
talks with peers has one thing to tell.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from chain.hashes import BlockHash
from node.interface.effects import Failed, PeerReply
from node.interface.endpoint import PeerId
from node.interface.messages import Message, Request
from node.p2p.scoring.banman import BanMan
from node.p2p.scoring.block_serving import BlockServing
from node.p2p.scoring.choking import BULK_BYTES_S, Choker
from node.p2p.scoring.peer_score import Grade, PeerEvent, PeerScore
from node.p2p.scoring.service_flags import Role
from node.p2p.wire.sizes import size_of

TAKEN_MAX = 2_048
"""Blocks that peers brought and that are not connected yet; beyond, the oldest earns nothing."""
REVIEW_EVERY_S = 1.0
"""Seconds between two looks at these."""


@dataclass(slots=True)
class Tally:
    """Counts of what a peer brought since it came."""

    bytes_sent: int = 0
    bytes_received: int = 0
    first_blocks: int = 0
    """Valid blocks that it was the first to deliver."""
    first_txs: int = 0
    last_block: float | None = None
    """Time of the last block."""
    last_tx: float | None = None
    """Time of the last transaction."""


class PeerScoring:
    """The standing of all peers. `service` alone may be used without the lock."""

    def __init__(
        self,
        allow_local: bool,
        role: Role = Role.FULL,
        peer_of: Callable[[bytes], PeerId | None] = lambda token: None,
        budget_bytes_s: int = BULK_BYTES_S,
    ) -> None:
        """`budget_bytes_s` is what of bulk service is given to all before it is rationed."""
        self.scores = PeerScore()
        self.discouraged = BanMan(allow_local)
        self.service = BlockServing(role, peer_of)
        self._choker = Choker(self.scores.contribution, self.scores.grade, budget_bytes_s)
        self._tallies: dict[PeerId, Tally] = {}
        self._taken: OrderedDict[BlockHash, tuple[PeerId, int]] = OrderedDict()
        """The peer that brought a block, and the block's bytes."""
        self._suspects: set[PeerId] = set()
        """Peers whose score has fallen since it was last looked at."""
        self._review_at = 0.0

    def met(self, peer: PeerId) -> None:
        """A peer is here."""
        self._tallies.setdefault(peer, Tally())

    def left(self, peer: PeerId) -> None:
        """A peer is gone; what it did is not forgotten."""
        self._tallies.pop(peer, None)
        self._suspects.discard(peer)

    def tally(self, peer: PeerId) -> Tally:
        """The counts of a peer."""
        return self._tallies.get(peer) or Tally()

    def is_choked(self, peer: PeerId) -> bool:
        """True if it would be refused bulk service now."""
        granted = self.service.granted
        return granted is not None and peer not in granted

    def is_poor(self, peer: PeerId, now: float) -> bool:
        """True if its record is a reason to look for another."""
        return self.scores.grade(peer, now) in (Grade.CHOKE, Grade.DROP)

    def note(self, peer: PeerId, deed: PeerEvent, now: float, times: float = 1.0) -> None:
        """A peer did this."""
        self.scores.note(peer, deed, now, times)
        if deed.value.points < 0:
            self._suspects.add(peer)

    def offended(self, peer: PeerId, host: str, now: float) -> None:
        """A peer, seen at `host`, broke the rules provably."""
        self.scores.note(peer, PeerEvent.OFFENCE, now)
        self.discouraged.add(peer, host, now)

    def received(self, peer: PeerId, message: Request | PeerReply) -> None:
        """A peer sent a message."""
        if tally := self._tallies.get(peer):
            tally.bytes_received += size_of(message)

    def sent(self, peer: PeerId, message: Message | None) -> None:
        """A peer was sent one."""
        if tally := self._tallies.get(peer):
            tally.bytes_sent += size_of(message)

    def answered(self, peer: PeerId, request: Request, reply: PeerReply, now: float) -> None:
        """Our request to a peer brought `reply`."""
        self.sent(peer, request)
        self.received(peer, reply)
        if not isinstance(reply, Failed):
            self.note(peer, PeerEvent.ANSWERED, now)
        elif not (reply.offence or reply.retry_s):
            self.note(peer, PeerEvent.LATE, now)

    def took_tx(self, peer: PeerId, size: int, now: float) -> None:
        """A peer was the first to deliver a transaction that is valid."""
        self.scores.note(peer, PeerEvent.TX_FIRST, now)
        self.scores.contributed(peer, size, now)
        if tally := self._tallies.get(peer):
            tally.first_txs += 1
            tally.last_tx = now

    def took_block(self, peer: PeerId, block_hash: BlockHash, size: int) -> None:
        """A peer was the first to deliver a block, of which only its connection tells whether it is valid."""
        self._taken.setdefault(block_hash, (peer, size))
        if len(self._taken) > TAKEN_MAX:
            self._taken.popitem(last=False)

    def tick(self, is_connected: Callable[[BlockHash], bool | None], now: float) -> None:
        """Count what was served, choose the peers to choke, credit those that brought blocks.

        `is_connected` says of a block that it is on the best chain (True), will never be (False),
        or may be yet (None).
        """
        for note in self.service.take_notes():
            if note.client is not None and (tally := self._tallies.get(note.client)):
                tally.bytes_sent += note.size
            if note.is_bulk and note.is_refused:
                self._choker.refused(note.client, now)
            elif note.is_bulk:
                self._choker.served(note.client, note.size, now)
        for peer in self.service.take_spam():
            self.note(peer, PeerEvent.SPAM, now)
        self._choker.tick(now)
        self.service.granted = self._choker.granted
        if now >= self._review_at:
            self._review_at = now + REVIEW_EVERY_S
            self._credit(is_connected, now)

    def _credit(self, is_connected: Callable[[BlockHash], bool | None], now: float) -> None:
        for block_hash, (peer, size) in list(self._taken.items()):
            verdict = is_connected(block_hash)
            if verdict is None:
                continue
            del self._taken[block_hash]
            if verdict:
                self.scores.note(peer, PeerEvent.BLOCK_FIRST, now)
                self.scores.contributed(peer, size, now)
                if tally := self._tallies.get(peer):
                    tally.first_blocks += 1
                    tally.last_block = now

    def unbearable(self, now: float) -> list[PeerId]:
        """Peers that are here and have come to be dropped."""
        suspects, self._suspects = self._suspects, set()
        return sorted(p for p in suspects if p in self._tallies and self.scores.grade(p, now) is Grade.DROP)
