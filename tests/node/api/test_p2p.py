"""The P2P listener: messages in and out of HTTP, sessions, and blocks that any cache can hold."""

import random

import pytest

from chain.hashes import BlockHash, sha256, to_hex
from chain.params import GENESIS, REGTEST
from node.api.p2p import p2p_body_cap
from node.interface.checked_block import examine
from node.interface.effects import Step
from node.interface.messages import (
    PROTOCOL_VERSION,
    SERVES_BLOCKS,
    Addresses,
    Announce,
    Blocks,
    Confirm,
    Facts,
    GetAddresses,
    GetBlocks,
    GetHeaders,
    GetTxs,
    Headers,
    Hello,
    Inv,
    Ok,
    Reason,
    Refusal,
    Request,
    Txs,
    Want,
    Welcome,
)
from node.p2p.connections.identity import HandshakeSide, NodeIdentity, handshake_digest, peer_id
from node.p2p.scoring.service_flags import RECENT_BLOCKS
from node.p2p.wire.codec import ROUTES, SESSION_HEADER, decode_reply, encode, route_name
from node.runtime.traffic_counters import NONE
from tests.chainlab import Lab, pay
from tests.node.api.desk import ENGINE, Desk, Reply
from tests.node.processes import eventually

OCTETS = "application/octet-stream"
US = NodeIdentity(bytes(31) + b"\x07", ENGINE, random.Random(1))


def facts(network_id: bytes = REGTEST.network_id, public_key: bytes = US.public_key) -> Facts:
    return Facts(PROTOCOL_VERSION, public_key, network_id, bytes(8), None, SERVES_BLOCKS, "test", 0, 0, GENESIS.hash)


def send(desk: Desk, request: Request, token: bytes | None = None) -> Reply:
    headers = {SESSION_HEADER: token.hex()} if token is not None else {}
    return desk.request("POST", f"/p2p/{route_name(request)}", encode(request), p2p=True, **headers)


def ask(desk: Desk, request: Request, token: bytes | None = None) -> tuple[int, object]:
    """Status and message of the reply."""
    reply = send(desk, request, token)
    assert reply.type == OCTETS
    return reply.status, decode_reply(route_name(request), reply.body)


@pytest.fixture
def token(desk: Desk) -> bytes:
    """A session's."""
    return greet(desk)


def greet(desk: Desk, us: NodeIdentity = US) -> bytes:
    """Open a session; its token."""
    status, welcome = ask(desk, Hello(facts(desk.config.params.network_id, us.public_key), b"\x01" * 32))
    assert status == 200
    assert isinstance(welcome, Welcome)
    ids, challenges = (us.id, peer_id(welcome.facts.public_key)), (b"\x01" * 32, welcome.challenge)
    digest = handshake_digest(desk.config.params.network_id, HandshakeSide.DIALLER, ids, challenges)
    assert ask(desk, Confirm(welcome.token, us.prove(digest))) == (200, Ok())
    return welcome.token


def test_a_block_that_waits_to_be_connected_is_served(desk: Desk, lab: Lab, token: bytes) -> None:
    """It may have been passed on in its compact form; who could not rebuild it asks for it whole."""
    block = lab.candidate()
    examined = examine(block, REGTEST)
    desk.runtime.call(lambda node, now: Step(node._chain.submit_block(examined, int(now), sync=False)))
    assert desk.runtime.view.tip.hash == lab.tip.hash
    assert ask(desk, GetBlocks((block.hash,)), token) == (200, Blocks((block.raw,)))


def test_a_session(desk: Desk, lab: Lab, token: bytes) -> None:
    status, headers = ask(desk, GetHeaders((GENESIS.hash,)), token)
    assert (status, headers) == (200, Headers(tuple(block.header for block in lab.blocks)))
    assert ask(desk, GetAddresses(), token) == (200, Addresses(()))
    both = GetBlocks((lab.tip.hash, BlockHash(GENESIS.hash[::-1])))
    assert ask(desk, both, token) == (200, Blocks((lab.blocks[-1].raw, b"")))
    assert ask(desk, Announce((lab.blocks[-1].header,)), token) == (200, Ok())
    tx = pay(lab.take())
    name = bytes(8)
    assert ask(desk, Inv((name,)), token) == (200, Want((name,)))
    desk.pool(tx)
    assert ask(desk, GetTxs((), (tx.txid,)), token) == (200, Txs((tx,)))
    [peer] = desk.rpc("getpeerinfo")
    assert (peer["inbound"], peer["subver"], peer["connection_type"], peer["network"]) == (
        True,
        "/test/",
        "inbound",
        "ipv4",
    )
    assert desk.rpc("getnetworkinfo")["connections_in"] == desk.rpc("getconnectioncount") == 1
    assert desk.rpc("disconnectnode", "", peer["id"]) is None
    assert ask(desk, GetAddresses(), token) == (401, Refusal(Reason.NO_SESSION))


