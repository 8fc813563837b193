"""Bytes, merkle tree, coinbase and witness commitment: is this the header's body at all?"""

from collections.abc import Callable

from chain.block import COMMITMENT_PREFIX, Block, commitment_hash
from chain.codec import varint
from chain.connect import height_push
from chain.errors import Reject
from chain.scripttype import ScriptType
from chain.tx import OutPoint, Tx, TxOut, make_tx
from tests.chainlab import (
    FEE,
    Lab,
    committed,
    lock,
    make_block,
    null_input,
    pay,
    reblock,
    remade,
    with_input,
    with_output,
)
from tests.rules.case import Case, Stricter, block_of, one_payment

# bytes


def bytes_of(change: Callable[[bytes], bytes]) -> Callable[[Lab], bytes]:
    """The bytes of a good block with one payment, changed."""
    return lambda lab: change(lab.candidate([one_payment(lab)]).raw)


def superfluous_witness(lab: Lab) -> bytes:
    """Marker and flag before a transaction whose witnesses are all empty."""
    tx = one_payment(lab, ScriptType.P2PKH)
    block = lab.candidate([tx])
    encoded = tx.raw[:4] + b"\x00\x01" + tx.raw[4:-4] + b"\x00" + tx.raw[-4:]
    return block.raw[: -len(tx.raw)] + encoded


def flag(byte: int) -> Callable[[Lab], bytes]:
    """Another flag byte behind the segwit marker."""

    def mutate(lab: Lab) -> bytes:
        block = lab.candidate([one_payment(lab)])
        at = len(block.raw) - len(block.txs[1].raw) + 5
        return block.raw[:at] + bytes([byte]) + block.raw[at + 1 :]

    return mutate


def long_count(lab: Lab) -> bytes:
    raw = lab.candidate().raw
    return raw[:80] + b"\xfd\x01\x00" + raw[81:]


def long_script_length(lab: Lab) -> bytes:
    """A scriptSig whose length takes three bytes and needs one."""
    tx = one_payment(lab, ScriptType.P2PKH)
    block = lab.candidate([tx])
    encoded = tx.raw[:41] + b"\xfd" + bytes([tx.raw[41], 0]) + tx.raw[42:]
    return block.raw[: -len(tx.raw)] + encoded


# merkle tree


def wrong_root(lab: Lab) -> Block:
    return reblock(lab.candidate(), merkle_root=bytes(range(32)))


def swapped(lab: Lab) -> Block:
    block = lab.candidate([one_payment(lab), one_payment(lab)])
    return make_block(block.header, (block.txs[0], block.txs[2], block.txs[1]))


def left_out(lab: Lab) -> Block:
    block = lab.candidate([one_payment(lab), one_payment(lab)])
    return make_block(block.header, block.txs[:2])


def emptied(lab: Lab) -> Block:
    return make_block(lab.candidate().header, ())


def empty(lab: Lab) -> Block:
    return reblock(lab.candidate(), (), merkle_root=bytes(32))


def repeated(payments: int, last: int) -> Callable[[Lab], Block]:
    """The last transactions once more, which keeps the root (CVE-2012-2459)."""

    def mutate(lab: Lab) -> Block:
        block = lab.candidate([one_payment(lab) for _ in range(payments)])
        forged = make_block(block.header, (*block.txs, *block.txs[-last:]))
        assert reblock(forged).header.merkle_root == block.header.merkle_root
        return forged

    return mutate


def twice_in_the_middle(lab: Lab) -> Block:
    """Equal transactions that are no pair of the tree: a double spend and no mutation."""
    tx, other = one_payment(lab), one_payment(lab)
    return lab.candidate([tx, tx, other], fees=0)


def pair_in_the_middle(lab: Lab) -> Block:
    tx, others = one_payment(lab), [one_payment(lab) for _ in range(3)]
    return lab.candidate([others[0], tx, tx, *others[1:]], fees=0)


# coinbase


def no_coinbase(lab: Lab) -> Block:
    return reblock(lab.candidate(), [one_payment(lab, ScriptType.P2PKH)])


