"""Blocks from peers that we cannot ask: the news for them names what we lack, and they push it.

Without this nobody would ever have what a node finds that nobody can dial.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

from chain.block import HEADER_SIZE, decode_header
from chain.errors import Invalid, Rejected
from chain.hashes import BlockHash
from chain.params import Params
from node.interface.effects import Compute, Effect, Failed
from node.interface.endpoint import PeerId
from node.interface.messages import Blocks
from node.p2p.block_sync.block_download import Accept, Punish
from node.p2p.block_sync.header_sync import HeaderSync
from node.p2p.block_sync.unpack import prepare

PUSH_S = 20.0
"""Time to push a block that we lack; then it is named again."""
JOBS_MAX = 2
"""Pushed messages being unpacked at once; more are ignored, and their blocks named again."""


class PushedBlocks:
    """Blocks that each peer is to push."""

    def __init__(self, sync: HeaderSync, accept: Accept, punish: Punish, params: Params) -> None:
        """`accept` takes bodies, `punish` drops a peer."""
        self._sync = sync
        self._accept = accept
        self._punish = punish
        self._params = params
        self._wanted: dict[PeerId, dict[BlockHash, float]] = {}
        """Time until which each may push which; no more than one message's."""
        self._jobs: dict[int, PeerId] = {}
        self._last_job = 0
        """Counts down: the numbers of others are positive."""

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
        return tuple(entry.hash for entry in self._sync.only_with(peer))

    def on_blocks(self, peer: PeerId, blocks: Blocks, now: float) -> list[Effect]:
        """A peer pushes: what it was not asked for is ignored unread."""
        asked = self._wanted.get(peer)
        if not asked or len(self._jobs) >= JOBS_MAX:
            return []
        raws = tuple(raw for raw in blocks.raws if (name := _hash_of(raw)) and asked.pop(name, None))
        if not raws:
            return []
        self._last_job -= 1
        self._jobs[self._last_job] = peer
        return [Compute(self._last_job, partial(prepare, Blocks(raws), self._params))]

    def on_computed(self, job: int, bodies: Any, now: float) -> list[Effect]:
        """Take blocks that are unpacked."""
        peer = self._jobs.pop(job)
        if isinstance(bodies, Failed):
            return self._punish(peer, bodies.reason, now)
        return self._take(peer, filter(None, bodies), now)

    def _take(self, peer: PeerId, bodies: Iterable[Any], now: float) -> list[Effect]:
        effects: list[Effect] = []
        for body in bodies:
            try:
                effects += self._accept(peer, body, now)
            except Invalid as fault:
                return effects + self._punish(peer, f"sent an invalid block: {fault}", now)
            except Rejected:
                continue  # not now; it will be named again
        return effects

    def left(self, peer: PeerId) -> None:
        """A peer is gone, or can be asked now."""
        self._wanted.pop(peer, None)


def _hash_of(raw: bytes) -> BlockHash | None:
    return decode_header(raw[:HEADER_SIZE]).hash if len(raw) > HEADER_SIZE else None
