"""A follower of a node's live events, over real HTTP."""

import http.client
import json
import socket
import time
from collections.abc import Callable
from typing import Any, NamedTuple

WAIT_S = 20.0


class Told(NamedTuple):
    """One event of a stream."""

    id: int
    topic: str
    data: Any


class Follower:
    """One open stream. Whoever opens it closes it."""

    def __init__(self, port: int, path: str = "/v1/events", receive_buffer: int | None = None, **headers: str) -> None:
        """`receive_buffer`: bytes that the system takes in for it while it does not read. Raises
        AssertionError where the answer is no stream."""
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
        if receive_buffer:
            self.connection.sock = socket.socket()
            self.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self.connection.sock.settimeout(WAIT_S)
            self.connection.sock.connect(("127.0.0.1", port))
        self.connection.request("GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()})
        self.reply = self.connection.getresponse()
        assert self.reply.status == 200, (self.reply.status, self.reply.read())
        self.comments = 0
        """Lines that mean nothing."""
        assert self._block() == ["retry: 1000"]

    def close(self) -> None:
        self.reply.close()
        self.connection.close()

    def next(self) -> Told:
        """The next event. Raises EOFError at the stream's end."""
        while True:
            block = self._block()
            if block == [": ping"]:
                self.comments += 1
                continue
            assert [line.partition(": ")[0] for line in block] == ["id", "event", "data"], block
            number, topic, text = (line.partition(": ")[2] for line in block)
            return Told(int(number), topic, json.loads(text))

    def take(self, count: int) -> list[Told]:
        return [self.next() for _ in range(count)]

    def until(self, is_last: Callable[[Told], bool]) -> list[Told]:
        """All events up to the first that is the last."""
        told = [self.next()]
        deadline = time.monotonic() + WAIT_S
        while not is_last(told[-1]):
            assert time.monotonic() < deadline, told
            told.append(self.next())
        return told

    def ping(self) -> None:
        """Wait for a comment."""
        assert self._block() == [": ping"]

    def _block(self) -> list[str]:
        lines: list[str] = []
        while line := self.reply.readline():
            if line == b"\n":
                return lines
            lines.append(line.decode().removesuffix("\n"))
        raise EOFError
