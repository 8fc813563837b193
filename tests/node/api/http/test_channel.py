"""One connection over bare sockets: order, ends, and what must not keep the listener busy."""

import os
import select
import socket
import struct
import time
from collections.abc import Callable
from contextlib import ExitStack, closing

import pytest

from node.api.http import listener
from node.api.http.channel import REQUEST_S, Channel
from node.api.http.listener import Listener, Site
from node.interface.endpoint import Endpoint
from tests.node.api.stage import HOST, LARGE, SMALL_BUFFER, WAIT_S, Stage, read_all, read_answer


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
    """The connection ends in the listener's thread, whoever finds out."""
    with closing(stage.connect()) as client:
        announced = b"POST /x HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        client.sendall(get(b"/wait") + announced)
        assert stage.entered.wait(WAIT_S)
        [channel] = stage.listener._channels()
        closed_by = []
        close = channel.handle_close
        channel.handle_close = lambda: (closed_by.append(stage.in_listener()), close())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
    stage.gate.set()
    stage.wait_for_channels(lambda channels: not channels)
    assert closed_by
    assert all(closed_by)


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


def test_urgent_bytes_do_not_keep_the_listener_turning() -> None:
    stage = Stage.__new__(Stage)
    listener = Listener(Site("test", stage.app, lambda method, path, headers: 0, 1), [Endpoint("127.0.0.1", 0)])
    try:
        with closing(socket.create_connection(listener.endpoints[0])) as client:
            while not listener._channels():
                listener._turn(1)
            client.send(b"!", socket.MSG_OOB)
            [channel] = listener._channels()
            poller = select.poll()
            poller.register(channel.socket, select.POLLPRI)
            assert poller.poll(WAIT_S * 1000)
            listener._turn(0)
            start = time.monotonic()
            listener._turn(0.1)  # nothing to read: it waits
            assert time.monotonic() - start > 0.05
    finally:
        listener.stop()
        listener.run()


def test_what_came_for_one_that_was_sent_away_is_not_for_the_newcomer() -> None:
    """The newcomer has the number of the connection that made room for one who came before it."""
    stage = Stage.__new__(Stage)
    site = Site("test", stage.app, lambda method, path, headers: 0, 1, frozenset({("GET", "/quick")}))
    listener = Listener(site, [Endpoint("127.0.0.1", 0), Endpoint("127.0.0.2", 0)], connections_max=2)
    try:
        with ExitStack() as stack:
            first = stack.enter_context(closing(socket.create_connection(listener.endpoints[0])))
            while not listener._channels():
                listener._turn(1)
            [channel] = listener._channels()
            number = channel.socket.fileno()
            first.sendall(b"G")
            waiting = [stack.enter_context(closing(socket.create_connection(e, WAIT_S))) for e in listener.endpoints]
            assert select.select([channel.socket], [], [], WAIT_S)[0]
            listener._turn(1)
            assert number in {channel.socket.fileno() for channel in listener._channels()}
            for client in waiting:
                client.sendall(get(b"/quick"))
                while not select.select([client], [], [], 0)[0]:
                    listener._turn(1)
                assert read_answer(client).endswith(b"GET /quick ")
    finally:
        listener.stop()
        listener.run()


def test_unread_answers_are_bounded_before_anybody_looks(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "UNSENT_BYTES_MAX", 2 * LARGE)
    monkeypatch.setattr("node.api.http.channel.Channel.watch", lambda channel, now: None)
    with ExitStack() as stack:
        clients = [stack.enter_context(closing(stage.connect(SMALL_BUFFER))) for _ in range(5)]
        for client in clients:
            client.sendall(get(b"/large", b"Connection: close\r\n"))
            port = client.getsockname()[1]
            stage.wait_for_channels(lambda channels, p=port: any(c.addr[1] == p and _unread(c) for c in channels))
        whole = [len(read_all(client)) > LARGE for client in clients]
    assert whole == [False, False, False, True, True]


def _unread(channel: Channel) -> bool:
    return bool(channel.answered and channel.total_outbufs_len)


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
