"""Outgoing HTTP against peers that drip, flood, lie, redirect and hang up."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from node.interface.endpoint import Endpoint
from node.runtime.http_client import ERROR_BYTES, Client, HttpFailure, Received

Serve = Callable[[socket.socket], None]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@contextmanager
def peer(*connections: Serve) -> Iterator[Endpoint]:
    """A listener that treats its first connection as the first of `connections` says, and so on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def run() -> None:
            for serve in connections:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(10)
                    try:
                        serve(connection)
                    except OSError:
                        pass  # the client hung up, as some tests want it to

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield Endpoint(*listener.getsockname()[:2])
        listener.close()
        thread.join(10)
        assert not thread.is_alive()


def read_request(connection: socket.socket) -> bytes:
    """Header and body of one request."""
    request = b""
    while b"\r\n\r\n" not in request:
        chunk = connection.recv(65536)
        if not chunk:
            raise OSError("closed")
        request += chunk
    header, _, body = request.partition(b"\r\n\r\n")
    length = int(header.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
    while len(body) < length:
        body += connection.recv(65536)
    return header + b"\r\n\r\n" + body


def answer(*replies: bytes) -> Serve:
    def serve(connection: socket.socket) -> None:
        for reply in replies:
            read_request(connection)
            connection.sendall(reply)

    return serve


def drip(first: bytes, piece: bytes = b"x") -> Serve:
    """Answers with `first`, then a piece every few milliseconds for ever."""

    def serve(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(first)
        while True:
            connection.sendall(piece)
            time.sleep(0.02)

    return serve


def listen_only(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


@pytest.fixture
def client() -> Iterator[Client]:
    made = Client()
    yield made
    made.close()


def post(client: Client, where: Endpoint, *, timeout_s: float = 5, most: int = 1000, body: bytes = b"") -> Received:
    return client.post(where, "/p2p/x", body, {"Groat-Session": "ab"}, timeout_s, most)


def failure(client: Client, where: Endpoint, *, timeout_s: float = 5, most: int = 1000) -> str:
    with pytest.raises(HttpFailure) as caught:
        post(client, where, timeout_s=timeout_s, most=most)
    return str(caught.value)


# what it sends


def test_sends_one_plain_post_and_reads_the_answer(client: Client) -> None:
    seen = []

    def serve(connection: socket.socket) -> None:
        seen.append(read_request(connection))
        connection.sendall(OK)

    with peer(serve) as where:
        assert post(client, where, body=b"ping") == Received(200, b"hello")
    header, _, body = seen[0].partition(b"\r\n\r\n")
    lines = header.decode().split("\r\n")
    assert lines[0] == "POST /p2p/x HTTP/1.1"
    assert body == b"ping"
    assert {line.split(":")[0].lower() for line in lines[1:]} == {
        "host", "user-agent", "content-type", "accept-encoding", "content-length", "groat-session"
    }  # fmt: skip
    assert "Accept-Encoding: identity" in lines
    assert "Content-Type: application/octet-stream" in lines


def test_keeps_the_connection(client: Client) -> None:
    with peer(answer(OK, OK, OK)) as where:
        for _ in range(3):
            assert post(client, where).body == b"hello"


def test_connects_again_after_the_peer_closed(client: Client) -> None:
    with peer(answer(OK), answer(OK)) as where:
        assert post(client, where).body == b"hello"
        deadline = time.monotonic() + 5
        while True:  # the close may still be on its way
            try:
                assert post(client, where).body == b"hello"
                break
            except HttpFailure:
                assert time.monotonic() < deadline


def test_returns_no_cookie(client: Client) -> None:
    seen = []

    def serve(connection: socket.socket) -> None:
        for _ in range(2):
            seen.append(read_request(connection))
            connection.sendall(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: spy=1\r\n\r\n"))

    with peer(serve) as where:
        post(client, where)
        post(client, where)
    assert b"cookie" not in seen[1].lower()


def test_uses_no_proxy(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with peer(answer(OK)) as where:
        assert post(client, where).body == b"hello"


# time


@pytest.mark.parametrize(
    "serve",
    [
        pytest.param(drip(b""), id="status line"),
        pytest.param(drip(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"), id="headers"),
        pytest.param(drip(b"HTTP/1.1 200 OK\r\nX: "), id="one header"),
        pytest.param(drip(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"), id="body"),
        pytest.param(drip(b"HTTP/1.1 200 OK\r\n\r\n"), id="body without length"),
        pytest.param(drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"), id="chunks"),
        pytest.param(drip(b"HTTP/1.1 500 Oops\r\nContent-Length: 900\r\n\r\n"), id="error"),
        pytest.param(drip(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"), id="continue"),
        pytest.param(listen_only, id="silence"),
    ],
)
def test_the_deadline_holds_however_a_peer_drips(client: Client, serve: Serve) -> None:
    with peer(serve) as where:
        start = time.monotonic()
        assert failure(client, where, timeout_s=0.4) == "timed out"
        assert 0.3 < time.monotonic() - start < 2.5


def test_the_deadline_holds_while_sending() -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(10)
        stop.wait(10)

    stop = threading.Event()
    client = Client()
    with peer(serve) as where:
        start = time.monotonic()
        with pytest.raises(HttpFailure, match="timed out"):
            post(client, where, timeout_s=0.4, body=bytes(64_000_000))
        assert time.monotonic() - start < 2.5
        stop.set()
    client.close()


def test_a_later_request_has_a_deadline_of_its_own(client: Client) -> None:
    with peer(answer(OK, OK)) as where:
        post(client, where, timeout_s=0.2)
        time.sleep(0.25)
        assert post(client, where, timeout_s=5).body == b"hello"


# bytes and lies


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + bytes(1001), "answer over 1000 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + bytes(1001), "answer over 1000 bytes"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"64\r\n" + bytes(100) + b"\r\n") * 20,
            "answer over 1000 bytes",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", "answer in an encoding"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", "connection lost"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10, 11\r\n\r\nhello", "connection lost"),
        (b"SSH-2.0-OpenSSH\r\n", "connection lost"),
        (b"", "connection lost"),
    ],
)
def test_answers_that_are_not_taken(client: Client, reply: bytes, reason: str) -> None:
    with peer(answer(reply)) as where, pytest.raises(HttpFailure) as caught:
        post(client, where)
    assert str(caught.value) == reason
    assert caught.value.offence == reason.startswith("answer")


def test_an_answer_of_exactly_the_limit_is_taken(client: Client) -> None:
    with peer(answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + bytes(1000))) as where:
        assert post(client, where, most=1000) == Received(200, bytes(1000))


def test_a_flood_is_cut_off_and_not_read(client: Client) -> None:
    sent = []

    def serve(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(1000):
            connection.sendall(bytes(1 << 20))
            sent.append(1)

    with peer(serve) as where:
        assert failure(client, where, most=1 << 20) == "answer over 1048576 bytes"
    assert len(sent) < 50


def test_redirects_are_not_followed(client: Client) -> None:
    with peer(answer(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")) as where:
        assert post(client, where) == Received(302, b"")


def test_little_is_read_of_an_error(client: Client) -> None:
    body = bytes(ERROR_BYTES + 1)
    with peer(answer(b"HTTP/1.1 503 No\r\nContent-Length: %d\r\n\r\n" % len(body) + body), answer(OK)) as where:
        assert post(client, where) == Received(503, bytes(ERROR_BYTES))
        assert post(client, where).body == b"hello"


def test_a_204_has_no_body(client: Client) -> None:
    with peer(answer(b"HTTP/1.1 204 No Content\r\n\r\n", OK)) as where:
        assert post(client, where) == Received(204, b"")
        assert post(client, where).body == b"hello"


def test_nobody_there(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        where = Endpoint(*listener.getsockname()[:2])
    assert failure(client, where) == "cannot connect"


def test_hosts_that_are_no_hosts(client: Client) -> None:
    assert failure(client, Endpoint("no.such.host.invalid", 80)) == "cannot connect"
    assert failure(client, Endpoint("a b", 80)) == "connection lost"


# one client, several requests


def test_header_and_body_are_sent_at_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = []

    def sendall(connection: socket.socket, piece: bytes) -> None:
        pieces.append(piece)
        socket.socket.sendall(connection, piece)

    monkeypatch.setattr("node.runtime.http_client._Socket.sendall", sendall)
    with peer(answer(OK)) as where:
        assert post(client, where, body=b"ping").body == b"hello"
    [piece] = pieces
    assert piece.endswith(b"\r\n\r\nping")


def test_goes_where_it_is_sent(client: Client) -> None:
    """The connection that is kept is for one endpoint."""
    other = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"
    with peer(answer(OK), answer(OK)) as one, peer(answer(other)) as two:
        assert post(client, one).body == b"hello"
        assert post(client, two).body == b"other"
        assert post(client, one).body == b"hello"


def test_works_again_after_it_was_closed(client: Client) -> None:
    ended = threading.Event()

    def serve(connection: socket.socket) -> None:
        answer(OK)(connection)
        if not connection.recv(1):
            ended.set()

    with peer(serve, answer(OK)) as where:
        assert post(client, where).body == b"hello"
        client.close()
        assert ended.wait(5)
        assert post(client, where).body == b"hello"
