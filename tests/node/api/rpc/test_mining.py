"""submitblock, a test for every word that it has, and what a miner wants to know."""

from collections.abc import Callable
from typing import Any

import pytest

from chain.block import Block, make_block
from chain.connect import height_push, subsidy
from chain.hashes import to_hex
from chain.params import GENESIS, REGTEST, devnet_params
from chain.tx import Tx, outpoint
from node.runtime.protocols import Switch
from tests.chainlab import (
    Lab,
    Owned,
    committed,
    funded,
    made_by,
    pay,
    reblock,
    remade,
    unsolved,
    with_coinbase,
    with_input,
    with_output,
)
from tests.node.api.conftest import MakeDesk
from tests.node.api.desk import Desk

DIFFICULTY = 4.6565423739069247e-10


def forged(tx: Tx) -> Tx:
    """The same with a signature that is well formed and wrong."""
    signature, key = tx.inputs[0].witness
    return with_input(tx, witness=(signature[:-2] + bytes((signature[-2] ^ 1,)) + signature[-1:], key))


def with_txs(block: Block, *txs: Tx) -> Block:
    """The block with these behind its coinbase, everything committed to."""
    return reblock(block, committed((block.txs[0], *txs)))


def with_script(block: Block, script: bytes) -> Block:
    return with_coinbase(block, lambda tx: with_input(tx, script_sig=script))


def with_amount(block: Block, lab: Lab, more: int) -> Block:
    most = subsidy(lab.height + 1, REGTEST)
    return with_coinbase(block, lambda tx: with_output(tx, value=most + more))


def unknown_coin(lab: Lab) -> Tx:
    [owned] = lab.take()
    return pay([Owned(outpoint(bytes(32), 5), owned.coin)])


def with_last_twice(block: Block) -> Block:
    """Three transactions hash to the same merkle root as four of which two are equal (CVE-2012-2459)."""
    return make_block(block.header, (*block.txs, block.txs[-1]))


INVALID: dict[str, Callable[[Block, Lab], Block]] = {
    # This body only: the header may be an honest one's.
    "high-hash": lambda good, lab: make_block(unsolved(good.header), good.txs),
    "bad-blk-length": lambda good, lab: make_block(good.header, ()),
    "bad-txnmrklroot": lambda good, lab: make_block(reblock(good, merkle_root=bytes(32)).header, good.txs),
    "bad-cb-missing": lambda good, lab: reblock(good, (pay(lab.take()),)),
    "bad-txns-duplicate": lambda good, lab: with_last_twice(with_txs(good, pay(lab.take()), pay(lab.take()))),
    "unexpected-witness": lambda good, lab: with_coinbase(good, lambda tx: remade(tx, outputs=tx.outputs[:1])),
    "bad-witness-nonce-size": lambda good, lab: with_coinbase(good, lambda tx: with_input(tx, witness=(bytes(31),))),
    "bad-witness-merkle-match": lambda good, lab: with_coinbase(good, lambda tx: with_input(tx, witness=(b"x" * 32,))),
    # The block, whatever it stands on: then its header is not looked at (Core).
    "bad-cb-multiple": lambda good, lab: with_txs(good, with_input(good.txs[0], sequence=5, witness=())),
    "bad-cb-length": lambda good, lab: with_script(good, bytes(101)),
    "bad-txns-vout-negative": lambda good, lab: with_coinbase(good, lambda tx: with_output(tx, value=-1)),
    # The header.
    "prev-blk-not-found": lambda good, lab: reblock(good, prev_hash=bytes(32)),
    "time-too-old": lambda good, lab: reblock(good, time=lab.tip.median_time),
    "time-too-new": lambda good, lab: reblock(good, time=2**32 - 1),
    "bad-diffbits": lambda good, lab: reblock(good, bits=0x207FFFFE),
    "bad-version": lambda good, lab: reblock(good, version=3),
}
"""What leaves no mark: the same block is answered the same again."""

MARKED: dict[str, Callable[[Block, Lab], Block]] = {
    "bad-cb-height": lambda good, lab: with_script(good, height_push(lab.height)),
    "bad-cb-amount": lambda good, lab: with_amount(good, lab, 1),
    "bad-txns-nonfinal": lambda good, lab: with_txs(good, pay(lab.take(), lock_time=lab.height + 1, sequences=[0])),
    "bad-txns-inputs-missingorspent": lambda good, lab: with_txs(good, unknown_coin(lab)),
    "bad-txns-in-belowout": lambda good, lab: with_txs(good, pay(lab.take(), fee=-1)),
    "bad-txns-premature-spend-of-coinbase": lambda good, lab: with_txs(
        good, pay([made_by(lab.blocks[-1].txs[0], 0, lab.height)])
    ),
    "block-script-verify-flag-failed": lambda good, lab: with_txs(good, forged(pay(lab.take()))),
}
"""What is remembered: the same block again is a duplicate."""


