"""Esplora's routes on a real node over HTTP: whole bodies, exact types, statuses and lines."""

from dataclasses import replace
from typing import Any

import pytest

from chain.address import MAIN_ADDRESSES, TEST_ADDRESSES, encode_address
from chain.block import Block, merkle_branch
from chain.hashes import from_hex, sha256, sha256d, to_hex
from chain.params import GENESIS, REGTEST
from chain.script import SIGHASH_ALL, SIGHASH_ANYONECANPAY
from chain.scripttype import ScriptType
from chain.tx import Tx, TxOut
from node.api.rest.table import ROUTES
from node.api.routing.route import PREFIXES
from node.interface.storage import StoreError
from node.mempool.fee_estimator import TARGETS, FeeView
from tests.chainlab import FEE, Lab, lock, made_by, pay, with_input
from tests.node.api.desk import Desk, Reply

NOWHERE = "ab" * 32
UNKNOWN_ADDRESS = encode_address(b"\x00\x14" + bytes(20))
PROBLEM_TYPE = "text/plain"


def problem(reply: Reply) -> tuple[int, str]:
    """Status and line of an error, which is bare text."""
    assert reply.type == PROBLEM_TYPE
    assert "\n" not in reply.text
    return reply.status, reply.text


def shown(txs: list[dict[str, Any]]) -> list[str]:
    return [tx["txid"] for tx in txs]


def mine(desk: Desk, lab: Lab, *txs: Tx, **options: Any) -> Block:
    block = lab.mine(txs, **options)
    desk.give([block])
    return block


def status_of(lab: Lab, height: int) -> dict[str, Any]:
    header = lab.blocks[height - 1].header
    return {
        "confirmed": True,
        "block_height": height,
        "block_hash": to_hex(header.hash),
        "block_time": header.time,
    }


# blocks


def test_tips(shared: Desk, lab: Lab) -> None:
    for prefix in PREFIXES:
        height, tip = shared.get(f"{prefix}/blocks/tip/height"), shared.get(f"{prefix}/blocks/tip/hash")
        assert (height.status, height.type, height.body) == (200, "text/plain", b"112")
        assert (tip.status, tip.type, tip.text) == (200, "text/plain", to_hex(lab.tip.hash))
        assert tip.headers["content-length"] == "64"
        assert "content-encoding" not in tip.headers


def test_block_by_height(shared: Desk, lab: Lab) -> None:
    assert shared.get("/block-height/0").text == to_hex(GENESIS.hash)
    assert shared.get("/block-height/5").text == to_hex(lab.blocks[4].hash)
    assert problem(shared.get("/block-height/113")) == (404, "Block not found")
    assert problem(shared.get(f"/block-height/{2**63 - 1}")) == (404, "Block not found")
    for wrong in ("x", "-1", "+1", "1.0", "0x1", "%20", "%D9%A1", str(2**63), "9" * 1000):
        assert problem(shared.get(f"/block-height/{wrong}")) == (400, "Invalid number")


def test_a_block(shared: Desk, lab: Lab) -> None:
    block, entry = lab.blocks[-1], lab.tip
    expected = {
        "id": to_hex(block.hash),
        "height": 112,
        "version": 0x20000000,
        "timestamp": block.header.time,
        "tx_count": 4,
        "size": block.size,
        "weight": block.weight,
        "merkle_root": to_hex(block.header.merkle_root),
        "previousblockhash": to_hex(lab.blocks[-2].hash),
        "mediantime": entry.median_time,
        "nonce": block.header.nonce,
        "bits": 0x207FFFFF,
        "difficulty": 4.6565423739069247e-10,
    }
    reply = shared.get(f"/block/{to_hex(block.hash)}")
    assert reply.type == "application/json"
    assert reply.json() == expected
    assert shared.get(f"/api/block/{to_hex(block.hash).upper()}").json() == expected
    genesis = shared.get(f"/block/{to_hex(GENESIS.hash)}").json()
    assert (genesis["height"], genesis["previousblockhash"], genesis["nonce"]) == (0, None, 2)


def test_parts_of_a_block(shared: Desk, lab: Lab) -> None:
    block = lab.blocks[-1]
    base = f"/block/{to_hex(block.hash)}"
    assert shared.get(f"{base}/header").text == block.header.raw.hex()
    raw = shared.get(f"{base}/raw")
    assert (raw.type, raw.body) == ("application/octet-stream", block.raw)
    assert shared.get(f"{base}/txids").json() == [to_hex(tx.txid) for tx in block.txs]
    for index, tx in enumerate(block.txs):
        assert shared.get(f"{base}/txid/{index}").text == to_hex(tx.txid)
    assert problem(shared.get(f"{base}/txid/4")) == (404, "tx index out of range")
    assert problem(shared.get(f"{base}/txid/-1")) == (400, "Invalid number")
    assert shared.get(f"/block/{to_hex(GENESIS.hash)}/raw").body == GENESIS.raw


