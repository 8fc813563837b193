"""What clients of Bitcoin Core read of each answer is there, nothing is missing, nothing unknown; and errors have
Core's codes, words and HTTP statuses."""

import json
from typing import Any

import pytest

from chain.address import encode_address
from chain.hashes import to_hex
from chain.params import GENESIS
from tests.chainlab import Lab, funded, lock, pay
from tests.node.api.desk import Desk
from tests.node.api.parked import Ask
from tests.node.api.peerlab import Caller

NOWHERE = "ab" * 32
ADDRESS = encode_address(lock())

HEADER = (
    "hash confirmations height version versionHex merkleroot time mediantime nonce bits target difficulty chainwork nTx"
    " previousblockhash"
)
BLOCK = f"{HEADER} strippedsize size weight tx"
TX = "txid hash version size vsize weight locktime vin vout"
INPUT = "txid vout scriptSig txinwitness sequence"
PLACE = "blockhash confirmations time blocktime"
SUMS = "height bestblock txouts bogosize total_amount transactions disk_size"
SCRIPT = "asm desc hex address type"
WORK = "bits difficulty target"
CHAIN_INFO = (
    "chain network blocks headers bestblockhash bits target difficulty time mediantime verificationprogress"
    " initialblockdownload chainwork size_on_disk pruned warnings"
)
POOL_ENTRY = (
    "vsize weight time height descendantcount descendantsize ancestorcount ancestorsize wtxid fees depends spentby"
    " bip125-replaceable unbroadcast"
)
POOL_INFO = (
    "loaded size bytes usage total_fee maxmempool mempoolminfee minrelaytxfee incrementalrelayfee unbroadcastcount"
    " fullrbf"
)
NETWORK_INFO = (
    "version subversion protocolversion localservices localservicesnames localrelay timeoffset networkactive"
    " connections connections_in connections_out networks relayfee incrementalfee localaddresses warnings"
)

