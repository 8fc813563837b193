"""createrawtransaction, what decodes it again, and whom the mempool's transactions are related to."""

from typing import Any

import pytest

from chain.address import MAIN_ADDRESSES, encode_address
from chain.hashes import to_hex
from chain.scripttype import ScriptType
from chain.tx import TxIn, TxOut, decode_stripped_tx, decode_tx, make_tx, outpoint
from tests.chainlab import Lab, lock, made_by, pay
from tests.node.api.desk import Desk

TXID = "00112233" * 8
POINT = outpoint(bytes.fromhex(TXID)[::-1], 7)  # type: ignore[arg-type]
ADDRESS, OTHER = encode_address(lock()), encode_address(lock(ScriptType.P2TR))
FOREIGN = encode_address(lock(), MAIN_ADDRESSES)
INPUT = {"txid": TXID, "vout": 7}


def made(*sequences: int, outputs: tuple[TxOut, ...] = (), lock_time: int = 0) -> str:
    inputs = tuple(TxIn(POINT, b"", sequence) for sequence in sequences)
    return make_tx(2, inputs, outputs, lock_time).raw.hex()


PAID = TxOut(12_345_678, lock())
DATA = TxOut(0, b"\x6a\x03\x01\x02\xff")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (([], []), made()),
        (([INPUT], {}), made(0xFFFFFFFD)),
        (([INPUT], {}, 0, True), made(0xFFFFFFFD)),
        (([INPUT], {}, 0, False), made(0xFFFFFFFF)),
        (([INPUT], {}, 9, False), made(0xFFFFFFFE, lock_time=9)),
        (([INPUT], {}, 2**32 - 1), made(0xFFFFFFFD, lock_time=2**32 - 1)),
        (([{**INPUT, "sequence": 5}, {**INPUT, "sequence": 2**32 - 1}], {}), made(5, 2**32 - 1)),
        (([{**INPUT, "sequence": "5"}], {}), made(0xFFFFFFFD)),  # as in Core
        (([], {ADDRESS: 0.12345678}), made(outputs=(PAID,))),
        (([], {ADDRESS: "0.12345678"}), made(outputs=(PAID,))),
        (([], {ADDRESS: 1, OTHER: 0}), made(outputs=(TxOut(10**8, lock()), TxOut(0, lock(ScriptType.P2TR))))),
        (([], [{ADDRESS: "1e-1"}, {"data": "0102FF"}]), made(outputs=(TxOut(10**7, lock()), DATA))),
        (([], {"data": "0102ff", ADDRESS: 0.12345678}), made(outputs=(DATA, PAID))),
        (([], {"data": "00" * 76}), made(outputs=(TxOut(0, b"\x6a\x4c\x4c" + bytes(76)),))),
        (([], {"data": "00" * 256}), made(outputs=(TxOut(0, b"\x6a\x4d\x00\x01" + bytes(256)),))),
        (([], {"data": "00" * 65536}), made(outputs=(TxOut(0, b"\x6a\x4e\x00\x00\x01\x00" + bytes(65536)),))),
    ],
)
def test_createrawtransaction(shared: Desk, given: tuple[Any, ...], expected: str) -> None:
    assert shared.rpc("createrawtransaction", *given) == expected
    names = ("inputs", "outputs", "locktime", "replaceable")
    assert shared.rpc("createrawtransaction", **dict(zip(names, given, strict=False))) == expected
    assert shared.rpc("createrawtransaction", *given, *[None] * (4 - len(given))) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("foo", {}), (-3, "JSON value of type string is not of expected type array")),
        ((["foo"], {}), (-3, "JSON value of type string is not of expected type object")),
        (([{}], {}), (-3, "JSON value of type null is not of expected type string")),
        (([{"txid": "foo"}], {}), (-8, "txid must be of length 64 (not 3, for 'foo')")),
        (([{"txid": "ZZ" * 32}], {}), (-8, f"txid must be hexadecimal string (not '{'ZZ' * 32}')")),
        (([{"txid": TXID}], {}), (-8, "Invalid parameter, missing vout key")),
        (([{"txid": TXID, "vout": "foo"}], {}), (-8, "Invalid parameter, missing vout key")),
        (([{"txid": TXID, "vout": True}], {}), (-8, "Invalid parameter, missing vout key")),
        (([{"txid": TXID, "vout": -1}], {}), (-8, "Invalid parameter, vout cannot be negative")),
        (([{"txid": TXID, "vout": 2**31}], {}), (-1, "JSON integer out of range")),
        (([{"txid": TXID, "vout": 0.5}], {}), (-1, "JSON value is not an integer as expected")),
        (([{**INPUT, "sequence": -1}], {}), (-8, "Invalid parameter, sequence number is out of range")),
        (([{**INPUT, "sequence": 2**32}], {}), (-8, "Invalid parameter, sequence number is out of range")),
        (([], "foo"), (-3, "JSON value of type string is not of expected type array")),
        (([], {"data": "foo"}), (-8, "Data must be hexadecimal string (not 'foo')")),
        (([], {"data": ""}), (-8, "Data must be hexadecimal string (not '')")),
        (([], {"foo": 0}), (-5, "Invalid Bitcoin address: foo")),
        (([], {FOREIGN: 0}), (-5, f"Invalid Bitcoin address: {FOREIGN}")),
        (([], {ADDRESS: "foo"}), (-3, "Invalid amount")),
        (([], {ADDRESS: "0.123456789"}), (-3, "Invalid amount")),
        (([], {ADDRESS: -1}), (-3, "Amount out of range")),
        (([], {ADDRESS: "-1"}), (-3, "Amount out of range")),
        (([], {ADDRESS: 21_000_001}), (-3, "Amount out of range")),
        (([], {ADDRESS: None}), (-3, "Amount is not a number or string")),
        (([], {ADDRESS: True}), (-3, "Amount is not a number or string")),
        (([], [{ADDRESS: 1}, {ADDRESS: 2}]), (-8, f"Invalid parameter, duplicated address: {ADDRESS}")),
        (([], [{"data": "aa"}, {"data": "bb"}]), (-8, "Invalid parameter, duplicate key: data")),
        (([], [{"a": 1, "b": 2}]), (-8, "Invalid parameter, key-value pair must contain exactly one key")),
        (([], [{}]), (-8, "Invalid parameter, key-value pair must contain exactly one key")),
        (([], [["a"], ["b"]]), (-8, "Invalid parameter, key-value pair not an object as expected")),
        (([], {}, "foo"), (-3, "JSON value of type string is not of expected type number")),
        (([], {}, -1), (-8, "Invalid parameter, locktime out of range")),
        (([], {}, 2**32), (-8, "Invalid parameter, locktime out of range")),
        (([], {}, 0, "foo"), (-3, "JSON value of type string is not of expected type bool")),
        (
            ([{**INPUT, "sequence": 2**32 - 2}], {}, 0, True),
            (-8, "Invalid parameter combination: Sequence number(s) contradict replaceable option"),
        ),
    ],
)
def test_createrawtransaction_refuses(shared: Desk, given: tuple[Any, ...], expected: tuple[int, str]) -> None:
    assert shared.rpc_error("createrawtransaction", *given) == expected


