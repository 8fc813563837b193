"""Blocks from peers that we cannot ask: the news for them names what we lack, and they push it.

Without this nobody would ever have what a node finds that nobody can dial.
"""

from functools import partial

from chain.block import HEADER_SIZE, decode_header
from chain.errors import Invalid, Rejected
from chain.hashes import BlockHash
from node.interface.effects import Failed, PeerReply
from node.interface.endpoint import PeerId
from node.interface.messages import Blocks
from node.p2p.block_sync.block_download import BlockDownload
from node.p2p.block_sync.block_processing import BlockProcessing
from node.p2p.block_sync.context import BlockSyncContext
from node.p2p.block_sync.unpack import prepare

PUSH_S = 20.0
"""Time to push a block that we lack; then it is named again."""
JOBS_MAX = 2
"""Pushed messages being unpacked at once; more are ignored, and their blocks named again."""


class PushedBlocks:
    """Blocks that each peer is to push."""

    def __init__(self, context: BlockSyncContext, download: BlockDownload, blocks: BlockProcessing) -> None:
        self._jobs = context.jobs
        self._connections = context.connections
        self._params = context.chain.params
        self._download = download
        self._blocks = blocks
        self._wanted: dict[PeerId, dict[BlockHash, float]] = {}
        """Time until which each may push which; no more than one message's."""
        self._unpacking = 0
        """Messages being unpacked."""

    def is_due(self, peer: PeerId, now: float) -> bool:
        """True if there is something for it to push."""
        return bool(self._to_name(peer, now))

    def take(self, peer: PeerId, now: float) -> tuple[BlockHash, ...]:
        """The blocks that it shall push, to be named to it now."""
        hashes = self._to_name(peer, now)
        if hashes:
            self._wanted[peer] = dict.fromkeys(hashes, now + PUSH_S)
        return hashes

    def _to_name(self, peer: PeerId, now: float) -> tuple[BlockHash, ...]:
        if any(until > now for until in self._wanted.get(peer, {}).values()):
            return ()  # those first
        return tuple(entry.hash for entry in self._download.only_with(peer))

    def on_blocks(self, peer: PeerId, blocks: Blocks, now: float) -> None:
        """A peer pushes: what it was not asked for is ignored unread."""
        asked = self._wanted.get(peer)
        if not asked or self._unpacking >= JOBS_MAX:
            return
        raws = tuple(raw for raw in blocks.raws if (name := _hash_of(raw)) and asked.pop(name, None))
        if not raws:
            return
        self._unpacking += 1
        self._jobs.start(partial(prepare, Blocks(raws), self._params), partial(self._on_unpacked, peer))

    def _on_unpacked(self, peer: PeerId, bodies: PeerReply, now: float) -> None:
        self._unpacking -= 1
        if isinstance(bodies, Failed):
            self._connections.punish(peer, bodies.reason, now)
            return
        assert isinstance(bodies, tuple)
        for body in filter(None, bodies):
            try:
                self._blocks.process_block(peer, body, now)
            except Invalid as fault:
                self._connections.punish(peer, f"sent an invalid block: {fault}", now)
                return
            except Rejected:
                continue  # not now; it will be named again

    def left(self, peer: PeerId) -> None:
        """A peer is gone, or can be asked now."""
        self._wanted.pop(peer, None)


def _hash_of(raw: bytes) -> BlockHash | None:
    return decode_header(raw[:HEADER_SIZE]).hash if len(raw) > HEADER_SIZE else None
