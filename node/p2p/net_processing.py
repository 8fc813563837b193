"""The peer network, put together: sessions, blocks, transactions, addresses.

Requests of peers and the answers to ours come in here; what they mean for the chain and the pool
is the host's part.
"""

import logging
import random
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Protocol

from chain.blocktree import BlockNode, is_on
from chain.hashes import BlockHash, Txid, Wtxid
from chain.params import Params
from chain.tx import Tx
from node.chainstate.chainstate import Chainstate
from node.interface.checked_block import CheckedBlock
from node.interface.effects import Answer, Computed, Effect, Failed
from node.interface.endpoint import Endpoint, Link, PeerId
from node.interface.messages import (
    PROTOCOL_VERSION,
    RELAYS,
    SERVES_HEADERS,
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
    Hello,
    Inv,
    News,
    Ok,
    Poll,
    Prefer,
    Reason,
    Refusal,
    Txs,
    Want,
)
from node.mempool.mempool import Mempool
from node.p2p.addrman.addrman import AddrMan
from node.p2p.block_sync.compact_relay import CompactRelay
from node.p2p.block_sync.header_sync import HeaderSync
from node.p2p.connections.connection_manager import ConnectionManager
from node.p2p.connections.identity import NodeIdentity
from node.p2p.connections.pending_requests import PendingRequests
from node.p2p.discovery.config import DiscoveryConfig, Silent
from node.p2p.discovery.context import PeerDiscoveryContext
from node.p2p.discovery.probes import ProbedBy
from node.p2p.longpoll.client import LongpollClient
from node.p2p.longpoll.pushed_blocks import PushedBlocks
from node.p2p.longpoll.server import LongpollServer
from node.p2p.peer_info import PeerInfo, describe_peer
from node.p2p.scoring.choking import BULK_BYTES_S
from node.p2p.scoring.peer_score import PeerEvent
from node.p2p.scoring.peer_scoring import PeerScoring
from node.p2p.scoring.peer_services import PeerServices
from node.p2p.scoring.service_flags import RECENT_BLOCKS, Role, offers, should_have
from node.p2p.scoring.time_offsets import clock_warning
from node.p2p.tx_relay.tx_announce import TxAnnounce, pace_for
from node.p2p.wire.sizes import size_of

log = logging.getLogger("groat.peers")

STEP_S = 2.0
"""A clock that goes back by more than this was set."""


class PeerManagerHost(Protocol):
    """The node as the network sees it: callbacks for what came in."""

    def take_block(self, peer: PeerId, body: CheckedBlock, now: float) -> Sequence[Effect]:
        """A body that was asked for. Raises Rejected."""
        ...

    def take_txs(self, peer: PeerId, txs: Sequence[Tx], now: float) -> Sequence[Effect]:
        """Transactions that were asked for."""
        ...

    def raw_block(self, block_hash: BlockHash) -> bytes | None:
        """A stored block."""
        ...


