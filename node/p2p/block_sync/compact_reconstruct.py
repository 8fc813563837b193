"""Compact blocks from peers: blocks under reconstruction.

    pushes it             we                        announces a header
      CompactBlock    ->
                           <-  GetCompact
                                CompactBlock     ->
              short ids looked up in the mempool, among the
              orphans and in what was here not long ago
                      <-   GetBlockTxs    what is missing, if anything
      BlockTxs        ->

Whatever goes wrong on the way, the block is fetched whole by `BlockDownload`, which leaves it alone for
`HOLD_S` and no longer. A peer passes a block on before it has verified it, so it is to blame for
nothing but its header's proof of work and connection (BIP152).
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from chain.blocktree import BlockNode
from chain.errors import Rejected
from chain.hashes import BlockHash, to_hex
from node.interface.bounded import BoundedSet
from node.interface.effects import Failed, PeerReply
from node.interface.endpoint import PeerId
from node.interface.messages import BlockTxs, CompactBlock, GetBlockTxs, GetCompact
from node.mempool.mempool import Mempool
from node.p2p.block_sync.block_download import BlockDownload
from node.p2p.block_sync.block_processing import BlockProcessing
from node.p2p.block_sync.compact_block import Fill, Materials, PartialBlock, Rebuild, Rebuilt, Unfit
from node.p2p.block_sync.compact_serve import CompactServe
from node.p2p.block_sync.context import BlockSyncContext
from node.p2p.block_sync.extra_txs import ExtraTxs
from node.p2p.block_sync.header_announce import HeaderAnnounce
from node.p2p.block_sync.high_bandwidth_peers import HighBandwidthPeers

HOLD_S = 2.0
"""A block is left to those who gave us its compact form for so long after the first did."""
REQUEST_S = 20.0
"""Deadline of a request: what comes after `HOLD_S` and before the whole block is still used."""
AHEAD_MAX = 2
"""A compact block further above the tip is only a header: what is before it has to come first."""
PER_PEER_MAX, PER_BLOCK_MAX, BLOCKS_MAX = 2, 3, 12
"""Reconstructions under way: with one peer, of one block, and together; one more is only a header.
Each holds at most a compact block and a list of its transactions, about 1.5 MB."""
FIRST_MAX = 64
"""Blocks whose first compact form's time is remembered."""
TRIED_MAX = 256
"""Peers and blocks that are remembered: one compact form of a block from each, or looking up short
ids could be had of us without end."""
WHOLE_SHARE = 0.5
"""Largest share of missing transactions: with more, the block is requested whole."""
CONFIRMED_BLOCKS = 3
"""Number of latest blocks of our chain whose transactions are looked at too."""


@dataclass(slots=True, eq=False)
class _Work:
    """A reconstruction under way."""

    peer: PeerId
    entry: BlockNode
    hold_until: float
    ends: float
    """Given up then, at the latest."""
    is_late: bool
    """Its time to be alone with the block is over."""


