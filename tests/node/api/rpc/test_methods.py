"""JSON-RPC's methods on a real node: the fields that clients read, and each one's errors."""

import json
from decimal import Decimal
from typing import Any

import pytest

from chain.address import MAIN_ADDRESSES, encode_address
from chain.block import Block, decode_block
from chain.hashes import to_hex
from chain.params import COINBASE_MATURITY, GENESIS
from chain.scripttype import ScriptType
from chain.tx import COIN, Tx, TxOut, outpoint
from node.api.encoding.disassembler import core_asm, descriptor
from tests.chainlab import FEE, Lab, Owned, lock, made_by, pay, with_input
from tests.node.api.conftest import MakeDesk
from tests.node.api.desk import Desk

NOWHERE = "ab" * 32
ADDRESS = encode_address(lock())
FOREIGN = encode_address(lock(), MAIN_ADDRESSES)
DIFFICULTY = 4.6565423739069247e-10


def exact(desk: Desk, method: str, *params: Any) -> Any:
    """The result with amounts as they are printed."""
    body = desk.post_rpc(json.dumps({"method": method, "params": params})).text
    return json.loads(body, parse_float=Decimal)["result"]


def mine(desk: Desk, lab: Lab, *txs: Tx, **options: Any) -> Block:
    block = lab.mine(txs, **options)
    desk.give([block])
    return block


# the chain


def test_getblockchaininfo(shared: Desk, lab: Lab) -> None:
    info = shared.rpc("getblockchaininfo")
    assert info.pop("size_on_disk") > 0
    assert info == {
        "chain": "regtest",
        "network": "regtest",
        "blocks": 112,
        "headers": 112,
        "bestblockhash": to_hex(lab.tip.hash),
        "bits": "207fffff",
        "target": "7fffff" + "00" * 29,
        "difficulty": DIFFICULTY,
        "time": lab.tip.header.time,
        "mediantime": lab.tip.median_time,
        "verificationprogress": 1.0,
        "initialblockdownload": False,
        "chainwork": f"{2 * 113:064x}",
        "pruned": False,
        "warnings": [],
    }


def test_bare_values(shared: Desk, lab: Lab) -> None:
    assert shared.rpc("getblockcount") == 112
    assert shared.rpc("getbestblockhash") == to_hex(lab.tip.hash)
    assert shared.rpc("getdifficulty") == DIFFICULTY
    assert shared.rpc("getconnectioncount") == 0
    assert shared.rpc("getblockhash", 0) == to_hex(GENESIS.hash)
    assert 0 <= shared.rpc("uptime") < 60
    assert shared.rpc_error("getblockhash", 113) == (-8, "Block height out of range")


def header_of(lab: Lab, height: int) -> dict[str, Any]:
    block, entry = lab.blocks[height - 1], lab.tip.ancestor(height)
    shape = {
        "hash": to_hex(block.hash),
        "confirmations": lab.height - height + 1,
        "height": height,
        "version": 0x20000000,
        "versionHex": "20000000",
        "merkleroot": to_hex(block.header.merkle_root),
        "time": block.header.time,
        "mediantime": entry.median_time,
        "nonce": block.header.nonce,
        "bits": "207fffff",
        "target": "7fffff" + "00" * 29,
        "difficulty": DIFFICULTY,
        "chainwork": f"{2 * (height + 1):064x}",
        "nTx": len(block.txs),
        "previousblockhash": to_hex(block.header.prev_hash),
    }
    if height < lab.height:
        shape["nextblockhash"] = to_hex(lab.blocks[height].hash)
    return shape


def test_getblockheader(shared: Desk, lab: Lab) -> None:
    for height in (1, 50, 112):
        block = lab.blocks[height - 1]
        assert shared.rpc("getblockheader", to_hex(block.hash)) == header_of(lab, height)
        assert shared.rpc("getblockheader", to_hex(block.hash), False) == block.header.raw.hex()
    genesis = shared.rpc("getblockheader", to_hex(GENESIS.hash))
    assert "previousblockhash" not in genesis
    assert shared.rpc_error("getblockheader", NOWHERE) == (-5, "Block not found")


