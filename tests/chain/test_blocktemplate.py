"""Blocks made here pass every check, on every network."""

import pytest

from chain.block import commitment_hash, decode_block, make_block, witness_commitment
from chain.blocktemplate import TAG_MAX, VERSION, build_block, solve, with_nonce
from chain.connect import height_push
from chain.params import REGTEST, Asert, Params, devnet_params
from chain.pow import check_pow
from chain.scripttype import ScriptType
from chain.target import target_from_bits
from tests.chainlab import KINDS, NOW, Lab, funded, lock, pay

QUICK = Params("quick", 0x207FFFFF, 20, 60, True, Asert(10, 150, 8, 0x1F7FFFFF, 150))
"""Difficulty from height 8 on, at some 500 hashes a block."""


def test_an_unsolved_block_is_complete_but_for_its_nonce() -> None:
    lab = funded()
    tx = pay(lab.take(), fee=777)
    block = build_block(lab.tip, [tx], 777, lock(ScriptType.P2TR), NOW, REGTEST, 5)
    assert decode_block(block.raw) == block
    assert (block.header.version, block.header.nonce, block.header.time) == (VERSION, 0, NOW)
    assert block.txs[1:] == (tx,)
    coinbase = block.txs[0]
    assert coinbase.inputs[0].script_sig.startswith(height_push(113))
    assert coinbase.outputs[0].script == lock(ScriptType.P2TR)
    assert coinbase.outputs[0].value == 50 * 100_000_000 + 777
    assert witness_commitment(coinbase) == commitment_hash(block.txs, bytes(32))
    header = solve(block.header, 1000)
    assert header is not None
    lab.verdict(make_block(header, block.txs))


@pytest.mark.parametrize("tag", [b"", b"/x/", bytes(range(TAG_MAX))])
@pytest.mark.parametrize("height", [0, 200])
def test_a_miners_tag_is_in_the_coinbase_and_keeps_to_its_size(tag: bytes, height: int) -> None:
    lab = Lab()
    for _ in range(height):
        lab.mine()
    block = build_block(lab.tip, [], 0, lock(), NOW, REGTEST, 2**64 - 1, tag)
    assert tag in block.txs[0].inputs[0].script_sig
    header = solve(block.header, 1000)
    assert header is not None
    lab.verdict(make_block(header, block.txs))


@pytest.mark.parametrize("params", [REGTEST, QUICK], ids=lambda params: params.name)
def test_a_chain_of_templates_is_valid(params: Params) -> None:
    """Through a halving, and on "quick" over the anchor with its harder bits."""
    lab = Lab(params)
    for height in range(1, 26):
        lab.mine(time=NOW - 3000 + 10 * height)
    values = [block.txs[0].outputs[0].value for block in lab.blocks]
    bits = [block.header.bits for block in lab.blocks]
    if params is QUICK:
        assert values == [5_000_000_000] * 19 + [2_500_000_000] * 6
        assert bits[:7] == [0x207FFFFF] * 7
        assert all(target_from_bits(b) < target_from_bits(0x1F7FFFFF) * 2 for b in bits[7:])
    else:
        assert set(bits) == {0x207FFFFF}


def test_blocks_with_payments_of_every_kind_are_valid() -> None:
    lab = funded()
    for kind in KINDS:
        lab.mine([pay(lab.take(kind, 2)), pay(lab.take(kind))], script=lock(kind, 3))
    assert lab.height == 115


def test_times_go_up_where_the_clock_does_not() -> None:
    """A clock that stands still, or behind the chain, gives the first second that is allowed."""
    lab = Lab()
    for _ in range(30):
        block = lab.mine(time=0)
        assert block.header.time == lab.tip.header.time
    times = [block.header.time for block in lab.blocks]
    assert times == sorted(times)
    assert build_block(lab.tip, [], 0, b"", 0, REGTEST).header.time == lab.tip.median_time + 1


def test_extra_nonces_make_different_blocks() -> None:
    lab = funded()
    nonces = (0, 1, 2**32, 2**64 - 1)
    blocks = [lab.candidate(extra_nonce=nonce) for nonce in nonces]
    assert len({block.header.merkle_root for block in blocks}) == len(nonces)
    for block in blocks:
        lab.verdict(block)


def test_coinbase_scripts_stay_within_their_bounds() -> None:
    """At any height, with the largest extra nonce."""
    for height in (1, 16, 17, 2**31 - 2):
        assert 2 <= len(height_push(height)) + 9 <= 100


def test_solving_finds_the_first_nonce() -> None:
    block = build_block(funded().tip, [], 0, b"\x51", NOW, REGTEST)
    header = solve(block.header, 1000)
    assert header is not None
    check_pow(header, REGTEST)
    target = target_from_bits(header.bits)
    for nonce in range(header.nonce):
        assert int.from_bytes(with_nonce(block.header, nonce).hash, "little") > target
    assert solve(block.header, header.nonce) is None
    assert solve(block.header, header.nonce + 1) == header
    assert solve(block.header, 0) is None


def test_devnets_first_block_takes_real_work() -> None:
    params = devnet_params()
    block = build_block(Lab(params).tip, [], 0, b"\x51", NOW, params)
    assert block.header.bits == 0x1F03FFFF
    header = solve(block.header, 1 << 20)
    assert header is not None
    assert int.from_bytes(header.hash, "little") < 1 << 242
    check_pow(header, params)