ROWS: list[tuple[str, list[Any], str, str]] = [
    (
        "getblockchaininfo",
        [],
        "",
        CHAIN_INFO,
    ),
    ("getblock", ["TIP"], "", BLOCK),
    ("getblock", ["BLOCK", 1], "", f"{BLOCK} nextblockhash"),
    ("getblock", ["TIP", 2], "tx 0", f"{TX} hex"),
    ("getblock", ["TIP", 2], "tx 1", f"{TX} hex fee"),
    ("getblock", ["TIP", 2], "tx 1 vin 0", INPUT),
    ("getblock", ["TIP", 3], "tx 1 vin 0", f"{INPUT} prevout"),
    ("getblock", ["TIP", 3], "tx 1 vin 0 prevout", "generated height value scriptPubKey"),
    ("getblock", ["TIP", 3], "tx 1 vin 0 prevout scriptPubKey", SCRIPT),
    ("getblock", ["TIP", 3], "tx 0 vin 0", "coinbase txinwitness sequence"),
    ("getblock", ["TIP", 3], "tx 0 vout 1 scriptPubKey", "asm desc hex type"),
    ("getblockheader", ["TIP"], "", HEADER),
    ("getblockheader", ["BLOCK", True], "", f"{HEADER} nextblockhash"),
    ("getrawtransaction", ["CONFIRMED", 1], "", f"{TX} hex {PLACE}"),
    ("getrawtransaction", ["CONFIRMED", 2], "", f"{TX} hex {PLACE} fee"),
    ("getrawtransaction", ["CONFIRMED", True, "TIP"], "", f"{TX} hex {PLACE} in_active_chain"),
    ("getrawtransaction", ["WAITING", 1], "", f"{TX} hex"),
    ("getrawtransaction", ["WAITING", 2], "", f"{TX} hex fee"),
    ("getrawtransaction", ["WAITING", 1], "vin 0 scriptSig", "asm hex"),
    ("getrawtransaction", ["WAITING", 1], "vout 0", "value n scriptPubKey"),
    ("getrawtransaction", ["WAITING", 1], "vout 0 scriptPubKey", SCRIPT),
    ("decoderawtransaction", ["HEX"], "", TX),
    ("testmempoolaccept", [["HEX"]], "0", "txid wtxid allowed reject-reason reject-details"),
    ("testmempoolaccept", [["FRESH"]], "0", "txid wtxid allowed vsize fees"),
    ("testmempoolaccept", [["FRESH"]], "0 fees", "base effective-feerate effective-includes"),
    (
        "getmempoolentry",
        ["WAITING"],
        "",
        POOL_ENTRY,
    ),
    ("getmempoolentry", ["WAITING"], "fees", "base modified ancestor descendant"),
    ("getrawmempool", [False, True], "", "txids mempool_sequence"),
    (
        "getmempoolinfo",
        [],
        "",
        POOL_INFO,
    ),
    ("gettxout", ["WAITING", 0], "", "bestblock confirmations value scriptPubKey coinbase"),
    ("gettxout", ["WAITING", 0], "scriptPubKey", SCRIPT),
    ("gettxoutsetinfo", [], "", f"{SUMS} hash_serialized_3"),
    ("gettxoutsetinfo", ["muhash"], "", f"{SUMS} muhash"),
    ("gettxoutsetinfo", ["none"], "", SUMS),
    ("scantxoutset", ["start", ["DESCRIPTOR"]], "", "success txouts height bestblock unspents total_amount"),
    ("generateblock", ["ADDRESS", [], False], "", "hash hex"),
    ("getchaintips", [], "0", "height hash branchlen status"),
    (
        "getnetworkinfo",
        [],
        "",
        NETWORK_INFO,
    ),
    ("getnetworkinfo", [], "networks 0", "name limited reachable proxy proxy_randomize_credentials"),
    ("estimatesmartfee", [6], "", "errors blocks"),
    (
        "validateaddress",
        ["ADDRESS"],
        "",
        "isvalid address scriptPubKey isscript iswitness witness_version witness_program",
    ),
    ("validateaddress", ["x"], "", "isvalid error_locations error"),
    ("getmininginfo", [], "", f"blocks {WORK} networkhashps pooledtx chain network next warnings"),
    ("getmininginfo", [], "next", f"height {WORK}"),
    ("getrpcinfo", [], "", "active_commands logpath"),
    ("getrpcinfo", [], "active_commands 0", "method duration"),
    ("waitforblockheight", [0], "", "hash height"),
]
"""Method, parameters (capitals stand for what there is), the way into the answer, the names of the object there."""


@pytest.fixture(scope="module")
def things(shared: Desk) -> dict[str, str]:
    """What the capitals stand for; the shared desk gets one unconfirmed transaction."""
    lab = funded()
    waiting, fresh = pay(lab.take()), pay(lab.take())
    shared.pool(waiting)
    return {
        "TIP": to_hex(lab.tip.hash),
        "BLOCK": to_hex(lab.blocks[49].hash),
        "CONFIRMED": to_hex(lab.blocks[-1].txs[1].txid),
        "WAITING": to_hex(waiting.txid),
        "HEX": waiting.raw.hex(),
        "FRESH": fresh.raw.hex(),
        "ADDRESS": ADDRESS,
        "DESCRIPTOR": f"addr({ADDRESS})",
    }


def filled(param: Any, things: dict[str, str]) -> Any:
    if isinstance(param, list):
        return [filled(one, things) for one in param]
    return things.get(param, param) if isinstance(param, str) else param


@pytest.mark.parametrize(("method", "params", "way", "names"), ROWS)
def test_every_name_is_there(
    shared: Desk, things: dict[str, str], method: str, params: list[Any], way: str, names: str
) -> None:
    found = shared.rpc(method, *filled(params, things))
    for step in way.split():
        found = found[int(step) if step.isdigit() else step]
    assert sorted(found) == sorted(names.split())


