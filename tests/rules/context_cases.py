"""Sizes, signature operations, amounts, heights, lock times, and coins that are not there."""

from collections.abc import Callable, Sequence

from chain.block import Block
from chain.codec import varint
from chain.coins import Coin
from chain.connect import SEQUENCE_BY_TIME, SEQUENCE_NO_LOCK
from chain.errors import Reject
from chain.params import COINBASE_MATURITY, GENESIS
from chain.script import LockKind
from chain.tx import COIN, MAX_MONEY, NULL_OUTPOINT, SEQUENCE_FINAL, OutPoint, Tx, TxIn, TxOut, make_tx, outpoint
from tests.chainlab import (
    FEE,
    Lab,
    Owned,
    coinbase_input,
    committed,
    data_output,
    filler,
    lock,
    made_by,
    null_input,
    output_size,
    owner,
    pay,
    push,
    reblock,
    remade,
    with_coinbase,
    with_input,
    with_output,
)
from tests.rules.case import Case, Stricter, block_of, one_payment, spend_of

# --- sizes ----------------------------------------------------------------------------------

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
            txs = [pay([one], hash_types=[1 if n < longer else 0]) for n, one in enumerate(trial.take(LockKind.P2TR, 4))]
            block = trial.candidate(txs)
            witness = block.size - block.stripped_size
            if (weight - witness) % 4 == 0:
                grown = padded(block, (weight - witness) // 4)
                assert grown.weight == weight
                return grown
        raise AssertionError("no such weight")

    return mutate


# --- signature operations ---------------------------------------------------------------------


def operations(legacy: int, witness: int = 0, script: bytes = CHECKSIG) -> Callable[[Lab], Block]:
    """A block with so many legacy operations in outputs, and so many P2WPKH coins spent."""

    def mutate(lab: Lab) -> Block:
        owned = lab.take(LockKind.P2WPKH, witness) if witness else lab.take(LockKind.P2TR)
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
        return lab.candidate([pay(lab.take(LockKind.P2TR), [TxOut(1, script)])], script=lock())

    return mutate


def in_coinbase_script(count: int) -> Callable[[Lab], Block]:
    """20,000 operations in all, `count` of them in the coinbase's own script."""

    def mutate(lab: Lab) -> Block:
        block = operations(19_990)(lab)
        return with_coinbase(
            block, lambda tx: coinbase_input(tx, tx.inputs[0].script_sig[:2] + CHECKSIG * count)
        )

    return mutate


# --- transactions -----------------------------------------------------------------------------


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
    one, other = lab.take(LockKind.P2TR, 2)
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


# --- the coinbase in context --------------------------------------------------------------------


def cb_script(script: bytes) -> Callable[[Lab], Block]:
    """A coinbase with exactly this script."""
    return lambda lab: with_coinbase(lab.candidate(), lambda tx: coinbase_input(tx, script))


def height_cases() -> list[Case]:
    """BIP34 where its encoding changes: heights 1, 16, 17, 127, 128, 255, 256."""
    forms = {
        1: ("51", ["0101", "01", "0151", "52"]),
        16: ("60", ["0110", "5f", "0160", "021000"]),
        17: ("0111", ["61", "60", "021100", "4c0111"]),
        127: ("017f", ["027f00", "4c017f", "01ff"]),
        128: ("028000", ["0180", "03800000", "0281"]),
        255: ("02ff00", ["01ff", "03ff0000", "02ff80"]),
        256: ("020001", ["03000100", "020100", "0100"]),
    }
    cases = []
    for height, (right, wrong) in forms.items():
        on = f"b{height - 1}"
        pad = "0000"
        cases.append(Case(f"height {height} as {right}", cb_script(bytes.fromhex(right + pad)), None, on=on))
        for form in wrong:
            cases.append(
                Case(f"height {height} as {form}", cb_script(bytes.fromhex(form + pad)), Reject.CB_HEIGHT, on=on)
            )
    return cases


def claims(more: int) -> Callable[[Lab], Block]:
    """A coinbase that takes so much more than it may, with fees in the block."""

    def mutate(lab: Lab) -> Block:
        block = lab.candidate([one_payment(lab)])
        return with_coinbase(block, lambda tx: with_output(tx, value=tx.outputs[0].value + more))

    return mutate


def subsidy_case(height: int, amount: int, expect: Reject | None) -> Case:
    """What the coinbase of an empty block may take around a halving."""
    return Case(f"{amount} sat at height {height}", coinbase_values(amount), expect, on=f"b{height - 1}")


# --- coins ------------------------------------------------------------------------------------


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
    block = with_coinbase(block, lambda tx: with_output(tx, script=lock(LockKind.P2PKH)))
    coin = Coin.make(lab.height + 1, True, block.txs[0].outputs[0])
    return reblock(block, [block.txs[0], pay([Owned(outpoint(block.txs[0].txid, 0), coin)])])


def short_of(amount: int) -> Callable[[Lab], Block]:
    """A payment of so much more than it spends."""
    return block_of(lambda lab: pay(lab.take(), fee=-amount))


# --- lock times -------------------------------------------------------------------------------


def absolute(lock_time: int, sequences: Sequence[int] = (SEQUENCE_FINAL - 1,)) -> Callable[[Lab], Block]:
    """A payment with a lock time, its inputs of these sequences."""
    return block_of(
        lambda lab: pay(lab.take(LockKind.P2TR, len(sequences)), lock_time=lock_time, sequences=sequences, version=1)
    )


def until_median(offset: int) -> Callable[[Lab], Block]:
    """A payment locked until so long after the parent's median time past."""

    def make(lab: Lab) -> Tx:
        return pay(lab.take(), lock_time=lab.tip.median_time + offset, sequences=[0], version=1)

    return block_of(make)


def coinbase_locked(lock_time: int, sequence: int) -> Callable[[Lab], Block]:
    """The coinbase itself with a lock time."""

    def change(tx: Tx) -> Tx:
        return remade(with_input(tx, sequence=sequence), lock_time=lock_time)

    return lambda lab: with_coinbase(lab.candidate(), change)


def coinbase_locked_by_time(offset: int) -> Callable[[Lab], Block]:
    def mutate(lab: Lab) -> Block:
        return coinbase_locked(lab.tip.median_time + offset, 0)(lab)

    return mutate


def relative(sequence: int, version: int = 2) -> Callable[[Lab], Block]:
    """Spends a coin one block old, which came 600 s after the block before it."""
    return block_of(lambda lab: pay(lab.take(), sequences=[sequence], version=version))


def relative_in_block(sequence: int) -> Callable[[Lab], Block]:
    """Spends a coin of the same block."""

    def make(lab: Lab) -> list[Tx]:
        parent = one_payment(lab)
        return [parent, pay([made_by(parent)], sequences=[sequence])]

    return block_of(make)


def relative_second_input(lab: Lab) -> Tx:
    return pay(lab.take(LockKind.P2WPKH, 2), sequences=[SEQUENCE_FINAL, 2])


def relative_to_coinbase(blocks: int) -> Callable[[Lab], Block]:
    """Spends the oldest coinbase here, exactly `depth` old, with a relative lock in blocks."""

    def make(lab: Lab) -> Tx:
        point = outpoint(lab.blocks[9].txs[0].txid, 0)
        coin = lab.coins[point]
        return pay([Owned(point, coin)], sequences=[lab.height + 1 - coin.height + blocks])

    return block_of(make)


def timed_coin(units_more: int) -> Callable[[Lab], Block]:
    """Spends block 10's coinbase when so many 512 s units more than have passed are asked for."""

    def make(lab: Lab) -> Tx:
        point = outpoint(lab.blocks[9].txs[0].txid, 0)
        passed = lab.tip.median_time - lab.tip.ancestor(9).median_time
        return pay([Owned(point, lab.coins[point])], sequences=[SEQUENCE_BY_TIME | (passed // 512 + units_more)])

    return block_of(make)


LONGEST_SCRIPT = (b"\x4d\x08\x02" + bytes(520)) * 19 + b"\x51" * 63
"""10,000 bytes of pushes, which anyone may spend in Core."""
NEXT = 113
"""The height that "funded" asks for."""
NONFINAL = Reject.NONFINAL
FINAL, OPEN = SEQUENCE_FINAL, SEQUENCE_FINAL - 1

SIZE_CASES = [
    Case("1,000,000 stripped bytes", lambda lab: padded(without_witness(lab), STRIPPED_MAX), None),
    Case("1,000,001 stripped bytes", lambda lab: padded(without_witness(lab), STRIPPED_MAX + 1), Reject.BLOCK_LENGTH),
    Case("1,000,000 stripped bytes and a witness", lambda lab: padded(lab.candidate(), STRIPPED_MAX),
         Reject.BLOCK_WEIGHT),
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
    Case("20,001 CHECKSIG inside a push", in_script(b"\x4d" + (20_001).to_bytes(2, "little") + CHECKSIG * 20_001,
                                                     "payment"), None),
    Case("20,001 CHECKSIG after a push", in_script(b"\x4d\x01\x00\xac" + CHECKSIG * 20_001, "payment"),
         Reject.BLOCK_SIGOPS),
    *(
        Case(f"20,001 CHECKSIG behind a push that is cut off ({head.hex()})",
             in_script(CHECKSIG + head + CHECKSIG * 20_001, "payment"), None)
        for head in (b"\x4d\xff\xff", b"\x4e\xff\xff\xff\xff")
    ),
    Case("a direct push that is cut off", in_script(CHECKSIG * 20_000 + b"\x4b" + CHECKSIG * 74, "payment"), None),
    Case("a push whose length is cut off", in_script(CHECKSIG * 20_000 + b"\x4e\xac\xac\xac", "payment"), None),
]  # fmt: skip

TX_CASES = [
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

COINBASE_CASES = [
    Case("a coinbase script of no bytes", cb_script(b""), Reject.CB_LENGTH),
    Case("a coinbase script of 1 byte", cb_script(b"\x51"), Reject.CB_LENGTH, on="b0"),
    Case("a coinbase script of 2 bytes", cb_script(b"\x01\x71"), None),
    Case("a coinbase script of 100 bytes", cb_script(b"\x01\x71" + bytes(98)), None),
    Case("a coinbase script of 101 bytes", cb_script(b"\x01\x71" + bytes(99)), Reject.CB_LENGTH),
    Case("the height of another block", cb_script(b"\x01\x70\x00"), Reject.CB_HEIGHT),
    Case("the height is not first", cb_script(b"\x00\x01\x71"), Reject.CB_HEIGHT),
    Case("no height at all", cb_script(b"mined"), Reject.CB_HEIGHT),
    *height_cases(),
    Case("subsidy and fees in full", claims(0), None),
    Case("a satoshi more than subsidy and fees", claims(1), Reject.CB_AMOUNT),
    Case("a satoshi less than subsidy and fees", claims(-1), None),
    Case("nothing claimed", coinbase_values(0), None),
    Case("two outputs that make a satoshi too much", coinbase_values(25 * COIN, 25 * COIN + 1), Reject.CB_AMOUNT),
    subsidy_case(149, 50 * COIN, None),
    subsidy_case(149, 50 * COIN + 1, Reject.CB_AMOUNT),
    subsidy_case(150, 25 * COIN, None),
    subsidy_case(150, 25 * COIN + 1, Reject.CB_AMOUNT),
    subsidy_case(150, 50 * COIN, Reject.CB_AMOUNT),
    subsidy_case(299, 25 * COIN, None),
    subsidy_case(300, 12 * COIN + COIN // 2, None),
    subsidy_case(300, 12 * COIN + COIN // 2 + 1, Reject.CB_AMOUNT),
]

MISSING = Reject.INPUTS_MISSING_OR_SPENT
COIN_CASES = [
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
    Case("spends a script of 10,000 bytes", spends_output(LONGEST_SCRIPT), Reject.SCRIPT_UNSUPPORTED,
         stricter=Stricter.SCRIPT_KIND),
    Case("a coinbase 100 deep", mature(COINBASE_MATURITY), None),
    Case("a coinbase 99 deep", mature(COINBASE_MATURITY - 1), Reject.PREMATURE_COINBASE),
    Case("the parent's coinbase", mature(1), Reject.PREMATURE_COINBASE),
    Case("the block's own coinbase", own_coinbase, Reject.PREMATURE_COINBASE),
    Case("pays all it has", short_of(0), None),
    Case("pays a satoshi more than it has", short_of(1), Reject.IN_BELOW_OUT),
]

LOCK_CASES = [
    Case("locked to this height", absolute(NEXT), NONFINAL),
    Case("locked to the height before", absolute(NEXT - 1), None),
    Case("locked to this height, all inputs final", absolute(NEXT, [FINAL]), None),
    Case("locked to this height, one of two inputs final", absolute(NEXT, [FINAL, OPEN]), NONFINAL),
    Case("locked to the last height that is no time", absolute(499_999_999), NONFINAL),
    Case("locked to the first time that is no height", absolute(500_000_000), None),
    Case("locked to the end of time", absolute(2**32 - 1), NONFINAL),
    Case("locked to the parent's median time", until_median(0), NONFINAL),
    Case("locked to a second before the parent's median time", until_median(-1), None),
    Case("coinbase locked to this height", coinbase_locked(NEXT, OPEN), NONFINAL),
    Case("coinbase locked to this height and final", coinbase_locked(NEXT, FINAL), None),
    Case("coinbase locked to the height before", coinbase_locked(NEXT - 1, 0), None),
    Case("coinbase locked to the parent's median time", coinbase_locked_by_time(0), NONFINAL),
    Case("coinbase locked to a second before", coinbase_locked_by_time(-1), None),
    Case("coinbase with a relative lock", coinbase_locked(0, 5), None),
    Case("relative lock of no blocks", relative(0), None),
    Case("relative lock of a block, over", relative(1), None),
    Case("relative lock of two blocks, not over", relative(2), NONFINAL),
    Case("relative lock of 65,535 blocks", relative(0xFFFF), NONFINAL),
    Case("relative lock of two blocks, switched off", relative(SEQUENCE_NO_LOCK | 2), None),
    Case("relative lock with bits that mean nothing", relative(0x00BF0001), None),
    Case("relative lock not over, with bits that mean nothing", relative(0x00BF0002), NONFINAL),
    *(Case(f"relative lock not over, version {v}", relative(2, v), NONFINAL if v >= 2 else None)
      for v in (0, 1, 3, 2**31 - 1, 2**31, 2**32 - 1)),
    Case("relative lock of no time", relative(SEQUENCE_BY_TIME), None),
    Case("relative lock of 512 s, over", relative(SEQUENCE_BY_TIME | 1), None),
    Case("relative lock of 1,024 s, not over", relative(SEQUENCE_BY_TIME | 2), NONFINAL),
    Case("relative lock of 1,024 s, version 1", relative(SEQUENCE_BY_TIME | 2, 1), None),
    Case("relative lock of a block in the same block", relative_in_block(1), NONFINAL),
    Case("relative lock of no blocks in the same block", relative_in_block(0), None),
    Case("relative lock of no time in the same block", relative_in_block(SEQUENCE_BY_TIME), None),
    Case("relative lock of 512 s in the same block", relative_in_block(SEQUENCE_BY_TIME | 1), NONFINAL),
    Case("relative lock of the second input not over", block_of(relative_second_input), NONFINAL),
    Case("relative lock in blocks to the very block", relative_to_coinbase(0), None),
    Case("relative lock one block too long", relative_to_coinbase(1), NONFINAL),
    Case("relative lock in time to the very unit", timed_coin(0), None),
    Case("relative lock one unit too long", timed_coin(1), NONFINAL),
]

CASES = [*SIZE_CASES, *SIGOP_CASES, *TX_CASES, *COINBASE_CASES, *COIN_CASES, *LOCK_CASES]