def test_block_status(desk: Desk, lab: Lab) -> None:
    first, last = to_hex(lab.blocks[0].hash), to_hex(lab.tip.hash)
    nowhere = {"in_best_chain": False, "height": None, "next_best": None}
    assert desk.get(f"/block/{first}/status").json() == {
        "in_best_chain": True,
        "height": 1,
        "next_best": to_hex(lab.blocks[1].hash),
    }
    assert desk.get(f"/block/{last}/status").json() == {"in_best_chain": True, "height": 112, "next_best": None}
    assert desk.get(f"/block/{NOWHERE}/status").json() == nowhere
    stale = lab.copy().candidate(extra_nonce=1)
    desk.give([lab.candidate(), stale])
    assert desk.get(f"/block/{to_hex(stale.hash)}/status").json() == nowhere
    assert desk.get(f"/block/{to_hex(stale.hash)}").json()["height"] == 113
    assert shown(desk.get(f"/block/{to_hex(stale.hash)}/txs").json()) == [to_hex(stale.txs[0].txid)]


def test_lists_of_blocks(shared: Desk, lab: Lab) -> None:
    def heights(path: str) -> list[int]:
        return [block["height"] for block in shared.get(path).json()]

    assert heights("/blocks") == list(range(112, 102, -1))
    assert heights("/blocks/50") == list(range(50, 40, -1))
    assert heights("/blocks/3") == [3, 2, 1, 0]
    assert heights("/blocks/0") == [0]
    assert heights("/blocks/tip") == heights("/blocks/-5") == heights("/blocks/1e3") == heights("/blocks")
    assert problem(shared.get("/blocks/113")) == (404, "Block not found")


def test_pages_of_a_block(desk: Desk, lab: Lab) -> None:
    payments = [pay(lab.take()) for _ in range(30)]
    block = mine(desk, lab, *payments)
    base = f"/block/{to_hex(block.hash)}/txs"
    txids = [to_hex(tx.txid) for tx in block.txs]
    assert shown(desk.get(base).json()) == txids[:25]
    assert shown(desk.get(f"{base}/0").json()) == txids[:25]
    assert shown(desk.get(f"{base}/nonsense").json()) == txids[:25]
    assert shown(desk.get(f"{base}/25").json()) == txids[25:]
    assert problem(desk.get(f"{base}/24")) == (400, "start index must be a multiple of 25")
    assert problem(desk.get(f"{base}/50")) == (400, "start index out of range")
    page = desk.get(base).json()
    assert all(tx["status"] == status_of(lab, 113) for tx in page)
    assert [tx["fee"] for tx in page] == [0] + [FEE] * 24
    for suffix in ("", "/header", "/raw", "/txids", "/txs", "/txs/25", "/txid/0"):
        assert problem(desk.get(f"/block/{NOWHERE}{suffix}")) == (404, "Block not found")
    for suffix in ("", "/header", "/raw", "/txids", "/txs", "/txs/25", "/txid/0", "/status"):
        assert problem(desk.get(f"/block/{NOWHERE[1:]}{suffix}")) == (400, "Invalid hex string")


# transactions