NO_TX = "No such mempool or blockchain transaction. Use gettransaction for wallet transactions."
WRONG_NUMBER = "JSON value of type string is not of expected type number"
ERRORS: list[tuple[str, list[Any], int, str, int]] = [
    ("getblockhash", [113], -8, "Block height out of range", 500),
    ("getblockhash", [-1], -8, "Block height out of range", 500),
    ("getblockhash", ["1"], -3, WRONG_NUMBER, 500),
    ("getblock", [NOWHERE], -5, "Block not found", 500),
    ("getblock", ["ab"], -8, "blockhash must be of length 64 (not 2, for 'ab')", 500),
    ("getblock", ["x" * 64], -8, f"blockhash must be hexadecimal string (not '{'x' * 64}')", 500),
    ("getblockheader", [NOWHERE], -5, "Block not found", 500),
    ("invalidateblock", [NOWHERE], -5, "Block not found", 500),
    ("reconsiderblock", [NOWHERE], -5, "Block not found", 500),
    ("preciousblock", [NOWHERE], -5, "Block not found", 500),
    ("getrawtransaction", [NOWHERE], -5, NO_TX, 500),
    ("decoderawtransaction", ["00"], -22, "TX decode failed", 500),
    ("sendrawtransaction", ["00"], -22, "TX decode failed. Make sure the tx has at least one input.", 500),
    ("getmempoolentry", [NOWHERE], -5, "Transaction not in mempool", 500),
    ("estimatesmartfee", [0], -8, "Invalid conf_target, must be between 1 and 1008", 500),
    ("generatetoaddress", [1, "x"], -5, "Error: Invalid address", 500),
    ("generateblock", ["x", []], -5, "Error: Invalid address or descriptor", 500),
    ("generateblock", [ADDRESS, [NOWHERE]], -5, f"Transaction {NOWHERE} not in mempool.", 500),
    ("submitblock", ["00"], -22, "Block decode failed", 500),
    ("addnode", ["127.0.0.1:1", "x"], -1, "command must be one of add, remove, onetry", 500),
    (
        "addnode",
        ["127.0.0.1:1", "remove"],
        -24,
        "Error: Node could not be removed. It has not been added previously.",
        500,
    ),
    ("disconnectnode", ["127.0.0.1:1"], -29, "Node not found in connected nodes", 500),
    ("disconnectnode", ["", 77], -29, "Node not found in connected nodes", 500),
    ("disconnectnode", [], -8, "Only one of address and nodeid should be provided.", 500),
    ("waitfornewblock", [-1], -1, "Negative timeout", 500),
    ("uptime", [1], -1, "uptime\n\nSeconds since the start.", 500),
    ("nothing", [], -32601, "Method not found", 404),
]


@pytest.mark.parametrize(("method", "params", "code", "message", "status"), ERRORS)
def test_errors(shared: Desk, method: str, params: list[Any], code: int, message: str, status: int) -> None:
    reply = shared.post_rpc(json.dumps({"method": method, "params": params, "id": "x"}))
    assert (reply.status, reply.type) == (status, "application/json")
    assert reply.json() == {"result": None, "error": {"code": code, "message": message}, "id": "x"}


# the process and its peers


def test_the_mempool_and_the_network_in_full(desk: Desk, lab: Lab) -> None:
    tx = pay(lab.take())
    desk.pool(tx)
    info = desk.rpc("getmempoolinfo")
    assert info.pop("usage") > 0
    assert info == {
        "loaded": True,
        "size": 1,
        "bytes": tx.vsize,
        "total_fee": 0.00001,
        "maxmempool": 300_000_000,
        "mempoolminfee": 0.00001,
        "minrelaytxfee": 0.00001,
        "incrementalrelayfee": 0.00001,
        "unbroadcastcount": 0,
        "fullrbf": True,
    }
    assert desk.rpc("getnetworkinfo") == {
        "version": 290000,
        "subversion": "/groat/",
        "protocolversion": 1,
        "localservices": "0000000000000001",
        "localservicesnames": ["NETWORK"],
        "localrelay": True,
        "timeoffset": 0,
        "networkactive": True,
        "connections": 0,
        "connections_in": 0,
        "connections_out": 0,
        "networks": [
            {"name": name, "limited": False, "reachable": True, "proxy": "", "proxy_randomize_credentials": False}
            for name in ("ipv4", "ipv6")
        ],
        "relayfee": 0.00001,
        "incrementalfee": 0.00001,
        "localaddresses": [],
        "warnings": [],
    }


