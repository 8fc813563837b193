"""Esplora's contract, row by row: what each endpoint answers with 200, whole, and each of its errors.

`SPEC` is the contract's table of endpoints with what is not 200; `ROWS` is a case for each of them, checked against
each other. Expected values are made from the blocks and transactions, not by what makes the answers.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from chain.address import MAIN_ADDRESSES, TEST_ADDRESSES, encode_address
from chain.block import merkle_branch
from chain.hashes import sha256, to_hex
from chain.params import GENESIS
from chain.scripttype import p2wpkh_script
from chain.tx import TxOut
from node.api.routing.route import PREFIXES
from tests.chainlab import pay, with_input
from tests.node.api.desk import Desk
from tests.node.api.expected import (
    block,
    blocks,
    confirmed,
    fee,
    histogram,
    history,
    merkle_block,
    outspend,
    recent,
    status,
    sums,
    unconfirmed,
    utxos,
    whole,
)
from tests.node.api.stocked import PAYMENTS, ZOO, Stocked, stock

TEXT, JSON, OCTETS = "text/plain", "application/json", "application/octet-stream"
NOWHERE = "ab" * 32
UNUSED = p2wpkh_script(bytes(range(20)))
UNUSED_ADDRESS = str(encode_address(UNUSED))
NOTHING = dict.fromkeys(("tx_count", "funded_txo_count", "funded_txo_sum", "spent_txo_count", "spent_txo_sum"), 0)
NO_HEX, NO_NUMBER, NO_BLOCK = "Invalid hex string", "Invalid number", "Block not found"
NO_TX, NO_PROOF = "Transaction not found", "Transaction not found or is unconfirmed"
NO_ADDRESS, OTHER_NETWORK, NO_SCRIPT = "Invalid Bitcoin address", "Address on invalid network", "Invalid scripthash"
UNDECODABLE_TX = "sendrawtransaction RPC error -22: TX decode failed. Make sure the tx has at least one input."
_SCRIPT_ERRORS = {"address": {(400, NO_ADDRESS), (400, OTHER_NETWORK)}, "scripthash": {(400, NO_SCRIPT)}}

SPEC: dict[str, set[tuple[int, str]]] = {
    "/blocks/tip/height": set(),
    "/blocks/tip/hash": set(),
    "/block-height/:h": {(400, NO_NUMBER), (404, NO_BLOCK)},
    "/blocks": set(),
    "/blocks/:start": {(404, NO_BLOCK)},
    "/block/:hash": {(400, NO_HEX), (404, NO_BLOCK)},
    "/block/:hash/header": {(400, NO_HEX), (404, NO_BLOCK)},
    "/block/:hash/raw": {(400, NO_HEX), (404, NO_BLOCK)},
    "/block/:hash/status": {(400, NO_HEX)},
    "/block/:hash/txids": {(400, NO_HEX), (404, NO_BLOCK)},
    "/block/:hash/txid/:i": {(400, NO_HEX), (400, NO_NUMBER), (404, NO_BLOCK), (404, "tx index out of range")},
    "/block/:hash/txs": {(400, NO_HEX), (404, NO_BLOCK)},
    "/block/:hash/txs/:start": {
        (400, NO_HEX),
        (404, NO_BLOCK),
        (400, "start index must be a multiple of 25"),
        (400, "start index out of range"),
    },
    "/tx/:txid": {(400, NO_HEX), (404, NO_TX)},
    "/tx/:txid/hex": {(400, NO_HEX), (404, NO_TX)},
    "/tx/:txid/raw": {(400, NO_HEX), (404, NO_TX)},
    "/tx/:txid/status": {(400, NO_HEX)},
    "/tx/:txid/outspends": {(400, NO_HEX), (404, NO_TX)},
    "/tx/:txid/outspend/:n": {(400, NO_HEX), (400, NO_NUMBER)},
    "/tx/:txid/merkle-proof": {(400, NO_HEX), (404, NO_PROOF)},
    "/tx/:txid/merkleblock-proof": {(400, NO_HEX), (404, NO_PROOF)},
    **{
        f"/{kind}/:x{path}": errors
        for kind, errors in _SCRIPT_ERRORS.items()
        for path in ("", "/txs", "/txs/chain", "/txs/chain/:last", "/txs/mempool", "/txs?after_txid=:last", "/utxo")
    },
    "/mempool": set(),
    "/mempool/txids": set(),
    "/mempool/recent": set(),
    "/fee-estimates": set(),
    "/v1/fees/recommended": set(),
    "/broadcast?tx=": {(400, "Missing tx"), (400, UNDECODABLE_TX)},
    "POST /tx": {
        (400, UNDECODABLE_TX),
        (400, "sendrawtransaction RPC error -25: bad-txns-inputs-missingorspent"),
        (400, "sendrawtransaction RPC error -26: bad-txns-in-belowout"),
        (400, "sendrawtransaction RPC error -27: Transaction outputs already in utxo set"),
    },
}
"""Every endpoint, and each status and text beside 200."""

Make = Callable[[Stocked], Any]


class Row(NamedTuple):
    """A request and the whole answer."""

    spec: str
    path: Make
    status: int
    type: str
    body: Make
    """Text, bytes, or what the JSON is."""
    sent: Make | None = None
    """What a POST sends."""


# the rows


def at(path: str) -> Make:
    """A path with the places filled in."""

    def fill(s: Stocked) -> str:
        return path.format(
            tip=s.tip,
            many=to_hex(s.many.hash),
            stale=to_hex(s.stale.hash),
            genesis=to_hex(GENESIS.hash),
            zoo=to_hex(s.zoo.txid),
            zoo_block=to_hex(s.lab.blocks[112].hash),
            waiting=to_hex(s.waiting[0].txid),
            coinbase=to_hex(s.lab.blocks[100].txs[0].txid),
            hex=s.waiting[0].raw.hex(),
            address=s.address,
            script=s.script_hash,
            last=to_hex(history(s)[24].txid),
            end=to_hex(history(s)[-1].txid),
        )

    return fill


def text(spec: str, path: str, body: Make) -> Row:
    return Row(spec, at(path), 200, TEXT, body)


def json(spec: str, path: str, body: Make) -> Row:
    return Row(spec, at(path), 200, JSON, body)


def refused(spec: str, status: int, line: str, *paths: str) -> list[Row]:
    return [Row(spec, at(path), status, TEXT, lambda s: line) for path in paths]


def bad_hash(spec: str) -> list[Row]:
    """The same path with what is no hash of 32 bytes."""
    for name in (":hash", ":txid"):
        spec_path = spec.replace(":i", "0").replace(":n", "0").replace(":start", "0")
        if name in spec:
            wrongs = ("x", NOWHERE[1:], NOWHERE + "ab", "zz" * 32, "%C3%A9" * 64, "0x" + NOWHERE[2:])
            return refused(spec, 400, NO_HEX, *(spec_path.replace(name, wrong) for wrong in wrongs))
    return []


def unknown(spec: str) -> list[Row]:
    """The same path with a hash that nothing has, where that is an error."""
    missing = {(status, line) for status, line in SPEC[spec] if line in (NO_BLOCK, NO_TX, NO_PROOF)}
    path = spec.replace(":i", "0").replace(":n", "0").replace(":start", "0").replace(":hash", NOWHERE)
    path = path.replace(":txid", NOWHERE)
    return [row for status, line in missing if NOWHERE in path for row in refused(spec, status, line, path)]


def script_rows(kind: str, known: str, unused: str, wrongs: dict[str, tuple[str, ...]]) -> list[Row]:
    """One way to name a script."""
    base = f"/{kind}/:x"
    rows = [
        json(base, f"/{kind}/{known}", lambda s: {kind: at(known)(s), **sums(s)}),
        json(base, f"/{kind}/{unused}", lambda s: {kind: unused, "chain_stats": NOTHING, "mempool_stats": NOTHING}),
        json(f"{base}/txs", f"/{kind}/{known}/txs", lambda s: [*unconfirmed(s), *confirmed(s, 0, 25)]),
        json(f"{base}/txs/mempool", f"/{kind}/{known}/txs/mempool", unconfirmed),
        json(f"{base}/txs/chain", f"/{kind}/{known}/txs/chain", lambda s: confirmed(s, 0, 25)),
        json(f"{base}/utxo", f"/{kind}/{known}/utxo", utxos),
    ]
    for path in ("/txs/chain/", "/txs?after_txid="):
        spec = f"{base}{path}:last"
        rows += [
            json(spec, f"/{kind}/{known}{path}{{last}}", lambda s: confirmed(s, 25, 50)),
            json(spec, f"/{kind}/{known}{path}{{end}}", lambda s: []),
            json(spec, f"/{kind}/{known}{path}{NOWHERE}", lambda s: []),
            json(spec, f"/{kind}/{known}{path}{{coinbase}}", lambda s: []),  # another script's
            json(spec, f"/{kind}/{known}{path}{{waiting}}", lambda s: []),  # not in a block
            json(spec, f"/{kind}/{known}{path}nonsense", lambda s: confirmed(s, 0, 25)),
            *([json(spec, f"/{kind}/{known}{path}", lambda s: confirmed(s, 0, 25))] if path[-1] == "/" else []),
        ]
    for suffix in ("/txs", "/txs/chain", "/txs/mempool", "/utxo"):
        rows.append(json(base + suffix, f"/{kind}/{unused}{suffix}", lambda s: []))
    for suffix in ("", "/txs", "/txs/chain", "/txs/chain/:last", "/txs/mempool", "/txs?after_txid=:last", "/utxo"):
        for line, given in wrongs.items():
            paths = [f"/{kind}/{wrong}{suffix.replace(':last', NOWHERE)}" for wrong in given]
            rows += refused(base + suffix, 400, line, *paths)
    return rows


SEGWIT, LEGACY = b"\x00\x14" + bytes(20), b"\x76\xa9\x14" + bytes(20) + b"\x88\xac"
WRONG_ADDRESSES = {
    NO_ADDRESS: ("x", "%20", UNUSED_ADDRESS[:-1] + "q", UNUSED_ADDRESS[:-1] + "Q", "1" * 34, NOWHERE, "a" * 500),
    OTHER_NETWORK: (
        str(encode_address(SEGWIT, TEST_ADDRESSES)),
        str(encode_address(SEGWIT, MAIN_ADDRESSES)),
        str(encode_address(LEGACY, MAIN_ADDRESSES)),
        "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr",
    ),
}
WRONG_SCRIPT_HASHES = {NO_SCRIPT: ("x", NOWHERE[1:], NOWHERE + "ab", "zz" * 32, UNUSED_ADDRESS)}
UNSPENT = {"spent": False}
STALE = {"in_best_chain": False, "height": None, "next_best": None}

ROWS: list[Row] = [
    text("/blocks/tip/height", "/blocks/tip/height", lambda s: "115"),
    text("/blocks/tip/hash", "/blocks/tip/hash", lambda s: s.tip),
    text("/block-height/:h", "/block-height/0", lambda s: to_hex(GENESIS.hash)),
    text("/block-height/:h", "/block-height/114", lambda s: to_hex(s.many.hash)),
    *refused("/block-height/:h", 404, NO_BLOCK, "/block-height/116", f"/block-height/{2**32}"),
    *refused("/block-height/:h", 400, NO_NUMBER, *(f"/block-height/{n}" for n in ("x", "-1", "1.5", "%20", "9" * 40))),
    json("/blocks", "/blocks", lambda s: blocks(s, 115)),
    json("/blocks/:start", "/blocks/115", lambda s: blocks(s, 115)),
    json("/blocks/:start", "/blocks/20", lambda s: blocks(s, 20)),
    json("/blocks/:start", "/blocks/3", lambda s: blocks(s, 3)),
    json("/blocks/:start", "/blocks/0", lambda s: blocks(s, 0)),
    json("/blocks/:start", "/blocks/nonsense", lambda s: blocks(s, 115)),
    json("/blocks/:start", "/blocks/", lambda s: blocks(s, 115)),
    *refused("/blocks/:start", 404, NO_BLOCK, "/blocks/116", f"/blocks/{2**63 - 1}"),
    json("/block/:hash", "/block/{tip}", lambda s: block(s, s.lab.blocks[-1], 115)),
    json("/block/:hash", "/block/{genesis}", lambda s: block(s, GENESIS, 0)),
    json("/block/:hash", "/block/{stale}", lambda s: block(s, s.stale, 113)),
    text("/block/:hash/header", "/block/{many}/header", lambda s: s.many.header.raw.hex()),
    text("/block/:hash/header", "/block/{stale}/header", lambda s: s.stale.header.raw.hex()),
    Row("/block/:hash/raw", at("/block/{many}/raw"), 200, OCTETS, lambda s: s.many.raw),
    Row("/block/:hash/raw", at("/block/{stale}/raw"), 200, OCTETS, lambda s: s.stale.raw),
    json(
        "/block/:hash/status",
        "/block/{many}/status",
        lambda s: {"in_best_chain": True, "height": 114, "next_best": s.tip},
    ),
    json(
        "/block/:hash/status",
        "/block/{tip}/status",
        lambda s: {"in_best_chain": True, "height": 115, "next_best": None},
    ),
    json("/block/:hash/status", "/block/{stale}/status", lambda s: STALE),
    json("/block/:hash/status", f"/block/{NOWHERE}/status", lambda s: STALE),
    json("/block/:hash/txids", "/block/{many}/txids", lambda s: [to_hex(tx.txid) for tx in s.many.txs]),
    text("/block/:hash/txid/:i", "/block/{many}/txid/0", lambda s: to_hex(s.many.txs[0].txid)),
    text("/block/:hash/txid/:i", "/block/{many}/txid/61", lambda s: to_hex(s.many.txs[61].txid)),
    *refused("/block/:hash/txid/:i", 404, "tx index out of range", "/block/{many}/txid/62"),
    *refused("/block/:hash/txid/:i", 400, NO_NUMBER, "/block/{many}/txid/x", "/block/{many}/txid/-1"),
    json("/block/:hash/txs", "/block/{many}/txs", lambda s: [whole(s, tx, 114) for tx in s.many.txs[:25]]),
    json("/block/:hash/txs/:start", "/block/{many}/txs/", lambda s: [whole(s, tx, 114) for tx in s.many.txs[:25]]),
    json("/block/:hash/txs/:start", "/block/{many}/txs/x", lambda s: [whole(s, tx, 114) for tx in s.many.txs[:25]]),
    json("/block/:hash/txs/:start", "/block/{many}/txs/0", lambda s: [whole(s, tx, 114) for tx in s.many.txs[:25]]),
    json("/block/:hash/txs/:start", "/block/{many}/txs/25", lambda s: [whole(s, tx, 114) for tx in s.many.txs[25:50]]),
    json("/block/:hash/txs/:start", "/block/{many}/txs/50", lambda s: [whole(s, tx, 114) for tx in s.many.txs[50:]]),
    json("/block/:hash/txs/:start", "/block/{stale}/txs/0", lambda s: [whole(s, s.stale.txs[0], None)]),
    *refused("/block/:hash/txs/:start", 400, "start index must be a multiple of 25", "/block/{many}/txs/24"),
    *refused("/block/:hash/txs/:start", 400, "start index out of range", "/block/{many}/txs/75", "/block/{tip}/txs/25"),
    json("/tx/:txid", "/tx/{zoo}", lambda s: whole(s, s.zoo, 113)),
    json("/tx/:txid", "/tx/{waiting}", lambda s: whole(s, s.waiting[0], None)),
    json("/tx/:txid", "/tx/{coinbase}", lambda s: whole(s, s.lab.blocks[100].txs[0], 101)),
    text("/tx/:txid/hex", "/tx/{zoo}/hex", lambda s: s.zoo.raw.hex()),
    text("/tx/:txid/hex", "/tx/{waiting}/hex", lambda s: s.waiting[0].raw.hex()),
    Row("/tx/:txid/raw", at("/tx/{zoo}/raw"), 200, OCTETS, lambda s: s.zoo.raw),
    json("/tx/:txid/status", "/tx/{zoo}/status", lambda s: status(s, 113)),
    json("/tx/:txid/status", "/tx/{waiting}/status", lambda s: {"confirmed": False}),
    json("/tx/:txid/status", f"/tx/{NOWHERE}/status", lambda s: {"confirmed": False}),
    json(
        "/tx/:txid/outspends",
        "/tx/{zoo}/outspends",
        lambda s: [outspend(s.spender, status(s, 114)), *[UNSPENT] * (len(ZOO) - 1)],
    ),
    json("/tx/:txid/outspend/:n", "/tx/{zoo}/outspend/0", lambda s: outspend(s.spender, status(s, 114))),
    json("/tx/:txid/outspend/:n", "/tx/{zoo}/outspend/1", lambda s: UNSPENT),
    json("/tx/:txid/outspend/:n", "/tx/{zoo}/outspend/999", lambda s: UNSPENT),
    json("/tx/:txid/outspend/:n", f"/tx/{NOWHERE}/outspend/0", lambda s: UNSPENT),
    Row(
        "/tx/:txid/outspend/:n",
        lambda s: f"/tx/{to_hex(s.spender.txid)}/outspend/0",
        200,
        JSON,
        lambda s: outspend(s.waiting_spender, {"confirmed": False}),
    ),
    *refused("/tx/:txid/outspend/:n", 400, NO_NUMBER, *(f"/tx/{{zoo}}/outspend/{n}" for n in ("x", "-1", 2**32))),
    json(
        "/tx/:txid/merkle-proof",
        "/tx/{zoo}/merkle-proof",
        lambda s: {"block_height": 113, "merkle": [to_hex(s.lab.blocks[112].txs[0].txid)], "pos": 1},
    ),
    Row(
        "/tx/:txid/merkle-proof",
        lambda s: f"/tx/{to_hex(s.many.txs[61].txid)}/merkle-proof",
        200,
        JSON,
        lambda s: {
            "block_height": 114,
            "merkle": [to_hex(node) for node in merkle_branch([bytes(tx.txid) for tx in s.many.txs], 61)],
            "pos": 61,
        },
    ),
    *refused("/tx/:txid/merkle-proof", 404, NO_PROOF, "/tx/{waiting}/merkle-proof"),
    text("/tx/:txid/merkleblock-proof", "/tx/{zoo}/merkleblock-proof", merkle_block),
    *refused("/tx/:txid/merkleblock-proof", 404, NO_PROOF, "/tx/{waiting}/merkleblock-proof"),
    *script_rows("address", "{address}", UNUSED_ADDRESS, WRONG_ADDRESSES),
    *script_rows("scripthash", "{script}", sha256(UNUSED).hex(), WRONG_SCRIPT_HASHES),
    json(
        "/mempool",
        "/mempool",
        lambda s: {
            "count": PAYMENTS + 1,
            "vsize": sum(tx.vsize for tx in [*s.waiting, s.waiting_spender]),
            "total_fee": sum(fee(s, tx) for tx in [*s.waiting, s.waiting_spender]),
            "fee_histogram": histogram(s),
        },
    ),
    json(
        "/mempool/txids",
        "/mempool/txids",
        lambda s: sorted(to_hex(tx.txid) for tx in [*s.waiting, s.waiting_spender]),
    ),
    json("/mempool/recent", "/mempool/recent", recent),
    json(
        "/fee-estimates",
        "/fee-estimates",
        lambda s: {str(blocks): 1.0 for blocks in (*range(1, 26), 144, 504, 1008)},
    ),
    json(
        "/v1/fees/recommended",
        "/v1/fees/recommended",
        lambda s: dict.fromkeys(("fastestFee", "halfHourFee", "hourFee", "economyFee", "minimumFee"), 1.0),
    ),
    text("/broadcast?tx=", "/broadcast?tx={hex}", lambda s: to_hex(s.waiting[0].txid)),
    *refused("/broadcast?tx=", 400, "Missing tx", "/broadcast", "/broadcast?tX=00"),
    *refused("/broadcast?tx=", 400, UNDECODABLE_TX, "/broadcast?tx=", "/broadcast?tx=zz"),
    *(row for spec in SPEC for row in bad_hash(spec)),
    *(row for spec in SPEC for row in unknown(spec)),
    *(
        Row("POST /tx", at("/tx"), status, TEXT, body, sent)
        for status, body, sent in (
            (200, lambda s: to_hex(s.waiting[0].txid), lambda s: s.waiting[0].raw.hex()),  # there already
            (200, lambda s: to_hex(s.waiting[0].txid), lambda s: f" \r\n{s.waiting[0].raw.hex().upper()}\n"),
            *((400, lambda s: UNDECODABLE_TX, lambda s, it=it: it) for it in ("", "zz", "00", "{}", "0" * 100)),
            (
                400,
                lambda s: "sendrawtransaction RPC error -27: Transaction outputs already in utxo set",
                lambda s: s.zoo.raw.hex(),
            ),
            (
                400,
                lambda s: "sendrawtransaction RPC error -25: bad-txns-inputs-missingorspent",
                lambda s: with_input(s.waiting[0], outpoint=bytes(36)).raw.hex(),
            ),
            (
                400,
                lambda s: "sendrawtransaction RPC error -26: bad-txns-in-belowout",
                lambda s: pay(s.lab.copy().take(), [TxOut(21_000_000 * 10**8, UNUSED)]).raw.hex(),
            ),
        )
    ),
]


@pytest.fixture(scope="module")
def s(tmp_path_factory: pytest.TempPathFactory) -> Any:
    desk = Desk(tmp_path_factory.mktemp("contract") / "desk")
    yield stock(desk)
    desk.close()


def ordered(body: Any, spec: str) -> Any:
    """Lists of which any order will do."""
    if spec == "/mempool/txids":
        return sorted(body)
    return sorted(body, key=lambda coin: (coin["txid"], coin["vout"])) if spec.endswith("/utxo") else body


@pytest.mark.parametrize("row", ROWS, ids=[f"{n} {row.spec} {row.status}" for n, row in enumerate(ROWS)])
def test_the_contract(s: Stocked, row: Row) -> None:
    path, expected = row.path(s), row.body(s)
    for prefix in PREFIXES:
        if row.sent is None:
            reply = s.desk.get(prefix + path)
            head = s.desk.request("HEAD", prefix + path)
            assert (head.status, head.body) == (row.status, b"")
            same = ("content-type", "content-length")
            assert [head.headers[name] for name in same] == [reply.headers[name] for name in same]
        else:
            reply = s.desk.request("POST", prefix + path, row.sent(s).encode())
        assert (reply.status, reply.type) == (row.status, row.type), reply.body[:200]
        assert reply.headers["content-length"] == str(len(reply.body))
        if row.type == JSON:
            assert ordered(reply.json(), row.spec) == expected
            assert not reply.body.endswith(b"\n")
        elif row.status != 200 and row.spec == "POST /tx":
            assert reply.text.startswith(expected)  # an explanation may follow the code
        else:
            assert reply.body == (expected if isinstance(expected, bytes) else expected.encode())


def test_no_row_of_the_contract_is_missing() -> None:
    shown: dict[str, set[tuple[int, str]]] = {spec: set() for spec in SPEC}
    good = set()
    for row in ROWS:
        if row.status == 200:
            good.add(row.spec)
        else:
            shown[row.spec].add((row.status, row.body(None)))  # type: ignore[arg-type]
    assert good == set(SPEC)
    assert shown == SPEC


# common rules


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "text/plain;charset=UTF-8",
        "application/x-www-form-urlencoded",
        "application/json",
        "application/octet-stream",
        "multipart/form-data",
        "nonsense",
    ],
)
def test_the_body_is_read_whatever_its_type(s: Stocked, content_type: str | None) -> None:
    headers = {} if content_type is None else {"content_type": content_type}
    reply = s.desk.request("POST", "/tx", s.waiting[1].raw.hex(), **headers)
    assert (reply.status, reply.type, reply.text) == (200, TEXT, to_hex(s.waiting[1].txid))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_another_method_is_another_endpoint(s: Stocked, method: str) -> None:
    paths = {row.path(s).partition("?")[0] for row in ROWS if row.status == 200} - {"/tx"}
    for prefix in PREFIXES:
        for path in sorted(paths):
            reply = s.desk.request(method, prefix + path)
            assert (reply.status, reply.type) == (404, TEXT)
            assert reply.text[:300] == f'endpoint does not exist "{prefix}{path}"'[:300]


def test_pages_neither_repeat_nor_skip(s: Stocked) -> None:
    """Unconfirmed ones first, then pages of 25, by either way of paging, twice the same."""
    want = [to_hex(tx.txid) for tx in history(s)]
    for more in ("/txs/chain/{}", "/txs?after_txid={}"):
        for base in (f"/address/{s.address}", f"/scripthash/{s.script_hash}"):
            first = [tx["txid"] for tx in s.desk.get(f"{base}/txs").json()]
            assert first[:50] == [to_hex(tx.txid) for tx in s.waiting[:-51:-1]]
            pages = [first[50:]]
            while len(pages[-1]) == 25:
                pages.append([tx["txid"] for tx in s.desk.get(base + more.format(pages[-1][-1])).json()])
            assert [len(page) for page in pages] == [25, 25, len(want) - 50]
            assert [txid for page in pages for txid in page] == want


def test_amounts_are_integers(s: Stocked) -> None:
    for path in (f"/tx/{to_hex(s.zoo.txid)}", f"/address/{s.address}", f"/address/{s.address}/utxo", "/mempool/recent"):
        assert b"." not in s.desk.get(path).body.replace(b"...", b""), path
