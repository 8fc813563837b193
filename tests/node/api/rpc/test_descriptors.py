"""JSON-RPC about descriptors and scripts: whole answers, every error, searches that others see and end."""

import json
from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import pytest

from chain.address import encode_address
from chain.bip32 import TEST_PRIVATE, encode_extended, master_key
from chain.coins import Coin
from chain.hashes import hash160, sha256, to_hex
from chain.keys import default_engine
from chain.scripttype import ScriptType, p2pkh_script, p2tr_script, p2wpkh_script
from chain.tx import OutPoint, TxOut, outpoint_index, outpoint_txid
from node.api.encoding.disassembler import descriptor
from node.api.rpc import core_json, descriptors, scan
from node.api.services import coin_scan
from node.descriptors.checksum import descriptor_checksum, with_checksum
from node.storage.reader import LedgerReader
from tests.chainlab import Lab, Owned, key, lock, pay
from tests.node.api.conftest import MakeDesk
from tests.node.api.desk import WAIT_S, Desk

ENGINE = default_engine()
MASTER = master_key(bytes(range(32)), TEST_PRIVATE)
TPRV, TPUB = encode_extended(MASTER), encode_extended(MASTER.public(ENGINE))
FINGERPRINT = MASTER.fingerprint(ENGINE).hex()
TOO_MANY_KEYS = (-8, "Range is too large: more than 100000 keys are not derived in one call")
RANGED = f"wpkh([d34db33f/84h]{TPUB}/0/*)"
KEY = key(0).public
LONG = bytes.fromhex(
    "04a34b99f22c790c4e36b2b3c2c35a36db06226e41c692fc82b8b56ac1c540c5bd"
    "5b8dec5235a0fa8722476c7709c02559e3aa73aa03918ba2d492eea75abea235"
)


def child(*path: int) -> bytes:
    return MASTER.descend(path, ENGINE).public_key(ENGINE)


def address(script: bytes) -> str:
    found = encode_address(script)
    assert found is not None
    return found


# what one says


def test_getdescriptorinfo(shared: Desk) -> None:
    assert shared.rpc("getdescriptorinfo", RANGED) == {
        "descriptor": with_checksum(RANGED),
        "checksum": descriptor_checksum(RANGED),
        "isrange": True,
        "issolvable": True,
        "hasprivatekeys": False,
    }
    given = f"wpkh({TPRV}/0h/1)"
    assert shared.rpc("getdescriptorinfo", descriptor=with_checksum(given)) == {
        "descriptor": with_checksum(f"wpkh({TPUB}/0h/1)"),
        "checksum": descriptor_checksum(given),
        "isrange": False,
        "issolvable": True,
        "hasprivatekeys": True,
    }
    both = [with_checksum(f"tr({TPUB}/{n}/*)") for n in (0, 1)]
    assert shared.rpc("getdescriptorinfo", f"tr({TPUB}/<0;1>/*)") == {
        "descriptor": both[0],
        "multipath_expansion": both,
        "checksum": descriptor_checksum(f"tr({TPUB}/<0;1>/*)"),
        "isrange": True,
        "issolvable": True,
        "hasprivatekeys": False,
    }
    assert shared.rpc("getdescriptorinfo", "raw(00)")["issolvable"] is False


def test_getdescriptorinfo_of_none(shared: Desk) -> None:
    for given, message in {
        "": "'' is not a valid descriptor function",
        f"wpkh({TPUB}": f"'wpkh({TPUB}' is not a valid descriptor function",
        "addr(x)": "Address is not valid",
        "raw(00)#aaaaaaaa": "Provided checksum 'aaaaaaaa' does not match computed checksum '"
        + descriptor_checksum("raw(00)")
        + "'",
    }.items():
        assert shared.rpc_error("getdescriptorinfo", given) == (-5, message)
    assert shared.rpc_error("getdescriptorinfo", 5) == (-3, "JSON value of type number is not of expected type string")
    assert shared.rpc_error("getdescriptorinfo")[0] == -1
    reply = shared.post_rpc(json.dumps({"method": "getdescriptorinfo", "params": ["x"]}))
    assert reply.status == 500


