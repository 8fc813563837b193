"""JSON-RPC's envelope: statuses, both styles of parameters, batches, credentials, what is refused."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from node.api.actions.core_errors import RpcError
from node.api.encoding.json_codec import DEPTH_MAX, DIGITS_MAX, ITEMS_MAX, STRINGS_MAX, parse
from node.api.rpc.args import amount, flag, integer, string, verbosity
from node.api.rpc.limits import BATCH_REPLY_MAX, RPC_BODY_MAX
from node.api.rpc.method import Arg, Method, topic
from node.api.rpc.table import METHODS
from tests.node.api.conftest import MakeDesk
from tests.node.api.desk import USER, Desk

GENESIS_HASH = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A node at genesis, one for all tests here."""
    desk = Desk(tmp_path_factory.mktemp("fresh") / "desk")
    yield desk
    desk.close()


def failure(desk: Desk, body: str | bytes) -> tuple[int, int, str]:
    """HTTP status, code and message."""
    reply = desk.post_rpc(body)
    envelope = reply.json()
    assert set(envelope) == {"result", "error", "id"}
    assert envelope["result"] is None
    return reply.status, envelope["error"]["code"], envelope["error"]["message"]


def test_the_envelope(fresh: Desk) -> None:
    reply = fresh.post_rpc('{"jsonrpc":"1.0","method":"getblockcount","params":[],"id":"x"}')
    assert (reply.status, reply.type) == (200, "application/json")
    assert reply.text == '{"result":0,"error":null,"id":"x"}\n'
    assert fresh.post_rpc('{"method":"getblockcount"}').text == '{"result":0,"error":null,"id":null}\n'
    for request_id in ('{"a":[1.50]}', "1.50", '"\\u00e9"', "[]", "123456789012345678901234567890", "true"):
        reply = fresh.post_rpc(f'{{"method":"getblockcount","id":{request_id}}}')
        assert reply.text == f'{{"result":0,"error":null,"id":{request_id}}}\n'
    assert fresh.request("POST", "/wallet/any/thing", "{}").status == 401


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", (500, -32700, "Parse error")),
        ("{", (500, -32700, "Parse error")),
        (b"\xff", (500, -32700, "Parse error")),
        ('{"method":"getblockcount","id":NaN}', (500, -32700, "Parse error")),
        ('{"method":"getblockcount","method":"stop"}', (500, -32700, "Parse error")),
        ("[" * 1000 + "]" * 1000, (500, -32700, "Parse error: brackets more than 32 deep")),
        ("1", (500, -32700, "Top-level object parse error")),
        ('"getblockcount"', (500, -32700, "Top-level object parse error")),
        ("null", (500, -32700, "Top-level object parse error")),
        ("{}", (400, -32600, "Missing method")),
        ('{"method":null}', (400, -32600, "Missing method")),
        ('{"method":5}', (400, -32600, "Method must be a string")),
        ('{"method":["stop"]}', (400, -32600, "Method must be a string")),
        ('{"method":"getblockcount","params":5}', (400, -32600, "Params must be an array or object")),
        ('{"method":"getblockcount","params":"x"}', (400, -32600, "Params must be an array or object")),
        ('{"method":"nothing"}', (404, -32601, "Method not found")),
        ('{"method":"GetBlockCount"}', (404, -32601, "Method not found")),
        ('{"method":""}', (404, -32601, "Method not found")),
        (
            '{"method":"getblockcount","params":[1]}',
            (500, -1, "getblockcount\n\nThe height of the best chain; genesis has height 0."),
        ),
        ('{"method":"getblockhash"}', (500, -1, None)),
        ('{"method":"getblockhash","params":[null]}', (500, -1, None)),
        ('{"method":"getblockhash","params":{}}', (500, -1, None)),
        ('{"method":"getblockhash","params":{"hight":1}}', (500, -8, "Unknown named parameter hight")),
        ('{"method":"getblockhash","params":{"args":5}}', (500, -8, "Parameter args must be an array")),
        (
            '{"method":"getblockhash","params":{"args":[1],"height":1}}',
            (500, -8, "Parameter height specified twice both as positional and named argument"),
        ),
        ('{"method":"getblockhash","params":{"args":[0,0]}}', (500, -1, None)),
        (
            '{"method":"getblockhash","params":["1"]}',
            (500, -3, "JSON value of type string is not of expected type number"),
        ),
        (
            '{"method":"getblockhash","params":[true]}',
            (500, -3, "JSON value of type bool is not of expected type number"),
        ),
        (
            '{"method":"getblockhash","params":[[0]]}',
            (500, -3, "JSON value of type array is not of expected type number"),
        ),
        ('{"method":"getblockhash","params":[0.5]}', (500, -1, "JSON value is not an integer as expected")),
        ('{"method":"getblockhash","params":[2147483648]}', (500, -1, "JSON integer out of range")),
        ('{"method":"getblockhash","params":[-1]}', (500, -8, "Block height out of range")),
        ('{"method":"getblockhash","params":[1]}', (500, -8, "Block height out of range")),
        ('{"method":"getblock","params":["ab"]}', (500, -8, "blockhash must be of length 64 (not 2, for 'ab')")),
        (
            json.dumps({"method": "getblock", "params": ["zz" * 32]}),
            (500, -8, f"blockhash must be hexadecimal string (not '{'zz' * 32}')"),
        ),
        (json.dumps({"method": "getblock", "params": ["ab" * 32]}), (500, -5, "Block not found")),
    ],
)
def test_failures(fresh: Desk, body: str | bytes, expected: tuple[int, int, str | None]) -> None:
    status, code, message = failure(fresh, body)
    assert (status, code) == expected[:2]
    assert expected[2] in (None, message)


