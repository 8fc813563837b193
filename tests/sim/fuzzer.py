"""A peer that keeps to the formats and to nothing else: well-formed messages in any order, about
blocks that exist, never existed or are invalid, and answers that are late, wrong or repeated."""

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from chain.block import Block, make_block
from chain.blocktemplate import build_block
from chain.errors import Invalid
from chain.hashes import BlockHash, Txid
from chain.params import REGTEST
from chain.tx import Tx
from node.interface.effects import Answer, Dial, Effect, Park, Publish, Send, Step
from node.interface.endpoint import Endpoint, Link, PeerId
from node.interface.messages import (
    BLOCKS_ONLY,
    PROTOCOL_VERSION,
    SERVES_BLOCKS,
    VISITOR,
    Addresses,
    Announce,
    AnnounceAddress,
    Blocks,
    BlockTxs,
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
    Neighbour,
    News,
    Nodes,
    Ok,
    Poll,
    Prefer,
    Reason,
    Refusal,
    Txs,
    Want,
    Welcome,
)
from node.p2p.block_sync.compact_block import shorten
from node.p2p.connections.identity import HandshakeSide, NodeIdentity, handshake_digest, peer_id
from node.p2p.wire.codec import decode_reply, decode_request, encode, route_name
from node.p2p.wire.short_txid import names_at
from tests.chainlab import Lab, lock, solved
from tests.node.p2p.wire.replies import may_answer
from tests.sim.world import ENGINE, PORT, START, SimNode, World

DEADLINE_S = 5.0
TOPIC = "a late answer"
MESSAGES_A_TICK = 6


class Pool:
    """What there is to talk about."""

    def __init__(self, rng: random.Random, lab: Lab) -> None:
        self.rng = rng
        self.lab = lab
        self.blocks: list[Block] = list(lab.blocks)
        self.secret: list[Block] = []
        """Valid, or not; nobody has them but who was sent them."""
        self.txs: list[Tx] = []

    def block(self) -> Block:
        """An old one, a new one, or one of its own."""
        rng = self.rng
        if self.secret and rng.random() < 0.5:
            return rng.choice(self.secret[-12:])
        return rng.choice(self.blocks[-8:] if rng.random() < 0.7 else self.blocks)

    def hash(self) -> BlockHash:
        rng = self.rng
        return BlockHash(rng.randbytes(32)) if rng.random() < 0.2 else self.block().hash

    def tx(self) -> Tx:
        rng = self.rng
        return rng.choice(self.txs) if self.txs and rng.random() < 0.7 else rng.choice(self.block().txs)

    def endpoint(self) -> Endpoint:
        rng = self.rng
        host = rng.choice(["10.0.0.1", "127.0.0.1", "10.0.0.3", "0.0.0.0", "203.0.113.9", "::1", "2001:db8::7"])
        if rng.random() < 0.5:
            host = f"10.{rng.randrange(1, 250)}.{rng.randrange(250)}.{rng.randrange(1, 250)}"
        return Endpoint(host, rng.choice([PORT, 1, 65_535, rng.randrange(1, 65_536)]))