@pytest.mark.parametrize("word", INVALID)
def test_words_for_bodies_and_headers(desk: Desk, lab: Lab, word: str) -> None:
    block = INVALID[word](lab.candidate(), lab.copy())
    for _ in range(2):
        assert desk.rpc("submitblock", block.raw.hex()) == word
    assert desk.rpc("getbestblockhash") == to_hex(lab.tip.hash)
    assert desk.rpc("submitblock", lab.candidate().raw.hex()) is None


@pytest.mark.parametrize("word", MARKED)
def test_words_for_invalid_blocks(desk: Desk, lab: Lab, word: str) -> None:
    block = MARKED[word](lab.candidate(), lab.copy())
    assert desk.rpc("submitblock", block.raw.hex()) == word
    assert desk.rpc("submitblock", block.raw.hex()) == "duplicate-invalid"
    above = reblock(lab.candidate(), prev_hash=block.hash, time=block.header.time + 1)
    assert desk.rpc("submitblock", above.raw.hex()) == "bad-prevblk"
    assert desk.rpc("getbestblockhash") == to_hex(lab.tip.hash)
    assert desk.rpc("submitblock", lab.candidate().raw.hex()) is None


@pytest.mark.parametrize(
    ("word", "child"),
    [
        ("bad-txnmrklroot", "prev-blk-not-found"),
        ("bad-cb-multiple", "prev-blk-not-found"),
        ("unexpected-witness", "inconclusive"),
        ("bad-witness-nonce-size", "inconclusive"),
        ("bad-witness-merkle-match", "inconclusive"),
    ],
)
def test_words_for_what_stands_on_a_refused_body(desk: Desk, lab: Lab, word: str, child: str) -> None:
    """Where only the witnesses are not its own the header is kept; tests/oracle/test_branches.py asks Core."""
    block = INVALID[word](lab.candidate(), lab.copy())
    assert desk.rpc("submitblock", block.raw.hex()) == word
    above = lab.candidate(time=block.header.time + 1)
    above = with_script(reblock(above, prev_hash=block.hash), height_push(lab.height + 2))
    assert desk.rpc("submitblock", above.raw.hex()) == child
    assert desk.rpc("getbestblockhash") == to_hex(lab.tip.hash)


@pytest.mark.parametrize("word", ["bad-cb-height", "bad-txns-nonfinal"])
def test_what_its_place_decides_is_refused_beside_the_best_chain_too(desk: Desk, lab: Lab, word: str) -> None:
    beside, made = lab.copy(), lab.mine()
    desk.give([made])
    block = MARKED[word](beside.candidate(extra_nonce=9), beside)
    assert desk.rpc("submitblock", block.raw.hex()) == word
    assert desk.rpc("submitblock", block.raw.hex()) == "duplicate-invalid"
    assert [tip["status"] for tip in desk.rpc("getchaintips")] in (["active"], ["active", "invalid"])


def test_words_for_valid_blocks(desk: Desk, lab: Lab) -> None:
    block, rival = lab.candidate(), lab.candidate(extra_nonce=7)
    assert desk.rpc("submitblock", block.raw.hex()) is None
    assert desk.rpc("submitblock", hexdata=block.raw.hex(), dummy="x") == "duplicate"
    assert desk.rpc("submitblock", rival.raw.hex()) == "inconclusive"
    assert desk.rpc("submitblock", rival.raw.hex()) == "duplicate-inconclusive"
    assert desk.rpc("submitblock", lab.blocks[3].raw.hex()) == "duplicate"
    assert desk.rpc("submitblock", GENESIS.raw.hex()) == "duplicate"
    less = lab.copy()
    less.accept(block)
    assert desk.rpc("submitblock", with_amount(less.candidate(), less, -5).raw.hex()) is None


def test_what_is_no_block(desk: Desk, lab: Lab) -> None:
    good = lab.candidate().raw.hex()
    failed = (-22, "Block decode failed")
    for wrong in (
        "",
        "zz",
        good[:-2],
        good[:-1],
        good + "00",
        good[:160],
        "é",
        " " + good,
        good[:40] + " " + good[40:],
    ):
        assert desk.rpc_error("submitblock", wrong) == failed
    assert desk.rpc_error("submitblock", 5) == (-3, "JSON value of type number is not of expected type string")
    assert desk.rpc("submitblock", "00" * 81) == "high-hash"  # a header of zeros without transactions


def bare(block: Block) -> Block:
    """The block as minerd hands it in: without the coinbase's witness."""
    stripped = make_block(block.header, (with_input(block.txs[0], witness=()), *block.txs[1:]))
    assert stripped.txs[0].txid == block.txs[0].txid
    assert not stripped.txs[0].has_witness
    return stripped


def test_the_coinbase_witness_is_added(desk: Desk, lab: Lab) -> None:
    block = lab.candidate([pay(lab.take())])
    assert desk.rpc("submitblock", bare(block).raw.hex()) is None
    assert desk.get(f"/block/{to_hex(block.hash)}/raw").body == block.raw
    assert desk.rpc("submitblock", bare(block).raw.hex()) == "duplicate"


