"""Messages between peers: each goes to the part that it belongs to (net_processing in Bitcoin Core).

A request comes in through `handle`, the answer to one of ours through `on_answer`, the outcome of a job through
`on_computed`. What peers are is `connections`' part, what they bring `block_sync`'s and `tx_announce`'s.
"""

import logging
import random
from collections.abc import Iterable
from functools import partial

from chain.blocktree import is_on
from chain.hashes import BlockHash, Wtxid
from chain.params import Params
from node.chainstate.chainstate import Chainstate
from node.interface.disconnect_reason import DisconnectReason
from node.interface.effects import Answer, Computed, Failed, Park
from node.interface.endpoint import Endpoint, PeerId
from node.interface.messages import (
    PROTOCOL_VERSION,
    Announce,
    Blocks,
    Bye,
    CompactBlock,
    Confirm,
    Facts,
    FindNode,
    GetAddresses,
    GetBlocks,
    GetBlockTxs,
    GetCompact,
    GetHeaders,
    GetTxs,
    Headers,
    Inv,
    News,
    Ok,
    Poll,
    Prefer,
    Reason,
    Refusal,
    Reply,
    Request,
    Txs,
    Want,
)
from node.interface.outbox import Outbox
from node.mempool.mempool import Mempool
from node.p2p.addrman.addrman import AddrMan
from node.p2p.block_sync.block_sync import BlockSync
from node.p2p.block_sync.context import BlockSyncContext
from node.p2p.block_sync.pending_jobs import PendingJobs
from node.p2p.config import PeerManagerConfig
from node.p2p.connections.connection_manager import ConnectionManager
from node.p2p.connections.identity import NodeIdentity
from node.p2p.connections.peer_services import PeerServices
from node.p2p.connections.pending_requests import PendingRequests
from node.p2p.discovery.config import Silent
from node.p2p.discovery.context import PeerDiscoveryContext
from node.p2p.discovery.probes import ProbedBy
from node.p2p.longpoll.client import LongpollClient
from node.p2p.longpoll.pushed_blocks import PushedBlocks
from node.p2p.longpoll.server import LongpollServer
from node.p2p.peer_info import PeerInfo, describe_peer
from node.p2p.scoring.peer_scoring import PeerScoring
from node.p2p.scoring.time_offsets import clock_warning
from node.p2p.tx_relay.context import TakeTxs, TxRelayContext
from node.p2p.tx_relay.tx_announce import TxAnnounce, pace_for
from node.p2p.wire.sizes import size_of

log = logging.getLogger("groat.peers")


