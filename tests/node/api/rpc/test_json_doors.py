"""What comes in as JSON is read strictly, whichever way it comes in, and changes nothing when it is not."""

import json
from collections.abc import Iterator

import pytest

from chain.tx import COIN, MAX_MONEY
from node.api.actions.core_errors import MISC, NOT_ADDED, TYPE, RpcError
from node.api.encoding.json_codec import DEPTH_MAX, DIGITS_MAX, EXPONENT_MAX, ITEMS_MAX, STRINGS_MAX, parse
from node.api.rpc.args import amount
from node.api.rpc.limits import BATCH_MAX, RPC_BODY_MAX
from tests.node.api.desk import Desk

PARSE_ERROR = -32700


def call(params: str, method: str = "addnode") -> bytes:
    """One that would add a peer to be kept, if it were read."""
    return f'{{"method":"{method}","params":{params},"id":1}}'.encode()


def bad_bodies() -> Iterator[tuple[str, bytes]]:
    good = '["8.8.8.8:1","add"]'
    yield "NaN", call('["8.8.8.8:1","add",NaN]')
    yield "infinity", call('["8.8.8.8:1","add",Infinity]')
    yield "negative infinity", call('["8.8.8.8:1","add",-Infinity]')
    yield "infinity by exponent", call('["8.8.8.8:1","add",1e999]')
    yield "a huge integer", call(f'["8.8.8.8:1","add",{"9" * (DIGITS_MAX + 1)}]')
    yield "a million digits", call(f'["8.8.8.8:1","add",{"9" * 1_000_000}]')
    yield "method twice", b'{"method":"help","method":"addnode","params":' + good.encode() + b',"id":1}'
    yield "a key twice inside", call('{"node":"8.8.8.8:1","command":"add","node":"8.8.8.8:1"}')
    yield "the same key escaped", call('{"node":"8.8.8.8:1","command":"add","n\\u006fde":"8.8.8.8:1"}')
    yield "too deep", call('["8.8.8.8:1","add",' + "[" * DEPTH_MAX + "]" * DEPTH_MAX + "]")
    yield "a million brackets", b"[" * 1_000_000
    yield "too many items", call('["8.8.8.8:1","add",[' + "1," * ITEMS_MAX + "1]]")
    yield "too many strings", call('["8.8.8.8:1","add",[' + '"",' * STRINGS_MAX + '""]]')
    yield "a trailing comma", call('["8.8.8.8:1","add",]')
    yield "a comment", call(good + "/**/")
    yield "single quotes", call("['8.8.8.8:1','add']")
    yield "more behind it", call(good) + b"{}"
    yield "a byte order mark", b"\xef\xbb\xbf" + call(good)
    yield "no UTF-8", call('["8.8.8.8:1\xff","add"]'.encode("latin-1").decode("latin-1")).replace(b"\xc3\xbf", b"\xff")
    yield "a control character", call('["8.8.8.8:1\x00","add"]')
    yield "a leading zero", call('["8.8.8.8:1","add",01]')
    yield "a plus", call('["8.8.8.8:1","add",+1]')
    yield "hex", call('["8.8.8.8:1","add",0x1]')


BAD = dict(bad_bodies())
LIMITS = {
    "a huge integer": f"a number of more than {DIGITS_MAX} characters",
    "a million digits": f"a number of more than {DIGITS_MAX} characters",
    "infinity by exponent": f"a number's power of ten above {EXPONENT_MAX}",
    "too deep": f"brackets more than {DEPTH_MAX} deep",
    "too many items": f"more than {ITEMS_MAX} commas",
    "too many strings": f"more than {STRINGS_MAX} strings",
}


def message_for(what: str, batch: bool) -> str:
    """A slip is a parse error; a limit is named."""
    if batch and what == "a million brackets":  # by itself it is an array without an end before all else
        what = "too deep"
    return f"Parse error: {LIMITS[what]}" if what in LIMITS else "Parse error"


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("batch", [False, True], ids=["single", "batch"])
def test_what_is_not_strictly_json_is_not_carried_out(shared: Desk, what: str, batch: bool) -> None:
    body = b"[" + call('["8.8.4.4:1","add"]') + b"," + BAD[what] + b"]" if batch else BAD[what]
    reply = shared.post_rpc(body)
    assert reply.status == 500
    error = {"code": PARSE_ERROR, "message": message_for(what, batch)}
    assert reply.json() == {"result": None, "error": error, "id": None}
    for peer in ("8.8.8.8:1", "8.8.4.4:1"):
        assert shared.rpc_error("addnode", peer, "remove")[0] == NOT_ADDED


def test_the_good_one_among_them_is(shared: Desk) -> None:
    """So that the test above can fail."""
    assert shared.post_rpc(call('["8.8.8.8:1","add"]')).status == 200
    assert shared.rpc("addnode", "8.8.8.8:1", "remove") is None


def test_length_caps(shared: Desk) -> None:
    reply = shared.post_rpc(b" " * (RPC_BODY_MAX + 1))
    assert (reply.status, reply.text) == (413, f"body over {RPC_BODY_MAX} bytes")
    crowd = shared.post_rpc(b"[" + b"1," * BATCH_MAX + b"1]")
    assert (crowd.status, crowd.json()["error"]) == (
        400,
        {"code": -32600, "message": f"Batch of more than {BATCH_MAX} calls"},
    )


def test_as_many_calls_as_a_body_holds_are_not_too_many() -> None:
    assert BATCH_MAX * len(b'{"method":"help"},') <= RPC_BODY_MAX


@pytest.mark.parametrize(
    ("given", "satoshis"),
    [
        ("0.1", COIN // 10),
        ("0.29", 29_000_000),
        ("1.1", 110_000_000),
        ("0.00000001", 1),
        ("20999999.99999999", MAX_MONEY - 1),
        ("2.1e7", MAX_MONEY),
        ("1E-8", 1),
        ("-0", 0),
    ],
)
def test_amounts_are_exact_decimals(given: str, satoshis: int) -> None:
    """Binary fractions would make 28,999,999.99... of 0.29."""
    read = amount("amount").read("amount", parse(given.encode()))
    assert (type(read), read) == (int, satoshis)


@pytest.mark.parametrize(
    "given", ["0.000000001", "1e-9", "21000000.00000001", "-0.00000001", "1e300", "9" * 40, "true"]
)
def test_amounts_that_are_none(given: str) -> None:
    with pytest.raises(RpcError) as caught:
        amount("amount").read("amount", parse(given.encode()))
    assert caught.value.code == TYPE


@pytest.mark.parametrize("given", ["1.0", "1e0", "0.5", "1E2", str(2**31), "-" + "9" * 39])
def test_fractions_and_huge_numbers_are_no_integers(shared: Desk, given: str) -> None:
    envelope = json.loads(shared.post_rpc(call(f"[{given}]", "getblockhash")).body)
    assert envelope["error"]["code"] == MISC