# the addresses behind it


def test_deriveaddresses(shared: Desk) -> None:
    ranged = with_checksum(RANGED)
    every = [address(p2wpkh_script(hash160(child(0, n)))) for n in range(4)]
    assert shared.rpc("deriveaddresses", ranged, 3) == every
    assert shared.rpc("deriveaddresses", ranged, [1, 2]) == every[1:3]
    assert shared.rpc("deriveaddresses", descriptor=ranged, range=[2, 2]) == every[2:3]
    single = with_checksum(f"pkh({TPUB}/0/1)")
    assert shared.rpc("deriveaddresses", single) == [address(p2pkh_script(hash160(child(0, 1))))]
    assert shared.rpc("deriveaddresses", single, None) == [address(p2pkh_script(hash160(child(0, 1))))]
    assert shared.rpc("deriveaddresses", with_checksum(f"pkh({TPUB}/<0;1>/*)"), [5, 6]) == [
        [address(p2pkh_script(hash160(child(n, m)))) for m in (5, 6)] for n in (0, 1)
    ]
    combo = shared.rpc("deriveaddresses", with_checksum(f"combo({KEY.hex()})"))
    hashed = hash160(KEY)
    nested = b"\xa9\x14" + hash160(p2wpkh_script(hashed)) + b"\x87"
    assert combo == [address(p2pkh_script(hashed)), address(p2wpkh_script(hashed)), address(nested)]
    last = shared.rpc("deriveaddresses", ranged, [2**31 - 1, 2**31 - 1])
    assert last == [address(p2wpkh_script(hash160(child(0, 2**31 - 1))))]