def test_getblock(desk: Desk, lab: Lab) -> None:
    paying = pay([*lab.take(), *lab.take(ScriptType.P2PKH)])
    block = mine(desk, lab, paying)
    block_hash = to_hex(block.hash)
    sizes = {"strippedsize": block.stripped_size, "size": block.size, "weight": block.weight}
    txids = [to_hex(tx.txid) for tx in block.txs]
    for nothing in (0, False):
        assert desk.rpc("getblock", block_hash, nothing) == block.raw.hex()
    for verbosity in (1, True, None):
        assert desk.rpc("getblock", block_hash, verbosity) == header_of(lab, 113) | sizes | {"tx": txids}
    two, three = exact(desk, "getblock", block_hash, 2)["tx"], exact(desk, "getblock", block_hash, 3)["tx"]
    assert [tx["hex"] for tx in two] == [tx.raw.hex() for tx in block.txs]
    assert "fee" not in two[0]
    assert str(two[1]["fee"]) == "0.00001000"
    assert all("prevout" not in one for tx in two for one in tx["vin"])
    assert "prevout" not in three[0]["vin"][0]
    coins = [one["prevout"] for one in three[1]["vin"]]
    assert [coin["scriptPubKey"]["type"] for coin in coins] == ["witness_v0_keyhash", "pubkeyhash"]
    assert all(coin["height"] == 112 and coin["generated"] is False for coin in coins)
    assert sum(coin["value"] for coin in coins) - two[1]["vout"][0]["value"] == two[1]["fee"]
    assert desk.rpc_error("getblock", NOWHERE) == (-5, "Block not found")


def test_a_stale_block(desk: Desk, lab: Lab) -> None:
    rival = lab.copy().candidate([pay(lab.copy().take())], extra_nonce=9)
    mine(desk, lab)
    desk.give([rival])
    stale = desk.rpc("getblock", to_hex(rival.hash), 3)
    assert stale["confirmations"] == -1
    assert "nextblockhash" not in stale
    assert "fee" not in stale["tx"][1]  # it was never connected, so what it spends is not known
    tips = desk.rpc("getchaintips")
    assert {(tip["hash"], tip["height"], tip["branchlen"], tip["status"]) for tip in tips} == {
        (to_hex(lab.tip.hash), 113, 0, "active"),
        (to_hex(rival.hash), 113, 1, "valid-headers"),
    }


def test_invalidateblock_and_back(desk: Desk, lab: Lab) -> None:
    paying = pay(lab.take())
    block = mine(desk, lab, paying)
    before = desk.rpc("gettxoutsetinfo", "muhash")
    assert desk.rpc("invalidateblock", to_hex(block.hash)) is None
    assert desk.rpc("getblockcount") == 112
    assert desk.rpc("getrawmempool") == [to_hex(paying.txid)]
    [tip, ruled_out] = sorted(desk.rpc("getchaintips"), key=lambda tip: tip["branchlen"])
    assert (tip["status"], ruled_out["status"], ruled_out["hash"]) == ("active", "invalid", to_hex(block.hash))
    assert desk.rpc("submitblock", block.raw.hex()) == "duplicate-invalid"
    assert desk.rpc("reconsiderblock", to_hex(block.hash)) is None
    assert desk.rpc("gettxoutsetinfo", "muhash") == before
    assert desk.rpc("getrawmempool") == []
    for method in ("invalidateblock", "reconsiderblock"):
        assert desk.rpc_error(method, NOWHERE) == (-5, "Block not found")
    assert desk.rpc_error("invalidateblock", to_hex(GENESIS.hash))[0] == -1
    assert desk.rpc("getblockcount") == 113


