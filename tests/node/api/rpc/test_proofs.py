"""Proofs that transactions are in a block: made, checked, forged, and garbage."""

from contextlib import suppress
from random import Random
from typing import Any

import pytest

from chain.block import HEADER_SIZE, Header, make_header, merkle_root
from chain.codec import varint
from chain.errors import Invalid
from chain.hashes import BlockHash, Txid, sha256d, to_hex
from chain.params import GENESIS
from node.api.encoding.merkleblock import merkle_block, proven_txids, read_merkle_block
from tests.chainlab import Lab, pay
from tests.node.api.conftest import MakeDesk
from tests.node.api.desk import Desk

NOWHERE = "ab" * 32
GARBAGE_ROUNDS = 5_000


def header_over(txids: list[Txid]) -> Header:
    return make_header(4, BlockHash(bytes(32)), merkle_root([bytes(txid) for txid in txids])[0], 1, 0x207FFFFF, 0)


def leaves(count: int) -> list[Txid]:
    return [Txid(sha256d(bytes((n,)))) for n in range(count)]


@pytest.mark.parametrize("count", [*range(1, 18), 31, 32, 33, 100])
def test_what_is_proven_is_what_was_to_be(count: int) -> None:
    txids, random = leaves(count), Random(count)
    for wanted in ([0], [count - 1], range(count), sorted({random.randrange(count) for _ in range(5)}), []):
        block = read_merkle_block(merkle_block(header_over(txids), txids, set(wanted)))
        assert block.tx_count == count
        assert proven_txids(block) == [txids[position] for position in wanted]


def parts(count: int = 7, proven: int = 4) -> tuple[bytes, int, list[bytes], bytes]:
    txids = leaves(count)
    block = read_merkle_block(merkle_block(header_over(txids), txids, {proven}))
    return block.header.raw, block.tx_count, list(block.hashes), block.flags


def joined(header: bytes, count: int, hashes: list[bytes], flags: bytes) -> bytes:
    packed = varint(len(hashes)) + b"".join(hashes) + varint(len(flags)) + flags
    return header + count.to_bytes(4, "little") + packed


def test_forged_proofs_prove_nothing() -> None:
    header, count, hashes, flags = parts()
    assert proven_txids(read_merkle_block(joined(header, count, hashes, flags))) == [leaves(7)[4]]
    forged = {
        "no transactions": (header, 0, hashes, flags),
        "more than a block can have": (header, 16_667, hashes, flags),
        "another number": (header, 16, hashes, flags),
        "a tree less deep": (header, 2, hashes, flags),
        "a hash too few": (header, count, hashes[:-1], flags),
        "a hash too many": (header, count, [*hashes, bytes(32)], flags),
        "another hash": (header, count, [*hashes[:-1], bytes(32)], flags),
        "a byte of flags too few": (header, count, hashes, flags[:-1]),
        "a byte of flags too many": (header, count, hashes, flags + b"\x00"),
        "no flags": (header, count, hashes, b""),
        "nothing proven": (header, count, hashes, bytes(len(flags))),
        "all visited": (header, count, hashes, b"\xff" * len(flags)),
    }
    for what, changed in forged.items():
        assert proven_txids(read_merkle_block(joined(*changed))) is None, what


def test_equal_siblings_prove_nothing() -> None:
    """CVE-2012-2459: a list whose end is repeated has the same root."""
    txids = leaves(3)
    doubled = [*txids, txids[2]]
    assert header_over(doubled) == header_over(txids)
    for proven in (2, 3):
        block = read_merkle_block(merkle_block(header_over(txids), doubled, {proven}))
        assert proven_txids(block) is None


def test_garbage_is_refused_or_proves_nothing() -> None:
    random = Random(37)
    good = merkle_block(header_over(leaves(20)), leaves(20), {3, 11})
    true = {leaves(20)[3], leaves(20)[11]}
    for _ in range(GARBAGE_ROUNDS):
        bent = bytearray(good)
        for _ in range(random.randrange(1, 6)):
            bent[random.randrange(HEADER_SIZE, len(bent))] = random.randrange(256)
        cut = bytes(bent[: random.choice((len(bent), random.randrange(len(bent) + 1)))])
        with suppress(Invalid):
            assert set(proven_txids(read_merkle_block(cut)) or ()) <= true
    huge = good[: HEADER_SIZE + 4] + b"\xff" + b"\xff" * 8
    with pytest.raises(Invalid):
        read_merkle_block(huge)


# the methods


def filled(desk: Desk, lab: Lab, count: int = 6) -> list[str]:
    """A block with so many payments; the ids of all in it."""
    block = lab.mine([pay(lab.take()) for _ in range(count)])
    desk.give([block])
    return [to_hex(tx.txid) for tx in block.txs]


def test_gettxoutproof_and_back(desk: Desk, lab: Lab) -> None:
    txids = filled(desk, lab)
    block_hash = to_hex(lab.tip.hash)
    for wanted in (txids[:1], [txids[5], txids[2]], txids):
        for proof in (
            desk.rpc("gettxoutproof", wanted),
            desk.rpc("gettxoutproof", wanted, block_hash),
            desk.rpc("gettxoutproof", txids=wanted, blockhash=block_hash),
        ):
            assert desk.rpc("verifytxoutproof", proof) == [txid for txid in txids if txid in wanted]
            assert desk.rpc("verifytxoutproof", proof=proof + "00") == [txid for txid in txids if txid in wanted]
    single = desk.rpc("gettxoutproof", [txids[1]])
    assert desk.get(f"/tx/{txids[1]}/merkleblock-proof").text == single
    genesis = to_hex(GENESIS.txs[0].txid)
    assert desk.rpc("verifytxoutproof", desk.rpc("gettxoutproof", [genesis], to_hex(GENESIS.hash))) == [genesis]


