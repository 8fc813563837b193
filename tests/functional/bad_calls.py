"""Bad JSON-RPC calls made from the table of methods, and bodies that are no calls at all."""

import base64
import json
from collections.abc import Iterator
from typing import Any

from node.api.app import UNAUTHORIZED_BODY_MAX
from node.api.rpc.limits import BATCH_MAX, RPC_BODY_MAX
from node.api.rpc.method import Arg, Method
from tests.functional.bad_inputs import HEX, Case, Ground, case, request

RPC_STATUS = {-32601: 404, -32600: 400}
"""HTTP status of the errors that do not have 500."""
STRANGE: dict[str, tuple[Any, ...]] = {
    "string": (
        "",
        "x",
        "é\u202e\ud83d\ude00",
        "\x00",
        "a" * 63,
        "g" * 64,
        "0" * 10_000,
        "../..",
        "%00",
        "NaN",
        "-1",
        "\n",
    ),
    "number": (-1, 2**31, -(2**31) - 1, 2**63, 10**39, 0.5, -0.0, 1e-20, 1e300),
    "boolean": (True, False),
    "array": ([], [[]], [1], ["x"], ["00"] * 30, [None], [{}]),
    "object": ({}, {"a": 1}, {"addr(x)": []}),
}
"""Values of each JSON type."""
TAKES = {
    "string": {"string"},
    "numeric": {"number"},
    "boolean": {"boolean"},
    "numeric or boolean": {"number", "boolean"},
    "numeric or string": {"number", "string"},
    "string or numeric": {"number", "string"},
    "numeric or array": {"number", "array"},
    "array or object": {"array", "object"},
    "array": {"array"},
    "object": {"object"},
    "any": {"string", "number", "boolean", "array", "object"},
}
"""JSON types that a kind of parameter takes."""
GOOD_ARGS: dict[str, Any] = {
    "string": HEX,
    "numeric": 0,
    "boolean": False,
    "numeric or boolean": 0,
    "numeric or string": 0,
    "string or numeric": 0,
    "numeric or array": 0,
    "array or object": {},
    "array": [],
    "object": {},
    "any": None,
}


def rpc_request(ground: Ground, body: bytes, **headers: str) -> bytes:
    """A JSON-RPC request with the right credentials."""
    token = base64.b64encode(ground.credentials.encode()).decode()
    return request("POST", "/", body, Authorization=f"Basic {token}", **headers)


def _call(ground: Ground, method: str, params: Any) -> bytes:
    return rpc_request(ground, json.dumps({"method": method, "params": params, "id": 1}).encode())


def bad_calls(method: Method, ground: Ground) -> Iterator[Case]:
    """Wrong numbers, names, types and values of a method's parameters."""
    name = method.name
    good = [_good(arg) for arg in method.args]
    any_error = {400, 404, 500}
    yield case(f"{name} with one too many", _call(ground, name, [*good, 0]), 500, rpc_code=-1)
    yield case(f"{name} with an unknown name", _call(ground, name, {"nothing": 1}), 500, rpc_code=-8)
    yield case(f"{name} with args that are none", _call(ground, name, {"args": 1}), 500, rpc_code=-8)
    for params in (0, "x", True, 1.5):
        yield case(f"{name} with params {params!r}", _call(ground, name, params), 400, rpc_code=-32600)
    if any(arg.required for arg in method.args):
        yield case(f"{name} without its parameters", _call(ground, name, []), 500, rpc_code=-1)
        yield case(f"{name} with nulls", _call(ground, name, [None] * len(method.args)), 500, rpc_code=-1)
    for position, arg in enumerate(method.args):
        for json_type, values in STRANGE.items():
            for number, value in enumerate(values):
                params: Any = [*good[:position], value, *good[position + 1 :]]
                if number % 2:
                    params = {other.name: given for other, given in zip(method.args, params, strict=True)}
                what = f"{name} with {arg.name}={str(value)[:20]!r}"
                if json_type in TAKES[arg.kind]:
                    yield case(what, _call(ground, name, params), {200} | any_error, rpc_code=0)
                elif not arg.required and position and good[0] is None:
                    continue
                else:
                    yield case(what, _call(ground, name, params), any_error, rpc_code=0)


def _good(arg: Arg) -> Any:
    return GOOD_ARGS[arg.kind] if arg.required else None


def oversized_calls(ground: Ground) -> Iterator[Case]:
    """Bodies one byte over what a friend and a stranger may send."""
    yield case("JSON-RPC", rpc_request(ground, b" " * (RPC_BODY_MAX + 1)), 413, "body over ")
    yield case("JSON-RPC of a stranger", request("POST", "/", b" " * (UNAUTHORIZED_BODY_MAX + 1)), 413, "body over ")