def test_gettxout(desk: Desk, lab: Lab) -> None:
    [coin] = lab.take()
    tx = pay([coin], [TxOut(5000, lock(ScriptType.P2TR)), TxOut(coin.coin.value - 5000 - FEE, lock())])
    txid, index = to_hex(coin.point[:32]), coin.point[32]
    script = coin.coin.script
    assert exact(desk, "gettxout", txid, index) == {
        "bestblock": to_hex(lab.tip.hash),
        "confirmations": 1,
        "value": Decimal(coin.coin.value) / COIN,
        "scriptPubKey": {
            "asm": core_asm(script),
            "desc": descriptor(script),
            "hex": script.hex(),
            "address": encode_address(script),
            "type": "witness_v0_keyhash",
        },
        "coinbase": False,
    }
    desk.pool(tx)
    assert desk.rpc("gettxout", txid, index) is None
    assert desk.rpc("gettxout", txid, index, False)["confirmations"] == 1
    unconfirmed = exact(desk, "gettxout", to_hex(tx.txid), 0)
    assert (unconfirmed["confirmations"], str(unconfirmed["value"])) == (0, "0.00005000")
    assert desk.rpc("gettxout", to_hex(tx.txid), 0, False) is None
    assert desk.rpc("gettxout", to_hex(tx.txid), 2) is None
    assert desk.rpc("gettxout", NOWHERE, 0) is None
    assert desk.rpc("gettxout", to_hex(lab.blocks[5].txs[0].txid), 0)["coinbase"] is True


# transactions


def test_getrawtransaction(desk: Desk, lab: Lab) -> None:
    tx = pay([*lab.take(), *lab.take(ScriptType.P2PKH)])
    txid = to_hex(tx.txid)
    missing = (-5, "No such mempool or blockchain transaction. Use gettransaction for wallet transactions.")
    assert desk.rpc_error("getrawtransaction", txid) == missing
    desk.pool(tx)
    for nothing in (None, 0, False):
        assert desk.rpc("getrawtransaction", txid, nothing) == tx.raw.hex()
    whole = exact(desk, "getrawtransaction", txid, True)
    assert whole.pop("hex") == tx.raw.hex()
    assert whole == exact(desk, "decoderawtransaction", tx.raw.hex())
    assert set(whole) == {"txid", "hash", "version", "size", "vsize", "weight", "locktime", "vin", "vout"}
    witness, legacy = whole["vin"]
    assert witness["txinwitness"] == [item.hex() for item in tx.inputs[0].witness]
    assert witness["scriptSig"] == {"asm": "", "hex": ""}
    assert "[ALL]" in legacy["scriptSig"]["asm"]
    assert "txinwitness" not in legacy
    [output] = whole["vout"]
    assert (output["n"], output["value"]) == (0, Decimal(tx.outputs[0].value) / COIN)
    detailed = exact(desk, "getrawtransaction", txid, 2)
    assert str(detailed["fee"]) == "0.00001000"
    assert all(one["prevout"]["scriptPubKey"]["hex"] for one in detailed["vin"])
    block = mine(desk, lab, tx)
    confirmed = {"blockhash": to_hex(block.hash), "confirmations": 1, "time": block.header.time}
    confirmed["blocktime"] = confirmed["time"]
    found = exact(desk, "getrawtransaction", txid, 1)
    assert {name: found[name] for name in confirmed} == confirmed
    assert str(exact(desk, "getrawtransaction", txid, 2)["fee"]) == "0.00001000"