def test_blocks_do_not_wait_for_the_lock(desk: Desk, lab: Lab) -> None:
    """Another block may just be being connected."""
    request = GetBlocks((lab.tip.hash, GENESIS.hash))
    answer = desk.runtime.call(lambda node, now: Step(ask(desk, request)))
    assert answer == (200, Blocks((lab.blocks[-1].raw, GENESIS.raw)))


@pytest.mark.parametrize("wrong", [None, b"", bytes(16), bytes(15), bytes(32)])
def test_without_a_session(shared: Desk, wrong: bytes | None) -> None:
    refused = (401, Refusal(Reason.NO_SESSION))
    for request in (GetHeaders((GENESIS.hash,)), GetAddresses(), Announce(()), Inv(()), Txs(()), GetTxs((), ())):
        assert ask(shared, request, wrong) == refused
    assert ask(shared, Confirm(bytes(16), bytes(64)), wrong) == refused


def test_a_session_header_that_is_no_hex(shared: Desk) -> None:
    for header in ("zz", "\xe9" * 32, " ", "0" * 33):
        body = encode(GetAddresses())
        reply = shared.request("POST", "/p2p/addresses", body, p2p=True, **{SESSION_HEADER: header})
        assert reply.status == 401


def test_refused_greetings(shared: Desk) -> None:
    assert ask(shared, Hello(facts(bytes(32)), bytes(32))) == (403, Refusal(Reason.WRONG_NETWORK))
    ours = decode_reply("hello", send(shared, Hello(facts(), bytes(32))).body)
    assert isinstance(ours, Welcome)
    mirrored = facts(public_key=ours.facts.public_key)
    assert ask(shared, Hello(mirrored, bytes(32))) == (403, Refusal(Reason.SELF))
    assert shared.rpc("getpeerinfo") == []


@pytest.mark.parametrize("name", ROUTES)
def test_what_is_no_message_gets_one_line(shared: Desk, name: str) -> None:
    other = encode(Ok())
    for body in (b"", b"\x00", b"\x01", b"\xff\xff", other, b"\x02" + other[1:], b"\x01\x63"):
        # Whoever sends that is no peer any more.
        token = greet(shared, NodeIdentity(sha256(name.encode() + body), ENGINE, random.Random(2)))
        reply = shared.request("POST", f"/p2p/{name}", body, p2p=True, **{SESSION_HEADER: token.hex()})
        assert (reply.status, reply.type) == (400, "text/plain")
        assert "\n" not in reply.text
        assert reply.text


def test_caps_come_from_the_routes(desk: Desk, token: bytes) -> None:
    cap = p2p_body_cap()
    for name, route in ROUTES.items():
        assert cap("POST", f"/p2p/{name}", {}) == route.request_max
        body = bytes(route.request_max + 1)
        reply = desk.request("POST", f"/p2p/{name}", body, p2p=True, **{SESSION_HEADER: token.hex()})
        assert (reply.status, reply.text) == (413, f"body over {route.request_max} bytes")
    assert cap("GET", "/p2p/txs", {}) == cap("POST", "/p2p/nothing", {}) == 1024


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/p2p/nothing"),
        ("POST", "/p2p/"),
        ("POST", "/p2p"),
        ("POST", "/p2p/hello/"),
        ("GET", "/p2p/hello"),
        ("PUT", "/p2p/hello"),
        ("POST", "/p2p/block/" + "00" * 32),
        ("GET", "/p2p/block/"),
        ("GET", "/blocks/tip/height"),
        ("POST", "/"),
        ("GET", "/"),
    ],
)
def test_nothing_else_is_served(shared: Desk, method: str, path: str) -> None:
    reply = shared.request(method, path, p2p=True)
    assert (reply.status, reply.text) == (404, f'endpoint does not exist "{path}"')


def test_the_api_serves_no_peers(shared: Desk) -> None:
    assert shared.request("POST", "/p2p/hello").status == 404