def test_no_witness_is_added_where_nothing_commits_to_one(desk: Desk, lab: Lab) -> None:
    block = with_coinbase(bare(lab.candidate()), lambda tx: remade(tx, outputs=tx.outputs[:1]))
    assert desk.rpc("submitblock", block.raw.hex()) is None
    assert desk.get(f"/block/{to_hex(block.hash)}/raw").body == block.raw


# what a miner wants to know


def hashes_a_second(lab: Lab, first: int, last: int) -> Any:
    times = [(GENESIS if height == 0 else lab.blocks[height - 1]).header.time for height in range(first, last + 1)]
    return pytest.approx(2 * (last - first) / (max(times) - min(times)))


def test_getmininginfo(desk: Desk, lab: Lab) -> None:
    work = {"bits": "207fffff", "difficulty": DIFFICULTY, "target": "7fffff" + "00" * 29}
    info = {
        "blocks": 112,
        **work,
        "networkhashps": hashes_a_second(lab, 0, 112),
        "pooledtx": 0,
        "chain": "regtest",
        "network": "regtest",
        "next": {"height": 113, **work},
        "warnings": [],
    }
    assert desk.rpc("getmininginfo") == info
    tx = pay(lab.take())
    desk.pool(tx)
    desk.rpc("getblocktemplate", {"rules": ["segwit"]})
    assert desk.rpc("getmininginfo") == info | {
        "pooledtx": 1,
        "currentblockweight": 8000 + tx.weight,
        "currentblocktx": 1,
    }


def test_getmininginfo_where_difficulty_moves(make_desk: MakeDesk) -> None:
    lab = Lab(devnet_params(0x1F00FFFF, spacing_s=1))
    desk = make_desk(params=lab.params)
    info = desk.rpc("getmininginfo")
    assert (info["bits"], info["next"]["bits"]) == ("207fffff", "1f03ffff")
    assert info["next"]["difficulty"] == pytest.approx(0xFFFF * 2**208 / (0x3FFFF * 2 ** (8 * 28)))


def test_getnetworkhashps(shared: Desk) -> None:
    lab = funded()
    assert shared.rpc("getnetworkhashps") == hashes_a_second(lab, 0, 112)
    assert shared.rpc("getnetworkhashps", 10) == hashes_a_second(lab, 102, 112)
    assert shared.rpc("getnetworkhashps", nblocks=10, height=50) == hashes_a_second(lab, 40, 50)
    assert shared.rpc("getnetworkhashps", -1) == hashes_a_second(lab, 0, 112)
    assert shared.rpc("getnetworkhashps", 5, 0) == 0
    for wrong in (0, -2):
        assert shared.rpc_error("getnetworkhashps", wrong) == (
            -8,
            "Invalid nblocks. Must be a positive number or -1.",
        )
    for wrong in (113, -2):
        assert shared.rpc_error("getnetworkhashps", 120, wrong) == (-8, "Block does not exist at specified height")
    assert shared.rpc_error("getnetworkhashps", "x")[0] == -3


# what the operator prefers


def test_preciousblock(desk: Desk, lab: Lab) -> None:
    """::

    112 --- one
       \\--- two --- (three)
    """
    other = lab.copy()
    tx = pay(lab.take())
    one, two = lab.mine([tx]), other.mine(extra_nonce=9)
    desk.give([one, two])
    assert desk.rpc("getbestblockhash") == to_hex(one.hash)
    for block, waiting in ((two, [to_hex(tx.txid)]), (two, [to_hex(tx.txid)]), (one, []), (two, [to_hex(tx.txid)])):
        assert desk.rpc("preciousblock", to_hex(block.hash)) is None
        assert desk.rpc("getbestblockhash") == to_hex(block.hash)
        assert desk.rpc("getrawmempool") == waiting
    desk.rpc("invalidateblock", to_hex(lab.blocks[5].hash))
    desk.rpc("reconsiderblock", to_hex(lab.blocks[5].hash))
    assert desk.rpc("getbestblockhash") == to_hex(two.hash)  # the last word still counts
    three = lab.mine()
    desk.give([three])
    assert desk.rpc("preciousblock", to_hex(two.hash)) is None  # less work: nothing happens
    assert desk.rpc("getbestblockhash") == to_hex(three.hash)
    assert desk.rpc_error("preciousblock", "ab" * 32) == (-5, "Block not found")
    assert desk.rpc_error("preciousblock", "ab")[0] == -8


def test_mining_can_be_turned_off_only_where_there_is_some(desk: Desk) -> None:
    assert desk.rpc("getgenerate") is False
    assert desk.rpc_error("setgenerate", False) == (
        -1,
        "This node does not mine: start it with --mine ADDRESS, or use generatetoaddress",
    )
    turned: list[bool] = []
    switch = desk.runtime.mining = Switch(lambda: turned.append(switch.is_on))
    for wanted in (False, False, True):
        assert desk.rpc("setgenerate", wanted) is None
        assert desk.rpc("getgenerate") is wanted
    assert turned == [False, True]
    for wrong in (0, "false", [], {}):
        assert desk.rpc_error("setgenerate", wrong)[0] == -3
    assert desk.rpc_error("setgenerate")[0] == -1
