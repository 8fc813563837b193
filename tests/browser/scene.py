"""A chain worth looking at, for the tests of the pages and for their pictures: payments of all sizes,
branches, an invalid block, texts of strangers. The same each time but for when it happens.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chain.address import encode_address
from chain.block import Block
from chain.hashes import to_hex
from chain.params import REGTEST, Params, devnet_params
from chain.scripttype import ScriptType
from chain.tx import Tx, TxOut
from tests.chainlab import KINDS, Lab, Owned, coinbase_input, lock, made_by, pay, reblock, with_output

PICTURED = devnet_params(0x1F020000)
"""The network of the pictures: difficulty moves. On regtest the same takes a second instead of a minute."""
BLOCKS = 190
MATURE = 106
"""The height from which on there are payments."""
STRANGER = b"<img src=x onerror=alert(1)> ${7*7} {{7*7}} \xe2\x80\xaeevil"
"""What somebody wrote into an OP_RETURN: markup, templates, and a mark that turns the writing round."""
MINERS = (b"/node 0/", b"/node 1/", b"/node 0/", b"")
"""Whose blocks they are, in turn, by the tags in their coinbases."""
MINER = b"</script><script>alert(2)</script>"
"""The same of a coinbase."""


@dataclass
class Scene:
    """Blocks in the order in which a node gets them, and what is remarkable among them."""

    lab: Lab
    blocks: list[Block]
    stale: Block
    """A block of a branch that was overtaken."""
    stale_tx: Tx
    """A payment in it."""
    invalid: Block
    large: Tx
    """A payment to many."""
    stranger: Tx
    """A payment with an OP_RETURN."""
    pool: list[Tx]
    """Payments that wait."""
    common: bytes
    """A script that many payments go to."""
    at: float
    """Unix time of the next block."""

    @property
    def address(self) -> str:
        """The address of `common`."""
        address = encode_address(self.common)
        assert address
        return address

    def next_block(self, txs: list[Tx] | None = None) -> Block:
        """One more on the tip, ten seconds after it."""
        self.at += 10
        return self.lab.mine(txs or [], time=int(self.at))

    def payment(self, rate: int = 3, to: bytes | None = None, value: int = 1_000_000) -> Tx:
        """One more payment, not yet anywhere."""
        return _simple(self.lab, rate, to or lock(ScriptType.P2WPKH, 5), value)

    def conflicting(self, coins: list[Owned], rate: int) -> Tx:
        """A payment with these coins; others with them are in conflict with it."""
        return _paid(coins, rate, lock(ScriptType.P2WPKH, 6), coins[0].coin.value // 4)


def make_scene(end: float, params: Params = REGTEST) -> Scene:
    """A chain that ends at about that time."""
    rng = random.Random(11)
    lab = Lab(params, int(end) + 60)
    gaps = [min(60.0, rng.expovariate(1 / 10) + 0.5) for _ in range(BLOCKS)]
    at = end - sum(gaps)
    blocks: list[Block] = []
    stale = stale_tx = large = stranger = None
    common = lock(ScriptType.P2WPKH, 3)
    for height in range(1, BLOCKS + 1):
        at += gaps[height - 1]
        txs: list[Tx] = []
        if height > MATURE:
            if height == MATURE + 1:
                txs = [_split(lab, kind) for kind in KINDS]
            else:
                txs = [
                    _simple(lab, rng.choice((1, 1, 2, 5, 12)), _someone(rng, common), _value(rng))
                    for _ in range(rng.randrange(6))
                ]
        if height == MATURE + 40:
            large = _many(lab)
            txs.append(large)
        if height == BLOCKS - 2:
            stranger = _with_text(lab, STRANGER)
            txs.append(stranger)
        time = max(int(at), lab.tip.median_time + 1)
        if height == BLOCKS - 6:
            # Two blocks that were best for a while, with a payment that the others do not have.
            branch = lab.copy()
            stale_tx = _simple(branch, 7, common, 2_500_000)
            stale = branch.mine([stale_tx], time=time, extra_nonce=7)
            blocks += [stale, branch.mine([], time=time + 1, extra_nonce=8)]
        if height == BLOCKS - 12:
            blocks.append(lab.candidate([], time=time, extra_nonce=9))
        if height == BLOCKS - 4:
            wrong = lab.candidate([], time=time, extra_nonce=10)
            invalid = reblock(
                wrong, (with_output(wrong.txs[0], value=wrong.txs[0].outputs[0].value + 1), *wrong.txs[1:])
            )
            blocks.append(invalid)
        block = lab.candidate(txs, time=time, tag=MINERS[height % len(MINERS)])
        if height == BLOCKS - 1:
            head = block.txs[0].inputs[0].script_sig[:3]
            block = reblock(block, (coinbase_input(block.txs[0], head + MINERS[1] + MINER), *block.txs[1:]))
        lab.accept(block)
        blocks.append(block)
    assert stale
    assert stale_tx
    assert large
    assert stranger
    pool = _waiting(lab, rng, common)
    return Scene(lab, blocks, stale, stale_tx, invalid, large, stranger, pool, common, at)


def submit(rpc: Callable[..., Any], scene: Scene) -> None:
    """Give it all to a node."""
    for block in scene.blocks:
        rpc("submitblock", block.raw.hex())
    assert rpc("getbestblockhash") == to_hex(scene.lab.tip.hash)
    for tx in scene.pool:
        rpc("sendrawtransaction", tx.raw.hex(), 0)


def _split(lab: Lab, kind: ScriptType) -> Tx:
    [coinbase] = lab.take(kind)
    return pay([coinbase], [TxOut((coinbase.coin.value - 10_000) // 120, lock(kind, n)) for n in range(120)])


def _someone(rng: random.Random, common: bytes) -> bytes:
    return common if rng.random() < 0.5 else lock(rng.choice(KINDS), rng.randrange(12))


def _value(rng: random.Random) -> int:
    return rng.choice((25_000_000, 12_345_678, 1_000_000, 546_000, 31_415_926))


def _simple(lab: Lab, rate: int, to: bytes, value: int) -> Tx:
    """An amount to somebody, the rest back to the owner."""
    [owned] = lab.take(ScriptType.P2WPKH)
    return _paid([owned], rate, to, min(value, owned.coin.value // 2))


def _paid(coins: list[Owned], rate: int, to: bytes, value: int) -> Tx:
    fee = rate * (141 + 68 * (len(coins) - 1))
    rest = sum(coin.value for _, coin in coins) - value - fee
    return pay(coins, [TxOut(value, to), TxOut(rest, coins[0].coin.script)], sequences=[0xFFFFFFFD] * len(coins))


def _many(lab: Lab) -> Tx:
    """Three coins to 27 people."""
    coins = lab.take(ScriptType.P2WPKH, 3)
    outputs = [TxOut(900_000 + 190_000 * n, lock(KINDS[n % 3], n)) for n in range(26)]
    rest = sum(coin.value for _, coin in coins) - sum(output.value for output in outputs) - 12_000
    return pay(coins, [*outputs, TxOut(rest, lock(ScriptType.P2WPKH, 1))])


def _with_text(lab: Lab, text: bytes) -> Tx:
    [owned] = lab.take(ScriptType.P2WPKH)
    outputs = [TxOut(owned.coin.value - 2_000, owned.coin.script), TxOut(0, b"\x6a" + bytes((len(text),)) + text)]
    return pay([owned], outputs)


def _waiting(lab: Lab, rng: random.Random, common: bytes) -> list[Tx]:
    """What is in the mempool: many rates, a child that pays for its parent."""
    pool = [
        _simple(lab, rng.choice((1, 1, 2, 3, 4, 6, 9, 14, 25, 60)), _someone(rng, common), _value(rng))
        for _ in range(24)
    ]
    parent = pool[0]
    pool.append(_paid([made_by(parent, 1)], 40, common, parent.outputs[1].value // 3))
    return pool
