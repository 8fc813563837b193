"""Free riders, newcomers and roles among real nodes: who gets old blocks, and who asks whom for what."""

import logging
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from chain.block import Block
from chain.hashes import sha256
from chain.params import REGTEST
from chain.tx import Tx
from node.interface.endpoint import PeerId
from node.interface.messages import (
    BLOCKS_MAX,
    PROTOCOL_VERSION,
    SERVES_BLOCKS,
    Blocks,
    Confirm,
    Facts,
    GetBlocks,
    Hello,
    Inv,
    Ok,
    Reason,
    Refusal,
    Txs,
    Want,
    Welcome,
)
from node.p2p.connections.identity import HandshakeSide, NodeIdentity, handshake_digest, peer_id
from node.p2p.discovery.config import DiscoveryConfig
from node.p2p.peer_info import PeerInfo
from node.p2p.scoring.choking import OPTIMISTIC_REST_S, REGULAR_SLOTS, ROUND_S
from node.p2p.scoring.peer_score import PeerEvent
from node.p2p.scoring.service_flags import RECENT_BLOCKS, Role
from node.p2p.wire.short_txid import names_at
from tests.chainlab import Lab, funded, pay
from tests.sim.world import ENGINE, SimNode, World

BUDGET_BYTES_S = 4_000
ASK_EVERY_S = 0.5
TAKERS = 8


@pytest.fixture(scope="module")
def long() -> Lab:
    """A chain of which the lower blocks are bulk, and coins to spend."""
    lab = funded()
    lab.mine_empty(RECENT_BLOCKS)
    return lab


class Client:
    """A peer by hand: asks for old blocks again and again, and perhaps gives something for them."""

    def __init__(self, world: World, server: SimNode, number: int, gifts: Iterator[Tx] | None = None) -> None:
        self.world, self.server, self.gifts = world, server, gifts
        rng = random.Random(number)
        self.identity = NodeIdentity(sha256(b"client %d" % number), ENGINE, rng)
        self.history: list[tuple[float, bool]] = []
        """When it asked, and whether it was served."""
        self.salt = b""
        """What transactions are named with at the server."""
        self.token = self._greet(f"10.9.0.{number}")

    def _call(self, fn: Callable[[Any], Any]) -> Any:
        return self.world.call(self.server, lambda core, now: fn(core))

    def _greet(self, host: str) -> bytes:
        tip, now = self.server.tip, self.world.now
        about = (SERVES_BLOCKS, "client", tip.height, tip.chainwork, tip.hash)
        ours = Facts(PROTOCOL_VERSION, self.identity.public_key, REGTEST.network_id, bytes(8), None, *about)
        welcome = self._call(lambda core: core.greet(Hello(ours, bytes(32)), host, now))
        assert isinstance(welcome, Welcome)
        ids = self.identity.id, peer_id(welcome.facts.public_key)
        digest = handshake_digest(REGTEST.network_id, HandshakeSide.DIALLER, ids, (bytes(32), welcome.challenge))
        assert self.ask(Confirm(welcome.token, self.identity.prove(digest))) == Ok()
        self.salt = welcome.facts.instance
        return welcome.token

    def ask(self, request: Any) -> Any:
        """What the server answers."""
        return self._call(lambda core: core.handle(self.identity.id, request, self.world.now))

    def take(self) -> None:
        """Ask for some old blocks."""
        lowest = [self.server.tip.ancestor(height).hash for height in range(1, BLOCKS_MAX + 1)]
        reply = self.ask(GetBlocks(tuple(lowest)))
        assert isinstance(reply, Blocks) or reply == Refusal(Reason.CHOKED)
        self.history.append((self.world.now, isinstance(reply, Blocks)))

    def give(self) -> None:
        """Bring a payment that nobody else has."""
        if self.gifts is not None:
            tx = next(self.gifts)
            names = names_at(self.salt, [tx.wtxid])
            assert self.ask(Inv(names)) == Want(names)
            assert self.ask(Txs((tx,))) == Want(())

    def share_since(self, time: float) -> float:
        """Of its requests since then that were served."""
        served = [got for at, got in self.history if at >= time]
        return sum(served) / len(served)

    def first(self, got: bool) -> float:
        """When it was first served, or refused."""
        return next(at for at, was in self.history if was == got)


def haggle(world: World, clients: Iterable[Client], seconds: float) -> None:
    """All ask; who has something gives now and then."""
    for step in range(int(seconds / ASK_EVERY_S)):
        for client in clients:
            client.take()
            if step % 20 == 0:
                client.give()
        world.run(ASK_EVERY_S)