class Fuzzer:
    """Stands in the place of a Node: the world calls it as it calls one."""

    def __init__(self, world: World, sim: SimNode, pool: Pool, targets: list[SimNode], *, sly: bool) -> None:
        """One that is `sly` avoids what gets a peer dropped."""
        self.world, self.sim, self.pool, self.rng, self.targets = world, sim, pool, world.rng, targets
        self.said: Counter[str] = Counter()
        """What it sent and answered, by kind."""
        self.refused: Counter[str] = Counter()
        self.last_request = 0
        self.then: dict[int, Callable[[Any], list[Effect]]] = {}
        self.late: dict[int, Any] = {}
        self.is_quiet = False
        self.sly = sly
        self.numbers = 0
        self.hosts = 0
        self.salts: dict[Endpoint, bytes] = {}
        self.reborn()

    def reborn(self) -> None:
        """Another node, at another address."""
        rng = self.rng
        self.identity = NodeIdentity(rng.randbytes(32), ENGINE, rng)
        self.instance = rng.randbytes(8)
        self.links: dict[Endpoint, Link] = {}
        self.hosts += 1
        endpoint = Endpoint(f"10.{100 + self.sim.index}.{self.hosts // 250}.{self.hosts % 250 + 1}", PORT)
        self.world.move(self.sim, endpoint)

    def peer_of(self, token: bytes) -> PeerId | None:
        return PeerId(token[:16] + bytes(4))

    def start(self, now: float) -> Step[None]:
        return Step(None)

    def tick(self, now: float) -> Step[None]:
        effects: list[Effect] = [Publish(TOPIC)] if self.late else []
        if self.is_quiet:
            return Step(None, tuple(effects))
        rng = self.rng
        if rng.random() < 0.002:
            self.reborn()
        if rng.random() < 0.003:
            self.instance = rng.randbytes(8)
            self.links.clear()
        for target in self.targets:
            if target.core is not None and rng.random() < (0.02 if target.endpoint in self.links else 0.3):
                effects.append(self.greet(target.endpoint))
        for _ in range(rng.randrange(MESSAGES_A_TICK)):
            if self.links:
                message = self.request()
                if is_well_formed(message):
                    effects.append(self.send(rng.choice(list(self.links.values())), message))
        return Step(None, tuple(effects))

    def greet(self, hello: Any, host: str = "", now: float = 0.0) -> Any:
        """Greet an endpoint, or answer a greeting."""
        if isinstance(hello, Endpoint):
            challenge = self.rng.randbytes(32)
            self.last_request += 1
            self.then[self.last_request] = lambda reply: self.welcomed(hello, challenge, reply)
            return Dial(hello, Hello(self.facts(), challenge), self.last_request, self.world.now + DEADLINE_S)
        if self.is_quiet or (self.rng.random() < 0.1 and not self.sly):
            return Step(Refusal(self.rng.choice(list(Reason))))
        facts, challenge = self.facts(visits=False), self.rng.randbytes(32)
        ids, challenges = (peer_id(hello.facts.public_key), self.identity.id), (hello.challenge, challenge)
        digest = handshake_digest(facts.network_id, HandshakeSide.ANSWERER, ids, challenges)
        return Step(Welcome(facts, challenge, self.rng.randbytes(16), self.identity.prove(digest)))

    def welcomed(self, endpoint: Endpoint, challenge: bytes, reply: Any) -> list[Effect]:
        if not isinstance(reply, Welcome):
            if isinstance(reply, Refusal):
                self.refused[reply.reason.name] += 1
                if reply.reason is Reason.DISCOURAGED:
                    self.reborn()
            return []
        them = peer_id(reply.facts.public_key)
        self.salts[endpoint] = reply.facts.instance
        ids, challenges = (self.identity.id, them), (challenge, reply.challenge)
        digest = handshake_digest(reply.facts.network_id, HandshakeSide.DIALLER, ids, challenges)
        link = Link(them, endpoint, reply.token)

        def confirmed(answer: Any) -> list[Effect]:
            if isinstance(answer, Ok):
                self.links[endpoint] = link
            return []

        return [self.send(link, Confirm(reply.token, self.identity.prove(digest)), confirmed)]

    def handle(self, peer: PeerId | None, message: Any, now: float) -> Step[Any]:
        if isinstance(message, Answer):
            then = self.then.pop(message.request_id, None)
            return Step(None, tuple(then(message.message) if then else ()))
        key = id(message)
        if key in self.late and now < self.late[key]:
            return Step(Park(TOPIC, self.late[key] + 1.0))
        if key not in self.late and self.rng.random() < 0.1 and not self.is_quiet:
            self.late[key] = now + self.rng.random() * 40
            return Step(Park(TOPIC, self.late[key] + 1.0))
        self.late.pop(key, None)
        if self.is_quiet or isinstance(message, Confirm):
            return Step(Ok() if isinstance(message, Confirm) else Refusal(Reason.NO_SESSION))
        reply = self.reply(message)
        if may_answer(message, reply) and not is_well_formed(reply, message):
            reply = Refusal(Reason.NOT_SERVED)
        if not may_answer(message, reply):
            self.said["a wrong kind of answer"] += 1
        self.said["answer " + type(reply).__name__] += 1
        return Step(reply)

    def send(self, link: Link, message: Any, then: Callable[[Any], list[Effect]] | None = None) -> Effect:
        self.last_request += 1
        self.said[type(message).__name__] += 1

        def answered(reply: Any) -> list[Effect]:
            if isinstance(reply, Refusal):
                self.refused[reply.reason.name] += 1
                if reply.reason is Reason.NO_SESSION:
                    self.links.pop(link.endpoint, None)
            return []

        self.then[self.last_request] = then or answered
        return Send(
            link, message, self.last_request, self.world.now + (30 if isinstance(message, Poll) else DEADLINE_S)
        )

    def facts(self, visits: bool = True) -> Facts:
        rng, block = self.rng, self.pool.block()
        services = rng.choice([SERVES_BLOCKS, SERVES_BLOCKS, SERVES_BLOCKS, 0, 2, 4, 8, 12, 31])
        if visits and rng.random() < 0.2:
            services |= rng.choice([VISITOR, BLOCKS_ONLY])
        listen = rng.choice([Endpoint("", PORT), None, Endpoint("", 1)])
        return Facts(
            PROTOCOL_VERSION,
            self.identity.public_key,
            REGTEST.network_id,
            self.instance,
            listen,
            services,
            "fuzz",
            rng.choice([0, len(self.pool.blocks), 2**31]),
            rng.choice([0, 2**200, 1000]),
            block.hash,
            rng.choice([0, int(START), 1]),
        )

    def request(self) -> Any:
        rng, pool = self.rng, self.pool
        if rng.random() < 0.15:
            return self.honest_block()
        self.numbers += rng.choice([0, 1, 1, 5])
        some = rng.randrange(1, 9)
        makers: list[Callable[[], Any]] = [
            lambda: GetHeaders(tuple(pool.hash() for _ in range(some)), pool.hash()),
            lambda: GetBlocks(tuple(pool.hash() for _ in range(some))),
            lambda: Announce(self.headers()),
            lambda: Inv(self.names(some)),
            lambda: Txs(tuple(pool.tx() for _ in range(some))),
            lambda: GetTxs(self.names(some), tuple(Txid(pool.tx().txid) for _ in range(some))),
            GetAddresses,
            lambda: Poll(
                rng.choice([self.numbers, 1, 0, 2**32 - 1, rng.randrange(2**16)]), rng.randrange(self.numbers + 1)
            ),
            lambda: Blocks(tuple(pool.block().raw if rng.random() < 0.9 else b"" for _ in range(rng.randrange(1, 4)))),
            lambda: FindNode(rng.randbytes(20)),
            lambda: AnnounceAddress(tuple(pool.endpoint() for _ in range(some))),
            Bye,
            lambda: self.compact(pool.block()),
            lambda: self.compact(pool.block()),
            lambda: GetCompact(pool.hash()),
            lambda: GetBlockTxs(pool.hash(), tuple(sorted({rng.randrange(20) for _ in range(some)}))),
            lambda: Prefer(rng.random() < 0.7),
        ]
        return rng.choice(makers)()

    def honest_block(self) -> Any:
        """Something about a block of its own: new, valid or not."""
        block = self.own()
        return self.rng.choice([Announce((block.header,)), self.compact(block), Blocks((block.raw,))])

    def own(self) -> Block:
        rng, pool = self.rng, self.pool
        if rng.random() < 0.5 and pool.secret:
            return rng.choice(pool.secret[-6:])
        target = rng.choice([node for node in self.targets if node.core is not None])
        tip = target.tip if rng.random() < 0.8 else target.tip.parent or target.tip
        extra = rng.getrandbits(32)
        block = build_block(tip, [], rng.choice([0, 0, 1]), lock(), int(self.world.now), REGTEST, extra)
        block = make_block(solved(block.header), block.txs)
        pool.secret.append(block)
        del pool.secret[:-64]
        return block

    def compact(self, block: Block) -> CompactBlock:
        rng = self.rng
        form = shorten(block, rng.randbytes(8))
        assert form is not None
        ids = list(form.short_ids)
        if rng.random() < 0.3:
            ids += [rng.randbytes(6) for _ in range(rng.randrange(4))]
            rng.shuffle(ids)
        coinbase = form.coinbase if rng.random() < 0.8 else self.pool.tx()
        return CompactBlock(form.header, form.salt, coinbase, tuple(ids))

    def headers(self) -> tuple[Any, ...]:
        blocks, rng = self.pool.blocks, self.rng
        if rng.random() < 0.5:
            return tuple(self.pool.block().header for _ in range(rng.randrange(4)))
        start = rng.randrange(len(blocks))
        return tuple(block.header for block in blocks[start : start + rng.randrange(8)])

    def names(self, count: int) -> tuple[bytes, ...]:
        rng = self.rng
        salt = rng.choice([*self.salts.values(), self.instance])
        known = names_at(salt, [self.pool.tx().wtxid for _ in range(count)])
        return tuple(name if rng.random() < 0.8 else rng.randbytes(8) for name in known)

    def reply(self, request: Any) -> Any:
        rng, pool = self.rng, self.pool
        if rng.random() < 0.02 and not self.sly:
            return Refusal(rng.choice(list(Reason)))
        if rng.random() < 0.005 and not self.sly:
            return rng.choice([Ok(), Want(()), Headers(()), Txs(()), Nodes(())])
        by_hash = {block.hash: block for block in [*pool.blocks, *pool.secret]}

        def wanted(block_hash: BlockHash) -> Block | None:
            return by_hash.get(block_hash) if self.sly or rng.random() < 0.9 else pool.block()

        match request:
            case GetHeaders():
                return Headers(self.headers() * rng.choice([1, 1, 1, 2]))
            case GetBlocks(hashes):
                found = [wanted(name) for name in hashes[: rng.randrange(1, len(hashes) + 1)]]
                return Blocks(tuple(block.raw if block and rng.random() < 0.95 else b"" for block in found))
            case Announce() | Blocks() | CompactBlock() | Prefer() | Bye() | AnnounceAddress():
                return Ok()
            case Inv(names):
                return Want(tuple(n if rng.random() < 0.8 else rng.randbytes(8) for n in names)[:100])
            case Txs():
                return Want(self.names(rng.randrange(5)))
            case GetTxs():
                return Txs(tuple(pool.tx() for _ in range(rng.randrange(5))))
            case GetAddresses():
                return Addresses(tuple(pool.endpoint() for _ in range(rng.randrange(200))))
            case Poll():
                hashes = tuple(pool.hash() for _ in range(rng.randrange(4)))
                return News(self.headers(), tuple(pool.tx().wtxid for _ in range(rng.randrange(4))), hashes)
            case FindNode():
                ids = [rng.randbytes(20) for _ in range(rng.randrange(17))]
                return Nodes(tuple(Neighbour(PeerId(i), pool.endpoint()) for i in ids))
            case GetCompact(name):
                block = wanted(name)
                return self.compact(block) if block else Ok()
            case GetBlockTxs(name, positions):
                block = wanted(name)
                txs = [block.txs[p] if block and p < len(block.txs) else pool.tx() for p in positions]
                return BlockTxs(tuple(txs[: len(txs) - (rng.random() < 0.1)])) if rng.random() < 0.9 else Ok()
        raise AssertionError(request)


def is_well_formed(message: Any, asked: Any = None) -> bool:
    """True if nobody can object to the format; of the answer to `asked`, or of a request."""
    name = route_name(asked or message)
    try:
        (decode_reply if asked else decode_request)(name, encode(message))
    except Invalid:
        return False
    return True