@pytest.mark.parametrize(
    "params",
    ["[0]", "[0,null]", '{"height":0}', '{"args":[0]}', '{"args":[],"height":0}'],
)
def test_ways_to_give_parameters(fresh: Desk, params: str) -> None:
    body = f'{{"method":"getblockhash","params":{params}}}'
    if params == "[0,null]":
        assert failure(fresh, body)[1] == -1  # one too many, even if it is null
    else:
        assert fresh.post_rpc(body).json()["result"] == GENESIS_HASH


def test_older_names_of_parameters(fresh: Desk) -> None:
    for named in ({"verbosity": 0}, {"verbose": 0}, {"verbose": False}, {"verbosity": False}):
        assert isinstance(fresh.rpc("getblock", blockhash=GENESIS_HASH, **named), str)
    for named in ({}, {"verbosity": 1}, {"verbose": True}, {"verbosity": None}):
        assert isinstance(fresh.rpc("getblock", blockhash=GENESIS_HASH, **named), dict)
    twice = fresh.rpc_error("getblock", blockhash=GENESIS_HASH, verbose=0, verbosity=0)
    assert twice == (-8, "Parameter verbosity specified twice both as positional and named argument")


def test_batches(fresh: Desk) -> None:
    assert (fresh.post_rpc("[]").status, fresh.post_rpc("[]").text) == (200, "[]\n")
    calls: list[Any] = [
        {"method": "getblockcount", "id": 1},
        {"method": "nothing", "id": "two"},
        5,
        {"id": 4},
        {"method": "getblockhash", "params": [0], "id": [5]},
    ]
    reply = fresh.post_rpc(json.dumps(calls))
    assert reply.status == 200
    assert reply.json() == [
        {"result": 0, "error": None, "id": 1},
        {"result": None, "error": {"code": -32601, "message": "Method not found"}, "id": "two"},
        {"result": None, "error": {"code": -32600, "message": "Invalid Request object"}, "id": None},
        {"result": None, "error": {"code": -32600, "message": "Missing method"}, "id": 4},
        {"result": GENESIS_HASH, "error": None, "id": [5]},
    ]
    assert len(fresh.post_rpc(json.dumps([{"method": "getblockcount"}] * 5_001)).json()) == 5_001


