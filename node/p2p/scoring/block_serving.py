"""Serving rules: by the node's role, and by the choker. Needs no lock.

Blocks are served beside the core, by whichever thread has the request. What it reads here is
replaced whole; what it did is noted in a queue, that the core empties.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from chain.blocktree import BlockNode, BlockTree
from chain.hashes import BlockHash
from node.interface.endpoint import PeerId
from node.interface.messages import BLOCKS_BYTES, Blocks, GetBlocks, Reason, Refusal
from node.p2p.scoring.choking import Client
from node.p2p.scoring.service_flags import RECENT_BLOCKS, Role
from node.p2p.wire.sizes import size_of

NOTES_MAX = 20_000
"""Served requests that the core has not counted yet; beyond, the oldest is never counted."""


def pack(request: GetBlocks, raw_block: Callable[[BlockHash], bytes | None]) -> Blocks:
    """The answer to a request for blocks: the first of them, up to one that would make it too long."""
    raws: list[bytes] = []
    size = 0
    for block_hash in request.hashes:
        raw = raw_block(block_hash) or b""
        size += len(raw)
        if raws and size > BLOCKS_BYTES:
            break
        raws.append(raw)
    return Blocks(tuple(raws))


class Note(NamedTuple):
    """A request that was served, or refused."""

    client: Client
    size: int
    """Bytes of the answer."""
    is_bulk: bool
    is_refused: bool


class BlockServing:
    """The one gate that blocks and headers go out through."""

    def __init__(self, role: Role = Role.FULL, peer_of: Callable[[bytes], PeerId | None] = lambda token: None) -> None:
        """`peer_of` tells whose session a token is, without a lock."""
        self.role = role
        self.peer_of = peer_of
        self.granted: frozenset[Client] | None = None
        """The askers that get bulk service; None: everybody."""
        self._notes: deque[Note] = deque(maxlen=NOTES_MAX)
        self._spam: deque[PeerId] = deque(maxlen=NOTES_MAX)

    def blocks(
        self,
        client: Client,
        request: GetBlocks,
        tree: BlockTree,
        tip: BlockNode,
        raw_block: Callable[[BlockHash], bytes | None],
    ) -> Blocks | Refusal:
        """The answer to a request for blocks. Refused if it is bulk and not this client's turn; a
        block that the role does not serve is as one that is not here."""
        # An invalid one would be held against us, though others passed it on to us in the same good faith.
        known = (entry for h in request.hashes if (entry := tree.get(h)) and not entry.invalid)
        depths = {entry.hash: tip.height - entry.height for entry in known}
        served = {h for h, depth in depths.items() if self._is_in_role(depth)}
        if depths and not served:
            return Refusal(Reason.NOT_SERVED)
        is_bulk = any(depths[h] >= RECENT_BLOCKS for h in served)
        if is_bulk and not self._may_have_bulk(client):
            return self._choked(client)
        answer = pack(request, lambda block_hash: raw_block(block_hash) if block_hash in served else None)
        self._notes.append(Note(client, size_of(answer), is_bulk, False))
        return answer

    def block(self, entry: BlockNode, tip: BlockNode, size: int) -> Refusal | None:
        """The reason not to give one block to an asker without a session."""
        depth = tip.height - entry.height
        if not self._is_in_role(depth):
            return Refusal(Reason.NOT_SERVED)
        if depth >= RECENT_BLOCKS and not self._may_have_bulk(None):
            return self._choked(None)
        self._notes.append(Note(None, size, depth >= RECENT_BLOCKS, False))
        return None

    def headers(self, client: Client, count: int, size: int) -> Refusal | None:
        """The reason not to give so many headers."""
        if count <= RECENT_BLOCKS:
            return None
        if self.role is Role.RELAY:
            return Refusal(Reason.NOT_SERVED)
        if not self._may_have_bulk(client):
            return self._choked(client)
        self._notes.append(Note(client, size, True, False))
        return None

    def take_notes(self) -> list[Note]:
        """Take the notes of what was served since the last time; for the core."""
        return [self._notes.popleft() for _ in range(len(self._notes))]

    def spammed(self, peer: PeerId) -> None:
        """A peer goes on sending more than it may, although it was told to wait (see limits.py)."""
        self._spam.append(peer)

    def take_spam(self) -> list[PeerId]:
        """Take the peers that did so since the last time, once for each message; for the core."""
        return [self._spam.popleft() for _ in range(len(self._spam))]

    def _is_in_role(self, depth: int) -> bool:
        # Above the tip there may be blocks too: they wait to be connected.
        return self.role.depth is None or max(0, depth) < self.role.depth

    def _may_have_bulk(self, client: Client) -> bool:
        granted = self.granted
        return granted is None or client in granted

    def _choked(self, client: Client) -> Refusal:
        refusal = Refusal(Reason.CHOKED)
        self._notes.append(Note(client, size_of(refusal), True, True))
        return refusal
