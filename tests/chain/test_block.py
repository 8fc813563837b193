"""Blocks: Bitcoin's own first 255 and one of 2016, merkle trees, commitments."""

import bz2
import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.block import (
    HEADER_SIZE,
    Block,
    TxLookup,
    commitment_hash,
    decode_block,
    decode_header,
    make_block,
    make_header,
    merkle_branch,
    merkle_root,
    tx_offsets,
    witness_commitment,
)
from chain.errors import Invalid, Reject
from chain.hashes import BlockHash, sha256d, to_hex
from chain.params import GENESIS, Params
from chain.pow import check_pow
from chain.target import target_from_bits
from chain.tx import NULL_OUTPOINT, TxIn, TxOut, decode_tx, make_tx, outpoint
from tests.chain.strategies import BLOCKS

MAINNET = Params("mainnet", 0x1D00FFFF, 210_000, 7200, False, None)
MAINNET_MAGIC = bytes.fromhex("f9beb4d9")


def check_real_block(raw: bytes) -> Block:
    """Everything that a real block says about itself is so."""
    block = decode_block(raw)
    assert make_block(block.header, block.txs).raw == raw
    assert merkle_root([tx.txid for tx in block.txs]) == (block.header.merkle_root, False)
    check_pow(block.header, MAINNET)
    for tx, offset in zip(block.txs, tx_offsets(block), strict=True):
        assert decode_tx(raw[offset : offset + tx.size]) == tx
        assert make_tx(tx.version, tx.inputs, tx.outputs, tx.lock_time) == tx
        assert tx.txid == hashlib.sha256(hashlib.sha256(tx.raw).digest()).digest()  # all before segwit
    return block


def test_the_first_255_blocks_of_mainnet(vectors: Path) -> None:
    content = bz2.decompress((vectors / "mainnet_blocks_1-256.bz2").read_bytes())
    blocks, pos = [], 0
    while pos < len(content):
        assert content[pos : pos + 4] == MAINNET_MAGIC
        end = pos + 8 + int.from_bytes(content[pos + 4 : pos + 8], "little")
        blocks.append(check_real_block(content[pos + 8 : end]))
        pos = end
    assert len(blocks) == 255
    assert to_hex(blocks[0].header.prev_hash) == "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
    assert to_hex(blocks[0].hash) == "00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048"
    assert [b.header.prev_hash for b in blocks[1:]] == [b.hash for b in blocks[:-1]]
    # Block 170: the first payment, from Satoshi Nakamoto to Hal Finney.
    assert to_hex(blocks[169].txs[1].txid) == "f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16"


def test_block_413567(vectors: Path) -> None:
    block = check_real_block((vectors / "mainnet_block_413567.raw").read_bytes())
    assert to_hex(block.hash) == "0000000000000000025aff8be8a55df8f89c77296db6198f272d6577325d4069"
    assert (len(block.txs), block.size) == (1557, 999887)
    assert block.stripped_size == block.size
    assert block.weight == 4 * block.size
    leaves: list[bytes] = [tx.txid for tx in block.txs]
    for position in (0, 1, 778, 1555, 1556):
        assert climb(leaves[position], position, merkle_branch(leaves, position)) == block.header.merkle_root


def climb(leaf: bytes, position: int, branch: list[bytes]) -> bytes:
    """The root that a branch proves."""
    node = leaf
    for sibling in branch:
        node = sha256d(sibling + node if position & 1 else node + sibling)
        position >>= 1
    return node


def test_genesis_is_regtests() -> None:
    assert to_hex(GENESIS.hash) == "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
    assert to_hex(GENESIS.header.merkle_root) == "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
    assert merkle_root([GENESIS.txs[0].txid])[0] == GENESIS.header.merkle_root
    assert GENESIS.header.bits == 0x207FFFFF
    assert int.from_bytes(GENESIS.hash, "little") <= target_from_bits(0x207FFFFF)