def test_getrawtransaction_in_a_block(shared: Desk, lab: Lab) -> None:
    block = lab.blocks[-1]
    tx, block_hash = block.txs[2], to_hex(block.hash)
    assert shared.rpc("getrawtransaction", to_hex(tx.txid), 0, block_hash) == tx.raw.hex()
    found = shared.rpc("getrawtransaction", to_hex(tx.txid), 1, block_hash)
    assert (found["in_active_chain"], found["confirmations"]) == (True, 1)
    elsewhere = shared.rpc_error("getrawtransaction", to_hex(tx.txid), 0, to_hex(GENESIS.hash))
    assert elsewhere[0] == -5
    assert elsewhere[1].startswith("No such transaction found in the provided block.")
    assert shared.rpc_error("getrawtransaction", to_hex(tx.txid), 0, NOWHERE) == (-5, "Block hash not found")
    assert shared.rpc_error("getrawtransaction", to_hex(GENESIS.txs[0].txid))[0] == -5
    coinbase = shared.rpc("getrawtransaction", to_hex(block.txs[0].txid), 2)
    [spent] = coinbase["vin"]
    assert set(spent) == {"coinbase", "txinwitness", "sequence"}
    assert "fee" not in coinbase


def test_decoderawtransaction(shared: Desk, lab: Lab) -> None:
    tx = lab.blocks[-1].txs[1]
    assert shared.rpc("decoderawtransaction", tx.raw.hex(), True)["txid"] == to_hex(tx.txid)
    for wrong in ("", "00", "zz", tx.raw.hex() + "00", " " + tx.raw.hex()):
        assert shared.rpc_error("decoderawtransaction", wrong)[0] == -22
    assert shared.rpc_error("decoderawtransaction", 5)[0] == -3


def test_sendrawtransaction(desk: Desk, lab: Lab) -> None:
    one, two = lab.take(count=2)
    tx = pay([one])
    for _ in range(2):  # the second time it is there already
        assert desk.rpc("sendrawtransaction", tx.raw.hex()) == to_hex(tx.txid)
    rich = pay([two], [TxOut(two.coin.value - 2_000_000, lock())])
    assert desk.rpc_error("sendrawtransaction", rich.raw.hex()) == (
        -25,
        "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)",
    )
    assert desk.rpc_error("sendrawtransaction", rich.raw.hex(), 1.5)[0] == -8
    assert desk.rpc("sendrawtransaction", rich.raw.hex(), 0) == to_hex(rich.txid)
    burning = pay(lab.take(), [TxOut(1000, b"\x6a\x01x"), TxOut(5000, lock())])
    assert desk.rpc_error("sendrawtransaction", burning.raw.hex(), 0) == (
        -25,
        "Unspendable output exceeds maximum configured by user (maxburnamount)",
    )
    assert desk.rpc("sendrawtransaction", burning.raw.hex(), 0, "0.00001") == to_hex(burning.txid)
    mine(desk, lab, tx)
    assert desk.rpc_error("sendrawtransaction", tx.raw.hex()) == (-27, "Transaction outputs already in utxo set")
    assert desk.rpc_error("sendrawtransaction", "00")[0] == -22
    unknown = pay([Owned(outpoint(tx.txid, 5), one.coin)])
    assert desk.rpc_error("sendrawtransaction", unknown.raw.hex()) == (-25, "bad-txns-inputs-missingorspent")