class CompactReconstruct:
    """All blocks under reconstruction."""

    def __init__(
        self,
        context: BlockSyncContext,
        mempool: Mempool,
        high_bandwidth: HighBandwidthPeers,
        serve: CompactServe,
        download: BlockDownload,
        announce: HeaderAnnounce,
        blocks: BlockProcessing,
    ) -> None:
        """`download` fetches whole what cannot be had in parts; what is rebuilt is served and announced at once."""
        self._chain = context.chain
        self._requests = context.requests
        self._jobs = context.jobs
        self._connections = context.connections
        self._services = context.services
        self._mempool = mempool
        self._high_bandwidth = high_bandwidth
        self._serve = serve
        self._download = download
        self._announce = announce
        self._blocks = blocks
        self.extra_txs = ExtraTxs()
        """Transactions that are not in the mempool, and may be in a block all the same."""
        self._works: list[_Work] = []
        self._tried: BoundedSet[tuple[PeerId, BlockHash]] = BoundedSet(TRIED_MAX)
        self._first: OrderedDict[BlockHash, float] = OrderedDict()
        """Arrival time of the first compact form, by block."""

    def holds(self, entry: BlockNode) -> bool:
        """True if this block shall not be fetched whole now."""
        return any(work.entry is entry and not work.is_late for work in self._works)

    def on_pushed(self, peer: PeerId, entry: BlockNode, compact: CompactBlock, now: float) -> None:
        """A peer has pushed a block whose header has found its place."""
        # Without a link there was no way to ask it to push, nor is there one to ask for the block.
        if peer not in self._high_bandwidth and self._connections.link(peer):
            self.on_announced(peer, entry, now)
            return
        work = self._begin(peer, entry, now)
        if work:
            self._rebuild(work, compact)

    def on_announced(self, peer: PeerId, entry: BlockNode, now: float) -> None:
        """A peer has told us of a header: ask it for the compact form, unless the block is on its way."""
        link = self._connections.link(peer)
        if link is None or self.holds(entry) or not self._download.may_have(peer, entry):
            return
        work = self._begin(peer, entry, now)
        if work is None:
            return
        self._requests.send(link, GetCompact(entry.hash), now, REQUEST_S, partial(self._on_form, work))

    def _begin(self, peer: PeerId, entry: BlockNode, now: float) -> _Work | None:
        """Start on a block that connects near the tip and has its work at least, if there is room."""
        tip, parent = self._chain.tip, entry.parent
        if not self._services.takes_bodies or entry.has_body or entry.invalid or parent is None or not parent.has_chain:
            return None
        if entry.chainwork < tip.chainwork or entry.height > tip.height + AHEAD_MAX:
            return None
        of_peer = [work for work in self._works if work.peer == peer]
        of_block = [work for work in self._works if work.entry is entry]
        if (
            (peer, entry.hash) in self._tried
            or len(of_peer) >= PER_PEER_MAX
            or len(of_block) >= PER_BLOCK_MAX
            or len(self._works) >= BLOCKS_MAX
        ):
            return None
        first = self._first.setdefault(entry.hash, now)
        if len(self._first) > FIRST_MAX:
            self._first.popitem(last=False)
        work = _Work(peer, entry, first + HOLD_S, now + REQUEST_S, now >= first + HOLD_S)
        self._works.append(work)
        self._tried.add((peer, entry.hash))
        return work

    def _rebuild(self, work: _Work, compact: CompactBlock) -> None:
        given = self._materials()
        self._compute(work, given, Rebuild(compact, given))

    def _materials(self) -> Materials:
        return Materials(
            self._mempool.view(),
            self.extra_txs.all(),
            self._chain.recent.newest(CONFIRMED_BLOCKS),
            self._chain.params,
            self._serve.salt(),
        )

    def _compute(self, work: _Work, given: Materials, run: Callable[[], Rebuilt | PartialBlock | Unfit]) -> None:
        self._jobs.start(run, partial(self._on_computed, work, given))

    def _on_form(self, work: _Work, reply: PeerReply, now: float) -> None:
        """The answer to a GetCompact."""
        if work not in self._works:
            return
        if isinstance(reply, CompactBlock):
            if reply.header.hash != work.entry.hash:
                self._connections.punish(work.peer, f"sent another block than {to_hex(work.entry.hash)}", now)
                return
            self._rebuild(work, reply)
            return
        self._give_up(work, now)

    def _on_computed(self, work: _Work, given: Materials, outcome: Rebuilt | PartialBlock | Unfit, now: float) -> None:
        """Take the outcome of a job."""
        if work not in self._works:
            return  # the block is here, or its peer gone
        if isinstance(outcome, Rebuilt):
            self._take(work, outcome, now)
            return
        if isinstance(outcome, PartialBlock) and len(outcome.missing) <= WHOLE_SHARE * len(outcome.txs):
            link = self._connections.link(work.peer)
            if link is not None:
                then = partial(self._on_txs, work, outcome, given)
                request = GetBlockTxs(work.entry.hash, outcome.missing)
                self._requests.send(link, request, now, REQUEST_S, then)
                return
        self._give_up(work, now)

    def _on_txs(self, work: _Work, partly: PartialBlock, given: Materials, reply: PeerReply, now: float) -> None:
        """The answer to a GetBlockTxs."""
        if work not in self._works:
            return
        if isinstance(reply, BlockTxs):
            if len(reply.txs) != len(partly.missing):
                self._connections.punish(work.peer, "sent other transactions of a block than it was asked for", now)
                return
            self._compute(work, given, Fill(partly, reply.txs, given))
            return
        self._give_up(work, now, isinstance(reply, Failed))

    def _take(self, work: _Work, rebuilt: Rebuilt, now: float) -> None:
        """The block is here: store it, and let it be passed on."""
        entry = work.entry
        self._drop(lambda other: other.entry is entry)
        if entry.has_body or entry.invalid:
            return  # it has come in another way
        try:
            self._blocks.process_block(work.peer, rebuilt.body, now)
        except Rejected:
            return  # its header stood: the peer may have passed it on in good faith
        self._download.rebuilt(work.peer, entry, rebuilt.body.block.size)
        self._serve.put(rebuilt.body.block, rebuilt.form)
        # Before it is connected, if its parent is.
        if entry.parent is self._chain.tip:
            self._announce.pass_on(entry, now)

    def _give_up(self, work: _Work, now: float, is_slow: bool = False) -> None:
        self._works.remove(work)
        self._fetch_whole([work.peer] if is_slow else [], now)

    def _fetch_whole(self, slow: Sequence[PeerId], now: float) -> None:
        """Have blocks fetched in another way, and not first from those that are slow."""
        for peer in slow:
            self._download.rest(peer, now)
        self._download.pump(now)

    def _drop(self, is_over: Callable[[_Work], bool]) -> None:
        self._works = [work for work in self._works if not is_over(work)]

    def tick(self, now: float) -> None:
        """Let others deliver what takes too long, and forget what came in another way."""
        self._drop(lambda work: work.entry.has_body or work.entry.invalid or now >= work.ends)
        late = [work for work in self._works if now >= work.hold_until and not work.is_late]
        for work in late:
            work.is_late = True
        if late:
            self._fetch_whole([work.peer for work in late], now)

    def left(self, peer: PeerId) -> None:
        """A peer is gone."""
        self._drop(lambda work: work.peer == peer)
