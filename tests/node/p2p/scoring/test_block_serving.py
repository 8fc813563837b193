"""What is served by each role, what counts as bulk, and what peers may be asked for."""

import itertools
from collections.abc import Sequence

import pytest

from chain.block import Block
from chain.hashes import BlockHash
from chain.params import REGTEST
from node.chainstate.chainstate import Chainstate
from node.interface.checked_block import examine
from node.interface.effects import Failed
from node.interface.endpoint import PeerId
from node.interface.messages import (
    MINES,
    RELAYS,
    SERVES_BLOCKS,
    SERVES_HEADERS,
    Blocks,
    GetBlocks,
    Headers,
    Ok,
    Reason,
    Refusal,
    Txs,
)
from node.p2p.scoring.block_serving import BlockServing, Note
from node.p2p.scoring.service_flags import RECENT_BLOCKS, RELAYED_BLOCKS, Role, offers, role_of, should_have
from node.p2p.wire.codec import encode
from node.p2p.wire.sizes import size_of
from node.storage.memory import MemoryDisk
from node.storage.recovery import open_memory
from tests.chainlab import NOW, Lab, funded, pay

PEER, OTHER = PeerId(b"p" * 20), PeerId(b"o" * 20)
HEIGHT = RECENT_BLOCKS + 12


@pytest.fixture(scope="module")
def blocks() -> list[Block]:
    lab = Lab()
    lab.mine_empty(HEIGHT)
    return lab.blocks


class Server:
    """A service on a chain of headers, with all bodies."""

    def __init__(self, blocks: Sequence[Block], role: Role = Role.FULL) -> None:
        store = open_memory(MemoryDisk(), REGTEST.network_id)
        self.chain = Chainstate(REGTEST, store, itertools.count(1).__next__)
        for block in blocks:
            self.tip = self.chain.submit_header(block.header, NOW)
        self.raws = {block.hash: block.raw for block in blocks}
        self.blocks = blocks
        self.service = BlockServing(role)

    def ask(self, *depths: int, peer: PeerId | None = PEER) -> Blocks | Refusal:
        hashes = tuple(self.blocks[-1 - depth].hash for depth in depths)
        return self.service.blocks(peer, GetBlocks(hashes), self.chain.tree, self.tip, self.raws.get)

    def raw(self, depth: int) -> bytes:
        return self.blocks[-1 - depth].raw


@pytest.mark.parametrize(
    ("role", "depth"), [(Role.FULL, HEIGHT), (Role.PRUNED, RECENT_BLOCKS), (Role.RELAY, RELAYED_BLOCKS)]
)
def test_blocks_of_each_role(blocks: list[Block], role: Role, depth: int) -> None:
    server = Server(blocks, role)
    assert server.ask(0, depth - 1) == Blocks((server.raw(0), server.raw(depth - 1)))
    if role is not Role.FULL:
        assert server.ask(depth) == Refusal(Reason.NOT_SERVED)
        assert server.ask(0, depth) == Blocks((server.raw(0), b""))
        entry = server.chain.tree.entries[blocks[-1 - depth].hash]
        assert server.service.block(entry, server.tip, 1) == Refusal(Reason.NOT_SERVED)


def test_a_light_node_serves_no_block(blocks: list[Block]) -> None:
    server = Server(blocks, Role.LIGHT)
    assert server.ask(0) == Refusal(Reason.NOT_SERVED)
    assert server.service.block(server.tip, server.tip, 1) == Refusal(Reason.NOT_SERVED)
    assert server.service.headers(PEER, 2_000, 1) is None
    server.tip = server.chain.tree.genesis  # as its ledger never moves
    assert server.ask(0) == Refusal(Reason.NOT_SERVED)


def test_runs_of_headers_of_each_role() -> None:
    for role in Role:
        service = BlockServing(role)
        assert service.headers(PEER, RECENT_BLOCKS, 1) is None
        long = service.headers(PEER, RECENT_BLOCKS + 1, 1)
        assert long == (Refusal(Reason.NOT_SERVED) if role is Role.RELAY else None)


