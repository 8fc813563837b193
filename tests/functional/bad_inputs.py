"""Bad inputs made from the route tables of both listeners (JSON-RPC's are in bad_calls.py).

A `Case` is the bytes of one request and what its answer has to be. Whatever a table lists gets
its share by itself: a new route or method needs nothing here.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from node.api.http.request_header import HEADER_BYTES_MAX
from node.api.rest.table import ROUTES as API_ROUTES
from node.api.rest.txs import TX_BODY_MAX
from node.api.routing.route import BAD_VALUE, LENIENT, NO_BODY_MAX, PREFIXES, ParamType, Route
from node.p2p.scoring.rate_limits import OPEN
from node.p2p.wire.codec import ROUTES as P2P_ROUTES

HEX = "ab" * 32
BLANK_ADDRESS = "bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202"
REFUSED_TX = "sendrawtransaction RPC error -"


@dataclass(frozen=True)
class Case:
    """One request, and what its answer has to be."""

    what: str
    raw: bytes
    statuses: frozenset[int]
    line: str | None = None
    """How the one line of a 4xx starts; None: any."""
    rpc_code: int | None = None
    """The code that a JSON-RPC error must have; 0: any error, None: it is no JSON-RPC."""
    p2p: bool = False
    """For the listener of peers."""
    method: str = field(default="GET")


@dataclass(frozen=True)
class Ground:
    """What there is on the node that the cases are for."""

    credentials: str
    """user:password"""
    block_hash: str
    txid: str
    tx: bytes
    """Valid, and never submitted."""


# requests


def request(method: str, path: str, body: bytes = b"", host: str = "localhost", **headers: str) -> bytes:
    """The bytes of a request, whatever stands in its parts."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name.replace('_', '-')}: {content}" for name, content in headers.items()]
    if body or method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body


def case(what: str, raw: bytes, status: int | set[int], line: str | None = None, **more: Any) -> Case:
    """A case; its method is read off the request."""
    statuses = frozenset({status} if isinstance(status, int) else status)
    return Case(what, raw, statuses, line, method=raw.partition(b" ")[0].decode("latin-1"), **more)


def no_endpoint(path: str) -> str:
    return f'endpoint does not exist "{path.partition("?")[0]}"'


# Esplora

GOOD = {
    ParamType.BLOCK_HASH: HEX,
    ParamType.TXID: HEX,
    ParamType.NUMBER: "0",
    ParamType.INDEX: "0",
    ParamType.ADDRESS: BLANK_ADDRESS,
    ParamType.SCRIPT_HASH: HEX,
    ParamType.LENIENT_NUMBER: "0",
    ParamType.LENIENT_TXID: HEX,
    ParamType.TX_HEX: "00",
}
"""Well-formed values; those that name something name nothing that exists."""
GARBAGE = (
    "x", "-1", "+1", "1.5", "1e3", "0x10", "NaN", "null", "undefined", "true", "[]", "{}", "'", "--", ".", "..;", "*",
    "%00", "%0a", "%0d%0aX:1", "%20", "%25", "%3f", "%23", "%ff%fe", "%c3%28", "%e2%80%ae", "%F0%9F%98%80", "%D9%A1",
    "%u0041", "%zz", "%", "%%%", "~root", "$(id)", "`id`", "%27%20OR%201%3D1", "%3Cscript%3E", "{{7*7}}", "a" * 63,
    "a" * 65, "g" * 64, "A" * 5000, "1" * 5000, "9" * 25, "%61" * 63, HEX[:-1], HEX + "0", " ".join(HEX).replace(" ",
    "%20"),
)  # fmt: skip
"""Values that no kind of parameter takes. All stay within one piece of a path."""


def fill(route: Route, **given: str) -> str:
    """The route's path with good values, some replaced."""
    pieces = [piece[1:] if piece.startswith(":") else None for piece in route.path.split("/")]
    return "/".join(
        given.get(name, GOOD[route.params[name]]) if name else piece
        for name, piece in zip(pieces, route.path.split("/"), strict=True)
    )