def stocked(world: World, lab: Lab, **settings: Any) -> SimNode:
    """A node that has all blocks."""
    node = world.add(**settings)
    give(world, node, lab.blocks)
    return node


def give(world: World, node: SimNode, blocks: Iterable[Block]) -> None:
    for block in blocks:
        assert world.give(node, block) is None


def peers(world: World, node: SimNode) -> dict[bytes, PeerInfo]:
    return {peer.id: peer for peer in world.call(node, lambda core, now: core.peers(now))}


def test_free_riders_are_choked_within_a_minute_and_a_newcomer_is_not_starved(long: Lab) -> None:
    world, lab = World(1), long.copy()
    server = stocked(world, lab, bulk_bytes_s=BUDGET_BYTES_S)
    payments = (pay(lab.take()) for _ in range(180))
    givers = [Client(world, server, number, payments) for number in range(2)]
    takers = [Client(world, server, 10 + number) for number in range(TAKERS)]
    start = world.now
    for giver in givers:
        giver.give()
    haggle(world, givers + takers, 120)
    choked = sorted(taker.first(False) - start for taker in takers)
    print(f"free riders choked after {choked[0]:.1f} to {choked[-1]:.1f} s,")
    assert choked[-1] < 60
    settled = start + 2 * ROUND_S
    assert min(giver.share_since(settled) for giver in givers) == 1.0
    assert max(taker.share_since(settled) for taker in takers) < 0.3

    known = peers(world, server)
    assert not any(known[giver.identity.id].choked for giver in givers)
    assert sum(known[taker.identity.id].choked for taker in takers) >= TAKERS - 1
    about = known[givers[0].identity.id]
    assert (about.first_txs, about.role) == (13, Role.FULL)
    assert about.why[0][0] == PeerEvent.TX_FIRST.value.words
    assert about.score == pytest.approx(sum(points for _, points in about.why), abs=0.05)
    assert about.bytes_sent > 100 * about.bytes_received > 0

    newcomer, comes = Client(world, server, 99), world.now
    haggle(world, [*givers, *takers, newcomer], 120)
    print(f"a newcomer served after {newcomer.first(True) - comes:.1f} s")
    assert newcomer.first(True) - comes <= 2 * ROUND_S + ASK_EVERY_S
    newcomer.gifts, earns = payments, world.now
    newcomer.give()
    haggle(world, [*givers, *takers, newcomer], 60)
    assert newcomer.share_since(earns + ROUND_S + 1) == 1.0


