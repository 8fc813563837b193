"""How a node came to know of an endpoint, as operators are told."""

import random
from typing import Any

import pytest

from node.interface.endpoint import Endpoint, PeerId
from node.interface.outbox import Outbox
from node.p2p.addrman.addrman import AddrMan
from node.p2p.discovery import context
from node.p2p.discovery.config import DiscoveryConfig
from node.p2p.discovery.context import PeerDiscoveryContext

NOBODY: Any = None
SOURCE, DOOR, ONE, OTHER = (Endpoint("127.0.0.1", port) for port in range(1000, 1004))


@pytest.fixture
def ground() -> PeerDiscoveryContext:
    rng = random.Random(1)
    finding = DiscoveryConfig(bootstrap=(DOOR,))
    return PeerDiscoveryContext(Outbox(), finding, PeerId(bytes(20)), NOBODY, NOBODY, AddrMan(rng, True), rng)


def test_who_was_the_first_to_tell(ground: PeerDiscoveryContext) -> None:
    ground.heard([ONE, DOOR], SOURCE, 1.0)
    ground.heard([ONE, OTHER], SOURCE, 2.0, "kademlia")
    assert [ground.found_by(endpoint) for endpoint in (ONE, OTHER, DOOR)] == ["gossip", "kademlia", "bootstrap"]


def test_what_was_known_before_the_start(ground: PeerDiscoveryContext) -> None:
    ground.heard([ONE], None, 1.0)  # nobody told it
    assert ground.found_by(ONE) == "address book"


def test_memory_is_bounded(ground: PeerDiscoveryContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "FIRST_HEARD_MAX", 10)
    for port in range(2000, 2100):
        ground.heard([Endpoint("127.0.0.1", port)], SOURCE, 1.0)
    told = [port for port in range(2000, 2100) if ground.found_by(Endpoint("127.0.0.1", port)) == "gossip"]
    assert told == list(range(2090, 2100))
