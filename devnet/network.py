"""The nodes of a devnet as processes: their command lines, starting, waiting, stopping, asking.

Functions that start or stop return the devnet as it is now; the caller saves it.
"""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from devnet import processes
from devnet.rpc import NodeClient, NodeRpcError, Unreachable
from devnet.state import HOST, BadValue, Devnet, DevnetError, save

PEERS_PER_NODE = 4
"""A node keeps connections to so many of its successors; discovery may find more."""
READY_S = 60.0
"""Seconds that a node may take from its start to its first answer, recovery included."""
AGREE_S = 60.0
"""Seconds that all nodes may take to agree on one tip."""
STOP_S = 10.0
"""Seconds that a node may take to stop cleanly."""
KILL_S = 5.0
POLL_S = 0.05
STATUS_TIMEOUT_S = 2.0
LOG_TAIL_BYTES = 64 * 1024

Say = Callable[[str], None]
"""Told what is being waited for."""


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """A node's answers about itself; all but `running` are None for one that does not answer."""

    running: bool
    """The node's process is alive."""
    height: int | None = None
    tip: str | None = None
    """Block hash, display order."""
    peers: int | None = None
    mempool: int | None = None
    """Transactions waiting."""
    warnings: tuple[str, ...] = ()
    """The node's own warnings to its operator."""


def node_command(devnet: Devnet, index: int) -> list[str]:
    """Command line of a node, the same at each start."""
    successors = ((index + step) % devnet.nodes for step in range(1, min(PEERS_PER_NODE, devnet.nodes - 1) + 1))
    options = [
        *("--network", "regtest" if devnet.network == "regtest" else str(devnet.network_file)),
        *("--datadir", str(devnet.datadir(index))),
        *("--api", devnet.api(index)),
        *("--p2p", devnet.p2p(index)),
        *("--log-file", str(devnet.log(index))),
        *("--name", f"node {index}"),
    ]
    for successor in successors:
        options += ["--peer", devnet.p2p(successor)]
    if index < devnet.miners:
        options += ["--mine", devnet.address, "--mine-threads", "1", "--mine-duty", str(devnet.mine_duty)]
        if devnet.network == "regtest":
            options += ["--mine-interval", str(devnet.spacing_s)]
    # Last: where an option cannot be repeated, the user's counts.
    return processes.python("node", *options, *devnet.options[index])


def check_options(devnet: Devnet, indexes: Iterable[int]) -> None:
    """Have groatd look at the options of these nodes. Raises BadValue with what it says."""
    kinds = {(devnet.options[index], index < devnet.miners): index for index in indexes if devnet.options[index]}
    for index in kinds.values():
        if complaint := processes.last_words([*node_command(devnet, index), "--check"]):
            raise BadValue(f"options for groatd: {complaint}")


def client(devnet: Devnet, index: int, timeout_s: float | None = None) -> NodeClient:
    """Node `index`, to be asked."""
    options = {} if timeout_s is None else {"timeout_s": timeout_s}
    return NodeClient(devnet.api(index), devnet.cookie(index), **options)


def is_running(devnet: Devnet, index: int) -> bool:
    return processes.is_running(devnet.processes[index], devnet.datadir(index))


def check_ports(devnet: Devnet, indexes: Iterable[int]) -> None:
    """Every port of these nodes can be had. Raises DevnetError naming the first that cannot."""
    for index in indexes:
        for address in (devnet.api(index), devnet.p2p(index)):
            port = int(address.rpartition(":")[2])
            with socket.socket() as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    trial.bind((HOST, port))
                except OSError as error:
                    raise DevnetError(
                        f"port {port}, for node {index}: {os.strerror(error.errno or 0)}; "
                        "choose other ports with `devnet up --api-port BASE`"
                    ) from None


def start(devnet: Devnet, indexes: Iterable[int], say: Say) -> Devnet:
    """Start these nodes, those already running left alone, and wait until they answer.

    Raises DevnetError with a node's last words if it ends instead.
    """
    stopped = [index for index in indexes if not is_running(devnet, index)]
    check_ports(devnet, stopped)
    for index in stopped:
        devnet.datadir(index).mkdir(exist_ok=True)
        with processes.uninterrupted():
            process = processes.spawn(node_command(devnet, index), devnet.log(index))
            devnet = save(devnet.with_process(index, process))
    for index in stopped:
        wait_ready(devnet, index, say)
    return devnet


