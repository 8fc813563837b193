"""One connection over bare sockets: order, ends, and what must not keep the listener busy."""

import contextlib
import os
import socket
import struct
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from unittest.mock import ANY

import pytest

from node.api.http import connection_table
from node.api.http.channel import REQUEST_S, REQUESTS_AT_ONCE, Channel, ChannelState
from tests.node.api.stage import HOST, LARGE, SMALL_BUFFER, WAIT_S, Stage, in_listener, read_all, read_answer


def get(path: bytes, headers: bytes = b"") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\n" + HOST + headers + b"\r\n"


def test_answers_come_in_the_order_of_requests(stage: Stage) -> None:
    """A quick route does not overtake what a worker still answers, nor what is to be answered after."""
    with closing(stage.connect()) as client:
        client.sendall(get(b"/wait") + get(b"/quick") + get(b"/x"))
        assert stage.entered.wait(WAIT_S)
        client.sendall(get(b"/quick") + get(b"/y"))
        stage.gate.set()
        client.shutdown(socket.SHUT_WR)
        bodies = [part.partition(b"\r\n\r\n")[2] for part in read_all(client).split(b"HTTP/1.1 200 OK\r\n")[1:]]
    assert bodies == [b"GET /wait ", b"GET /quick ", b"GET /x ", b"GET /quick ", b"GET /y "]


def test_an_error_in_the_middle_of_a_pipeline(stage: Stage) -> None:
    with closing(stage.connect()) as client:
        client.sendall(get(b"/x") + b"nonsense\r\n\r\n" + get(b"/y"))
        client.shutdown(socket.SHUT_WR)
        answers = read_all(client).split(b"HTTP/1.")[1:]
    assert [answer[2:5] for answer in answers] == [b"200", b"400"]


def test_a_request_without_a_body_that_asks_whether_to_send_it(stage: Stage) -> None:
    with closing(stage.connect()) as client:
        for path in (b"/x", b"/quick"):
            client.sendall(get(path, b"Expect: 100-continue\r\n"))
            assert read_answer(client).endswith(b"GET " + path + b" ")
        client.sendall(get(b"/wait", b"Expect: 100-continue\r\n") + get(b"/y", b"Expect: 100-continue\r\n"))
        stage.gate.set()
        client.shutdown(socket.SHUT_WR)
        received = read_all(client)
    assert received.index(b"GET /wait ") < received.index(b"GET /y ")
    assert b"100 Continue" not in received


def test_a_body_is_asked_for_once_the_answer_before_is_out(stage: Stage) -> None:
    with closing(stage.connect()) as client:
        announced = b"POST /x HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        client.sendall(get(b"/wait") + announced)
        assert stage.entered.wait(WAIT_S)
        stage.gate.set()
        received = b""
        while not received.endswith(b"HTTP/1.1 100 Continue\r\n\r\n"):
            received += client.recv(1 << 16)
        assert b"GET /wait " in received
        client.sendall(b"abc")
        assert read_answer(client).endswith(b"POST /x abc")


def test_who_has_gone_is_not_asked_for_a_body(stage: Stage) -> None:
    with closing(stage.connect()) as client:
        announced = b"POST /x HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        client.sendall(get(b"/wait") + announced)
        assert stage.entered.wait(WAIT_S)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
    stage.gate.set()
    stage.wait_for_channels(lambda channels: not channels)
    assert stage.exchange(get(b"/x", b"Connection: close\r\n")).endswith(b"GET /x ")


@pytest.mark.parametrize("sent", [b"HEAD /x HTTP/1.1\r\n\r\n", b"HEAD /x HTTP/1.1\r\n" + HOST * 2 + b"\r\n"])
def test_a_refused_head_has_no_body(stage: Stage, sent: bytes) -> None:
    with closing(stage.connect()) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        head, end, body = read_all(client).partition(b"\r\n\r\n")
    assert (head.split(b" ")[1], end, body) == (b"400", b"\r\n\r\n", b"")


def test_a_partial_request_waits_behind_a_long_answer(stage: Stage) -> None:
    """Nothing is read meanwhile: that it is not complete is not the client's doing."""
    with closing(stage.connect()) as client:
        client.sendall(get(b"/wait") + b"GET /y HT")
        assert stage.entered.wait(WAIT_S)
        stage.let_time_pass(REQUEST_S + 1)
        stage.gate.set()
        assert read_answer(client).endswith(b"GET /wait ")
        client.sendall(b"TP/1.1\r\n" + HOST + b"\r\n")
        assert read_answer(client).endswith(b"GET /y ")
        client.sendall(b"GET /z")
        stage.wait_for_channels(lambda channels: channels[0].started_at is not None)
        stage.let_time_pass(REQUEST_S + 1)
        assert b" 408 " in read_answer(client)


def test_half_closed(stage: Stage) -> None:
    with closing(stage.connect(SMALL_BUFFER)) as client:
        client.sendall(get(b"/wait") + get(b"/large"))
        client.shutdown(socket.SHUT_WR)
        assert stage.entered.wait(WAIT_S)
        stage.gate.set()
        assert len(read_all(client)) > LARGE


def test_urgent_bytes_do_not_keep_the_listener_turning(stage: Stage) -> None:
    with closing(stage.connect()) as client:
        stage.wait_for_channels(lambda channels: len(channels) == 1)
        client.send(b"!", socket.MSG_OOB)
        client.send(get(b"/quick"))
        assert read_answer(client).endswith(b"GET /quick ")
        before_s = in_listener(stage.listener, time.thread_time)
        start = time.monotonic()
        while time.monotonic() < start + 0.2:
            in_listener(stage.listener, lambda: time.sleep(0.02))
        assert in_listener(stage.listener, time.thread_time) - before_s < 0.1