def bad_envelopes(ground: Ground) -> Iterator[Case]:
    """Bodies that are no JSON, no request, or more than anybody needs."""
    whole = json.dumps({"jsonrpc": "1.0", "id": "x", "method": "getblockhash", "params": [0]}).encode()
    bodies = [whole[:size] for size in range(len(whole))]
    bodies += [
        b"\xff", b"\xef\xbb\xbf" + whole, whole.decode().encode("utf-16"), whole.decode().encode("utf-32"),
        whole + b"}",
        whole + whole, whole.replace(b"0]", b"00]"), whole.replace(b"[0]", b"[0,]"), whole.replace(b'"', b"'"), b"NaN",
        whole.replace(b"[0]", b"[NaN]"), whole.replace(b"[0]", b"[Infinity]"), whole.replace(b"[0]", b"[-Infinity]"),
        whole.replace(b"[0]", b"[1e999]"), whole.replace(b"[0]", b"[" + b"1" * 5000 + b"]"), whole.replace(b"0]",
        b"0x0]"),
        whole.replace(b'"id"', b'"method"'), whole.replace(b'"x"', b'"\x01"'), whole.replace(b'"x"', b'"\\x"'),
        whole.replace(b'"x"', b'"\\ud8"'), b"[" * 100_000, b"[" * 40 + b"]" * 40, b'{"a":' * 40 + b"1" + b"}" * 40,
        whole.replace(b"[0]", b"[" * 33 + b"]" * 33),
        b"[[" + b"1," * 300_000 + b"1]]", b'[["' + b'","' * 150_000 + b'"]]',
        b"<?xml version='1.0'?>", b"method=getblockcount", b"--x\r\n\r\n--x--", b"\x00" * 1000, b"// c\n" + whole,
        b"1 2",
    ]  # fmt: skip
    for body in bodies:
        yield case(f"no JSON: {body[:40]!r}", rpc_request(ground, body), 500, rpc_code=-32700)
    for body in (b"1", b'"x"', b"true", b"null", b"-0.5"):
        yield case(f"no request: {body!r}", rpc_request(ground, body), 500, rpc_code=-32700)
    for request_body in ({}, {"id": 1}, {"method": None}, {"method": 1}, {"method": []}, {"method": {"a": 1}}):
        body = json.dumps(request_body).encode()
        yield case(f"no method: {body!r}", rpc_request(ground, body), 400, rpc_code=-32600)
    for name in ("", "x", "GETBLOCKCOUNT", "getblockcount ", "__init__", "é", "a" * 100_000, "rpc.discover"):
        yield case(f"unknown method {name[:20]}", _call(ground, name, []), 404, rpc_code=-32601)
    crowd = b"[" + b"1," * BATCH_MAX + b"1]"
    yield case("a batch over its cap", rpc_request(ground, crowd), 400, rpc_code=-32600)
    for batch in ([1], [None] * 100, [[]], [{}, "x"], [{"method": 5}] * 3):
        yield case(f"batch {str(batch)[:30]}", rpc_request(ground, json.dumps(batch).encode()), 200)
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        yield case(f"{method} /", request(method, "/"), 405, "JSONRPC server handles only POST requests")
    for host in ("evil.example", "localhost.evil.example"):
        yield case("JSON-RPC by a foreign name", request("POST", "/", whole, host=host), 403, "host ")
    yield case("JSON-RPC for a page", rpc_request(ground, whole, Origin="https://evil.example"), 403, "pages of ")


def bad_credentials(ground: Ground) -> Iterator[Case]:
    """Whoever may not ask: 401, whatever is asked."""
    right = base64.b64encode(ground.credentials.encode()).decode()
    user, _, password = ground.credentials.partition(":")
    pairs = (
        ":", f"{user}:", f":{password}", user, f"{user}:{password} ", f" {user}:{password}", f"{user}:{password[:-1]}",
        f"{user.upper()}:{password}", f"{password}:{user}", "root:root", "\x00:\x00", "é:é", f"{user}:{'x' * 40_000}",
    )  # fmt: skip
    headers = [
        "",
        "Basic",
        "Basic ",
        "Basic !",
        "Basic ====",
        f"Bearer {right}",
        f"basic{right}",
        f"Basic {right[:-4]}",
    ]
    headers += [f"Basic {base64.b64encode(pair.encode()).decode()}" for pair in pairs]
    headers += [f"Basic {right}, Basic {right}", f"Digest {right}", "\xff" * 20, right, f"Basic {right} {right}"]
    for header in headers:
        for body in (b'{"method":"getblockcount"}', b"no JSON"):
            yield case(f"credentials {header[:40]!r}", request("POST", "/", body, Authorization=header), 401)
    yield case("no credentials", request("POST", "/", b"{}"), 401)