def wait_ready(devnet: Devnet, index: int, say: Say) -> None:
    """Wait for the node's first answer. Raises DevnetError if it ends, or after READY_S."""
    deadline = time.monotonic() + READY_S
    say(f"waiting for node {index} at {devnet.api_url(index)}")
    while True:
        try:
            client(devnet, index, STATUS_TIMEOUT_S).get("/v1/network")
            return
        except Unreachable as unreachable:
            reason = unreachable
        if not is_running(devnet, index):
            raise DevnetError(f"node {index} ended: {last_line(devnet.log(index))}")
        if time.monotonic() > deadline:
            raise DevnetError(f"node {index} did not answer within {READY_S:.0f} s ({reason}): see {devnet.log(index)}")
        time.sleep(POLL_S)


def wait_agreement(devnet: Devnet, height: int, say: Say) -> None:
    """Wait until all nodes have at least `height` blocks. Raises DevnetError after AGREE_S."""
    deadline = time.monotonic() + AGREE_S
    for index in range(devnet.nodes):
        say(f"waiting for node {index} to reach height {height}")
        while (reached := node_status(devnet, index).height) is None or reached < height:
            if not is_running(devnet, index):
                raise DevnetError(f"node {index} ended: {last_line(devnet.log(index))}")
            if time.monotonic() > deadline:
                raise DevnetError(f"node {index} stays at height {reached}, not {height}: see {devnet.log(index)}")
            time.sleep(POLL_S)


def node_status(devnet: Devnet, index: int) -> NodeStatus:
    """Ask a node how it is. Never raises: a node that does not answer has no height."""
    running = is_running(devnet, index)
    if not running:
        return NodeStatus(running=False)
    calls = [("getblockchaininfo", ()), ("getpeerinfo", ()), ("getmempoolinfo", ()), ("getnetworkinfo", ())]
    try:
        chain, peers, mempool, links = client(devnet, index, STATUS_TIMEOUT_S).answers(calls)
        if isinstance(chain, NodeRpcError):  # starting
            raise chain
    except (Unreachable, NodeRpcError):
        return NodeStatus(running=True)
    # A light node refuses to speak of a mempool that it has not.
    count, waiting = (None if isinstance(answer, NodeRpcError) else answer for answer in (peers, mempool))
    told = [] if isinstance(links, NodeRpcError) else links["warnings"]
    return NodeStatus(
        True,
        chain["blocks"],
        chain["bestblockhash"],
        None if count is None else len(count),
        None if waiting is None else waiting["size"],
        tuple(dict.fromkeys([*chain["warnings"], *told])),
    )


def stop(devnet: Devnet, indexes: Iterable[int], say: Say, *, force: bool = False) -> Devnet:
    """Ask these nodes to stop, all at once, and wait until they have.

    One that does not stop in time is killed if `force`, else that is a DevnetError.
    """
    indexes = list(indexes)
    for index in indexes:
        processes.send_signal(devnet.processes[index], devnet.datadir(index), signal.SIGTERM)
    stubborn = []
    for index in indexes:
        if is_running(devnet, index):
            say(f"waiting for node {index} to stop")
        if processes.wait_end(devnet.processes[index], devnet.datadir(index), STOP_S):
            devnet = save(devnet.with_process(index, None))
        elif force:
            devnet = kill(devnet, index)
        else:
            stubborn.append(index)
    if stubborn:
        raise DevnetError(f"node {stubborn[0]} has not stopped in {STOP_S:.0f} s: `devnet kill {stubborn[0]}` ends it")
    return devnet


def kill(devnet: Devnet, index: int) -> Devnet:
    """SIGKILL, and wait until the process is gone."""
    processes.send_signal(devnet.processes[index], devnet.datadir(index), signal.SIGKILL)
    if not processes.wait_end(devnet.processes[index], devnet.datadir(index), KILL_S):
        raise DevnetError(f"node {index} does not die: is its disk stuck?")
    return save(devnet.with_process(index, None))


def last_line(log: Path) -> str:
    """The log's last line."""
    lines = tail(log, 1)
    return lines[-1] if lines else f"nothing in {log}"


def tail(log: Path, lines: int) -> list[str]:
    """The last lines of a log, as far as its last LOG_TAIL_BYTES hold them."""
    try:
        with open(log, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - LOG_TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return [line for line in text.splitlines() if line.strip()][-lines:] if lines else []