def test_gettxoutproof_refuses(desk: Desk, lab: Lab) -> None:
    txids = filled(desk, lab)
    waiting = pay(lab.take())
    desk.pool(waiting)
    earlier = to_hex(lab.blocks[3].txs[0].txid)
    not_all = (-5, "Not all transactions found in specified or retrieved block")
    cases: list[tuple[tuple[Any, ...], tuple[int, str]]] = [
        (([],), (-8, "Parameter 'txids' cannot be empty")),
        ((txids[0],), (-3, "JSON value of type string is not of expected type array")),
        (([5],), (-3, "JSON value of type number is not of expected type string")),
        ((["ab"],), (-8, "txid must be of length 64 (not 2, for 'ab')")),
        (([txids[0], txids[0]],), (-8, f"Invalid parameter, duplicated txid: {txids[0]}")),
        (([NOWHERE],), (-5, "Transaction not yet in block")),
        (([to_hex(waiting.txid)],), (-5, "Transaction not yet in block")),
        (([txids[1], earlier],), not_all),
        (([txids[1], NOWHERE],), not_all),
        (([txids[1]], to_hex(lab.blocks[3].hash)), not_all),
        (([txids[1]], NOWHERE), (-5, "Block not found")),
        (([txids[1]], "ab"), (-8, "blockhash must be of length 64 (not 2, for 'ab')")),
    ]
    for given, expected in cases:
        assert desk.rpc_error("gettxoutproof", *given) == expected
    assert desk.rpc_error("gettxoutproof")[0] == -1


def test_verifytxoutproof_refuses(desk: Desk, lab: Lab) -> None:
    txids = filled(desk, lab)
    proof = desk.rpc("gettxoutproof", [txids[1]])
    truncated = (-1, "DataStream::read(): end of data: iostream error")
    not_hex = "proof must be hexadecimal string (not '{}')"
    cases: list[tuple[Any, tuple[int, str]]] = [
        ("zz", (-8, not_hex.format("zz"))),
        ("0", (-8, not_hex.format("0"))),
        (5, (-3, "JSON value of type number is not of expected type string")),
        ("", truncated),
        (proof[:100], truncated),
        (proof[:-2], truncated),
        (proof[:168] + "fd0100" + proof[170:], (-1, "non-canonical ReadCompactSize(): iostream error")),
    ]
    for given, expected in cases:
        assert desk.rpc_error("verifytxoutproof", given) == expected
    assert desk.rpc_error("verifytxoutproof")[0] == -1
    header, count, hashes, flags = parts()
    elsewhere = joined(header, count, hashes, flags).hex()
    assert desk.rpc_error("verifytxoutproof", elsewhere) == (-5, "Block not found in chain")
    wrong = bytearray(bytes.fromhex(proof))
    wrong[90] ^= 1
    assert desk.rpc("verifytxoutproof", wrong.hex()) == []
    # Of seven transactions, said to be of eight: the same tree, but the block has seven.
    assert bytes.fromhex(proof)[80:84] == b"\x07\x00\x00\x00"
    assert desk.rpc("verifytxoutproof", proof[:160] + "08" + proof[162:]) == []


def test_a_proof_of_another_depth_proves_nothing(desk: Desk, lab: Lab) -> None:
    """CVE-2017-12842: an inner node passed off as a transaction."""
    filled(desk, lab, 3)
    block = lab.blocks[-1]
    left, right = (sha256d(block.txs[n].txid + block.txs[n + 1].txid) for n in (0, 2))
    shallow = merkle_block(block.header, [Txid(left), Txid(right)], {1})
    assert proven_txids(read_merkle_block(shallow)) == [right]  # by itself it looks right
    assert desk.rpc("verifytxoutproof", shallow.hex()) == []


def test_proofs_of_a_block_that_is_no_longer_in_the_chain(desk: Desk, lab: Lab) -> None:
    txids = filled(desk, lab)
    proof, block_hash = desk.rpc("gettxoutproof", [txids[0]]), to_hex(lab.tip.hash)
    desk.rpc("invalidateblock", block_hash)
    assert desk.rpc_error("verifytxoutproof", proof) == (-5, "Block not found in chain")
    assert desk.rpc_error("gettxoutproof", [txids[0]]) == (-5, "Transaction not yet in block")
    assert desk.rpc("gettxoutproof", [txids[0]], block_hash) == proof


def test_without_an_index_the_block_has_to_be_named(make_desk: MakeDesk, lab: Lab) -> None:
    desk = make_desk(index=False)
    desk.give(lab.blocks)
    txid, block_hash = to_hex(lab.blocks[-1].txs[1].txid), to_hex(lab.tip.hash)
    assert desk.rpc_error("gettxoutproof", [txid])[0] == -1
    assert desk.rpc("verifytxoutproof", desk.rpc("gettxoutproof", [txid], block_hash)) == [txid]
