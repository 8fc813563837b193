"""The node put together from its parts: from the first listener opened to the last file closed."""

import contextlib
import errno
import gc
import ipaddress
import logging
import os
import random
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from types import FrameType

from node.api.app import ApiApp
from node.api.explorer.mount import EXPLORER
from node.api.http.listener import Listener, connections_allowed, raise_file_limit
from node.api.http.site import API_THREADS, P2P_THREADS, Site
from node.api.p2p import P2pApp, p2p_body_cap
from node.api.p2p_gate import P2pGate
from node.api.services.request_metrics import RequestMetrics
from node.blockfilter.filter_builder import FilterBuilder
from node.blockfilter.filter_index import FilterIndex
from node.config import Config, make_folder
from node.core.config import NodeConfig
from node.core.node import Node
from node.interface.effects import PeerReply
from node.interface.endpoint import Endpoint
from node.interface.messages import Reply
from node.interface.settings import ConfigError
from node.interface.storage import StoreError
from node.logs import start_logging, stop_logging
from node.mining.miner_pool import MinerPool
from node.mining.supervisor import Supervisor
from node.p2p.addrman.net_address import advertised
from node.p2p.block_sync.unpack import prepare
from node.p2p.config import PeerManagerConfig
from node.p2p.connections.identity import NodeIdentity
from node.runtime.event_hub import OVER, TIP
from node.runtime.request_sender import HttpRequestSender
from node.runtime.runtime import NotReady, Runtime, monotonic
from node.runtime.saved_files import SavedFiles
from node.secret_files import Cookie, read_node_key
from node.storage.filters import open_filters
from node.storage.recovery import open_store
from node.workers.verifier_pool import VerifierPool, choose_engine, verifier_processes

log = logging.getLogger("groat.daemon")

SWITCH_INTERVAL_S = 0.0005
"""Seconds that a thread may hold the interpreter while others want it: with Python's 5 ms, one busy
thread takes an answer from 1 ms to 20."""
GC_THRESHOLD = 50_000
"""Objects made before the collector looks: blocks and headers are many objects and no cycles."""
PROGRESS_S = 5.0
"""Seconds between two lines of progress while stored blocks are connected."""
ZMQ_PUBLISHER = "node.notify.zmq_publisher"
"""Imported where it is asked for: its library is an extra."""
OPEN_API = (
    "--api %s: not only this machine: others can read the node, and JSON-RPC's login goes over the network in "
    "the clear (a server with TLS before it helps)"
)
JOIN_S = 3.0
"""Seconds that a stop waits for requests under way."""


def run_node(config: Config) -> str | None:
    """Run until told to stop; why the node had to, if it was not told. Raises ConfigError."""
    try:
        handler = start_logging(config.log_format, config.log_file)
    except OSError as error:
        raise ConfigError(f"--log-file: cannot write {config.log_file}: {error.strerror}") from None
    try:
        return run(config)
    except StoreError as error:
        raise ConfigError(str(error)) from None
    finally:
        stop_logging(handler)


def run(config: Config) -> str | None:
    """Run the node until it is told to stop; why it had to, if it was not told.

    Raises ConfigError and StoreError where it cannot start.
    """
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, _interrupt)
    with ExitStack() as stack:
        stack.callback(prepare_folder(config).remove)
        node = Running(config, stack)
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, node.interrupt)
        last_words = "stopped"
        try:
            with contextlib.suppress(NotReady):  # a fault while starting
                node.start()
            node.wait()
        except KeyboardInterrupt:
            pass
        except (ConfigError, StoreError):
            last_words = ""  # it never ran, and the reason is still to be told
            raise
        finally:
            for signal_number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(signal_number, signal.SIG_IGN)
            node.stop()
            if last_words:
                log.info(last_words)
    return node.fault


def prepare_folder(config: Config) -> Cookie:
    """The network's folder, ours alone as long as the cookie in it is not removed. Raises ConfigError."""
    make_folder(config.folder)
    return Cookie(config.cookie)


