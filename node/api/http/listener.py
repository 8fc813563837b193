"""Listening sockets and the loop behind them: one asyncio loop a listener, in a thread of its own.

Owns admission, clean stopping, and what happens each second; `channel.py` owns what one connection may do.
"""

import asyncio
import contextlib
import logging
import resource
import socket
from collections.abc import Callable, Sequence

from node.api.http.channel import Channel
from node.api.http.connection_table import ConnectionTable
from node.api.http.response_encoder import DateLine
from node.api.http.site import Site
from node.api.http.streaming import Followers
from node.api.http.worker_pool import WorkerPool
from node.interface.endpoint import Endpoint
from node.runtime.runtime import monotonic

log = logging.getLogger("groat.http")

CONNECTIONS_MAX = 2_000
"""Open connections of one listener; then the one that has been idle or unfinished longest goes."""
OTHER_FILES = 256
"""File descriptors left to storage, processes and outgoing connections."""
FILES_WANTED = 8_192
"""The soft limit on file descriptors is raised to this where the system allows."""
WATCH_S = 1.0
"""From one look at what takes too long to the next."""
STOP_S = 2
"""Seconds for answers under way when the listener stops."""
STOP_LOOK_S = 0.02
"""From one look at what is under way then to the next."""
RECV_BYTES = 64 * 1024
"""Read at once from a connection."""
BACKLOG = 1024
ACCEPTS_MAX = 64
"""Connections let in at a turn of the loop: those who come in crowds do not keep everybody else waiting."""


class Listener:
    """A site on one or more addresses. Binds at once; serves while `run` runs."""

    def __init__(self, site: Site, endpoints: Sequence[Endpoint], connections_max: int = CONNECTIONS_MAX) -> None:
        """Raises OSError where an address cannot be had, with that as its `filename`."""
        self._sockets = _bind_all(endpoints)
        self.endpoints: tuple[Endpoint, ...] = tuple(Endpoint(*bound.getsockname()[:2]) for bound in self._sockets)
        """Endpoints of the listener, with the real ports."""
        self.site = site
        self.connections: ConnectionTable[Channel] = ConnectionTable(connections_max)
        self.followers = Followers()
        self.date_line = DateLine()
        self.inbox = memoryview(bytearray(RECV_BYTES))
        """Bytes that have just come in, from any connection."""
        self._workers = WorkerPool(site.threads, site.parked)
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._welcomes: set[asyncio.Task[None]] = set()
        """Connections that are accepted and not open yet."""
        self._looks_at_workers = self._is_accepting = False
        self._feeding: asyncio.TimerHandle | None = None

    def run(self) -> None:
        """Serve until `stop`; then finish what is under way, for a moment, and close."""
        try:
            self._loop.run_until_complete(self._serve())
            self._workers.stop(STOP_S)
        finally:
            self._loop.close()

    def stop(self) -> None:
        """Make `run` return soon; from any thread, also from a handler, and more than once."""
        self.call(self._stopping.set)

    def call(self, callback: Callable[..., object], *arguments: object) -> None:
        """Have the listener's thread call it; not at all once `run` has ended. From any thread."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *arguments)

    def add_task(self, channel: Channel) -> None:
        """Have a request answered in a worker thread."""
        self._workers.add_task(channel)
        if not self._looks_at_workers:
            self._look_at_workers()

    def news(self) -> None:
        """Look at the followers soon: there may be more for them. From any thread."""
        if self.followers.note():
            self.call(self.feed)

    def feed(self) -> None:
        """Give followers what is due, and come again when something may be; in the listener's own thread."""
        if self._feeding is not None:
            self._feeding.cancel()
        self._feeding = self._loop.call_later(self.followers.feed(), self.feed)

    def watch(self, now: float) -> None:
        """End what has taken too long by then; in the listener's own thread."""
        for channel in self.connections:
            channel.watch(now)

    async def _serve(self) -> None:
        self._accept_from_now_on()
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), WATCH_S)
            self.watch(monotonic())
            self._accept_from_now_on()
        self._stop_accepting()
        for bound in self._sockets:
            bound.close()
        self.followers.end_all()
        ends = monotonic() + STOP_S
        while monotonic() < ends and any(channel.is_under_way for channel in self.connections):
            await asyncio.sleep(STOP_LOOK_S)
        if self._welcomes:
            await asyncio.wait(self._welcomes)
        for channel in self.connections:
            channel.cut_off()
        await asyncio.sleep(0)  # the transports close their sockets

    def _accept_from_now_on(self) -> None:
        if not self._is_accepting:
            self._is_accepting = True
            for bound in self._sockets:
                self._loop.add_reader(bound, self._accept, bound)

    def _stop_accepting(self) -> None:
        """Leave new connections in the backlog, till the next second."""
        self._is_accepting = False
        for bound in self._sockets:
            self._loop.remove_reader(bound)

    def _accept(self, bound: socket.socket) -> None:
        """Accept connections out of the backlog."""
        for _ in range(ACCEPTS_MAX):
            if not self.connections.can_take_one:
                self._stop_accepting()
                return
            try:
                client, address = bound.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.warning("cannot accept connections, trying again in a second: %s", error.strerror)
                self._stop_accepting()
                return
            self._let_in(client, address[:2])

    def _let_in(self, client: socket.socket, address: tuple[str, int]) -> None:
        """Open a connection, unless the gate refuses it; another may have to go for it."""
        host, gate = address[0], self.site.gate
        owner = gate.owner(host)
        has_many = owner is not None and self.connections.count(owner) >= gate.host_connections
        if not gate.lets_in(host) or (has_many and not self.connections.make_room(owner)):
            client.close()
            return
        if self.connections.is_full:
            self.connections.make_room()
        channel = Channel(self, address, owner)
        self.connections.add(channel)
        welcome = self._loop.create_task(self._welcome(channel, client))
        self._welcomes.add(welcome)
        welcome.add_done_callback(self._welcomes.discard)

    async def _welcome(self, channel: Channel, client: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: channel, client)
        except OSError:
            client.close()
            channel.cut_off()

    def _look_at_workers(self) -> None:
        """Have another thread woken if what waits has waited too long."""
        wait_s = self._workers.look()
        self._looks_at_workers = wait_s is not None
        if wait_s is not None:
            self._loop.call_later(wait_s, self._look_at_workers)


def raise_file_limit() -> int:
    """Allow this process as many open files as it may have; returns how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(hard, FILES_WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return FILES_WANTED if soft == resource.RLIM_INFINITY else soft


def connections_allowed(files: int, listeners: int) -> int:
    """Connections for each of `listeners`, if the process may have `files` open."""
    return max(16, min(CONNECTIONS_MAX, (files - OTHER_FILES) // listeners))


def _bind_all(endpoints: Sequence[Endpoint]) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    for endpoint in endpoints:
        try:
            sockets.append(_bind(endpoint))
        except OSError as error:
            for bound in sockets:
                bound.close()
            error.filename = str(endpoint)
            raise
    return sockets


def _bind(endpoint: Endpoint) -> socket.socket:
    family, kind, proto, _, address = socket.getaddrinfo(
        endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, proto)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound
