"""A new node among peers of which most stall, one lies, one is slow and one is as it should be."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from chain.block import Block
from chain.hashes import to_hex
from node.interface.messages import Blocks, GetBlocks
from tests.functional.conftest import StartCluster
from tests.functional.scripted import ScriptedPeer, empty_chain
from tests.ports import STRIDE, free_ports

COUNT = 2_000
SLOW_S = 0.5
"""How long the slow one takes for each request."""
EXTRA_S = 5.0
"""What the others may cost, beside twice the time of the good one alone."""


class Stalling(ScriptedPeer):
    """Tells of all blocks, and never answers when it is asked for one."""

    def give(self, request: GetBlocks) -> Any:
        self.over.wait()


class Lying(ScriptedPeer):
    """Sends bytes that are no blocks."""

    def give(self, request: GetBlocks) -> Any:
        return Blocks(tuple(b"no block" for _ in request.hashes))


class Slow(ScriptedPeer):
    """Takes its time."""

    def give(self, request: GetBlocks) -> Any:
        self.over.wait(SLOW_S)
        return super().give(request)


SWARM = (Stalling, Stalling, Stalling, Lying, Stalling, Stalling, Stalling, Slow, ScriptedPeer)
Start = Callable[[Sequence[type[ScriptedPeer]]], list[ScriptedPeer]]


@pytest.fixture(scope="module")
def blocks() -> list[Block]:
    return empty_chain(COUNT)


@pytest.fixture
def start(blocks: list[Block]) -> Iterator[Start]:
    """Starts peers of these kinds."""
    peers: list[ScriptedPeer] = []

    def start(kinds: Sequence[type[ScriptedPeer]]) -> list[ScriptedPeer]:
        ports = [base + n for base in (free_ports(STRIDE), free_ports(STRIDE)) for n in range(STRIDE)]
        made = [kind(len(peers) + n, ports[n], blocks) for n, kind in enumerate(kinds)]
        peers.extend(made)
        return made

    yield start
    for peer in peers:
        peer.close()


def sync_s(cluster: Any, index: int, tip: str) -> float:
    """Seconds from the start of a node's process to its standing on `tip`."""
    began = time.monotonic()
    cluster.start(index)
    cluster.wait_for(lambda: cluster.rpc(index, "getbestblockhash") == tip, "the chain", 120)
    return time.monotonic() - began


def test_one_good_peer_among_nine_is_enough(start_cluster: StartCluster, start: Start, blocks: list[Block]) -> None:
    tip = to_hex(blocks[-1].hash)
    [good], swarm = start([ScriptedPeer]), start(SWARM)
    cluster = start_cluster(0)
    cluster.add("--peer", str(good.endpoint))
    cluster.add(*(part for peer in swarm for part in ("--peer", str(peer.endpoint))))
    alone_s, among_s = sync_s(cluster, 0, tip), sync_s(cluster, 1, tip)
    print(f"alone {alone_s:.2f} s, among nine {among_s:.2f} s")
    assert among_s <= 2 * alone_s + EXTRA_S
    assert all(peer.block_requests for peer in swarm if isinstance(peer, Stalling | Lying))

    log = cluster.nodes[1].log.read_text()
    offences = [line for line in log.splitlines() if "broke the rules" in line]
    [liar] = [peer for peer in swarm if isinstance(peer, Lying)]
    assert len(offences) == 1
    assert liar.identity.id.hex() in offences[0]
    assert "bad block" in offences[0]
    # Nobody else was sent away, for whatever reason.
    assert sum("dropped" in line for line in log.splitlines()) == 1
    cluster.stop(1)
