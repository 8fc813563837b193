"""Finding others, node by node and byte by byte: gossip, Kademlia, a tracker, and who abuses them."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from chain.hashes import sha256
from chain.params import REGTEST
from node.interface.endpoint import Endpoint, Link, PeerId
from node.interface.messages import (
    PUSHED_MAX,
    Addresses,
    Announce,
    AnnounceAddress,
    Bye,
    FindNode,
    GetAddresses,
    GetHeaders,
    Inv,
    Neighbour,
    Nodes,
    Ok,
    Reason,
    Refusal,
    Request,
)
from node.p2p.discovery.base import NoDiscovery
from node.p2p.discovery.config import DiscoveryConfig, DiscoveryMethod
from tests.sim.world import SimNode, World

BOTH = frozenset({DiscoveryMethod.GOSSIP, DiscoveryMethod.KADEMLIA})
PUBLIC = replace(REGTEST, allow_local=False)
"""A network on which only public addresses are dialled, at ordinary paces."""


def chain_of(
    world: World, count: int, ways: frozenset[DiscoveryMethod], hosts: Callable[[int], str] | None = None
) -> list[SimNode]:
    """Each node begins with the one before it."""
    nodes: list[SimNode] = []
    for number in range(count):
        begin = tuple(node.endpoint for node in nodes[-1:])
        nodes.append(world.add(finding=DiscoveryConfig(ways, begin), host=hosts(number) if hosts else None))
    return nodes


def peers_of(world: World, node: SimNode) -> set[int]:
    places = {other.endpoint: other.index for other in world.nodes}
    peers = world.call(node, lambda core, now: core.peers(now))
    return {places[peer.endpoint] for peer in peers if peer.endpoint in places}


def is_one(world: World, nodes: Iterable[SimNode]) -> bool:
    """True if these nodes are one network without the others."""
    left = {node.index for node in nodes}
    reached, edge = set[int](), {min(left)}
    while edge:
        reached |= edge
        edge = {other for index in edge for other in peers_of(world, world.nodes[index])} & left - reached
    return reached == left


@pytest.mark.parametrize("ways", [frozenset({DiscoveryMethod.GOSSIP}), frozenset({DiscoveryMethod.KADEMLIA}), BOTH])
def test_a_chain_of_acquaintances_becomes_a_network(ways: frozenset[DiscoveryMethod]) -> None:
    world = World(1)
    nodes = chain_of(world, 25, ways)
    world.until(lambda: all(len(peers_of(world, node)) >= 10 for node in nodes), 20)
    for node in nodes[::4]:
        world.kill(node)
    assert is_one(world, world.up)
    block = world.mine(nodes[1])
    world.until(lambda: all(node.tip.hash == block.hash for node in world.up), 20)
    used = {name for node in nodes for name in node.requests}
    assert ("findnode" in used) == (DiscoveryMethod.KADEMLIA in ways)
    assert bool(used & {"addresses", "newaddress"}) == (DiscoveryMethod.GOSSIP in ways)


@pytest.mark.parametrize("ways", [frozenset({DiscoveryMethod.GOSSIP}), frozenset({DiscoveryMethod.KADEMLIA})])
def test_on_a_public_network_too(ways: frozenset[DiscoveryMethod]) -> None:
    """At ordinary paces, and with the limits on network groups: every node is in one of its own."""
    world = World(2, PUBLIC)
    nodes = chain_of(world, 12, ways, lambda number: f"{20 + number}.1.2.3")
    world.until(lambda: all(len(peers_of(world, node)) >= 5 for node in nodes), 900)
    for node in nodes[::3]:
        world.kill(node)
    assert is_one(world, world.up)


def test_without_either_a_chain_stays_a_chain() -> None:
    world = World(3)
    nodes = chain_of(world, 5, frozenset())
    world.run(60)
    assert [peers_of(world, node) for node in nodes] == [{1}, {0, 2}, {1, 3}, {2, 4}, {3}]


def test_a_tracker_introduces_and_is_needed_no_longer() -> None:
    world = World(4)
    tracker = world.add(finding=DiscoveryConfig(frozenset({DiscoveryMethod.TRACKER})))
    begin = DiscoveryConfig(frozenset({DiscoveryMethod.GOSSIP}), (tracker.endpoint,))
    nodes = [world.add(finding=begin) for _ in range(8)]
    block = world.mine(nodes[0])
    world.until(lambda: all(len(peers_of(world, node) - {tracker.index}) >= 5 for node in nodes), 30)
    world.until(lambda: world.agree(nodes), 10)
    assert nodes[5].tip.hash == block.hash
    assert tracker.tip.height == 0
    assert set(tracker.requests) <= {"hello", "confirm"}  # it asks nobody for anything
    world.run(10)
    assert [why for _, why in tracker.closed].count("it has been introduced") >= len(nodes)
    world.kill(tracker)
    assert is_one(world, nodes)
    again = world.mine(nodes[3])
    world.until(lambda: all(node.tip.hash == again.hash for node in nodes), 10)


def test_a_bootstrap_is_no_peer_for_ever() -> None:
    world = World(5, PUBLIC)
    first, second, third = chain_of(world, 3, BOTH, lambda number: f"{20 + number}.1.2.3")
    world.until(lambda: peers_of(world, second) == {0, 2}, 10)
    assert not any(peer.static for peer in world.call(second, lambda core, now: core.peers(now)))
    world.kill(first)
    world.until(lambda: peers_of(world, second) == {2}, 600)
    before = len(second.dialled)
    world.run(1800)
    assert len(second.dialled) < before + 30
    # But who is alone comes back to it.
    world.kill(third)
    world.start(first)
    world.until(lambda: 0 in peers_of(world, second), 900)


def test_a_bootstrap_that_is_not_there_yet_is_tried_until_it_answers() -> None:
    """Also when others have found us in the meantime: two halves must become one."""
    world = World(6)
    late = world.add()
    world.kill(late)
    early = world.add(finding=DiscoveryConfig(BOTH, (late.endpoint,)))
    other = world.add(finding=DiscoveryConfig(BOTH, (early.endpoint,)))
    world.until(lambda: peers_of(world, early) == {other.index}, 10)
    world.run(30)
    world.start(late)
    world.until(lambda: is_one(world, world.up), 20)


def test_visitors_leave_nothing_behind() -> None:
    """A node that searches far leaves no sessions, and is no peer of whom it has only asked."""
    world = World(7, PUBLIC)
    nodes = chain_of(world, 16, frozenset({DiscoveryMethod.KADEMLIA}), lambda number: f"{20 + number}.1.2.3")
    world.run(60)
    assert sum(node.requests["bye"] for node in nodes) > 20
    for node in nodes:
        known = {peer.endpoint for peer in world.call(node, lambda core, now: core.peers(now))}
        assert None not in known  # a visitor does not say where it listens
        assert node.requests["hello"] < 100


def test_a_visitor_may_ask_for_nodes_and_nothing_else() -> None:
    world = World(10)
    host, guest = world.add(), world.add(finding=DiscoveryConfig(frozenset()))
    network, replies = guest.node._peers, list[Any]()

    def note(reply: Any, now: float) -> None:
        replies.append(reply)

    def ask(link: Link, request: Request) -> Any:
        before = len(replies)
        network._requests.send(link, request, world.now, 5.0, note)
        world.until(lambda: len(replies) > before, 5)
        return replies[-1]

    visit = network.connections.handshake.visit
    visit(host.endpoint, host.node._peers._identity.id, world.now, note)
    world.until(lambda: bool(replies), 5)
    link = replies[0].link
    assert not world.call(host, lambda core, now: core.peers(now))
    for request in (GetHeaders(()), Inv(()), Announce(()), AnnounceAddress(())):
        assert ask(link, request) == Refusal(Reason.NO_SESSION)
    assert ask(link, FindNode(bytes(20))) == Nodes(())
    assert ask(link, GetAddresses()) == Addresses(())
    world.run(5)
    assert not host.dialled
    assert ask(link, Bye()) == Ok()
    assert ask(link, FindNode(bytes(20))) == Refusal(Reason.NO_SESSION)


OURS = "20.1.2.3"
KINDS = (
    [f"127.0.0.{n}" for n in range(1, 40)]
    + [f"10.{n}.0.1" for n in range(25)]
    + [f"192.168.{n}.1" for n in range(25)]
    + [f"172.{16 + n}.0.1" for n in range(16)]
    + [f"169.254.169.{n}" for n in range(240, 255)]
    + [f"100.{64 + n}.0.1" for n in range(10)]
    + [f"{n}.0.0.1" for n in range(224, 240)]
    + ["0.0.0.0", "255.255.255.255", "240.0.0.1", "198.18.0.1", "192.0.2.1", "::", "::1", "::7f00:1"]
    + ["64:ff9b::7f00:1", "64:ff9b:1::1", "fec0::1", "100::1", "2001:db8::1"]
    + [f"fe80::{n:x}" for n in range(1, 11)]
    + [f"fd00::{n:x}" for n in range(1, 11)]
    + [f"ff02::{n:x}" for n in range(1, 11)]
    + [f"2002:7f00:{n:x}::" for n in range(1, 6)]
    + [f"2001:0:4136:e378:8000:63bf:3fff:fdd{n}" for n in range(5)]
)
ON_THE_WIRE = [Endpoint(host, 80) for host in KINDS]
MORE = [Endpoint(f"::ffff:127.0.0.{n}", 80) for n in range(1, 11)] + [Endpoint("8.8.8.8", 0), Endpoint("localhost", 80)]
"""What no message can carry; should it ever."""


class Liar(NoDiscovery):
    """Answers with forged places to everything, and tells them unasked."""

    def __init__(self, node: SimNode) -> None:
        self.node = node
        self.asked = 0

    def serve(self, peer: PeerId, request: Any, now: float) -> Any:
        self.asked += 1
        if isinstance(request, GetAddresses):
            return Addresses(tuple(ON_THE_WIRE))
        if isinstance(request, FindNode):
            start = 16 * self.asked
            some = [ON_THE_WIRE[n % len(ON_THE_WIRE)] for n in range(start, start + 16)]
            return Nodes(tuple(Neighbour(PeerId(sha256(b"%d" % n)[:20]), each) for n, each in enumerate(some)))
        return Ok() if isinstance(request, AnnounceAddress) else None

    def push(self, world: World) -> None:
        """Tell all of it to whom it is linked with, and greet again from another forged place."""
        network = self.node.node._peers
        for peer in network.connections.peers():
            for start in range(0, len(ON_THE_WIRE), PUSHED_MAX):
                message = AnnounceAddress(tuple(ON_THE_WIRE[start : start + PUSHED_MAX]))
                if peer.link:
                    network._requests.send(peer.link, message, world.now, 20.0, lambda reply, now: None)


def test_forged_addresses_lead_to_no_forbidden_connection() -> None:
    assert len(ON_THE_WIRE) + len(MORE) + 1 >= 200
    world = World(8, PUBLIC)
    victim = world.add(host=OURS)
    liar = world.add(host="21.1.2.3", finding=DiscoveryConfig(BOTH, (victim.endpoint,)))
    world.until(lambda: peers_of(world, victim) == {1}, 10)
    tongue = Liar(liar)
    liar.node._peers._discovery = tongue
    for place in ON_THE_WIRE[:: len(ON_THE_WIRE) // 20]:
        liar.node._peers._config = replace(liar.node._peers._config, listen=place)
        world.call(liar, lambda core, now: core.disconnect(victim.node._peers._identity.id, now))
        world.call(liar, lambda core, now: core.add_peer(victim.endpoint, now))
        world.run(20)
        tongue.push(world)
    # Past the decoder too: what it refuses is refused once more where it is used.
    book = victim.node._peers.addrman
    book.add([*ON_THE_WIRE, *MORE, victim.endpoint], liar.endpoint, world.now)
    for place in (*ON_THE_WIRE, *MORE):
        assert not victim.node._peers._discovery.proved(PeerId(bytes(20)), place, world.now)
    world.run(900)
    assert tongue.asked > 20
    assert set(victim.dialled) <= {liar.endpoint, victim.endpoint}
    assert victim.dialled.count(victim.endpoint) <= 2
    told = world.call(victim, lambda core, now: core.peers(now))
    assert {peer.endpoint for peer in told} <= {liar.endpoint, *ON_THE_WIRE}
    assert not set(book.sample(world.now)) & {*ON_THE_WIRE, *MORE}


def test_what_nobody_has_proved_is_told_to_nobody() -> None:
    """Public places where nobody is, told by one: its neighbours try them, and pass nothing on."""
    world = World(9, PUBLIC)
    victim, liar, other = chain_of(world, 3, BOTH, lambda number: f"{20 + number}.1.2.3")
    ghosts = tuple(Endpoint(f"{60 + n}.1.2.3", 18444) for n in range(16))
    world.until(lambda: peers_of(world, liar) == {0, 2}, 10)

    class Inventor(Liar):
        def serve(self, peer: PeerId, request: Any, now: float) -> Any:
            if isinstance(request, GetAddresses):
                return Addresses(ghosts)
            if isinstance(request, FindNode):
                return Nodes(tuple(Neighbour(PeerId(sha256(each.host.encode())[:20]), each) for each in ghosts))
            return Ok() if isinstance(request, AnnounceAddress) else None

    liar.node._peers._discovery = Inventor(liar)
    world.run(600)
    assert set(victim.dialled) & set(ghosts)  # it did look
    for node in (victim, other):
        discovery = node.node._peers._discovery
        found = discovery.serve(liar.node._peers._identity.id, FindNode(bytes(20)), world.now)
        assert not {neighbour.endpoint for neighbour in found.neighbours} & set(ghosts)
        told = discovery.serve(liar.node._peers._identity.id, GetAddresses(), world.now)
        assert not set(told.endpoints) & set(ghosts)
    assert not any(victim.dialled.count(ghost) > 20 for ghost in ghosts)
