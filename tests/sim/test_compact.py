"""Compact blocks among whole nodes, in virtual time: their bytes, losses, and what is not known everywhere."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from chain.block import Block
from chain.tx import Tx, TxOut
from node.core.node import Node
from node.interface.effects import Effect, Send, Step, Verify
from node.interface.messages import CompactBlock
from tests.chainlab import Lab, funded, lock, pay
from tests.sim.world import Faults, SimNode, World

IDEAL_SHARE = 1.8
"""Bytes that may travel, of those that each node has to get once."""


@pytest.fixture
def lab() -> Lab:
    return funded()


def a_net(world: World, count: int, blocks: Sequence[Block], within_s: float = 60) -> list[SimNode]:
    """Nodes that know the chain, and the last of whose blocks came one by one from all of them."""
    nodes: list[SimNode] = []
    for _ in range(count):
        nodes.append(world.add(nodes[-1:]))
    for block in blocks:
        world.give(nodes[0], block)
    world.until(world.agree, within_s)
    world.run(5)
    for node in nodes[:4]:
        world.until(lambda: len({node.tip.height for node in world.up}) == 1, within_s)
        world.mine(node)
        world.until(world.agree, within_s)
        world.run(2)
    return nodes


def everywhere(world: World, txs: Sequence[Tx]) -> None:
    """Payments that all nodes have."""
    for number, tx in enumerate(txs):
        world.submit(world.nodes[number % len(world.nodes)], tx)
    world.until(lambda: world.have([tx.txid for tx in txs]), 60)
    world.run(2)


class Watch:
    """Pushes of compact blocks as they leave, and whether their senders stand on them already."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.early = self.late = 0
        self.delayed = 0
        """Pushes that waited until the next block was being connected."""
        carry, perform = world._carry, world._perform

        def performed(node: SimNode, fn: Callable[[Node], Step[Any]]) -> Any:
            def call(core: Node) -> Step[Any]:
                step = fn(core)
                sends = any(isinstance(e, Send) and isinstance(e.message, CompactBlock) for e in step.effects)
                self.delayed += sends and any(isinstance(e, Verify) for e in step.effects)
                return step

            return perform(node, call)

        def watched(node: SimNode, effect: Effect) -> None:
            if isinstance(effect, Send) and isinstance(effect.message, CompactBlock):
                if node.tip.hash == effect.message.header.hash:
                    self.late += 1
                else:
                    self.early += 1
            carry(node, effect)

        monkeypatch.setattr(world, "_carry", watched)
        monkeypatch.setattr(world, "_perform", performed)


def test_a_block_of_known_payments_travels_ahead_of_its_verdict(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(1)
    nodes = a_net(world, 6, lab.blocks)
    everywhere(world, [pay(lab.take()) for _ in range(40)])
    watch = Watch(world, monkeypatch)
    world.sent.clear()
    block = world.mine(nodes[3])
    assert len(block.txs) == 41
    assert world.until(world.agree, 5) < 1
    assert not any(world.sent[route] for route in ("blocks", "blocktxs"))
    compact = world.sent["compact"] + world.sent["getcompact answers"]
    assert 0 < compact < 0.15 * block.size * len(nodes)
    assert watch.early > 0
    assert not watch.delayed
    assert watch.late > 0, "the miner's own goes out when it is connected"


def test_payments_that_only_the_miner_has_take_one_more_round(lab: Lab) -> None:
    world = World(2)
    nodes = a_net(world, 5, lab.blocks)
    everywhere(world, [pay(lab.take()) for _ in range(20)])
    secret = [pay(lab.take()) for _ in range(5)]
    for tx in secret:
        world.submit(nodes[2], tx)
    block = world.mine(nodes[2])
    world.sent.clear()
    world.until(world.agree, 5)
    assert {tx.txid for tx in secret} <= {tx.txid for tx in block.txs}
    assert not world.sent["blocks"]


def test_who_was_away_gets_the_block_whole(lab: Lab) -> None:
    world = World(3)
    nodes = a_net(world, 4, lab.blocks)
    away = nodes[3]
    world.partition([node for node in nodes if node is not away], [away])
    for tx in [pay(lab.take()) for _ in range(10)]:
        world.submit(nodes[0], tx)
    world.run(2)
    block = world.mine(nodes[0])
    world.heal()
    world.until(lambda: away.tip.hash == block.hash, 90)


@pytest.mark.parametrize("seed", [4, 5])
def test_with_losses_all_agree_and_nobody_is_blamed(lab: Lab, seed: int) -> None:
    """A fifth of all requests are lost, half of them after they were delivered."""
    world = World(seed)
    nodes = a_net(world, 6, lab.blocks)
    world.faults = Faults(latency_s=(0.01, 0.3), loss=0.2)
    for _ in range(8):
        miner = world.rng.choice(nodes)
        for _ in range(4):
            world.submit(world.rng.choice(nodes), pay(lab.take()))
        world.run(world.rng.random() * 3)
        if miner.tip.height == max(node.tip.height for node in nodes):
            world.mine(miner)
        world.run(4)
    world.mine(max(nodes, key=lambda node: node.tip.height))
    world.until(world.agree, 200)
    assert world.sent["compact"]
    assert not any("broke the rules" in reason for node in nodes for _, reason in node.closed)


def test_bandwidth(lab: Lab) -> None:
    """1,000 payments among 8 nodes, and the block that holds them: at most 1.8 times what it takes
    to give each node each byte once. Everything that nodes say meanwhile counts."""
    count = 1_000
    [coin] = lab.take()
    share = coin.coin.value // count - 1_000
    lab.mine([pay([coin], [TxOut(share, lock()) for _ in range(count)])])
    world = World(6)
    nodes = a_net(world, 8, lab.blocks)
    half = share // 2
    txs = [pay([owned], [TxOut(half, lock()), TxOut(half - 1_000, lock())]) for owned in lab.take(count=count)]
    world.sent.clear()
    for tx in txs:
        world.submit(world.rng.choice(nodes), tx)
        world.run(0.005)
    world.until(lambda: world.have([tx.txid for tx in txs]), 60)
    world.run(2)
    block = world.mine(nodes[5])
    world.until(world.agree, 20)
    world.run(2)
    assert len(block.txs) == count + 1
    figures = {**world.sent, "ideal": (len(nodes) - 1) * block.size}
    sent, ideal = sum(world.sent.values()), figures["ideal"]
    print(f"{sent / 1e6:.2f} MB sent, each byte once to each node would be {ideal / 1e6:.2f} MB: {sent / ideal:.2f}")
    assert sent <= IDEAL_SHARE * ideal, figures