def bad_values(route: Route) -> Iterator[Case]:
    """Each parameter of a path, and each of a query, with values that it does not take."""
    if route.method != "GET":
        return
    for number, (name, kind) in enumerate(route.params.items()):
        prefix = PREFIXES[number % len(PREFIXES)]
        for value in GARBAGE:
            raw = request("GET", prefix + fill(route, **{name: value}))
            what = f"{route.path} with {name}={value[:30]}"
            if kind in LENIENT:
                yield case(what, raw, {200} | {status for status, _ in route.errors})
            else:
                yield case(what, raw, 400, BAD_VALUE[kind])
        # A slash or nothing in place of the value makes it another path.
        for value in ("", "%2f", "a/b"):
            path = prefix + fill(route, **{name: value})
            yield case(f"{path} is no path", request("GET", path), {200, 400, 404})
    for name, kind in route.query.items():
        for value in GARBAGE:
            raw = request("GET", fill(route) + f"?{name}={value}")
            expected: Any = 400 if kind in (ParamType.TX_HEX, ParamType.TOPICS) else {200}
            yield case(f"{route.path}?{name}={value[:30]}", raw, expected)
    yield case(f"{route.path} about nothing", request("GET", fill(route)), {200, 404, 400})
    yield case(f"{route.path} with a query", request("GET", fill(route) + "?a=1&a=2&%00=%ff&=&&&;"), {200, 404, 400})


def wrong_methods(route: Route) -> Iterator[Case]:
    """Methods that the route does not have."""
    path = fill(route)
    taken = {other.method for other in API_ROUTES if other.path == route.path}
    for method in {"POST", "GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"} - taken:
        raw = request(method, path, b"x" if method in ("POST", "PUT", "PATCH") else b"")
        yield case(f"{method} {route.path}", raw, 404, no_endpoint(path))
    for method in ("CONNECT", "BREW", "GETX"):
        yield case(f"{method} {route.path}", request(method, path), 501, f"no method {method} here")


def bent_paths(route: Route) -> Iterator[Case]:
    """Paths that only look like the route's."""
    path = fill(route)
    # Where anything may stand at the end, anything else is as good.
    ends = [
        other.params.get(other.path.rpartition("/:")[2]) for other in API_ROUTES if other.path.startswith(route.path)
    ]
    fine = {200} if LENIENT.intersection(ends) else set()
    for bent in (path + "/x", path + "//", "/api/api" + path, path.upper(), path + "%00", path + ";v=1", "/." + path):
        yield case(f"bent path {bent}", request(route.method, bent), {400, 404} | fine)
    twice = path.replace("/", "//") if path.count("/") > 1 else path + "//"
    yield case(f"bent path {twice}", request(route.method, twice), 404)
    encoded = "/" + quote(path[1:]).replace("/", "%2F").replace("b", "%62")
    yield case(f"encoded path {encoded}", request(route.method, encoded), {200, 400, 404})


def strangers(route: Route) -> Iterator[Case]:
    """Calls by a foreign name, and writes for a foreign page."""
    path = fill(route)
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example:1", "[::2]", "x@localhost", "\xff"):
        yield case(f"{path} by the name {host}", request(route.method, path, host=host), 403, "host ")
    if route.writes:
        for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}):
            raw = request(route.method, path + "?tx=00", **headers)
            yield case(f"{path} for {headers}", raw, 403, "pages of ")


def unknown_paths() -> Iterator[Case]:
    """Paths that are nothing at all."""
    for path in (
        "/api", "/api/", "/nothing", "/api/nothing", "/.", "/..", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd",
        "/\\", "/%5c", "/a" * 500, "/" + "a" * 20_000, "/blocks/tip", "/favicon.png", "/.git/config", "/static/x",
        "/index.php?x=1", "/%c0%af", "/\u00e9", "/a\tb", "/{}", "/[", "/]", "/|", "/^", "/`", '/"', "/<>", "/wallet/x",
        "/openapi.json.bak", "/block", "/tx/", "/address", "/address/", "/scripthash/", "/mempool/x", "/txs/package",
    ):  # fmt: skip
        yield case(f"unknown {path[:40]}", request("GET", path), {200} if path == "/blocks/tip" else {400, 404})
    for target in (
        "*",
        "x",
        "localhost:80",
        "http://localhost/nothing",
        "http://evil.example/blocks/tip/height",
        "?",
        "#",
    ):
        yield case(f"target {target}", request("GET", target), {200, 400, 404})
    yield case("OPTIONS *", request("OPTIONS", "*"), {400, 404})


