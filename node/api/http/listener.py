"""Listening sockets and worker threads: waitress, one instance a listener, in one process.

Owns connection limits and clean stopping; `channel.py` owns what one connection may do.
"""

import contextlib
import logging
import resource
import select
import socket
from collections import Counter
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer

from node.api.http.channel import Channel, DateLine
from node.api.http.gate import ApiGate, Gate
from node.api.http.message import Handler
from node.api.http.request_parser import HEADER_BYTES_MAX, BodyCap
from node.api.http.streaming import Followers
from node.api.http.worker_pool import WorkerPool
from node.interface.endpoint import Endpoint

log = logging.getLogger("groat.http")

API_THREADS = 32
P2P_THREADS = 64
CONNECTIONS_MAX = 2_000
"""Open connections of one listener; then the one that has been idle or unfinished longest goes."""
OTHER_FILES = 256
"""File descriptors left to storage, processes and outgoing connections."""
FILES_WANTED = 8_192
"""The soft limit on file descriptors is raised to this where the system allows."""
IDLE_S = 60
"""Seconds that a connection may stay open without a request."""
UNSENT_BYTES_MAX = 64 * 1024 * 1024
"""Answers of one listener that wait for slow readers; beyond, the slowest are cut off."""
BODIES_BYTES_MAX = 64 * 1024 * 1024
"""Bodies of one listener that are coming in; beyond, the one that takes longest is cut off."""
RECV_BYTES = 64 * 1024
"""Read at once from a connection."""
BODY_IN_MEMORY_MAX = 512 * 1024
"""Bytes of a request body held in memory; the rest goes to a temporary file."""
ANSWER_IN_MEMORY_MAX = 8 * 1024 * 1024
"""The same of one answer."""
BREATH_S = 0.0005
"""Seconds between two looks for input while requests wait for a thread: each look takes the interpreter from
the one that answers."""
STOP_S = 2
"""Seconds for answers under way when the listener stops."""
BACKLOG = 1024
ACCEPTS_MAX = 64
"""Connections let in at a turn, which looks at all that are open: one by one, those who come in crowds would
keep everybody behind them waiting for seconds."""


@dataclass(frozen=True, slots=True)
class Site:
    """Application and rules of one listener."""

    name: str
    """For the log."""
    app: Handler
    """Called from any thread; raises nothing."""
    body_cap: BodyCap
    threads: int
    quick: Container[tuple[str, str]] = frozenset()
    """(method, path) of what `app` answers at once, without waiting for anybody: the listener's own
    thread has it answered, without waking another."""
    door: Gate = field(default_factory=ApiGate)
    """Admission of connections and requests."""
    parked: Callable[[], int] = lambda: 0
    """Number of threads that wait in `app` for something to happen."""


