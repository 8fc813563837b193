"""Transactions by themselves: inputs, outputs, amounts."""

from collections.abc import Callable

from chain.block import Block
from chain.errors import Reject
from chain.scripttype import ScriptType
from chain.tx import COIN, MAX_MONEY, Tx, TxOut, make_tx
from tests.chainlab import (
    Lab,
    committed,
    lock,
    null_input,
    pay,
    reblock,
    remade,
    with_coinbase,
    with_input,
    with_output,
)
from tests.rules.case import Case, block_of, one_payment
from tests.rules.size_cases import without_witness


def no_inputs(_: Lab) -> Tx:
    return make_tx(2, (), (), 0)


def no_outputs(lab: Lab) -> Tx:
    return pay(lab.take(), [])


def no_outputs_in_coinbase(lab: Lab) -> Block:
    return with_coinbase(without_witness(lab), lambda tx: remade(tx, outputs=()))


def values(*amounts: int) -> Callable[[Lab], Block]:
    """A payment of these amounts, whatever it spends."""
    return block_of(lambda lab: pay(lab.take(), [TxOut(amount, lock(number=n)) for n, amount in enumerate(amounts)]))


def coinbase_values(*amounts: int) -> Callable[[Lab], Block]:
    """A coinbase of these amounts."""

    def change(tx: Tx) -> Tx:
        return remade(tx, outputs=(*(TxOut(amount, lock()) for amount in amounts), tx.outputs[-1]))

    return lambda lab: with_coinbase(lab.candidate(), change)


def same_coin_twice(lab: Lab) -> Tx:
    [owned] = lab.take()
    return pay([owned, owned])


def same_coin_twice_apart(lab: Lab) -> Tx:
    one, other = lab.take(ScriptType.P2TR, 2)
    return pay([one, other, one])


def null_beside(lab: Lab) -> Tx:
    tx = one_payment(lab)
    return remade(tx, inputs=(*tx.inputs, null_input(b"")))


def two_nulls(lab: Lab) -> Tx:
    tx = one_payment(lab)
    return remade(tx, inputs=(null_input(b""), null_input(b"")))


def second_coinbase(lab: Lab) -> Block:
    block = lab.candidate([one_payment(lab)])
    other = with_input(with_output(block.txs[0], value=0), witness=())
    return reblock(block, committed([block.txs[0], other, *block.txs[1:]]))


CASES = [
    Case("no inputs", block_of(no_inputs), Reject.VIN_EMPTY),
    Case("no outputs", block_of(no_outputs), Reject.VOUT_EMPTY),
    Case("no outputs in the coinbase", no_outputs_in_coinbase, Reject.VOUT_EMPTY),
    Case("pays -1", values(-1), Reject.VOUT_NEGATIVE),
    Case("pays the least number there is", values(-(2**63)), Reject.VOUT_NEGATIVE),
    Case("pays -1 and a lot", values(COIN, -1), Reject.VOUT_NEGATIVE),
    Case("the coinbase pays -1", coinbase_values(-1), Reject.VOUT_NEGATIVE),
    Case("pays a satoshi over 21,000,000 coins", values(MAX_MONEY + 1), Reject.VOUT_TOO_LARGE),
    Case("pays the most there can be", values(2**63 - 1), Reject.VOUT_TOO_LARGE),
    Case("pays 21,000,000 coins it does not have", values(MAX_MONEY), Reject.IN_BELOW_OUT),
    Case("pays 21,000,000 coins and one satoshi in two outputs", values(MAX_MONEY, 1), Reject.VOUT_TOTAL_TOO_LARGE),
    Case("pays so much that 64 bits overflow", values(*[MAX_MONEY] * 5000), Reject.VOUT_TOTAL_TOO_LARGE),
    Case("the coinbase makes 42,000,000 coins", coinbase_values(MAX_MONEY, MAX_MONEY), Reject.VOUT_TOTAL_TOO_LARGE),
    Case("the same coin twice in one transaction", block_of(same_coin_twice), Reject.INPUTS_DUPLICATE),
    Case("the same coin first and third", block_of(same_coin_twice_apart), Reject.INPUTS_DUPLICATE),
    Case("a null outpoint beside a coin", block_of(null_beside), Reject.PREVOUT_NULL),
    Case("two null outpoints", block_of(two_nulls), Reject.INPUTS_DUPLICATE),
    Case("a second coinbase", second_coinbase, Reject.CB_MULTIPLE),
]