# version 2.0


V2 = '"jsonrpc":"2.0"'


@pytest.mark.parametrize(
    ("body", "status", "answer"),
    [
        ('"id":1,"method":"getblockcount"', 200, '{"jsonrpc":"2.0","result":0,"id":1}'),
        ('"id":null,"method":"getblockcount"', 200, '{"jsonrpc":"2.0","result":0,"id":null}'),
        ('"id":"a","method":"setmocktime","params":[0]', 200, '{"jsonrpc":"2.0","result":null,"id":"a"}'),
        (
            '"id":1,"method":"getblockhash","params":[999999]',
            200,
            '{"jsonrpc":"2.0","error":{"code":-8,"message":"Block height out of range"},"id":1}',
        ),
        (
            '"id":1,"method":"nothing"',
            200,
            '{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":1}',
        ),
        ('"method":"getblockcount"', 204, ""),
        ('"method":"getblockhash","params":[999999]', 204, ""),
        ('"method":"nothing"', 204, ""),
        # What is no call has a status of its own, in Core too: it is found before the call's version counts.
        ('"id":1', 400, '{"jsonrpc":"2.0","error":{"code":-32600,"message":"Missing method"},"id":1}'),
        ('"method":5', 400, '{"jsonrpc":"2.0","error":{"code":-32600,"message":"Method must be a string"}}'),
        (
            '"id":1,"method":"help","params":5',
            400,
            '{"jsonrpc":"2.0","error":{"code":-32600,"message":"Params must be an array or object"},"id":1}',
        ),
    ],
)
def test_a_call_in_version_2_is_answered_in_its_form(fresh: Desk, body: str, status: int, answer: str) -> None:
    reply = fresh.post_rpc(f"{{{V2},{body}}}")
    assert (reply.status, reply.text.rstrip("\n")) == (status, answer)
    assert ("content-type" in reply.headers) == (status != 204)


@pytest.mark.parametrize("version", ["2", "2.0", "true", "[]", "{}", "0"])
def test_a_version_that_is_no_text_is_no_request(fresh: Desk, version: str) -> None:
    body = f'{{"jsonrpc":{version},"method":"getblockcount","id":1}}'
    assert failure(fresh, body) == (400, -32600, "jsonrpc field must be a string")


@pytest.mark.parametrize("version", ["2.1", "3.0", "1.1", "", "2"])
def test_an_unknown_version_is_no_request(fresh: Desk, version: str) -> None:
    body = f'{{"jsonrpc":"{version}","method":"getblockcount","id":1}}'
    assert failure(fresh, body) == (400, -32600, "JSON-RPC version not supported")


@pytest.mark.parametrize(
    "marker",
    [
        "",
        '"jsonrpc":null,',
        '"jsonrpc":"1.0",',
        '"jsonrpc":1,',
        '"jsonrpc":1.0,',
        '"version":"2.0",',
        '"version":"1.1",',
    ],
)
def test_without_the_marker_the_form_is_the_older_one(fresh: Desk, marker: str) -> None:
    assert fresh.post_rpc(f'{{{marker}"method":"getblockcount"}}').text == '{"result":0,"error":null,"id":null}\n'
    assert failure(fresh, f'{{{marker}"method":"getblockhash","params":[9]}}')[0] == 500


def test_a_notification_is_carried_out(make_desk: MakeDesk) -> None:
    desk = make_desk()
    address = '"bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"'
    reply = desk.post_rpc(f'{{{V2},"method":"generatetoaddress","params":[2,{address}]}}')
    assert (reply.status, reply.body) == (204, b"")
    assert desk.rpc("getblockcount") == 2