def test_a_transaction_from_mempool_to_block(desk: Desk, lab: Lab) -> None:
    coins = [*lab.take(ScriptType.P2WPKH), *lab.take(ScriptType.P2PKH), *lab.take(ScriptType.P2TR)]
    tx = pay(coins, [TxOut(1234, lock(ScriptType.P2TR, 3)), TxOut(0, b"\x6a\x02hi")], lock_time=101, fee=0)
    txid = to_hex(tx.txid)

    def prevout(index: int) -> dict[str, Any]:
        script = coins[index].coin.script
        return {
            "scriptpubkey": script.hex(),
            "scriptpubkey_asm": [
                f"OP_0 OP_PUSHBYTES_20 {script[2:].hex()}",
                f"OP_DUP OP_HASH160 OP_PUSHBYTES_20 {script[3:23].hex()} OP_EQUALVERIFY OP_CHECKSIG",
                f"OP_PUSHNUM_1 OP_PUSHBYTES_32 {script[2:].hex()}",
            ][index],
            "scriptpubkey_type": ["v0_p2wpkh", "p2pkh", "v1_p2tr"][index],
            "scriptpubkey_address": encode_address(script),
            "value": coins[index].coin.value,
        }

    def vin(index: int) -> dict[str, Any]:
        spent = tx.inputs[index]
        size = spent.script_sig[0] if spent.script_sig else 0
        signed, key = spent.script_sig[1 : size + 1].hex(), spent.script_sig[size + 2 :].hex()
        asm = f"OP_PUSHBYTES_{size} {signed} OP_PUSHBYTES_33 {key}"
        shape = {
            "txid": to_hex(coins[index].point[:32]),
            "vout": coins[index].point[32],
            "prevout": prevout(index),
            "scriptsig": spent.script_sig.hex(),
            "scriptsig_asm": asm if size else "",
            "is_coinbase": False,
            "sequence": 0xFFFFFFFF,
        }
        return shape | ({"witness": [item.hex() for item in spent.witness]} if spent.witness else {})

    taproot = lock(ScriptType.P2TR, 3)
    expected = {
        "txid": txid,
        "version": 2,
        "locktime": 101,
        "vin": [vin(0), vin(1), vin(2)],
        "vout": [
            {
                "scriptpubkey": taproot.hex(),
                "scriptpubkey_asm": f"OP_PUSHNUM_1 OP_PUSHBYTES_32 {taproot[2:].hex()}",
                "scriptpubkey_type": "v1_p2tr",
                "scriptpubkey_address": encode_address(taproot),
                "value": 1234,
            },
            {
                "scriptpubkey": "6a026869",
                "scriptpubkey_asm": "OP_RETURN OP_PUSHBYTES_2 6869",
                "scriptpubkey_type": "op_return",
                "value": 0,
            },
        ],
        "size": tx.size,
        "weight": tx.weight,
        "fee": sum(one.coin.value for one in coins) - 1234,
        "status": {"confirmed": False},
    }
    assert problem(desk.get(f"/tx/{txid}")) == (404, "Transaction not found")
    assert desk.get(f"/tx/{txid}/status").json() == {"confirmed": False}
    desk.pool(tx)
    assert desk.get(f"/tx/{txid}").json() == expected
    assert desk.get(f"/tx/{txid}/status").json() == {"confirmed": False}
    assert problem(desk.get(f"/tx/{txid}/merkle-proof")) == (404, "Transaction not found or is unconfirmed")
    mine(desk, lab, pay(lab.take()), tx)
    assert desk.get(f"/tx/{txid}").json() == expected | {"status": status_of(lab, 113)}
    assert desk.get(f"/tx/{txid}/status").json() == status_of(lab, 113)
    assert desk.get(f"/tx/{txid}/hex").text == tx.raw.hex()
    raw = desk.get(f"/tx/{txid}/raw")
    assert (raw.type, raw.body) == ("application/octet-stream", tx.raw)


def test_a_coinbase(shared: Desk, lab: Lab) -> None:
    coinbase = lab.blocks[0].txs[0]
    shape = shared.get(f"/tx/{to_hex(coinbase.txid)}").json()
    assert shape["fee"] == 0
    assert shape["vin"] == [
        {
            "txid": "00" * 32,
            "vout": 0xFFFFFFFF,
            "prevout": None,
            "scriptsig": coinbase.inputs[0].script_sig.hex(),
            "scriptsig_asm": "OP_PUSHNUM_1 OP_PUSHBYTES_8 0000000000000000",
            "witness": ["00" * 32],
            "is_coinbase": True,
            "sequence": 0xFFFFFFFF,
        }
    ]
    [genesis] = shared.get(f"/block/{to_hex(GENESIS.hash)}/txs").json()
    assert shared.get(f"/tx/{genesis['txid']}").json() == genesis
    assert genesis["vout"][0]["scriptpubkey_type"] == "p2pk"


def test_what_is_not_there_and_what_is_no_txid(shared: Desk) -> None:
    for suffix in ("", "/hex", "/raw", "/outspends"):
        assert problem(shared.get(f"/tx/{NOWHERE}{suffix}")) == (404, "Transaction not found")
    for suffix in ("/merkle-proof", "/merkleblock-proof"):
        assert problem(shared.get(f"/tx/{NOWHERE}{suffix}")) == (404, "Transaction not found or is unconfirmed")
    assert shared.get(f"/tx/{NOWHERE}/outspend/7").json() == {"spent": False}
    for wrong in (NOWHERE[1:], NOWHERE + "0", "zz" * 32, "%00" * 64, "%F0%9F%98%80" * 64):
        for suffix in ("", "/hex", "/raw", "/status", "/outspends", "/outspend/0", "/merkle-proof"):
            assert problem(shared.get(f"/tx/{wrong}{suffix}")) == (400, "Invalid hex string")
    for wrong in ("x", "-1", str(2**32)):
        assert problem(shared.get(f"/tx/{NOWHERE}/outspend/{wrong}")) == (400, "Invalid number")