def test_what_came_for_one_that_was_sent_away_is_not_for_the_newcomer(make_stage: Callable[..., Stage]) -> None:
    """The newcomer may have the number of the connection that made room for it."""
    stage = make_stage(connections_max=2)
    with ExitStack() as stack:
        for number in range(40):
            leaves = stack.enter_context(closing(stage.connect()))
            leaves.sendall(b"GET /nonsense")
            comes = stack.enter_context(closing(stage.connect()))
            path = b"/quick" if number % 2 else b"/x%d" % number
            comes.sendall(get(path))
            with contextlib.suppress(OSError):
                leaves.sendall(b"GET /more")
            assert read_answer(comes).endswith(b"GET " + path + b" ")


@pytest.mark.parametrize("path", [b"/quick", b"/x"])
def test_any_number_of_requests_sent_ahead_is_answered(stage: Stage, path: bytes) -> None:
    """A few in a row, so that others have their turn; no more is read meanwhile."""
    count = 20 * REQUESTS_AT_ONCE
    with closing(stage.connect()) as client, closing(stage.connect()) as other:
        client.sendall(get(path) * count + get(b"/last", b"Connection: close\r\n"))
        other.sendall(get(b"/x"))
        assert read_answer(other).endswith(b"GET /x ")
        received = read_all(client)
    assert received.count(b"HTTP/1.1 200 OK") == count + 1
    assert received.endswith(b"GET /last ")


def test_requests_sent_ahead_of_an_answer_are_left_in_the_clients_hands(stage: Stage) -> None:
    """What is kept of them is bounded, and the rest is not read."""
    many = get(b"/wait") * 200_000
    with closing(stage.connect()) as client:
        client.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.sendall(many)
        [channel] = stage.listener.connections
        assert channel.state is ChannelState.ANSWERING


def test_the_next_request_waits_until_the_answer_is_taken(stage: Stage) -> None:
    with closing(stage.connect(SMALL_BUFFER)) as client:
        client.sendall(get(b"/large") + get(b"/wait", b"Connection: close\r\n"))
        stage.wait_for_channels(lambda channels: stage.in_state(ChannelState.FLUSHING))
        assert not stage.entered.is_set()
        stage.gate.set()
        assert read_all(client).endswith(b"GET /wait ")


def test_connect_is_answered_once(stage: Stage) -> None:
    with closing(stage.connect()) as client:
        client.sendall(b"CONNECT example.com:80 HTTP/1.1\r\n" + HOST + b"\r\n" + get(b"/smuggled"))
        client.shutdown(socket.SHUT_WR)
        received = read_all(client)
    assert received.startswith(b"HTTP/1.1 501 ")
    assert received.count(b"HTTP/1.") == 1


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 3\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"]
)
def test_an_upgrade_is_not_taken_up(stage: Stage, framing: bytes) -> None:
    """The request is read and answered as if nothing had been said of it, and so is the next."""
    asked = b"POST /x HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    with closing(stage.connect()) as client:
        client.sendall(asked + framing)
        assert read_answer(client).endswith(b"POST /x abc")
        client.sendall(get(b"/x", b"Connection: upgrade\r\nUpgrade: h2c\r\n") + get(b"/y"))
        client.shutdown(socket.SHUT_WR)
        bodies = [part.partition(b"\r\n\r\n")[2] for part in read_all(client).split(b"HTTP/1.1 200 OK\r\n")[1:]]
    assert bodies == [b"GET /x ", b"GET /y "]


def test_a_bug_is_answered_with_500(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    with closing(stage.connect()) as client:
        for path in (b"/bug", b"/two-lines"):
            client.sendall(get(path))
            assert read_answer(client).split(b"\r\n\r\n") == [ANY, b"internal server error"]
    assert caplog.text.count("a bug in the server") == 2


def test_unread_answers_are_bounded_before_anybody_looks(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_table, "UNSENT_BYTES_MAX", 2 * LARGE)
    monkeypatch.setattr("node.api.http.channel.Channel.watch", lambda channel, now: None)
    with ExitStack() as stack:
        clients = [stack.enter_context(closing(stage.connect(SMALL_BUFFER))) for _ in range(5)]
        for client in clients:
            client.sendall(get(b"/large", b"Connection: close\r\n"))
            port = client.getsockname()[1]
            stage.wait_for_channels(lambda channels, p=port: any(c.address[1] == p and _unread(c) for c in channels))
        whole = [len(read_all(client)) > LARGE for client in clients]
    assert whole == [False, False, False, True, True]


def _unread(channel: Channel) -> bool:
    return bool(channel.answered and channel.unsent_bytes)


def test_connections_leave_nothing_behind(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage()
    ends: list[Callable[[socket.socket], object]] = [
        lambda client: None,
        lambda client: client.sendall(b"GET /x HT"),
        lambda client: client.sendall(get(b"/x")),
        lambda client: client.sendall(get(b"/large")),
        lambda client: client.sendall(b"POST /x HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\nabc"),
        lambda client: client.sendall(b"nonsense\r\n\r\n"),
        lambda client: client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)),
    ]
    with closing(stage.connect()) as client:
        client.sendall(get(b"/x"))
        read_answer(client)
    stage.wait_for_channels(lambda channels: not channels)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(140):
        with closing(stage.connect()) as client:
            ends[number % len(ends)](client)
    # The last ones may not even have been let in yet.
    stage.wait_for_channels(lambda channels: not channels and len(os.listdir("/proc/self/fd")) <= before)
    assert stage.exchange(get(b"/x", b"Connection: close\r\n")).endswith(b"GET /x ")
