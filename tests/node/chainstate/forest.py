"""Random trees of blocks whose payments come back on other branches, honest and spoilt.

A tree grows on one funded chain. Its payments belong to families that spend the same coins: the
same txid with another good witness or with a wrong one, or another payment altogether. Each block
is judged when it is made, from its bytes and with nothing known before: the reference for whoever
skips work.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from chain.block import Block, make_block
from chain.blocktemplate import build_block
from chain.blocktree import BlockNode, BlockTree
from chain.coins import Coin
from chain.errors import Reject, Rejected
from chain.hashes import Txid, Wtxid
from chain.tx import OutPoint, Tx, TxOut, outpoint
from tests.chainlab import (
    FEE,
    KINDS,
    SPACING_S,
    START_TIME,
    Lab,
    funded,
    judge,
    lock,
    made_by,
    pay,
    push,
    solved,
    with_input,
)

FAMILIES, FAMILIES_MAX, OFFERED = 10, 80, 12
ANYONE_CAN_PAY = 0x81


@dataclass
class Family:
    """Transactions that spend the same coins, the first input's first."""

    good: list[Tx]
    """Right for the coins; those after the first may have its txid."""
    bad: list[Tx]
    """Wrong for the coins, wherever they are mined."""


@dataclass
class Planted:
    """A block in its place."""

    block: Block
    entry: BlockNode
    code: Reject | None
    """Why it is invalid, by itself or by one before it."""
    coins: dict[OutPoint, Coin]
    """After it, as far as it is valid."""


class Forest:
    """The tree, in the order in which it has grown."""

    def __init__(self, seed: int, lab: Lab | None = None) -> None:
        self.rng = random.Random(seed)
        self.lab = lab or funded()
        self.tree: BlockTree = self.lab.tree
        self.families: list[Family] = []
        self._fees: dict[Txid, int] = {}
        root = Planted(self.lab.blocks[-1], self.lab.tip, None, dict(self.lab.coins))
        self.planted = [root]
        self.best = root
        """Most work of the valid ones, the first of equals."""
        for _ in range(FAMILIES):
            self._found_family()

    @property
    def good_wtxids(self) -> set[Wtxid]:
        """Those of payments that are signed rightly."""
        return {tx.wtxid for family in self.families for tx in family.good}

    def offer(self) -> Tx:
        """Some payment, good or bad; most are not mined on many branches yet."""
        family = self.rng.choice(self.families[-OFFERED:])
        return self.rng.choice(family.good if self.rng.random() < 0.7 else family.bad)

    def branch(self, planted: Planted) -> list[Block]:
        """From the first block on top of the lab's up to this one."""
        blocks = {one.entry.hash: one.block for one in self.planted[1:]}
        found, entry = [], planted.entry
        while entry.hash in blocks:
            found.append(blocks[entry.hash])
            assert entry.parent is not None
            entry = entry.parent
        return found[::-1]

    # payments

    def _found_family(self) -> None:
        rng = self.rng
        parents = [family.good[0] for family in self.families]
        parent = rng.choice(parents) if parents and rng.random() < 0.5 else None
        owned = self.lab.take(rng.choice(KINDS))
        if parent is not None:
            owned[0] = made_by(parent, rng.randrange(len(parent.outputs)))
        if rng.random() < 0.3:
            owned += self.lab.take(rng.choice(KINDS))
        total = sum(one.coin.value for one in owned)
        outputs = [TxOut((total - FEE) // 2, lock(rng.choice(KINDS), rng.randrange(12))) for _ in range(2)]
        first = pay(owned, outputs)
        twin = pay(owned, outputs, hash_types=[ANYONE_CAN_PAY] * len(owned))
        rival = pay(owned, [TxOut(total - 3 * FEE, lock(number=rng.randrange(12)))])
        bad = [spoilt(first), spoilt(twin)]
        if witness := first.inputs[0].witness:
            bad += [with_input(first, witness=()), with_input(first, witness=(*witness, b"\x01"))]
            assert first.txid == bad[0].txid == bad[2].txid
        self.families.append(Family([first, twin, rival], bad))
        for tx in (*self.families[-1].good, *bad):
            self._fees[tx.txid] = total - sum(output.value for output in tx.outputs)

    # blocks

    def grow(self, count: int) -> Iterator[Planted]:
        """That many blocks more, now and then on an invalid one."""
        for number in range(count):
            if len(self.families) < FAMILIES_MAX:
                self._found_family()
            yield self._plant(self._place(), number)

    def _place(self) -> Planted:
        """Mostly one of the highest, so that branches overtake each other."""
        valid = [one for one in self.planted if one.code is None]
        highest = sorted(valid, key=lambda one: one.entry.height)[-4:]
        return self.rng.choice(self.rng.choice([highest, highest, highest, valid[-8:], self.planted[-4:]]))

    def _plant(self, on: Planted, number: int) -> Planted:
        rng, height = self.rng, on.entry.height + 1
        odds = rng.choice([0.0, 0.0, 0.0, 0.4])
        txs: list[Tx] = []
        there = set(on.coins)
        for family in self.families:
            if rng.random() < 0.5:
                continue
            tx = rng.choice(family.bad if rng.random() < odds else family.good)
            points = {spent.outpoint for spent in tx.inputs}
            if points <= there or rng.random() < odds / 40:
                txs.append(tx)
                there = there - points | {outpoint(tx.txid, index) for index in range(len(tx.outputs))}
        signed = [at for at, tx in enumerate(txs) if tx.inputs[0].witness]
        if signed and not odds and rng.random() < 0.25:
            at = rng.choice(signed)
            txs[at] = spoilt(txs[at])  # its txid is the same, and nothing else is wrong
        fees = sum(self._fees[tx.txid] for tx in txs) + (rng.random() < 0.03)
        time = START_TIME + height * SPACING_S
        block = build_block(on.entry, txs, fees, lock(), time, self.tree.params, extra_nonce=number)
        return self._judge(make_block(solved(block.header), block.txs), on)

    def _judge(self, block: Block, on: Planted) -> Planted:
        coins, code = on.coins, None
        try:
            connected = judge(block.raw, self.tree, coins.get, self.lab.now)[1]
        except Rejected as rejected:
            code = Reject(rejected.code)
        else:
            coins = {point: coin for point, coin in coins.items() if point not in connected.delta.spent}
            coins |= connected.delta.created
        entry = self.tree.add(block.header, invalid=code is not None)
        planted = Planted(block, entry, code, coins)
        self.planted.append(planted)
        if code is None and entry.chainwork > self.best.entry.chainwork:
            self.best = planted
        return planted


def spoilt(tx: Tx) -> Tx:
    """The same with a first signature that is well formed and wrong."""

    def flip(signature: bytes, at: int) -> bytes:
        return signature[:at] + bytes((signature[at] ^ 1,)) + signature[at + 1 :]

    spent = tx.inputs[0]
    if spent.script_sig:
        size = spent.script_sig[0]
        return with_input(
            tx, script_sig=push(flip(spent.script_sig[1 : size + 1], size - 2)) + spent.script_sig[size + 1 :]
        )
    signature = spent.witness[0]
    return with_input(tx, witness=(flip(signature, len(signature) - 2), *spent.witness[1:]))