def test_outspends(desk: Desk, lab: Lab) -> None:
    split = lab.blocks[-1].txs[1]
    first, second = lab.take(count=2)
    mined, waiting = pay([first]), pay([second])
    mine(desk, lab, mined)
    desk.pool(waiting)
    by_mined = {"spent": True, "txid": to_hex(mined.txid), "vin": 0, "status": status_of(lab, 113)}
    by_waiting = {"spent": True, "txid": to_hex(waiting.txid), "vin": 0, "status": {"confirmed": False}}
    base = f"/tx/{to_hex(split.txid)}"
    assert first.point[:32] == second.point[:32] == split.txid
    spends = desk.get(f"{base}/outspends").json()
    assert len(spends) == len(split.outputs)
    assert spends[first.point[32]] == by_mined == desk.get(f"{base}/outspend/{first.point[32]}").json()
    assert spends[second.point[32]] == by_waiting == desk.get(f"{base}/outspend/{second.point[32]}").json()
    assert spends.count({"spent": False}) == len(spends) - 2
    assert desk.get(f"{base}/outspend/999").json() == {"spent": False}


@pytest.mark.parametrize("count", [1, 2, 3, 6, 7])
def test_merkle_proofs(desk: Desk, lab: Lab, count: int) -> None:
    block = mine(desk, lab, *(pay(lab.take()) for _ in range(count - 1)))
    leaves = [bytes(tx.txid) for tx in block.txs]
    for position, tx in enumerate(block.txs):
        proof = desk.get(f"/tx/{to_hex(tx.txid)}/merkle-proof").json()
        assert proof == {
            "block_height": 113,
            "merkle": [to_hex(node) for node in merkle_branch(leaves, position)],
            "pos": position,
        }
        node = tx.txid
        for level, sibling in enumerate(map(from_hex, proof["merkle"])):
            node = sha256d(sibling + node if position >> level & 1 else node + sibling)
        assert node == block.header.merkle_root
        raw = bytes.fromhex(desk.get(f"/tx/{to_hex(tx.txid)}/merkleblock-proof").text)
        assert proven_by(raw) == (block.header.raw, block.header.merkle_root, [(position, tx.txid)])


def proven_by(raw: bytes) -> tuple[bytes, bytes, list[tuple[int, bytes]]]:
    """BIP37's way to read a merkleblock: header, computed root, proven leaves."""
    count = int.from_bytes(raw[80:84], "little")
    hashes = [raw[85 + 32 * i : 117 + 32 * i] for i in range(raw[84])]
    packed = raw[86 + 32 * len(hashes) :]
    bits = [byte >> i & 1 for byte in packed for i in range(8)]
    assert raw[85 + 32 * len(hashes)] == len(packed)
    proven: list[tuple[int, bytes]] = []
    height = (count - 1).bit_length()

    def descend(level: int, position: int) -> bytes:
        bit = bits.pop(0)
        if level == 0 or not bit:
            digest = hashes.pop(0)
            if bit:
                proven.append((position, digest))
            return digest
        left = descend(level - 1, 2 * position)
        width = (count + (1 << level - 1) - 1) >> level - 1
        right = descend(level - 1, 2 * position + 1) if 2 * position + 1 < width else left
        return sha256d(left + right)

    root = descend(height, 0)
    assert not hashes
    assert not any(bits)
    return raw[:80], root, proven


# submitting


def test_submitting(desk: Desk, lab: Lab) -> None:
    [coin] = lab.take()
    tx, other = pay([coin]), pay(lab.take())
    reply = desk.request("POST", "/tx", f"  {tx.raw.hex()}\n")
    assert (reply.status, reply.type, reply.text) == (200, "text/plain", to_hex(tx.txid))
    form = desk.request("POST", "/api/tx", tx.raw.hex().upper(), content_type="application/x-www-form-urlencoded")
    assert (form.status, form.text) == (200, to_hex(tx.txid))
    assert desk.get(f"/broadcast?tx={other.raw.hex()}").text == to_hex(other.txid)
    twin = pay([coin], hash_types=[SIGHASH_ALL | SIGHASH_ANYONECANPAY])
    assert (twin.txid, twin.wtxid == tx.wtxid) == (tx.txid, False)
    assert desk.request("POST", "/tx", twin.raw.hex()).text == to_hex(tx.txid)
    assert set(desk.get("/mempool/txids").json()) == {to_hex(tx.txid), to_hex(other.txid)}
    mine(desk, lab, tx, other)
    assert problem(desk.request("POST", "/tx", tx.raw.hex())) == (
        400,
        "sendrawtransaction RPC error -27: Transaction outputs already in utxo set",
    )


