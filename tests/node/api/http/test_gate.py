"""The peers' listener: who is let in, whose bodies are read, and what becomes of who sends too much."""

import random
import socket
from collections.abc import Callable
from contextlib import ExitStack, closing

import pytest

from chain.params import REGTEST, Asert, Params
from node.api import p2p_gate
from node.interface.messages import Confirm, GetAddresses, GetBlocks, Hello, Reason, Refusal
from node.p2p.connections.identity import NodeIdentity
from node.p2p.scoring.rate_limits import BURST_S, LIMITS, REFUSED_A_MINUTE
from node.p2p.wire.codec import ROUTES, SESSION_HEADER, decode_reply, encode
from tests.node.api.desk import ENGINE, Desk
from tests.node.api.stage import WAIT_S, read_all
from tests.node.api.test_p2p import ask, facts, greet
from tests.node.processes import eventually

OPEN_SEA = Params(
    "sea", REGTEST.pow_limit_bits, 150, 7200, False, Asert(10, 150, 2**31 - 1, REGTEST.pow_limit_bits, None)
)
"""Regtest's rules, but local addresses are as good as any others."""
NO_SESSION = (401, Refusal(Reason.NO_SESSION))


@pytest.fixture
def sea(make_desk: Callable[..., Desk]) -> Desk:
    return make_desk(params=OPEN_SEA)


def connect(desk: Desk, host: str = "127.0.0.1") -> socket.socket:
    """A connection to the peers' listener from that address of this machine."""
    client = socket.create_connection(desk.p2p.endpoints[0], WAIT_S, (host, 0))
    client.settimeout(WAIT_S)
    return client