def test_a_lone_free_rider_is_choked_too(long: Lab) -> None:
    """Beside one that gives, though no other wants the slot."""
    world, lab = World(2), long.copy()
    server = stocked(world, lab, bulk_bytes_s=BUDGET_BYTES_S // 2)
    giver, taker = Client(world, server, 1, (pay(lab.take()) for _ in range(50))), Client(world, server, 2)
    giver.give()
    haggle(world, [giver, taker], 180)
    assert taker.first(False) - taker.history[0][0] < 60
    assert giver.share_since(0) == 1.0
    assert taker.share_since(0) < 1.5 * ROUND_S / (ROUND_S + OPTIMISTIC_REST_S)


def test_a_real_newcomer_syncs_while_others_only_take(long: Lab) -> None:
    """Headers and deep blocks from one node, under contention; new blocks come as always."""
    world, lab = World(3), long.copy()
    server = stocked(world, lab, bulk_bytes_s=BUDGET_BYTES_S)
    payments = (pay(lab.take()) for _ in range(100))
    givers = [Client(world, server, number, payments) for number in range(REGULAR_SLOTS)]
    takers = [Client(world, server, 10 + number) for number in range(4)]
    for giver in givers:
        giver.give()
    haggle(world, givers + takers, 30)
    late, old = world.add([server]), world.add([server])
    start = world.now
    while not world.agree([server, late, old]):
        haggle(world, givers + takers, 5)
        assert world.now - start < 300
    assert not late.closed
    assert not server.closed
    block = world.mine(server)
    took_s = world.until(lambda: late.tip.hash == block.hash, 5)
    assert took_s < 1


def asked_for_blocks(world: World, monkeypatch: pytest.MonkeyPatch) -> list[tuple[SimNode, int]]:
    """Whom anybody asks for which height, from now on."""
    asked: list[tuple[SimNode, int]] = []
    serve = world._serve

    def watch(target: SimNode, sender: SimNode, request: Any, *more: Any) -> None:
        if isinstance(request, GetBlocks):
            tree = target.node.view().tree
            asked.extend((target, entry.height) for block_hash in request.hashes if (entry := tree.get(block_hash)))
        serve(target, sender, request, *more)

    monkeypatch.setattr(world, "_serve", watch)
    return asked


@pytest.mark.parametrize("role", [Role.PRUNED, Role.RELAY])
def test_old_blocks_are_asked_only_of_who_has_them(long: Lab, role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(4)
    full, partial = stocked(world, long), stocked(world, long, role=role)
    asked = asked_for_blocks(world, monkeypatch)
    late = world.add([full, partial])
    world.until(lambda: world.agree([full, late]), 120)
    assert role.depth is not None
    tip = long.height
    assert {height for node, height in asked if node is full} >= set(range(1, tip - role.depth + 1))
    assert all(tip - height < role.depth for node, height in asked if node is partial)
    if role is Role.PRUNED:
        assert any(node is partial for node, _ in asked)
    assert not late.closed
    told = peers(world, late)
    assert sorted(peer.role.value for peer in told.values()) == sorted(["full", role.value])


def test_with_only_a_pruned_node_nothing_is_asked_in_vain(long: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(5)
    pruned = stocked(world, long, role=Role.PRUNED)
    asked = asked_for_blocks(world, monkeypatch)
    late = world.add([pruned])
    world.run(30)
    assert late.node.view().best_header.height == long.height
    assert all(long.height - height < RECENT_BLOCKS for _, height in asked)
    assert not late.closed
    full = stocked(world, long)
    world.call(late, lambda core, now: core.add_peer(full.endpoint, now))
    world.until(lambda: late.tip.height == long.height, 60)


def test_a_light_node_takes_and_passes_on_headers_alone(long: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    world, alone = World(6), DiscoveryConfig(frozenset())  # each knows whom it is told of, and no more
    full = stocked(world, long, finding=alone)
    asked = asked_for_blocks(world, monkeypatch)
    light = world.add([full], role=Role.LIGHT, finding=alone)
    behind = world.add([light], role=Role.LIGHT, finding=alone)
    payment = pay(long.copy().take())
    world.submit(full, payment)
    for node in (light, behind):
        world.until(lambda: node.node.view().best_header.hash == full.tip.hash, 30)  # noqa: B023
    block = world.mine(full)
    for node in (light, behind):
        world.until(lambda: node.node.view().best_header.hash == block.hash, 5)  # noqa: B023
    taker = world.add([light], finding=alone)
    world.run(20)
    assert light.tip.height == behind.tip.height == 0
    assert not light.txids
    [teller] = [peer.id for peer in peers(world, light).values() if peer.role is Role.FULL and peer.outbound]
    assert world.call(light, lambda core, now: core.handle(PeerId(teller), Inv((bytes(8),)), now)) == Want(())
    assert not [node for node, _ in asked if node in (light, behind)]
    assert taker.node.view().best_header.hash == block.hash
    assert not any("broke the rules" in why for node in world.nodes for _, why in node.closed)


def test_relays_pass_on_tips_and_payments(long: Lab) -> None:
    """A line of which the middle has no old blocks to give."""
    world, lab = World(7), long.copy()
    one = stocked(world, lab)
    middle = stocked(world, lab, role=Role.RELAY)
    other = stocked(world, lab)
    for end in (one, other):
        world.call(middle, lambda core, now: core.add_peer(end.endpoint, now))  # noqa: B023
    world.run(5)
    payment = pay(lab.take())
    world.submit(one, payment)
    world.until(lambda: world.have([payment.txid]), 10)
    block = world.mine(one)
    world.until(lambda: other.tip.hash == block.hash, 5)


def test_the_operator_is_warned_of_a_wrong_clock_once(caplog: pytest.LogCaptureFixture) -> None:
    world = World(8)
    others = [world.add() for _ in range(3)]
    node = world.add(others)
    world.run(5)
    warnings = lambda: world.call(node, lambda core, now: core.warnings(now))  # noqa: E731
    assert warnings() == ()
    links = [peer for peer in node.node._peers.connections.peers() if peer.outbound]
    assert len(links) == 3
    for peer in links[:2]:
        assert peer.clock_ahead_s == pytest.approx(0, abs=2)
        peer.clock_ahead_s = 5_000.0
    with caplog.at_level(logging.WARNING, "groat.peers"):
        world.run(5)
    told = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert told == list(warnings())
    assert "83 minutes behind its peers'" in warnings()[0]