class PeerManager:
    """All peers of one node."""

    def __init__(
        self,
        outbox: Outbox,
        params: Params,
        chain: Chainstate,
        mempool: Mempool,
        identity: NodeIdentity,
        rng: random.Random,
        config: PeerManagerConfig,
        take_txs: TakeTxs,
    ) -> None:
        self._params = params
        self._chain = chain
        self._identity = identity
        self._instance = rng.randbytes(8)
        self._config = config
        self._requests, self._jobs = PendingRequests(outbox), PendingJobs(outbox)
        self.addrman = AddrMan(rng, params.allow_local, chain.time.wall)
        """The address book."""
        self.scoring = PeerScoring(params.allow_local, config.role, self._peer_of, config.bulk_bytes_s)
        """What each peer did, and what it gets for it."""
        self.connections = ConnectionManager(
            outbox, identity, self._facts, self._requests, self.addrman, self, rng, self.scoring
        )
        """Who is connected."""
        if config.discovery.only_introduces:
            self.connections.outbound.seeks = False
        self._services = PeerServices(self.connections, chain, config.role)
        context = BlockSyncContext(chain, self._requests, self._jobs, self.connections, self._services, self.scoring)
        secret = identity.unguessable("presync", 32)
        self.block_sync = BlockSync(context, mempool, rng, secret=secret, minimum_work=config.minimum_work)
        """Headers and blocks."""
        is_paused = self.block_sync.is_behind
        txs = TxRelayContext(mempool, self._requests, self.connections, self.scoring, is_paused, take_txs)
        self.tx_announce = TxAnnounce(txs, rng, pace_for(params.allow_local), salt=self._instance)
        """Unconfirmed transactions that peers are told of."""
        self.tx_request = self.tx_announce.tx_request
        """Unconfirmed transactions that peers are asked for."""
        self._pushed = PushedBlocks(context, self.block_sync.download, self.block_sync.blocks)
        self._longpoll_client = LongpollClient(
            self._requests, self.connections, chain, self._on_news, config.listen is not None
        )
        self._longpoll_server = LongpollServer(
            outbox, self.connections, self.block_sync.announce, self.tx_announce, self._pushed
        )
        self._discovery_context = PeerDiscoveryContext(
            outbox, config.discovery, identity.id, self.connections, self._requests, self.addrman, rng
        )
        self._discovery = self._discovery_context.discovery
        self._visitors = ProbedBy()
        self._warned = False
        """The operator has been told that the clock is wrong."""
        self.version = 0
        """Changes when peers come and go."""

    def handle(self, peer: PeerId | None, request: Request, now: float) -> Reply | Park:
        """Answer a request. Without a session there is nothing but Confirm and GetBlocks."""
        if isinstance(request, Confirm):
            reply = self.connections.on_confirm(request, now)
            if isinstance(reply, Ok) and (met := self.connections.peer_of(request.token)):
                self._join(met, now)
            return reply
        if isinstance(request, GetBlocks):
            return self._serve_blocks(peer, request)
        if peer is None or self.connections.get(peer) is None:
            return Refusal(Reason.NO_SESSION)
        self.connections.on_request(peer, now)
        self.scoring.received(peer, request)
        served = self._of_peer(peer, request, now)
        if not isinstance(served, Park):
            self.scoring.sent(peer, served)
        return served

    def on_answer(self, answer: Answer, now: float) -> None:
        """Take the answer to one of our requests."""
        pending = self._requests.take(answer.request_id)
        if pending is None:
            return
        if pending.peer is not None and not isinstance(pending.request, Confirm):
            self.scoring.answered(pending.peer, pending.request, answer.message, now)
            round_trip_s = None if isinstance(pending.request, Poll) else now - pending.sent
            self.connections.on_reply(pending.peer, answer.message, round_trip_s, now)
        pending.then(answer.message, now)

    def on_computed(self, computed: Computed, now: float) -> None:
        """Take the outcome of a Compute."""
        self._jobs.take(computed.job)(computed.outcome, now)

    def malformed(self, token: bytes, fault: str, now: float) -> None:
        """Punish a session in whose name undecodable bytes came: that is no accident."""
        peer = self.connections.peer_of(token)
        if peer:
            self.connections.punish(peer, f"sent a malformed message: {fault}", now)

    def _of_visitor(self, peer: PeerId, request: Request, now: float) -> Reply | Park:
        match request:
            case FindNode() | GetAddresses() if (reply := self._discovery.serve(peer, request, now)) is not None:
                return reply
            case Bye():
                self.connections.drop(peer, DisconnectReason.GOODBYE, now)
                return Ok()
        return Refusal(Reason.NO_SESSION)

    def _of_peer(self, peer: PeerId, request: Request, now: float) -> Reply | Park:
        if peer in self._visitors:
            return self._of_visitor(peer, request, now)
        discovery = Silent() if self._services.is_for_blocks_only(peer) else self._discovery
        if (reply := discovery.serve(peer, request, now)) is not None:
            return reply
        match request:
            case Bye():
                return Ok()
            case GetHeaders():
                return self._serve_headers(peer, request)
            case Announce():
                self.block_sync.headers.on_announce(peer, request, now)
                return Ok()
            case CompactBlock():
                self.block_sync.on_pushed(peer, request, now)
                return Ok()
            case GetCompact() | GetBlockTxs() | Prefer():
                return self._serve_compact(peer, request)
            case Inv() | Txs() | GetTxs():
                return self._of_tx_relay(peer, request, now)
            case Poll():
                return self._longpoll_server.on_poll(peer, request, now)
            case Blocks():
                self._pushed.on_blocks(peer, request, now)
                return Ok()
        raise AssertionError(f"no such request: {request!r}")

    def _of_tx_relay(self, peer: PeerId, request: Inv | Txs | GetTxs, now: float) -> Reply | Park:
        if isinstance(request, GetTxs):
            return self.tx_announce.serve(peer, request)
        if not self._services.relays_with(peer):
            return Want(())
        if isinstance(request, Inv):
            return self.tx_announce.on_inv(peer, request, now)
        return self.tx_announce.on_txs(peer, request, now)

    def _serve_blocks(self, peer: PeerId | None, request: GetBlocks) -> Blocks | Refusal:
        chain = self._chain
        given = self.scoring.service.blocks(peer, request, chain.tree, chain.tip, chain.raw_block)
        if peer is not None and self.connections.get(peer) and isinstance(given, Blocks):
            pairs = zip(request.hashes, given.raws, strict=False)
            self.block_sync.known.sent_blocks(peer, [block_hash for block_hash, raw in pairs if raw])
        return given

    def _serve_compact(self, peer: PeerId, request: GetCompact | GetBlockTxs | Prefer) -> Reply:
        serve = self.block_sync.serve
        if isinstance(request, Prefer):
            serve.prefer(peer, request.pushed)
            return Ok()
        reply = serve.serve(request) if isinstance(request, GetCompact) else serve.serve_txs(request)
        if not isinstance(reply, Ok):
            self.block_sync.known.sent_blocks(peer, [request.hash])
        return reply

    def _serve_headers(self, peer: PeerId, request: GetHeaders) -> Headers | Refusal:
        found, known = self.block_sync.headers.serve(request), self.block_sync.known
        known.asked_from(peer, request.locator)
        refusal = self.scoring.service.headers(peer, len(found.headers), size_of(found))
        if refusal is None and found.headers:
            known.sent_headers(peer, found.headers[-1].hash)
        return refusal or found

    def _on_news(self, peer: PeerId, news: News, now: float) -> None:
        """Take the news of a peer that cannot reach us."""
        headers = self.block_sync.headers
        if news.headers:
            headers.on_announce(peer, Announce(news.headers), now)
        if news.wtxids and self.connections.get(peer) and self._services.relays_with(peer):
            self.tx_announce.on_news(peer, news.wtxids, now)

    def linked(self, peer: PeerId, now: float) -> None:
        """Have all parts begin with a peer that we can send to."""
        found = self.connections[peer]
        assert found.link is not None
        self.version += 1
        self._visitors.went(peer)
        if not self._config.discovery.only_introduces:
            if self._services.relays_with(peer):
                self.tx_announce.linked(peer, found.outbound, now)
            self._longpoll_client.linked(peer, now)
            self._longpoll_server.linked(peer)
            self.block_sync.headers.linked(peer, found.facts.tip, now)
        if not found.blocks_only:
            self._discovery.proved(peer, found.link.endpoint, now)
            self._discovery.linked(peer, found.link.endpoint, now)

    def left(self, peer: PeerId, now: float) -> None:
        """Have all parts forget a peer that is gone."""
        self.version += 1
        self._visitors.went(peer)
        self._longpoll_client.left(peer)
        self._longpoll_server.left(peer)
        self.tx_announce.left(peer, now)
        self.block_sync.left(peer, now)
        self._discovery.left(peer, now)

    def _join(self, peer: PeerId, now: float) -> None:
        """A peer, or a visitor, has opened a session."""
        found = self.connections[peer]
        if found.is_visitor:
            crowd = self._visitors.came(peer, now)
            for gone in crowd:
                self.connections.drop(gone, DisconnectReason.CROWDED, now)
            return
        self._visitors.went(peer)
        self.version += 1
        if self._services.relays_with(peer):
            self.tx_announce.joined(peer, found.outbound, now)

    def start(self, peers: Iterable[Endpoint], now: float) -> None:
        """Greet those to be kept."""
        for endpoint in peers:
            self.connections.keep(endpoint, now)

    def tick(self, now: float) -> None:
        """Everything that time brings."""
        lost = [Answer(number, Failed("no answer")) for number in self._requests.overdue(now)]
        for answer in lost:
            self.on_answer(answer, now)
        self.scoring.tick(self._is_connected, now)
        self._watch_clock()
        for visitor in self._visitors.overdue(now):
            self.connections.drop(visitor, DisconnectReason.VISIT_TOO_LONG, now)
        self._discovery.tick(now)
        self.connections.tick(now)
        self.block_sync.tick(now)
        self.tx_announce.tick(now)
        self._longpoll_client.tick(now)
        self._longpoll_server.tick(now)

    def on_tip(self, confirmed: Iterable[Wtxid], extends: bool, now: float) -> None:
        """The tip has changed: `confirmed` is in its new blocks; `extends` is false if old ones left."""
        self.tx_request.on_tip(confirmed, extends)
        self.block_sync.on_tip(now)
        self._longpoll_server.on_tip()

    def _peer_of(self, token: bytes) -> PeerId | None:
        """Ask the connections, which are made after those who ask."""
        return self.connections.peer_of(token)

    def _is_connected(self, block_hash: BlockHash) -> bool | None:
        """The verdict on a block: True on the best chain, False if it is invalid, None for neither yet."""
        entry = self._chain.tree.get(block_hash)
        if entry is None or entry.invalid:
            return False
        return True if is_on(entry, self._chain.tip) else None

    def warnings(self) -> tuple[str, ...]:
        """Warnings for the operator."""
        ahead = [p.clock_ahead_s for p in self.connections.peers() if p.outbound and p.clock_ahead_s is not None]
        warning = clock_warning(ahead)
        return (warning,) if warning else ()

    def _watch_clock(self) -> None:
        """Log a warning once, until the state behind it has ended."""
        is_wrong = bool(warned := self.warnings())
        if is_wrong and not self._warned:
            log.warning("%s", warned[0])
        self._warned = is_wrong

    def peers(self, now: float) -> tuple[PeerInfo, ...]:
        """All of them, in order of arrival."""
        found_by = self._discovery_context.found_by
        describe = partial(describe_peer, self.connections, self.block_sync, self._chain, self.scoring, found_by, now)
        return tuple(describe(peer) for peer in self.connections.peers() if not peer.is_visitor)

    def _facts(self, now: float) -> Facts:
        """This node's facts, for a handshake now."""
        tip, config = self._services.top, self._config
        return Facts(
            PROTOCOL_VERSION,
            self._identity.public_key,
            self._params.network_id,
            self._instance,
            config.listen,
            config.local_services,
            config.agent,
            tip.height,
            tip.chainwork,
            tip.hash,
            max(0, int(self._chain.time.wall.at(now))),
        )