def test_blocks_for_caches(shared: Desk, lab: Lab) -> None:
    raw, path = lab.blocks[-1].raw, f"/p2p/block/{to_hex(lab.tip.hash)}"
    whole = shared.request("GET", path, p2p=True)
    assert (whole.status, whole.type, whole.body) == (200, OCTETS, raw)
    assert whole.headers["cache-control"] == "public, immutable, max-age=31536000"
    assert whole.headers["etag"] == f'"{to_hex(lab.tip.hash)}"'
    assert whole.headers["accept-ranges"] == "bytes"
    head = shared.request("HEAD", path, p2p=True)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(raw)))
    same = shared.request("GET", path, p2p=True, if_none_match=whole.headers["etag"])
    assert (same.status, same.body) == (304, b"")
    for span, part in (("0-79", raw[:80]), ("80-", raw[80:]), ("-10", raw[-10:]), ("7000-999999", raw[7000:])):
        partial = shared.request("GET", path, p2p=True, range=f"bytes={span}")
        assert (partial.status, partial.body) == (206, part)
        assert partial.headers["content-range"].endswith(f"/{len(raw)}")
    assert shared.request("GET", path, p2p=True, range="bytes=999999-").status == 416
    for nonsense in ("bytes=x", "bytes=5-1", "pages=1-2", "bytes=" + "0-1," * 1000):
        assert shared.request("GET", path, p2p=True, range=nonsense).status in (200, 206, 416)
    assert shared.request("GET", f"/p2p/block/{to_hex(GENESIS.hash)}", p2p=True).body == GENESIS.raw
    missing = shared.request("GET", f"/p2p/block/{'ab' * 32}", p2p=True)
    assert (missing.status, missing.text) == (404, "Block not found")
    assert "etag" not in missing.headers
    assert shared.request("GET", "/p2p/block/xyz", p2p=True).status == 400


def test_before_the_node_is_ready(make_desk: type[Desk]) -> None:
    desk = make_desk(admit=False)
    reply = send(desk, Hello(facts(), bytes(32)))
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert desk.request("GET", f"/p2p/block/{to_hex(GENESIS.hash)}", p2p=True).status == 503


def test_a_malformed_message_costs_the_session(desk: Desk, token: bytes) -> None:
    """Not so without a session, or in the name of one that is none: somebody else may have sent that."""
    for name, named in (("blocks", None), ("blocks", bytes(16)), ("blocks", b"")):
        headers = {SESSION_HEADER: named.hex()} if named is not None else {}
        assert desk.request("POST", f"/p2p/{name}", b"noise", p2p=True, **headers).status == 400
    assert ask(desk, GetAddresses(), token)[0] == 200
    reply = desk.request("POST", "/p2p/inv", b"noise", p2p=True, **{SESSION_HEADER: token.hex()})
    assert (reply.status, reply.type) == (400, "text/plain")
    assert ask(desk, GetAddresses(), token) == (401, Refusal(Reason.NO_SESSION))
    assert ask(desk, Hello(facts(), bytes(32))) == (403, Refusal(Reason.DISCOURAGED))


def test_old_blocks_are_refused_to_the_choked(desk: Desk, lab: Lab, token: bytes) -> None:
    """With a session and without; recent blocks never are."""
    lab.mine_empty(RECENT_BLOCKS)
    desk.give(lab.blocks[-RECENT_BLOCKS:])
    old, new = lab.blocks[0], lab.blocks[-1]
    paths = {block.hash: f"/p2p/block/{to_hex(block.hash)}" for block in (old, new)}
    assert ask(desk, GetBlocks((old.hash,)), token) == (200, Blocks((old.raw,)))
    assert desk.request("GET", paths[old.hash], p2p=True).status == 200
    service = desk.runtime.view.service

    def choke() -> None:
        service.granted = frozenset()

    def choked(request: Request, named: bytes | None) -> tuple[int, object]:
        # Under the lock, so that no tick grants everything again before the answer is made.
        return desk.runtime.call(lambda node, now: (choke(), Step(ask(desk, request, named)))[1]) or (0, None)

    for named in (token, None):
        assert choked(GetBlocks((old.hash,)), named) == (503, Refusal(Reason.CHOKED))
        assert choked(GetBlocks((new.hash,)), named) == (200, Blocks((new.raw,)))
    get = desk.runtime.call(lambda node, now: (choke(), Step(desk.request("GET", paths[old.hash], p2p=True)))[1])
    assert get is not None
    assert (get.status, get.headers["retry-after"]) == (503, "10")
    get = desk.runtime.call(lambda node, now: (choke(), Step(desk.request("GET", paths[new.hash], p2p=True)))[1])
    assert get is not None
    assert get.status == 200


def test_counts_what_peers_send_and_get(desk: Desk, lab: Lab, token: bytes) -> None:
    """By the session that a message names; blocks too, which are served beside the core."""
    request, tip = GetHeaders((GENESIS.hash,)), GetBlocks((lab.tip.hash,))
    peer = peer_id(US.public_key)
    answers = [send(desk, message, token) for message in (request, tip)]
    assert send(desk, tip).status == 200
    sent, received = sum(len(answer.body) for answer in answers), len(encode(request)) + len(encode(tip))
    eventually(lambda: desk.runtime.traffic.routes().get("blocks", NONE).messages == 2, "both are counted")
    assert desk.runtime.traffic.of(peer)[1:] == (sent, received)
    [shown] = desk.rpc("getpeerinfo")
    desk.rpc("disconnectnode", "", shown["id"])
    assert desk.runtime.traffic.of(peer).messages == 0