def test_a_batch_is_judged_call_by_call(fresh: Desk) -> None:
    calls = [
        f'{{{V2},"method":"getblockcount","id":1}}',
        '{"method":"getblockcount","id":2}',
        f'{{{V2},"method":"getblockcount"}}',
        f'{{{V2},"method":"getblockhash","params":[9],"id":3}}',
        '{"method":"getblockhash","params":[9],"id":4}',
        f'{{{V2},"method":"nothing"}}',
        f'{{{V2},"id":5}}',
        "7",
        '{"jsonrpc":"3.0","method":"getblockcount","id":6}',
        '{"method":"getblockcount"}',
    ]
    reply = fresh.post_rpc(f"[{','.join(calls)}]")
    out_of_range = {"code": -8, "message": "Block height out of range"}
    assert reply.status == 200
    assert reply.json() == [
        {"jsonrpc": "2.0", "result": 0, "id": 1},
        {"result": 0, "error": None, "id": 2},
        {"jsonrpc": "2.0", "error": out_of_range, "id": 3},
        {"result": None, "error": out_of_range, "id": 4},
        {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Missing method"}, "id": 5},
        {"result": None, "error": {"code": -32600, "message": "Invalid Request object"}, "id": None},
        {"result": None, "error": {"code": -32600, "message": "JSON-RPC version not supported"}, "id": 6},
        {"result": 0, "error": None, "id": None},
    ]


def test_a_batch_of_nothing_but_notifications_is_not_answered(fresh: Desk) -> None:
    reply = fresh.post_rpc(f'[{{{V2},"method":"getblockcount"}},{{{V2},"method":"nothing"}}]')
    assert (reply.status, reply.body) == (204, b"")
    assert (fresh.post_rpc("[]").status, fresh.post_rpc("[]").text) == (200, "[]\n")


def test_a_refused_login_has_its_status_in_version_2_too(fresh: Desk) -> None:
    assert fresh.post_rpc(f'{{{V2},"method":"getblockcount","id":1}}', password="wrong").status == 401


# Bitcoin Core's wallet


@pytest.mark.parametrize(
    ("method", "command"),
    [
        ("sendtoaddress", "wallet send"),
        ("getnewaddress", "wallet address"),
        ("createwallet", "wallet create"),
        ("getbalance", "wallet balance"),
        ("listtransactions", "wallet history"),
        ("listunspent", "wallet coins"),
        ("restorewallet", "wallet restore"),
        ("walletpassphrase", "wallet"),
    ],
)
def test_cores_wallet_methods_point_to_the_command(fresh: Desk, method: str, command: str) -> None:
    pointer = f" (this node holds no keys: use the wallet command, see '{command} --help')"
    assert failure(fresh, f'{{"method":"{method}"}}') == (404, -32601, f"Method not found{pointer}")
    assert fresh.rpc("help", method) == f"help: unknown command: {method}{pointer}"


# batches as long as a body


def test_the_answers_to_a_batch_are_bounded(fresh: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.api.rpc.server.BATCH_REPLY_MAX", 150)
    replies = fresh.post_rpc(json.dumps([{"method": "getblockhash", "params": [0], "id": n} for n in range(5)])).json()
    assert [reply["error"] is None for reply in replies] == [True, True, False, False, False]
    assert replies[4] == {
        "result": None,
        "error": {"code": -1, "message": "Not carried out: the batch's answers exceed 150 bytes"},
        "id": 4,
    }


def test_credentials(make_desk: MakeDesk) -> None:
    desk = make_desk(rpc_user="ann", rpc_password="s3cret")
    call = '{"method":"getblockcount"}'
    assert desk.post_rpc(call).status == 200
    assert desk.post_rpc(call, "ann", "s3cret").status == 200
    for user, password in (("ann", "S3cret"), ("ann", ""), (USER, "s3cret"), ("", "")):
        reply = desk.post_rpc(call, user, password)
        assert (reply.status, reply.body) == (401, b"")
        assert "content-type" not in reply.headers
        assert reply.headers["www-authenticate"] == 'Basic realm="jsonrpc"'
    assert desk.request("POST", "/", call).status == 401
    assert desk.request("POST", "/", "not even JSON").status == 401


def test_caps_of_the_body(fresh: Desk) -> None:
    padded = '{"method":"getblockcount"}' + " " * 9_999_974
    assert len(padded) == 10_000_000
    assert fresh.post_rpc(padded).json()["result"] == 0
    assert fresh.post_rpc(padded + " ").status == 413
    assert fresh.request("POST", "/", " " * 65_536).status == 401
    reply = fresh.request("POST", "/", " " * 65_537)
    assert (reply.status, reply.text) == (413, "body over 65536 bytes")


def test_other_methods(fresh: Desk) -> None:
    start = fresh.get("/")
    assert (start.status, start.headers["location"]) == (302, "/explorer/")
    for method in ("PUT", "DELETE", "OPTIONS", "PATCH"):
        reply = fresh.request(method, "/")
        assert (reply.status, reply.text) == (405, "JSONRPC server handles only POST requests")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "\xe9"]
)
def test_the_content_type_asked_with_does_not_matter(fresh: Desk, content_type: str) -> None:
    assert fresh.post_rpc('{"method":"getblockcount"}', content_type=content_type).json()["result"] == 0


