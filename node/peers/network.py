"""All that goes on with peers, put together: sessions, blocks, transactions, addresses.

Requests of peers and the answers to ours come in here; what they mean for the chain and the pool
is the host's part.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from chain.hashes import BlockHash, Txid, Wtxid
from chain.params import Params
from chain.tree import fork_point
from chain.tx import Tx
from node.chainstate import Chainstate, Examined
from node.mempool import Mempool
from node.peers.addresses import AddressBook
from node.peers.bodies import pack
from node.peers.handshake import Identity
from node.peers.messages import (
    PROTOCOL_VERSION,
    SERVES_BLOCKS,
    Addresses,
    Announce,
    Confirm,
    Facts,
    GetAddresses,
    GetBlocks,
    GetHeaders,
    GetTxs,
    Hello,
    Inv,
    Ok,
    Reason,
    Refusal,
    Txs,
)
from node.peers.relay import Relay, pace_for
from node.peers.requests import Requests
from node.peers.sessions import Peer, Sessions
from node.peers.sync import Sync
from node.ports import Answer, Effect, Endpoint, Failed, Link, PeerId

ADDRESSES_S = 20.0
"""Deadline of a request for addresses."""


class Host(Protocol):
    """What the network hands over to the node."""

    def take_block(self, peer: PeerId, body: Examined, now: float) -> Sequence[Effect]:
        """A body that was asked for. Raises Rejected."""
        ...

    def take_txs(self, peer: PeerId, txs: Sequence[Tx], now: float) -> Sequence[Effect]:
        """Transactions that were asked for."""
        ...

    def raw_block(self, block_hash: BlockHash) -> bytes | None:
        """A stored block."""
        ...


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """One peer, as operators see it."""

    number: int
    """Counts up from 1 in the order of arrival."""
    id: PeerId
    endpoint: Endpoint | None
    """Where it listens; None if nowhere."""
    host: str
    """The address it was seen at."""
    outbound: bool
    """We greeted first."""
    static: bool
    """The operator wants it kept."""
    agent: str
    version: int
    services: int
    since: float
    """Unix time of the handshake."""
    heard: float
    """When anything last came from it."""
    round_trip_s: float | None
    starting_height: int
    """Of its tip at the handshake."""
    synced_headers: int
    """Height of the best header it is known to have; -1 if none."""
    synced_blocks: int
    """Height of the last block that both have; -1 if not known."""
    in_flight: tuple[int, ...]
    """Heights of the blocks being fetched from it."""


class Network:
    """All peers of one node."""

    def __init__(
        self,
        host: Host,
        chain: Chainstate,
        mempool: Mempool,
        identity: Identity,
        listen: Endpoint | None,
        agent: str,
        params: Params,
        rng: random.Random,
    ) -> None:
        """`listen` is where we say that we can be dialled: an empty host means the address that
        the other side sees."""
        self._host = host
        self._chain = chain
        self._identity = identity
        self._listen = listen
        self._agent = agent
        self._params = params
        self._instance = rng.randbytes(8)
        self._requests = Requests()
        self._book = AddressBook(rng, params.allow_local)
        self._sessions = Sessions(identity, self._facts, self._requests, self._book, self, rng, params.allow_local)
        self._sync = Sync(chain, self._requests, self._link, host.take_block, self.punish)
        self._relay = Relay(
            mempool,
            self._requests,
            self._link,
            lambda: self._sync.behind,
            host.take_txs,
            rng,
            pace_for(params.allow_local),
        )
        self.version = 0
        """Changes when peers come and go."""

    # --- requests of peers --------------------------------------------------------------------

    def peer_of(self, token: bytes) -> PeerId | None:
        """Whose session this token is, if it is one. Needs no lock."""
        return self._sessions.peer_of(token)

    def greet(self, hello: Hello, host: str, now: float) -> Any:
        """Answer a greeting that came from the address `host`."""
        return self._sessions.on_hello(hello, host, now)

    def handle(self, peer: PeerId | None, request: Any, now: float) -> tuple[Any, list[Effect]]:
        """Answer a request. Without a session there is nothing but Confirm and GetBlocks."""
        if isinstance(request, Confirm):
            reply, effects = self._sessions.on_confirm(request, now)
            if isinstance(reply, Ok) and (met := self.peer_of(request.token)):
                self._join(met, now)
            return reply, effects
        if isinstance(request, GetBlocks):
            return pack(request, self._host.raw_block), []
        if peer is None or self._sessions.get(peer) is None:
            return Refusal(Reason.NO_SESSION), []
        self._sessions.on_request(peer, now)
        return self._of_peer(peer, request, now)

    def _of_peer(self, peer: PeerId, request: Any, now: float) -> tuple[Any, list[Effect]]:
        match request:
            case GetHeaders():
                return self._sync.serve(request), []
            case Announce():
                return Ok(), self._sync.on_announce(peer, request, now)
            case Inv():
                return self._relay.on_inv(peer, request, now), []
            case Txs():
                return self._relay.on_txs(peer, request, now)
            case GetTxs():
                return self._relay.serve(request), []
            case GetAddresses():
                return Addresses(self._book.sample(self._own_endpoints(peer))), []
        raise AssertionError(f"no such request: {request!r}")

    def _own_endpoints(self, peer: PeerId) -> tuple[Endpoint, ...]:
        """Nobody needs to be told of itself."""
        found = self._sessions.get(peer)
        return (found.endpoint,) if found and found.endpoint else ()

    # --- answers to ours -----------------------------------------------------------------------

    def on_answer(self, answer: Answer, now: float) -> list[Effect]:
        """What one of our requests brought."""
        pending = self._requests.take(answer.request_id)
        if pending is None:
            return []
        effects: list[Effect] = []
        if pending.peer is not None and not isinstance(pending.request, Confirm):
            effects += self._sessions.on_reply(pending.peer, answer.message, now - pending.sent, now)
        return effects + pending.then(answer.message, now)

    # --- sessions' events ------------------------------------------------------------------------

    def linked(self, peer: PeerId, now: float) -> list[Effect]:
        """We can send to this peer now."""
        found, link = self._sessions.get(peer), self._link(peer)
        assert found is not None
        assert link is not None
        self.version += 1
        self._relay.linked(peer, found.outbound, now)
        effects = self._sync.linked(peer, found.facts.tip, now)
        return [*effects, self._requests.send(link, GetAddresses(), now, ADDRESSES_S, self._on_addresses)]

    def left(self, peer: PeerId, now: float) -> list[Effect]:
        """This peer is gone, and all requests to it."""
        self.version += 1
        return self._relay.left(peer, now) + self._sync.left(peer, now)

    def _join(self, peer: PeerId, now: float) -> None:
        found = self._sessions.get(peer)
        assert found is not None
        self.version += 1
        self._relay.joined(peer, found.outbound, now)

    def _on_addresses(self, reply: Any, now: float) -> list[Effect]:
        if isinstance(reply, Addresses):
            self._book.add(reply.endpoints)
        return []

    # --- what the node has to say ------------------------------------------------------------------

    def start(self, peers: Iterable[Endpoint], now: float) -> list[Effect]:
        """Greet those to be kept."""
        return [effect for endpoint in peers for effect in self._sessions.keep(endpoint, now)[1]]

    def tick(self, now: float) -> list[Effect]:
        """Everything that time brings."""
        lost = [Answer(number, Failed("no answer")) for number in self._requests.overdue(now)]
        effects = [effect for answer in lost for effect in self.on_answer(answer, now)]
        return effects + self._sessions.tick(now) + self._sync.tick(now) + self._relay.tick(now)

    def on_tip(self, confirmed: Iterable[Wtxid], extends: bool, now: float) -> list[Effect]:
        """The tip has changed: `confirmed` is in its new blocks."""
        self._relay.on_tip(confirmed, extends)
        return self._sync.on_tip(now)

    def on_accepted(self, tx: Tx) -> None:
        """A transaction is in the mempool."""
        self._relay.accepted(tx)

    def on_rejected(self, wtxid: Wtxid) -> None:
        """A peer's transaction was refused."""
        self._relay.rejected(wtxid)

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

    def peers(self) -> tuple[PeerInfo, ...]:
        """All of them, in order of arrival."""
        return tuple(self._describe(peer) for peer in self._sessions.peers())

    def _describe(self, peer: Peer) -> PeerInfo:
        best, tip, tree = self._sync.best_of(peer.id), self._chain.tip, self._chain.tree
        common = fork_point(best, tip) if best else None
        flying = (h for h, owner in self._sync.download.in_flight().items() if owner == peer.id)
        return PeerInfo(
            peer.number,
            peer.id,
            peer.endpoint,
            peer.host,
            peer.outbound,
            self._sessions.is_static(peer),
            peer.facts.agent,
            peer.facts.version,
            peer.facts.services,
            peer.since,
            peer.heard,
            peer.round_trip_s,
            peer.facts.height,
            best.height if best else -1,
            common.height if common else -1,
            tuple(entry.height for block_hash in flying if (entry := tree.get(block_hash))),
        )

    # --- ourselves --------------------------------------------------------------------------------------

    def _link(self, peer: PeerId) -> Link | None:
        return self._sessions.link(peer)

    def _facts(self) -> Facts:
        tip = self._chain.tip
        return Facts(
            PROTOCOL_VERSION,
            self._identity.public_key,
            self._params.network_id,
            self._instance,
            self._listen,
            SERVES_BLOCKS,
            self._agent,
            tip.height,
            tip.chainwork,
            tip.hash,
        )
