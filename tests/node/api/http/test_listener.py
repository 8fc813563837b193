"""The HTTP server against clients that are slow, greedy, or speak in two ways at once."""

import os
import resource
import socket
from collections.abc import Callable
from contextlib import ExitStack, closing
from threading import Thread

import pytest

from node.api.http import connection_table, listener, site
from node.api.http.channel import HEADER_S, IDLE_S, REQUEST_S, RESPONSE_S, ChannelState
from node.api.http.listener import ACCEPTS_MAX, Listener, connections_allowed
from node.api.http.message import TEXT, Response
from node.api.http.request_header import HEADER_BYTES_MAX, HEADERS_MAX
from node.api.http.site import Site
from node.interface.endpoint import Endpoint
from node.runtime.parking import API_SEATS, P2P_SEATS
from tests.node.api.stage import BODY_MAX, HOST, LARGE, SMALL_BUFFER, WAIT_S, Stage, read_all, read_answer


def request(method: bytes = b"POST", headers: bytes = b"", body: bytes = b"", version: bytes = b"1.1") -> bytes:
    return method + b" /x HTTP/" + version + b"\r\n" + HOST + b"Connection: close\r\n" + headers + b"\r\n" + body


ANSWERED = [
    (request(b"GET"), b"200", b"GET /x "),
    (request(b"GET", version=b"1.0"), b"200", b"GET /x "),
    (request(b"HEAD"), b"200", b""),
    (request(headers=b"Content-Length: 3\r\n", body=b"abc"), b"200", b"POST /x abc"),
    (
        request(headers=b"Transfer-Encoding: chunked\r\n", body=b"3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"),
        b"200",
        b"POST /x abcd",
    ),
    (
        request(headers=b"Content-Length: %d\r\n" % BODY_MAX, body=b"x" * BODY_MAX),
        b"200",
        b"POST /x " + b"x" * BODY_MAX,
    ),
]
ANSWERED += [
    (b"\r\n" + request(b"GET"), b"200", b"GET /x "),
    (b"GET http://127.0.0.1/x HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n", b"200", b"GET /x "),
    (b"GET HTTP://127.0.0.1/x HTTP/1.0\r\n" + HOST + b"\r\n", b"200", b"GET /x "),
    (b"GET /%00%2f%ff//x?%00 HTTP/1.0\r\n\r\n", b"200", "GET /\0/\ufffd//x ".encode()),
    (request(b"GET", headers=b"X:" + b" \t" * 40 + b"a\r\n"), b"200", b"GET /x "),
    (
        request(headers=b"Transfer-Encoding: Chunked \r\n", body=b"3\r\nabc\r\n0\r\n\r\n"),
        b"200",
        b"POST /x abc",
    ),
]
NO_PATH = b"the request's target is no path"
HALF_BREAK = b"a line break other than CR LF in the header"
CHUNK_LINE = b"a chunk line that is no bare size: extensions and trailers are not read"
OTHER_CODING = b"Transfer-Encoding other than chunked"
REFUSED = [
    (b"GET /x HTTP/1.1\r\n\r\n", b"400", b"HTTP/1.1 without Host"),
    (b"GET /x HTTP/1.1\r\n" + HOST + HOST + b"\r\n", b"400", b"more than one Host"),
    (b"GET /x\r\n\r\n", b"400", b"Start line is invalid"),
    (b"nonsense\r\n\r\n", b"400", b"Start line is invalid"),
    (b"\r\n\r\n", b"400", b"Start line is invalid"),
    (b"\r\n\r\n" * 3, b"400", b"Start line is invalid"),
    (b"GET  /x HTTP/1.1\r\n" + HOST + b"\r\n", b"400", b"Start line is invalid"),
    (b"GET /x  HTTP/1.1\r\n" + HOST + b"\r\n", b"400", b"Start line is invalid"),
    (b"GET\t/x HTTP/1.1\r\n" + HOST + b"\r\n", b"400", b"Start line is invalid"),
    (b"GET /x HTTP/1.1 \r\n" + HOST + b"\r\n", b"400", b"Start line is invalid"),
    (b"GET /x http/1.1\r\n" + HOST + b"\r\n", b"400", b"Start line is invalid"),
    (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"400", b"TLS on a port without it: write http://"),
    (
        b"GET http://[::1/x HTTP/1.1\r\n" + HOST + b"\r\n",
        b"400",
        b"the request's target names another host than its header",
    ),
    (
        b"GET http://evil.example/x HTTP/1.1\r\n" + HOST + b"\r\n",
        b"400",
        b"the request's target names another host than its header",
    ),
    (b"GET x:/x HTTP/1.1\r\n" + HOST + b"\r\n", b"400", b"Unexpected char in url schema"),
    (b"GET ftp://127.0.0.1/x HTTP/1.1\r\n" + HOST + b"\r\n", b"400", NO_PATH),
    (b"GET /x#y HTTP/1.1\r\n" + HOST + b"\r\n", b"400", NO_PATH),
    (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", b"400", NO_PATH),
    (b"GET /\tx HTTP/1.1\r\n" + HOST + b"\r\n", b"400", b"Invalid characters in url"),
    (b"GET /\0x HTTP/1.1\r\n" + HOST + b"\r\n", b"400", b"Invalid char in url path"),
    (b"GET /\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n", b"400", b"Invalid char in url path"),
    (b"GET /x HTTP/2.0\r\n" + HOST + b"\r\n", b"505", b"HTTP version other than 1.0 and 1.1"),
    (b"GET /x HTTP/1.2\r\n" + HOST + b"\r\n", b"505", b"HTTP version other than 1.0 and 1.1"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"505", b"HTTP version other than 1.0 and 1.1"),
    (b"BREW /x HTTP/1.1\r\n" + HOST + b"\r\n", b"501", b"no method BREW here"),
    (b"get /x HTTP/1.1\r\n" + HOST + b"\r\n", b"501", b"no method get here"),
    (b"PROPFIND /x HTTP/1.1\r\n" + HOST + b"\r\n", b"501", b"no method PROPFIND here"),
    (b"CONNECT example.com:80 HTTP/1.1\r\n" + HOST + b"\r\n", b"501", b"no method CONNECT here"),
    (request(headers=b"Bad Header: 1\r\n"), b"400", b"Invalid header token"),
    (request(headers=b": 1\r\n"), b"400", b"Invalid header token"),
    (request(headers=b"X : 1\r\n"), b"400", b"Invalid header token"),
    (request(headers=b" X: 1\r\n"), b"400", None),
    (request(headers=b"X: a\rb\r\n"), b"400", HALF_BREAK),
    (request(headers=b"X: a\nY: b\r\n"), b"400", HALF_BREAK),
    (request(headers=b"X: a\r\r\n"), b"400", HALF_BREAK),
    (b"GET /x HTTP/1.1\n" + HOST.replace(b"\r", b"") + b"\n", b"400", HALF_BREAK),
    (b"GET /x HTTP/1.1\r" + HOST, b"400", HALF_BREAK),
    (request(headers=b"X: a\0b\r\n"), b"400", b"Invalid header value char"),
    (request(headers=b"X: a\x7fb\r\n"), b"400", b"Invalid header value char"),
    (request(headers=b"X: a\r\n b\r\n"), b"400", b"Unexpected whitespace after header value"),
    (request(headers=b"X: a\r\n\tb\r\n"), b"400", b"Unexpected whitespace after header value"),
    (request(headers=b"Transfer-Encoding:\r\n\tchunked\r\n"), b"400", None),
    (request(headers=b"Content-Length: 3\r\nContent-Length: 3\r\n", body=b"abc"), b"400", b"Duplicate Content-Length"),
    (request(headers=b"Content-Length: 3\r\nContent-Length: 4\r\n", body=b"abc"), b"400", b"Duplicate Content-Length"),
]
REFUSED += [
    (
        request(headers=b"Content-Length: " + length + b"\r\n", body=b"abc"),
        b"400",
        b"Invalid character in Content-Length",
    )
    for length in (b"3, 3", b"-1", b"+3", b"0x3", b"3 3", b"3;", b"three")
]
REFUSED += [
    (request(headers=b"Content-Length: \r\n", body=b"abc"), b"400", b"Empty Content-Length"),
    (request(headers=b"Content-Length: " + b"9" * 17 + b"\r\n"), b"400", b"Content-Length is invalid"),
    (request(headers=b"Content-Length: " + b"9" * 5000 + b"\r\n"), b"400", b"Content-Length overflow"),
    (request(headers=b"Content-Length : 3\r\n", body=b"abc"), b"400", b"Invalid header field char"),
    (request(headers=b"Transfer-Encoding : chunked\r\n"), b"400", b"Invalid header field char"),
    (
        request(headers=b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", body=b"0\r\n\r\n"),
        b"400",
        b"Transfer-Encoding can't be present with Content-Length",
    ),
    (
        request(headers=b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", body=b"0\r\n\r\n"),
        b"400",
        b"Content-Length can't be present with Transfer-Encoding",
    ),
    (request(headers=b"Transfer-Encoding: ,\r\nContent-Length: 3\r\n", body=b"abc"), b"400", None),
    (request(headers=b"Transfer-Encoding:\r\nContent-Length: 3\r\n", body=b"abc"), b"400", None),
    (request(headers=b"Transfer-Encoding: chunked, chunked\r\n"), b"400", None),
    (request(headers=b"Transfer-Encoding: chunked\r\n" * 2), b"400", None),
    (request(headers=b"Transfer-Encoding: gzip\r\n"), b"400", None),
    (request(headers=b"Transfer-Encoding: identity\r\n"), b"400", None),
    (request(headers=b"Transfer-Encoding: xchunked\r\n"), b"400", None),
    (request(headers=b"Transfer-Encoding: gzip, chunked\r\n"), b"400", OTHER_CODING),
    (
        request(headers=b"Transfer-Encoding: chunked\r\n", body=b"0\r\n\r\n", version=b"1.0"),
        b"400",
        b"Transfer-Encoding needs HTTP/1.1",
    ),
    (request(headers=b"Content-Length: 2000000000\r\n"), b"413", b"body over 1000 bytes"),
    (request(headers=b"Content-Length: %d\r\n" % (BODY_MAX + 1)), b"413", b"body over 1000 bytes"),
    (request(b"GET", headers=b"Content-Length: 1\r\n", body=b"x"), b"413", b"body over 0 bytes"),
    (
        request(headers=b"Content-Encoding: gzip\r\nContent-Length: 3\r\n"),
        b"415",
        b"Content-Encoding other than identity",
    ),
    (request(headers=b"X: " + b"a" * HEADER_BYTES_MAX + b"\r\n"), b"431", b"header over 65536 bytes"),
    (request(headers=b"X: a\r\n" * HEADERS_MAX), b"431", b"more than 128 header lines"),
    (b"GET /" + b"a" * HEADER_BYTES_MAX, b"414", b"request line over 65536 bytes"),
]
REFUSED += [
    (request(headers=b"Transfer-Encoding: chunked\r\n", body=body), status, line)
    for body, status, line in (
        (b"zz\r\nabc", b"400", b"Invalid character in chunk size"),
        (b"-3\r\nabc", b"400", b"Invalid character in chunk size"),
        (b"3 \r\nabc\r\n", b"400", b"Invalid character in chunk size"),
        (b"3\n\r\nabc\r\n0\r\n\r\n", b"400", b"Missing expected CR after chunk size"),
        (b"3\r\nabcde\r\n", b"400", b"Expected LF after chunk data"),
        (b"3\r\nabc\n0\r\n\r\n", b"400", b"Missing expected CR after chunk data"),
        (b"f" * 17 + b"\r\nabc", b"400", None),
        (b"f" * 15 + b"\r\nabc", b"400", CHUNK_LINE),
        (b"1;" + b"x" * 20_000, b"400", CHUNK_LINE),
        (b"3;x=y\r\nabc\r\n0\r\n\r\n", b"400", CHUNK_LINE),
        (b"3;x\nabc\r\n0\r\n\r\n", b"400", None),
        (b"3\r\nabc\r\n0;x\r\n\r\n", b"400", CHUNK_LINE),
        (b"3\r\nabc\r\n0\r\nX: y\r\n\r\n", b"400", CHUNK_LINE),
        (b"003\r\nabc\r\n0\r\n\r\n", b"400", CHUNK_LINE),
        (b"7D0\r\n" + b"x" * 2000, b"413", b"body over 1000 bytes"),
    )
]


@pytest.mark.parametrize(("sent", "status", "body"), ANSWERED)
def test_answered(stage: Stage, sent: bytes, status: bytes, body: bytes) -> None:
    head, _, received = stage.exchange(sent).partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == status
    assert received == body


@pytest.mark.parametrize(("sent", "status", "line"), REFUSED, ids=range(len(REFUSED)))
def test_refused_in_one_line(stage: Stage, sent: bytes, status: bytes, line: bytes | None) -> None:
    with closing(stage.connect()) as client:
        client.sendall(sent)
        head, _, body = read_answer(client).partition(b"\r\n\r\n")
        assert head.split(b" ")[1] == status
        assert b"\r\nContent-Type: text/plain\r\n" in head + b"\r\n"
        assert b"\r\nConnection: close\r\n" in head + b"\r\n"
        assert line in (None, body)
        assert b"\n" not in body
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""


def test_no_second_request_in_what_follows_a_refused_one(stage: Stage) -> None:
    smuggled = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
    refused = b"POST /x HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    with closing(stage.connect()) as client:
        client.sendall(refused + smuggled)
        client.sendall(smuggled)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client).count(b"HTTP/1.") == 1


def test_an_oversized_body_is_refused_while_it_is_being_sent(stage: Stage) -> None:
    with closing(stage.connect()) as client:
        client.sendall(b"POST /x HTTP/1.1\r\n" + HOST + b"Content-Length: 50000000\r\n\r\n" + b"x" * 100)
        assert read_answer(client).startswith(b"HTTP/1.1 413 ")
        # Nobody resets the connection: the rest goes into the void for a while.
        for _ in range(64):
            client.sendall(bytes(1 << 16))
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""


def test_a_body_that_is_asked_for_first_is_refused_too(stage: Stage) -> None:
    with closing(stage.connect()) as client:
        head = b"POST /x HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\n"
        client.sendall(head + b"Content-Length: 5\r\n\r\n")
        assert client.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abcde")
        assert read_answer(client).endswith(b"POST /x abcde")
        client.sendall(head + b"Content-Length: 5000\r\n\r\n")
        assert read_answer(client).startswith(b"HTTP/1.1 413 ")


def test_draining_ends(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(stage.connect()) as client:
        client.sendall(request(headers=b"Content-Length: 50000000\r\n"))
        assert b" 413 " in read_answer(client)
        stage.wait_for_channels(lambda channels: channels[0].state is ChannelState.DRAINING)
        stage.let_time_pass(60)
        stage.wait_for_channels(lambda channels: not channels)
    monkeypatch.setattr("node.api.http.channel.LINGER_BYTES_MAX", 1 << 20)
    with closing(stage.connect()) as client:
        client.sendall(request(headers=b"Content-Length: 50000000\r\n"))
        with pytest.raises(OSError, match=r"reset|pipe"):
            client.sendall(bytes(64 << 20))


@pytest.mark.parametrize(
    "part", [b"GET /x", b"GET /x HTTP/1.1\r\nHost", b"POST /x HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\nab"]
)
def test_a_request_has_to_be_complete_in_time(stage: Stage, part: bytes) -> None:
    with closing(stage.connect()) as client:
        client.sendall(part)
        stage.wait_for_channels(lambda channels: any(channel.started_at is not None for channel in channels))
        limit_s = REQUEST_S if b"ab" in part else HEADER_S
        stage.let_time_pass(limit_s - 5)
        assert stage.in_state(ChannelState.READING)
        stage.let_time_pass(limit_s + 1)
        assert read_answer(client).split(b" ")[1] == b"408"


def test_a_connection_without_a_request_ends(stage: Stage) -> None:
    with closing(stage.connect()) as client:
        client.sendall(request(b"GET").replace(b"Connection: close\r\n", b""))
        assert read_answer(client).endswith(b"GET /x ")
        stage.let_time_pass(IDLE_S - 5)
        assert stage.in_state(ChannelState.READING)
        stage.let_time_pass(IDLE_S + 1)
        assert client.recv(1) == b""


def test_a_second_request_has_its_own_time(stage: Stage) -> None:
    with closing(stage.connect()) as client:
        client.sendall(b"GET /x HTTP/1.1\r\n" + HOST + b"\r\nGET /y HT")
        assert read_answer(client).endswith(b"GET /x ")
        client.sendall(b"TP/1.1\r\n" + HOST + b"\r\n")
        assert read_answer(client).endswith(b"GET /y ")
        stage.let_time_pass(REQUEST_S + 1)  # idle now: not a request that takes too long
        client.sendall(b"GET /z HTTP/1.1\r\n" + HOST + b"\r\n")
        assert read_answer(client).endswith(b"GET /z ")


def test_the_time_of_a_request_starts_with_its_own_first_byte(stage: Stage) -> None:
    with closing(stage.connect()) as client:
        client.sendall(b"GET /x HTTP/1.1\r\n")
        stage.wait_for_channels(lambda channels: any(channel.started_at is not None for channel in channels))
        [channel] = stage.listener.connections
        began = channel.started_at
        assert began is not None
        client.sendall(HOST + b"\r\nGET /y HT")
        assert read_answer(client).endswith(b"GET /x ")
        stage.wait_for_channels(lambda channels: channels[0].started_at not in (None, began))


def test_an_answer_has_to_be_read_in_time(stage: Stage) -> None:
    with closing(stage.connect(SMALL_BUFFER)) as client:
        client.sendall(b"GET /large HTTP/1.1\r\n" + HOST + b"\r\n")
        stage.wait_for_channels(lambda channels: any(channel.answered for channel in channels))
        stage.let_time_pass(RESPONSE_S - 5)
        assert stage.in_state(ChannelState.FLUSHING)
        stage.let_time_pass(RESPONSE_S + 1)
        assert len(read_all(client)) < LARGE


def test_slow_readers_share_a_bounded_memory(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_table, "UNSENT_BYTES_MAX", 2 * LARGE)
    with ExitStack() as stack:
        clients = []
        for number in range(1, 4):
            client = stack.enter_context(closing(stage.connect(SMALL_BUFFER)))
            client.sendall(b"GET /large HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
            clients.append(client)
            if number < 3:
                stage.wait_for_channels(lambda channels, n=number: sum(channel.answered for channel in channels) == n)
        stage.wait_for_channels(lambda channels: len(channels) == 2)
        whole = [len(read_all(client)) > LARGE for client in clients]
        assert whole == [False, True, True]  # the one that had read nothing for longest


def test_unfinished_bodies_share_a_bounded_memory(
    make_stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_table, "BODIES_BYTES_MAX", 1_000_000)
    stage = make_stage(body_max=2_000_000)
    with ExitStack() as stack:
        clients = []
        for number in range(1, 5):
            client = stack.enter_context(closing(stage.connect()))
            client.sendall(b"POST /x HTTP/1.1\r\n" + HOST + b"Content-Length: 400000\r\n\r\n" + bytes(300_000))
            clients.append(client)
            left = min(number, 3)  # with the fourth it is too much, and the first one goes
            stage.wait_for_channels(lambda channels, n=left: [c.body_bytes for c in channels] == [300_000] * n)
        assert read_all(clients[0]) == b""
        for client in clients[1:]:
            client.sendall(bytes(100_000))
            assert read_answer(client).startswith(b"HTTP/1.1 200 ")


def test_at_the_limit_the_longest_waiting_goes(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage(connections_max=3)
    with ExitStack() as stack:
        waiting = stack.enter_context(closing(stage.connect()))
        waiting.sendall(b"GET /wait HTTP/1.1\r\n" + HOST + b"\r\n")
        assert stage.entered.wait(WAIT_S)
        idle = []
        for number in range(1, 3):
            idle.append(stack.enter_context(closing(stage.connect())))
            idle[-1].sendall(b"GET /unfinished")
            stage.wait_for_channels(lambda channels, n=number: len([c for c in channels if c.started_at]) == n)
        newcomer = stack.enter_context(closing(stage.connect()))
        newcomer.sendall(b"GET /new HTTP/1.1\r\n" + HOST + b"\r\n")
        assert read_answer(newcomer).endswith(b"GET /new ")
        assert read_all(idle[0]) == b""
        idle[1].sendall(b" HTTP/1.1\r\n" + HOST + b"\r\n")
        assert read_answer(idle[1]).endswith(b"GET /unfinished ")
        stage.gate.set()  # what is being answered never goes
        assert read_answer(waiting).endswith(b"GET /wait ")


def test_at_the_limit_who_has_been_idle_longest_goes(make_stage: Callable[..., Stage]) -> None:
    """Not who came first: that one has asked since."""
    stage = make_stage(connections_max=3)
    asked = request(b"GET").replace(b"Connection: close\r\n", b"")
    with ExitStack() as stack:
        clients = [stack.enter_context(closing(stage.connect())) for _ in range(3)]
        for client in (*clients, clients[0], clients[2]):
            client.sendall(asked)
            assert read_answer(client).endswith(b"GET /x ")
        newcomer = stack.enter_context(closing(stage.connect()))
        newcomer.sendall(asked)
        assert read_answer(newcomer).endswith(b"GET /x ")
        assert read_all(clients[1]) == b""
        for client in (clients[0], clients[2]):
            client.sendall(asked)
            assert read_answer(client).endswith(b"GET /x ")


def test_while_all_are_being_answered_nobody_is_let_in(make_stage: Callable[..., Stage]) -> None:
    """Whoever comes waits at the door."""
    stage = make_stage(connections_max=2)
    with ExitStack() as stack:
        waiting = [stack.enter_context(closing(stage.connect())) for _ in range(2)]
        for client in waiting:
            client.sendall(b"GET /wait HTTP/1.1\r\n" + HOST + b"\r\n")
        stage.wait_for_channels(lambda channels: [c.state for c in channels] == [ChannelState.ANSWERING] * 2)
        newcomer = stack.enter_context(closing(stage.connect()))
        newcomer.sendall(request(b"GET"))
        newcomer.settimeout(0.2)
        with pytest.raises(TimeoutError):
            newcomer.recv(1)
        stage.gate.set()
        newcomer.settimeout(WAIT_S)
        assert read_all(newcomer).endswith(b"GET /x ")


def test_without_file_descriptors_whoever_comes_waits_at_the_door(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with closing(stage.connect()) as present, closing(socket.socket()) as comes:
        stage.wait_for_channels(lambda channels: len(channels) == 1)
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
        try:
            comes.connect(stage.listener.endpoints[0])
            comes.sendall(request(b"GET"))
            comes.settimeout(0.3)
            with pytest.raises(TimeoutError):
                comes.recv(1)
            present.sendall(b"GET /present HTTP/1.1\r\n" + HOST + b"\r\n")
            assert read_answer(present).endswith(b"GET /present ")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        comes.settimeout(WAIT_S)
        assert read_all(comes).endswith(b"GET /x ")
    assert "trying again in a second: Too many open files" in caplog.text


@pytest.mark.parametrize("most", [1_000, 100], ids=["there is room", "all places are taken"])
def test_a_crowd_at_the_door_is_let_in_at_once(most: int) -> None:
    """Who comes last does not wait for those before to be done with what they ask."""
    crowd, asked = 5 * ACCEPTS_MAX, b"GET /last HTTP/1.1\r\n" + HOST + b"\r\n"
    here = Site("test", lambda request: Response(200, b"here", TEXT), lambda method, path, headers: 0, 1)
    listener = Listener(here, [Endpoint("127.0.0.1", 0)], connections_max=most)
    thread = Thread(target=listener.run)
    with ExitStack() as stack:
        for _ in range(crowd):
            client = stack.enter_context(closing(socket.create_connection(listener.endpoints[0], WAIT_S)))
            client.send(b"GET /drip")
        last = stack.enter_context(closing(socket.create_connection(listener.endpoints[0], WAIT_S)))
        last.send(asked)
        thread.start()
        assert read_answer(last).endswith(b"here")
        assert len(listener.connections) == min(crowd + 1, most)
        listener.stop()
        thread.join(WAIT_S)
        assert not thread.is_alive()


def test_what_is_under_way_is_answered_before_the_end(stage: Stage) -> None:
    with closing(stage.connect()) as client:
        client.sendall(b"GET /wait HTTP/1.1\r\n" + HOST + b"\r\n")
        assert stage.entered.wait(WAIT_S)
        stage.listener.stop()
        stage.gate.set()
        assert read_answer(client).endswith(b"GET /wait ")
    stage.thread.join(WAIT_S)
    with pytest.raises(OSError, match="refused"):
        stage.connect()


def test_several_addresses(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage()
    both = Listener(Site("test", stage.app, stage.cap, 2), [Endpoint("127.0.0.1", 0), Endpoint("::1", 0)])
    thread = Thread(target=both.run)
    thread.start()
    try:
        for endpoint in both.endpoints:
            with closing(socket.create_connection(endpoint, timeout=WAIT_S)) as client:
                client.sendall(request(b"GET"))
                assert read_all(client).endswith(b"GET /x ")
    finally:
        both.stop()
        thread.join(WAIT_S)


def test_an_address_in_use_is_an_error(stage: Stage) -> None:
    with pytest.raises(OSError, match="in use"):
        Listener(Site("test", stage.app, stage.cap, 1), [stage.listener.endpoints[0]])


def test_requests_that_wait_leave_threads_for_others() -> None:
    assert site.API_THREADS >= API_SEATS + 8
    assert site.P2P_THREADS >= P2P_SEATS + 8


def test_connections_follow_the_files_allowed() -> None:
    assert connections_allowed(1024, 2) == (1024 - listener.OTHER_FILES) // 2
    assert connections_allowed(1 << 20, 2) == listener.CONNECTIONS_MAX
    assert connections_allowed(100, 2) == 16
