"""Coins: those that are not there, not yet mature, or not worth enough."""

from collections.abc import Callable

from chain.block import Block
from chain.coins import Coin
from chain.errors import Reject
from chain.params import COINBASE_MATURITY, GENESIS
from chain.scripttype import ScriptType
from chain.tx import OutPoint, Tx, outpoint
from tests.chainlab import (
    FEE,
    Lab,
    Owned,
    filler,
    lock,
    made_by,
    pay,
    reblock,
    with_coinbase,
    with_input,
    with_output,
)
from tests.rules.case import Case, Stricter, block_of, one_payment, spend_of
from tests.rules.size_cases import without_witness


def missing(point: bytes) -> Callable[[Lab], Block]:
    """A payment that spends something that is not there."""
    return block_of(lambda lab: with_input(one_payment(lab), outpoint=OutPoint(point)))


def index_out_of_range(lab: Lab) -> Tx:
    tx = one_payment(lab)
    return with_input(tx, outpoint=outpoint(lab.blocks[-1].txs[1].txid, 60))


def spent_long_ago(lab: Lab) -> Tx:
    return lab.blocks[-1].txs[1]


def spent_in_parent(lab: Lab) -> Tx:
    spent = lab.blocks[-1].txs[1].inputs[0].outpoint
    return with_input(one_payment(lab), outpoint=spent)


def double_spend(lab: Lab) -> list[Tx]:
    owned = lab.take()
    return [pay(owned), pay(owned, fee=2 * FEE)]


def child_first(lab: Lab) -> list[Tx]:
    parent = one_payment(lab)
    return [pay([made_by(parent)]), parent]


def chain_in_block(lab: Lab) -> list[Tx]:
    txs = [one_payment(lab)]
    for _ in range(30):
        txs.append(pay([made_by(txs[-1])]))
    return txs


def spends_output(script: bytes) -> Callable[[Lab], Block]:
    """A payment to `script`, and one that spends it."""
    return spend_of(script, lambda *_: (b"", ()))


def mature(depth: int) -> Callable[[Lab], Block]:
    """Spends the coinbase from so many blocks before."""

    def make(lab: Lab) -> Tx:
        coinbase = lab.blocks[lab.height - depth].txs[0]
        return pay([Owned(outpoint(coinbase.txid, 0), lab.coins[outpoint(coinbase.txid, 0)])])

    return block_of(make)


def own_coinbase(lab: Lab) -> Block:
    """Of P2PKH: a witness would change the commitment, and that the coinbase's id."""
    block = without_witness(lab)
    block = with_coinbase(block, lambda tx: with_output(tx, script=lock(ScriptType.P2PKH)))
    coin = Coin.make(lab.height + 1, True, block.txs[0].outputs[0])
    return reblock(block, [block.txs[0], pay([Owned(outpoint(block.txs[0].txid, 0), coin)])])


def short_of(amount: int) -> Callable[[Lab], Block]:
    """A payment of so much more than it spends."""
    return block_of(lambda lab: pay(lab.take(), fee=-amount))


LONGEST_SCRIPT = (b"\x4d\x08\x02" + bytes(520)) * 19 + b"\x51" * 63
"""10,000 bytes of pushes, which anyone may spend in Core."""

MISSING = Reject.INPUTS_MISSING_OR_SPENT

CASES = [
    Case("spends what never was", missing(bytes(range(36))), MISSING),
    Case("spends index 0 of nothing", missing(bytes(36)), MISSING),
    Case("spends the last index of something", missing(bytes(range(32)) + b"\xff" * 4), MISSING),
    Case("spends the genesis coinbase", missing(GENESIS.txs[0].txid + bytes(4)), MISSING),
    Case("spends an output that a transaction does not have", block_of(index_out_of_range), MISSING),
    Case("a transaction of the parent once more", block_of(spent_long_ago), MISSING, core="bad-txns-BIP30"),
    Case("spends what the parent spent", block_of(spent_in_parent), MISSING),
    Case("two transactions spend one coin", block_of(double_spend), MISSING),
    Case("the child comes before its parent", block_of(child_first), MISSING),
    Case("thirty children one after the other", block_of(chain_in_block), None),
    Case("spends OP_RETURN", spends_output(b"\x6a"), MISSING),
    Case("spends OP_RETURN with data", spends_output(filler(40)), MISSING),
    Case("spends a script of 10,001 bytes", spends_output(b"\x51" * 10_001), MISSING),
    Case(
        "spends a script of 10,000 bytes",
        spends_output(LONGEST_SCRIPT),
        Reject.SCRIPT_UNSUPPORTED,
        stricter=Stricter.SCRIPT_KIND,
    ),
    Case("a coinbase 100 deep", mature(COINBASE_MATURITY), None),
    Case("a coinbase 99 deep", mature(COINBASE_MATURITY - 1), Reject.PREMATURE_COINBASE),
    Case("the parent's coinbase", mature(1), Reject.PREMATURE_COINBASE),
    Case("the block's own coinbase", own_coinbase, Reject.PREMATURE_COINBASE),
    Case("pays all it has", short_of(0), None),
    Case("pays a satoshi more than it has", short_of(1), Reject.IN_BELOW_OUT),
]