@given(BLOCKS)
def test_decode_gives_back_what_was_encoded(block: Block) -> None:
    assert decode_block(block.raw) == block
    assert block.size == len(block.raw)
    assert block.weight == 3 * block.stripped_size + block.size


@given(BLOCKS, st.data())
def test_mutants_decode_to_themselves_or_are_malformed(block: Block, draw: st.DataObject) -> None:
    raw = bytearray(block.raw)
    at = draw.draw(st.integers(0, len(raw)))
    width = draw.draw(st.integers(0, 3))
    raw[at : at + width] = draw.draw(st.binary(max_size=4))
    try:
        mutant = decode_block(bytes(raw))
    except Invalid as refused:
        code = refused.code
    else:
        assert make_block(mutant.header, mutant.txs).raw == bytes(raw)
        return
    assert code is Reject.MALFORMED


@given(BLOCKS, st.data())
def test_truncations_and_trailing_bytes_are_malformed(block: Block, draw: st.DataObject) -> None:
    cut = block.raw[: draw.draw(st.integers(0, len(block.raw) - 1))]
    for raw in (cut, block.raw + b"\x00"):
        with pytest.raises(Invalid) as refused:
            decode_block(raw)
        assert refused.value.code is Reject.MALFORMED


def test_what_is_known_is_not_decoded_again() -> None:
    """Known are: the second payment with other witnesses, the third as it is; the rest is new."""
    payments = [
        make_tx(2, (TxIn(outpoint(GENESIS.txs[0].txid, n), b"", 0, (b"%d" % n,)),), (TxOut(n, b"\x51"),), 0)
        for n in range(4)
    ]
    spent = payments[1].inputs[0].outpoint
    resigned = make_tx(2, (TxIn(spent, b"", 0, (b"else",)),), payments[1].outputs, 0)
    block = make_block(GENESIS.header, (GENESIS.txs[0], *payments))
    asked = {tx.inputs[0].outpoint: tx for tx in (resigned, payments[2])}
    decoded = decode_block(block.raw, asked.get)
    assert decoded == block
    assert [tx is known for tx, known in zip(decoded.txs, block.txs, strict=True)] == [False, False, False, True, False]


@given(BLOCKS, st.data())
def test_knowing_a_transaction_changes_nothing(block: Block, draw: st.DataObject) -> None:
    """Whatever the lookup says, a block decodes to what it decodes to without it."""
    guess = draw.draw(st.sampled_from((*block.txs, None)))
    assert decode_block(block.raw, lambda _: guess) == block
    cut = block.raw[: draw.draw(st.integers(0, len(block.raw) - 1))]
    with pytest.raises(Invalid):
        decode_block(cut, lambda _: guess)
    mutant = bytearray(block.raw)
    mutant[draw.draw(st.integers(HEADER_SIZE, len(mutant) - 1))] ^= 1 << draw.draw(st.integers(0, 7))
    assert outcome(bytes(mutant), lambda _: guess) == outcome(bytes(mutant), None)


def outcome(raw: bytes, known: TxLookup | None) -> Block | Reject:
    """What the bytes decode to, or why they do not."""
    try:
        return decode_block(raw, known)
    except Invalid as refused:
        return Reject(refused.code)


def test_what_is_known_may_have_as_many_inputs_as_it_likes() -> None:
    """With 253 or more the place of the first outpoint is another: it is decoded then, and right."""
    for count in (1, 2, 252, 253, 254, 300):
        points = [outpoint(GENESIS.txs[0].txid, number) for number in range(count)]
        tx = make_tx(2, tuple(TxIn(point, b"", 0, (b"x",)) for point in points), (TxOut(1, b"\x51"),), 0)
        block = make_block(GENESIS.header, (GENESIS.txs[0], tx))
        decoded = decode_block(block.raw, dict.fromkeys(points, tx).get)
        assert decoded == block
        assert (decoded.txs[1] is tx) == (count < 253)