def no_place_to_listen(faults: Mapping[str, OSError]) -> ConfigError:
    """All that is in the way, by option, so that nobody meets one after the other."""
    reason = "; ".join(
        f"{option}: cannot listen on {error.filename}: {error.strerror or error}" for option, error in faults.items()
    )
    taken = [f"{option} HOST:PORT" for option, error in faults.items() if error.errno == errno.EADDRINUSE]
    if taken:
        choose = "chooses another port" if len(taken) == 1 else "choose other ports"
        reason += f" (perhaps by another node); {' and '.join(taken)} {choose}"
    return ConfigError(reason)


def local_url(endpoint: Endpoint) -> str:
    """The URL of a listener for a browser on this machine; it may listen on all addresses that there are."""
    host = ipaddress.ip_address(endpoint.host)
    if host.is_unspecified:
        endpoint = Endpoint("127.0.0.1" if host.version == 4 else "::1", endpoint.port)
    return f"http://{endpoint}"


def warn_if_open(api: Sequence[Endpoint]) -> None:
    """Say which of these others than this machine can reach."""
    for endpoint in api:
        if not ipaddress.ip_address(endpoint.host).is_loopback:
            log.warning(OPEN_API, endpoint)


class Running:
    """The parts of one node and the order in which they start and stop."""

    def __init__(self, config: Config, stack: ExitStack) -> None:
        self._config = config
        self._stack = stack
        self._engine = choose_engine(config.engine)
        self._secret = read_node_key(config.node_key)
        self._verifiers = VerifierPool(self._engine, verifier_processes(), monotonic)
        mine = config.mine
        threads, duty = (mine.threads, mine.duty_percent) if mine else (os.cpu_count() or 1, 100)
        self._solver = MinerPool(threads, duty, monotonic)
        self._miners = MinerPool(threads, duty, monotonic) if mine else None
        self._runtime = Runtime(self._verifiers, self._solver)
        for topic in (TIP, OVER):
            self._runtime.events.subscribe(topic, self._solver.wake)
        self._request_sender = HttpRequestSender(
            self._prepare,
            self._runtime.deliver,
            partial(self._runtime.spawn, joined=False),
            self._runtime.now,
            partial(self._runtime.traffic.note, ours=True),
        )
        folder, network_id = config.folder, config.params.network_id
        self._filters = FilterIndex(lambda: open_filters(folder, network_id)) if config.index else None
        self.listeners: list[Listener] = []
        self._faults: dict[str, OSError] = {}
        """Errors of options whose addresses cannot be listened on."""
        self._saved_files = SavedFiles(self._runtime, config.mempool, config.address_book)

    def start(self) -> None:
        """Listen, recover, choose the chain, and let everybody in.

        Raises ConfigError and StoreError; NotReady after a fault that stops the node.
        """
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        gc.set_threshold(GC_THRESHOLD)
        self._publish()
        listening = self._listen()
        self._open_core(listening)
        runtime, mine = self._runtime, self._config.mine
        if runtime.fault:
            raise NotReady
        runtime.admit()
        log.info(
            "ready at height %d, explorer at %s%s",
            runtime.view.tip.height,
            local_url(self.listeners[0].endpoints[0]),
            EXPLORER,
        )
        gc.collect()
        gc.freeze()
        runtime.spawn("mempool", self._saved_files.keep_mempool)
        runtime.spawn("book", self._saved_files.keep_book)
        if self._filters:
            self._stack.callback(self._filters.close)
            runtime.spawn("filters", FilterBuilder(runtime, self._filters, monotonic).run)
        if mine and self._miners:
            runtime.spawn("mining", Supervisor(runtime, self._miners, mine, monotonic).run)

    def wait(self) -> None:
        """Wait until somebody or something stops the node."""
        self._runtime.wait()

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal to stop. Raises KeyboardInterrupt, which Python ignores where it collects garbage: so
        `wait` is told too."""
        self._runtime.stop()
        raise KeyboardInterrupt

    @property
    def fault(self) -> str | None:
        """The reason that the node had to stop, unless it was told to."""
        return self._runtime.fault

    def stop(self) -> None:
        """Refuse what comes, end what is under way, save what is to be kept."""
        with contextlib.suppress(NotReady):
            self._saved_files.save()
        self._runtime.close()
        for listener in self.listeners:
            listener.stop()
        self._request_sender.close_all()
        self._runtime.join(JOIN_S)
        self._solver.stop()
        if self._miners:
            self._miners.stop()
        self._verifiers.stop()

    def _prepare(self, reply: Reply) -> PeerReply:
        """Decode a peer's reply, as far as that can be done before the core has it."""
        view = self._runtime.peek()
        if view is None:
            return prepare(reply, self._config.params)
        return prepare(reply, self._config.params, view.tx_spending, view.pool.wtxids)

    def _publish(self) -> None:
        """Have ZeroMQ subscribers told, where that is wanted; before anything is there to tell."""
        addresses = self._config.zmq
        if not addresses:
            return
        zmqpub = import_module(ZMQ_PUBLISHER)
        try:
            publisher = zmqpub.Publisher(addresses)
        except zmqpub.Unusable as error:
            raise ConfigError(f"--zmq: {error}") from None
        publisher.start(self._runtime)
        log.info("notifications at %s", ", ".join(addresses))

    def _listen(self) -> Endpoint:
        """Open both listeners, which answer from here on, if only to come again later. Returns the peers' endpoint."""
        runtime, config = self._runtime, self._config
        tallies = RequestMetrics()
        app = ApiApp(runtime, config, tallies=tallies, filters=self._filters)
        parked = partial(runtime.parked, "api")
        site = Site("api", tallies.api.timed(app), app.body_cap, API_THREADS, app.quick, parked=parked)
        api = self._serve("--api", site, config.api)
        gate = P2pGate(runtime, config.params.allow_local, tallies.refusals)
        peers_app = tallies.p2p.timed(P2pApp(runtime, tallies.refusals))
        parked = partial(runtime.parked, "p2p")
        peers = Site("p2p", peers_app, p2p_body_cap(), P2P_THREADS, gate=gate, parked=parked)
        p2p = self._serve("--p2p", peers, (config.p2p,))
        if self._faults:
            raise no_place_to_listen(self._faults)
        warn_if_open(api)
        where = ", ".join(map(local_url, api))
        log.info("%s: API at %s, peers at %s, data in %s", config.params.name, where, p2p[0], config.folder)
        return p2p[0]

    def _serve(self, option: str, site: Site, endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
        """The endpoints listened on; none if it cannot, which is told once all have been tried."""
        try:
            listener = Listener(site, endpoints, connections_allowed(raise_file_limit(), 2))
        except OSError as error:
            self._faults[option] = error
            return ()
        self.listeners.append(listener)
        self._runtime.spawn(site.name, listener.run)
        return listener.endpoints

    def _open_core(self, listening: Endpoint) -> None:
        """Storage, the core on it, and its best chain."""
        config, runtime = self._config, self._runtime
        store = open_store(config.folder, config.params.network_id, index=config.index)
        self._stack.callback(store.close)
        rng = random.SystemRandom()
        identity = NodeIdentity(self._secret, self._engine, rng)
        core = Node(
            config.params,
            store,
            identity,
            rng,
            NodeConfig(
                PeerManagerConfig(
                    listen=None if config.unlisted else advertised(listening),
                    minimum_work=config.minimum_work,
                    role=config.role,
                    mines=config.mine is not None,
                    bulk_bytes_s=config.bulk_bytes_s,
                    discovery=config.finding,
                ),
                config.peers,
                config.coinbase_tag,
            ),
            runtime.wall,
        )
        self._saved_files.load_book(core)
        runtime.open(core, self._request_sender)
        while not runtime.await_core(PROGRESS_S):
            if view := runtime.peek():
                log.info("connecting stored blocks: height %d so far", view.tip.height)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