def test_refused_submissions(desk: Desk, lab: Lab) -> None:
    coin, free = lab.take(count=2)
    good, other = pay([coin]), pay([free])
    script = good.outputs[0].script
    signature, key = other.inputs[0].witness
    flipped = signature[:-2] + bytes((signature[-2] ^ 1,)) + signature[-1:]
    bent = with_input(other, witness=(flipped, key))
    decode = "sendrawtransaction RPC error -22: TX decode failed. Make sure the tx has at least one input."
    for undecodable in ("", "zz", "00", "é", good.raw.hex()[:-2], good.raw.hex() + "00", "00" * 60):
        assert problem(desk.request("POST", "/tx", undecodable.encode())) == (400, decode)
    desk.pool(good)
    refusals = [
        (pay([made_by(good, 0)._replace(point=bytes(36))]), "-25: bad-txns-inputs-missingorspent"),
        (
            pay([free], [TxOut(1000, script)]),
            "-25: Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)",
        ),
        (pay([coin], [TxOut(coin.coin.value - FEE, lock(number=5))]), "-26: insufficient fee"),
        (pay([coin], [TxOut(coin.coin.value + 1, script)]), "-26: bad-txns-in-belowout"),
        (bent, "-26: mempool-script-verify-flag-failed (input 0: wrong signature)"),
        (pay([coin], version=9), "-26: version, 9"),
    ]
    for tx, line in refusals:
        status, text = problem(desk.request("POST", "/tx", tx.raw.hex()))
        assert status == 400
        assert text.startswith(f"sendrawtransaction RPC error {line}"), text
    assert problem(desk.get("/broadcast")) == (400, "Missing tx")
    assert problem(desk.get("/broadcast?tx=")) == (400, decode)
    assert problem(desk.get("/broadcast?TX=00")) == (400, "Missing tx")


def test_a_body_over_its_cap(shared: Desk) -> None:
    assert problem(shared.request("POST", "/tx", "0" * 1_000_001)) == (413, "body over 1000000 bytes")
    assert problem(shared.request("POST", "/nothing", "0" * 1025)) == (413, "body over 1024 bytes")
    assert problem(shared.request("POST", "/nothing", "0" * 1024)) == (404, 'endpoint does not exist "/nothing"')


# scripts


def test_a_script_that_was_never_used(shared: Desk) -> None:
    nothing = dict.fromkeys(("tx_count", "funded_txo_count", "funded_txo_sum", "spent_txo_count", "spent_txo_sum"), 0)
    expected = {"chain_stats": nothing, "mempool_stats": nothing}
    assert shared.get(f"/address/{UNKNOWN_ADDRESS}").json() == {"address": UNKNOWN_ADDRESS, **expected}
    assert shared.get(f"/scripthash/{NOWHERE}").json() == {"scripthash": NOWHERE, **expected}
    for base in (f"/address/{UNKNOWN_ADDRESS}", f"/scripthash/{NOWHERE}"):
        for suffix in ("/txs", "/txs/chain", f"/txs/chain/{NOWHERE}", "/txs/mempool", "/utxo", "/txs?after_txid=x"):
            reply = shared.get(base + suffix)
            assert (reply.status, reply.type, reply.json()) == (200, "application/json", [])


def test_history_in_pages(desk: Desk, lab: Lab) -> None:
    script = lock(number=11)
    address, script_hash = encode_address(script), sha256(script).hex()
    known = [to_hex(tx.txid) for block in lab.blocks for tx in block.txs if any(o.script == script for o in tx.outputs)]
    confirmed = known[::-1]
    for _ in range(10):
        payments = [pay(lab.take(), [TxOut(10_000, script)], fee=0) for _ in range(4)]
        block = mine(desk, lab, *payments)
        # Inside a block any order will do, if it is always the same.
        confirmed = (
            [to_hex(tx.txid) for tx in block.txs[:0:-1]]
            + ([to_hex(block.txs[0].txid)] if block.txs[0].outputs[0].script == script else [])
            + confirmed
        )
    stranger = pay(lab.take())
    mine(desk, lab, stranger, script=lock(number=1))
    waiting = [pay(lab.take(), [TxOut(20_000 + n, script)]) for n in range(2)]
    desk.pool(*waiting)
    unconfirmed = [to_hex(tx.txid) for tx in waiting[::-1]]
    for base in (f"/address/{address}", f"/api/scripthash/{script_hash}"):
        assert shown(desk.get(f"{base}/txs").json()) == unconfirmed + confirmed[:25]
        assert shown(desk.get(f"{base}/txs/mempool").json()) == unconfirmed
        assert shown(desk.get(f"{base}/txs/chain").json()) == confirmed[:25]
        assert shown(desk.get(f"{base}/txs/chain/nonsense").json()) == confirmed[:25]
        assert shown(desk.get(f"{base}/txs/chain/{confirmed[24]}").json()) == confirmed[25:50]
        assert shown(desk.get(f"{base}/txs?after_txid={confirmed[24]}").json()) == confirmed[25:50]
        assert shown(desk.get(f"{base}/txs?after_txid=nonsense").json()) == confirmed[:25]
        assert shown(desk.get(f"{base}/txs/chain/{confirmed[-1]}").json()) == []
        for last in (NOWHERE, unconfirmed[0], to_hex(stranger.txid)):
            assert shown(desk.get(f"{base}/txs/chain/{last}").json()) == []
    stats = desk.get(f"/address/{address}").json()
    assert stats["chain_stats"]["tx_count"] == len(confirmed)
    assert stats["mempool_stats"] == {
        "tx_count": 2,
        "funded_txo_count": 2,
        "funded_txo_sum": 40_001,
        "spent_txo_count": 0,
        "spent_txo_sum": 0,
    }