class PeerManager:
    """All peers of one node."""

    def __init__(
        self,
        host: PeerManagerHost,
        chain: Chainstate,
        mempool: Mempool,
        identity: NodeIdentity,
        listen: Endpoint | None,
        agent: str,
        params: Params,
        rng: random.Random,
        minimum_work: int = 0,
        *,
        role: Role = Role.FULL,
        mines: bool = False,
        bulk_bytes_s: int = BULK_BYTES_S,
        finding: DiscoveryConfig | None = None,
    ) -> None:
        """`listen` is where we say that we can be dialled: an empty host means the address that
        the other side sees. `bulk_bytes_s` of old blocks and headers go out before they are rationed."""
        self._host = host
        self._chain = chain
        self._identity = identity
        self._listen = listen
        self._agent = agent
        self._params = params
        self._instance = rng.randbytes(8)
        self._requests = PendingRequests()
        self.book = AddrMan(rng, params.allow_local)
        """The address book."""
        self._role = role
        finding = finding or DiscoveryConfig()
        self.services = 0 if finding.only_introduces else role.services(mines=mines)
        """The services that we advertise."""
        self.standing = PeerScoring(params.allow_local, role, self.peer_of, bulk_bytes_s)
        self._warned = False
        """The operator has been told that the clock is wrong."""
        self._sessions = ConnectionManager(
            identity,
            self._facts,
            self._requests,
            self.book,
            self,
            rng,
            params.allow_local,
            self.standing,
        )
        ground = PeerDiscoveryContext(
            finding, identity.id, self._sessions, self._requests, self.book, rng, params.allow_local
        )
        self._discovery, self._found_by = ground.discovery, ground.found_by
        self._only_introduces = finding.only_introduces
        if finding.only_introduces:
            self._sessions.seek_nobody()
        self._visitors = ProbedBy()
        terms = PeerServices(role is not Role.LIGHT, self._has_headers, self._has_block, self.standing.note)
        self._sync = HeaderSync(
            chain,
            self._requests,
            self._link,
            self._take_block,
            self.punish,
            terms=terms,
            secret=identity.unguessable("presync", 32),
            minimum_work=minimum_work,
            can_ask=self._sessions.reaches_us,
        )
        self._compact = CompactRelay(
            chain,
            mempool,
            self._requests,
            self._sync,
            self._link,
            self._is_outbound,
            self._take_block,
            self.punish,
            terms,
            rng,
        )
        self._relay = TxAnnounce(
            mempool,
            self._requests,
            self._link,
            lambda: self._sync.behind,
            host.take_txs,
            rng,
            pace_for(params.allow_local),
            lambda peer, now: self.standing.note(peer, PeerEvent.BROKEN_PROMISE, now),
            salt=self._instance,
            salt_of=self._salt_of,
        )
        self._poller = LongpollClient(
            self._requests,
            self._link,
            self._sessions.reaches_us,
            self._on_news,
            host.raw_block,
            listen is not None,
        )
        self._deliveries = PushedBlocks(self._sync, self._take_block, self.punish, params)
        self._polls = LongpollServer(self._sync, self._relay, self._deliveries, self._link, self._told_tip)
        self.catch_up = self._sync.catch_up
        """The state of catching up: blocks of a longer chain come in."""
        self.version = 0
        """Changes when peers come and go."""
        self._ticked = 0.0
        """Time of the last tick."""

    # --- requests of peers --------------------------------------------------------------------

    def peer_of(self, token: bytes) -> PeerId | None:
        """The peer of a session token, if there is one. Needs no lock."""
        return self._sessions.peer_of(token)

    def greet(self, hello: Hello, host: str, now: float) -> Any:
        """Answer a greeting that came from the address `host`."""
        return self._sessions.on_hello(hello, host, now)

    def handle(self, peer: PeerId | None, request: Any, now: float) -> tuple[Any, list[Effect]]:
        """Answer a request. Without a session there is nothing but Confirm and GetBlocks."""
        if isinstance(request, Confirm):
            reply, effects = self._sessions.on_confirm(request, now)
            if isinstance(reply, Ok) and (met := self.peer_of(request.token)):
                effects += self._join(met, now)
            return reply, effects
        if isinstance(request, GetBlocks):
            chain = self._chain
            given = self.standing.service.blocks(peer, request, chain.tree, chain.tip, self._host.raw_block)
            if peer is not None and self._sessions.get(peer) and isinstance(given, Blocks):
                pairs = zip(request.hashes, given.raws, strict=False)
                self._sync.known.sent_blocks(peer, [block_hash for block_hash, raw in pairs if raw])
            return given, []
        if peer is None or self._sessions.get(peer) is None:
            return Refusal(Reason.NO_SESSION), []
        self._sessions.on_request(peer, now)
        self.standing.received(peer, request)
        reply, effects = self._of_peer(peer, request, now)
        self.standing.sent(peer, reply)
        return reply, effects

    def malformed(self, token: bytes, reason: str, now: float) -> list[Effect]:
        """Punish a session in whose name undecodable bytes came: that is no accident."""
        peer = self.peer_of(token)
        return self.punish(peer, f"sent a malformed message: {reason}", now) if peer else []

    def _of_visitor(self, peer: PeerId, request: Any, now: float) -> tuple[Any, list[Effect]]:
        match request:
            case FindNode() | GetAddresses():
                return self._discovery.serve(peer, request, now), []
            case Bye():
                return Ok(), self._sessions.drop(peer, "it said goodbye", now)
        return Refusal(Reason.NO_SESSION), []

    def _of_peer(self, peer: PeerId, request: Any, now: float) -> tuple[Any, list[Effect]]:
        if peer in self._visitors:
            return self._of_visitor(peer, request, now)
        finder = Silent() if self._is_for_blocks_only(peer) else self._discovery
        if (reply := finder.serve(peer, request, now)) is not None:
            return reply, []
        match request:
            case Bye():
                return Ok(), []
            case GetHeaders():
                return self._serve_headers(peer, request), []
            case CompactBlock() | GetCompact() | GetBlockTxs() | Prefer():
                return self._of_compact(peer, request, now)
            case Announce():
                return Ok(), self._sync.on_announce(peer, request, now)
            case Inv() | Txs() if not self._relays_with(peer):
                return Want(()), []
            case Inv():
                return self._relay.on_inv(peer, request, now), []
            case Txs():
                return self._relay.on_txs(peer, request, now)
            case GetTxs():
                return self._relay.serve(peer, request), []
            case Poll() | Blocks():
                return self._of_unreachable(peer, request, now)
        raise AssertionError(f"no such request: {request!r}")

    def _of_compact(
        self, peer: PeerId, request: CompactBlock | GetCompact | GetBlockTxs | Prefer, now: float
    ) -> tuple[Any, list[Effect]]:
        reply, effects = self._compact.handle(peer, request, now)
        if isinstance(request, GetCompact | GetBlockTxs) and not isinstance(reply, Ok):
            self._sync.known.sent_blocks(peer, [request.hash])
        return reply, effects

    def _serve_headers(self, peer: PeerId, request: GetHeaders) -> Headers | Refusal:
        found, known = self._sync.serve(request), self._sync.known
        known.asked_from(peer, request.locator)
        refusal = self.standing.service.headers(peer, len(found.headers), size_of(found))
        if refusal is None and found.headers:
            known.sent_headers(peer, found.headers[-1].hash)
        return refusal or found

    def _of_unreachable(self, peer: PeerId, request: Poll | Blocks, now: float) -> tuple[Any, list[Effect]]:
        """Answer polls and pushes of peers that we cannot dial."""
        if isinstance(request, Poll):
            return self._polls.on_poll(peer, request, now)
        return Ok(), self._deliveries.on_blocks(peer, request, now)

    def _told_tip(self, peer: PeerId) -> BlockHash:
        """A peer's tip, as it said in the handshake."""
        found = self._sessions.get(peer)
        assert found is not None
        return found.facts.tip

    def _on_news(self, peer: PeerId, news: News, now: float) -> list[Effect]:
        """Take the news of a peer that cannot reach us."""
        effects = self._sync.on_announce(peer, Announce(news.headers), now) if news.headers else []
        if news.wtxids and self._sessions.get(peer) and self._relays_with(peer):
            effects += self._relay.on_news(peer, news.wtxids, now)
        return effects

    # --- answers to ours -----------------------------------------------------------------------

    def on_answer(self, answer: Answer, now: float) -> list[Effect]:
        """Take the answer to one of our requests."""
        pending = self._requests.take(answer.request_id)
        if pending is None:
            return []
        effects: list[Effect] = []
        if pending.peer is not None and not isinstance(pending.request, Confirm):
            self.standing.answered(pending.peer, pending.request, answer.message, now)
            round_trip_s = None if isinstance(pending.request, Poll) else now - pending.sent
            effects += self._sessions.on_reply(pending.peer, answer.message, round_trip_s, now)
        return effects + pending.then(answer.message, now)

    # --- sessions' events ------------------------------------------------------------------------

    def linked(self, peer: PeerId, now: float) -> list[Effect]:
        """We can send to this peer now."""
        found, link = self._sessions.get(peer), self._link(peer)
        assert found is not None
        assert link is not None
        self.version += 1
        self._visitors.went(peer)
        found_by: list[Effect] = []
        if not found.blocks_only:
            found_by += self._discovery.proved(peer, link.endpoint, now)
            found_by += self._discovery.linked(peer, link.endpoint, now)
        if self._only_introduces:
            return found_by
        if self._relays_with(peer):
            self._relay.linked(peer, found.outbound, now)
        self._poller.linked(peer, now)
        effects = self._polls.linked(peer) + self._sync.linked(peer, found.facts.tip, now)
        return effects + found_by

    def left(self, peer: PeerId, now: float) -> list[Effect]:
        """This peer is gone, and all requests to it."""
        self.version += 1
        self._visitors.went(peer)
        self._poller.left(peer)
        self._compact.left(peer)
        effects = self._polls.left(peer) + self._relay.left(peer, now) + self._sync.left(peer, now)
        return effects + self._discovery.left(peer, now)

    def _join(self, peer: PeerId, now: float) -> list[Effect]:
        found = self._sessions.get(peer)
        assert found is not None
        if found.is_visitor:
            crowd = self._visitors.came(peer, now)
            return [effect for gone in crowd for effect in self._sessions.drop(gone, "others come to visit", now)]
        self._visitors.went(peer)
        self.version += 1
        if self._relays_with(peer):
            self._relay.joined(peer, found.outbound, now)
        return []

    # --- what peers offer, and are credited with -------------------------------------------------

    def _relays_with(self, peer: PeerId) -> bool:
        """True if both of us take part in relaying transactions."""
        found = self._sessions.get(peer)
        if self._role is Role.LIGHT or found is None or found.blocks_only:
            return False
        return offers(found.facts.services, RELAYS)

    def _is_for_blocks_only(self, peer: PeerId) -> bool:
        """True if neither transactions nor addresses go between us."""
        found = self._sessions.get(peer)
        return found is not None and found.blocks_only

    def _has_headers(self, peer: PeerId) -> bool:
        """True if a peer gives as many headers as we may lack of its chain."""
        found = self._sessions.get(peer)
        if found is None or offers(found.facts.services, SERVES_HEADERS):
            return True
        return found.facts.height - self._chain.tree.best_header.height <= RECENT_BLOCKS

    def _has_block(self, peer: PeerId, entry: BlockNode) -> bool:
        """True if a peer says that it has this block."""
        found = self._sessions.get(peer)
        return found is None or should_have(found.facts.services, self._sync.best_of(peer), entry)

    def _take_block(self, peer: PeerId, body: CheckedBlock, now: float) -> Sequence[Effect]:
        """A block that a peer delivered: credit it, once the block turns out valid. Raises Rejected."""
        entry = self._chain.tree.get(body.block.hash)
        is_first = entry is None or not entry.has_body
        effects = self._host.take_block(peer, body, now)
        if is_first and (entry := self._chain.tree.get(body.block.hash)):
            self._compact.brought(peer, entry)
            self._sync.delivered(entry, now)
            self.standing.took_block(peer, body.block.hash, body.block.size)
        return effects

    def where(self, peer: PeerId) -> str:
        """The location of a peer, for the log."""
        found = self._sessions.get(peer)
        return str(found.endpoint or found.host) if found else "a peer that has left"

    def _salt_of(self, peer: PeerId) -> bytes:
        """The key of transactions' names at a peer."""
        found = self._sessions.get(peer)
        assert found is not None
        return found.facts.instance

    def _is_outbound(self, peer: PeerId) -> bool:
        """True if we chose this peer."""
        found = self._sessions.get(peer)
        return found is not None and found.outbound

    def _is_connected(self, block_hash: BlockHash) -> bool | None:
        """The verdict on a block: True on the best chain, False if it is invalid, None for neither yet."""
        entry = self._chain.tree.get(block_hash)
        if entry is None or entry.invalid:
            return False
        return True if is_on(entry, self._chain.tip) else None

    def credit_tx(self, peer: PeerId, tx: Tx, now: float) -> None:
        """A transaction that a peer brought is in the mempool."""
        self.standing.took_tx(peer, tx.size, now)

    def blame_tx(self, peer: PeerId, now: float) -> None:
        """A peer brought a transaction that no node with our rules relays."""
        self.standing.note(peer, PeerEvent.INVALID_TX, now)

    def warnings(self) -> tuple[str, ...]:
        """Warnings for the operator."""
        ahead = [p.clock_ahead_s for p in self._sessions.peers() if p.outbound and p.clock_ahead_s is not None]
        warning = clock_warning(ahead)
        return (warning,) if warning else ()

    def _watch_for_steps(self, now: float) -> list[Effect]:
        """Where the clock was set back, all that was to be done at a time would wait for that time to come
        again: peers are met anew. What is not of one peer waits for no longer than it ever does."""
        stepped, self._ticked = now < self._ticked - STEP_S, now
        if not stepped:
            return []
        log.warning("the clock was set back: all peers are greeted again")
        met = [peer.id for peer in self._sessions.peers()]
        return [effect for peer in met for effect in self._sessions.drop(peer, "the clock was set back", now)]

    def _watch_clock(self) -> None:
        """Log a warning once, until the state behind it has ended."""
        is_wrong = bool(warned := self.warnings())
        if is_wrong and not self._warned:
            log.warning("%s", warned[0])
        self._warned = is_wrong

    # --- what the node has to say ------------------------------------------------------------------

    def start(self, peers: Iterable[Endpoint], now: float) -> list[Effect]:
        """Greet those to be kept."""
        return [effect for endpoint in peers for effect in self._sessions.keep(endpoint, now)[1]]

    def tick(self, now: float) -> list[Effect]:
        """Everything that time brings."""
        lost = [Answer(number, Failed("no answer")) for number in self._requests.overdue(now)]
        effects = [effect for answer in lost for effect in self.on_answer(answer, now)]
        effects += self._watch_for_steps(now)
        self.standing.tick(self._is_connected, now)
        self._watch_clock()
        for visitor in self._visitors.overdue(now):
            effects += self._sessions.drop(visitor, "its visit took too long", now)
        effects += self._discovery.tick(now)
        effects += self._sessions.tick(now) + self._compact.tick(now) + self._sync.tick(now) + self._relay.tick(now)
        return effects + self._poller.tick(now) + self._polls.tick(now)

    def on_tip(self, confirmed: Iterable[Wtxid], extends: bool, now: float) -> list[Effect]:
        """The tip has changed: `confirmed` is in its new blocks."""
        self._relay.on_tip(confirmed, extends)
        return self._compact.on_tip(now) + self._sync.on_tip(now) + self._polls.on_tip()

    def on_accepted(self, tx: Tx) -> None:
        """A transaction is in the mempool."""
        self._relay.accepted(tx)

    def on_rejected(self, wtxid: Wtxid) -> None:
        """A peer's transaction was refused."""
        self._relay.rejected(wtxid)

    def on_not_kept(self, tx: Tx) -> None:
        """A transaction is not in the mempool, or no longer, and may be in a block all the same."""
        self._compact.keep_spare(tx)

    def on_computed(self, computed: Computed, now: float) -> list[Effect]:
        """Take the outcome of a Compute."""
        if computed.job < 0:
            return self._deliveries.on_computed(computed.job, computed.outcome, now)
        return self._compact.on_computed(computed.job, computed.outcome, now)

    def on_orphaned(self, tx: Tx, missing: Iterable[Txid], peer: PeerId | None, now: float) -> None:
        """A peer's transaction waits for parents."""
        self._relay.orphaned(tx, missing, peer, now)

    def punish(self, peer: PeerId, reason: str, now: float) -> list[Effect]:
        """Drop a peer for a provable offence."""
        return self._sessions.punish(peer, reason, now)

    # --- operators -----------------------------------------------------------------------------------

    def keep(self, endpoint: Endpoint, now: float) -> tuple[bool, list[Effect]]:
        """Stay linked with an endpoint. False if it is kept already."""
        return self._sessions.keep(endpoint, now)

    def release(self, endpoint: Endpoint, now: float) -> tuple[bool, list[Effect]]:
        """Keep an endpoint no longer. False if it was not."""
        return self._sessions.release(endpoint, now)

    def drop(self, peer: PeerId, now: float) -> list[Effect]:
        """Disconnect a peer, for now."""
        return self._sessions.drop(peer, "the operator said so", now)

    def peers(self, now: float) -> tuple[PeerInfo, ...]:
        """All of them, in order of arrival."""
        describe = partial(describe_peer, self._sessions, self._sync, self._chain, self.standing, self._found_by, now)
        return tuple(describe(peer) for peer in self._sessions.peers() if not peer.is_visitor)

    # --- ourselves --------------------------------------------------------------------------------------

    def _link(self, peer: PeerId) -> Link | None:
        return self._sessions.link(peer)

    def _facts(self) -> Facts:
        tip = self._sync.top
        return Facts(
            PROTOCOL_VERSION,
            self._identity.public_key,
            self._params.network_id,
            self._instance,
            self._listen,
            self.services,
            self._agent,
            tip.height,
            tip.chainwork,
            tip.hash,
        )
