"""A listener with an application that echoes, and what talks to it over bare sockets."""

import socket
import time
from collections.abc import Callable
from contextlib import closing
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, TypeVar

from node.api.http.channel import Channel, ChannelState
from node.api.http.listener import Listener
from node.api.http.message import TEXT, Request, Response
from node.api.http.site import Site
from node.interface.endpoint import Endpoint

T = TypeVar("T")
BODY_MAX = 1000
LARGE = 24 * 1024 * 1024
"""Bytes of an answer that no socket buffer holds, if the client's is not left to grow."""
SMALL_BUFFER = 64 * 1024
WAIT_S = 20.0
HOST = b"Host: 127.0.0.1\r\n"


class Stage:
    """A listener with an application that echoes, and can be made to wait."""

    def __init__(self, connections_max: int = 64, body_max: int = BODY_MAX) -> None:
        """GET /quick is answered in the listener's own thread."""
        self.gate, self.entered = Event(), Event()
        self.body_max = body_max
        self.listener = Listener(
            Site("test", self.app, self.cap, 4, frozenset({("GET", "/quick")})),
            [Endpoint("127.0.0.1", 0)],
            connections_max=connections_max,
        )
        self.thread = Thread(target=self.listener.run)
        self.thread.start()

    def cap(self, method: str, path: str, headers: Any) -> int:
        return self.body_max if method == "POST" else 0

    def app(self, request: Request) -> Response:
        if request.path == "/wait":
            self.entered.set()
            assert self.gate.wait(WAIT_S)
        if request.path == "/large":
            return Response(200, bytes(LARGE), TEXT)
        if request.path == "/bug":
            raise RuntimeError("oh")
        if request.path == "/two-lines":
            return Response(200, headers=(("X", "a\r\nY: b"),))
        return Response(200, b"%s %s %s" % (request.method.encode(), request.path.encode(), request.body()), TEXT)

    def close(self) -> None:
        self.gate.set()
        self.listener.stop()
        self.thread.join(WAIT_S)
        assert not self.thread.is_alive()

    def connect(self, receive_buffer: int | None = None) -> socket.socket:
        """`receive_buffer`: bytes that the system takes in for a client that does not read."""
        client = socket.socket()
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(WAIT_S)
        try:
            client.connect(("127.0.0.1", self.listener.endpoints[0].port))
        except OSError:
            client.close()
            raise
        return client

    def exchange(self, sent: bytes) -> bytes:
        """All that comes back until the server closes."""
        with closing(self.connect()) as client:
            client.sendall(sent)
            return read_all(client)

    def let_time_pass(self, seconds: float) -> None:
        """What the listener does every second, as if so many were over."""
        watch_later(self.listener, seconds)

    def in_state(self, state: ChannelState) -> bool:
        """True if that is the only connection's state."""
        return [channel.state for channel in self.listener.connections] == [state]

    def wait_for_channels(self, wanted: Callable[[list[Channel]], bool]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not wanted(list(self.listener.connections)):
            assert time.monotonic() < deadline
            time.sleep(0.005)


def watch_later(listener: Listener, seconds: float) -> None:
    """Have a listener do what it does every second, as if so many were over."""
    in_listener(listener, lambda: listener.watch(time.monotonic() + seconds))


def in_listener(listener: Listener, ask: Callable[[], T]) -> T:
    """What `ask` returns in the listener's own thread."""
    answers: SimpleQueue[T] = SimpleQueue()
    listener.call(lambda: answers.put(ask()))
    return answers.get(timeout=WAIT_S)


def read_all(client: socket.socket) -> bytes:
    received = b""
    try:
        while chunk := client.recv(1 << 20):
            received += chunk
    except ConnectionResetError:
        pass  # what came before counts
    return received


def read_answer(client: socket.socket) -> bytes:
    """One answer with a Content-Length."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _more(client)
    head, _, body = received.partition(b"\r\n\r\n")
    [length] = [int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while len(body) < length:
        body += _more(client)
    return head + b"\r\n\r\n" + body


def _more(client: socket.socket) -> bytes:
    received = client.recv(1 << 16)
    assert received, "the server hung up"
    return received
