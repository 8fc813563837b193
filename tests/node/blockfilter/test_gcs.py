"""Filters against BIP158's own vectors, SipHash against its authors', and both against a reader's code."""

import json
import random
from pathlib import Path

import pytest

from chain.block import decode_block
from chain.coins import Coin
from chain.hashes import BlockHash, from_hex, to_hex
from chain.params import GENESIS
from chain.tx import TxOut
from node.blockfilter.gcs import NO_HEADER, basic_filter, encode_set, filter_header
from node.blockfilter.siphash import LANES_MAX, siphash_many
from tests.node.blockfilter.golomb import decoded, matches, siphash

KEY = bytes(range(16))
# Of the messages 00, 00 01, ... 00 01 ... 0e: the end of the paper's table.
PAPER = {0: 0x726FDB47DD0E0E31, 1: 0x74F839C593DC67FD, 8: 0x93F5F5799A932462, 15: 0xA129CA6149BE45E5}


def test_the_vectors_of_bip158(vectors: Path) -> None:
    rows = json.loads((vectors / "bip158_testnet.json").read_text())[1:]
    assert len(rows) == 10
    for height, block_hash, raw, scripts, previous, encoded, header, note in rows:
        block = decode_block(bytes.fromhex(raw))
        assert to_hex(block.hash) == block_hash
        spent = [Coin.make(1, False, TxOut(1, bytes.fromhex(script))) for script in scripts]
        made = basic_filter(block, spent)
        assert made.hex() == encoded, (height, note)
        assert to_hex(filter_header(made, from_hex(previous))) == header, (height, note)


def test_genesis_needs_no_vectors() -> None:
    made = basic_filter(GENESIS, ())
    assert matches(made, GENESIS.hash, GENESIS.txs[0].outputs[0].script)
    assert filter_header(made, NO_HEADER) != NO_HEADER


@pytest.mark.parametrize(("size", "hashed"), PAPER.items())
def test_siphash_of_the_paper(size: int, hashed: int) -> None:
    message = bytes(range(size))
    assert siphash_many(KEY, [message]) == [hashed] == [siphash(KEY, message)]


@pytest.mark.parametrize("count", [0, 1, 2, LANES_MAX - 1, LANES_MAX, LANES_MAX + 1, 3 * LANES_MAX + 5])
def test_lanes_do_not_touch_each_other(count: int) -> None:
    rng = random.Random(count)
    sizes = [0, 7, 8, 22, 25, 34, 34, 34, 255, 256, 10_000]
    # All bits set carry the most.
    messages = [rng.choice((rng.randbytes, lambda size: b"\xff" * size))(rng.choice(sizes)) for _ in range(count)]
    key = rng.randbytes(16)
    assert sorted(siphash_many(key, messages)) == sorted(siphash(key, message) for message in messages)


@pytest.mark.parametrize("count", [0, 1, 100, 252, 253, 3000])
def test_a_reader_finds_all_that_is_in_it_and_little_else(count: int) -> None:
    rng = random.Random(count)
    block_hash = BlockHash(rng.randbytes(32))
    scripts = {rng.randbytes(22) for _ in range(count)}
    encoded = encode_set(block_hash, scripts)
    numbers = list(decoded(encoded))
    assert len(numbers) == count
    assert numbers == sorted(numbers)
    inside = set(numbers)
    span = count * 784_931

    def said(script: bytes) -> bool:
        return siphash(block_hash[:16], script) * span >> 64 in inside

    assert all(said(script) for script in scripts)
    assert sum(said(rng.randbytes(22)) for _ in range(500)) <= 1
    assert len(encoded) <= 3 + count * 22 // 8 + 1