def test_a_transaction_without_inputs_can_be_looked_at(shared: Desk) -> None:
    raw = shared.rpc("createrawtransaction", [], {ADDRESS: 1})
    for is_witness in (None, False):
        shape = shared.rpc("decoderawtransaction", raw, is_witness)
        assert (shape["vin"], len(shape["vout"]), shape["hash"]) == ([], 1, shape["txid"])
        assert shape["vout"][0]["scriptPubKey"]["address"] == ADDRESS
    assert shared.rpc_error("decoderawtransaction", raw, True) == (-22, "TX decode failed")
    make = "TX decode failed. Make sure the tx has at least one input."
    assert shared.rpc_error("sendrawtransaction", raw) == (-22, make)


def test_decoderawtransaction_in_either_encoding(desk: Desk, lab: Lab) -> None:
    tx = pay(lab.take())
    for is_witness in (None, True):
        assert desk.rpc("decoderawtransaction", tx.raw.hex(), is_witness)["hash"] == to_hex(tx.wtxid)
    assert desk.rpc_error("decoderawtransaction", tx.raw.hex(), False) == (-22, "TX decode failed")
    stripped = make_tx(tx.version, tuple(TxIn(i.outpoint, b"", i.sequence) for i in tx.inputs), tx.outputs, 0)
    for encoding in (None, True, False):
        assert desk.rpc("decoderawtransaction", stripped.raw.hex(), encoding)["txid"] == to_hex(tx.txid)
    assert decode_stripped_tx(stripped.raw) == decode_tx(stripped.raw)
    for wrong in ("", "zz", "00", tx.raw.hex()[:-2], tx.raw.hex() + "00"):
        assert desk.rpc_error("decoderawtransaction", wrong) == (-22, "TX decode failed")