def test_utxos(desk: Desk, lab: Lab) -> None:
    script = lock(number=9)
    one, two = pay(lab.take(), [TxOut(5000, script)]), pay(lab.take(), [TxOut(6000, script)])
    mine(desk, lab, one, two)
    spending = pay([made_by(one)], [TxOut(4000, script)], fee=0)
    desk.pool(spending)
    found = desk.get(f"/address/{encode_address(script)}/utxo").json()
    small = [coin for coin in found if coin["value"] < 10_000]
    assert sorted(small, key=lambda coin: coin["value"]) == [
        {"txid": to_hex(spending.txid), "vout": 0, "status": {"confirmed": False}, "value": 4000},
        {"txid": to_hex(two.txid), "vout": 0, "status": status_of(lab, 113), "value": 6000},
    ]


def test_wrong_addresses_and_script_hashes(shared: Desk) -> None:
    script = b"\x00\x14" + bytes(20)
    suffixes = ("", "/txs", "/txs/chain", f"/txs/chain/{NOWHERE}", "/txs/mempool", "/utxo")
    for wrong in ("x", UNKNOWN_ADDRESS[:-1] + "q", "1" * 34, "%0A", "é".encode().hex(), "bcrt1" + "q" * 200):
        for suffix in suffixes:
            assert problem(shared.get(f"/address/{wrong}{suffix}")) == (400, "Invalid Bitcoin address")
    for other in (
        encode_address(script, TEST_ADDRESSES),
        encode_address(script, MAIN_ADDRESSES),
        encode_address(b"\x76\xa9\x14" + bytes(20) + b"\x88\xac", MAIN_ADDRESSES),
    ):
        assert problem(shared.get(f"/address/{other}")) == (400, "Address on invalid network")
    same_on_testnet = encode_address(b"\x76\xa9\x14" + bytes(20) + b"\x88\xac", TEST_ADDRESSES)
    assert shared.get(f"/address/{same_on_testnet}").status == 200
    for wrong in ("x", NOWHERE[1:], NOWHERE + "ab", "zz" * 32):
        for suffix in suffixes:
            assert problem(shared.get(f"/scripthash/{wrong}{suffix}")) == (400, "Invalid scripthash")


# mempool and fees


def test_an_empty_mempool(shared: Desk) -> None:
    assert shared.get("/mempool").json() == {"count": 0, "vsize": 0, "total_fee": 0, "fee_histogram": []}
    assert shared.get("/mempool/txids").json() == shared.get("/mempool/recent").json() == []


def test_a_mempool(desk: Desk, lab: Lab) -> None:
    txs = [pay(lab.take(), fee=FEE * (n + 1)) for n in range(12)]
    desk.pool(*txs)
    assert set(desk.get("/mempool/txids").json()) == {to_hex(tx.txid) for tx in txs}
    assert desk.get("/mempool/recent").json() == [
        {
            "txid": to_hex(tx.txid),
            "fee": FEE * n,
            "vsize": tx.vsize,
            "value": tx.outputs[0].value + FEE * n,
        }
        for n, tx in reversed([*enumerate(txs, 1)][2:])
    ]
    sums = desk.get("/mempool").json()
    assert (sums["count"], sums["total_fee"]) == (12, FEE * 78)
    assert sums["vsize"] == sum(tx.vsize for tx in txs) == sum(vsize for _, vsize in sums["fee_histogram"])


def test_fees(shared: Desk) -> None:
    reply = shared.get("/fee-estimates")
    estimates = reply.json()
    assert set(estimates) == {*map(str, range(1, 26)), "144", "504", "1008"}
    assert set(estimates.values()) == {1.0}
    assert "1e" not in reply.text
    assert shared.get("/api/v1/fees/recommended").json() == dict.fromkeys(
        ("fastestFee", "halfHourFee", "hourFee", "economyFee", "minimumFee"), 1.0
    )


def test_the_network(shared: Desk) -> None:
    assert shared.get("/api/v1/network").json() == {"name": "regtest", "id": REGTEST.network_id.hex()}


def test_fees_from_what_was_seen(desk: Desk) -> None:
    desk.runtime._view = replace(desk.runtime.view, fees=FeeView((20.0006, 0.2, *[3.0] * (len(TARGETS) - 2))))
    estimates = desk.get("/fee-estimates").json()
    assert (estimates["1"], estimates["2"], estimates["1008"]) == (20.001, 1.0, 3.0)
    assert desk.get("/v1/fees/recommended").json()["fastestFee"] == 20.001
    assert desk.rpc("estimatesmartfee", 1) == {"feerate": 0.00020001, "blocks": 1}
    assert desk.rpc("estimatesmartfee", 2) == {"feerate": 0.00001, "blocks": 2}
    assert desk.rpc("estimatesmartfee", 1008) == {"feerate": 0.00003, "blocks": 1008}