def test_testmempoolaccept(desk: Desk, lab: Lab) -> None:
    good, bad = pay(lab.take()), pay(lab.take(), fee=-1)
    missing = pay([made_by(good)])
    dear = pay(lab.take(), [TxOut(10_000, lock())])
    found = [exact(desk, "testmempoolaccept", [tx.raw.hex()])[0] for tx in (good, bad, missing, dear)]
    rate = Decimal(FEE * 1000 // good.vsize) / COIN
    assert found[0] == {
        "txid": to_hex(good.txid),
        "wtxid": to_hex(good.wtxid),
        "allowed": True,
        "vsize": good.vsize,
        "fees": {
            "base": Decimal("0.00001"),
            "effective-feerate": rate,
            "effective-includes": [to_hex(good.wtxid)],
        },
    }
    reasons = [(one["allowed"], one["reject-reason"]) for one in found[1:]]
    assert reasons == [(False, "bad-txns-in-belowout"), (False, "missing-inputs"), (False, "max-fee-exceeded")]
    [bent] = desk.rpc("testmempoolaccept", [with_input(good, witness=bad.inputs[0].witness).raw.hex()])
    failed = "mempool-script-verify-flag-failed (input 0: the key does not hash to the coin's)"
    assert (bent["allowed"], bent["reject-reason"], bent["reject-details"]) == (False, failed, failed)
    assert desk.rpc("getrawmempool") == []
    assert desk.rpc("testmempoolaccept", [dear.raw.hex()], 0)[0]["allowed"]
    desk.pool(good)
    [again] = desk.rpc("testmempoolaccept", [good.raw.hex()])
    assert (again["allowed"], again["reject-reason"]) == (False, "txn-already-in-mempool")
    for count in (0, 26):
        assert desk.rpc_error("testmempoolaccept", [good.raw.hex()] * count)[0] == -8
    assert desk.rpc_error("testmempoolaccept", ["00"])[0] == -22
    assert desk.rpc_error("testmempoolaccept", good.raw.hex())[0] == -3
    assert desk.rpc_error("testmempoolaccept", [1])[0] == -3


def test_the_mempool(desk: Desk, lab: Lab) -> None:
    parent = pay(lab.take())
    child = pay([made_by(parent)])
    desk.pool(parent, child)
    both = {to_hex(parent.txid), to_hex(child.txid)}
    assert set(desk.rpc("getrawmempool")) == both
    sequence = desk.rpc("getrawmempool", False, True)
    assert set(sequence["txids"]) == both
    assert sequence["mempool_sequence"] > 0
    assert desk.rpc_error("getrawmempool", True, True)[0] == -8
    entries = exact(desk, "getrawmempool", True)
    entry = exact(desk, "getmempoolentry", to_hex(child.txid))
    assert entries == {to_hex(parent.txid): entries[to_hex(parent.txid)], to_hex(child.txid): entry}
    assert entry.pop("time") > 0
    assert {name: str(fee) for name, fee in entry.pop("fees").items()} == {
        "base": "0.00001000",
        "modified": "0.00001000",
        "ancestor": "0.00002000",
        "descendant": "0.00001000",
    }
    assert entry == {
        "vsize": child.vsize,
        "weight": child.weight,
        "height": 112,
        "descendantcount": 1,
        "descendantsize": child.vsize,
        "ancestorcount": 2,
        "ancestorsize": parent.vsize + child.vsize,
        "wtxid": to_hex(child.wtxid),
        "depends": [to_hex(parent.txid)],
        "spentby": [],
        "bip125-replaceable": True,
        "unbroadcast": False,
    }
    assert exact(desk, "getmempoolentry", to_hex(parent.txid))["spentby"] == [to_hex(child.txid)]
    assert desk.rpc_error("getmempoolentry", NOWHERE) == (-5, "Transaction not in mempool")
    info = exact(desk, "getmempoolinfo")
    assert (info["size"], info["bytes"]) == (2, parent.vsize + child.vsize)
    assert (str(info["total_fee"]), str(info["mempoolminfee"])) == ("0.00002000", "0.00001000")
    assert info["loaded"] is info["fullrbf"] is True


def test_estimatesmartfee(shared: Desk) -> None:
    nothing = {"errors": ["Insufficient data or no feerate found"], "blocks": 6}
    assert shared.rpc("estimatesmartfee", 6) == shared.rpc("estimatesmartfee", 6, "CONSERVATIVE") == nothing
    assert shared.rpc_error("estimatesmartfee", 6, "thrifty")[0] == -8
    for wrong in (0, 1009, -1):
        assert shared.rpc_error("estimatesmartfee", wrong) == (-8, "Invalid conf_target, must be between 1 and 1008")


# peers and the process


def test_peers(desk: Desk) -> None:
    assert desk.rpc("getpeerinfo") == []
    info = exact(desk, "getnetworkinfo")
    assert (info["connections"], info["version"], str(info["relayfee"])) == (0, 290000, "0.00001000")
    assert desk.rpc("addnode", "127.0.0.1:19999", "add") is None
    assert desk.rpc_error("addnode", "127.0.0.1:19999", "add") == (-23, "Error: Node already added")
    assert desk.rpc("addnode", "127.0.0.1:19999", "onetry") is None
    assert desk.rpc("addnode", "127.0.0.1:19999", "remove") is None
    assert desk.rpc_error("addnode", "127.0.0.1:19999", "remove")[0] == -24
    assert desk.rpc("addnode", "[::1]", "add") is None
    assert desk.rpc_error("addnode", "127.0.0.1:19999", "befriend")[0] == -1
    for wrong in ("", "a b:1", "x:y", "127.0.0.1:0", "127.0.0.1:70000", "[::1", "http://x:1"):
        assert desk.rpc_error("addnode", wrong, "add")[0] == -8
    assert desk.rpc_error("disconnectnode", "127.0.0.1:19999") == (-29, "Node not found in connected nodes")
    assert desk.rpc_error("disconnectnode", "", 5) == (-29, "Node not found in connected nodes")
    assert desk.rpc_error("disconnectnode")[0] == -8
    assert desk.rpc_error("disconnectnode", "127.0.0.1:1", 1)[0] == -8


@pytest.mark.parametrize(
    ("script", "isscript", "witness"),
    [
        (lock(ScriptType.P2WPKH), False, (0, lock(ScriptType.P2WPKH)[2:])),
        (lock(ScriptType.P2PKH), False, None),
        (lock(ScriptType.P2TR), True, (1, lock(ScriptType.P2TR)[2:])),
        (b"\xa9\x14" + bytes(20) + b"\x87", True, None),
        (b"\x00\x20" + bytes(32), True, (0, bytes(32))),
        (b"\x52\x02\x01\x02", False, (2, b"\x01\x02")),
    ],
)
def test_validateaddress(shared: Desk, script: bytes, isscript: bool, witness: tuple[int, bytes] | None) -> None:
    address = encode_address(script)
    expected = {
        "isvalid": True,
        "address": address,
        "scriptPubKey": script.hex(),
        "isscript": isscript,
        "iswitness": witness is not None,
    }
    if witness:
        expected |= {"witness_version": witness[0], "witness_program": witness[1].hex()}
    assert shared.rpc("validateaddress", address) == expected


def test_validateaddress_of_none(shared: Desk) -> None:
    for wrong in ("", "x", FOREIGN, "é" * 10_000):
        found = shared.rpc("validateaddress", wrong)
        assert (found["isvalid"], found["error_locations"]) == (False, [])
        assert found["error"]


def test_the_process(desk: Desk) -> None:
    assert desk.rpc("getrpcinfo")["active_commands"][0]["method"] == "getrpcinfo"
    assert desk.rpc("stop") == "groatd stopping"
    desk.runtime.wait()
    assert desk.runtime.fault is None


def test_coinbases_mature_as_in_core(make_desk: MakeDesk) -> None:
    desk = make_desk()
    desk.rpc("generatetoaddress", COINBASE_MATURITY, ADDRESS)
    assert desk.rpc("getblockcount") == 100
    ripe, early = (
        decode_block(bytes.fromhex(desk.rpc("getblock", desk.rpc("getblockhash", height), 0))).txs[0]
        for height in (1, 2)
    )
    tx = pay([made_by(ripe, 0, 1)])
    assert desk.rpc("sendrawtransaction", tx.raw.hex()) == to_hex(tx.txid)
    assert desk.rpc_error("sendrawtransaction", pay([made_by(early, 0, 2)]).raw.hex())[0] == -26