class Listener:
    """One site on one or more addresses. Binds at once; serves while `run` runs."""

    def __init__(self, site: Site, endpoints: Sequence[Endpoint], connections_max: int = CONNECTIONS_MAX) -> None:
        """Raises OSError where an address cannot be had, with that as its `filename`."""
        quiet_waitress()
        sockets: list[socket.socket] = []
        for endpoint in endpoints:
            try:
                sockets.append(_bind(endpoint))
            except OSError as error:
                for bound in sockets:
                    bound.close()
                error.filename = str(endpoint)
                raise
        self.endpoints: tuple[Endpoint, ...] = tuple(Endpoint(*bound.getsockname()[:2]) for bound in sockets)
        """Endpoints of the listener, with the real ports."""
        adjustments = Adjustments(
            threads=site.threads,
            connection_limit=connections_max + OTHER_FILES,  # ours comes first and makes room
            channel_timeout=IDLE_S,
            cleanup_interval=1,
            asyncore_use_poll=True,
            backlog=BACKLOG,
            recv_bytes=RECV_BYTES,
            inbuf_overflow=BODY_IN_MEMORY_MAX,
            outbuf_overflow=ANSWER_IN_MEMORY_MAX,
            max_request_header_size=HEADER_BYTES_MAX,
            log_socket_errors=False,
            clear_untrusted_proxy_headers=False,  # nobody reads them
            ident="",
        )
        adjustments.body_cap = site.body_cap
        adjustments.door = site.door
        self._map: dict[int, Any] = {}
        self._nap = _Nap()
        self._workers = WorkerPool(site.threads, site.parked)
        self._followers = Followers()
        parts = self._map, self._workers, self._nap, self._followers, adjustments
        self._servers = [_Server(site, bound, *parts, connections_max // len(sockets)) for bound in sockets]
        self._stopping = False

    def run(self) -> None:
        """Serve until `stop`; then finish what is under way, for a moment, and close."""
        while not self._stopping:
            self._turn(1)
        for server in self._servers:
            server.stop_accepting()
        self._followers.end_all()
        for _ in range(STOP_S * 20):
            if not any(channel.requests or channel.total_outbufs_len for channel in self._channels()):
                break
            self._turn(0.05)
        self._workers.stop(STOP_S)
        wasyncore.close_all(self._map)

    def stop(self) -> None:
        """Make `run` return soon; from any thread, also from a handler, and more than once."""
        self._stopping = True
        for server in self._servers:
            with contextlib.suppress(OSError):  # `run` may just have ended
                server.pull_trigger()

    def _turn(self, timeout_s: float) -> None:
        """Wait until something can be read or written, and do so."""
        # Before anybody is asked what it waits for: who changes that later has to wake us.
        self._nap.asleep = True
        timeout_s = min(timeout_s, self._followers.feed())
        poller = select.poll()
        asked = self._map.copy()
        for number, waiting in asked.items():
            wanted = waiting.wanted() if isinstance(waiting, Channel) else select.POLLIN * bool(waiting.readable())
            if wanted:
                poller.register(number, wanted)
        look_s = self._workers.look()
        if look_s is not None:
            select.select((), (), (), BREATH_S)
        ready = poller.poll((timeout_s if look_s is None else min(timeout_s, look_s)) * 1000)
        self._nap.asleep = False
        for number, found in ready:
            # A connection closed meanwhile may have left its number to a new one.
            if (channel := self._map.get(number)) is not None and channel is asked[number]:
                wasyncore.readwrite(channel, found)

    def _channels(self) -> list[Channel]:
        return [channel for server in self._servers for channel in server.active_channels.values()]


class _Nap:
    """True if the listener's thread waits, or may soon."""

    asleep = False


class _Server(TcpWSGIServer):
    """One listening socket with its connections."""

    channel_class = Channel

    def __init__(
        self,
        site: Site,
        bound: socket.socket,
        channels: dict[int, Any],
        workers: WorkerPool,
        nap: _Nap,
        followers: Followers,
        adjustments: Adjustments,
        connections_max: int,
    ) -> None:
        self.app = site.app
        self.quick = site.quick
        self.date_line = DateLine()
        self._connections_max = max(1, connections_max)
        self._door = site.door
        self.owners: Counter[bytes | None] = Counter()
        """Number of connections, by owner."""
        self._is_somebody_there = False
        self._leaving: dict[bytes | None, list[Channel]] = {}
        """The connections that may be closed at this turn: of an owner, or of all (None); the first to go last."""
        self._nap = nap
        self.followers = followers
        sockinfo = (bound.family, bound.type, bound.proto, bound.getsockname())
        super().__init__(
            site.app,
            channels,
            True,
            bound,
            dispatcher=workers,
            adj=adjustments,
            sockinfo=sockinfo,
            bind_socket=False,
        )

    def add_task(self, channel: Channel) -> None:
        """A connection's first request is to be answered."""
        if channel.receiving:
            channel.due = True  # it sees to that itself, when it holds no lock any more
        else:
            super().add_task(channel)

    def pull_trigger(self) -> None:
        """Wake the listener's thread, if it waits: something has changed. From any thread."""
        if self._nap.asleep:
            self._nap.asleep = False  # once is enough
            super().pull_trigger()

    def news(self) -> None:
        """There is more for followers. From any thread."""
        if self.followers.note():
            self.pull_trigger()

    def handle_accept(self) -> None:
        """Let in who waits at the door."""
        self._is_somebody_there = True
        self._leaving.clear()
        for _ in range(ACCEPTS_MAX):
            if self._is_somebody_there and self.readable():
                super().handle_accept()

    def accept(self) -> Any:
        """The next client; None if it is not let in. One may have to go for it."""
        accepted = super().accept()
        if accepted is None:
            self._is_somebody_there = False
            return None
        client, (host, *_) = accepted
        owner = self._door.owner(host)
        has_many = owner is not None and self.owners[owner] >= self._door.host_connections
        if not self._door.lets_in(host) or (has_many and not self._make_room(owner)):
            client.close()
            return None
        if len(self.active_channels) >= self._connections_max:
            self._make_room(None)
        return accepted

    def readable(self) -> bool:
        """True if one more client can be let in."""
        wanted = bool(super().readable())
        full = len(self.active_channels) >= self._connections_max
        return wanted and (not full or any(not channel.requests for channel in self.active_channels.values()))

    def maintenance(self, now: float) -> None:
        """Once a second."""
        super().maintenance(now)
        for channel in list(self.active_channels.values()):
            channel.watch(now)

    def shed(self, coming: int) -> None:
        """An answer of `coming` bytes is about to be queued: keep the sum of all bounded."""
        channels = [channel for channel in list(self.active_channels.values()) if not channel.cut_off]
        unsent = coming + sum(channel.total_outbufs_len for channel in channels)
        if unsent <= UNSENT_BYTES_MAX:
            return
        for channel in sorted((channel for channel in channels if channel.total_outbufs_len), key=_unread_since):
            unsent -= channel.total_outbufs_len
            channel.cut_off = True
            if unsent <= UNSENT_BYTES_MAX:
                break
        self.pull_trigger()

    def shed_bodies(self) -> None:
        """Keep the sum of unfinished bodies bounded: the oldest unfinished request goes first."""
        channels = [
            channel for channel in self.active_channels.values() if channel.incoming_bytes and not channel.cut_off
        ]
        if sum(channel.incoming_bytes for channel in channels) > BODIES_BYTES_MAX:
            min(channels, key=_waiting_since).cut_off = True

    def stop_accepting(self) -> None:
        """Close the listening socket; connections stay."""
        self.accepting = False
        self.del_channel()
        self.socket.close()

    def _make_room(self, owner: bytes | None) -> bool:
        """Close the connection that has waited longest, of an owner's or of all (None); a follower only where
        nobody else can go, for it can come back. False if all are being answered."""
        if owner not in self._leaving:
            channels = self.active_channels.values()
            asked = [channel for channel in channels if owner is None or channel.owner == owner]
            self._leaving[owner] = sorted(asked, key=lambda channel: (channel.is_idle, -_waiting_since(channel)))
        line = self._leaving[owner]
        while line:
            channel = line.pop()
            if channel.connected and not channel.requests:
                channel.handle_close()
                return True
        return False


def _waiting_since(channel: Channel) -> float:
    since = channel.started_at
    return float(channel.last_activity if since is None else since)


def _unread_since(channel: Channel) -> float:
    since = channel.sending_since
    return float("inf") if since is None else since  # None: the listener's thread is just looking at it


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


def quiet_waitress() -> None:
    """Keep clients from filling the log: queue depth and disconnections are not logged."""
    logging.getLogger("waitress").setLevel(logging.WARNING)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


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
    except OSError:
        bound.close()
        raise
    return bound