CORE_S_PEER = (
    "id addr network services servicesnames relaytxes lastrecv lastsend conntime last_transaction last_block bytessent"
    " bytesrecv timeoffset version subver inbound bip152_hb_to bip152_hb_from startingheight synced_headers"
    " synced_blocks inflight connection_type transport_protocol_type"
)
OUR_WORDS = "nodeid role score grade why choked first_blocks first_transactions discovered_by"


def test_a_peer_in_full_and_its_end(desk: Desk) -> None:
    Caller(desk).greet()
    [peer] = desk.rpc("getpeerinfo")
    assert sorted(peer) == sorted(f"{CORE_S_PEER} {OUR_WORDS}".split())
    assert (peer["inbound"], peer["connection_type"], peer["subver"]) == (True, "inbound", "/test/")
    info = desk.rpc("getnetworkinfo")
    assert (info["connections"], info["connections_in"], info["connections_out"]) == (1, 1, 0)
    assert desk.rpc("getconnectioncount") == 1
    assert desk.rpc("disconnectnode", "", peer["id"]) is None
    assert desk.rpc("getpeerinfo") == []
    Caller(desk, 9).greet()
    assert desk.rpc("disconnectnode", nodeid=desk.rpc("getpeerinfo")[0]["id"]) is None
    assert desk.rpc("getconnectioncount") == 0


def test_nodes_are_added_and_removed(desk: Desk) -> None:
    for node in ("127.0.0.1:19999", "[::1]:19999", "localhost"):
        assert desk.rpc("addnode", node, "add") is None
        assert desk.rpc_error("addnode", node, "add") == (-23, "Error: Node already added")
        assert desk.rpc("addnode", node, "onetry") is None
        assert desk.rpc("addnode", node=node, command="remove") is None
        assert desk.rpc_error("addnode", node, "remove")[0] == -24


def test_what_is_under_way(desk: Desk, ask: Ask) -> None:
    first, second = ask("waitforblockheight", 113), ask("getblocktemplate", {"rules": ["segwit"], "longpollid": 0})
    info = desk.rpc("getrpcinfo")
    assert [command["method"] for command in info["active_commands"]] == [
        "waitforblockheight",
        "getblocktemplate",
        "getrpcinfo",
    ]
    durations = [command["duration"] for command in info["active_commands"]]
    assert all(isinstance(duration, int) for duration in durations)
    assert durations == sorted(durations, reverse=True)
    assert info["logpath"] == ""
    desk.rpc("generatetoaddress", 1, ADDRESS)
    assert first.result(5)["height"] == second.result(5)["height"] - 1 == 113
    assert len(desk.rpc("getrpcinfo")["active_commands"]) == 1
    desk.rpc_error("getblockhash", 1000)  # what fails is over too
    assert len(desk.rpc("getrpcinfo")["active_commands"]) == 1


def test_genesis_alone(make_desk: Any) -> None:
    """What a fresh node says, where nothing was mined yet."""
    desk = make_desk()
    assert desk.rpc("getblockcount") == 0
    assert desk.rpc("getmininginfo")["networkhashps"] == desk.rpc("getnetworkhashps") == 0
    info = desk.rpc("getblockchaininfo")
    assert (info["bestblockhash"], info["verificationprogress"]) == (to_hex(GENESIS.hash), 1.0)
    assert desk.rpc("getchaintips") == [{"height": 0, "hash": to_hex(GENESIS.hash), "branchlen": 0, "status": "active"}]
    assert desk.rpc("getblocktemplate", {"rules": ["segwit"]})["height"] == 1