def test_a_fee_that_is_not_known_is_not_below_that_of_a_longer_wait(desk: Desk) -> None:
    rates = (None, None, *[3.0] * (len(TARGETS) - 3), None)
    desk.runtime._view = replace(desk.runtime.view, fees=FeeView(rates))
    estimates = desk.get("/fee-estimates").json()
    assert [estimates[target] for target in ("1", "2", "3", "504", "1008")] == [3.0, 3.0, 3.0, 3.0, 1.0]
    assert desk.get("/v1/fees/recommended").json() == {
        "fastestFee": 3.0,
        "halfHourFee": 3.0,
        "hourFee": 3.0,
        "economyFee": 3.0,
        "minimumFee": 1.0,
    }
    assert desk.rpc("estimatesmartfee", 1) == {"feerate": 0.00003, "blocks": 3}
    assert desk.rpc("estimatesmartfee", 3) == {"feerate": 0.00003, "blocks": 3}
    assert desk.rpc("estimatesmartfee", 1008)["errors"] == ["Insufficient data or no feerate found"]
    assert desk.get("/explorer/mempool").text.count("not enough data") == 0


def test_the_page_does_not_show_the_floor_for_what_is_not_known(shared: Desk) -> None:
    assert shared.get("/explorer/mempool").text.count("not enough data") == 4


# what is common to all


@pytest.mark.parametrize(
    ("method", "path", "named"),
    [
        ("GET", "/nothing", "/nothing"),
        ("GET", "/api", "/api"),
        ("GET", "/api/", "/api/"),
        ("GET", "/api/nothing?x=1", "/api/nothing"),
        ("GET", "/api/api/blocks", "/api/api/blocks"),
        ("GET", "/blocks/tip", None),
        ("GET", "/blocks/tip/", "/blocks/tip/"),
        ("GET", "/blocks//tip/height", "/blocks//tip/height"),
        ("GET", "/tx", "/tx"),
        ("GET", "/BLOCKS/tip/height", "/BLOCKS/tip/height"),
        ("GET", "/block/%2e%2e/x/y", "/block/%2e%2e/x/y"),
        ("GET", '/a"b\\', '/a\\"b\\\\'),
        ("POST", "/blocks/tip/height", "/blocks/tip/height"),
        ("PUT", "/tx", "/tx"),
        ("DELETE", "/mempool", "/mempool"),
        ("OPTIONS", "/mempool", "/mempool"),
        ("PATCH", "/api/tx", "/api/tx"),
    ],
)
def test_unknown_routes_and_methods(shared: Desk, method: str, path: str, named: str | None) -> None:
    reply = shared.request(method, path)
    if named is None:
        assert reply.status == 200
    else:
        assert problem(reply) == (404, f'endpoint does not exist "{named}"')


def test_head(shared: Desk) -> None:
    reply = shared.request("HEAD", "/blocks/tip/hash")
    assert (reply.status, reply.body, reply.headers["content-length"]) == (200, b"", "64")


def test_every_route_is_declared_once_and_described() -> None:
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)
    for route in ROUTES:
        assert set(route.params) == {piece[1:] for piece in route.path.split("/") if piece.startswith(":")}
        assert route.summary.endswith(".")


def test_without_an_index(make_desk: Any, lab: Lab) -> None:
    desk = make_desk(index=False)
    desk.give(lab.blocks)
    tx = pay(lab.take())
    desk.pool(tx)
    refused = (400, "this node runs with --no-index: it cannot answer this")
    confirmed, waiting = to_hex(lab.blocks[0].txs[0].txid), to_hex(tx.txid)
    for path in (f"/address/{UNKNOWN_ADDRESS}", f"/address/{UNKNOWN_ADDRESS}/txs", f"/scripthash/{NOWHERE}/utxo"):
        assert problem(desk.get(path)) == refused
    for suffix in ("", "/hex", "/status", "/merkle-proof", "/outspends"):
        assert problem(desk.get(f"/tx/{confirmed}{suffix}")) == refused
    assert problem(desk.get(f"/tx/{NOWHERE}/outspend/0")) == refused
    assert desk.get(f"/tx/{waiting}").json()["txid"] == waiting
    unspent = to_hex(lab.blocks[-2].txs[0].txid)
    assert desk.get(f"/tx/{unspent}/outspend/0").json() == {"spent": False}
    assert desk.get(f"/tx/{to_hex(tx.inputs[0].outpoint[:32])}/outspend/{tx.inputs[0].outpoint[32]}").json()["spent"]
    assert len(desk.get(f"/block/{to_hex(lab.tip.hash)}/txs").json()) == 4
    assert desk.rpc_error("getrawtransaction", confirmed)[0] == -5
    assert desk.rpc("getrawtransaction", confirmed, False, to_hex(lab.blocks[0].hash)) == lab.blocks[0].txs[0].raw.hex()