def test_what_cannot_be_run_burns_too(desk: Desk, lab: Lab) -> None:
    [coin] = lab.take()
    burned = (-25, "Unspendable output exceeds maximum configured by user (maxburnamount)")
    for script in (b"\x6a\x01\x01", b"\xba", b"\x05\x01", b"\x4d\x09\x02" + bytes(521)):
        tx = pay([coin], [TxOut(1_000, script), TxOut(coin.coin.value - 3_000, lock())])
        assert desk.rpc_error("sendrawtransaction", tx.raw.hex(), 0) == burned
        assert desk.rpc_error("sendrawtransaction", tx.raw.hex(), 0, "0.00000999") == burned
    tx = pay([coin], [TxOut(1_000, b"\x6a\x01\x01"), TxOut(coin.coin.value - 3_000, lock())])
    assert desk.rpc("sendrawtransaction", tx.raw.hex(), 0, "0.00001") == to_hex(tx.txid)


# relatives in the mempool


def test_ancestors_and_descendants(desk: Desk, lab: Lab) -> None:
    [coin] = lab.take()
    grandparent = pay([coin], [TxOut(coin.coin.value // 2, lock()), TxOut(coin.coin.value // 2 - 1_000, lock())])
    parent, uncle = pay([made_by(grandparent)]), pay([made_by(grandparent, 1)])
    child = pay([made_by(parent), made_by(uncle)])
    stranger = pay(lab.take())
    desk.pool(grandparent, parent, uncle, child, stranger)
    names = {to_hex(tx.txid): tx for tx in (grandparent, parent, uncle, child, stranger)}
    g, p, u, c, s = names
    for txid, ancestors, descendants in (
        (g, [], [p, u, c]),
        (p, [g], [c]),
        (u, [g], [c]),
        (c, [g, p, u], []),
        (s, [], []),
    ):
        for method, expected in (("getmempoolancestors", ancestors), ("getmempooldescendants", descendants)):
            assert desk.rpc(method, txid) == desk.rpc(method, txid=txid, verbose=False) == expected
            assert desk.rpc(method, txid, True) == {one: desk.rpc("getmempoolentry", one) for one in expected}
    entry = desk.rpc("getmempoolentry", c)
    assert (entry["ancestorcount"], sorted(entry["depends"])) == (4, sorted((p, u)))
    for method in ("getmempoolancestors", "getmempooldescendants", "getmempoolentry"):
        assert desk.rpc_error(method, TXID) == (-5, "Transaction not in mempool")
        assert desk.rpc_error(method, "ab") == (-8, "txid must be of length 64 (not 2, for 'ab')")
        assert desk.rpc_error(method)[0] == -1


def test_gettxspendingprevout(desk: Desk, lab: Lab) -> None:
    [coin], [free] = lab.take(), lab.take()
    parent = pay([coin])
    child = pay([made_by(parent)])
    desk.pool(parent, child)
    spent, unspent, made_here, never = (
        {"txid": to_hex(point[:32]), "vout": point[32]}
        for point in (coin.point, free.point, outpoint(parent.txid, 0), outpoint(child.txid, 0))
    )
    assert desk.rpc("gettxspendingprevout", [spent, unspent, made_here, never, spent]) == [
        {**spent, "spendingtxid": to_hex(parent.txid)},
        unspent,
        {**made_here, "spendingtxid": to_hex(child.txid)},
        never,
        {**spent, "spendingtxid": to_hex(parent.txid)},
    ]
    assert desk.rpc("gettxspendingprevout", outputs=[{"txid": TXID, "vout": 2**31 - 1}]) == [
        {"txid": TXID, "vout": 2**31 - 1}
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], (-8, "Invalid parameter, outputs are missing")),
        ({}, (-3, "JSON value of type object is not of expected type array")),
        ([5], (-3, "JSON value of type number is not of expected type object")),
        ([{"vout": 0}], (-3, "Missing txid")),
        ([{"txid": TXID}], (-3, "Missing vout")),
        ([{"txid": 5, "vout": 0}], (-3, "JSON value of type number for field txid is not of expected type string")),
        ([{**INPUT, "vout": "0"}], (-3, "JSON value of type string for field vout is not of expected type number")),
        ([{**INPUT, "unknown": 0}], (-3, "Unexpected key unknown")),
        ([{**INPUT, "txid": "ab"}], (-8, "txid must be of length 64 (not 2, for 'ab')")),
        ([{**INPUT, "vout": -1}], (-8, "Invalid parameter, vout cannot be negative")),
        ([{**INPUT, "vout": 2**31}], (-1, "JSON integer out of range")),
        ([INPUT, {"vout": 0}], (-3, "Missing txid")),
    ],
)
def test_gettxspendingprevout_refuses(shared: Desk, given: Any, expected: tuple[int, str]) -> None:
    assert shared.rpc_error("gettxspendingprevout", given) == expected
