"""Sizes, weights and signature operations, at their limits and one over."""

from collections.abc import Callable

from chain.block import Block
from chain.codec import varint
from chain.errors import Reject
from chain.scripttype import ScriptType
from chain.tx import Tx, TxOut
from tests.chainlab import (
    FEE,
    Lab,
    coinbase_input,
    data_output,
    lock,
    output_size,
    pay,
    reblock,
    remade,
    with_coinbase,
    with_input,
)
from tests.rules.case import Case

STRIPPED_MAX = 1_000_000
CHECKSIG, CHECKMULTISIG = b"\xac", b"\xae"


def padded(block: Block, size: int) -> Block:
    """The block with its coinbase made longer by an OP_RETURN output, to so many stripped bytes."""
    coinbase = block.txs[0]
    script_size = size - block.stripped_size - 10
    while (missing := size - block.stripped_size - _growth(coinbase, script_size)) != 0:
        script_size += missing
    outputs = (coinbase.outputs[0], data_output(script_size), *coinbase.outputs[1:])
    grown = reblock(block, [remade(coinbase, outputs=outputs), *block.txs[1:]])
    assert grown.stripped_size == size
    return grown


def _growth(coinbase: Tx, script_size: int) -> int:
    counts = len(varint(len(coinbase.outputs) + 1)) - len(varint(len(coinbase.outputs)))
    return output_size(script_size) + counts


def without_witness(lab: Lab) -> Block:
    """An empty block that commits to nothing, so that weight is four times size."""
    block = lab.candidate()
    coinbase = remade(with_input(block.txs[0], witness=()), outputs=block.txs[0].outputs[:1])
    return reblock(block, [coinbase])


def weighing(weight: int) -> Callable[[Lab], Block]:
    """A block of exactly this weight: taproot signatures of 64 and 65 bytes tune it to a unit."""

    def mutate(lab: Lab) -> Block:
        for longer in range(4):
            trial = lab.copy()
            txs = [
                pay([one], hash_types=[1 if n < longer else 0]) for n, one in enumerate(trial.take(ScriptType.P2TR, 4))
            ]
            block = trial.candidate(txs)
            witness = block.size - block.stripped_size
            if (weight - witness) % 4 == 0:
                grown = padded(block, (weight - witness) // 4)
                assert grown.weight == weight
                return grown
        raise AssertionError("no such weight")

    return mutate


def operations(legacy: int, witness: int = 0, script: bytes = CHECKSIG) -> Callable[[Lab], Block]:
    """A block with so many legacy operations in outputs, and so many P2WPKH coins spent."""

    def mutate(lab: Lab) -> Block:
        owned = lab.take(ScriptType.P2WPKH, witness) if witness else lab.take(ScriptType.P2TR)
        total = sum(one.coin.value for one in owned)
        each, rest = divmod(legacy, 2)
        tx = pay(owned, [TxOut(0, script * (each + rest)), TxOut(0, script * each), TxOut(total - FEE, lock())])
        return lab.candidate([tx], script=lock())

    return mutate


def in_script(script: bytes, where: str) -> Callable[[Lab], Block]:
    """A block with `script` in a payment's or the coinbase's output."""

    def mutate(lab: Lab) -> Block:
        if where == "coinbase":
            block = lab.candidate(script=lock())
            return with_coinbase(block, lambda tx: remade(tx, outputs=(TxOut(0, script), *tx.outputs)))
        return lab.candidate([pay(lab.take(ScriptType.P2TR), [TxOut(1, script)])], script=lock())

    return mutate


def in_coinbase_script(count: int) -> Callable[[Lab], Block]:
    """20,000 operations in all, `count` of them in the coinbase's own script."""

    def mutate(lab: Lab) -> Block:
        block = operations(19_990)(lab)
        return with_coinbase(block, lambda tx: coinbase_input(tx, tx.inputs[0].script_sig[:2] + CHECKSIG * count))

    return mutate


SIZE_CASES = [
    Case("1,000,000 stripped bytes", lambda lab: padded(without_witness(lab), STRIPPED_MAX), None),
    Case("1,000,001 stripped bytes", lambda lab: padded(without_witness(lab), STRIPPED_MAX + 1), Reject.BLOCK_LENGTH),
    Case(
        "1,000,000 stripped bytes and a witness", lambda lab: padded(lab.candidate(), STRIPPED_MAX), Reject.BLOCK_WEIGHT
    ),
    Case("4,000,000 weight units", weighing(4_000_000), None),
    Case("4,000,001 weight units", weighing(4_000_001), Reject.BLOCK_WEIGHT),
]

SIGOP_CASES = [
    Case("80,000 of signature operations", operations(20_000), None),
    Case("80,004 of signature operations", operations(20_001), Reject.BLOCK_SIGOPS),
    Case("80,000 with four P2WPKH coins", operations(19_999, 4), None),
    Case("80,001 with five P2WPKH coins", operations(19_999, 5), Reject.BLOCK_SIGOPS),
    Case("1,000 CHECKMULTISIG", operations(1_000, 0, CHECKMULTISIG), None),
    Case("1,001 CHECKMULTISIG", operations(1_001, 0, CHECKMULTISIG), Reject.BLOCK_SIGOPS),
    Case("20,001 CHECKSIGVERIFY", operations(20_001, 0, b"\xad"), Reject.BLOCK_SIGOPS),
    Case("1,001 CHECKMULTISIGVERIFY", operations(1_001, 0, b"\xaf"), Reject.BLOCK_SIGOPS),
    Case("20,001 CHECKSIG in OP_RETURN", in_script(b"\x6a" + CHECKSIG * 20_001, "payment"), Reject.BLOCK_SIGOPS),
    Case("20,001 CHECKSIG in a coinbase output", in_script(CHECKSIG * 20_001, "coinbase"), Reject.BLOCK_SIGOPS),
    Case("20,000 CHECKSIG, ten in the coinbase's script", in_coinbase_script(10), None),
    Case("20,001 CHECKSIG, eleven in the coinbase's script", in_coinbase_script(11), Reject.BLOCK_SIGOPS),
    Case(
        "20,001 CHECKSIG inside a push",
        in_script(b"\x4d" + (20_001).to_bytes(2, "little") + CHECKSIG * 20_001, "payment"),
        None,
    ),
    Case(
        "20,001 CHECKSIG after a push",
        in_script(b"\x4d\x01\x00\xac" + CHECKSIG * 20_001, "payment"),
        Reject.BLOCK_SIGOPS,
    ),
    *(
        Case(
            f"20,001 CHECKSIG behind a push that is cut off ({head.hex()})",
            in_script(CHECKSIG + head + CHECKSIG * 20_001, "payment"),
            None,
        )
        for head in (b"\x4d\xff\xff", b"\x4e\xff\xff\xff\xff")
    ),
    Case("a direct push that is cut off", in_script(CHECKSIG * 20_000 + b"\x4b" + CHECKSIG * 74, "payment"), None),
    Case("a push whose length is cut off", in_script(CHECKSIG * 20_000 + b"\x4e\xac\xac\xac", "payment"), None),
]

CASES = [*SIZE_CASES, *SIGOP_CASES]