def coinbase_second(lab: Lab) -> Block:
    block = lab.candidate([one_payment(lab)])
    return reblock(block, block.txs[::-1])


def coinbase_of_two_inputs(lab: Lab) -> Block:
    block = lab.candidate()
    coinbase = remade(block.txs[0], inputs=(*block.txs[0].inputs, null_input()))
    return reblock(block, [coinbase])


def coinbase_spends(point: bytes) -> Callable[[Lab], Block]:
    """A first transaction that spends a coin by name, where the null outpoint should be."""

    def mutate(lab: Lab) -> Block:
        block = lab.candidate()
        return reblock(block, committed([with_input(block.txs[0], outpoint=OutPoint(point))]))

    return mutate


# 64 bytes


def stripped(size: int) -> Callable[[Lab], Tx]:
    """A payment of exactly so many bytes without its witness, to an odd little script."""

    def make(lab: Lab) -> Tx:
        [owned] = lab.take()
        tx = pay([owned], [TxOut(owned.coin.value - FEE, b"\x51" * (size - 60))])
        assert tx.stripped_size == size
        return tx

    return make


def coinbase_of(size: int) -> Callable[[Lab], Block]:
    """A coinbase of exactly so many bytes, in a block without commitment."""

    def mutate(lab: Lab) -> Block:
        script = height_push(lab.height + 1)
        tx = make_tx(1, (null_input(script),), (TxOut(1, b"\x51" * (size - 60 - len(script))),), 0)
        assert tx.stripped_size == tx.size == size
        return reblock(lab.candidate(), [tx])

    return mutate


# witness commitment


def commitments(
    change: Callable[[tuple[Tx, ...]], tuple[Tx, ...]], kind: ScriptType = ScriptType.P2WPKH
) -> Callable[[Lab], Block]:
    """A block with one payment whose transactions are changed, under a header of its own."""

    def mutate(lab: Lab) -> Block:
        block = lab.candidate([one_payment(lab, kind)])
        return reblock(block, change(block.txs))

    return mutate


def coinbase_witness(*items: bytes) -> Callable[[tuple[Tx, ...]], tuple[Tx, ...]]:
    """Another witness for the coinbase."""
    return lambda txs: (with_input(txs[0], witness=items), *txs[1:])


def without_commitment(txs: tuple[Tx, ...]) -> tuple[Tx, ...]:
    coinbase = remade(with_input(txs[0], witness=()), outputs=txs[0].outputs[:1])
    return (coinbase, *txs[1:])


def only_a_witness(txs: tuple[Tx, ...]) -> tuple[Tx, ...]:
    return (remade(txs[0], outputs=txs[0].outputs[:1]), *txs[1:])


def output_added(output: TxOut, position: int) -> Callable[[tuple[Tx, ...]], tuple[Tx, ...]]:
    """The coinbase with one more output."""

    def change(txs: tuple[Tx, ...]) -> tuple[Tx, ...]:
        outputs = list(txs[0].outputs)
        outputs.insert(position, output)
        return (remade(txs[0], outputs=tuple(outputs)), *txs[1:])

    return change


def commitment_script(alter: Callable[[bytes], bytes]) -> Callable[[tuple[Tx, ...]], tuple[Tx, ...]]:
    """The commitment's own script changed."""
    return lambda txs: (with_output(txs[0], 1, script=alter(txs[0].outputs[1].script)), *txs[1:])


def commitment_in_a_payment(lab: Lab) -> Block:
    block = lab.candidate([one_payment(lab)])
    promise = TxOut(0, COMMITMENT_PREFIX + commitment_hash(block.txs, bytes(32)))
    [owned] = lab.take()
    return reblock(block, [without_commitment(block.txs)[0], pay([owned], [TxOut(1000, lock()), promise])])