# declarations


def read(arg: Arg, content: Any) -> Any:
    return arg.read(arg.name, content)


@pytest.mark.parametrize(
    ("given", "satoshis"),
    [
        ("0", 0),
        ("1", 100_000_000),
        ("0.1", 10_000_000),
        ("0.00000001", 1),
        ("20999999.99999999", 2_099_999_999_999_999),
        ("21000000", 2_100_000_000_000_000),
        ("1e-8", 1),
        ("1.50000000000", 150_000_000),
        ('"0.3"', 30_000_000),
    ],
)
def test_amounts(given: str, satoshis: int) -> None:
    assert read(amount("x"), parse(given.encode())) == satoshis


@pytest.mark.parametrize(
    "given",
    [
        "0.000000001",
        "-1",
        "21000000.00000001",
        "1e30",
        '"x"',
        '"1e"',
        '"01"',
        '"1e99"',
        '"-1"',
        '""',
        "true",
        "[]",
        '"٣"',
    ],
)
def test_no_amounts(given: str) -> None:
    with pytest.raises(RpcError) as caught:
        read(amount("x"), parse(given.encode()))
    assert caught.value.code == -3


def test_kinds_of_parameters() -> None:
    assert read(verbosity("x", 1), True) == 1
    assert read(verbosity("x", 1), 2) == 2
    assert read(integer("x", least=0), 0) == 0
    for arg, wrong in (
        (flag("x"), 1),
        (flag("x"), "true"),
        (string("x"), 1),
        (integer("x"), "1"),
        (verbosity("x", 1), "1"),
    ):
        with pytest.raises(RpcError) as caught:
            read(arg, wrong)
        assert caught.value.code == -3
    with pytest.raises(RpcError) as caught:
        read(integer("x", least=0), -1)
    assert caught.value.code == -1


def test_help_of_a_method() -> None:
    def example(call: object, one: str, two: int) -> None:
        """Does nothing."""

    [method] = topic("Test", (example, string("one"), integer("two", 2)))
    assert isinstance(method, Method)
    assert method.help == (
        "example one ( two )\n\nDoes nothing.\n\nArguments:\n1. one (string, required)\n2. two (numeric, optional)"
    )


def test_help(fresh: Desk) -> None:
    overview = fresh.rpc("help").split("\n")
    for method in METHODS:
        assert method.usage in overview
        assert method.summary.endswith(".")
        assert fresh.rpc("help", method.name).startswith(method.help)
    assert len({method.name for method in METHODS}) == len(METHODS)
    assert fresh.rpc("help", "nothing") == "help: unknown command: nothing"


def test_help_names_the_limits(fresh: Desk) -> None:
    limits = fresh.rpc("help", "help")
    for limit in (RPC_BODY_MAX, BATCH_REPLY_MAX, STRINGS_MAX, ITEMS_MAX, DEPTH_MAX, DIGITS_MAX):
        assert str(limit) in limits