def bad_transactions(ground: Ground) -> Iterator[Case]:
    """Bodies of POST /tx: no hex, cut off at every byte, one bit wrong, and the like."""
    tx, good = ground.tx, ground.tx.hex()
    bodies: list[bytes] = [
        b"", b" ", b"\n", b"0", b"00", b"zz" * 60, good.encode() + b"0", good.encode() + b"00", b"0x" + good.encode(),
        good.encode().replace(b"0", b"O"), b"\xff\xfe" * 40, "é".encode() * 40, b"\x00" * 100,
        json.dumps([good]).encode(),
        json.dumps({"hex": good}).encode(), b'"' + good.encode() + b'"', good.encode("utf-16"), b"ff" * 5000,
        b"00" * 5000,
        b"01000000" + b"fd" * 60, b"0200000000010" + b"f" * 99, good[:20].encode() + b" " + good[20:].encode(), tx,
    ]  # fmt: skip
    bodies += [good[: 2 * size].encode() for size in range(1, len(tx))]
    bodies += [_flipped(tx, bit).hex().encode() for bit in range(0, 8 * len(tx), 7)]
    bodies += [(tx[:4] + bytes((count,)) + tx[5:]).hex().encode() for count in (0xFC, 0xFD, 0xFE, 0xFF)]
    for number, body in enumerate(bodies):
        raw = request("POST", PREFIXES[number % 2] + "/tx", body)
        yield case(f"transaction {number}: {body[:20]!r}", raw, 400, REFUSED_TX)
    for content_type in ("application/json", "multipart/form-data; boundary=x", "text/html", "\xff", "", "x" * 1000):
        raw = request("POST", "/tx", b"00", Content_Type=content_type)
        yield case(f"transaction as {content_type[:30]}", raw, 400, REFUSED_TX)


def _flipped(raw: bytes, bit: int) -> bytes:
    changed = bytearray(raw)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def oversized() -> Iterator[Case]:
    """Bodies one byte over the cap of their route."""
    too_large = "body over "
    for route in API_ROUTES:
        raw = request(route.method, fill(route), bytes(route.body_max + 1))
        yield case(f"{route.method} {route.path} with too much body", raw, 413, too_large)
    yield case("POST /tx, twice its cap", request("POST", "/tx", bytes(2 * TX_BODY_MAX)), 413, too_large)
    yield case("an unknown path", request("POST", "/nothing", bytes(NO_BODY_MAX + 1)), 413, too_large)
    yield case("a long URL", request("GET", "/broadcast?tx=" + "0" * HEADER_BYTES_MAX), 414)
    yield case("a long header", request("GET", "/blocks", X="a" * HEADER_BYTES_MAX), 431)