def commits_to_its_own_witness(lab: Lab) -> Block:
    """The coinbase has to count as zero, not as its wtxid."""
    block = lab.candidate([one_payment(lab)])
    from_wtxids = commitment_hash((block.txs[1], *block.txs), bytes(32))
    return reblock(block, commitment_script(lambda _: COMMITMENT_PREFIX + from_wtxids)(block.txs))


def stuffed(size: int) -> Callable[[Lab], Block]:
    """The honest header and its body, with so many bytes added to a witness."""

    def mutate(lab: Lab) -> Block:
        block = lab.candidate([one_payment(lab)])
        fat = with_input(block.txs[1], witness=(*block.txs[1].inputs[0].witness, bytes(size)))
        return make_block(block.header, (block.txs[0], fat))

    return mutate


def stuffed_coinbase(lab: Lab) -> Block:
    block = lab.candidate([one_payment(lab)])
    return make_block(block.header, (with_input(block.txs[0], witness=(bytes(32), bytes(4_100_000))), block.txs[1]))


def witness_stripped(lab: Lab) -> Block:
    """The honest block as a node from before segwit would pass it on."""
    block = lab.candidate([one_payment(lab)])
    return make_block(block.header, tuple(with_input(tx, witness=()) for tx in block.txs))


def legacy_only(lab: Lab) -> Block:
    block = lab.candidate([one_payment(lab, ScriptType.P2PKH)])
    return reblock(block, without_commitment(block.txs))


def reserved_value(lab: Lab) -> Block:
    block = lab.candidate([one_payment(lab)])
    return reblock(block, committed(block.txs, b"\xa5" * 32))


RIGHT = TxOut(0, COMMITMENT_PREFIX + bytes(32))