def test_deriveaddresses_refuses(shared: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    ranged, single = with_checksum(RANGED), with_checksum(f"pkh({TPUB}/0/1)")
    too_large = (-8, "Range is too large")
    no_range = (-8, "Range must be specified as end or as [begin,end]")
    for given, expected in [
        ((RANGED, 1), (-5, "Missing checksum")),
        ((ranged,), (-8, "Range must be specified for a ranged descriptor")),
        ((single, 1), (-8, "Range should not be specified for an un-ranged descriptor")),
        ((ranged, [3, 2]), (-8, "Range specified as [begin,end] must not have begin after end")),
        ((ranged, [-1, 2]), (-8, "Range should be greater or equal than 0")),
        ((ranged, [0, 2**31]), (-8, "End of range is too high")),
        ((ranged, [0, 1_000_000]), too_large),
        ((ranged, 999_999), TOO_MANY_KEYS),  # ours: as many as Core takes would last minutes
        ((ranged, "1"), no_range),
        ((ranged, [1]), no_range),
        ((ranged, [1, 2, 3]), no_range),
        ((ranged, {}), no_range),
        ((ranged, True), no_range),
        ((ranged, [0, "1"]), (-3, "JSON value of type string is not of expected type number")),
        ((ranged, [0, 2**70]), (-1, "JSON integer out of range")),
        ((with_checksum(f"wpkh({TPUB}/0h)"),), (-5, "Cannot derive script without private keys")),
        ((with_checksum("raw(51)"),), (-5, "Descriptor does not have a corresponding address")),
        ((with_checksum(f"pk({TPUB})"),), (-5, "Descriptor does not have a corresponding address")),
    ]:
        assert shared.rpc_error("deriveaddresses", *given) == expected
    monkeypatch.setattr(descriptors, "DERIVED_MAX", 4)
    assert len(shared.rpc("deriveaddresses", ranged, 3)) == 4
    few = (-8, TOO_MANY_KEYS[1].replace("100000", "4"))
    assert shared.rpc_error("deriveaddresses", ranged, 4) == few
    multi = with_checksum(f"wsh(multi(1,{TPUB}/0/*,{TPUB}/1/*))")
    assert len(shared.rpc("deriveaddresses", multi, 1)) == 2
    assert shared.rpc_error("deriveaddresses", multi, 2) == few


def test_generateblock_takes_any_descriptor_of_one_script(desk: Desk) -> None:
    hashed = hash160(KEY)
    for output, script in (
        (f"wpkh({KEY.hex()})", p2wpkh_script(hashed)),
        (with_checksum(f"pkh({TPUB}/0/7)"), p2pkh_script(hash160(child(0, 7)))),
        (f"tr({KEY.hex()})", lock(ScriptType.P2TR)),
        (f"combo({KEY.hex()})", p2wpkh_script(hashed)),
        (f"combo({LONG.hex()})", p2pkh_script(hash160(LONG))),
    ):
        made = desk.rpc("generateblock", output, [])
        coinbase = desk.rpc("getblock", made["hash"], 2)["tx"][0]
        assert coinbase["vout"][0]["scriptPubKey"]["hex"] == script.hex()
    for output, error in (
        (RANGED, (-8, "Ranged descriptor not accepted. Maybe pass through deriveaddresses first?")),
        (f"wpkh({TPUB}/<0;1>)", (-8, "Multipath descriptor not accepted")),
        (f"wpkh({TPUB}/0h)", (-5, "Cannot derive script without private keys")),
        ("wpkh(x)", (-5, "Error: Invalid address or descriptor")),
    ):
        assert desk.rpc_error("generateblock", output, []) == error


# searches


def unspent(lab: Lab, owned: Owned, desc: str) -> dict[str, Any]:
    height = owned.coin.height
    return {
        "txid": to_hex(outpoint_txid(owned.point)),
        "vout": outpoint_index(owned.point),
        "scriptPubKey": owned.coin.script.hex(),
        "desc": desc,
        "amount": owned.coin.value / 1e8,
        "coinbase": owned.coin.is_coinbase,
        "height": height,
        "blockhash": to_hex(lab.tip.ancestor(height).hash),
        "confirmations": lab.height - height + 1,
    }


def expected(lab: Lab, known: dict[bytes, str]) -> dict[str, Any]:
    """What a search for scripts, each with its descriptor, comes to."""
    owned = [Owned(point, coin) for point, coin in lab.coins.items() if coin.script in known]
    owned.sort(key=lambda one: (one.point[:32], outpoint_index(one.point)))
    return {
        "success": True,
        "txouts": len(lab.coins),
        "height": lab.height,
        "bestblock": to_hex(lab.tip.hash),
        "unspents": [unspent(lab, one, known[one.coin.script]) for one in owned],
        "total_amount": pytest.approx(sum(one.coin.value for one in owned) / 1e8),
    }


def test_scantxoutset(desk: Desk, lab: Lab) -> None:
    script = lock()
    for given in (f"addr({address(script)})", f"raw({script.hex()})", {"desc": f"addr({address(script)})"}):
        found = desk.rpc("scantxoutset", "start", [given])
        assert found == expected(lab, {script: descriptor(script)})
        assert found["unspents"]
    hashed = hash160(KEY)[:4].hex()
    combo = {
        lock(ScriptType.P2PKH): with_checksum(f"pkh([{hashed}]{KEY.hex()})"),
        lock(): with_checksum(f"wpkh([{hashed}]{KEY.hex()})"),
    }
    assert desk.rpc("scantxoutset", "start", [f"combo({KEY.hex()})"]) == expected(lab, combo)
    taproot = with_checksum(f"tr([{hashed}]{KEY[1:].hex()})")
    both = desk.rpc("scantxoutset", action="start", scanobjects=[f"tr({KEY.hex()})", f"combo({KEY.hex()})"])
    assert both == expected(lab, {**combo, lock(ScriptType.P2TR): taproot})
    nothing = desk.rpc("scantxoutset", "start", [])
    assert (nothing["success"], nothing["unspents"], nothing["total_amount"]) == (True, [], 0)


def test_what_is_told_of_a_script_is_made_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block of 5,000 payments to a few scripts takes a third of the time."""
    made: list[bytes] = []

    def noted(script: bytes) -> str:
        made.append(script)
        return descriptor(script)

    monkeypatch.setattr(scan, "descriptor", noted)
    monkeypatch.setattr(core_json, "descriptor", noted)
    script = lock()
    assert len(desk.rpc("scantxoutset", "start", [f"raw({script.hex()})"])["unspents"]) > 1
    assert made == [script]
    first, second = (core_json.script_shape(bytes.fromhex("6a0474776963")) for _ in range(2))
    assert first == second
    assert first is not second
    assert len(made) == 2


def test_scantxoutset_follows_ranges(desk: Desk, lab: Lab) -> None:
    paid = {n: p2wpkh_script(hash160(child(0, n))) for n in (0, 7, 1_000, 1_001)}
    [coin] = lab.take()
    desk.give([lab.mine([pay([coin], [TxOut(1_000 * (n + 1), script) for n, script in paid.items()])])])
    known = {n: {paid[n]: with_checksum(f"wpkh([d34db33f/84h/0/{n}]{child(0, n).hex()})")} for n in paid}
    first = known[0] | known[7] | known[1_000]
    assert desk.rpc("scantxoutset", "start", [RANGED]) == expected(lab, first)
    for indexes, among in ((7, (0, 7)), ([1, 1_001], (7, 1_000, 1_001)), (None, (0, 7, 1_000))):
        given = {"desc": RANGED, "range": indexes}
        wanted = {script: text for n in among for script, text in known[n].items()}
        assert desk.rpc("scantxoutset", "start", [given]) == expected(lab, wanted)
    # What waits in the mempool is no part of the coin set.
    desk.pool(pay(lab.take(), [TxOut(5_000, p2wpkh_script(hash160(child(0, 3))))]))
    assert desk.rpc("scantxoutset", "start", [RANGED]) == expected(lab, first)


def test_scantxoutset_refuses(shared: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    string = (-3, "JSON value of type number is not of expected type string")
    for given, error in [
        (("stop",), (-8, "Invalid action 'stop'")),
        (("start",), (-1, "scanobjects argument is required for the start action")),
        (("start", None), (-1, "scanobjects argument is required for the start action")),
        (("start", "raw(00)"), (-3, "JSON value of type string is not of expected type array")),
        (("start", [5]), (-8, "Scan object needs to be either a string or an object")),
        (("start", [None]), (-8, "Scan object needs to be either a string or an object")),
        (("start", [{"range": 5}]), (-8, "Descriptor needs to be provided in scan object")),
        (("start", [{"desc": 5}]), string),
        (
            ("start", [{"desc": RANGED, "range": [2, 1]}]),
            (-8, "Range specified as [begin,end] must not have begin after end"),
        ),
        (("start", [{"desc": RANGED, "range": 500_000}]), TOO_MANY_KEYS),
        (("start", ["wpkh(x)"]), (-5, "wpkh(): key 'x' is not valid")),
        (("start", [f"wpkh({TPUB}/1h)"]), (-5, "Cannot derive script without private keys")),
        (("start", [RANGED] * 100), TOO_MANY_KEYS),
        ((5,), string),
    ]:
        assert shared.rpc_error("scantxoutset", *given) == error
    assert shared.rpc_error("scantxoutset")[0] == -1
    # A search that was refused holds nothing up.
    assert shared.rpc("scantxoutset", "status") is None
    assert shared.rpc("scantxoutset", "abort") is False
    monkeypatch.setattr(coin_scan, "FOUND_MAX", 3)
    code, message = shared.rpc_error("scantxoutset", "start", [f"addr({address(lock())})"])
    assert (code, message) == (-1, "More than 100000 unspent outputs: search for less")
    assert shared.rpc("scantxoutset", "status") is None


class Held:
    """A coin set that comes to a halt after half of its coins."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.go_on = Event(), Event()
        coins = LedgerReader.coins

        def held(reader: LedgerReader) -> Iterator[tuple[OutPoint, Coin]]:
            for number, row in enumerate(coins(reader)):
                if number == 100:
                    self.reached.set()
                    assert self.go_on.wait(WAIT_S)
                yield row

        monkeypatch.setattr(LedgerReader, "coins", held)
        monkeypatch.setattr(coin_scan, "LOOK_EVERY", 1)


def test_a_search_is_seen_and_ended_from_another_connection(
    desk: Desk, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(monkeypatch)
    found: list[dict[str, Any]] = []
    search = [f"combo({KEY.hex()})"]
    thread = Thread(target=lambda: found.append(desk.rpc("scantxoutset", "start", search)))
    thread.start()
    assert held.reached.wait(WAIT_S)
    status = desk.rpc("scantxoutset", "status")
    assert set(status) == {"progress"}
    assert 0 < status["progress"] <= 100
    busy = (-8, 'Scan already in progress, use action "abort" or "status"')
    assert desk.rpc_error("scantxoutset", "start", search) == busy
    assert desk.rpc_error("scantxoutset", "start") == busy
    assert desk.rpc("scantxoutset", "abort") is True
    held.go_on.set()
    thread.join(WAIT_S)
    [part] = found
    assert (part["success"], part["txouts"], part["height"]) == (False, 100, lab.height)
    assert desk.rpc("scantxoutset", "status") is None
    assert desk.rpc("scantxoutset", "abort") is False
    assert desk.rpc("scantxoutset", "start", search)["success"] is True


def test_a_search_ends_with_the_node(make_desk: MakeDesk, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = make_desk()
    desk.give(lab.blocks)
    held = Held(monkeypatch)
    found: list[tuple[int, str]] = []
    thread = Thread(target=lambda: found.append(desk.rpc_error("scantxoutset", "start", ["raw(51)"])))
    thread.start()
    assert held.reached.wait(WAIT_S)
    desk.runtime.close()
    held.go_on.set()
    thread.join(WAIT_S)
    assert found == [(-28, "The node is stopping")]


# scripts


def nested(script: bytes) -> str:
    return address(b"\xa9\x14" + hash160(script) + b"\x87")


def segwit(script: bytes, kind: str, asm: str, desc: str) -> dict[str, Any]:
    return {
        "asm": asm,
        "desc": desc,
        "hex": script.hex(),
        "address": address(script),
        "type": kind,
        "p2sh-segwit": nested(script),
    }


def keyhash(content: bytes) -> dict[str, Any]:
    script = p2wpkh_script(content)
    return segwit(script, "witness_v0_keyhash", f"0 {content.hex()}", with_checksum(f"addr({address(script)})"))


def scripthash(inner: bytes, desc: str | None = None) -> dict[str, Any]:
    script = b"\x00\x20" + sha256(inner)
    known = with_checksum(desc or f"addr({address(script)})")
    return segwit(script, "witness_v0_scripthash", f"0 {sha256(inner).hex()}", known)


HEX, HASH = KEY.hex(), hash160(KEY)
P2PK = b"\x21" + KEY + b"\xac"
LONG_P2PK = b"\x41" + LONG + b"\xac"
MULTISIG = b"\x51\x21" + KEY + b"\x21" + KEY + b"\x52\xae"
LONG_MULTISIG = b"\x51\x41" + LONG + b"\x51\xae"
OUTPUT = lock(ScriptType.P2TR)
DECODED: dict[bytes, dict[str, Any]] = {
    b"": {
        "asm": "",
        "desc": with_checksum("raw()"),
        "type": "nonstandard",
        "p2sh": nested(b""),
        "segwit": scripthash(b""),
    },
    P2PK: {
        "asm": f"{HEX} OP_CHECKSIG",
        "desc": with_checksum(f"pk({HEX})"),
        "type": "pubkey",
        "p2sh": nested(P2PK),
        "segwit": keyhash(HASH),
    },
    LONG_P2PK: {
        "asm": f"{LONG.hex()} OP_CHECKSIG",
        "desc": with_checksum(f"pk({LONG.hex()})"),
        "type": "pubkey",
        "p2sh": nested(LONG_P2PK),
    },
    p2pkh_script(HASH): {
        "asm": f"OP_DUP OP_HASH160 {HASH.hex()} OP_EQUALVERIFY OP_CHECKSIG",
        "desc": with_checksum(f"addr({address(p2pkh_script(HASH))})"),
        "address": address(p2pkh_script(HASH)),
        "type": "pubkeyhash",
        "p2sh": nested(p2pkh_script(HASH)),
        "segwit": keyhash(HASH),
    },
    MULTISIG: {
        "asm": f"1 {HEX} {HEX} 2 OP_CHECKMULTISIG",
        "desc": with_checksum(f"multi(1,{HEX},{HEX})"),
        "type": "multisig",
        "p2sh": nested(MULTISIG),
        "segwit": scripthash(MULTISIG, f"wsh(multi(1,{HEX},{HEX}))"),
    },
    LONG_MULTISIG: {
        "asm": f"1 {LONG.hex()} 1 OP_CHECKMULTISIG",
        "desc": with_checksum(f"multi(1,{LONG.hex()})"),
        "type": "multisig",
        "p2sh": nested(LONG_MULTISIG),
    },
    p2wpkh_script(HASH): {
        "asm": f"0 {HASH.hex()}",
        "desc": with_checksum(f"addr({address(p2wpkh_script(HASH))})"),
        "address": address(p2wpkh_script(HASH)),
        "type": "witness_v0_keyhash",
        "p2sh": nested(p2wpkh_script(HASH)),
    },
    OUTPUT: {
        "asm": f"1 {OUTPUT[2:].hex()}",
        "desc": with_checksum(f"rawtr({OUTPUT[2:].hex()})"),
        "address": address(OUTPUT),
        "type": "witness_v1_taproot",
    },
    p2tr_script(bytes(32)): {
        "asm": f"1 {'00' * 32}",
        "desc": with_checksum(f"addr({address(p2tr_script(bytes(32)))})"),
        "address": address(p2tr_script(bytes(32))),
        "type": "witness_v1_taproot",
    },
    b"\x6a\x01\x07": {"asm": "OP_RETURN 7", "desc": with_checksum("raw(6a0107)"), "type": "nulldata"},
    b"\x51": {
        "asm": "1",
        "desc": with_checksum("raw(51)"),
        "type": "nonstandard",
        "p2sh": nested(b"\x51"),
        "segwit": scripthash(b"\x51"),
    },
    b"\x51\x02\x4e\x73": {
        "asm": "1 29518",
        "desc": with_checksum("addr(bcrt1pfeesnyr2tx)"),
        "address": "bcrt1pfeesnyr2tx",
        "type": "anchor",
    },
    b"\xba": {"asm": "OP_CHECKSIGADD", "desc": with_checksum("raw(ba)"), "type": "nonstandard"},
    b"\x50": {"asm": "OP_RESERVED", "desc": with_checksum("raw(50)"), "type": "nonstandard"},
    b"\x05\x01": {"asm": "[error]", "desc": with_checksum("raw(0501)"), "type": "nonstandard"},
}


@pytest.mark.parametrize("script", DECODED, ids=lambda script: script.hex()[:16])
def test_decodescript(shared: Desk, script: bytes) -> None:
    assert shared.rpc("decodescript", script.hex()) == DECODED[script]


def test_decodescript_refuses(shared: Desk) -> None:
    for wrong in ("x", "0", "zz", "00 11"):
        assert shared.rpc_error("decodescript", wrong) == (
            -8,
            f"argument must be hexadecimal string (not '{wrong}')",
        )
    assert shared.rpc_error("decodescript", 5)[0] == -3
    assert shared.rpc_error("decodescript")[0] == -1
    assert shared.rpc("decodescript", hexstring="51") == DECODED[b"\x51"]