def test_what_is_not_here_is_empty(blocks: list[Block]) -> None:
    server = Server(blocks)
    request = GetBlocks((BlockHash(b"?" * 32), blocks[-1].hash))
    answer = server.service.blocks(PEER, request, server.chain.tree, server.tip, server.raws.get)
    assert answer == Blocks((b"", blocks[-1].raw))
    unknown = GetBlocks((BlockHash(b"?" * 32),))
    assert server.service.blocks(PEER, unknown, server.chain.tree, server.tip, server.raws.get) == Blocks((b"",))


def test_what_turned_out_invalid_is_not_served(blocks: list[Block]) -> None:
    """Whoever delivers an invalid block is punished, and we may have told of it before we knew."""
    server = Server(blocks)
    server.chain.tree.set_invalid(server.tip, True)
    assert server.ask(0) == Blocks((b"",))
    assert server.ask(0, 1) == Blocks((b"", server.raw(1)))


def test_only_bulk_is_choked(blocks: list[Block]) -> None:
    server = Server(blocks)
    server.service.granted = frozenset({OTHER})
    choked, deep = Refusal(Reason.CHOKED), server.chain.tree.entries[blocks[0].hash]
    for peer in (PEER, None):
        assert server.ask(0, RECENT_BLOCKS - 1, peer=peer) == Blocks((server.raw(0), server.raw(RECENT_BLOCKS - 1)))
        assert server.ask(RECENT_BLOCKS, peer=peer) == choked
        assert server.ask(0, RECENT_BLOCKS, peer=peer) == choked
        assert server.service.headers(peer, RECENT_BLOCKS, 1) is None
        assert server.service.headers(peer, RECENT_BLOCKS + 1, 1) == choked
    assert server.service.block(server.tip, server.tip, 1) is None
    assert server.service.block(deep, server.tip, 1) == choked
    assert server.ask(RECENT_BLOCKS, peer=OTHER) == Blocks((server.raw(RECENT_BLOCKS),))
    assert server.service.headers(OTHER, 2_000, 1) is None


def test_what_was_served_is_noted(blocks: list[Block]) -> None:
    server = Server(blocks)
    recent, deep = server.ask(0), server.ask(HEIGHT - 1)
    server.service.granted = frozenset()
    refused = server.ask(HEIGHT - 1)
    assert server.service.take_notes() == [
        Note(PEER, size_of(recent), False, False),
        Note(PEER, size_of(deep), True, False),
        Note(PEER, size_of(refused), True, True),
    ]
    assert server.service.take_notes() == []


@pytest.mark.parametrize("role", Role)
def test_services_tell_the_role(role: Role) -> None:
    for mines in (False, True):
        services = role.services(mines=mines)
        assert role_of(services) is role
        assert bool(services & MINES) == mines
        assert offers(services, RELAYS) == (role is not Role.LIGHT)
        assert offers(services, SERVES_HEADERS) == (role is not Role.RELAY)
        assert offers(services, SERVES_BLOCKS) == (role is Role.FULL)
    assert Role.FULL.services() == SERVES_BLOCKS


def test_what_each_role_is_asked_for(blocks: list[Block]) -> None:
    """A little less than it serves: it may have moved on since it told of its tip."""
    server = Server(blocks)
    best = server.tip
    asked = {
        role: [d for d in range(HEIGHT) if should_have(role.services(), best, best.ancestor(best.height - d))]
        for role in Role
    }
    assert asked[Role.FULL] == list(range(HEIGHT))
    assert asked[Role.PRUNED] == list(range(RECENT_BLOCKS - 2))
    assert asked[Role.RELAY] == list(range(RELAYED_BLOCKS - 2))
    assert asked[Role.LIGHT] == []
    assert not should_have(Role.PRUNED.services(), None, best)


def test_sizes_are_about_those_on_the_wire(blocks: list[Block]) -> None:
    lab = funded()
    txs = Txs(tuple(pay(lab.take()) for _ in range(10)))
    several = Blocks(tuple(block.raw for block in blocks[:8]))
    for message in (txs, several, Headers(tuple(b.header for b in blocks)), Ok(), Refusal(Reason.CHOKED)):
        assert size_of(message) == pytest.approx(len(encode(message)), rel=0.05)
    bodies = tuple(examine(block, REGTEST) for block in blocks[:8])
    assert size_of((*bodies, None)) == pytest.approx(size_of(several), rel=0.01)
    assert size_of(Failed("no")) == size_of(None) == 0
