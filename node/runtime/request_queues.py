"""Bounded queues of requests to peers, with threads that come and go with what is in them."""

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import NamedTuple

from node.interface.endpoint import Endpoint, PeerId
from node.interface.messages import Request
from node.runtime.http_client import Client

IDLE_S = 10.0
"""A thread for which there was nothing for so long ends; its connections stay for the next."""

Spawn = Callable[[str, Callable[[], None]], None]
"""Runs something in a thread of its own, under a name."""


class QueuedRequest(NamedTuple):
    """A request on its way."""

    peer: PeerId | None
    """None: whoever listens there."""
    endpoint: Endpoint
    token: bytes | None
    message: Request
    request_id: int
    deadline: float
    """Time by which the whole answer must be here."""


class RequestQueue:
    """A bounded queue and the threads that work it off, which start with parcels and end when none come."""

    def __init__(
        self, name: str, most: int, work: Callable[[Client, QueuedRequest], None], spawn: Spawn, threads_most: int = 1
    ) -> None:
        """`most` is the limit of requests that wait, `threads_most` that of the threads that send them."""
        self._name = name
        self._work = work
        self._spawn = spawn
        self._threads_most = threads_most
        self._lock = threading.Lock()
        self._threads = self._idle = 0
        self._is_closed = False
        self._clients: list[Client] = []
        """Idle clients with their connections, for the next threads."""
        self._waiting: queue.Queue[QueuedRequest | None] = queue.Queue(most)

    def put(self, queued: QueuedRequest) -> bool:
        """Queue a parcel; False if there is no room."""
        with self._lock:
            try:
                self._waiting.put_nowait(queued)
            except queue.Full:
                return False
            is_one_needed = self._waiting.qsize() > self._idle and self._threads < self._threads_most
            self._threads += is_one_needed
        if is_one_needed:
            self._spawn(self._name, self._run)
        return True

    def close(self) -> None:
        """Throw away what waits; the threads end after what they are at."""
        with self._lock:
            self._is_closed = True
            with contextlib.suppress(queue.Empty):
                while True:
                    self._waiting.get_nowait()
            for _ in range(self._threads):
                self._waiting.put_nowait(None)
            clients, self._clients = self._clients, []
        for client in clients:
            client.close()

    def _run(self) -> None:
        with self._lock:
            client = self._clients.pop() if self._clients else Client()
        try:
            while (queued := self._next()) is not None:
                self._work(client, queued)
        finally:
            with self._lock:
                is_kept = not self._is_closed
                if is_kept:
                    self._clients.append(client)
            if not is_kept:
                client.close()

    def _next(self) -> QueuedRequest | None:
        """The next parcel; None: this thread is no longer needed."""
        with self._lock:
            self._idle += 1
        try:
            queued = self._waiting.get(timeout=IDLE_S)
        except queue.Empty:
            queued = None
        with self._lock:
            self._idle -= 1
            if queued is None and not self._is_closed:
                with contextlib.suppress(queue.Empty):
                    queued = self._waiting.get_nowait()  # it came in the last moment
            if queued is None:
                self._threads -= 1
        return queued
