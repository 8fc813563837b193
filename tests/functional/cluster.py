"""Real nodes for tests: real processes, real HTTP, free ports, folders that vanish.

def test_something(start_cluster):
    cluster = start_cluster(2, links=[(0, 1)])
    address = ...
    cluster.rpc(0, "generatetoaddress", 3, address)
    cluster.wait_for_agreement()
    cluster.kill(1)
    cluster.start(1)
"""

import http.client
import json
import signal
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devnet.processes import environment, python
from devnet.rpc import NodeClient
from tests.ports import free_ports

READY_S = 60.0
STOP_S = 20.0
"""Four times what a node promises: the machine may be busy with other tests."""
WAIT_S = 60.0
POLL_S = 0.05
LOG_LINES = 30
"""Of each node's log, shown when a test gives up on it."""


class ClusterError(AssertionError):
    """A node that died, or did not do in time what the test waits for."""


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP answer, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class RealNode:
    """One node: where it listens, what it is started with, and its process while it runs."""

    index: int
    api_port: int
    p2p_port: int
    datadir: Path
    options: list[str]
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def api(self) -> str:
        return f"127.0.0.1:{self.api_port}"

    @property
    def p2p(self) -> str:
        return f"127.0.0.1:{self.p2p_port}"

    @property
    def log(self) -> Path:
        return self.datadir / "log"

    def last_lines(self) -> str:
        """The end of its log, for a test that fails."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(f"  node {self.index}: {line}" for line in lines[-LOG_LINES:])


@dataclass(slots=True)
class Cluster:
    """Nodes on one network, started and stopped one by one. `close` leaves nothing behind."""

    folder: Path
    network: str = "regtest"
    """regtest or a network file."""
    network_name: str = "regtest"
    nodes: list[RealNode] = field(default_factory=list)

    def add(self, *options: str, peers: Iterable[int] = ()) -> RealNode:
        """One more node, not started yet, told at each start of these others."""
        datadir = self.folder / f"node{len(self.nodes)}"
        datadir.mkdir(parents=True)
        peer_options = [part for peer in peers for part in ("--peer", self.nodes[peer].p2p)]
        node = RealNode(len(self.nodes), *_two_ports(), datadir, [*peer_options, *options])
        self.nodes.append(node)
        return node

    def command(self, index: int) -> list[str]:
        """The node's command line."""
        node = self.nodes[index]
        where = ["--network", self.network, "--datadir", str(node.datadir), "--api", node.api, "--p2p", node.p2p]
        return python("node", *where, "--log-file", str(node.log), *node.options)

    def launch(self, index: int) -> None:
        """Start the node's process, without waiting for it to answer."""
        node = self.nodes[index]
        assert node.process is None, f"node {index} runs already"
        with node.log.open("ab") as output:
            node.process = subprocess.Popen(
                self.command(index),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=environment(),
                cwd="/",
            )

    def start(self, *indexes: int) -> None:
        """Start these nodes (none named: all), and wait until each answers."""
        chosen = indexes or range(len(self.nodes))
        for index in chosen:
            self.launch(index)
        for index in chosen:
            self.wait_ready(index)

    def wait_ready(self, index: int, timeout_s: float = READY_S) -> None:
        """Wait until the node answers 200."""

        def answers() -> bool:
            node = self.nodes[index]
            if node.process is None or node.process.poll() is not None:
                raise ClusterError(f"node {index} ended\n{node.last_lines()}")
            try:
                return self.request(index, "GET", "/v1/network").status == http.client.OK
            except OSError:
                return False

        self.wait_for(answers, f"node {index} to answer", timeout_s)

    def wait_for(self, condition: Callable[[], object], what: str, timeout_s: float = WAIT_S) -> None:
        """Poll until `condition` holds; a failure shows the end of every log."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                logs = "\n".join(node.last_lines() for node in self.nodes)
                raise ClusterError(f"waited {timeout_s:.0f} s for {what}\n{logs}")
            time.sleep(POLL_S)

    def wait_for_agreement(self, height: int | None = None, timeout_s: float = WAIT_S) -> str:
        """Wait until all running nodes have one tip, at `height` if given. Returns its hash."""
        running = [node.index for node in self.nodes if node.process]

        def agree() -> bool:
            tips = {self.rpc(index, "getbestblockhash") for index in running}
            return len(tips) == 1 and height in (None, self.rpc(running[0], "getblockcount"))

        at = "" if height is None else f" at height {height}"
        self.wait_for(agree, f"one tip{at}", timeout_s)
        return str(self.rpc(running[0], "getbestblockhash"))

    def client(self, index: int, timeout_s: float = WAIT_S) -> NodeClient:
        """The node's JSON-RPC."""
        node = self.nodes[index]
        return NodeClient(node.api, node.datadir / self.network_name / ".cookie", timeout_s)

    def rpc(self, index: int, method: str, *params: Any) -> Any:
        """One JSON-RPC call. Raises RpcError with Core's code and message."""
        return self.client(index).rpc(method, *params)

    def get(self, index: int, path: str) -> str:
        """The body of a GET that succeeds."""
        return self.client(index).get(path)

    def get_json(self, index: int, path: str) -> Any:
        """The same, decoded."""
        return json.loads(self.get(index, path))

    def request(self, index: int, method: str, path: str, body: bytes | str | None = None, **headers: str) -> Response:
        """Any HTTP request, any answer; content_type="..." is a header. Raises OSError if there is none."""
        connection = http.client.HTTPConnection(self.nodes[index].api, timeout=WAIT_S)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
            reply = connection.getresponse()
            names = {name.lower(): text for name, text in reply.getheaders()}
            return Response(reply.status, names, reply.read())
        except http.client.HTTPException as error:
            raise OSError(f"no HTTP answer: {error}") from None
        finally:
            connection.close()

    def stop(self, index: int) -> int:
        """SIGTERM, and wait for the end. Returns the exit status."""
        return self._end(index, signal.SIGTERM)

    def kill(self, index: int) -> None:
        """SIGKILL, and wait for the end."""
        self._end(index, signal.SIGKILL)

    def _end(self, index: int, number: signal.Signals) -> int:
        node = self.nodes[index]
        assert node.process is not None, f"node {index} does not run"
        node.process.send_signal(number)
        try:
            status = node.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            raise ClusterError(f"node {index} has not stopped in {STOP_S:.0f} s\n{node.last_lines()}") from None
        node.process = None
        return status

    def close(self) -> None:
        """End every process that this cluster has started."""
        for node in self.nodes:
            if node.process is not None:
                node.process.kill()
                node.process.wait()
                node.process = None


def _two_ports() -> tuple[int, int]:
    """For the API, for peers."""
    base = free_ports(2)
    return base, base + 1


def peers_from(links: Iterable[tuple[int, int]], nodes: int) -> list[list[int]]:
    """For each node, whom it is told of: in a link the higher index is told of the lower."""
    peers: list[list[int]] = [[] for _ in range(nodes)]
    for one, other in links:
        peers[max(one, other)].append(min(one, other))
    return peers


def make_cluster(
    folder: Path, nodes: int, links: Iterable[tuple[int, int]] | None, options: Sequence[Sequence[str]], network: str
) -> Cluster:
    """A cluster with its nodes added, none of them started. `links` None: everybody knows all before it."""
    if links is None:
        links = [(one, other) for other in range(nodes) for one in range(other)]
    name = network if network == "regtest" else tomllib.loads(Path(network).read_text())["name"]
    cluster = Cluster(folder, network, name)
    for index, peers in enumerate(peers_from(links, nodes)):
        cluster.add(*(options[index] if index < len(options) else ()), peers=peers)
    return cluster
