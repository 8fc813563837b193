"""ZeroMQ: what happens in the node for subscribers of Bitcoin Core's topics.

The only module that knows zmq; imported where the operator asks for it, so that nobody else needs it.
"""

import queue
from collections import Counter
from collections.abc import Sequence

import zmq

from node.interface.effects import Publish
from node.notify.zmq_messages import HIGH_WATER_MARK, SOURCES, TOPICS, notifications, size_of
from node.runtime.event_hub import OVER
from node.runtime.runtime import Runtime

QUEUE_MAX = 50_000
"""Events that wait for this thread; beyond, all subscribers miss some, and the numbers show it."""
QUEUE_BYTES_MAX = 64 * 1024 * 1024
"""Transactions and blocks of these events; one more event may come on top."""
PACE_S = 0.002
"""Seconds between two looks: what comes meanwhile is sent together, without waking a thread each time."""
LINGER_MS = 500
"""Milliseconds in which subscribers may still take their messages when the node stops."""


class Unusable(Exception):
    """An address that cannot be published at; one line that says why."""


class Publisher:
    """Sockets, one an address, and a thread of the runtime's that feeds them."""

    def __init__(self, addresses: Sequence[str]) -> None:
        """Binds. Raises Unusable."""
        self._context = zmq.Context(io_threads=1)
        self._sockets: list[zmq.Socket[bytes]] = []
        self._queue: queue.SimpleQueue[Publish | None] = queue.SimpleQueue()
        self._taken_bytes = self._lost = 0
        """Ever put into the queue; events that did not fit. Written under the runtime's lock alone."""
        self._sent_bytes = self._lost_seen = 0
        """Ever taken out of it; how many of the lost are told of. Written by the thread alone."""
        self._numbers: Counter[bytes] = Counter()
        """The next message's, by topic."""
        for address in addresses:
            try:
                self._bind(address)
            except zmq.ZMQError as error:
                self.close(0)
                raise Unusable(f"cannot publish at {address}: {zmq.strerror(error.errno or 0)}") from None

    def _bind(self, address: str) -> None:
        socket = self._context.socket(zmq.PUB)
        self._sockets.append(socket)
        socket.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK)
        socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        socket.setsockopt(zmq.IPV6, int("[" in address))
        socket.bind(address)

    def start(self, runtime: Runtime) -> None:
        """Publish from now on, until the node stops."""
        runtime.events.tap(self._take)
        runtime.events.subscribe(OVER, lambda: self._queue.put(None))
        runtime.spawn("zmq", lambda: self._run(runtime))

    def close(self, linger_ms: int = LINGER_MS) -> None:
        """Close what is open, perhaps for the second time."""
        self._context.destroy(linger_ms)

    def _take(self, happened: Publish) -> None:
        """Take note of what has happened; under the runtime's lock."""
        if happened.topic not in SOURCES:
            return
        if self._queue.qsize() >= QUEUE_MAX or self._taken_bytes - self._sent_bytes > QUEUE_BYTES_MAX:
            self._lost += 1
            return
        self._taken_bytes += size_of(happened)
        self._queue.put(happened)

    def _run(self, runtime: Runtime) -> None:
        try:
            while (happened := self._queue.get()) is not None:
                self._publish(happened)
                if self._queue.empty():
                    runtime.pause(PACE_S)
        finally:
            self.close()

    def _publish(self, happened: Publish) -> None:
        if self._lost != self._lost_seen:
            self._numbers.update(dict.fromkeys(TOPICS, self._lost - self._lost_seen))
            self._lost_seen = self._lost
        self._sent_bytes += size_of(happened)
        for topic, body in notifications(happened):
            number = (self._numbers[topic] & 0xFFFF_FFFF).to_bytes(4, "little")
            self._numbers[topic] += 1
            for socket in self._sockets:
                socket.send_multipart((topic, body, number))  # never waits: what is too much is dropped