@pytest.mark.parametrize("size", [0, 79, 81])
def test_headers_have_80_bytes(size: int) -> None:
    with pytest.raises(Invalid):
        decode_header(bytes(size))


@pytest.mark.parametrize("version", [-(2**31), -1, 0, 4, 2**31 - 1])
def test_header_versions_are_signed(version: int) -> None:
    header = make_header(version, BlockHash(bytes(32)), bytes(32), 1, 2, 3)
    assert decode_header(header.raw) == header
    assert len(header.raw) == HEADER_SIZE


# merkle trees

LEAVES = [sha256d(bytes([n])) for n in range(12)]


def naive_root(level: list[bytes]) -> bytes:
    """The tree as its definition reads."""
    if len(level) == 1:
        return level[0]
    pairs = [(level[i], level[min(i + 1, len(level) - 1)]) for i in range(0, len(level), 2)]
    return naive_root([sha256d(left + right) for left, right in pairs])


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40, unique=True), st.data())
def test_roots_and_branches(leaves: list[bytes], draw: st.DataObject) -> None:
    root, mutated = merkle_root(leaves)
    assert (root, mutated) == (naive_root(leaves), False)
    position = draw.draw(st.integers(0, len(leaves) - 1))
    assert climb(leaves[position], position, merkle_branch(leaves, position)) == root


@pytest.mark.parametrize(
    ("count", "repeated"),
    [(3, 1), (5, 1), (6, 2), (7, 1), (10, 2), (12, 4)],
)
def test_repeating_the_last_leaves_keeps_the_root_and_is_seen(count: int, repeated: int) -> None:
    """CVE-2012-2459: at the leaves (odd counts) and at inner levels (6 + 2, 10 + 2, 12 + 4)."""
    honest = LEAVES[:count]
    forged = honest + honest[count - repeated :]
    assert merkle_root(honest)[0] == merkle_root(forged)[0]
    assert not merkle_root(honest)[1]
    assert merkle_root(forged)[1]


def test_equal_neighbours_of_different_pairs_are_no_mutation() -> None:
    a, b, c = LEAVES[:3]
    assert merkle_root([a, b, b, c])[1] is False
    assert merkle_root([b, b, a, c])[1] is True
    assert merkle_root([a, c, b, b])[1] is True


def test_the_root_of_nothing_is_zero() -> None:
    assert merkle_root([]) == (bytes(32), False)


# the witness commitment

HEAD = bytes.fromhex("6a24aa21a9ed")


def commit(*scripts: bytes) -> bytes | None:
    """What a coinbase with these outputs commits to."""
    coinbase = make_tx(1, (TxIn(NULL_OUTPOINT, b"", 0),), tuple(TxOut(0, script) for script in scripts), 0)
    return witness_commitment(coinbase)


def test_the_last_fitting_output_commits() -> None:
    one, two = bytes([1]) * 32, bytes([2]) * 32
    assert commit(HEAD + one) == one
    assert commit(HEAD + one, HEAD + two, b"") == two
    assert commit(HEAD + one, HEAD + two[:31]) == one  # 37 bytes: too short to count
    assert commit(HEAD + one + b"more") == one
    assert commit(b"\x00" + HEAD + one) is None
    assert commit(bytes.fromhex("6a24aa21a9ee") + one) is None
    assert commit() is None


def test_the_commitment_leaves_the_coinbases_own_witness_out() -> None:
    spent = TxIn(NULL_OUTPOINT, b"", 0, (b"x" * 32,))
    coinbase = make_tx(1, (spent,), (), 0)
    other = make_tx(1, (TxIn(LEAVES_POINT, b"", 0, (b"y",)),), (), 0)
    expected = sha256d(sha256d(bytes(32) + other.wtxid) + b"r" * 32)
    assert commitment_hash((coinbase, other), b"r" * 32) == expected


LEAVES_POINT = decode_tx(GENESIS.txs[0].raw).inputs[0].outpoint