def test_before_the_node_is_ready(make_desk: Any) -> None:
    desk = make_desk(admit=False)
    for path in ("/blocks/tip/height", "/api/mempool", f"/tx/{NOWHERE}"):
        reply = desk.get(path)
        assert problem(reply) == (503, "the node is starting: come again")
        assert reply.headers["retry-after"] == "1"
    assert problem(desk.request("POST", "/tx", "00"))[0] == 503
    rpc = desk.post_rpc('{"method":"getblockcount","id":3}')
    assert (rpc.status, rpc.json()) == (
        500,
        {"result": None, "error": {"code": -28, "message": "The node is starting"}, "id": 3},
    )
    desk.runtime.admit()
    assert desk.get("/blocks/tip/height").text == "0"


def test_foreign_hosts_and_origins(make_desk: Any, lab: Lab) -> None:
    desk = make_desk(allow_hosts=("node.example",), cors_origins=("https://app.example",))
    for host in ("evil.example", "evil.example:80", "10.1.1.1"):
        assert problem(desk.get("/blocks", Host=host)) == (403, f"host '{host}' is not allowed here (see --allow-host)")
        assert desk.request("POST", "/", "{}", Host=host).status == 403
    assert desk.get("/blocks", Host="node.example").status == 200
    for headers in ({"origin": "https://evil.example"}, {"sec_fetch_site": "cross-site"}, {"origin": "null"}):
        assert desk.request("POST", "/tx", "00", **headers).status == 403
        assert desk.get("/broadcast?tx=00", **headers).status == 403
        assert desk.request("POST", "/", "{}", **headers).status == 403
        reply = desk.get("/blocks", **headers)
        assert reply.status == 200
        assert "access-control-allow-origin" not in reply.headers
    friend = {"origin": "https://app.example"}
    assert desk.request("POST", "/tx", "00", **friend).status == 400
    assert desk.get("/blocks", **friend).headers["access-control-allow-origin"] == "https://app.example"
    preflight = desk.request("OPTIONS", "/tx", access_control_request_method="POST", **friend)
    assert (preflight.status, preflight.headers["access-control-allow-methods"]) == (204, "GET, POST")


@pytest.mark.parametrize("path", ["/tx", "/", "/blocks/tip/height", "/api/v1/events", "/nothing"])
@pytest.mark.parametrize("settings", [{}, {"cors_origins": ("https://app.example",)}])
def test_a_preflight_of_a_foreign_origin_is_told_what_would_let_it_in(make_desk: Any, path: str, settings: Any) -> None:
    desk = make_desk(**settings)
    asked = {"origin": "https://evil.example", "access_control_request_method": "POST"}
    reply = desk.request("OPTIONS", path, **asked)
    line = "pages of 'https://evil.example' may not read this node (see --cors-origin)"
    assert problem(reply) == (403, line)
    assert "access-control-allow-origin" not in reply.headers


def test_what_is_no_preflight_is_another_method(shared: Desk) -> None:
    for asked in ({}, {"origin": "https://a.example"}, {"access_control_request_method": "GET"}):
        assert shared.request("OPTIONS", "/blocks", **asked).status == 404


def test_a_read_that_storage_cannot_serve_stops_the_node(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def broken(*_: object) -> None:
        raise StoreError("the disk is gone: run groatd reindex")

    monkeypatch.setattr(type(desk.runtime.view.reader), "block", broken)
    path = f"/block/{desk.get('/blocks/tip/hash').text}/raw"
    for _ in range(2):
        assert problem(desk.get(path)) == (500, "the node stops because of a fault: its log says which")
    desk.runtime.wait()
    assert desk.runtime.fault == "the disk is gone: run groatd reindex"
    assert "run groatd reindex" in caplog.text


@pytest.mark.parametrize("index", [True, False])
def test_what_is_confirmed_is_said_to_be_whatever_policy_says_of_it(make_desk: Any, lab: Lab, index: bool) -> None:
    """Its outputs, or its version, may be such that the mempool would refuse it."""
    desk = make_desk(index=index)
    [coin] = lab.take()
    odd = pay([coin], [TxOut(1000, b"\x51"), TxOut(0, b"\x6a" * 200)], version=9)
    desk.give([*lab.blocks, lab.mine([odd])])
    line = (400, "sendrawtransaction RPC error -27: Transaction outputs already in utxo set")
    assert problem(desk.request("POST", "/tx", odd.raw.hex())) == line
    assert desk.rpc_error("sendrawtransaction", odd.raw.hex()) == (-27, "Transaction outputs already in utxo set")
    unknown = pay([coin], [TxOut(1000, b"\x52")], version=9)
    assert problem(desk.request("POST", "/tx", unknown.raw.hex())) == (
        400,
        "sendrawtransaction RPC error -26: version, 9",
    )