def head(name: str, length: int, **headers: str) -> bytes:
    lines = [f"POST /p2p/{name} HTTP/1.1", "Host: x", f"Content-Length: {length}"]
    lines += [f"{key.replace('_', '-')}: {text}" for key, text in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def exchange(desk: Desk, sent: bytes, host: str = "127.0.0.1") -> tuple[int, bytes, bytes]:
    """Status, header and body of the only answer."""
    with closing(connect(desk, host)) as client:
        client.sendall(sent.replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n"))
        answer, _, body = read_all(client).partition(b"\r\n\r\n")
    return int(answer.split(b" ")[1]) if answer else 0, answer, body


@pytest.mark.parametrize("name", [name for name in ROUTES if name not in {"hello", "confirm", "blocks"}])
def test_without_a_session_no_body_is_read(shared: Desk, name: str) -> None:
    """The answer comes although not a byte of the body does."""
    for session in ({}, {"Groat_Session": "00" * 16}, {"Groat_Session": "nonsense"}):
        status, answer, body = exchange(shared, head(name, ROUTES[name].request_max or 1, **session))
        assert (status, decode_reply(name, body)) == NO_SESSION
        assert b"Connection: close" in answer


def test_with_one_it_is(desk: Desk) -> None:
    body = encode(GetAddresses())
    sent = head("addresses", len(body), Groat_Session=greet(desk).hex()) + body
    assert exchange(desk, sent)[0] == 200


def test_what_needs_none_has_small_bodies(shared: Desk) -> None:
    for name in ("hello", "confirm", "blocks"):
        assert ROUTES[name].request_max < 1_000
        assert exchange(shared, head(name, 1_000))[0] == 413


def test_nothing_is_read_before_the_node_is_ready(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(admit=False)
    status, answer, _ = exchange(desk, head("txs", 2_000_000))
    assert (status, b"Retry-After: 1" in answer) == (503, True)


def test_who_sends_too_much_is_told_to_wait_and_in_the_end_dropped(sea: Desk) -> None:
    token = greet(sea)
    sent = head("addresses", 2, Groat_Session=token.hex()) + encode(GetAddresses())
    statuses = []
    while sea.rpc("getpeerinfo"):
        for _ in range(20):
            status, answer, body = exchange(sea, sent, f"127.0.0.{2 + len(statuses) // 20}")
            statuses.append(status)
            if status == 429:
                assert b"Retry-After: " in answer
                assert body.startswith(b"too much of this: come again in ")
        assert len(statuses) < 1_000
    assert statuses[: int(LIMITS["addresses"].messages * BURST_S / 60)] == [200] * 10
    assert set(statuses) <= {200, 401, 429}
    assert ask(sea, GetAddresses(), token) == NO_SESSION
    assert ask(sea, Hello(facts(OPEN_SEA.network_id), bytes(32)))[1] == Refusal(Reason.DISCOURAGED)
    other = NodeIdentity(bytes(31) + b"\x09", ENGINE, random.Random(1))
    assert ask(sea, GetAddresses(), greet(sea, other))[0] == 200


def test_addresses_are_held_to_limits_of_their_own(sea: Desk) -> None:
    hello = encode(Hello(facts(OPEN_SEA.network_id), bytes(32)))
    sent = head("hello", len(hello)) + hello
    statuses = [exchange(sea, sent, "127.0.0.2")[0] for _ in range(15)]
    assert statuses == [200] * 10 + [429] * 5
    assert exchange(sea, sent, "127.0.0.3")[0] == 200
    assert ask(sea, GetAddresses(), greet(sea))[0] == 200


def test_who_is_refused_for_ever_is_not_heard(sea: Desk) -> None:
    confirm = encode(Confirm(bytes(16), bytes(64)))
    sent = head("confirm", len(confirm)) + confirm
    statuses = [exchange(sea, sent, "127.0.0.2")[0] for _ in range(int(REFUSED_A_MINUTE * BURST_S / 60) + 30)]
    assert statuses[-1] == 0
    assert exchange(sea, sent, "127.0.0.3")[0] == 401


def test_an_address_has_so_many_connections(sea: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """For one more the longest idle of its own goes, and nobody else's."""
    monkeypatch.setattr(p2p_gate.P2pGate, "host_connections", 3)
    with ExitStack() as stack:

        def come(host: str) -> socket.socket:
            return stack.enter_context(closing(connect(sea, host)))

        bystander = come("127.0.0.3")
        crowd = [come("127.0.0.2") for _ in range(5)]
        for gone in crowd[:2]:
            assert gone.recv(1) == b""
        body = encode(GetBlocks((OPEN_SEA.network_id,)))  # type: ignore[arg-type]
        for stays in (bystander, *crowd[2:]):
            stays.sendall(head("blocks", len(body)) + body)
            assert stays.recv(12) == b"HTTP/1.1 200"
        assert sorted(sea.p2p.connections.owners.values()) == [1, 3]
    eventually(lambda: not sea.p2p.connections.owners, "all connections to be forgotten")


def test_on_a_devnet_ones_own_machine_may_have_them_all(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(p2p_gate.P2pGate, "host_connections", 3)
    body = encode(GetBlocks((REGTEST.network_id,)))  # type: ignore[arg-type]
    with ExitStack() as stack:
        for stays in [stack.enter_context(closing(connect(desk))) for _ in range(10)]:
            stays.sendall(head("blocks", len(body)) + body)
            assert stays.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize("name", ["hello", "confirm", "blocks", "addresses"])
@pytest.mark.parametrize("sign", [{"Origin": "http://x"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}])
def test_pages_do_not_speak_to_peers(desk: Desk, name: str, sign: dict[str, str]) -> None:
    """Not even one whose name was made to point here, so that it has the node's own origin."""
    body = encode(Hello(facts(), bytes(32)))
    sent = head(name, len(body), Groat_Session=greet(desk).hex(), **sign) + body
    status, _, line = exchange(desk, sent)
    assert (status, line) == (403, b"pages may not speak to peers")
    assert len(desk.node._peers.connections.handshake._greetings) == 0


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "identity, gzip", "GZIP"])
def test_no_body_is_unpacked(desk: Desk, coding: str) -> None:
    """A bomb is refused by its header, at both listeners."""
    sent = head("blocks", 30, Content_Encoding=coding)
    assert exchange(desk, sent)[::2] == (415, b"Content-Encoding other than identity")
    reply = desk.request("POST", "/tx", b"00", content_encoding=coding)
    assert (reply.status, reply.text) == (415, "Content-Encoding other than identity")


@pytest.mark.parametrize(
    "lengths",
    [
        b"Content-Length: 10\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 10\r\n",
        b"Content-Length: 2\r\nContent-Length: 30\r\n",
        b"Content-Length: 2, 2\r\n",
        b"Content-Length: +2\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding:\r\n chunked\r\n",
    ],
)
def test_no_request_hides_in_another(desk: Desk, lengths: bytes) -> None:
    """One answer, a 400, and the end of the connection: what follows is no request."""
    token = greet(desk).hex().encode()
    body = encode(GetAddresses())
    hidden = b"POST /p2p/bye HTTP/1.1\r\nHost: x\r\nGroat-Session: " + token + b"\r\nContent-Length: 2\r\n\r\n\x01\x1c"
    first = b"POST /p2p/addresses HTTP/1.1\r\nHost: x\r\nGroat-Session: " + token + b"\r\n" + lengths + b"\r\n"
    with closing(connect(desk)) as client:
        client.sendall(first + (b"2\r\n" + body + b"\r\n0\r\n\r\n" if b"chunked" in lengths else body) + hidden)
        answers = read_all(client)
    assert answers[9:13] == b"400 "
    assert answers.count(b"HTTP/1.") == 1
    assert ask(desk, GetAddresses(), bytes.fromhex(token.decode()))[0] == 200


def test_session_headers_joined_name_nobody(desk: Desk) -> None:
    token = greet(desk).hex()
    body = encode(GetAddresses())
    sent = head("addresses", len(body)) + body
    two = sent.replace(b"Host: x", f"Host: x\r\n{SESSION_HEADER}: {token}\r\n{SESSION_HEADER}: {token}".encode())
    assert exchange(desk, two)[0] == 401


@pytest.mark.parametrize("said", [1_900_000, None])
def test_bytes_are_charged_before_they_are_read(sea: Desk, said: int | None) -> None:
    """By what a header says of its body; one in chunks may become the longest."""
    gate = sea.p2p.site.gate
    headers = {"GROAT_SESSION": greet(sea).hex()}
    let_in = sum(not gate.turns_away("127.0.0.1", "POST", "/p2p/txs", headers, said) for _ in range(100))
    at_once = LIMITS["txs"].bytes * BURST_S / 60
    assert let_in == at_once // (ROUTES["txs"].request_max if said is None else said)
