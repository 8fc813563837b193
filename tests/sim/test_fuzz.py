"""Nodes among peers that say anything at any time, as long as it is well-formed.

The long form: FUZZ_SEEDS=1000-1100 FUZZ_ROUNDS=200 python -m pytest tests/sim/test_fuzz.py
"""

import os
import random

import pytest

from chain.blocktree import BlockTree
from chain.errors import Rejected
from node.chainstate.chainstate import Chainstate
from node.core.node import Node
from node.mempool.mempool import Mempool
from node.p2p.connections.identity import peer_id
from node.p2p.scoring.service_flags import Role
from tests.chainlab import Lab, funded, pay
from tests.sim.fuzzer import Fuzzer, Pool
from tests.sim.sizes import sizes
from tests.sim.world import ENGINE, Faults, SimNode, World

SEEDS = os.environ.get("FUZZ_SEEDS", "1-2")
ROUNDS = int(os.environ.get("FUZZ_ROUNDS", "10"))
STRANGERS = 3
GROWS = (
    "addrman.",
    "_first_heard",
    "_confirmed",
    "_tried._members",
    "_taken",
    "_delivered",
    "_left",
    "_resting",
    "_table.",
)
"""What holds many by design: the address book, and rings whose limits their own tests hold."""
MANY = 100
"""Nothing else that is kept about a few peers comes to more."""


def seeds() -> range:
    """Which runs."""
    first, _, last = SEEDS.partition("-")
    return range(int(first), int(last or first) + 1)


def honest_nodes(world: World, lab: Lab) -> list[SimNode]:
    """Four that can be dialled, one of them pruned, and one behind a wall; all have the chain."""
    honest: list[SimNode] = []
    for number in range(5):
        others = world.rng.sample(honest, min(len(honest), 2))
        role = Role.PRUNED if number == 3 else Role.FULL
        honest.append(world.add(others, role=role, listens=number != 4, walled=number == 4))
    for block in lab.blocks:
        world.give(honest[0], block)
    world.until(lambda: world.agree(honest), 60)
    return honest


def too_much(node: SimNode) -> dict[str, int]:
    """What a node keeps about peers, where it is more than it should come to here."""
    found = sizes(node.node._peers, (Chainstate, Mempool, Node, BlockTree, random.Random))
    return {name: held for name, held in found.items() if held > MANY and not any(part in name for part in GROWS)}


def live(world: World, honest: list[SimNode], pool: Pool, lab: Lab) -> None:
    """What happens among honest nodes: blocks, payments, power cuts."""
    up, down = [n for n in honest if n.core], [n for n in honest if n.core is None]
    deed, node = world.rng.random(), world.rng.choice(up)
    if deed < 0.35:
        pool.blocks.append(world.mine(node))
    elif deed < 0.6:
        tx = pay(lab.take())
        pool.txs.append(tx)
        try:
            world.submit(node, tx)
        except Rejected:
            pass  # its coin has gone another way: blocks of strangers are valid too
    elif deed < 0.66 and len(down) < 2:
        world.kill(node)
    elif deed < 0.8 and down:
        world.start(world.rng.choice(down))


@pytest.mark.parametrize("seed", seeds())
def test_nothing_that_peers_say_breaks_a_node(seed: int) -> None:
    """No exception, no honest node blamed, nothing that grows; and when the strangers fall silent, one tip."""
    world, lab = World(seed, faults=Faults(latency_s=(0.005, 0.3), loss=0.02)), funded()
    honest = honest_nodes(world, lab)
    pool, fuzzers = Pool(world.rng, lab), list[Fuzzer]()

    def make(sim: SimNode) -> Fuzzer:
        fuzzers.append(Fuzzer(world, sim, pool, honest, sly=bool(fuzzers)))
        return fuzzers[-1]

    for _ in range(STRANGERS):
        world.add_stranger(make)
    for number in range(ROUNDS):
        world.run(world.rng.random() * 4)
        live(world, honest, pool, lab)
        if number % 4 == 3:
            assert not any(too_much(node) for node in honest if node.core)
    for fuzzer in fuzzers:
        assert fuzzer.said.total() > ROUNDS
        fuzzer.is_quiet = True
    for node in honest:
        if node.core is None:
            world.start(node)
    world.faults = Faults(latency_s=(0.005, 0.3))
    world.run(60)
    world.mine(max(honest, key=lambda node: node.tip.height))
    world.until(lambda: world.agree(honest), 90)
    ours = {peer_id(ENGINE.public_key(node.secret)) for node in honest}
    why = [reason for node in honest for peer, reason in node.closed if peer in ours]
    assert not [reason for reason in why if "broke the rules" in reason or "score" in reason]