CASES = [
    Case("a byte after the block", bytes_of(lambda raw: raw + b"\x00"), Reject.MALFORMED),
    Case("the last byte is missing", bytes_of(lambda raw: raw[:-1]), Reject.MALFORMED),
    Case("only a header", bytes_of(lambda raw: raw[:80]), Reject.MALFORMED),
    Case("79 bytes", bytes_of(lambda raw: raw[:79]), Reject.MALFORMED),
    Case("no bytes", lambda _: b"", Reject.MALFORMED),
    Case("one transaction too few", bytes_of(lambda raw: raw[:80] + b"\x03" + raw[81:]), Reject.MALFORMED),
    Case("one transaction too many", bytes_of(lambda raw: raw[:80] + b"\x01" + raw[81:]), Reject.MALFORMED),
    Case(
        "the count is over all bounds", bytes_of(lambda raw: raw[:80] + varint(2**64 - 1) + raw[81:]), Reject.MALFORMED
    ),
    Case("the count takes more bytes than it needs", long_count, Reject.MALFORMED),
    Case("a script length takes more bytes than it needs", long_script_length, Reject.MALFORMED),
    Case("a witness record with nothing in it", superfluous_witness, Reject.MALFORMED),
    Case("flag byte 2", flag(2), Reject.MALFORMED),
    Case("flag byte 3", flag(3), Reject.MALFORMED),
    Case("no transactions", empty, Reject.BLOCK_LENGTH),
    Case("no transactions under an honest header", emptied, Reject.BLOCK_LENGTH, core="bad-txnmrklroot"),
    Case("a merkle root of something else", wrong_root, Reject.MERKLE_ROOT),
    Case("transactions in another order", swapped, Reject.MERKLE_ROOT),
    Case("a transaction left out", left_out, Reject.MERKLE_ROOT),
    Case("the last of three transactions twice", repeated(2, 1), Reject.MUTATED),
    Case("the last of five transactions twice", repeated(4, 1), Reject.MUTATED),
    Case("the last two of six transactions twice", repeated(5, 2), Reject.MUTATED),
    Case("an equal pair in the middle of the tree", pair_in_the_middle, Reject.MUTATED),
    Case("equal neighbours that are no pair", twice_in_the_middle, Reject.INPUTS_MISSING_OR_SPENT),
    Case("only a payment", no_coinbase, Reject.CB_MISSING),
    Case("the coinbase comes second", coinbase_second, Reject.CB_MISSING),
    Case("a coinbase of two inputs", coinbase_of_two_inputs, Reject.CB_MISSING),
    Case("a coinbase that spends index 0 of nothing", coinbase_spends(bytes(36)), Reject.CB_MISSING),
    Case(
        "a coinbase that spends the last index of something",
        coinbase_spends(b"\x01" + bytes(31) + b"\xff" * 4),
        Reject.CB_MISSING,
    ),
    Case("a payment of 64 bytes", block_of(stripped(64)), Reject.TX_SIZE_SMALL, stricter=Stricter.SIZE_64),
    Case("a coinbase of 64 bytes", coinbase_of(64), Reject.TX_SIZE_SMALL, stricter=Stricter.SIZE_64),
    *(Case(f"a payment of {size} bytes", block_of(stripped(size)), None) for size in (61, 63, 65)),
    Case("a coinbase of 63 bytes", coinbase_of(63), None),
    Case("a coinbase of 65 bytes", coinbase_of(65), None),
    Case("witnesses and no commitment", commitments(without_commitment), Reject.UNEXPECTED_WITNESS),
    Case(
        "a coinbase witness and no commitment", commitments(only_a_witness, ScriptType.P2PKH), Reject.UNEXPECTED_WITNESS
    ),
    Case("the commitment is in a payment", commitment_in_a_payment, Reject.UNEXPECTED_WITNESS),
    Case(
        "the commitment is a byte short",
        commitments(commitment_script(lambda script: script[:-1])),
        Reject.UNEXPECTED_WITNESS,
    ),
    Case(
        "the commitment starts with something else",
        commitments(commitment_script(lambda script: b"\x6a\x24\xaa\x21\xa9\xee" + script[6:])),
        Reject.UNEXPECTED_WITNESS,
    ),
    Case("a commitment without a coinbase witness", commitments(coinbase_witness()), Reject.WITNESS_NONCE),
    Case("a coinbase witness of two items", commitments(coinbase_witness(bytes(32), bytes(32))), Reject.WITNESS_NONCE),
    Case("a coinbase witness of one empty item", commitments(coinbase_witness(b"")), Reject.WITNESS_NONCE),
    Case("a coinbase witness of 31 bytes", commitments(coinbase_witness(bytes(31))), Reject.WITNESS_NONCE),
    Case("a coinbase witness of 33 bytes", commitments(coinbase_witness(bytes(33))), Reject.WITNESS_NONCE),
    Case(
        "another reserved value than committed to", commitments(coinbase_witness(b"\x01" * 32)), Reject.WITNESS_MERKLE
    ),
    Case(
        "a commitment to something else",
        commitments(commitment_script(lambda script: script[:6] + bytes(32))),
        Reject.WITNESS_MERKLE,
    ),
    Case("a wrong commitment after the right one", commitments(output_added(RIGHT, 2)), Reject.WITNESS_MERKLE),
    Case("a commitment that counts the coinbase's witness", commits_to_its_own_witness, Reject.WITNESS_MERKLE),
    Case("one more witness item under an honest header", stuffed(1), Reject.WITNESS_MERKLE),
    Case("4.1 MB of witness under an honest header", stuffed(4_100_000), Reject.WITNESS_MERKLE),
    Case("4.1 MB of coinbase witness under an honest header", stuffed_coinbase, Reject.WITNESS_NONCE),
    Case("all witnesses gone under an honest header", witness_stripped, Reject.WITNESS_NONCE),
    Case("a wrong commitment before the right one", commitments(output_added(RIGHT, 0)), None),
    Case("a short commitment after the right one", commitments(output_added(TxOut(0, RIGHT.script[:37]), 2)), None),
    Case("more bytes after the commitment", commitments(commitment_script(lambda script: script + b"more")), None),
    Case("a commitment to no witness but the coinbase's", commitments(lambda txs: txs, ScriptType.P2PKH), None),
    Case("neither commitment nor witnesses", legacy_only, None),
    Case("a reserved value other than zero", reserved_value, None),
]