def bad_http() -> Iterator[Case]:
    """What is no HTTP, or could be read in two ways."""
    host = b"Host: localhost\r\n"
    start = b"POST /tx HTTP/1.1\r\n" + host
    for raw in (
        b"\r\n\r\nx\r\n\r\n", b"GET\r\n\r\n", b"GET /\r\n\r\n",
        b"\x00" * 50 + b"\r\n\r\n",
        b"GET /blocks HTTP/1.1\r\n\r\n", b"GET /blocks HTTP/1.1\r\n" + host + host + b"\r\n",
        b"GET  /blocks HTTP/1.1\r\n" + host + b"\r\n", b"GET /blocks  HTTP/1.1\r\n" + host + b"\r\n",
        b"GET /bl ocks HTTP/1.1\r\n" + host + b"\r\n",
        b"GET /blocks HTTP/1.1 \r\n" + host + b"x\r\n\r\n",
        b"GET /blocks HTTP/1.1\r\n" + host + b" folded: 1\rx\r\n\r\n",
        b"GET /blocks HTTP/1.1\r\n folded\r\n" + host + b"\r\n", b"GET /blocks HTTP/1.1\r\n: x\r\n" + host + b"\r\n",
        b"GET /blocks HTTP/1.1\r\nA B: x\r\n" + host + b"\r\n", b"GET /blocks HTTP/1.1\r\nA : x\r\n" + host + b"\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\n" + host + b"\r\n", b"GET http://[ HTTP/1.1\r\n" + host + b"\r\n",
        start + b"Content-Length: -1\r\n\r\n", start + b"Content-Length: +1\r\n\r\nx",
        start + b"Content-Length: 1_0\r\n\r\n",
        start + b"Content-Length: 0x1\r\n\r\nx", start + b"Content-Length: 1.0\r\n\r\nx",
        start + b"Content-Length: \xb2\r\n\r\nx",
        start + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        start + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n00",
        start + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n00", start + b"Content-Length: 2,2\r\n\r\n00",
        start + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        start + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        start + b"Transfer-Encoding: gzip\r\n\r\n", start + b"Transfer-Encoding: chunked, gzip\r\n\r\n",
        start + b"Transfer-Encoding: identity\r\n\r\n", start + b"Transfer-Encoding: \x0bchunked\r\n\r\n",
        start + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n",
        start + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        start + b"Transfer-Encoding: chunked\r\n\r\n0x2\r\n00\r\n0\r\n\r\n",
        start + b"Transfer-Encoding: chunked\r\n\r\n1\r\n000\r\n0\r\n\r\n",
        b"POST /tx HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ):  # fmt: skip
        yield case(f"no HTTP: {raw[:60]!r}", raw, 400)
    yield case(
        "a chunk without end", start + b"Transfer-Encoding: chunked\r\n\r\nffffffffff\r\n" + b"0" * 2_100_000, 400
    )
    yield case("an endless chunk line", start + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 2_100_000, 400)
    yield case("another version", b"GET / HTTP/9.9\r\n" + host + b"\r\n", 505)
    yield case("another method", b"get /blocks HTTP/1.1\r\n" + host + b"\r\n", 501)
    yield case("an endless header", b"GET /blocks HTTP/1.1\r\n" + b"A: b\r\n" * 20_000, 431)


# peers


def bad_messages(ground: Ground) -> Iterator[Case]:
    """What is no message, has no session, or is asked in the wrong way."""
    for name, route in P2P_ROUTES.items():
        path = f"/p2p/{name}"
        is_read = name in OPEN  # of all else nothing is looked at without a session
        for body in (b"", b"\x00", b"\x01", b"\x02\x01", b"\xff\xff", b"\x01\x00", b"{}"):
            yield case(f"{name} {body!r}", request("POST", path, body), 400 if is_read else 401, p2p=True)
        if route.request_max > 64:
            for size in (3, 10, 40, 60):
                for filler in (b"\x00", b"\x01", b"\xff"):
                    body = b"\x01" + bytes((list(P2P_ROUTES).index(name),)) + filler * size
                    yield case(f"{name} of {size}", request("POST", path, body), {400, 401}, p2p=True)
        raw = request("POST", path, bytes(route.request_max + 1))
        yield case(f"{name} with too much body", raw, 413 if is_read else 401, "body over ", p2p=True)
        for method in ("GET", "PUT", "DELETE", "OPTIONS"):
            yield case(f"{method} {path}", request(method, path), 404, no_endpoint(path), p2p=True)
    for session in ("", "x", "00", "00" * 16, "zz" * 16, "00" * 1000, "\xff"):
        raw = request("POST", "/p2p/addresses", b"\x01\x10", Groat_Session=session)
        yield case(f"session {session[:20]!r}", raw, 401, p2p=True)
    for value in GARBAGE:
        yield case(
            f"/p2p/block/{value[:30]}", request("GET", f"/p2p/block/{value}"), 400, "Invalid hex string", p2p=True
        )
    for span in ("bytes=x", "bytes=9-1", "bytes=-", "x", "bytes=999999999-", "bytes=" + "0-0," * 2000, "bytes=--1"):
        raw = request("GET", f"/p2p/block/{ground.block_hash}", Range=span)
        yield case(f"range {span[:30]}", raw, {200, 206, 416}, p2p=True)
    for path in ("/", "/p2p", "/p2p/", "/p2p/nothing", "/blocks/tip/height", "/tx", f"/p2p/block/{HEX}"):
        yield case(f"P2P {path}", request("GET", path), 404, p2p=True)
        yield case(f"P2P POST {path}", request("POST", path, b"{}"), 404, p2p=True)
